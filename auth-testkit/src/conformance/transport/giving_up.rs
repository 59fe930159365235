//! A request that is given up, at each of its stages.

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{Either, select};
use futures::{StreamExt as _, stream};

use auth_core::Body;
use http::{Request, Version};

use super::world::{World, fed};
use crate::conformance::clause::{KEPT, Verdict};
use crate::server::Stats;

pub(super) async fn abandons_sending(world: &World) -> Verdict {
    let (head, _) = world.exchange(world.notes("GET", ())).await?;
    let (feed, body) = fed();
    feed.unbounded_send(Ok("first".into())).map_err(|error| error.to_string())?;
    until(world, world.notes("POST", body), |stats| stats.body_bytes == 5).await?;
    if head.version() == Version::HTTP_2 {
        // The connection stays, and the server does not count streams.
        return KEPT;
    }

    world.when("that a request is given up half-way", |stats| stats.open_connections == 0).await;
    KEPT
}

pub(super) async fn abandons_waiting(world: &World) -> Verdict {
    world.server.hold_api();
    until(world, world.notes("GET", ()), |stats| stats.api_held == 1).await?;

    world.when("that a request is given up while its answer waits", |stats| stats.api_held == 0).await;
    KEPT
}

pub(super) async fn releases_the_body(world: &World) -> Verdict {
    let (held, released) = oneshot::channel::<()>();
    let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"first"))]);
    let rest = stream::pending().map(move |never| {
        let _ = &held;
        never
    });
    let request = world.notes("POST", Body::stream(begun.chain(rest)));
    until(world, request, |stats| stats.body_bytes == 5).await?;

    world.stage("waiting for the body of a request that was given up to be dropped");
    let _ = released.await;
    KEPT
}

pub(super) async fn drops_a_silent_response(world: &World) -> Verdict {
    let response = world.send(world.request("GET", &world.server.api("/stream?chunks=2"), ())).await?;
    if response.version() == Version::HTTP_2 {
        return KEPT;
    }

    drop(response);

    world.when("that a response is dropped while it is silent", |stats| stats.open_connections == 0).await;
    KEPT
}

pub(super) async fn drops_a_response(world: &World) -> Verdict {
    let response = world.send(world.request("GET", &world.server.api("/stream?chunks=1000000"), ())).await?;
    if response.version() == Version::HTTP_2 {
        return KEPT;
    }

    drop(response);
    world.server.let_chunks_out(1_000);

    world.when("that a response is dropped", |stats| stats.open_connections == 0).await;
    KEPT
}

/// Sends until the server has seen enough, and gives up.
async fn until(world: &World, request: Request<Body>, enough: impl Fn(&Stats) -> bool) -> Verdict {
    world.stage("waiting for a request to arrive");
    let sending = world.transport.send(request);
    match select(sending, world.server.when(enough)).await {
        Either::Left((answer, _)) => Err(format!("it ended before it was given up: {answer:?}")),
        Either::Right(_) => KEPT,
    }
}
