//! The world of a model: its tasks, and a time that moves only when nobody can go on.
//!
//! A task is *quiet* when its last poll was pending and nobody has woken it since. Once all are, whoever still waits has been
//! forgotten, or waits for time. The bookkeeping is behind the standard library's own mutex, so that the model checker sees
//! nothing of it.

mod clockwork;
mod task;

pub(super) use clockwork::Clockwork;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::{AbortHandle, abortable, poll_fn};
use shuttle::rand::{Rng as _, thread_rng};

use self::clockwork::Sleep;
use self::task::Task;
use crate::BoxFuture;
use crate::sync::{AtomicU64, Ordering};

pub(super) struct World {
    facts: Mutex<Facts>,
    points: AtomicU64,
}

#[derive(Default)]
struct Facts {
    now: Duration,
    /// Tasks that are there, and those of them that can go on.
    alive: usize,
    busy: usize,
    /// Those who must settle, by name.
    callers: BTreeMap<u64, String>,
    timers: BTreeMap<(Duration, u64), Waker>,
    /// Whoever waits for all to be quiet.
    watching: Option<Waker>,
    /// The first thing that was not as it must be. Kept and told at the end: a panic in a refresher, say, would be contained.
    wrong: Option<String>,
    /// The runtime's tasks, for its end.
    tasks: Vec<AbortHandle>,
    shut_down: bool,
    /// Which runtime tasks are spawned on, from which on runtimes are driven, and the tasks of those that are not.
    runtime: u64,
    driven: u64,
    parked: Vec<Waker>,
    next: u64,
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { facts: Mutex::default(), points: AtomicU64::new(0) })
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This must hold.
    pub(super) fn claim(&self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.facts().wrong.get_or_insert_with(otherwise);
        }
    }

    /// Somebody who must settle.
    pub(super) fn caller(
        self: &Arc<Self>,
        name: impl Into<String>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let number = self.number();
        self.facts().callers.insert(number, name.into());
        let gone = Gone { world: Arc::clone(self), number };
        self.task(Box::pin(async move {
            let _gone = gone;
            future.await;
        }));
    }

    /// The same, but it is dropped at any time.
    pub(super) fn passer_by(
        self: &Arc<Self>,
        name: impl Into<String>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let (future, handle) = abortable(future);
        self.caller(name, async move {
            let _ = future.await;
        });
        self.task(Box::pin(async move {
            sometime().await;
            handle.abort();
        }));
    }

    /// A task of its own, as good as a thread.
    pub(super) fn task(self: &Arc<Self>, future: BoxFuture<'static, ()>) {
        let mut facts = self.facts();
        facts.alive += 1;
        facts.busy += 1;
        drop(facts);
        drop(shuttle::future::spawn(Task::new(self, future)));
    }

    /// Nobody can go on, and nobody needed time for that: all callers have settled.
    pub(super) fn settle(&self) {
        self.quiet();
        let facts = self.facts();
        let hanging: Vec<_> = facts.callers.values().cloned().collect();
        drop(facts);
        assert!(hanging.is_empty(), "nobody has woken {hanging:?}");
    }

    /// The same, but time may pass.
    pub(super) fn settle_in_time(&self) {
        self.quiet();
        while !self.facts().callers.is_empty() {
            let passed = self.pass();
            assert!(passed, "no time will wake {:?}", self.facts().callers);
            self.quiet();
        }
    }

    /// Until the last task has ended.
    pub(super) fn wind_down(&self) {
        self.quiet();
        while self.facts().alive > 0 {
            let passed = self.pass();
            assert!(passed, "{} tasks never end", self.facts().alive);
            self.quiet();
        }
    }

    /// Lets everybody go on for as long as they can.
    pub(super) fn quiet(&self) {
        shuttle::future::block_on(poll_fn(|cx| {
            let mut facts = self.facts();
            if facts.busy == 0 {
                return Poll::Ready(());
            }
            facts.watching = Some(cx.waker().clone());
            Poll::Pending
        }));
        let wrong = self.facts().wrong.take();
        if let Some(wrong) = wrong {
            panic!("{wrong}");
        }
    }

    /// Moves the time to the next timer. Whether there was one.
    fn pass(&self) -> bool {
        let due = {
            let mut facts = self.facts();
            let Some((&(at, _), _)) = facts.timers.first_key_value() else { return false };
            facts.now = at;
            let later = facts.timers.split_off(&(at, u64::MAX));
            std::mem::replace(&mut facts.timers, later)
        };
        due.into_values().for_each(Waker::wake);
        true
    }

    /// Nobody drives the runtime any more: its tasks are there, and nobody polls them.
    pub(super) fn forsake(&self) {
        self.facts().driven = u64::MAX;
    }

    /// The same, but there is another runtime for what is spawned from now on.
    pub(super) fn change_runtime(&self) {
        let mut facts = self.facts();
        facts.runtime += 1;
        facts.driven = facts.runtime;
    }

    /// All runtimes are driven again.
    pub(super) fn resume(&self) {
        let parked = {
            let mut facts = self.facts();
            facts.driven = 0;
            std::mem::take(&mut facts.parked)
        };
        parked.into_iter().for_each(Waker::wake);
    }

    pub(super) fn has_changed_runtime(&self) -> bool {
        self.facts().runtime > 0
    }

    /// Whether a runtime has ended, or is not driven.
    pub(super) fn misses_a_runtime(&self) -> bool {
        let facts = self.facts();
        facts.shut_down || facts.driven > 0
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.facts().now
    }

    /// Lets so much time pass.
    pub(super) fn wait(self: &Arc<Self>, duration: Duration) {
        let sleep = self.sleep(duration);
        self.caller("time", sleep);
        self.settle_in_time();
    }

    pub(super) fn sleep(self: &Arc<Self>, duration: Duration) -> BoxFuture<'static, ()> {
        let mut facts = self.facts();
        facts.next += 1;
        let key = (facts.now + duration, facts.next);
        Box::pin(Sleep { world: Arc::clone(self), key })
    }

    /// A point at which the scheduler may let others go on, within a poll.
    pub(super) fn others_may_go_on(&self) {
        self.points.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn number(&self) -> u64 {
        let mut facts = self.facts();
        facts.next += 1;
        facts.next
    }

    /// The runtime ends: its tasks are dropped, and so is whatever is spawned later.
    pub(super) fn shut_down(&self) {
        let tasks = {
            let mut facts = self.facts();
            facts.shut_down = true;
            std::mem::take(&mut facts.tasks)
        };
        tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Something that takes its time: others go on meanwhile, or not.
pub(super) async fn a_while() {
    for _ in 0..chance(4) {
        pause().await;
    }
}

/// Not done at the first poll. No yield: that would tell PCT to prefer all others, also those it has chosen to stand still.
async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// At any time: early, or after much has happened.
pub(super) async fn sometime() {
    let last = [4, 16, 64][chance(3) as usize];
    for _ in 0..chance(last) {
        shuttle::future::yield_now().await;
    }
}

/// A number from 0 to below `end`, chosen by the scheduler.
pub(super) fn chance(end: u64) -> u64 {
    thread_rng().gen_range(0..end)
}

/// Whatever happens to a caller, it has settled once its task is gone.
struct Gone {
    world: Arc<World>,
    number: u64,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.world.facts().callers.remove(&self.number);
    }
}
