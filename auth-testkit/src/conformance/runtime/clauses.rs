//! The clauses: their names, what the documentation of the trait says, and what tries it.

use super::world::World;
use super::{clocks, isolation, progress, reentry, shut_down, sleeps};
use crate::conformance::clause::{Clause, clause};

pub(super) type RuntimeClause = Clause<World, Asks>;

/// What a clause needs besides a runtime.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    ShutDown,
}

const PROGRESS: &str = "Progress. A spawned task is polled whenever it is woken, from whatever thread and whoever \
                        else waits, until it is done; then it is dropped.";
const BACKGROUND: &str = "Runs a task in the background.";
const ISOLATION: &str = "Isolation. A task that panics, while it is polled or while it is dropped, harms no other \
                         task, and not the runtime. It is dropped.";
const REENTRY: &str = "Reentry. Tasks spawn tasks, and so do their destructors.";
const ANYWHERE: &str = "Executors. Every method is called on any thread, and a sleep is polled by any executor, \
                        from any thread.";
const SHUTDOWN: &str = "Shutdown. A runtime that can no longer run a task drops it";
const NO_PANIC: &str = "No method panics; spawn in particular drops a task it cannot run.";
const MONOTONIC: &str = "Time. elapsed never goes back, on whatever thread it is read.";
const ALIKE: &str = "Between its jumps now advances as elapsed does.";
const NOT_EARLY: &str = "A sleep ends, and no earlier than elapsed has grown by its duration";
const LONG: &str = "however long the duration, it does not panic.";
const DROPPED: &str = "One that is dropped leaves the others as they were.";
const RANDOM: &str = "Random bits, for sign-in ids and jitter: others at each call.";

pub(super) const CLAUSES: &[RuntimeClause] = &[
    clause!(PROGRESS, progress::task),
    clause!(BACKGROUND, progress::background),
    clause!(PROGRESS, progress::own_wake_ups),
    clause!(PROGRESS, progress::wake_ups_from_threads),
    clause!(PROGRESS, progress::beside_waiting_ones),
    clause!(PROGRESS, progress::many),
    clause!(PROGRESS, progress::done_is_dropped),
    clause!(ISOLATION, isolation::panics),
    clause!(ISOLATION, isolation::late_panics),
    clause!(ISOLATION, isolation::panicking_destructors),
    clause!(ISOLATION, isolation::panicked_is_dropped),
    clause!(REENTRY, reentry::tasks_spawn),
    clause!(REENTRY, reentry::destructors_spawn),
    clause!(ANYWHERE, reentry::threads_spawn),
    clause!(MONOTONIC, clocks::elapsed),
    clause!(ALIKE, clocks::clocks),
    clause!(NOT_EARLY, sleeps::sleep),
    clause!(NOT_EARLY, sleeps::many_sleeps),
    clause!(LONG, sleeps::long_sleeps),
    clause!(DROPPED, sleeps::dropped_sleeps),
    clause!(ANYWHERE, sleeps::sleeps_anywhere),
    clause!(RANDOM, clocks::random),
    clause!(SHUTDOWN, shut_down::shut_down_drops, Asks::ShutDown),
    clause!(SHUTDOWN, shut_down::shut_down_destructors, Asks::ShutDown),
    clause!(NO_PANIC, shut_down::spawn_afterwards, Asks::ShutDown),
    clause!(NO_PANIC, shut_down::calls_afterwards, Asks::ShutDown),
];
