//! The session: one identity at a time, and the coordinator that keeps its tokens fresh.
//!
//! `state` decides, `books` know what the store should hold, `queue` orders the waiters: plain data, no I/O. `core` locks
//! the state and does what follows; `drive`, `load` and `ledger` are the tasks; `turn`, `lease` and `watch` are what callers
//! hold.

mod ahead;
mod attempts;
mod books;
pub(crate) mod bounded;
mod builder;
mod core;
mod drive;
mod flight;
mod lease;
mod ledger;
mod listen;
mod load;
mod policy;
mod queue;
mod reentry;
mod rest;
#[cfg(test)]
#[cfg(auth_shuttle)]
mod schedules;
mod state;
#[cfg_attr(not(feature = "tracing"), path = "session/trace/off.rs")]
mod trace;
mod turn;
mod wait;
mod watch;

pub use builder::SessionBuilder;
pub(crate) use builder::standalone;
pub use lease::{Lease, Stamp};
pub use policy::{PersistFailure, ReplayOrder};
pub use turn::{Start, Turn};
pub use wait::Written;
pub use watch::Watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use self::core::Core;
use self::state::Ask;
use self::wait::WaitTurn;
use crate::contain::wake;
use crate::event::{Event, SessionState};
use crate::sessions::Guest;
use crate::{AccessToken, Counters, Error, ErrorKind, Refresher, Runtime, Scheme, Tokens};

/// One identity at a time, and the coordinator that keeps its tokens fresh. Cheap to clone: every clone is the same session.
///
/// An [`AuthClient`](crate::AuthClient) uses it for you. Use it directly to sign in and out, to watch, and in a client of
/// your own:
///
/// 1. [`lease`](Session::lease) what a request may carry, and start the request in its [`Turn`].
/// 2. The server rejects it? [`recover`](Session::recover) with the lease's stamp: one refresh, however many requests ask,
///    and a new turn for each, in the order in which they asked.
/// 3. The request cannot be sent again? [`reject`](Session::reject) instead: the refresh happens, nobody waits.
///
/// # Cancel safety
///
/// Every future may be dropped at any time. A refresh goes on without those who waited for it, and its result is saved; a
/// waiter that is dropped gives up its place in the queue. [`sign_in`](Session::sign_in) and [`sign_out`](Session::sign_out)
/// act when they are called, awaited or not.
///
/// # Deadlocks
///
/// A refresher or a store that waits for its own session gets [`ErrorKind::Reentrant`]. Do not block a thread on a session
/// from inside its listeners.
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
    /// Where it came from a pool: tells the pool when nobody holds it any more. Dropped after the handle.
    #[expect(dead_code, reason = "held for its destructor")]
    guest: Option<Arc<Guest>>,
}

/// The last one closes the watches. Tasks hold the core alone, so a flight under way keeps nobody watching.
struct Handle {
    core: Arc<Core>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.stop_timer();
        for waker in self.core.watched.close() {
            wake(waker);
        }
    }
}

impl Session {
    /// A session that refreshes with this. Everything else has a default.
    pub fn builder(refresher: impl Refresher) -> SessionBuilder {
        SessionBuilder::new(Arc::new(refresher))
    }

    pub(crate) fn from_core(core: Core) -> Self {
        Self { handle: Arc::new(Handle { core: Arc::new(core) }), guest: None }
    }

    /// The same session, handed out by a pool.
    pub(crate) fn lent(&self, guest: Arc<Guest>) -> Self {
        Self { handle: Arc::clone(&self.handle), guest: Some(guest) }
    }

    #[inline]
    fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// Signs in with these tokens, whoever was signed in before: their waiters fail, their requests under way are not
    /// replayed, and a refresh of theirs that still brings something is discarded and offered to
    /// [`Refresher::revoke`].
    ///
    /// In force when the call returns. Awaiting the result waits for the store; an error of kind
    /// [`Store`](ErrorKind::Store) means that it holds something else, and the session goes on from memory.
    /// With [`InvalidToken`](ErrorKind::InvalidToken) nothing has changed.
    pub fn sign_in(&self, tokens: Tokens) -> Written {
        let core = self.core();
        let candidate = core.candidate(tokens.with_sign_in_id(Some(core.sign_in_id())), false);
        let header = match candidate.header.clone() {
            Ok(header) => header,
            Err(error) => return Written::failed(error.into()),
        };
        core.look_now();
        let receiver = core.change(|state, after| {
            let (number, leftovers) = state.sign_in(candidate, header, &core.policy);
            after.leave(leftovers, &Error::new(ErrorKind::SessionChanged));
            after.event(Event::SignedIn { epoch: state.epoch() });
            after.write();
            state.books.wait(number)
        });
        Written::waiting(core, receiver)
    }

    /// Signs out: nobody is signed in when the call returns, in memory, and the store is cleared. Waiters fail as
    /// [`SignedOut`](ErrorKind::SignedOut). The pair is offered to [`Refresher::revoke`], or what a refresh under way makes of
    /// it; where the store has not been read yet, the pair that is there.
    ///
    /// Awaiting the result waits for the store, in bounded time. An error of kind [`Store`](ErrorKind::Store) means that the store may
    /// still hold the pair: a session that is made on it would be signed in again. Call it again then, until it succeeds.
    pub fn sign_out(&self) -> Written {
        let core = self.core();
        core.look_now();
        let receiver = core.change(|state, after| {
            let (number, leftovers) = state.sign_out(&core.policy);
            after.leave(leftovers, &Error::new(ErrorKind::SignedOut));
            after.event(Event::SignedOut { epoch: state.epoch() });
            after.write();
            state.books.wait(number)
        });
        Written::waiting(core, receiver)
    }

