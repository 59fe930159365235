//! The suite for transports, against a [`TestServer`](crate::server::TestServer).

mod clauses;
mod connections;
mod errors;
mod fidelity;
mod giving_up;
mod once;
mod redirects;
mod streaming;
mod world;

use std::sync::Arc;

use auth_core::Transport;

use super::Report;
use super::choices::{Choices, choices};
use super::trial::{Begin, Outcome, Stage, Trial};
use clauses::{Asks, CLAUSES, TransportClause};
use world::World;

type Make = Arc<dyn Fn() -> Arc<dyn Transport> + Send + Sync>;

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
    choices: Choices,
}

choices!(TransportSuite);

impl TransportSuite {
    /// A suite for the transports that `make` makes, over HTTP/1.1. Each has to reach 127.0.0.1 past any proxy.
    pub fn new<T: Transport>(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { make: boxed(make), http2: None, impatient: None, following: None, choices: Choices::default() }
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
        let http1 =
            CLAUSES.iter().map(|clause| trial(clause.name.to_owned(), clause, self.maker(clause.asks)));
        let http2 = CLAUSES.iter().filter(|clause| clause.asks == Asks::Nothing);
        let again = self.http2.as_ref().ok_or("without `http2`");
        let http2 = http2.map(|clause| trial(format!("http2/{}", clause.name), clause, again));

        self.choices.run("transport", http1.chain(http2).collect())
    }

    fn maker(&self, asks: Asks) -> Result<&Make, &'static str> {
        match asks {
            Asks::Nothing => Ok(&self.make),
            Asks::Impatient => self.impatient.as_ref().ok_or("without `impatient`"),
            Asks::Following => self.following.as_ref().ok_or("without `following_redirects`"),
        }
    }
}

fn trial(name: String, clause: &'static TransportClause, make: Result<&Make, &'static str>) -> Trial {
    let begin = make.cloned().map_err(str::to_owned).map(|make| -> Begin {
        Box::new(move |stage: Stage| {
            Box::pin(async move {
                Outcome::Tried(match World::new(make(), stage) {
                    Ok(world) => (clause.check)(world).await,
                    Err(error) => Err(format!("no server could be started: {error}")),
                })
            })
        })
    });
    Trial { name, promise: clause.promise, begin }
}

fn boxed<T: Transport>(make: impl Fn() -> T + Send + Sync + 'static) -> Make {
    Arc::new(move || Arc::new(make()))
}
