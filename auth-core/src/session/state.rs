//! The state: the whole policy of a session as plain data and plain functions. No lock, no await, no clock but the time
//! it is given.
//!
//! Everything a session decides, it decides in [`State::ask`], and acts on under the same lock, so that nothing slips
//! between the check and the join. The rows are numbered as in `ARCHITECTURE.md`; the first that matches wins.
//!
//! A rejected request:
//!
//! | # | its stamp, and the state | decision |
//! | --- | --- | --- |
//! | 1 | other epoch, somebody is signed in | `SessionChanged` |
//! | 2 | other epoch and nobody is signed in; or ended | `SignedOut`; `SessionEnded` |
//! | 3 | older generation | as a new request (6–13) |
//! | 4 | newest; a flight is up | mark *rejected*, join |
//! | 5a | newest; draining, or it cannot be refreshed | the session ends |
//! | 5b | newest; cooldown runs | mark *rejected*; the failed flight's error |
//! | 5c | newest; the window of rejections is full | `ExcessiveRefresh` |
//! | 5d | newest | mark *rejected*, start the flight |
//!
//! A new request:
//!
//! | # | the state | decision |
//! | --- | --- | --- |
//! | 6 | not loaded yet | start or join the load (a failed `acquire` cools down) |
//! | 7 | signed out; ended | `SignedOut`; `SessionEnded` |
//! | 8 | a flight is up, and the token is rejected or expired | join |
//! | 9 | fresh | use it |
//! | 10 | soft window | use it, and start a flight in the background |
//! | 11 | expired; draining or it cannot be refreshed | the session ends |
//! | 12 | expired; cooldown runs | the failed flight's error |
//! | 13 | expired | start the flight, join |

mod candidate;
mod identity;
mod landing;
mod rest;

pub(crate) use candidate::{Candidate, Times};
pub(crate) use identity::Leftovers;
pub(crate) use landing::{Landing, Obtained};

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::books::Books;
use super::flight::{Flight, Promise};
use super::lease::{Snapshot, Stamp};
use super::policy::Policy;
use crate::event::{Cause, EndReason, FlightId, SessionState};
use crate::planted::Fault;
use crate::{Counters, Error, ErrorKind, Tokens};

pub(crate) struct State {
    pub(crate) books: Books,
    pub(super) epoch: u64,
    /// This epoch's first tokens came from the refresher, not from a person: they can be had again.
    pub(super) acquires: bool,
    pub(super) phase: Phase,
    /// The flight that is up. It belongs to the current epoch and replaces the newest token.
    pub(super) flight: Option<Slot>,
    /// A flight that was ended from outside because its deadline had passed, and whose driver has not been heard of
    /// since: it may still bring its answer, until another flight presents the pair.
    pub(super) lapsed: Option<Arc<Flight>>,
    pub(super) load: Option<Loading>,
    pub(super) cooldown: Option<Cooldown>,
    pub(super) failures: u32,
    /// When, in this epoch, the flights succeeded that row 5d had started.
    pub(super) window: VecDeque<Duration>,
    /// Flights of this epoch that have landed and whose queues may still drain.
    pub(super) landed: Vec<Weak<Flight>>,
    /// Flights and loads of epochs that are over, which may still hold the store's lock until then.
    pub(super) orphans: Vec<(FlightId, Duration)>,
    /// What has been taken out and may run foreign code when it is dropped: for whoever has left the lock.
    pub(crate) trash: Trash,
    pub(crate) counters: Counters,
    next_id: u64,
}

/// Errors have foreign causes, flights have wakers.
#[derive(Default)]
pub(crate) struct Trash {
    pub(super) errors: Vec<Error>,
    pub(super) flights: Vec<Arc<Flight>>,
}

pub(super) enum Phase {
    Unknown,
    SignedOut,
    Active(Box<Active>),
    Ended(EndReason, Error),
}

/// Somebody is signed in.
pub(super) struct Active {
    /// The newest generation: what requests carry.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) times: Times,
    /// What the next refresh presents and what the store should hold. The snapshot's own tokens, but for a pair that was
    /// obtained or adopted and is not published.
    pub(super) pair: Arc<Tokens>,
    pub(super) refreshable: bool,
    pub(super) refresh_expires: Option<Duration>,
    /// The newest generation was rejected by the server.
    pub(super) rejected: bool,
    /// The refresh token is dead, and why.
    pub(super) draining: Option<(EndReason, Error)>,
    /// The pair was presented, and the answer may have been lost.
    pub(super) lost: bool,
}

