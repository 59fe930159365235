//! What becomes of tasks when the runtime ends, and of those that come after.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::channel::oneshot;

use super::world::{OnDrop, World, is_done, panic_quietly};
use crate::conformance::clause::{KEPT, Verdict};
use crate::lock::lock;

pub(super) async fn shut_down_drops(world: &World) -> Verdict {
    let (_never, wait) = oneshot::channel::<()>();
    let (waits, sleeps) = (world.spawn(wait), world.spawn(world.runtime.sleep(Duration::MAX)));
    world.settled().await?;

    world.shut_down();

    world.dropped("a task that waits when the runtime ends", waits).await?;
    world.dropped("a task that sleeps when the runtime ends", sleeps).await
}

pub(super) async fn spawn_afterwards(world: &World) -> Verdict {
    world.settled().await?;
    world.shut_down();

    for _ in 0..2 {
        world.stage("spawning a task after the runtime has ended");
        let task = world.spawn(std::future::pending::<()>());
        world.dropped("a task that is spawned after the runtime has ended", task).await?;
    }
    let what = "spawning on another thread after the runtime has ended";
    let task = world.on_a_thread(what, |runtime| {
        let (done, wait) = oneshot::channel::<()>();
        runtime.spawn(Box::pin(async move {
            std::future::pending::<()>().await;
            drop(done);
        }));
        wait
    });
    world.dropped("a task that is spawned by a thread after the runtime has ended", task.await?).await
}

/// What tasks hold may do anything when they are dropped.
pub(super) async fn shut_down_destructors(world: &World) -> Verdict {
    let waits = |held: Box<dyn FnOnce() + Send>| {
        let held = OnDrop::new(held);
        world.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        })
    };
    let (done, spawned) = oneshot::channel::<()>();
    let runtime = Arc::clone(&world.runtime);
    let tasks = [
        waits(Box::new(|| panic_quietly())),
        waits(Box::new(move || {
            runtime.spawn(Box::pin(async move {
                std::future::pending::<()>().await;
                drop(done);
            }));
        })),
        waits(Box::new(|| ())),
    ];
    world.settled().await?;

    world.shut_down();

    for task in tasks {
        world
            .dropped("one of three tasks, one of which panics and one of which spawns when dropped", task)
            .await?;
    }
    world.dropped("a task that is spawned when another is dropped as the runtime ends", spawned).await
}

pub(super) async fn calls_afterwards(world: &World) -> Verdict {
    let kept = Arc::new(Mutex::new(None::<Waker>));
    let keeps = Arc::clone(&kept);
    let task = world.spawn(std::future::poll_fn(move |cx| {
        *lock(&keeps) = Some(cx.waker().clone());
        Poll::<()>::Pending
    }));
    let mut begun = world.runtime.sleep(Duration::from_millis(1));
    is_done(&mut begun).await;
    world.settled().await?;
    world.shut_down();
    world.dropped("a task that waits when the runtime ends", task).await?;

    world.stage("waking a task that was dropped when the runtime ended");
    let waker = lock(&kept).take();
    if let Some(waker) = waker {
        waker.wake();
    }
    world.stage("reading the clocks after the runtime has ended");
    let _ = (world.runtime.now(), world.runtime.elapsed(), world.runtime.random());
    // Whether they end nobody asks.
    world.stage("polling sleeps after the runtime has ended");
    for mut sleep in [begun, world.runtime.sleep(Duration::ZERO), world.runtime.sleep(Duration::MAX)] {
        is_done(&mut sleep).await;
    }
    KEPT
}
