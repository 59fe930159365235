//! Sessions: a session for each key, in a map that is bounded.
//!
//! `shelf` is the map, plain data under one lock; `guest` tells it when nobody holds a session any more. Everything foreign (the
//! keys' `Hash`, `Eq` and `Clone`, the factory, clocks, drops) happens here, while the lock is free.

mod builder;
mod guest;
mod shelf;

pub use builder::SessionsBuilder;
pub(crate) use guest::Guest;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;

use self::builder::Factory;
use self::guest::Home;
use self::shelf::{Candidate, Reserved, Shelf, Spot, Visit};
use crate::contain::{Panicked, quietly};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, ThreadId, thread};
use crate::{
    Counters, Error, ErrorKind, MaybeSend, MaybeSync, Runtime, Session, SessionBuilder, SessionState,
};

/// How many that have been idle for long enough a `get` looks at.
const SWEEP: usize = 2;
/// How many a `get` looks at to make room, before it says that there is none. Those it has looked at come last for the next
/// one, so that each of many is looked at.
const LOOKS: usize = 64;

/// A session for each key: user, tenant, audience. Bounded; a session that nobody uses is evicted, and loaded from its store
/// when it is asked for again.
///
/// ```
/// use auth_core::{AuthClient, Error, Refresher, Session, Sessions, TokenStore, Transport};
///
/// /// What an API of many tenants is called with.
/// struct Api<T> {
///     transport: T,
///     sessions: Sessions<String>,
/// }
///
/// impl<T: Transport + Clone> Api<T> {
///     fn new<R: Refresher, S: TokenStore>(transport: T, login: fn(&str) -> R, store: fn(&str) -> S) -> Self {
///         let make = move |tenant: &String| Session::builder(login(tenant)).store(store(tenant));
///         Self { transport, sessions: Sessions::builder(make).max(1_000).build() }
///     }
///
///     fn of(&self, tenant: &str) -> Result<AuthClient<T>, Error> {
///         let session = self.sessions.get(tenant)?;
///         AuthClient::builder(self.transport.clone(), session).origin("https://api.example.com").build()
///     }
/// }
/// ```
///
/// # One for each key
///
/// However many ask at once, a key has one session, and so at most one refresh: two sessions would spend one refresh token
/// twice. What [`get`](Self::get) returns is a handle of it, as good as any other. Hold it for as long as you use its leases:
/// a [`Stamp`](crate::Stamp) says nothing to a session that was made anew.
///
/// # Eviction
///
/// A session that nobody holds is *idle*. It is evicted after [`idle`](SessionsBuilder::idle), or before that, the least
/// recently used first, where there are [`max`](SessionsBuilder::max) and another is wanted. Nothing is lost by it. Never
/// evicted is
///
/// - one that somebody holds, waits for, or has a place in the queue of (a [`Turn`](crate::Turn) that had to be waited for);
/// - one with a refresh or a load under way, though nobody waits for it;
/// - one whose store does not hold yet what it should: that is written again when it has been idle;
/// - one that was built without a [`store`](SessionBuilder::store), while somebody is signed in: its tokens are nowhere else. (Tokens
///   that [`acquire`](crate::Refresher::acquire) has brought can be had again.)
/// - one in a cooldown, or whose token was replaced after a rejection within the last 30 s, which counts for
///   [`max_rejections`](SessionBuilder::max_rejections): made anew, it would ask a token endpoint again that wants to be left alone.
///
/// What it was told ends with it: its [`Watch`](crate::Watch)es, and [`refresh_while_idle`](SessionBuilder::refresh_while_idle).
///
/// Eviction needs no timer: each `get` looks at a few. Where there are none for long, call [`evict_idle`](Self::evict_idle).
///
/// # Deadlocks
///
/// No lock is held while foreign code runs: the factory, the keys' `Hash`, `Eq` and `Clone`, and the drop of a session may use
/// the pool. A factory that wants the session it is making, or one whose factory waits for it, gets
/// [`Reentrant`](ErrorKind::Reentrant). Other threads that want a session which is being made block until it is there, so a factory
/// should not wait for anything: what takes its time belongs into the store and the refresher.
pub struct Sessions<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    factory: Box<dyn Factory<K>>,
    max: usize,
    idle: Duration,
    runtime: Arc<dyn Runtime>,
    hasher: RandomState,
    /// Taken before a session's state, and under no other lock.
    shelf: Mutex<Shelf<K>>,
    /// An entry has been made, or could not be.
    made: Condvar,
}

