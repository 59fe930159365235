//! A request whose answer is lost was sent once, also on a connection that was used before.

use auth_core::Body;
use bytes::Bytes;

use super::world::{World, pieces};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::server::ApiAnswer;

pub(super) async fn once_unsafe(world: &World) -> Verdict {
    let bytes = Bytes::from_static(b"text");
    for (method, kind) in [
        ("POST", "bytes"),
        ("POST", "nothing"),
        ("PATCH", "a stream"),
        ("PUT", "bytes"),
        ("DELETE", "nothing"),
    ] {
        for used in [false, true] {
            let body = match kind {
                "bytes" => Body::from(bytes.clone()),
                "a stream" => Body::stream(pieces(&bytes)),
                _ => Body::empty(),
            };
            lost(world, method, kind, body, used).await?;
        }
    }
    KEPT
}

pub(super) async fn once_safe(world: &World) -> Verdict {
    for method in ["GET", "HEAD", "OPTIONS"] {
        for used in [false, true] {
            lost(world, method, "nothing", Body::empty(), used).await?;
        }
    }
    KEPT
}

/// Libraries like to send again where the connection was used before: it may have been closed meanwhile.
async fn lost(world: &World, method: &str, kind: &str, body: Body, used: bool) -> Verdict {
    if used {
        world.exchange(world.notes("GET", ())).await?;
    }
    world.server.next_api_answers([ApiAnswer::Lost]);
    let before = world.server.stats().api_requests;

    world.stage(format!("waiting for a {method} of {kind} to fail"));
    let result = world.transport.send(world.notes(method, body)).await;

    let times = world.server.stats().api_requests - before;
    let on = if used { " on a used connection" } else { "" };
    ensure!(times == 1, "the answer to a {method} of {kind} was lost{on}, and it was sent {times} times");
    match result {
        Ok(response) => Err(format!("the answer to a {method} was lost, and is {}", response.status())),
        Err(error) if !error.is_maybe_sent() => Err(format!("it was sent, and may not have been: {error:?}")),
        Err(_) => KEPT,
    }
}
