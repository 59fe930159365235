//! `SimulatedRuntime`: one thread, virtual time, and a schedule that a seed decides.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use auth_core::{BoxFuture, Runtime};

use super::dice::Dice;
use crate::lock::lock;
use crate::runtime::clock::{Clock, Sleep};

/// A [`Runtime`] on one thread in virtual time whose schedule a seed decides: which task that is ready runs next, and how
/// long each step takes. The same seed gives the same run.
///
/// It is strict about wakers: the one that counts is that of a task's last poll.
///
/// [`ManualRuntime`](crate::ManualRuntime) polls first what was woken first; this one polls what chance says, as a
/// thread pool under load would, so that a few hundred seeds see interleavings that a test author would not think of.
///
/// Clones are the same *process*. [`process`](Self::process) begins another in the same world: one clock, one schedule,
/// tasks of its own, which [`kill`](Self::kill) ends where they stand, as `kill -9` would.
///
/// ```
/// use auth_core::Runtime;
/// use auth_testkit::simulation::SimulatedRuntime;
/// use std::sync::{Arc, Mutex};
///
/// fn order(seed: u64) -> Vec<u32> {
///     let runtime = SimulatedRuntime::new(seed);
///     let order = Arc::new(Mutex::new(Vec::new()));
///     for number in 0..4 {
///         let order = Arc::clone(&order);
///         runtime.spawn(Box::pin(async move { order.lock().unwrap().push(number) }));
///     }
///     runtime.run();
///     order.lock().unwrap().clone()
/// }
///
/// assert_eq!(order(7), order(7));
/// assert!((0..50).any(|seed| order(seed) != [0, 1, 2, 3]));
/// ```
#[derive(Clone)]
pub struct SimulatedRuntime {
    world: Arc<World>,
    process: u32,
}

/// No lock of it is held while a task is polled, dropped or woken.
struct World {
    clock: Arc<Clock>,
    ready: Arc<Ready>,
    tasks: Mutex<Tasks>,
    /// What the session asks for: apart, so that its jitter does not depend on the schedule.
    random: Mutex<Dice>,
}

struct Tasks {
    slots: HashMap<u64, Slot>,
    next: u64,
    processes: u32,
    killed: Vec<u32>,
    /// Those that stand still: all of them, or their own tasks only.
    stopped: HashMap<u32, Stopped>,
    /// Tasks that are there only to be in the way.
    parked: Vec<u64>,
    schedule: Dice,
    steps: u64,
    panicked: usize,
}

/// What of a process stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Whole,
    /// Not its guests.
    Own,
}

struct Slot {
    process: u32,
    /// A caller of the session, not a task of the session's.
    guest: bool,
    /// Away while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    wakeup: Arc<Wakeup>,
}

/// The tasks that were woken.
#[derive(Debug, Default)]
struct Ready {
    queue: Mutex<Vec<u64>>,
}

/// What a waker points to. Each poll has another: whoever keeps the waker of an earlier one wakes nobody, as the contract
/// of [`Future::poll`] has it.
#[derive(Debug)]
struct Wakeup {
    task: u64,
    queued: AtomicBool,
    /// A later poll has another.
    stale: AtomicBool,
    ready: Arc<Ready>,
}

impl Wakeup {
    fn new(task: u64, ready: &Arc<Ready>) -> Arc<Self> {
        let (queued, stale) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { task, queued, stale, ready: Arc::clone(ready) })
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.stale.load(Ordering::Acquire) && !self.queued.swap(true, Ordering::AcqRel) {
            lock(&self.ready.queue).push(self.task);
        }
    }
}

/// A run of more steps than this goes on for ever.
const MOST_STEPS: u64 = 2_000_000;