pub(super) struct Slot {
    pub(super) flight: Arc<Flight>,
    pub(super) deadline: Duration,
    /// The refresher has answered: this is published once its save was answered, or the deadline has passed.
    pub(super) obtained: Option<Candidate>,
}

pub(super) struct Loading {
    pub(super) promise: Arc<Promise>,
    pub(super) id: FlightId,
    pub(super) deadline: Duration,
}

pub(super) struct Cooldown {
    pub(super) until: Duration,
    pub(super) error: Error,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// A new request.
    New,
    /// A request whose lease was rejected.
    Rejected(Stamp),
    /// The same, but it will not wait and needs no lease.
    Told(Stamp),
    /// A forced refresh by somebody who knows this stamp, or none.
    Forced(Option<Stamp>),
    /// Somebody who needs a token that is valid for this long.
    Valid(Duration),
}

/// What a timer that refreshes while nobody asks has to do.
#[derive(Debug)]
pub(crate) enum Ahead {
    /// Nothing, for this token.
    Never,
    /// Look again then, by `elapsed`.
    At(Duration),
    /// Wait for this flight, then look again.
    Wait(Arc<Flight>),
    /// Start this flight, wait for it, then look again.
    Start(Arc<Flight>),
}

/// What is to be done, with everything it needs.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Use the newest lease.
    Use(Arc<Snapshot>),
    /// Use it, and start this flight in the background.
    UseAndStart(Arc<Snapshot>, Arc<Flight>),
    /// Wait for this flight.
    Join(Arc<Flight>),
    /// Start this flight, and wait for it.
    Start(Arc<Flight>),
    /// Wait for this load, then ask again.
    Load(Arc<Promise>),
    /// Start this load, wait for it, then ask again.
    StartLoad(FlightId, Arc<Promise>),
    /// Nothing more to do.
    Nothing,
    /// This failed.
    Fail(Error),
    /// The session has ended with this.
    End(EndReason, Error),
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            books: Books::new(),
            epoch: 0,
            acquires: false,
            phase: Phase::Unknown,
            flight: None,
            lapsed: None,
            load: None,
            cooldown: None,
            failures: 0,
            window: VecDeque::new(),
            landed: Vec::new(),
            orphans: Vec::new(),
            trash: Trash::default(),
            counters: Counters::default(),
            next_id: 0,
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The one decision. The caller acts on it under the same lock.
    pub(crate) fn ask(&mut self, ask: Ask, now: Duration, policy: &Policy) -> Decision {
        match ask {
            Ask::New => self.new_request(now, policy),
            Ask::Rejected(stamp) => self.rejected(stamp, now, policy),
            Ask::Told(stamp) => match self.foreign(stamp.epoch) {
                None if self.is_older(stamp) => {
                    self.counters.late += 1;
                    Decision::Nothing
                }
                _ => self.rejected(stamp, now, policy),
            },
            Ask::Forced(known) => self.forced(known, now, policy),
            Ask::Valid(least) => self.valid_for(least, now, policy),
        }
    }

    fn rejected(&mut self, stamp: Stamp, now: Duration, policy: &Policy) -> Decision {
        // 1, 2
        if let Some(refusal) = self.foreign(stamp.epoch).filter(|_| !policy.planted.has(Fault::CrossIdentity))
        {
            return Decision::Fail(refusal);
        }
        // 3
        if self.is_older(stamp) {
            self.counters.late += 1;
            return self.new_request(now, policy);
        }
        let excessive = self.excessive(now, policy);
        let cooling = self.cooling(now);
        let Phase::Active(active) = &mut self.phase else {
            return self.new_request(now, policy);
        };
        // 4
        if let Some(slot) = self.flight.as_ref().filter(|_| !policy.planted.has(Fault::DoubleRefresh)) {
            active.rejected = true;
            return Decision::Join(Arc::clone(&slot.flight));
        }
        // 5a
        if let Some((reason, error)) = active.why_not_refresh(now) {
            return self.end(reason, error);
        }
        // 5b
        if let Some(error) = cooling {
            active.rejected = true;
            self.counters.cooled += 1;
            return Decision::Fail(error);
        }
        // 5c
        if let Some(after) = excessive {
            self.counters.excessive += 1;
            return Decision::Fail(Error::retry_after(ErrorKind::ExcessiveRefresh, after));
        }
        // 5d
        active.rejected = true;
        Decision::Start(self.start(Cause::Rejected, now, policy))
    }

    fn new_request(&mut self, now: Duration, policy: &Policy) -> Decision {
        let cooling = self.cooling(now);
        match &self.phase {
            // 6
            Phase::Unknown => match (&self.load, cooling) {
                (Some(loading), _) => Decision::Load(Arc::clone(&loading.promise)),
                (None, Some(error)) => {
                    self.counters.cooled += 1;
                    Decision::Fail(error)
                }
                (None, None) => self.start_load(now, policy),
            },
            // 7
            Phase::SignedOut => Decision::Fail(Error::new(ErrorKind::SignedOut)),
            Phase::Ended(_, error) => Decision::Fail(error.clone()),
            Phase::Active(active) => {
                let expired = active.times.is_expired(now);
                // 8
                if let Some(slot) = self.flight.as_ref().filter(|_| expired || active.rejected) {
                    return Decision::Join(Arc::clone(&slot.flight));
                }
                let why_not = active.why_not_refresh(now);
                if !expired {
                    let snapshot = Arc::clone(&active.snapshot);
                    let soft = active.times.is_soft(now);
                    // 10
                    if soft && self.flight.is_none() && cooling.is_none() && why_not.is_none() {
                        return Decision::UseAndStart(snapshot, self.start(Cause::Proactive, now, policy));
                    }
                    // 9
                    return Decision::Use(snapshot);
                }
                // 11
                if let Some((reason, error)) = why_not {
                    return self.end(reason, error);
                }
                // 12
                if let Some(error) = cooling {
                    self.counters.cooled += 1;
                    return Decision::Fail(error);
                }
                // 13
                Decision::Start(self.start(Cause::Proactive, now, policy))
            }
        }
    }

    /// A forced refresh: passes cooldown and window, and never ends the session by itself.
    fn forced(&mut self, known: Option<Stamp>, now: Duration, policy: &Policy) -> Decision {
        if let Some(stamp) = known {
            if let Some(refusal) = self.foreign(stamp.epoch) {
                return Decision::Fail(refusal);
            }
            if self.is_older(stamp) {
                return self.new_request(now, policy);
            }
        }
        let Phase::Active(active) = &self.phase else {
            return self.new_request(now, policy);
        };
        if let Some(slot) = &self.flight {
            return Decision::Join(Arc::clone(&slot.flight));
        }
        if let Some((_, error)) = active.why_not_refresh(now) {
            return Decision::Fail(error);
        }
        Decision::Start(self.start(Cause::Forced, now, policy))
    }

    /// As a new request, but a token that is valid for less than `least` is refreshed, where that can help.
    fn valid_for(&mut self, least: Duration, now: Duration, policy: &Policy) -> Decision {
        let cooling = self.cooling(now);
        let Phase::Active(active) = &self.phase else {
            return self.new_request(now, policy);
        };
        if active.times.is_expired(now) || active.times.is_good_for(least, now) {
            return self.new_request(now, policy);
        }
        if let Some(slot) = &self.flight {
            return Decision::Join(Arc::clone(&slot.flight));
        }
        // It is valid, if not for as long: better than nothing where nothing better can be had now.
        if cooling.is_some() || active.why_not_refresh(now).is_some() {
            return Decision::Use(Arc::clone(&active.snapshot));
        }
        Decision::Start(self.start(Cause::Proactive, now, policy))
    }

    /// What a timer does that refreshes while nobody asks: as row 10, and as row 13 where that was slept through. It starts
    /// nothing before `earliest`.
    pub(crate) fn ahead(&mut self, earliest: Duration, now: Duration, policy: &Policy) -> Ahead {
        let Phase::Active(active) = &self.phase else { return Ahead::Never };
        if let Some(slot) = &self.flight {
            return Ahead::Wait(Arc::clone(&slot.flight));
        }
        let Some(due) = active.times.soft.or(active.times.expires) else { return Ahead::Never };
        if active.why_not_refresh(now).is_some() {
            return Ahead::Never;
        }
        let cooled = self.cooldown.as_ref().map_or(Duration::ZERO, |cooldown| cooldown.until);
        let then = due.max(cooled).max(earliest);
        if now < then { Ahead::At(then) } else { Ahead::Start(self.start(Cause::Proactive, now, policy)) }
    }

    /// Rows 1 and 2: why a request that was decided for this epoch must not go on, if it must not.
    pub(crate) fn foreign(&self, epoch: u64) -> Option<Error> {
        match &self.phase {
            Phase::Active(_) if epoch == self.epoch => None,
            Phase::Ended(_, error) => Some(error.clone()),
            Phase::SignedOut => Some(Error::new(ErrorKind::SignedOut)),
            Phase::Active(_) | Phase::Unknown => Some(Error::new(ErrorKind::SessionChanged)),
        }
    }

    /// Whether the stamp is of this epoch, and older than the newest.
    fn is_older(&self, stamp: Stamp) -> bool {
        self.newest()
            .is_some_and(|newest| stamp.epoch == newest.epoch && stamp.generation < newest.generation)
    }

    fn newest(&self) -> Option<Stamp> {
        self.snapshot().map(|snapshot| snapshot.stamp)
    }

    /// Whether these tokens, or others with the same refresh token, are in use: nobody's they are not.
    pub(crate) fn uses(&self, tokens: &Tokens) -> bool {
        let Phase::Active(active) = &self.phase else { return self.books.wants(tokens) };
        let same = tokens.refresh_token().is_some() && tokens.refresh_token() == active.pair.refresh_token();
        same || tokens.access_token() == active.pair.access_token() || self.books.wants(tokens)
    }

    /// Whether the session has ended, by itself or elsewhere.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(..))
    }

    pub(crate) fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        match &self.phase {
            Phase::Active(active) => Some(&active.snapshot),
            Phase::Unknown | Phase::SignedOut | Phase::Ended(..) => None,
        }
    }

    /// The newest generation, if it is of this epoch, and a new request would neither wait nor fail.
    pub(crate) fn valid(&self, epoch: u64, now: Duration) -> Option<Arc<Snapshot>> {
        match &self.phase {
            Phase::Active(active) if epoch == self.epoch && !self.holds() => {
                (!active.times.is_expired(now)).then(|| Arc::clone(&active.snapshot))
            }
            _ => None,
        }
    }

    /// Whether requests have to look at the state although the token is fresh (row 8).
    pub(crate) fn holds(&self) -> bool {
        self.flight.is_some() && matches!(&self.phase, Phase::Active(active) if active.rejected)
    }

    pub(crate) fn session_state(&self) -> SessionState {
        match &self.phase {
            Phase::Unknown => SessionState::Unknown,
            Phase::SignedOut => SessionState::SignedOut,
            Phase::Ended(reason, _) => SessionState::Ended(*reason),
            Phase::Active(_) if self.flight.is_some() => SessionState::Refreshing,
            Phase::Active(active) if active.draining.is_some() => SessionState::Draining,
            Phase::Active(_) => SessionState::Active,
        }
    }

    /// The failed flight's error, while its cooldown runs.
    fn cooling(&self, now: Duration) -> Option<Error> {
        self.cooldown.as_ref().filter(|cooldown| now < cooldown.until).map(|cooldown| cooldown.error.clone())
    }

    /// How long until the window of rejections has room again, if it has none.
    fn excessive(&mut self, now: Duration, policy: &Policy) -> Option<Duration> {
        let most = policy.rejections?;
        while self.window.front().is_some_and(|&at| now >= at + policy.window) {
            self.window.pop_front();
        }
        if self.window.len() < most {
            return None;
        }
        let oldest = self.window.front().copied().unwrap_or(now);
        Some((oldest + policy.window).saturating_sub(now))
    }

    /// Puts a new flight into the slot.
    fn start(&mut self, cause: Cause, now: Duration, policy: &Policy) -> Arc<Flight> {
        let from = self.newest().unwrap_or(Stamp::new(self.epoch, 0));
        let deadline = now + policy.flight;
        let flight = Arc::new(Flight::new(self.next_id(), cause, from, now, deadline, policy.planted));
        self.flight = Some(Slot { flight: Arc::clone(&flight), deadline, obtained: None });
        flight
    }

    fn start_load(&mut self, now: Duration, policy: &Policy) -> Decision {
        let (id, promise) = (self.next_id(), Arc::new(Promise::new()));
        // Room for the save of what was acquired.
        let deadline = now + policy.flight + policy.save();
        self.load = Some(Loading { promise: Arc::clone(&promise), id, deadline });
        Decision::StartLoad(id, promise)
    }

    fn next_id(&mut self) -> FlightId {
        self.next_id += 1;
        FlightId(self.next_id)
    }
}

impl Active {
    /// Why a refresh would be of no use, if it would not.
    fn why_not_refresh(&self, now: Duration) -> Option<(EndReason, Error)> {
        if let Some(dead) = &self.draining {
            return Some(dead.clone());
        }
        let ended = |reason| (reason, Error::ended(reason, None));
        if !self.refreshable {
            return Some(ended(EndReason::NotRefreshable));
        }
        // A refresher that needs no refresh token is not bound to its lifetime.
        let dead = self.pair.refresh_token().is_some() && self.refresh_expires.is_some_and(|at| now >= at);
        dead.then(|| ended(EndReason::RefreshTokenExpired))
    }
}

#[cfg(test)]
#[cfg(not(auth_shuttle))]
mod model;
#[cfg(test)]
#[cfg(not(auth_shuttle))]
mod tests;