impl<K> Shared<K> {
    fn shelf(&self) -> MutexGuard<'_, Shelf<K>> {
        // Not poisoned by anything foreign: only plain code of this crate runs under it.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Evicts this one, if it may be. Whether it was.
    fn evict(&self, (spot, session): Candidate, theirs: Duration) -> bool {
        let now = self.runtime.elapsed();
        let taken = self.shelf().take(spot, theirs, now);
        let evicted = taken.is_some();
        // Only here, while the lock is free: the last handle closes the watches and drops the parts.
        let _ = quietly(|| drop((taken, session)));
        evicted
    }

    /// The same for one that nobody may have used for long: what it could not save is tried again.
    fn settle(&self, candidate: Candidate) -> bool {
        let theirs = candidate.1.settle();
        self.evict(candidate, theirs)
    }

    fn sweep(&self) {
        let now = self.runtime.elapsed();
        for _ in 0..SWEEP {
            let idle = self.shelf().idle(self.idle, now);
            let Some(candidate) = idle else { return };
            self.settle(candidate);
        }
    }
}

impl<K: MaybeSend + MaybeSync> Home for Shared<K> {
    fn returned(&self, spot: Spot, visit: u64) {
        let now = self.runtime.elapsed();
        self.shelf().returned(spot, visit, now);
    }
}

