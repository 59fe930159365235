//! The suite for transports, against a [`TestServer`](crate::server::TestServer).

mod clauses;
mod connections;
mod errors;
mod fidelity;
mod giving_up;
mod once;
mod redirects;
mod run;
mod streaming;
mod world;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth_core::{BoxFuture, Transport};

use super::Report;
use clauses::{Asks, CLAUSES, Clause};

type Make = Arc<dyn Fn() -> Arc<dyn Transport> + Send + Sync>;
type BlockOn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// Judges a transport by every clause that needs nothing but itself: [`TransportSuite::run`] and [`Report::assert`] in one.
///
/// `make` is called for each clause, on the clause's thread.
///
/// # Panics
///
/// If a clause is not kept, with all that are not, each with the promise it breaks.
#[track_caller]
pub fn transport<T: Transport>(make: impl Fn() -> T + Send + Sync + 'static) {
    TransportSuite::new(make).run().assert();
}

/// A suite for a transport, with choices.
///
/// Each clause runs on a thread of its own, with a server of its own, on the `futures` executor: a transport that needs
/// a runtime has to find it from there, or be given an executor with [`block_on`](Self::block_on). Nothing is slept for.
/// A clause that has not ended by its deadline has failed, and its thread is left behind.
///
/// ```no_run
/// use auth_testkit::conformance::TransportSuite;
/// # use auth_core::Transport;
/// # fn example(mine: impl Fn() -> Box<dyn Transport> + Send + Sync + Clone + 'static) {
/// let report = TransportSuite::new(mine.clone())
///     .http2(mine.clone())
///     .impatient(mine.clone())
///     .following_redirects(mine)
///     .gap("once_safe", "the library sends a GET again, and cannot be told not to")
///     .run();
///
/// println!("{report}");
/// report.assert();
/// # }
/// ```
#[must_use]
pub struct TransportSuite {
    make: Make,
    http2: Option<Make>,
    impatient: Option<Make>,
    following: Option<Make>,
    block_on: BlockOn,
    deadline: Duration,
    gaps: Vec<(String, String)>,
    only: Option<Vec<String>>,
}

impl TransportSuite {
    /// A suite for the transports that `make` makes, over HTTP/1.1. Each has to reach 127.0.0.1 past any proxy.
    pub fn new<T: Transport>(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self {
            make: boxed(make),
            http2: None,
            impatient: None,
            following: None,
            block_on: Arc::new(futures::executor::block_on),
            deadline: Duration::from_secs(30),
            gaps: Vec::new(),
            only: None,
        }
    }

    /// All clauses once more, as `http2/…`, with transports that begin with HTTP/2 without TLS ("prior knowledge").
    pub fn http2<T: Transport>(mut self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        self.http2 = Some(boxed(make));
        self
    }

    /// The clause `timeout`, with transports that give up an answer after a time of their own, of 100 ms or so.
    pub fn impatient<T: Transport>(mut self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        self.impatient = Some(boxed(make));
        self
    }

    /// The clauses `followed…`, with transports that were told to follow redirects.
    pub fn following_redirects<T: Transport>(mut self, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        self.following = Some(boxed(make));
        self
    }

    /// Runs each clause with this.
    pub fn block_on(mut self, block_on: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static) -> Self {
        self.block_on = Arc::new(block_on);
        self
    }

    /// How long one clause may take before it has failed. Default: 30 s, since machines may be busy.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// A clause that this transport is known not to keep. It is not tried, and the report says why.
    pub fn gap(mut self, clause: impl Into<String>, reason: impl Into<String>) -> Self {
        self.gaps.push((clause.into(), reason.into()));
        self
    }

    /// Only these clauses.
    pub fn only<S: Into<String>>(mut self, clauses: impl IntoIterator<Item = S>) -> Self {
        self.only = Some(clauses.into_iter().map(Into::into).collect());
        self
    }

    /// The names of all clauses, and what the documentation of [`Transport`] says to each.
    pub fn clauses() -> impl Iterator<Item = (&'static str, &'static str)> {
        CLAUSES.iter().map(|clause| (clause.name, clause.promise))
    }

    /// Tries the clauses, one after the other, blocking the thread.
    ///
    /// # Panics
    ///
    /// If a gap, or one of the only clauses, is none of the suite's.
    #[track_caller]
    pub fn run(self) -> Report {
        let http1 = CLAUSES.iter().map(|clause| (clause.name.to_owned(), clause, self.maker(clause.asks)));
        let http2 = CLAUSES.iter().filter(|clause| clause.asks == Asks::Nothing);
        let http2 = http2.map(|clause| (format!("http2/{}", clause.name), clause, self.http2.clone()));
        let all: Vec<(String, &'static Clause, Option<Make>)> = http1.chain(http2).collect();
        let named = self.gaps.iter().map(|(name, _)| name).chain(self.only.iter().flatten());
        for name in named {
            assert!(all.iter().any(|(known, ..)| known == name), "the suite has no clause {name:?}");
        }

        let mut report = Report { subject: "transport", ..Report::default() };
        for (name, clause, make) in all {
            let Some(make) = make else { continue };
            if self.only.as_ref().is_some_and(|only| !only.contains(&name)) {
                continue;
            }
            match self.gaps.iter().find(|(gap, _)| *gap == name) {
                Some(gap) => report.gaps.push(gap.clone()),
                None => run::one(name, clause, make, &self.block_on, self.deadline, &mut report),
            }
        }
        report
    }

    fn maker(&self, asks: Asks) -> Option<Make> {
        match asks {
            Asks::Nothing => Some(Arc::clone(&self.make)),
            Asks::Impatient => self.impatient.clone(),
            Asks::Following => self.following.clone(),
        }
    }
}

impl fmt::Debug for TransportSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportSuite")
            .field("deadline", &self.deadline)
            .field("gaps", &self.gaps)
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

fn boxed<T: Transport>(make: impl Fn() -> T + Send + Sync + 'static) -> Make {
    Arc::new(move || Arc::new(make()))
}
