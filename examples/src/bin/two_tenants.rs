//! How do I act for two users at once, or for thousands? A session for each, from a pool; one transport for all: connections are
//! shared, identities are not.
#![allow(clippy::print_stdout, reason = "a program for a person")]

use std::error::Error as StdError;
use std::sync::Arc;

use auth_core::{AuthClient, Body, Error, Refresher, Session, Sessions};
use auth_reqwest::{ReqwestTransport, TokioRuntime};
use auth_testkit::server::TestServer;
use futures::future::join_all;
use http::{Request, StatusCode};

type Client = AuthClient<ReqwestTransport>;

/// Whoever acts for a user gets the session of that user's name from the pool, and has a client of it for as long as that takes.
struct Users {
    sessions: Sessions<String>,
    transport: ReqwestTransport,
    api: String,
}

impl Users {
    fn new(server: &TestServer) -> Self {
        let login: Arc<dyn Refresher> = Arc::new(examples::login(server));
        // With a store for each user (`.store(..)`) the pool may give up a session that nobody has used for a while, and
        // makes it anew from there. Without one, its tokens are in its memory alone, and it stays.
        let make = move |_user: &String| Session::builder(Arc::clone(&login));
        Self {
            sessions: Sessions::builder(make).runtime(TokioRuntime::current()).build(),
            transport: ReqwestTransport::default(),
            api: server.base_url(),
        }
    }

    fn client(&self, user: &str) -> Result<Client, Error> {
        let session = self.sessions.get(user)?;
        AuthClient::builder(self.transport.clone(), session).origin(&self.api).build()
    }

    /// Any caller, anywhere in the program: nobody has to pass a client around.
    async fn get(&self, user: &str) -> Result<StatusCode, Box<dyn StdError>> {
        let request = Request::get(format!("/api/{user}")).body(Body::empty())?;
        Ok(self.client(user)?.send(request).await?.status())
    }
}

/// Whose token a request carried: this server's tokens say of which sign-in they are, from 0.
fn owner(bearer: Option<&str>) -> &'static str {
    match bearer.and_then(|token| token.split('.').nth(1)) {
        Some("0") => "alice",
        Some("1") => "bob",
        _ => "nobody",
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let server = TestServer::start()?;
    let users = Users::new(&server);
    for user in ["alice", "bob"] {
        users.sessions.get(user)?.sign_in(server.issue()).await?;
    }

    server.expire_access_tokens();
    let calls = (0..10).map(|n| users.get(if n % 2 == 0 { "alice" } else { "bob" }));
    let answers = join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let carried: Vec<_> = server.log().into_iter().filter(|seen| seen.path().starts_with("/api/")).collect();
    let mixed = carried.iter().filter(|seen| !seen.path().ends_with(owner(seen.bearer.as_deref()))).count();
    println!(
        "both tokens expired: {} of 10 calls answered",
        answers.iter().filter(|status| status.is_success()).count()
    );
    println!("refreshes: {}, one for each", server.stats().refreshes_granted);
    println!("requests that carried the other's token: {mixed}");

    users.sessions.get("bob")?.sign_out().await?;
    println!("bob signs out");
    println!("  alice: {}", users.get("alice").await?);
    match users.get("bob").await {
        Err(error) => println!("  bob: {error}"),
        Ok(status) => return Err(format!("bob is still served: {status}").into()),
    }
    Ok(())
}
