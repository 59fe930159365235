//! Connections, and who works on them: one again and again, many at once, and from anywhere.

use std::sync::Arc;

use futures::channel::oneshot;
use futures::future::{Either, join, join_all, select};
use http::StatusCode;

use super::world::{World, bare};
use crate::conformance::clause::{KEPT, Verdict, ensure};

const MANY: u64 = 64;

pub(super) async fn used_again(world: &World) -> Verdict {
    for _ in 0..8 {
        world.exchange(bare("GET", &world.server.api("/notes"), ())).await?;
        world.exchange(world.notes("GET", ())).await?;
    }

    // A library may need a moment to put a connection back, and the next request may be faster. Not always.
    let log = world.server.log();
    let again = log.windows(2).any(|pair| {
        pair[0].status == Some(StatusCode::UNAUTHORIZED) && pair[0].connection == pair[1].connection
    });
    ensure!(again, "no connection was used after a 401: {log:?}");
    KEPT
}

pub(super) async fn many(world: &World) -> Verdict {
    world.server.hold_api();
    let sending = join_all((0..MANY).map(|_| world.transport.send(world.notes("GET", ()))));
    world.stage(format!("waiting for {MANY} requests to be under way at a time"));
    let held = async {
        world.server.when(|stats| stats.api_held == MANY).await;
        world.server.release_api();
    };

    let (answers, ()) = join(sending, held).await;

    for answer in answers {
        let response = answer.map_err(|error| format!("one of {MANY} at a time failed: {error:?}"))?;
        ensure!(response.status() == 200, "one of {MANY} at a time was answered with {}", response.status());
        world.read(response).await?;
    }
    KEPT
}

/// On a bare thread, without any runtime but what the transport brings; and begun on one thread, ended on another.
pub(super) async fn executors(world: &World) -> Verdict {
    let (done, wait) = oneshot::channel();
    let transport = Arc::clone(&world.transport);
    let (first, second) = (world.notes("GET", ()), world.notes("POST", "text"));
    world.server.hold_api();
    let held = world.server.when(|stats| stats.api_held == 1);
    world.stage("waiting for a request from a bare thread to arrive");
    let begin = move || {
        let mut sending = {
            let transport = Arc::clone(&transport);
            Box::pin(async move { transport.send(first).await })
        };
        let arrived = futures::executor::block_on(async {
            match select(&mut sending, held).await {
                Either::Left((answer, _)) => Err(format!("it ended while it was held: {answer:?}")),
                Either::Right(_) => Ok(()),
            }
        });
        let _ = done.send(arrived.map(|()| (sending, transport)));
    };
    on_a_thread(begin)?;
    let ended = "a bare thread ended early: the transport panicked";
    let (sending, transport) = wait.await.map_err(|_| ended.to_owned())??;

    let (done, wait) = oneshot::channel();
    world.stage("waiting for a response on another thread");
    let end = move || {
        let answers = futures::executor::block_on(async {
            Ok((sending.await?, transport.send(second).await?.into_body().bytes().await))
        });
        let _ = done.send(answers);
    };
    on_a_thread(end)?;
    world.server.release_api();
    let answers: Result<_, auth_core::TransportError> = wait.await.map_err(|_| ended.to_owned())?;
    let (response, read) = answers.map_err(|error| format!("on another thread it failed: {error:?}"))?;
    ensure!(response.status() == 200, "on another thread it was answered with {}", response.status());
    ensure!(read.is_ok(), "a response read on a bare thread broke off: {read:?}");
    KEPT
}

fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Verdict {
    let started = std::thread::Builder::new().spawn(work);
    started.map(drop).map_err(|error| format!("no thread could be started: {error}"))
}
