//! What an error says.

use std::io;
use std::net::TcpListener;

use auth_core::{Body, TransportError};
use bytes::Bytes;

use super::world::{World, bare, fed, pieces};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::server::ApiAnswer;

pub(super) async fn refused(world: &World) -> Verdict {
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let closed = closed.map_err(|error| format!("no port could be had: {error}"))?;

    for method in ["GET", "POST"] {
        let error = world.fail(bare(method, &format!("http://{closed}/"), ())).await?;

        says("a connection that is refused", &error, [true, false, false, false])?;
    }
    KEPT
}

pub(super) async fn lost(world: &World) -> Verdict {
    world.server.next_api_answers([ApiAnswer::Lost]);

    let error = world.fail(world.notes("POST", "text")).await?;

    says("an answer that is lost", &error, [false, false, true, false])
}

pub(super) async fn timeout(world: &World) -> Verdict {
    world.server.hold_api();

    let error = world.fail(world.notes("POST", "text")).await?;

    says("an answer that does not come in time", &error, [false, true, true, false])
}

pub(super) async fn own_body(world: &World) -> Verdict {
    for early in [true, false] {
        let (feed, body) = fed();
        let gone = || Err(io::Error::other("the disk is gone"));
        let failing = async {
            if !early {
                let _ = feed.unbounded_send(Ok("first".into()));
                world.server.when(|stats| stats.body_bytes == 5).await;
            }
            let _ = feed.unbounded_send(gone());
        };

        let (error, ()) = futures::future::join(world.fail(world.notes("POST", body)), failing).await;

        let error = error?;
        ensure!(error.is_body(), "the request's body failed, and the error does not say so: {error:?}");
        ensure!(!error.is_connect(), "the request's body failed, and the connection is blamed: {error:?}");
        if !early {
            ensure!(error.is_maybe_sent(), "part of the request was sent: {error:?}");
        }
    }
    KEPT
}

/// A stream that yields less than was told, or more.
pub(super) async fn told_length(world: &World) -> Verdict {
    for told in [3, 5] {
        let body = Body::stream(pieces(&Bytes::from_static(b"text"))).with_length(told);

        let error = world.fail(world.notes("POST", body)).await?;

        ensure!(error.is_body(), "a body of 4 bytes was told to be of {told}, and the error is {error:?}");
    }
    KEPT
}

pub(super) async fn truncated(world: &World) -> Verdict {
    world.server.next_api_answers([ApiAnswer::Truncated]);

    let response = world.send(world.notes("GET", ())).await?;

    world.stage("reading a response that breaks off");
    let read = response.into_body().bytes().await;
    ensure!(read.is_err(), "half of a response was taken for the whole: {read:?}");
    KEPT
}

fn says(what: &str, error: &TransportError, expected: [bool; 4]) -> Verdict {
    let said = [error.is_connect(), error.is_timeout(), error.is_maybe_sent(), error.is_body()];
    let names = ["connect", "timeout", "maybe_sent", "body"];
    for ((name, said), expected) in names.into_iter().zip(said).zip(expected) {
        let not = if expected { "not " } else { "" };
        ensure!(said == expected, "{what} is {not}said to be {name}: {error:?}");
    }
    KEPT
}
