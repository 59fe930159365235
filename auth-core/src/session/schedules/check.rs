//! Checking: a model under two schedulers, and under one schedule again.
//!
//! - The random scheduler chooses at each point among all who can go on. PCT gives the tasks priorities and changes them at a few
//!   points: it finds what needs one task to stand still for long.
//! - Seeds are fixed, so that a run is repeatable. `AUTH_SHUTTLE_SEED` sets another, `AUTH_SHUTTLE_TIMES` multiplies the
//!   number of schedules (`just shuttle 100`).
//! - A schedule that fails is printed. With `AUTH_SHUTTLE_REPLAY` set to that text, the test whose it is runs it alone.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler, UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, MaxSteps, Runner};

use super::world::World;

/// How many priority changes PCT makes.
const DEPTHS: [usize; 2] = [2, 5];
/// What a model needs at most, by far: one that goes on for longer spins.
const STEPS: usize = 100_000;

/// Runs the model under `times` schedules of each scheduler.
pub(super) fn check(times: usize, model: impl Fn(&Arc<World>) + Send + Sync + 'static) {
    let model = Arc::new(move || {
        let world = World::new();
        model(&world);
        world.wind_down();
    });
    if let Ok(schedule) = std::env::var("AUTH_SHUTTLE_REPLAY") {
        run(&model, ReplayScheduler::new_from_encoded(&schedule));
        return;
    }
    let seed = number("AUTH_SHUTTLE_SEED").unwrap_or(2750);
    let times = times * number("AUTH_SHUTTLE_TIMES").map_or(1, |times| times as usize);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // First, so that whatever fails can be run again: nothing but the schedule decides.
        let twice = RandomScheduler::new_from_seed(seed, 5);
        run(&model, UncontrolledNondeterminismCheckScheduler::new(twice));
        run(&model, RandomScheduler::new_from_seed(seed, times));
        for depth in DEPTHS {
            run(&model, PctScheduler::new_from_seed(seed, depth, times / DEPTHS.len()));
        }
    }));
    if let Err(panic) = outcome {
        eprintln!("found with AUTH_SHUTTLE_SEED={seed} within {times} schedules; the schedule is above");
        resume_unwind(panic);
    }
}

fn run(model: &Arc<impl Fn() + Send + Sync + 'static>, scheduler: impl Scheduler + 'static) {
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    config.silence_warnings = true;
    let model = Arc::clone(model);
    Runner::new(scheduler, config).run(move || model());
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// What the other tests rely on: a waiter whom nobody wakes is found, and named.
#[test]
#[should_panic(expected = "nobody has woken [\"a waiter\"]")]
fn whoever_is_forgotten_is_found() {
    check(10, |world| {
        world.caller("a waiter", std::future::pending());
        world.settle();
    });
}