impl SimulatedRuntime {
    /// A world with this seed, and its first process.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let tasks = Tasks {
            slots: HashMap::new(),
            next: 0,
            processes: 1,
            killed: Vec::new(),
            stopped: HashMap::new(),
            parked: Vec::new(),
            schedule: Dice::new(dice.roll()),
            steps: 0,
            panicked: 0,
        };
        let world = World {
            clock: Arc::new(Clock::new()),
            ready: Arc::default(),
            tasks: Mutex::new(tasks),
            random: Mutex::new(Dice::new(dice.roll())),
        };
        Self { world: Arc::new(world), process: 0 }
    }

    /// Another process in the same world.
    #[must_use]
    pub fn process(&self) -> Self {
        let mut tasks = lock(&self.world.tasks);
        let process = tasks.processes;
        tasks.processes += 1;
        Self { world: Arc::clone(&self.world), process }
    }

    /// Ends this process where it stands: its tasks are dropped, and so is every later one. What its store or its server
    /// has been told already stays told.
    pub fn kill(&self) {
        let ended: Vec<Slot> = {
            let mut tasks = lock(&self.world.tasks);
            tasks.killed.push(self.process);
            tasks.stopped.remove(&self.process);
            let mine: Vec<u64> = tasks.of(self.process);
            mine.iter().filter_map(|id| tasks.slots.remove(id)).collect()
        };
        for slot in ended {
            self.quietly(|| drop(slot));
        }
    }

    /// One step: polls one task that is ready, or, where none is, lets time pass to the next timer. `false`: nothing can
    /// go on.
    ///
    /// # Panics
    ///
    /// After two million steps: the world goes on for ever.
    #[must_use]
    pub fn step(&self) -> bool {
        self.step_until(Duration::MAX)
    }

    /// As [`step`](Self::step), but time does not pass this point of `elapsed`. `false`: nothing more happens before it.
    ///
    /// # Panics
    ///
    /// As [`step`](Self::step).
    #[must_use]
    pub fn step_until(&self, until: Duration) -> bool {
        let clock = &self.world.clock;
        if let Some((id, took)) = self.next() {
            self.poll(id);
            clock.reach(clock.elapsed().saturating_add(took));
            // What has come due meanwhile is woken: the next step may be its.
            clock.fire_next(clock.elapsed());
            return true;
        }
        clock.fire_next(until)
    }

    /// Steps until nothing can go on.
    ///
    /// # Panics
    ///
    /// As [`step`](Self::step).
    pub fn run(&self) {
        while self.step() {}
    }

    /// Steps until this time has passed.
    ///
    /// # Panics
    ///
    /// As [`step`](Self::step).
    pub fn advance(&self, by: Duration) {
        let until = self.elapsed().saturating_add(by);
        while self.elapsed() < until && self.step_until(until) {}
        self.world.clock.reach(until);
    }

    /// Steps until this future is done. It is a task among the others.
    ///
    /// # Panics
    ///
    /// Where nothing can go on before it is done; and as [`step`](Self::step).
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let woken = Arc::new(Root::default());
        let waker = Waker::from(Arc::clone(&woken));
        woken.wake_by_ref();
        loop {
            if woken.take()
                && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return output;
            }
            assert!(
                self.step() || woken.is_set(),
                "nothing can go on, and the future given to block_on waits"
            );
        }
    }

    /// Sets the wall clock alone.
    pub fn set_wall(&self, to: SystemTime) {
        self.world.clock.set_wall(to);
    }

    /// How many tasks of this process are alive.
    #[must_use]
    pub fn tasks(&self) -> usize {
        lock(&self.world.tasks).of(self.process).len()
    }

    /// How many panics of tasks were contained, those in their destructors included.
    #[must_use]
    pub fn panicked(&self) -> usize {
        lock(&self.world.tasks).panicked
    }

    /// This process stands still: no time is lost for the others.
    pub(crate) fn stop(&self, what: Stopped) {
        lock(&self.world.tasks).stopped.insert(self.process, what);
    }

    /// It goes on.
    pub(crate) fn go_on(&self) {
        lock(&self.world.tasks).stopped.remove(&self.process);
    }

    /// A caller of the session.
    pub(crate) fn spawn_guest(&self, task: BoxFuture<'static, ()>) {
        self.insert(task, true);
    }

    /// The same, and it may never end, until it is forgotten.
    pub(crate) fn spawn_parked(&self, task: BoxFuture<'static, ()>) {
        if let Some(id) = self.insert(task, true) {
            lock(&self.world.tasks).parked.push(id);
        }
    }

    /// Drops what was parked, of all processes.
    pub(crate) fn forget_parked(&self) {
        let parked: Vec<Slot> = {
            let mut tasks = lock(&self.world.tasks);
            let ids = std::mem::take(&mut tasks.parked);
            ids.iter().filter_map(|id| tasks.slots.remove(id)).collect()
        };
        parked.into_iter().for_each(|slot| self.quietly(|| drop(slot)).unwrap_or_default());
    }

    fn insert(&self, task: BoxFuture<'static, ()>, guest: bool) -> Option<u64> {
        let (id, wakeup) = {
            let mut tasks = lock(&self.world.tasks);
            if tasks.killed.contains(&self.process) {
                drop(tasks);
                self.quietly(|| drop(task));
                return None;
            }
            let id = tasks.next;
            tasks.next += 1;
            let wakeup = Wakeup::new(id, &self.world.ready);
            let slot = Slot { process: self.process, guest, future: Some(task), wakeup: Arc::clone(&wakeup) };
            tasks.slots.insert(id, slot);
            (id, wakeup)
        };
        wakeup.wake();
        Some(id)
    }

    /// Calls foreign code; a panic ends there, and is counted.
    fn quietly<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let result = quietly(call);
        if result.is_none() {
            lock(&self.world.tasks).panicked += 1;
        }
        result
    }

    /// Who runs next, and how long that takes.
    fn next(&self) -> Option<(u64, Duration)> {
        let mut tasks = lock(&self.world.tasks);
        let mut queue = lock(&self.world.ready.queue);
        loop {
            // Mostly nobody stands still.
            let able: Option<Vec<usize>> = (!tasks.stopped.is_empty())
                .then(|| (0..queue.len()).filter(|at| tasks.goes_on(queue[*at])).collect());
            let many = able.as_ref().map_or(queue.len(), Vec::len);
            if many == 0 {
                return None;
            }
            let at = if many == 1 { 0 } else { tasks.schedule.below(many as u64) as usize };
            let id = queue.swap_remove(able.map_or(at, |able| able[at]));
            let Some(slot) = tasks.slots.get(&id) else { continue };
            slot.wakeup.queued.store(false, Ordering::Release);
            tasks.steps += 1;
            assert!(
                tasks.steps < MOST_STEPS,
                "this goes on for ever: {MOST_STEPS} steps, and something is still ready"
            );
            // Most steps take no time to speak of; some are interrupted.
            let took = match tasks.schedule.below(64) {
                0 => tasks.schedule.below(2_000),
                1..8 => tasks.schedule.below(100),
                _ => 1,
            };
            return Some((id, Duration::from_micros(took)));
        }
    }

    fn poll(&self, id: u64) {
        let (mut future, waker) = {
            let mut tasks = lock(&self.world.tasks);
            let Some(slot) = tasks.slots.get_mut(&id) else { return };
            let Some(future) = slot.future.take() else { return };
            slot.wakeup.stale.store(true, Ordering::Release);
            slot.wakeup = Wakeup::new(id, &self.world.ready);
            (future, Waker::from(Arc::clone(&slot.wakeup)))
        };
        let polled = self.quietly(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        let mut future = Some(future);
        let done = !matches!(polled, Some(Poll::Pending));
        let slot = {
            let mut tasks = lock(&self.world.tasks);
            if done {
                tasks.slots.remove(&id)
            } else {
                // Killed while it was polled, otherwise.
                if let Some(slot) = tasks.slots.get_mut(&id) {
                    slot.future = future.take();
                }
                None
            }
        };
        self.quietly(|| drop((slot, future)));
    }
}

