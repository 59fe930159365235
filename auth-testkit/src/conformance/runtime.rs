//! The suite for runtimes, which compares a runtime's clocks with nothing but themselves.

mod clauses;
mod clocks;
mod isolation;
mod progress;
mod reentry;
mod shut_down;
mod sleeps;
mod world;

use std::sync::Arc;
use std::time::Instant;

use auth_core::Runtime;

use super::Report;
use super::choices::{Choices, choices};
use super::trial::{Begin, Outcome, Stage, Trial};
use clauses::{Asks, CLAUSES, RuntimeClause};
use world::{Act, World};

type Make<R> = Arc<dyn Fn() -> R + Send + Sync>;
type On<R> = Arc<dyn Fn(&R) + Send + Sync>;

/// Judges a runtime by every clause that needs nothing but itself: [`RuntimeSuite::run`] and [`Report::assert`] in one.
///
/// `make` is called for each clause, on the clause's thread.
///
/// ```
/// auth_testkit::conformance::runtime(auth_core::StandaloneRuntime::new);
/// ```
///
/// # Panics
///
/// If a clause is not kept, with all that are not, each with the promise it breaks.
#[track_caller]
pub fn runtime<R: Runtime>(make: impl Fn() -> R + Send + Sync + 'static) {
    RuntimeSuite::new(make).run().assert();
}

/// A suite for a runtime, with choices.
///
/// Each clause runs on a thread of its own, on the `futures` executor: a runtime that belongs to an executor has to be
/// made with it, or be given it with [`block_on`](Self::block_on). Sleeps are of some milliseconds, by the runtime's own
/// clock; no other clock is compared with it. A clause that has not ended by its deadline has failed, and its thread is
/// left behind. An executor that aborts the process where a destructor panics aborts the suite: name
/// `panicking_destructors` as a gap to see the rest.
///
/// ```
/// use auth_testkit::ManualRuntime;
/// use auth_testkit::conformance::RuntimeSuite;
/// use std::time::Duration;
///
/// RuntimeSuite::new(ManualRuntime::new)
///     .drive(|runtime| runtime.advance(Duration::from_millis(1)))
///     .shut_down(ManualRuntime::shutdown)
///     .run()
///     .assert();
/// ```
#[must_use]
pub struct RuntimeSuite<R> {
    make: Make<R>,
    drive: Option<On<R>>,
    shut_down: Option<On<R>>,
    choices: Choices,
}

choices!(RuntimeSuite<R>);

impl<R: Runtime> RuntimeSuite<R> {
    /// A suite for the runtimes that `make` makes.
    pub fn new(make: impl Fn() -> R + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make), drive: None, shut_down: None, choices: Choices::default() }
    }

    /// For a runtime that does nothing by itself. Called again and again on the clause's thread while the clause waits, it
    /// polls what is ready and lets a little time pass, a millisecond or so.
    pub fn drive(mut self, drive: impl Fn(&R) + Send + Sync + 'static) -> Self {
        self.drive = Some(Arc::new(drive));
        self
    }

    /// The clauses about shutting down, which end a runtime with this: from then on it runs no task.
    pub fn shut_down(mut self, shut_down: impl Fn(&R) + Send + Sync + 'static) -> Self {
        self.shut_down = Some(Arc::new(shut_down));
        self
    }

    /// Tries the clauses, one after the other, blocking the thread.
    ///
    /// # Panics
    ///
    /// If a gap, or one of the only clauses, is none of the suite's.
    #[track_caller]
    pub fn run(self) -> Report {
        let trials = CLAUSES.iter().map(|clause| self.trial(clause)).collect();

        self.choices.run("runtime", trials)
    }

    fn trial(&self, clause: &'static RuntimeClause) -> Trial {
        let lacks = clause.asks == Asks::ShutDown && self.shut_down.is_none();
        let (make, drive, shut_down) = (Arc::clone(&self.make), self.drive.clone(), self.shut_down.clone());
        let deadline = self.choices.deadline;
        let begin: Begin = Box::new(move |stage: Stage| {
            Box::pin(async move {
                stage.set("making the runtime");
                let runtime = Arc::new(make());
                let until = Instant::now() + deadline;
                let (drive, shut_down) = (bound(&runtime, drive), bound(&runtime, shut_down));
                Outcome::Tried((clause.check)(World { runtime, drive, shut_down, until, stage }).await)
            })
        });
        let begin = if lacks { Err("without `shut_down`".to_owned()) } else { Ok(begin) };
        Trial { name: clause.name.to_owned(), promise: clause.promise, begin }
    }
}

impl RuntimeSuite<()> {
    /// The names of all clauses, and what the documentation of [`Runtime`] says to each.
    pub fn clauses() -> impl Iterator<Item = (&'static str, &'static str)> {
        CLAUSES.iter().map(|clause| (clause.name, clause.promise))
    }
}

fn bound<R: Runtime>(runtime: &Arc<R>, act: Option<On<R>>) -> Option<Act> {
    let (runtime, act) = (Arc::clone(runtime), act?);
    Some(Arc::new(move || act(&runtime)))
}
