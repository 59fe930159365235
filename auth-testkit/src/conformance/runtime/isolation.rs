//! A task that panics ends alone.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::oneshot;
use futures::future::join_all;

use super::world::{OnDrop, Ready, World, panic_quietly};
use crate::conformance::clause::{KEPT, Verdict, ensure};

/// More than any pool has threads to lose.
const MANY: usize = 64;

pub(super) async fn panics(world: &World) -> Verdict {
    beside(world, "while they are polled", || Box::pin(async { panic_quietly() })).await
}

/// Not at the first poll, and not on the thread that spawned it.
pub(super) async fn late_panics(world: &World) -> Verdict {
    let later = || {
        let mut polled = false;
        std::future::poll_fn(move |cx: &mut Context<'_>| -> Poll<()> {
            if polled {
                panic_quietly();
            }
            polled = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    };
    beside(world, "when they are polled again", || Box::pin(later())).await
}

pub(super) async fn panicking_destructors(world: &World) -> Verdict {
    beside(world, "when they are dropped", || Box::pin(Ready { _held: OnDrop::new(|| panic_quietly()) }))
        .await
}

/// Others that were there before, and others that come after.
async fn beside(
    world: &World,
    when: &str,
    panicking: impl Fn() -> Pin<Box<dyn Future<Output = ()> + Send>>,
) -> Verdict {
    let (signals, before): (Vec<_>, Vec<_>) = (0..MANY)
        .map(|_| {
            let (signal, wait) = oneshot::channel::<()>();
            (signal, world.spawn(wait))
        })
        .unzip();
    world.settled().await?;

    world.stage(format!("spawning tasks that panic {when}"));
    for _ in 0..MANY {
        world.runtime.spawn(panicking());
    }

    // One by one, so that the last comes when all those are over.
    for _ in 0..MANY {
        world.done(&format!("a task after some that panic {when}"), world.spawn(async {})).await?;
    }

    drop(signals);
    let before = world.wait(&format!("tasks beside some that panic {when}"), join_all(before)).await;
    let harmed = before.iter().filter(|ran| ran.is_err()).count();
    ensure!(harmed == 0, "{MANY} tasks panic {when}, and of {MANY} beside them {harmed} are lost");
    KEPT
}

/// What waits for a task learns from its destructor that it panicked.
pub(super) async fn panicked_is_dropped(world: &World) -> Verdict {
    let (gone, dropped) = oneshot::channel();
    let held = OnDrop::new(move || _ = gone.send(()));
    world.runtime.spawn(Box::pin(std::future::poll_fn(move |_| {
        let _ = &held;
        panic_quietly()
    })));

    world.done("a task that panicked to be dropped", dropped).await
}
