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

/// When each of those who are polled has started, from the refresh on; all are polled once in each round.
fn starts(stuck: &[bool], every: Duration) -> Vec<(u64, Duration)> {
    let runtime = ManualRuntime::new();
    let stopped = Arc::new(AtomicBool::new(false));
    let (refresher, handle) = ScriptedRefresher::new();
    let stopping = Stopping { runtime: runtime.clone(), stopped: Arc::clone(&stopped) };
    let session = Session::builder(refresher).runtime(stopping).patience(PATIENCE).build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    let stamp = runtime.block_on(session.lease()).unwrap().stamp();
    let mut cx = Context::from_waker(noop_waker_ref());
    let mut waiters: Vec<_> = stuck
        .iter()
        .map(|stuck| {
            let session = session.clone();
            let mut waiting: Waiting = Box::pin(async move { session.recover(stamp).await });
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            (*stuck, Some(waiting))
        })
        .collect();
    runtime.run_until_stalled();
    stopped.store(true, Ordering::Relaxed);
    handle.try_next().unwrap().answer(numbered(1));
    runtime.run_until_stalled();

    let begin = runtime.elapsed();
    let mut starts = Vec::new();
    while runtime.elapsed() - begin <= PATIENCE * 3 {
        for (_, waiter) in waiters.iter_mut().filter(|(stuck, _)| !stuck) {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Those before the first that is stuck start at once, the others after one patience: all of them, and in order.
    #[test]
    fn without_a_timer_those_who_are_polled_wait_for_one_patience(
        stuck in prop::collection::vec(prop::bool::weighted(0.2), 1..20),
        every in 1_u64..200,
    ) {
        let every = Duration::from_millis(every);
        let starts = starts(&stuck, every);

        let tickets: Vec<_> = starts.iter().map(|(ticket, _)| *ticket).collect();
        let polled: Vec<_> = (0..).zip(&stuck).filter(|(_, stuck)| !**stuck).map(|(ticket, _)| ticket).collect();
        prop_assert_eq!(tickets, polled);
        let first = (0..).zip(&stuck).find(|(_, stuck)| **stuck).map_or(u64::MAX, |(ticket, _)| ticket);
        for (ticket, after) in starts {
            if ticket < first {
                prop_assert!(after.is_zero());
            } else {
                prop_assert!(after >= PATIENCE && after < PATIENCE + every, "{ticket} after {after:?}");
            }
        }
    }
}
