//! A strand: work that is done piece by piece, in the order in which it was asked for.
//!
//! Whoever asked may be gone by then: a call that was given up is done all the same, and before the next one. So no write
//! overtakes a later one, and nothing that a lock covers is done after it was given back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Its lock is held for the length of a field access, and never while a job is done or dropped.
pub(crate) struct Strand<J> {
    line: Mutex<Line<J>>,
}

struct Line<J> {
    jobs: VecDeque<J>,
    /// There is a worker, or one is about to be started.
    worked: bool,
}

impl<J> Strand<J> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { line: Mutex::new(Line { jobs: VecDeque::new(), worked: false }) })
    }

    fn line(&self) -> MutexGuard<'_, Line<J>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job at the end. Where nobody works on the strand, there is a worker now, to be started by the caller.
    #[must_use]
    pub(crate) fn push(self: &Arc<Self>, job: J) -> Option<Worker<J>> {
        let mut line = self.line();
        line.jobs.push_back(job);
        let starts = !std::mem::replace(&mut line.worked, true);
        starts.then(|| Worker { strand: Some(Arc::clone(self)) })
    }
}

/// Gives out the jobs, until there is none left. A worker that ends before that, or is never started, drops those that are
/// left, and whoever waits for them learns of it.
pub(crate) struct Worker<J> {
    strand: Option<Arc<Strand<J>>>,
}

impl<J> Iterator for Worker<J> {
    type Item = J;

    fn next(&mut self) -> Option<J> {
        let strand = self.strand.as_ref()?;
        let next = {
            let mut line = strand.line();
            let next = line.jobs.pop_front();
            line.worked = next.is_some();
            next
        };
        if next.is_none() {
            // From now on the strand may be another worker's.
            self.strand = None;
        }
        next
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        if let Some(strand) = &self.strand {
            let left = {
                let mut line = strand.line();
                line.worked = false;
                std::mem::take(&mut line.jobs)
            };
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_starts_a_worker_where_there_is_none() {
        let strand = Strand::new();

        let worker = strand.push(1).expect("nobody works yet");
        assert!(strand.push(2).is_none());

        assert_eq!(worker.collect::<Vec<_>>(), [1, 2]);
        assert!(strand.push(3).is_some(), "the worker has gone home");
    }

    #[test]
    fn a_worker_that_never_starts_leaves_nothing_behind() {
        let strand = Strand::new();
        let job = Arc::new(());

        drop(strand.push(Arc::clone(&job)));

        assert_eq!(Arc::strong_count(&job), 1, "whoever waits for it learns of it");
        assert!(strand.push(job).is_some(), "and the next job starts another");
    }

    #[test]
    fn a_worker_that_is_done_leaves_the_next_ones_jobs_alone() {
        let strand = Strand::new();
        let mut done = strand.push(1).expect("nobody works yet");
        assert_eq!(done.by_ref().last(), Some(1));
        let next = strand.push(2).expect("nobody works any more");

        drop(done);

        assert_eq!(next.collect::<Vec<_>>(), [2]);
    }
}
