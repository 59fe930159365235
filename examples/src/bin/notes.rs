//! An SDK in use, over an HTTP library that is chosen at run time: `notes [BACKEND…]`.
#![allow(clippy::print_stdout, reason = "a program for a person")]

use std::error::Error as StdError;
use std::sync::Arc;

use auth_core::{Body, Transport};
use auth_isahc::IsahcTransport;
use auth_reqwest::{ReqwestTransport, TokioRuntime};
use auth_testkit::server::TestServer;
use futures::StreamExt as _;
use futures::channel::mpsc::unbounded;
use futures::future::{join, try_join_all};
use futures::stream;
use notes_sdk::testing::Shelf;
use notes_sdk::{Error, NewNote, Notes};

type Backend = (&'static str, fn() -> Arc<dyn Transport>);

/// The one place that names HTTP libraries.
const BACKENDS: &[Backend] = &[
    ("reqwest", || Arc::new(ReqwestTransport::default())),
    ("isahc", || Arc::new(IsahcTransport::default())),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known: Vec<&str> = BACKENDS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = wanted.iter().find(|wanted| !known.contains(&wanted.as_str())) {
        return Err(format!("{unknown} is no backend; there are: {}", known.join(", ")).into());
    }
    for (name, transport) in BACKENDS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            println!("over {name}:");
            show(transport()).await?;
        }
    }
    Ok(())
}

async fn show(transport: Arc<dyn Transport>) -> Result<(), Box<dyn StdError>> {
    let server = TestServer::start()?;
    let (tell, mut told) = unbounded();
    // The test server knows tokens, and no notes: a shelf in memory serves what it lets through.
    let notes = Notes::builder(Shelf::new(transport))
        .service(format!("{}/api", server.base_url()))
        .login(server.base_url())
        .runtime(TokioRuntime::current())
        // In JavaScript this was `location.href = '/logout'`. Nobody listens: nobody is there to be sent away.
        .on_session_ended(move |ended| drop(tell.unbounded_send(ended.reason)))
        .build()?;
    // What a login page would have given.
    notes.sign_in(server.issue()).await?;

    let milk = NewNote { title: "Milk".into(), text: "Two bottles".into() };
    let note = notes.create(&milk).await?;
    println!("  made note {}: {}", note.id, note.title);

    server.expire_access_tokens();
    // So that all eight are on their way before the first is rejected.
    server.hold_api();
    let all_sent = async {
        server.when(|stats| stats.api_held == 8).await;
        server.release_api();
    };
    let (answers, ()) = join(try_join_all((0..8).map(|_| notes.get(note.id))), all_sent).await;
    let (calls, stats) = (answers?.len(), server.stats());
    println!(
        "  the token expired: calls rejected: {}, refreshes: {}",
        stats.unauthorized, stats.token_requests
    );
    println!("  calls answered: {calls}");

    server.expire_access_tokens();
    let photo =
        Body::replayable(|| stream::iter(["a photo, ", "chunk by chunk"].map(Ok::<_, std::io::Error>)));
    let attached = notes.attach(note.id, photo).await?;
    println!("  it expired again: {} bytes were streamed a second time", attached.bytes);

    notes.delete(note.id).await?;
    match notes.get(note.id).await {
        Err(Error::NotFound) => println!("  deleted, and so not found"),
        other => return Err(format!("it is still there: {other:?}").into()),
    }

    server.expire_access_tokens();
    server.revoke_refresh_tokens();
    match notes.list().await {
        Err(error @ Error::SignIn { .. }) => println!("  the server ended the session: {error}"),
        other => return Err(format!("nobody has noticed: {other:?}").into()),
    }
    let reason = told.next().await.ok_or("the hook was not told")?;
    println!("  the hook goes to the login page: {reason}");
    Ok(())
}
