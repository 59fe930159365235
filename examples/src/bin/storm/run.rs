//! One storm, over any transport and any runtime.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth_core::{AuthClient, Body, Error, ErrorKind, Event, Runtime, Session, Transport};
use futures::channel::oneshot;
use futures::future::{Either, join_all, select};
use http::{Request, Response, Uri};

use crate::args::Server;
use crate::refresher::PublicClient;
use crate::report::{Ending, Report};
use crate::tape::{Index, Tape, Taped};

/// A storm that has not ended by then is reported as it stands.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Storm<'a> {
    pub(crate) backend: &'static str,
    pub(crate) requests: usize,
    pub(crate) late: usize,
    pub(crate) server: &'a Server,
}

impl Storm<'_> {
    /// `api` sends the requests, `login` the refreshes.
    pub(crate) async fn run<T: Transport>(
        &self,
        api: T,
        login: impl Transport,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Report, Error> {
        let tape = Arc::new(Tape::new(self.requests, self.late));
        let refresher = PublicClient {
            transport: login,
            token_endpoint: self.server.token_endpoint.clone(),
            client_id: self.server.client_id.clone(),
            tape: Arc::clone(&tape),
        };
        let listener = Arc::clone(&tape);
        let session = Session::builder(refresher)
            .runtime(Arc::clone(&runtime))
            .max_waiters(self.requests.max(65_536))
            .on_event(move |event| {
                if matches!(event, Event::Refreshed { .. } | Event::RefreshFailed { .. } | Event::Ended(_)) {
                    listener.flight_ended();
                }
            })
            .build();
        let client = AuthClient::builder(Taped { transport: api, tape: Arc::clone(&tape) }, session.clone())
            .origin(origin(&self.server.api))
            .build()?;
        session.sign_in(self.server.tokens.clone()).await?;

        let endings = Arc::new(Mutex::new(vec![None; self.requests]));
        let all = (0..self.requests).map(|index| {
            let (client, tape, endings) = (client.clone(), Arc::clone(&tape), Arc::clone(&endings));
            let uri = self.server.api.clone();
            let (done, wait) = oneshot::channel::<()>();
            runtime.spawn(Box::pin(async move {
                let ending = ending(one(&client, uri, index).await).await;
                endings.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(ending);
                tape.ended(index, ending == Ending::Ok);
                drop(done);
            }));
            wait
        });
        let all = join_all(all.collect::<Vec<_>>());
        let in_time = matches!(select(all, runtime.sleep(DEADLINE)).await, Either::Left(_));

        let elapsed = tape.now();
        let endings = endings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Report::new(self.backend, self.late, &tape.copy(), &endings, elapsed, in_time))
    }
}

async fn one<T: Transport>(client: &AuthClient<T>, uri: Uri, index: usize) -> Result<Response<Body>, Error> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    request.extensions_mut().insert(Index(index));
    client.send(request).await
}

/// How a request ended, its body read to the end: a response that breaks off is no success.
async fn ending(answer: Result<Response<Body>, Error>) -> Ending {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Ending::Failed(error.kind().as_str()),
    };
    let status = response.status();
    match response.into_body().bytes().await {
        _ if !status.is_success() => Ending::Status(status.as_u16()),
        Ok(_) => Ending::Ok,
        Err(_) => Ending::Failed(ErrorKind::Transport.as_str()),
    }
}

fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}", uri.host().unwrap_or_default())
}
