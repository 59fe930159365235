//! Sleeps: none too short, none without end, wherever they are polled, and whatever becomes of them.

use std::sync::Arc;
use std::time::Duration;

use auth_core::Runtime;
use futures::future::join_all;

use super::world::{World, is_done};
use crate::conformance::clause::{KEPT, Verdict, ensure};

const SHORT: Duration = Duration::from_millis(5);

pub(super) async fn sleep(world: &World) -> Verdict {
    let durations = [0, 1, 999, 1_000_000, 4_999_999, 20_000_000].map(Duration::from_nanos);
    for duration in durations {
        let slept = world.wait(&format!("a sleep of {duration:?}"), timed(&*world.runtime, duration)).await;
        ensure!(slept >= duration, "a sleep of {duration:?} ended when elapsed had grown by {slept:?}");
    }
    KEPT
}

/// How much `elapsed` grows in a sleep.
async fn timed(runtime: &dyn Runtime, duration: Duration) -> Duration {
    let start = runtime.elapsed();
    runtime.sleep(duration).await;
    runtime.elapsed().saturating_sub(start)
}

pub(super) async fn long_sleeps(world: &World) -> Verdict {
    let longest = [
        Duration::MAX,
        Duration::from_secs(u64::MAX),
        Duration::from_secs(i64::MAX.unsigned_abs()),
        Duration::from_millis(u64::MAX),
        Duration::from_nanos(u64::MAX),
        Duration::from_secs(u64::from(u32::MAX) + 1),
        // Just above what counts milliseconds in 32 bits.
        Duration::from_millis(u64::from(u32::MAX) + 1),
    ];
    let mut sleeps = Vec::new();
    for duration in longest {
        world.stage(format!("making a sleep of {duration:?} and polling it"));
        sleeps.push((duration, world.runtime.sleep(duration)));
    }

    for _ in 0..2 {
        for (duration, sleep) in &mut sleeps {
            world.stage(format!("polling a sleep of {duration:?}"));
            ensure!(!is_done(sleep).await, "a sleep of {duration:?} has ended");
        }
        world.sleep(SHORT).await;
    }
    KEPT
}

pub(super) async fn many_sleeps(world: &World) -> Verdict {
    let durations = (0..200).map(|number| Duration::from_micros(number * 7_919 % 10_000));
    let here = durations.clone().map(|duration| timed(&*world.runtime, duration));
    let in_tasks = durations.clone().map(|duration| {
        let runtime = Arc::clone(&world.runtime);
        world.spawn(async move { timed(&*runtime, duration).await })
    });
    let (here, in_tasks) = (join_all(here), join_all(in_tasks.collect::<Vec<_>>()));

    let here = world.wait("two hundred sleeps at a time", here).await;
    let in_tasks = world.wait("two hundred tasks that sleep", in_tasks).await;

    for ((duration, here), in_task) in durations.zip(here).zip(in_tasks) {
        let in_task = in_task.map_err(|_| format!("a task that sleeps for {duration:?} was dropped"))?;
        for slept in [here, in_task] {
            ensure!(slept >= duration, "a sleep of {duration:?} ended when elapsed had grown by {slept:?}");
        }
    }
    KEPT
}

pub(super) async fn dropped_sleeps(world: &World) -> Verdict {
    let mut kept = world.runtime.sleep(SHORT);
    let mut dropped = [SHORT, SHORT / 2, SHORT * 2, Duration::MAX].map(|limit| world.runtime.sleep(limit));
    let unpolled = world.runtime.sleep(SHORT);
    is_done(&mut kept).await;
    for sleep in &mut dropped {
        is_done(sleep).await;
    }

    world.stage("dropping sleeps");
    drop((dropped, unpolled));

    world.wait("a sleep beside some that were dropped", kept).await;
    world.wait("a sleep after some that were dropped", world.runtime.sleep(SHORT)).await;
    KEPT
}

/// On a thread without a runtime; and first polled here, then there.
pub(super) async fn sleeps_anywhere(world: &World) -> Verdict {
    let slept = world
        .on_a_thread("a sleep on a thread outside of the runtime", |runtime| {
            futures::executor::block_on(timed(&**runtime, SHORT))
        })
        .await?;
    ensure!(slept >= SHORT, "outside, a sleep of {SHORT:?} ended when elapsed had grown by {slept:?}");

    let mut begun = world.runtime.sleep(SHORT * 4);
    is_done(&mut begun).await;
    let what = "a sleep that was polled before on another thread";
    world.on_a_thread(what, |_| futures::executor::block_on(begun)).await?;

    let mut begun = world.runtime.sleep(SHORT * 4);
    is_done(&mut begun).await;
    world.done("a sleep that was polled before outside of its task", world.spawn(begun)).await
}
