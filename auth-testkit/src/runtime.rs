//! `ManualRuntime`: virtual time and a single driver, the test's thread.

pub(crate) mod clock;
mod ready;
mod running;

pub use running::Running;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake as _, Waker};
use std::time::{Duration, SystemTime};

use auth_core::{BoxFuture, MaybeSend, Runtime};

use crate::lock::lock;
use clock::{Clock, Sleep};
use ready::{Ready, Wakeup, What};
use running::Started;

/// One call of a driving method polls at most this often: a storm of 100,000 requests fits in easily, and a task that
/// wakes itself for ever fails its test in seconds instead of hanging it.
const MOST_POLLS: u64 = 5_000_000;

/// A [`Runtime`] that does nothing by itself: the test polls its tasks and moves its clocks.
///
/// Clones are the same runtime. Give one to the part under test and keep one to drive it:
///
/// - [`run_until_stalled`](Self::run_until_stalled) polls what was woken; no time passes;
/// - [`advance`](Self::advance) lets time pass, instant by instant;
/// - [`block_on`](Self::block_on) does both until a future is done, and panics where nothing can go on.
///
/// Everything is deterministic: tasks are polled in the order in which they were woken, timers fire by deadline and
/// then by age, and [`random`](Runtime::random) is a sequence that its seed decides. Two runs are the same run. (What
/// other threads wake comes when it comes.)
///
/// The wall clock starts at 2026-01-01T00:00:00Z, `elapsed` at 1000 s. Both move together;
/// [`set_wall`](Self::set_wall) moves the wall clock alone.
///
/// A task that holds a clone of its own runtime and never ends keeps both alive, as long as nobody calls
/// [`shutdown`](Self::shutdown).
///
/// ```
/// use auth_core::Runtime;
/// use auth_testkit::ManualRuntime;
/// use std::time::Duration;
///
/// let runtime = ManualRuntime::new();
/// let before = runtime.elapsed();
///
/// runtime.block_on(runtime.sleep(Duration::from_secs(3600)));
///
/// assert_eq!(runtime.elapsed() - before, Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct ManualRuntime {
    shared: Arc<Shared>,
}

/// No lock of it is held while a task is polled, dropped or woken.
struct Shared {
    clock: Arc<Clock>,
    ready: Arc<Ready>,
    tasks: Mutex<Tasks>,
    panicked: AtomicUsize,
    random: AtomicU64,
}

#[derive(Default)]
struct Tasks {
    slots: BTreeMap<u64, Slot>,
    next: u64,
    shut_down: bool,
}

struct Slot {
    /// Away while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    wakeup: Arc<Wakeup>,
    owner: Owner,
    /// It came up in the queue while it was being polled: a driver within a driver met it.
    again: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Spawned by the part under test.
    Runtime,
    /// Started by the test.
    Test,
}

