//! The backends: which transport and which runtime a storm runs on.

use std::sync::Arc;

use auth_core::StandaloneRuntime;
use auth_isahc::IsahcTransport;
use auth_reqwest::{ReqwestTransport, TokioRuntime};
use auth_testkit::server::TestServer;

use crate::args::{Backend, Plan, Server};
use crate::report::Report;
use crate::run::Storm;

/// Runs one storm. What cannot even begin is a sentence.
pub(crate) fn run(backend: Backend, plan: &Plan) -> Result<Report, String> {
    let lacking = descriptors(plan);
    // Kept until the storm is over.
    let (_own, server) = match &plan.server {
        Some(server) => (None, server.clone()),
        None => {
            let own = TestServer::start().map_err(|error| format!("no server could be started: {error}"))?;
            let server = open(&own, plan)?;
            (Some(own), server)
        }
    };
    let storm = Storm { backend: backend.name(), requests: plan.requests, late: plan.late, server: &server };
    let mut report = match backend {
        Backend::Reqwest => over_reqwest(&storm)?,
        Backend::Isahc => over_isahc(&storm)?,
    };
    report.sentences.extend(lacking);
    Ok(report)
}

/// The own server: a sign-in whose access token has just expired. It answers the token endpoint only when every request
/// that is not late has had its 401.
fn open(own: &TestServer, plan: &Plan) -> Result<Server, String> {
    let tokens = own.issue();
    own.expire_access_tokens();
    own.answer_token_when_unauthorized((plan.requests - plan.late) as u64);
    let uri = |text: String| text.parse().map_err(|_| format!("the server's own URL cannot be read: {text}"));
    Ok(Server {
        api: uri(own.api("/notes"))?,
        token_endpoint: uri(own.token_endpoint())?,
        client_id: "storm".to_owned(),
        tokens,
    })
}

fn over_reqwest(storm: &Storm<'_>) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime could be started: {error}"))?;
    runtime.block_on(async {
        let transport = ReqwestTransport::default();
        let tokio = Arc::new(TokioRuntime::current());
        storm.run(transport.clone(), transport, tokio).await.map_err(|error| error.to_string())
    })
}

/// Without tokio: isahc has a thread, the runtime has another, and this one waits. A refresh has a connection of its
/// own: one that has idled may be dead, and nobody could say whether the refresh was acted on.
fn over_isahc(storm: &Storm<'_>) -> Result<Report, String> {
    let runtime = Arc::new(StandaloneRuntime::new());
    let running = storm.run(IsahcTransport::default(), IsahcTransport::single_use(), runtime);
    futures::executor::block_on(running).map_err(|error| error.to_string())
}

/// A storm needs a socket for each request, and with a server of its own in the same process two. Asks the system for as
/// many; says so if it does not grant them.
fn descriptors(plan: &Plan) -> Option<String> {
    let sockets = plan.requests as u64 * if plan.server.is_none() { 2 } else { 1 };
    let needed = sockets + 64;
    let granted = rlimit::increase_nofile_limit(needed.max(1024)).unwrap_or(u64::MAX);
    (granted < needed).then(|| {
        format!("this process may open {granted} files and needs about {needed}: raise the limit (ulimit -n), or send fewer requests")
    })
}
