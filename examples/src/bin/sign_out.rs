//! What becomes of requests under way when the user signs out? Here in the worst moment: in the middle of a refresh.
#![allow(clippy::print_stdout, reason = "a program for a person")]

use std::error::Error as StdError;

use auth_core::{AuthClient, Body, RefreshError, Refresher, Session, Tokens, async_trait};
use auth_reqwest::{ReqwestTransport, TokioRuntime};
use auth_testkit::server::TestServer;
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::future::{join, join_all};
use http::Request;

/// Says what it is offered for revocation. A real one would call the revocation endpoint (RFC 7009).
struct Revoking<R> {
    login: R,
    offered: UnboundedSender<Tokens>,
}

#[async_trait]
impl<R: Refresher> Refresher for Revoking<R> {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        self.login.refresh(current).await
    }

    async fn revoke(&self, tokens: &Tokens) {
        // Nobody listens: nobody wants to know.
        let _ = self.offered.unbounded_send(tokens.clone());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let server = TestServer::start()?;
    let (offered, mut revoked) = unbounded();
    let session = Session::builder(Revoking { login: examples::login(&server), offered })
        .runtime(TokioRuntime::current())
        .build();
    let client = AuthClient::builder(ReqwestTransport::default(), session.clone())
        .origin(server.base_url())
        .build()?;
    session.sign_in(server.issue()).await?;

    // Three requests are rejected and wait; the refresh is at the token endpoint.
    server.expire_access_tokens();
    server.hold_api();
    server.hold_token_endpoint();
    let get = || async {
        client.send(Request::get("/api/notes").body(Body::empty())?).await.map_err(Box::<dyn StdError>::from)
    };
    let requests = join_all([get(), get(), get()]);
    let user = async {
        server.when(|stats| stats.api_held == 3).await;
        server.release_api();
        server.when(|stats| stats.unauthorized == 3 && stats.token_held == 1).await;
        println!("three requests wait for the refresh; the user signs out");
        session.sign_out().await
    };
    let (answers, signed_out) = join(requests, user).await;
    signed_out?;
    for answer in answers {
        println!("  a request: {}", answer.err().ok_or("it was answered")?);
    }

    // The token endpoint answers after all. Nobody is signed in by that.
    server.release_token_endpoint();
    let tokens = revoked.next().await.ok_or("nothing was offered")?;
    println!(
        "the refresh ends: its tokens work ({}), and are offered for revocation",
        server.accepts(tokens.access_token().reveal())
    );
    println!("the session: {:?}", session.state());
    println!("the next request: {}", get().await.err().ok_or("it was answered")?);
    println!("requests that the API has seen: {}, none of them twice", server.stats().api_requests);
    Ok(())
}
