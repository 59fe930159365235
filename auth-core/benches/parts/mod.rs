//! What the benchmarks share: a session on tokio, and the sides that are compared.

pub mod fast;
pub mod storm;

use std::time::{Duration, Instant, SystemTime};

use auth_core::{BoxFuture, Runtime};

/// The tokio runtime that this runs on, as sessions want it.
pub struct Tokio {
    start: Instant,
}

impl Tokio {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Runtime for Tokio {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }
}

/// The best of some rounds.
pub fn best(so_far: f64, now: f64) -> f64 {
    if now < so_far { now } else { so_far }
}
