//! Waiting for the counters, with a thread or as a future.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::log::Stats;
use super::shared::Shared;

/// The time has passed, and what was waited for has not come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StillWaiting {
    /// The counters when the time had passed.
    pub stats: Box<Stats>,
}

impl fmt::Display for StillWaiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what was waited for has not come; {:?}", self.stats)
    }
}

impl std::error::Error for StillWaiting {}

impl Shared {
    pub(super) fn wait_until(
        &self,
        enough: impl Fn(&Stats) -> bool,
        timeout: Duration,
    ) -> Result<Stats, StillWaiting> {
        let start = Instant::now();
        loop {
            // Judged outside of the lock, so that it may call the server.
            let (stats, version) = self.read(|state| (state.stats_now(), state.version));
            if enough(&stats) {
                return Ok(stats);
            }
            let mut state = self.lock();
            while state.version == version {
                let left = timeout.saturating_sub(start.elapsed());
                if left.is_zero() {
                    return Err(StillWaiting { stats: Box::new(stats) });
                }
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// A future that ends once the counters are as was said, on any executor.
#[must_use = "a future does nothing until it is polled"]
pub struct When<F> {
    shared: Arc<Shared>,
    enough: F,
}

impl<F> When<F> {
    pub(super) fn new(shared: Arc<Shared>, enough: F) -> Self {
        Self { shared, enough }
    }
}

impl<F> Unpin for When<F> {}

impl<F: Fn(&Stats) -> bool> Future for When<F> {
    type Output = Stats;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Stats> {
        // The waker is left before the look: a change after it wakes this up.
        let stats = {
            let mut state = self.shared.lock();
            if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.wakers.push(cx.waker().clone());
            }
            state.stats_now()
        };
        if (self.enough)(&stats) { Poll::Ready(stats) } else { Poll::Pending }
    }
}

impl<F> fmt::Debug for When<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("When").finish_non_exhaustive()
    }
}
