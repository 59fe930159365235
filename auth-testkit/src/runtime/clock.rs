//! The two clocks and the timers, which move when the test says so.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::lock::lock;

/// 2026-01-01T00:00:00Z.
const WALL_START: Duration = Duration::from_secs(1_767_225_600);

/// Not zero, so that nothing can take "no time yet" for "just now".
const ELAPSED_START: Duration = Duration::from_secs(1_000);

/// A timer due later than this (a thousand years) never is: "for ever" is no time to jump to.
const NEVER: Duration = Duration::from_secs(1_000 * 365 * 24 * 60 * 60);

/// By deadline, then by when the sleep was made: the order in which timers fire.
type Due = (Duration, u64);

#[derive(Debug)]
pub(crate) struct Clock {
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    elapsed: Duration,
    wall: SystemTime,
    made: u64,
    timers: BTreeMap<Due, Waker>,
}

impl Times {
    fn reach(&mut self, elapsed: Duration) {
        let step = elapsed.saturating_sub(self.elapsed);
        self.elapsed += step;
        self.wall = self.wall.checked_add(step).unwrap_or(self.wall);
    }
}

impl Clock {
    pub(crate) fn new() -> Self {
        let wall = UNIX_EPOCH + WALL_START;
        Self { times: Mutex::new(Times { elapsed: ELAPSED_START, wall, made: 0, timers: BTreeMap::new() }) }
    }

    pub(crate) fn wall(&self) -> SystemTime {
        lock(&self.times).wall
    }

    pub(crate) fn set_wall(&self, to: SystemTime) {
        lock(&self.times).wall = to;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        lock(&self.times).elapsed
    }

    pub(crate) fn timers(&self) -> usize {
        lock(&self.times).timers.len()
    }

    /// Moves on to this time, if it is later.
    pub(crate) fn reach(&self, elapsed: Duration) {
        lock(&self.times).reach(elapsed);
    }

    /// Moves on to the next timer that is due by then, and fires all that are due at that instant. `false`: none is.
    pub(crate) fn fire_next(&self, until: Duration) -> bool {
        let fired: Vec<Waker> = {
            let mut times = lock(&self.times);
            let Some((&(deadline, _), _)) = times.timers.first_key_value() else { return false };
            if deadline > until.min(NEVER) {
                return false;
            }
            times.reach(deadline);
            let now = times.elapsed;
            let later = times.timers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut times.timers, later).into_values().collect()
        };
        fired.into_iter().for_each(Waker::wake);
        true
    }

    /// As [`fire_next`](Self::fire_next), however far away it is.
    pub(crate) fn fire_next_ever(&self) -> bool {
        self.fire_next(Duration::MAX)
    }
}

/// A sleep. Its deadline counts from its making, its timer is there from its first poll until it is done or dropped.
pub(crate) struct Sleep {
    clock: Arc<Clock>,
    due: Due,
}

impl Sleep {
    pub(crate) fn new(clock: &Arc<Clock>, duration: Duration) -> Self {
        let mut times = lock(&clock.times);
        times.made += 1;
        let due = (times.elapsed.saturating_add(duration), times.made);
        drop(times);
        Self { clock: Arc::clone(clock), due }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let (before, done) = {
            let mut times = lock(&self.clock.times);
            if self.due.0 <= times.elapsed {
                (times.timers.remove(&self.due), true)
            } else {
                (times.timers.insert(self.due, waker), false)
            }
        };
        drop(before);
        if done { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = lock(&self.clock.times).timers.remove(&self.due);
        drop(waker);
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("until", &self.due.0).finish_non_exhaustive()
    }
}
