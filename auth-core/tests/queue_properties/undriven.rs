//! Undriven: a runtime whose timers have stopped, so that the waiters who are polled look after the queue themselves.

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use auth_core::{BoxFuture, Runtime, Session};
use auth_testkit::{ManualRuntime, ScriptedRefresher, numbered};
use futures::task::noop_waker_ref;
use proptest::prelude::*;

use crate::crowd::Waiting;

#[derive(Clone)]
struct Stopping {
    runtime: ManualRuntime,
    stopped: Arc<AtomicBool>,
}

impl Runtime for Stopping {
    fn now(&self) -> SystemTime {
        self.runtime.now()
    }

    fn elapsed(&self) -> Duration {
        self.runtime.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if self.stopped.load(Ordering::Relaxed) { Box::pin(pending()) } else { self.runtime.sleep(duration) }
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }
}

const PATIENCE: Duration = Duration::from_millis(500);

/// A waiter is polled in every round from this one on; `None` is stuck.
type From = Option<u32>;

/// When each of those who are polled has started, from the refresh on.
fn starts(crowd: &[From], every: Duration) -> Vec<(u64, Duration)> {
    let runtime = ManualRuntime::new();
    let stopped = Arc::new(AtomicBool::new(false));
    let (refresher, handle) = ScriptedRefresher::new();
    let stopping = Stopping { runtime: runtime.clone(), stopped: Arc::clone(&stopped) };
    let session = Session::builder(refresher).runtime(stopping).patience(PATIENCE).build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    let stamp = runtime.block_on(session.lease()).unwrap().stamp();
    let mut cx = Context::from_waker(noop_waker_ref());
    let mut waiters: Vec<_> = crowd
        .iter()
        .map(|from| {
            let session = session.clone();
            let mut waiting: Waiting = Box::pin(async move { session.recover(stamp).await });
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            (*from, Some(waiting))
        })
        .collect();
    runtime.run_until_stalled();
    stopped.store(true, Ordering::Relaxed);
    handle.try_next().unwrap().answer(numbered(1));
    runtime.run_until_stalled();

    let begin = runtime.elapsed();
    let mut starts = Vec::new();
    for round in 0..ROUNDS {
        let awake = |from: &From| from.is_some_and(|from| from <= round);
        for (_, waiter) in waiters.iter_mut().filter(|(from, _)| awake(from)) {
            let Some(waiting) = waiter else { continue };
            let Poll::Ready(turn) = waiting.as_mut().poll(&mut cx) else { continue };
            let turn = turn.unwrap();
            starts.push((turn.ticket().unwrap(), runtime.elapsed() - begin));
            assert!(pin!(turn.start(ready(()))).poll(&mut cx).is_ready());
            *waiter = None;
        }
        runtime.advance(every);
    }
    starts
}

/// More than a patience in rounds of 10 ms.
const ROUNDS: u32 = 160;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever is polled starts within a patience of the start before; and order is kept unless nobody has started for so
    /// long.
    #[test]
    fn without_a_timer_those_who_are_polled_wait_for_one_patience(
        crowd in prop::collection::vec(prop::option::weighted(0.85, prop_oneof![Just(0), 0_u32..90]), 1..20),
        every in 10_u64..200,
    ) {
        let every = Duration::from_millis(every);
        let starts = starts(&crowd, every);

        let polled = crowd.iter().flatten().count();
        prop_assert_eq!(starts.len(), polled, "nobody is lost");
        let (mut last, mut opened) = (Duration::ZERO, false);
        let mut started = Vec::new();
        for (ticket, at) in starts {
            let place = usize::try_from(ticket).unwrap();
            let since = last.max(every * crowd[place].unwrap());
            prop_assert!(at < since + PATIENCE + every, "{ticket} at {at:?}, after one at {last:?}");
            let overtakes = (0..place).any(|before| !started.contains(&before));
            if overtakes && !opened {
                prop_assert!(at >= last + PATIENCE, "{ticket} overtakes at {at:?}, after one at {last:?}");
                opened = true;
            }
            started.push(place);
            last = at;
        }
    }
}
