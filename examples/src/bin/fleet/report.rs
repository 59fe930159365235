//! The report: what came of it, in numbers.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub(crate) struct Report {
    pub(crate) numbers: Numbers,
    pub(crate) store: &'static str,
    pub(crate) killed: usize,
    pub(crate) seed: Option<u64>,
    pub(crate) elapsed: Duration,
    /// What a person should know, for stderr.
    pub(crate) sentences: Vec<String>,
}

/// The contract for scripts.
#[derive(Default, Serialize)]
pub(crate) struct Numbers {
    pub(crate) processes: usize,
    pub(crate) rounds: u64,
    /// Refresh tokens that the server exchanged.
    pub(crate) refreshes: u64,
    /// Spent refresh tokens that were presented again, though their successors had not died with a process.
    pub(crate) reuse_detected: u64,
    /// Sign-ins that ended, other than by an answer that died.
    pub(crate) sessions_lost: u64,
    /// Answers that died with their process. Each ended its sign-in, and somebody signed in again.
    pub(crate) lost_answers: u64,
    /// One for each process and round.
    pub(crate) requests: u64,
    /// Those that did not succeed, also when they were made again.
    pub(crate) failed: u64,
}

impl Report {
    pub(crate) fn all_well(&self) -> bool {
        let Numbers { reuse_detected, sessions_lost, failed, .. } = self.numbers;
        (reuse_detected, sessions_lost, failed) == (0, 0, 0)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(&self.numbers).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Numbers { processes, rounds, refreshes, .. } = self.numbers;
        let Numbers { reuse_detected, sessions_lost, lost_answers, requests, failed, .. } = self.numbers;
        writeln!(f, "{processes} processes on one {}, whose token expired {rounds} times", self.store)?;
        if let Some(seed) = self.seed {
            writeln!(f, "{} processes were killed, and replaced (--seed {seed})", self.killed)?;
        }
        writeln!(f)?;
        for (number, what) in [
            (refreshes, "refreshes"),
            (reuse_detected, "spent refresh tokens presented again"),
            (sessions_lost, "sign-ins lost"),
            (lost_answers, "answers that died with their process, and the sign-in with them"),
            (requests, "requests"),
            (failed, "of them failed"),
        ] {
            writeln!(f, "{number:>8}  {what}")?;
        }
        write!(f, "\n{:.1} s", self.elapsed.as_secs_f64())
    }
}
