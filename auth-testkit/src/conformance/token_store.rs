//! The suite for token stores. It needs nothing but the store.

mod changes;
mod clauses;
mod content;
mod giving_up;
mod guards;
mod locking;
mod samples;
mod secrets;
mod sharing;
mod waiting;
mod world;

use std::fmt;
use std::sync::Arc;

use auth_core::{BoxFuture, TokenStore};
use futures::FutureExt as _;

use super::Report;
use super::choices::{Choices, choices};
use super::trial::{Begin, Outcome, Trial};
use clauses::{Asks, CLAUSES, StoreClause};
use world::{Handle, Place, World};

/// Judges a token store by every clause that needs nothing but itself: [`TokenStoreSuite::run`] and [`Report::assert`] in
/// one.
///
/// `make` makes a place that nobody has used, several for a clause. `open` opens the store there: each call is another
/// handle on what the place holds, as another session has one, or the same program after a restart.
///
/// ```
/// use auth_core::MemoryStore;
///
/// auth_testkit::conformance::token_store(MemoryStore::new, MemoryStore::clone);
/// ```
///
/// Here the clones of a store are the handles. In an [`Arc`] any store has such clones; a file has paths:
///
/// ```
/// # use auth_core::MemoryStore;
/// # use std::path::PathBuf;
/// # use std::sync::Arc;
/// # fn example(temporary_directory: fn() -> PathBuf) {
/// # use auth_testkit::conformance::token_store;
/// # struct FileStore;
/// # impl FileStore { fn new(_: PathBuf) -> MemoryStore { MemoryStore::new() } }
/// token_store(|| Arc::new(MemoryStore::new()), Arc::clone);
/// token_store(temporary_directory, |place| FileStore::new(place.join("tokens.json")));
/// # }
/// ```
///
/// # Panics
///
/// If a clause is not kept, with all that are not, each with the promise it breaks.
#[track_caller]
pub fn token_store<P, S>(
    make: impl Fn() -> P + Send + Sync + 'static,
    open: impl Fn(&P) -> S + Send + Sync + 'static,
) where
    P: Send + Sync + 'static,
    S: TokenStore,
{
    TokenStoreSuite::new(make, open).run().assert();
}

/// A suite for a token store, with choices. `P` is the place, `S` the store that is opened there.
///
/// Each clause runs on a thread of its own, with places of its own, on the `futures` executor: a store that needs a
/// runtime has to be given one with [`block_on`](Self::block_on). Nothing is slept for. A clause that has not ended by its
/// deadline has failed, and its thread is left behind. The store is used as an `Arc<dyn TokenStore>`.
///
/// Handles of one process stand in for other processes, and a call that is dropped half-way for a crash: what only another
/// process, or a crash, brings to light the suite cannot see; `ProcessSuite` can (feature `processes`).
///
/// A store that has no lock, since one session owns it, is judged without the clauses about the lock and about several
/// sessions. The report names them as skipped, and so it does with those whose choice was not made.
///
/// ```
/// use auth_testkit::ScriptedStore;
/// use auth_testkit::conformance::TokenStoreSuite;
///
/// let shared = || {
///     let (store, handle) = ScriptedStore::new();
///     handle.lockable();
///     (store, handle)
/// };
/// let report = TokenStoreSuite::new(shared, |(store, _)| store.clone())
///     .shared()
///     .debug()
///     .steal(|(_, handle)| {
///         handle.lose_lock();
///         async {}
///     })
///     .gap("long", "the column is short")
///     .run();
///
/// println!("{report}");
/// report.assert();
/// ```
#[must_use]
pub struct TokenStoreSuite<P, S> {
    make: Arc<dyn Fn() -> P + Send + Sync>,
    open: Open<P, S>,
    debug: Option<fn(&S) -> String>,
    steal: Option<Act<P>>,
    failing: Option<Act<P>>,
    garbled: Option<Act<P>>,
    shared: bool,
    choices: Choices,
}

type Open<P, S> = Arc<dyn Fn(&P) -> BoxFuture<'static, S> + Send + Sync>;

/// What is done to a place from outside.
type Act<P> = Arc<dyn Fn(&P) -> BoxFuture<'static, ()> + Send + Sync>;

choices!(TokenStoreSuite<P, S>);