impl Tasks {
    /// Whether this task can be polled just now.
    fn goes_on(&self, id: u64) -> bool {
        let Some(slot) = self.slots.get(&id) else { return true };
        match self.stopped.get(&slot.process) {
            None => true,
            Some(Stopped::Whole) => false,
            Some(Stopped::Own) => slot.guest,
        }
    }

    fn of(&self, process: u32) -> Vec<u64> {
        let mut mine: Vec<u64> =
            self.slots.iter().filter(|(_, slot)| slot.process == process).map(|(id, _)| *id).collect();
        mine.sort_unstable();
        mine
    }
}

impl Runtime for SimulatedRuntime {
    fn now(&self) -> SystemTime {
        self.world.clock.wall()
    }

    fn elapsed(&self) -> Duration {
        self.world.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep::new(&self.world.clock, duration))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.insert(task, false);
    }

    fn random(&self) -> u64 {
        lock(&self.world.random).roll()
    }
}

/// Whether the future given to `block_on` was woken.
#[derive(Default)]
struct Root(AtomicBool);

impl Root {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Calls foreign code; a panic ends there.
fn quietly<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|payload| {
            // Dropping a panic's payload is foreign code once more.
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(again);
            }
        })
        .ok()
}

impl fmt::Debug for SimulatedRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedRuntime")
            .field("process", &self.process)
            .field("elapsed", &self.elapsed())
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}
