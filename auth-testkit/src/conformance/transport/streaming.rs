//! Bodies move as they are produced, both ways.

use futures::future::join;

use super::world::{World, fed, next};
use crate::conformance::clause::{KEPT, Verdict, ensure};

pub(super) async fn head_first(world: &World) -> Verdict {
    // The server answers an echo at once, with a body that is what it is fed: nothing, so far.
    let (feed, nothing) = fed();

    let response = world.send(world.request("POST", &world.server.api("/echo"), nothing)).await?;

    ensure!(response.status() == 200, "it was answered with {}", response.status());
    drop(feed);
    world.read(response).await?;
    KEPT
}

pub(super) async fn chunks_down(world: &World) -> Verdict {
    let response = world.send(world.request("GET", &world.server.api("/stream?chunks=2"), ())).await?;
    let mut body = response.into_body();

    world.stage("waiting for the first chunk of a response");
    let first = next(&mut body).await?;
    ensure!(first.as_deref() == Some(b"chunk 0\n"), "the first chunk is {first:?}");
    let sent = world.server.stats().chunks;
    ensure!(sent == 1, "the first chunk came when {sent} had been sent");

    world.server.let_chunks_out(1);
    world.stage("waiting for the second chunk of a response");
    let second = next(&mut body).await?;
    ensure!(second.as_deref() == Some(b"chunk 1\n"), "the second chunk is {second:?}");
    let end = next(&mut body).await?;
    ensure!(end.is_none(), "after the last chunk comes {end:?}");
    KEPT
}

pub(super) async fn chunks_up(world: &World) -> Verdict {
    let (feed, body) = fed();
    let produced = async {
        let _ = feed.unbounded_send(Ok("first".into()));
        world.server.when(|stats| stats.body_bytes == 5).await;
        let _ = feed.unbounded_send(Ok("second".into()));
        drop(feed);
    };
    world.stage("waiting for the first chunk of a request to arrive, the second not produced yet");
    let sending = world.transport.send(world.notes("POST", body));

    let (answer, ()) = join(sending, produced).await;

    let response = answer.map_err(|error| format!("a request in two chunks failed: {error:?}"))?;
    world.read(response).await?;
    let arrived = world.seen()?.body_length;
    ensure!(arrived == 11, "of 11 bytes in two chunks arrived {arrived}");
    KEPT
}

/// The rest of a request is sent when its response has begun.
pub(super) async fn both_ways(world: &World) -> Verdict {
    let (feed, body) = fed();
    feed.unbounded_send(Ok("first".into())).map_err(|error| error.to_string())?;
    let mut echoed = world.send(world.request("POST", &world.server.api("/echo"), body)).await?.into_body();

    world.stage("waiting for the first chunk of a request to come back, the second not produced yet");
    let first = next(&mut echoed).await?;
    ensure!(first.as_deref() == Some(b"first"), "the first chunk came back as {first:?}");

    feed.unbounded_send(Ok("second".into())).map_err(|error| error.to_string())?;
    world.stage("waiting for the second chunk of a request to come back");
    let second = next(&mut echoed).await?;
    ensure!(second.as_deref() == Some(b"second"), "the second chunk came back as {second:?}");
    drop(feed);
    let end = next(&mut echoed).await?;
    ensure!(end.is_none(), "after the last chunk comes {end:?}");
    KEPT
}
