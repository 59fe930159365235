//! How do I act for two users at once? Two sessions, one transport: connections are shared, identities are not.
#![allow(clippy::print_stdout, reason = "a program for a person")]

use std::error::Error as StdError;

use auth_core::{AuthClient, Body, Error, Session};
use auth_reqwest::{ReqwestTransport, TokioRuntime};
use auth_testkit::server::TestServer;
use futures::future::join_all;
use http::{Request, StatusCode};

type Client = AuthClient<ReqwestTransport>;

/// A session for each identity: it has its own tokens, its own refresh and its own end. In a service with many tenants,
/// keep these in a map and make one where there is none.
fn tenant(server: &TestServer, transport: &ReqwestTransport) -> Result<Client, Error> {
    let session = Session::builder(examples::login(server)).runtime(TokioRuntime::current()).build();
    AuthClient::builder(transport.clone(), session).origin(server.base_url()).build()
}

async fn get(client: &Client, path: &str) -> Result<StatusCode, Box<dyn StdError>> {
    Ok(client.send(Request::get(path).body(Body::empty())?).await?.status())
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
    let (server, transport) = (TestServer::start()?, ReqwestTransport::default());
    let (alice, bob) = (tenant(&server, &transport)?, tenant(&server, &transport)?);
    alice.session().sign_in(server.issue()).await?;
    bob.session().sign_in(server.issue()).await?;

    server.expire_access_tokens();
    let calls = (0..10).map(|n| if n % 2 == 0 { get(&alice, "/api/alice") } else { get(&bob, "/api/bob") });
    let answers = join_all(calls).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let carried: Vec<_> = server.log().into_iter().filter(|seen| seen.path().starts_with("/api/")).collect();
    let mixed = carried.iter().filter(|seen| !seen.path().ends_with(owner(seen.bearer.as_deref()))).count();
    println!(
        "both tokens expired: {} of 10 calls answered",
        answers.iter().filter(|status| status.is_success()).count()
    );
    println!("refreshes: {}, one for each", server.stats().refreshes_granted);
    println!("requests that carried the other's token: {mixed}");

    bob.session().sign_out().await?;
    println!("bob signs out");
    println!("  alice: {}", get(&alice, "/api/alice").await?);
    match get(&bob, "/api/bob").await {
        Err(error) => println!("  bob: {error}"),
        Ok(status) => return Err(format!("bob is still served: {status}").into()),
    }
    Ok(())
}