impl ManualRuntime {
    /// A runtime with its clocks at their start and no task.
    #[must_use]
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// As [`new`](Self::new), with another sequence of [`random`](Runtime::random) numbers.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock: Arc::new(Clock::new()),
                ready: Arc::default(),
                tasks: Mutex::default(),
                panicked: AtomicUsize::new(0),
                random: AtomicU64::new(seed),
            }),
        }
    }

    /// Polls the tasks that were woken, and those that they wake, until none is left. No time passes.
    ///
    /// # Panics
    ///
    /// After five million polls: a task wakes itself for ever.
    pub fn run_until_stalled(&self) {
        self.drain(&mut Budget::default());
    }

    /// Lets time pass: both clocks move forward by this duration, stopping at every timer on the way, where the tasks
    /// that it wakes run until they are stalled. What was woken before runs first, before any time passes.
    ///
    /// # Panics
    ///
    /// After five million polls.
    pub fn advance(&self, by: Duration) {
        let until = self.shared.clock.elapsed().saturating_add(by);
        let mut budget = Budget::default();
        loop {
            self.drain(&mut budget);
            if !self.shared.clock.fire_next(until) {
                break;
            }
        }
        self.shared.clock.reach(until);
    }

    /// Polls this future and all tasks until the future is done. Whenever everything is stalled, time jumps to the
    /// next timer. The future need not be `Send`, nor `'static`.
    ///
    /// Only this runtime's timers count: a future that waits for another thread is reported as stuck.
    ///
    /// # Panics
    ///
    /// Where nothing can go on: the future waits, no task is ready and no timer is set. And after five million polls.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let root = Root(Wakeup::new(What::Root, &self.shared.ready));
        let waker = Waker::from(Arc::clone(&root.0));
        Arc::clone(&root.0).wake();
        let mut budget = Budget::default();
        loop {
            match self.shared.ready.pop(Some(&root.0)) {
                Some(next) => match next.what {
                    What::Root => {
                        budget.spend();
                        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                            return output;
                        }
                    }
                    What::Task(id) => self.poll_task(id, &mut budget),
                },
                None if self.shared.clock.fire_next_ever() => {}
                None => panic!(
                    "nothing can go on: the future given to block_on waits, no task is ready, no timer is set \
                     ({} spawned tasks wait)",
                    self.tasks()
                ),
            }
        }
    }

    /// Begins a task of the test's own, to be driven with the others. It is first polled when the runtime is driven.
    ///
    /// It does not count among [`tasks`](Self::tasks) and outlives [`shutdown`](Self::shutdown).
    pub fn start<F>(&self, future: F) -> Running<F::Output>
    where
        F: Future + MaybeSend + 'static,
        F::Output: MaybeSend + 'static,
    {
        let (started, progress) = Started::new(future);
        let id = match self.insert(Box::pin(started), Owner::Test) {
            Ok(id) => id,
            Err(_) => unreachable!("only spawned tasks are refused"),
        };
        Running::new(progress, self.clone(), id)
    }

    /// Sets the wall clock alone: `elapsed` and the timers notice nothing.
    ///
    /// ```
    /// # use auth_core::Runtime;
    /// # use auth_testkit::ManualRuntime;
    /// # use std::time::Duration;
    /// let runtime = ManualRuntime::new();
    /// runtime.set_wall(runtime.now() - Duration::from_secs(7200));
    /// ```
    pub fn set_wall(&self, to: SystemTime) {
        self.shared.clock.set_wall(to);
    }

    /// From now on this runtime is dead for the part under test: every spawned task is dropped, and so is every later
    /// one, at once. The test's own tasks go on, and so do the clocks.
    pub fn shutdown(&self) {
        let spawned: BTreeMap<u64, Slot> = {
            let mut tasks = lock(&self.shared.tasks);
            tasks.shut_down = true;
            let all = std::mem::take(&mut tasks.slots);
            let (spawned, started) = all.into_iter().partition(|(_, slot)| slot.owner == Owner::Runtime);
            tasks.slots = started;
            spawned
        };
        for slot in spawned.into_values() {
            slot.wakeup.close();
            self.quietly(|| drop(slot));
        }
    }

    /// How many spawned tasks are alive. After the part under test is gone it should be none.
    #[must_use]
    pub fn tasks(&self) -> usize {
        lock(&self.shared.tasks).slots.values().filter(|slot| slot.owner == Owner::Runtime).count()
    }

    /// How many timers are set: sleeps that were polled and are neither done nor dropped.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.shared.clock.timers()
    }

    /// How many panics of spawned tasks were contained, those in their destructors included.
    #[must_use]
    pub fn panicked(&self) -> usize {
        self.shared.panicked.load(Ordering::Relaxed)
    }

    fn drain(&self, budget: &mut Budget) {
        while let Some(next) = self.shared.ready.pop(None) {
            if let What::Task(id) = next.what {
                self.poll_task(id, budget);
            }
        }
    }

    fn poll_task(&self, id: u64, budget: &mut Budget) {
        budget.spend();
        let (mut future, waker) = {
            let mut tasks = lock(&self.shared.tasks);
            let Some(slot) = tasks.slots.get_mut(&id) else { return };
            let Some(future) = slot.future.take() else {
                slot.again = true;
                return;
            };
            (future, Waker::from(Arc::clone(&slot.wakeup)))
        };
        let polled = self.quietly(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        let mut future = Some(future);
        if matches!(polled, Some(Poll::Pending)) {
            self.put_back(id, &mut future);
        } else {
            let slot = self.take_slot(id);
            self.quietly(|| drop(slot));
        }
        // Done; or it was cancelled or the runtime shut down while it was polled.
        self.quietly(|| drop(future));
    }

    /// Leaves the future where it is if its slot has gone.
    fn put_back(&self, id: u64, future: &mut Option<BoxFuture<'static, ()>>) {
        let again = {
            let mut tasks = lock(&self.shared.tasks);
            let Some(slot) = tasks.slots.get_mut(&id) else { return };
            slot.future = future.take();
            std::mem::take(&mut slot.again).then(|| Arc::clone(&slot.wakeup))
        };
        if let Some(again) = again {
            again.wake();
        }
    }

    fn insert(&self, future: BoxFuture<'static, ()>, owner: Owner) -> Result<u64, BoxFuture<'static, ()>> {
        let (id, wakeup) = {
            let mut tasks = lock(&self.shared.tasks);
            if tasks.shut_down && owner == Owner::Runtime {
                return Err(future);
            }
            let id = tasks.next;
            tasks.next += 1;
            let wakeup = Wakeup::new(What::Task(id), &self.shared.ready);
            let slot = Slot { future: Some(future), wakeup: Arc::clone(&wakeup), owner, again: false };
            tasks.slots.insert(id, slot);
            (id, wakeup)
        };
        wakeup.wake();
        Ok(id)
    }

    fn take_slot(&self, id: u64) -> Option<Slot> {
        let slot = lock(&self.shared.tasks).slots.remove(&id)?;
        slot.wakeup.close();
        Some(slot)
    }

    fn remove(&self, id: u64) -> Option<BoxFuture<'static, ()>> {
        self.take_slot(id)?.future
    }

    /// Calls foreign code; a panic ends there, and is counted.
    fn quietly<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        catch_unwind(AssertUnwindSafe(call))
            .map_err(|payload| {
                self.shared.panicked.fetch_add(1, Ordering::Relaxed);
                // Dropping a panic's payload is foreign code once more.
                if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                    std::mem::forget(again);
                }
            })
            .ok()
    }
}

impl Runtime for ManualRuntime {
    fn now(&self) -> SystemTime {
        self.shared.clock.wall()
    }

    fn elapsed(&self) -> Duration {
        self.shared.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep::new(&self.shared.clock, duration))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        if let Err(refused) = self.insert(task, Owner::Runtime) {
            self.quietly(|| drop(refused));
        }
    }

    /// SplitMix64.
    fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut bits = self.shared.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

impl Default for ManualRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualRuntime")
            .field("elapsed", &self.elapsed())
            .field("tasks", &self.tasks())
            .field("timers", &self.timers())
            .finish_non_exhaustive()
    }
}

/// The wake-up of a future given to `block_on`, closed when that call ends, however it ends.
struct Root(Arc<Wakeup>);

impl Drop for Root {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The polls that one driving call has left.
struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST_POLLS)
    }
}

impl Budget {
    fn spend(&mut self) {
        assert!(self.0 > 0, "this goes on for ever: {MOST_POLLS} polls, and something is still ready");
        self.0 -= 1;
    }
}
