//! The two clocks, compared with themselves and with each other; and random bits.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::world::World;
use crate::conformance::clause::{KEPT, Verdict, ensure};

pub(super) async fn elapsed(world: &World) -> Verdict {
    // A clock that begins anew on each thread begins behind this.
    world.sleep(Duration::from_millis(2)).await;

    let mut last = world.runtime.elapsed();
    for _ in 0..10_000 {
        let now = world.runtime.elapsed();
        ensure!(now >= last, "it was {last:?}, and then {now:?}");
        last = now;
    }
    for _ in 0..4 {
        let there = world.on_a_thread("elapsed on another thread", |runtime| runtime.elapsed()).await?;
        ensure!(there >= last, "it was {last:?}, and then, on another thread, {there:?}");
        last = world.runtime.elapsed();
        ensure!(last >= there, "it was {there:?} on another thread, and then, here, {last:?}");
    }
    KEPT
}

/// The wall clock may jump at any time, but will not at each.
pub(super) async fn clocks(world: &World) -> Verdict {
    let read = || {
        let before = world.runtime.elapsed();
        (before, world.runtime.now(), world.runtime.elapsed())
    };
    let mut seen = String::new();
    for _ in 0..8 {
        let (first, start, after) = read();
        world.sleep(Duration::from_millis(20)).await;
        let (before, end, last) = read();

        let (least, most) = (before.saturating_sub(after), last.saturating_sub(first));
        match step(start, end) {
            Ok(step) if step >= least / 2 && step <= most * 2 => return KEPT,
            Ok(step) => seen = format!("elapsed grew by {most:?}, and now advanced by {step:?}"),
            Err(back) => seen = format!("elapsed grew by {most:?}, and now went back by {back:?}"),
        }
    }
    Err(seen)
}

fn step(start: SystemTime, end: SystemTime) -> Result<Duration, Duration> {
    end.duration_since(start).map_err(|error| error.duration())
}

pub(super) async fn random(world: &World) -> Verdict {
    const DRAWS: usize = 64;

    let drawn: BTreeSet<u64> = (0..DRAWS).map(|_| world.runtime.random()).collect();

    ensure!(drawn.len() == DRAWS, "of {DRAWS} numbers {} were alike", DRAWS - drawn.len());
    KEPT
}
