//! The suite for refreshers, against a [`TestServer`].

mod acquiring;
mod clauses;
mod failures;
mod granted;
mod lost;
mod presenting;
mod revoking;
mod secrets;
mod together;
mod world;

use std::sync::Arc;

use auth_core::Refresher;

use super::Report;
use super::choices::{Choices, choices};
use super::trial::{Begin, Outcome, Stage, Trial};
use crate::server::{Policy, TestServer};
use clauses::{Asks, CLAUSES, RefresherClause};
use world::World;

type Make = Arc<dyn Fn(&TestServer) -> Arc<dyn Refresher> + Send + Sync>;
type Configure = Arc<dyn Fn(&mut Policy) + Send + Sync>;

/// Judges a refresher by every clause that needs nothing but itself: [`RefresherSuite::run`] and [`Report::assert`] in one.
///
/// `make` is called for each clause, on the clause's thread, with the server whose
/// [`token_endpoint`](TestServer::token_endpoint) it is to use.
///
/// ```no_run
/// # use auth_core::{Refresher, Transport};
/// # use auth_testkit::server::TestServer;
/// # fn my_refresher(token_endpoint: String) -> impl Refresher { auth_testkit::ScriptedRefresher::new().0 }
/// auth_testkit::conformance::refresher(|server: &TestServer| my_refresher(server.token_endpoint()));
/// ```
///
/// # Panics
///
/// If a clause is not kept, with all that are not, each with the promise it breaks.
#[track_caller]
pub fn refresher<R: Refresher>(make: impl Fn(&TestServer) -> R + Send + Sync + 'static) {
    RefresherSuite::new(make).run().assert();
}

/// A suite for a refresher, with choices.
///
/// Each clause runs on a thread of its own, with a server of its own, on the `futures` executor: a refresher whose transport
/// needs a runtime has to bring it, or be given an executor with [`block_on`](Self::block_on). Nothing is slept for. A clause
/// that has not ended by its deadline has failed, and its thread is left behind.
///
/// The server speaks OAuth: a form in (RFC 6749 §6), JSON out. A refresher for a token endpoint of another kind can be judged
/// all the same where its transport can be chosen: with one that translates.
///
/// ```no_run
/// # use auth_core::Refresher;
/// # use auth_testkit::server::TestServer;
/// use auth_testkit::conformance::RefresherSuite;
///
/// # fn example<R: Refresher>(mine: impl Fn(&TestServer) -> R + Send + Sync + 'static) {
/// let report = RefresherSuite::new(mine)
///     .block_on(|clause| tokio::runtime::Runtime::new().expect("a runtime").block_on(clause))
///     .configure(|policy| policy.client_id = Some("notes".to_owned()))
///     .revoking()
///     .gap("retry_after", "the API says it in the body")
///     .run();
///
/// println!("{report}");
/// report.assert();
/// # }
/// ```
#[must_use]
pub struct RefresherSuite {
    make: Make,
    configure: Configure,
    acquiring: bool,
    revoking: bool,
    choices: Choices,
}

choices!(RefresherSuite);

impl RefresherSuite {
    /// A suite for the refreshers that `make` makes for a server. Each has to reach 127.0.0.1 past any proxy.
    pub fn new<R: Refresher>(make: impl Fn(&TestServer) -> R + Send + Sync + 'static) -> Self {
        Self {
            make: Arc::new(move |server| Arc::new(make(server))),
            configure: Arc::new(|_| ()),
            acquiring: false,
            revoking: false,
            choices: Choices::default(),
        }
    }

    /// Changes what each server demands: a `client_id`, say. What a clause is about it sets itself.
    pub fn configure(mut self, change: impl Fn(&mut Policy) + Send + Sync + 'static) -> Self {
        self.configure = Arc::new(change);
        self
    }

    /// For a refresher for which nobody has to sign in and which needs no refresh token: it presents its client's
    /// credentials (RFC 6749 §4.4), in `acquire` and in `refresh`.
    pub fn acquiring(mut self) -> Self {
        self.acquiring = true;
        self
    }

    /// The clause `revokes`, for a refresher that tells the server's
    /// [`revocation_endpoint`](TestServer::revocation_endpoint) of what nobody will use.
    pub fn revoking(mut self) -> Self {
        self.revoking = true;
        self
    }

    /// The names of all clauses, and what the documentation of [`Refresher`] says to each.
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
        let trials = CLAUSES.iter().map(|clause| self.trial(clause)).collect();

        self.choices.run("refresher", trials)
    }

    fn trial(&self, clause: &'static RefresherClause) -> Trial {
        let lacks = match clause.asks {
            Asks::RefreshToken if self.acquiring => Some("with `acquiring`"),
            Asks::Acquiring if !self.acquiring => Some("without `acquiring`"),
            Asks::Revoking if !self.revoking => Some("without `revoking`"),
            _ => None,
        };
        let (make, configure, acquiring) =
            (Arc::clone(&self.make), Arc::clone(&self.configure), self.acquiring);
        let begin: Begin = Box::new(move |stage: Stage| {
            Box::pin(async move {
                Outcome::Tried(match World::new(make, configure, acquiring, stage) {
                    Ok(world) => (clause.check)(world).await,
                    Err(error) => Err(error),
                })
            })
        });
        let begin = lacks.map_or(Ok(begin), |lacks| Err(lacks.to_owned()));
        Trial { name: clause.name.to_owned(), promise: clause.promise, begin }
    }
}
