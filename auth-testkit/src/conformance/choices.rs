//! The choices that every suite has, and the run that keeps to them.

use std::sync::Arc;
use std::time::Duration;

use auth_core::BoxFuture;

use super::Report;
use super::trial::{self, Trial};

pub(super) type BlockOn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// Set by the methods that [`choices!`] gives a suite.
pub(super) struct Choices {
    pub(super) block_on: BlockOn,
    pub(super) deadline: Duration,
    pub(super) gaps: Vec<(String, String)>,
    pub(super) only: Option<Vec<String>>,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            block_on: Arc::new(futures::executor::block_on),
            deadline: Duration::from_secs(30),
            gaps: Vec::new(),
            only: None,
        }
    }
}

impl Choices {
    /// Tries the clauses, one after the other. All have to be here, also those that cannot be tried, so that a name is
    /// known to be one.
    #[track_caller]
    pub(super) fn run(&self, subject: &'static str, trials: Vec<Trial>) -> Report {
        for name in self.gaps.iter().map(|(name, _)| name).chain(self.only.iter().flatten()) {
            assert!(trials.iter().any(|trial| trial.name == *name), "the suite has no clause {name:?}");
        }

        let mut report = Report { subject, ..Report::default() };
        for trial in trials {
            if self.only.as_ref().is_some_and(|only| !only.contains(&trial.name)) {
                continue;
            }
            match self.gaps.iter().find(|(gap, _)| *gap == trial.name) {
                Some(gap) => report.gaps.push(gap.clone()),
                None => trial::run(trial, &self.block_on, self.deadline, &mut report),
            }
        }
        report
    }
}

/// The methods of a suite that set its `choices`, and its `Debug`.
macro_rules! choices {
    ($suite:ident $(<$($of:ident),+>)?) => {
        impl$(<$($of),+>)? $suite$(<$($of),+>)? {
            /// Runs each clause with this. Default: the `futures` executor.
            pub fn block_on(
                mut self,
                block_on: impl Fn(auth_core::BoxFuture<'static, ()>) + Send + Sync + 'static,
            ) -> Self {
                self.choices.block_on = std::sync::Arc::new(block_on);
                self
            }

            /// How long one clause may take before it has failed. Default: 30 s, since machines may be busy.
            pub fn deadline(mut self, deadline: std::time::Duration) -> Self {
                self.choices.deadline = deadline;
                self
            }

            /// A clause that is known not to be kept. It is not tried, and the report says why.
            pub fn gap(mut self, clause: impl Into<String>, reason: impl Into<String>) -> Self {
                self.choices.gaps.push((clause.into(), reason.into()));
                self
            }

            /// Only these clauses.
            pub fn only(mut self, clauses: impl IntoIterator<Item = impl Into<String>>) -> Self {
                self.choices.only = Some(clauses.into_iter().map(Into::into).collect());
                self
            }
        }

        impl$(<$($of),+>)? std::fmt::Debug for $suite$(<$($of),+>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($suite))
                    .field("deadline", &self.choices.deadline)
                    .field("gaps", &self.choices.gaps)
                    .field("only", &self.choices.only)
                    .finish_non_exhaustive()
            }
        }
    };
}
pub(super) use choices;
