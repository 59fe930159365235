//! What came of a run.

use std::fmt;
use std::time::Duration;

use super::plan::Plan;
use super::record::{Record, What};

/// What came of running a [`Plan`].
#[derive(Clone, Debug)]
pub struct Run {
    /// The plan.
    pub plan: Plan,
    /// What happened, up to the first violation.
    pub record: Record,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
}

/// A promise was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the [`Invariant`](super::Invariant).
    pub invariant: String,
    /// What happened, in a sentence.
    pub message: String,
    /// When it was noticed, since the run began.
    pub at: Duration,
    /// The process it happened in, if it is of one.
    pub process: Option<u32>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (at {:?})", self.invariant, self.message, self.at)
    }
}

/// Sums of one run, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Runs.
    pub worlds: u64,
    /// Requests, and other calls of the session that wait.
    pub requests: u64,
    /// Refresh tokens that were exchanged.
    pub refreshes: u64,
    /// Requests that were dropped before they were done.
    pub cancellations: u64,
    /// Things that the plans made fail, get lost or get in the way.
    pub faults: u64,
    /// Runs in which a promise was broken.
    pub violations: u64,
}

impl Counts {
    /// Adds the sums of another.
    pub fn add(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.requests += other.requests;
        self.refreshes += other.refreshes;
        self.cancellations += other.cancellations;
        self.faults += other.faults;
        self.violations += other.violations;
    }
}

impl Run {
    /// The sums of this run.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let count = |kind: fn(&What) -> bool| self.record.count(kind) as u64;
        Counts {
            worlds: 1,
            requests: count(|what| matches!(what, What::Submitted { .. })),
            refreshes: count(|what| matches!(what, What::Exchanged { .. })),
            cancellations: count(|what| matches!(what, What::Cancelled { .. })),
            faults: self.plan.steps.iter().filter(|step| step.what.is_fault()).count() as u64,
            violations: u64::from(self.violation.is_some()),
        }
    }
}