impl<P: Send + Sync + 'static, S: TokenStore> TokenStoreSuite<P, S> {
    /// A suite for the stores that `open` opens in the places that `make` makes. See [`token_store`].
    pub fn new(
        make: impl Fn() -> P + Send + Sync + 'static,
        open: impl Fn(&P) -> S + Send + Sync + 'static,
    ) -> Self {
        Self::connecting(make, move |place| std::future::ready(open(place)))
    }

    /// As [`new`](Self::new), for stores that take some time to open.
    pub fn connecting<F>(
        make: impl Fn() -> P + Send + Sync + 'static,
        open: impl Fn(&P) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = S> + Send + 'static,
    {
        Self {
            make: Arc::new(make),
            open: Arc::new(move |place| open(place).boxed()),
            debug: None,
            steal: None,
            failing: None,
            garbled: None,
            shared: false,
            choices: Choices::default(),
        }
    }

    /// Several sessions share a place. The clauses about the lock fail where the store has none, and are not skipped.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// The clause `debug`, by the store's [`Debug`](fmt::Debug).
    pub fn debug(mut self) -> Self
    where
        S: fmt::Debug,
    {
        self.debug = Some(|store| format!("{store:?} {store:#?}"));
        self
    }

    /// The clauses `lost…`, with this to take the lock away from whoever has it, as if its lease had run out or its
    /// connection had died. From then on the lock can be had by others.
    pub fn steal<F>(mut self, steal: impl Fn(&P) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.steal = Some(act(steal));
        self
    }

    /// The clauses `failed…`, with this to make saves fail in a place, after one went well: no room is left, the table
    /// cannot be written. Loads may fail as well, or go on.
    pub fn failing<F>(mut self, fail: impl Fn(&P) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.failing = Some(act(fail));
        self
    }

    /// The clause `garbled`, with this to spoil what is stored in a place: it is there still, and cannot be read. The more
    /// of the token is left in it, the better.
    pub fn garbled<F>(mut self, garble: impl Fn(&P) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.garbled = Some(act(garble));
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
        self.choices.run("token store", trials)
    }

    fn trial(&self, clause: &'static StoreClause) -> Trial {
        let begin =
            self.missing(clause.asks).map_or_else(|| Ok(self.begin(clause)), |want| Err(want.to_owned()));
        Trial { name: clause.name.to_owned(), promise: clause.promise, begin }
    }

    /// What the clause asks for and was not given.
    fn missing(&self, asks: Asks) -> Option<&'static str> {
        match asks {
            Asks::Nothing | Asks::Lock => None,
            Asks::Debug => self.debug.is_none().then_some("without `debug`"),
            Asks::Steal => self.steal.is_none().then_some("without `steal`"),
            Asks::Failing => self.failing.is_none().then_some("without `failing`"),
            Asks::Garbled => self.garbled.is_none().then_some("without `garbled`"),
        }
    }

    fn begin(&self, clause: &'static StoreClause) -> Begin {
        let (places, block_on) = (self.places(), Arc::clone(&self.choices.block_on));
        let needs_lock = matches!(clause.asks, Asks::Lock | Asks::Steal);
        let shared = self.shared;
        Box::new(move |stage| {
            Box::pin(async move {
                let world = World::new(places, block_on, stage);
                if needs_lock {
                    match world.has_lock().await {
                        Ok(true) => {}
                        Ok(false) if shared => return Outcome::Tried(Err("there is no lock".to_owned())),
                        Ok(false) => {
                            return Outcome::Skipped("there is no lock: one session owns it".to_owned());
                        }
                        Err(seen) => return Outcome::Tried(Err(seen)),
                    }
                }
                Outcome::Tried((clause.check)(world).await)
            })
        })
    }

    /// Makes places, whatever their type.
    fn places(&self) -> world::Places {
        let (make, open, debug) = (Arc::clone(&self.make), Arc::clone(&self.open), self.debug);
        let (steal, failing, garbled) = (self.steal.clone(), self.failing.clone(), self.garbled.clone());
        Box::new(move |stage| {
            let place = Arc::new(make());
            let acts = [&steal, &failing, &garbled].map(|act| {
                let (act, place) = (act.clone(), Arc::clone(&place));
                Box::new(move || act.as_ref().map_or_else(|| Box::pin(async {}) as _, |act| act(&place))) as _
            });
            let (open, at) = (Arc::clone(&open), stage.clone());
            let open = Box::new(move || {
                let (opening, stage) = (open(&place), at.clone());
                async move { Handle::new(Arc::new(opening.await), debug, stage) }.boxed()
            });
            Place::new(open, acts, stage)
        })
    }
}

impl TokenStoreSuite<(), ()> {
    /// The names of all clauses, and what the documentation of [`TokenStore`] says to each.
    pub fn clauses() -> impl Iterator<Item = (&'static str, &'static str)> {
        CLAUSES.iter().map(|clause| (clause.name, clause.promise))
    }
}

fn act<P, F: Future<Output = ()> + Send + 'static>(act: impl Fn(&P) -> F + Send + Sync + 'static) -> Act<P> {
    Arc::new(move |place| act(place).boxed())
}