impl<K: MaybeSend + MaybeSync + 'static> Sessions<K> {
    /// A pool whose sessions are built like this. Everything else has a default.
    ///
    /// The factory is called when a key's session is asked for and there is none, once however many ask. It may use the pool, for
    /// another key. Give each session a store of its key's that outlives it: see [Eviction](Self#eviction).
    pub fn builder(
        factory: impl Fn(&K) -> SessionBuilder + MaybeSend + MaybeSync + 'static,
    ) -> SessionsBuilder<K> {
        SessionsBuilder::new(Box::new(factory))
    }

    /// The session of this key, made where there is none.
    ///
    /// # Errors
    ///
    /// [`QueueFull`](ErrorKind::QueueFull): there are as many as there may be, and each is in use, or not to be
    /// [given up](Self#eviction) yet. Try again later.
    /// [`Misconfigured`](ErrorKind::Misconfigured): the factory panicked. [`Reentrant`](ErrorKind::Reentrant): this was called by
    /// the factory, for the session it makes.
    pub fn get<Q>(&self, key: &Q) -> Result<Session, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let shared = &*self.shared;
        shared.sweep();
        let me = thread::current().id();
        let mut spot = Spot::before(shared.hasher.hash_one(key));
        let (mut owned, mut looks) = (None, LOOKS.min(shared.max));
        loop {
            // Whatever is added meanwhile comes behind this spot: nothing is missed.
            if self.find(key, &mut spot) {
                if let Some(session) = self.enter(spot, me)? {
                    return Ok(session);
                }
                continue;
            }
            let key = owned.get_or_insert_with(|| Arc::new(key.to_owned()));
            let reserved = shared.shelf().reserve(spot, key, me, shared.max);
            match reserved {
                Reserved::At(spot) => return self.make(spot, key),
                Reserved::Look => {}
                Reserved::Full(Some(candidate)) if looks > 0 => {
                    looks -= 1;
                    let theirs = candidate.1.look();
                    shared.evict(candidate, theirs);
                }
                Reserved::Full(_) => {
                    shared.shelf().counters.queue_full += 1;
                    return Err(Error::detailed(
                        ErrorKind::QueueFull,
                        "every session of the pool is in use, or not to be given up yet",
                    ));
                }
            }
        }
    }

    /// Goes on to the entry with this key, or to the last of its hash. Whether it is there.
    fn find<Q>(&self, key: &Q, spot: &mut Spot) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        loop {
            let next = self.shared.shelf().after(*spot);
            let Some((next, other)) = next else { return false };
            *spot = next;
            if (*other).borrow() == key {
                return true;
            }
        }
    }

    /// A handle of this entry's session, as soon as that is made. `None`: it is no longer there.
    fn enter(&self, spot: Spot, me: ThreadId) -> Result<Option<Session>, Error> {
        let home = self.home();
        let mut shelf = self.shared.shelf();
        loop {
            match shelf.visit(spot, me, &home) {
                Visit::In(session) => return Ok(Some(session)),
                Visit::Gone => return Ok(None),
                Visit::Circle => {
                    shelf.counters.reentrant += 1;
                    return Err(Error::detailed(ErrorKind::Reentrant, "its factory asks for it"));
                }
                Visit::Wait => {
                    shelf.wait(me, spot);
                    shelf = self.shared.made.wait(shelf).unwrap_or_else(PoisonError::into_inner);
                    shelf.waited(me);
                }
            }
        }
    }

    /// Makes the session of an entry that is reserved for it.
    fn make(&self, spot: Spot, key: &K) -> Result<Session, Error> {
        let shared = &*self.shared;
        let made = quietly(|| shared.factory.make(key).runtime_or(&shared.runtime).build());
        let home = self.home();
        let (session, unmade) = match made {
            Ok(session) => (Ok(shared.shelf().made(spot, session, &home)), None),
            Err(Panicked) => {
                let error = Error::detailed(ErrorKind::Misconfigured, "the factory panicked");
                (Err(error), shared.shelf().unmade(spot))
            }
        };
        shared.made.notify_all();
        drop(unmade);
        session
    }

    fn home(&self) -> Weak<dyn Home> {
        Arc::downgrade(&self.shared) as _
    }

    /// Evicts this key's session, however recently it was used: after a sign-out, say. Whether the key has none now. It stays where
    /// it is in use, if only through a handle of yours, or has something to do still: what follows a sign-out (a revocation, the
    /// events) may take a moment longer than that. One that has stayed goes in its turn, when it has been idle.
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut spot = Spot::before(self.shared.hasher.hash_one(key));
        while self.find(key, &mut spot) {
            let resting = self.shared.shelf().resting(spot);
            let Some(candidate) = resting else { return false };
            if !self.shared.settle(candidate) {
                return false;
            }
        }
        true
    }

    /// Evicts all that have been idle for long enough; says how many.
    pub fn evict_idle(&self) -> usize {
        let now = self.shared.runtime.elapsed();
        let idle = self.shared.shelf().all_idle(self.shared.idle, now);
        idle.into_iter().map(|candidate| usize::from(self.shared.settle(candidate))).sum()
    }

    /// Looks at each session, in no order: for metrics. That is no use of it.
    pub fn for_each(&self, mut look: impl FnMut(&K, SessionState)) {
        let all = self.shared.shelf().all();
        for (key, session) in all {
            look(&key, session.state());
        }
    }
}

impl<K> Sessions<K> {
    /// How many sessions there are: at most [`max`](SessionsBuilder::max).
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.shelf().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What all sessions have done so far, in sums, those that were evicted included.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.shelf().sum()
    }
}

impl<K> Clone for Sessions<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K> fmt::Debug for Sessions<K> {
    /// Without the keys: they may be names of people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("len", &self.len())
            .field("max", &self.shared.max)
            .finish_non_exhaustive()
    }
}
