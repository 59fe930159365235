//! Many runs, and what came of them.

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::Simulation;
use super::run::{Counts, Run};
use crate::lock::lock;

/// What came of the runs of many seeds.
#[derive(Clone, Debug)]
pub struct Report {
    /// The sums.
    pub counts: Counts,
    /// The lowest seed that broke a promise, and its run: of the plan as it was made, not shrunk.
    pub first_failure: Option<(u64, Run)>,
    /// The run of the highest seed.
    pub last: Option<Run>,
    simulation: Simulation,
}

pub(super) fn seeds(simulation: &Simulation, seeds: Range<u64>) -> Report {
    let next = AtomicU64::new(seeds.start);
    let sums = Mutex::new((Counts::default(), None::<(u64, Run)>, None::<Run>));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let run = simulation.run(&simulation.plan(seed));
            let mut sums = lock(&sums);
            sums.0.add(&run.counts());
            let is_last = seed + 1 == seeds.end;
            if run.violation.is_some() && sums.1.as_ref().is_none_or(|(first, _)| seed < *first) {
                sums.1 = Some((seed, run.clone()));
            }
            if is_last {
                sums.2 = Some(run);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let (counts, first_failure, last) = sums.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Report { counts, first_failure, last, simulation: simulation.clone() }
}

impl Report {
    /// Panics if a promise was broken: with the seed, the shortest plan that breaks it, and what happened in it.
    ///
    /// # Panics
    ///
    /// If a run broke a promise.
    #[track_caller]
    pub fn assert(&self) {
        if let Some((seed, run)) = &self.first_failure {
            let short = self.simulation.run(&self.simulation.shrink(&run.plan));
            panic!(
                "seed {seed} broke a promise, in {} of {} worlds\n\n{}",
                self.counts.violations, self.counts.worlds, short
            );
        }
    }
}

/// Its [`timeline`](Run::timeline).
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timeline().fmt(f)
    }
}
