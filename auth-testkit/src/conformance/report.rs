//! What came of a suite.

use std::fmt;

/// Which clauses are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Report {
    /// What was judged: `transport`, `token store`.
    pub subject: &'static str,
    /// The names of the clauses that are kept, in the order in which they were tried.
    pub passed: Vec<String>,
    /// The clauses that are not kept.
    pub failed: Vec<Failure>,
    /// The clauses that were not tried, since they were said to be gaps, and why they are.
    pub gaps: Vec<(String, String)>,
    /// The clauses that could not be tried, and what they need: something that the suite was not given, or that the
    /// implementation does not have.
    pub skipped: Vec<(String, String)>,
}

/// A clause that is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Its name.
    pub clause: String,
    /// What the documentation of the trait says.
    pub promise: &'static str,
    /// What was seen instead.
    pub seen: String,
}

impl Report {
    /// Whether no clause failed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failed.is_empty()
    }

    /// # Panics
    ///
    /// If a clause failed, with all that did.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.is_ok(), "{self}");
    }
}

impl fmt::Display for Report {
    /// A line for each failure, `transport: "what is promised": name: what was seen`, for each gap, and for each thing
    /// that clauses were skipped for the want of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (passed, failed) = (self.passed.len(), self.failed.len());
        write!(f, "{}: {passed} clauses are kept, {failed} are not", self.subject)?;
        for failure in &self.failed {
            write!(f, "\n{}: {failure}", self.subject)?;
        }
        for (clause, reason) in &self.gaps {
            write!(f, "\n{}: {clause}: not tried: {reason}", self.subject)?;
        }
        let mut wants: Vec<&str> = Vec::new();
        for (_, want) in &self.skipped {
            if !wants.contains(&want.as_str()) {
                wants.push(want);
            }
        }
        for want in wants {
            let clauses = self.skipped.iter().filter(|(_, other)| other == want);
            let clauses: Vec<&str> = clauses.map(|(clause, _)| clause.as_str()).collect();
            write!(f, "\n{}: skipped, {want}: {}", self.subject, clauses.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.promise, self.clause, self.seen)
    }
}
