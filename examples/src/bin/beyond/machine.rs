//! The machine: the testkit's virtual time, and what chance is to the sessions on it.

use std::time::{Duration, SystemTime};

use auth_core::{BoxFuture, Runtime};
use auth_testkit::ManualRuntime;

/// What a session's jitter is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jitter {
    /// From a seed, as from the operating system.
    Drawn,
    /// From the same number for everybody: the middle, so that the mean is the same.
    None,
}

impl Jitter {
    pub(crate) const BOTH: [Self; 2] = [Self::Drawn, Self::None];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::None => "none",
        }
    }
}

/// Every process's runtime: one clock and one thread for all of them.
///
/// It is `ManualRuntime` and not the simulation's own, which makes one processor of the whole world: each step takes a little
/// of its time, and after two million it says that the world goes on for ever. A day is some fifty million steps, and fifty
/// processes do not wait for each other's processor.
pub(crate) struct Machine {
    pub(crate) runtime: ManualRuntime,
    jitter: Jitter,
}

impl Machine {
    pub(crate) fn new(seed: u64, jitter: Jitter) -> Self {
        Self { runtime: ManualRuntime::with_seed(seed), jitter }
    }
}

impl Runtime for Machine {
    fn now(&self) -> SystemTime {
        self.runtime.now()
    }

    fn elapsed(&self) -> Duration {
        self.runtime.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.runtime.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(task);
    }

    fn random(&self) -> u64 {
        match self.jitter {
            Jitter::Drawn => self.runtime.random(),
            Jitter::None => 1 << 63,
        }
    }
}

/// What a user decides by chance (SplitMix64): apart from what sessions draw, so that every run has the same users.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, user: u32) -> Self {
        let mut dice = Self(seed ^ (u64::from(user) << 32));
        dice.0 = dice.roll();
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// How long until something happens that happens so often a second.
    pub(crate) fn wait(&mut self, per_second: f64) -> Duration {
        Duration::from_secs_f64(-(1.0 - self.unit()).ln() / per_second)
    }
}