    /// What the session is doing just now.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.core().change(|state, _| state.session_state())
    }

    /// The session's states as a stream: the current one first, then the newest whenever it has changed.
    pub fn watch(&self) -> Watch {
        Watch::new(&self.core().watched)
    }

    /// What the session has done so far, in sums.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.core().counters()
    }

    /// What a request may carry. A fresh lease is a turn without a place: no lock, no allocation.
    ///
    /// # Errors
    ///
    /// [`SignedOut`](ErrorKind::SignedOut), [`SessionEnded`](ErrorKind::SessionEnded); where the token has expired, what its
    /// refresh failed with; where the store has not been read yet, what that failed with. Nothing was sent.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it gives up its place in the queue.
    #[inline]
    pub fn lease(&self) -> impl Future<Output = Result<Turn, Error>> {
        WaitTurn::look(self.core())
    }

    /// A new turn for a request whose lease was rejected: joins the refresh, or starts it, or has what came of it already.
    ///
    /// # Errors
    ///
    /// [`SessionChanged`](ErrorKind::SessionChanged), [`SignedOut`](ErrorKind::SignedOut) or
    /// [`SessionEnded`](ErrorKind::SessionEnded): do not send it again. [`RefreshUnavailable`](ErrorKind::RefreshUnavailable),
    /// [`Misconfigured`](ErrorKind::Misconfigured), [`ExcessiveRefresh`](ErrorKind::ExcessiveRefresh),
    /// [`QueueFull`](ErrorKind::QueueFull), [`Reentrant`](ErrorKind::Reentrant).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it gives up its place in the queue; the refresh goes on.
    #[inline]
    pub fn recover(&self, rejected: Stamp) -> impl Future<Output = Result<Turn, Error>> {
        WaitTurn::new(self.core(), Some(rejected))
    }

    /// Tells the session that the server rejected this lease, without a place and without waiting: the refresh starts, if it
    /// has not. A token that has been replaced since is nothing new.
    ///
    /// # Errors
    ///
    /// As [`recover`](Session::recover), where that would fail at once.
    pub fn reject(&self, rejected: Stamp) -> Result<(), Error> {
        self.core().ask(Ask::Told(rejected), false).map(|_| ())
    }

    /// Refreshes though nobody rejected the token: after a change of rights, say. Passes cooldown and window.
    ///
    /// `None` knows nothing: it joins a refresh that is up, else starts one. With the stamp of the token one knows, nothing
    /// is refreshed that has been replaced since: the current lease comes back.
    ///
    /// # Errors
    ///
    /// As [`recover`](Session::recover). [`SessionEnded`](ErrorKind::SessionEnded) where it cannot be refreshed: the session
    /// itself goes on for as long as its access token is good.
    pub async fn refresh(&self, known: Option<Stamp>) -> Result<Lease, Error> {
        self.core().outcome(Ask::Forced(known)).await
    }

    /// The access token, valid for at least this long where a refresh can do that; a refresh that gives a shorter one is not
    /// repeated. For use outside the client: a websocket's first message, another library.
    ///
    /// # Errors
    ///
    /// As [`lease`](Session::lease).
    pub async fn access_token(&self, min_validity: Duration) -> Result<AccessToken, Error> {
        let asked_as = self.core().published().map(|newest| newest.stamp.epoch);
        let lease = match self.core().outcome(Ask::Valid(min_validity)).await {
            Ok(lease) => lease,
            // What is still valid is better than the failure to make it valid for longer; but it has to be the same sign-in's.
            Err(error) => asked_as.and_then(|epoch| self.core().valid(epoch)).ok_or(error)?,
        };
        lease.access_token().cloned().ok_or_else(|| Error::new(ErrorKind::SessionChanged))
    }

    /// The newest lease of the sign-in that this one is of, whatever its age: for a request that is made once more without
    /// having been rejected.
    pub(crate) fn again(&self, stamp: Stamp) -> Result<Turn, Error> {
        self.core().at_turn(stamp.epoch).map(Turn::free)
    }

    /// Whether the headers hold the scheme's already, as far as its name is known.
    pub(crate) fn is_authorized(&self, headers: &HeaderMap) -> bool {
        match &*self.core().newest() {
            Some(snapshot) => headers.contains_key(snapshot.header_name()),
            None => self.scheme().header().is_some_and(|name| headers.contains_key(name)),
        }
    }

    pub(crate) fn scheme(&self) -> &dyn Scheme {
        &*self.core().scheme
    }

    pub(crate) fn runtime(&self) -> &dyn Runtime {
        &*self.core().runtime
    }

    /// A request is sent again.
    pub(crate) fn replayed(&self, event: impl FnOnce() -> Event) {
        self.core().replayed(event);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &self.state()).finish_non_exhaustive()
    }
}
