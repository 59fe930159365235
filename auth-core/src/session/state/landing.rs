//! Landing: the steps of a flight as changes of the state. Each is one critical section.

use std::sync::Arc;
use std::time::Duration;

use super::{Active, Candidate, Cooldown, Decision, Phase, State};
use crate::event::{Cause, EndReason, FlightId};
use crate::planted::Fault;
use crate::session::books::{Content, Origin};
use crate::session::flight::{Flight, Promise};
use crate::session::lease::Stamp;
use crate::session::policy::{PersistFailure, Policy, unit};
use crate::{Error, ErrorKind, Tokens};

/// What became of a refresher's answer.
#[derive(Debug)]
pub(crate) enum Obtained {
    /// It is to be saved.
    Save,
    /// The identity has changed: it is nobody's. Offer it for revocation.
    Orphaned,
    /// Another flight was faster.
    Overtaken,
}

/// How a flight ended, for its waiters and its listeners.
pub(crate) enum Landing {
    Published {
        flight: Arc<Flight>,
        stamp: Stamp,
        unchanged: bool,
        adopted: bool,
    },
    Failed {
        flight: Arc<Flight>,
        error: Error,
    },
    Draining {
        flight: Arc<Flight>,
        error: Error,
    },
    Ended {
        flight: Arc<Flight>,
        reason: EndReason,
        error: Error,
    },
    /// Another session signed somebody in.
    Followed {
        flight: Arc<Flight>,
        epoch: u64,
    },
    /// Somebody else has ended it before: nothing is left to do.
    Over,
}

/// What a look at the deadlines has ended.
#[derive(Default)]
pub(crate) struct Expired {
    pub(crate) landing: Option<Landing>,
    pub(crate) load: Option<(Arc<Promise>, Error)>,
    /// They hold the store's lock no longer.
    pub(crate) holders: Vec<FlightId>,
    /// Their own timers should have ended them long ago: nobody drives what they run on, nor perhaps the ledger's worker.
    pub(crate) forsaken: bool,
}

/// How much later than a driver's own timer a look may come first without anything being wrong.
const GRACE: Duration = Duration::from_secs(1);

impl State {
    /// Whether what this flight brings still counts: it is up, or it was ended from outside and no other is up.
    pub(crate) fn is_current(&self, flight: &Flight) -> bool {
        self.is_up(flight.id) || self.is_lapsed(flight)
    }

    fn is_up(&self, id: FlightId) -> bool {
        self.flight.as_ref().is_some_and(|slot| slot.flight.id == id)
    }

    fn is_lapsed(&self, flight: &Flight) -> bool {
        self.flight.is_none() && self.lapsed.as_ref().is_some_and(|lapsed| lapsed.id == flight.id)
    }

    /// Whether a new pair of this flight counts: so does one of a flight that has lapsed, until the next presents a token.
    fn may_bring(&self, flight: &Flight) -> bool {
        self.is_up(flight.id) || self.lapsed.as_ref().is_some_and(|lapsed| lapsed.id == flight.id)
    }

    /// The flight is about to present memory's pair: from here on no other may. One that has lapsed may not begin to: its lock
    /// was given back, and another process may have rotated.
    pub(crate) fn present(&mut self, flight: &Flight) -> Option<Arc<Tokens>> {
        let pair = self.pair(flight).filter(|_| self.is_up(flight.id))?;
        if self.overtake_lapsed(flight)
            && let Phase::Active(active) = &mut self.phase
        {
            active.lost = true;
        }
        Some(pair)
    }

    /// The flight that is up has a pair to present, or a newer one: what has lapsed must not go on. Whether there was any.
    fn overtake_lapsed(&mut self, flight: &Flight) -> bool {
        let lapsed = if self.is_up(flight.id) { self.lapsed.take() } else { None };
        let Some(lapsed) = lapsed else { return false };
        lapsed.overtake();
        self.trash.flights.push(lapsed);
        true
    }

    /// Whether the pair that memory has may not be presented: its refresh token has expired by the clock.
    pub(crate) fn is_past_refreshing(&self, now: Duration) -> bool {
        matches!(&self.phase, Phase::Active(active) if active.is_past_refreshing(now))
    }

    pub(crate) fn is_answer_lost(&self, flight: &Flight) -> bool {
        self.is_current(flight) && matches!(&self.phase, Phase::Active(active) if active.lost)
    }

    /// An answer to this flight's pair may have been lost: should it be rejected later, that is why.
    pub(crate) fn answer_lost(&mut self, flight: &Flight) {
        if self.is_current(flight)
            && let Phase::Active(active) = &mut self.phase
        {
            active.lost = true;
        }
    }

    /// The pair that memory has, for a flight that still counts.
    pub(crate) fn pair(&self, flight: &Flight) -> Option<Arc<Tokens>> {
        match &self.phase {
            Phase::Active(active) if self.is_current(flight) => Some(Arc::clone(&active.pair)),
            _ => None,
        }
    }

    /// Another process has rotated: its pair becomes memory's at once. Published, if it will do; else it is what the
    /// flight goes on with.
    pub(crate) fn adopt(
        &mut self,
        flight: &Arc<Flight>,
        candidate: Candidate,
        now: Duration,
        policy: &Policy,
    ) -> Option<Landing> {
        if !self.is_current(flight) {
            return Some(Landing::Over);
        }
        self.books.found(Some(Arc::clone(&candidate.tokens)));
        self.overtake_lapsed(flight);
        let Phase::Active(active) = &mut self.phase else { return Some(Landing::Over) };
        if active.pair.refresh_token() != candidate.tokens.refresh_token() {
            self.books.replaced(&active.pair);
        }
        active.hold_pair(&candidate);
        let same =
            active.rejected && candidate.tokens.access_token() == active.snapshot.tokens.access_token();
        let usable = candidate.header.is_ok() && !candidate.times.is_expired(now) && !same;
        usable.then(|| self.publish(flight, candidate, true, now, policy))
    }

    /// The refresher has answered. From here on memory has the new pair, whatever becomes of the flight.
    pub(crate) fn obtained(
        &mut self,
        flight: &Flight,
        candidate: &Candidate,
        now: Duration,
        policy: &Policy,
    ) -> Obtained {
        if flight.from.epoch != self.epoch {
            if policy.planted.has(Fault::Resurrect)
                && let (Phase::SignedOut, Ok(header)) = (&self.phase, candidate.header.clone())
            {
                self.sign_in(candidate.clone(), header, policy);
            }
            return Obtained::Orphaned;
        }
        let current = self.may_bring(flight);
        let up = self.is_up(flight.id);
        let Phase::Active(active) = &mut self.phase else { return Obtained::Orphaned };
        if !current {
            return Obtained::Overtaken;
        }
        let before = Arc::clone(&active.pair);
        if !policy.planted.has(Fault::LoseRotation) {
            active.hold_pair(candidate);
        }
        if before.refresh_token() != candidate.tokens.refresh_token() {
            self.books.exchanged(&before);
        } else {
            self.books.outlived(&before);
        }
        if let Some(slot) = self.flight.as_mut().filter(|_| up) {
            slot.obtained = Some(candidate.clone());
            slot.deadline = now + policy.save();
            flight.set_deadline(slot.deadline);
        }
        self.books.want(Content::Pair(Arc::clone(&candidate.tokens)), Origin::Flight);
        if !up && self.flight.is_some() {
            // The flight that is up looks at the store first, and saves it there if nobody else has written.
            return Obtained::Overtaken;
        }
        Obtained::Save
    }

    /// The new pair's save was answered (`saved`), or will not be: publish it.
    pub(crate) fn land(
        &mut self,
        flight: &Arc<Flight>,
        candidate: Candidate,
        saved: Result<(), Error>,
        now: Duration,
        random: u64,
        policy: &Policy,
    ) -> Landing {
        if !self.may_bring(flight) {
            self.trash.errors.extend(saved.err());
            return Landing::Over;
        }
        let refusal = match (&candidate.header, saved) {
            (Ok(_), Err(error)) if policy.persist_failure == PersistFailure::Fail => Some(error),
            (Ok(_), Err(error)) if policy.planted.has(Fault::LoseRotation) => Some(error),
            (header, saved) => {
                self.trash.errors.extend(saved.err());
                header.as_ref().err().map(|error| Error::from(*error))
            }
        };
        match refusal {
            Some(error) => self.failed(flight, error, None, now, random, policy),
            None => self.publish(flight, candidate, false, now, policy),
        }
    }

    /// Invariant 7: the only place where the generation grows.
    fn publish(
        &mut self,
        flight: &Arc<Flight>,
        candidate: Candidate,
        adopted: bool,
        now: Duration,
        policy: &Policy,
    ) -> Landing {
        let (Phase::Active(active), Ok(header)) = (&mut self.phase, candidate.header.clone()) else {
            return Landing::Over;
        };
        let step = if policy.planted.has(Fault::SkipGeneration) { 2 } else { 1 };
        let stamp = Stamp::new(self.epoch, active.snapshot.stamp.generation + step);
        let unchanged = candidate.tokens.access_token() == active.snapshot.tokens.access_token();
        let same_since = if unchanged { active.snapshot.same_since } else { stamp.generation };
        self.trash.errors.extend(active.draining.take().map(|(_, error)| error));
        active.snapshot.supersede();
        **active = Active::new(candidate, header, stamp, same_since);
        flight.brings(&active.snapshot);
        self.remove(flight);
        self.warm_up();
        if flight.cause == Cause::Rejected && policy.rejections.is_some() {
            self.window.push_back(now);
        }
        self.landed.retain(|flight| flight.strong_count() > 0);
        self.landed.push(Arc::downgrade(flight));
        Landing::Published { flight: Arc::clone(flight), stamp, unchanged, adopted }
    }

    /// The flight failed: the session lives, and cools down.
    pub(crate) fn failed(
        &mut self,
        flight: &Arc<Flight>,
        error: Error,
        retry_after: Option<Duration>,
        now: Duration,
        random: u64,
        policy: &Policy,
    ) -> Landing {
        if !self.is_up(flight.id) {
            // Its waiters have been told already.
            self.trash.errors.push(error);
            return Landing::Over;
        }
        self.remove(flight);
        let error = self.cool(error, retry_after, now, random, policy);
        Landing::Failed { flight: Arc::clone(flight), error }
    }

    /// The refresh token is dead. The access token stays in use, if it is valid and nobody saw it rejected.
    pub(crate) fn refused(
        &mut self,
        flight: &Arc<Flight>,
        reason: EndReason,
        error: Error,
        now: Duration,
    ) -> Landing {
        if !self.is_current(flight) {
            self.trash.errors.push(error);
            return Landing::Over;
        }
        let flight = Arc::clone(flight);
        self.remove(&flight);
        match &mut self.phase {
            Phase::Active(active) if !active.rejected && !active.times.is_expired(now) => {
                active.draining = Some((reason, error.clone()));
                Landing::Draining { flight, error }
            }
            _ => match self.end(reason, error) {
                Decision::End(reason, error) => Landing::Ended { flight, reason, error },
                _ => Landing::Over,
            },
        }
    }

    /// The store is empty, and was not: another process ended the session.
    pub(crate) fn emptied(&mut self, flight: &Arc<Flight>) -> Landing {
        if !self.is_current(flight) {
            return Landing::Over;
        }
        self.remove(flight);
        self.books.found(None);
        let reason = EndReason::EndedElsewhere;
        let error = Error::ended(reason, None);
        self.enter_phase(Phase::Ended(reason, error.clone()));
        Landing::Ended { flight: Arc::clone(flight), reason, error }
    }

    /// Takes out what is past its deadline: a flight that nobody drives must not hold up those who look at it.
    pub(crate) fn expire(&mut self, now: Duration, random: u64, policy: &Policy) -> Expired {
        let mut expired = Expired::default();
        self.orphans.retain(|(id, until)| {
            let over = now >= *until;
            expired.holders.extend(over.then_some(*id));
            !over
        });
        if let Some(slot) = self.flight.as_ref().filter(|slot| now >= slot.deadline) {
            let (flight, obtained) = (Arc::clone(&slot.flight), slot.obtained.clone());
            expired.forsaken = now >= slot.deadline + GRACE;
            expired.holders.push(flight.id);
            let timeout = Error::detailed(ErrorKind::RefreshUnavailable, "the refresh ran out of time");
            let landing = match obtained {
                // Its save has run out of time: that is an answer.
                Some(candidate) => self.land(&flight, candidate, Err(timeout), now, random, policy),
                None => self.failed(&flight, timeout, None, now, random, policy),
            };
            if matches!(landing, Landing::Failed { .. }) && self.lapsed.is_none() {
                // Its driver may still come back with the answer. (One that lapsed before and was not overtaken has presented
                // the pair; this one has not.)
                self.lapsed = Some(flight);
            }
            expired.landing = Some(landing);
        }
        if let Some(loading) = self.load.take_if(|loading| now >= loading.deadline) {
            let error = Error::detailed(ErrorKind::Store, "reading the store ran out of time");
            expired.forsaken |= now >= loading.deadline + GRACE;
            expired.holders.push(loading.id);
            expired.load = Some((loading.promise, error));
        }
        expired
    }

    fn remove(&mut self, flight: &Flight) {
        if self.is_up(flight.id) {
            self.trash.flights.extend(self.flight.take().map(|slot| slot.flight));
        }
        if self.lapsed.as_ref().is_some_and(|lapsed| lapsed.id == flight.id) {
            self.trash.flights.extend(self.lapsed.take());
        }
    }

    pub(super) fn warm_up(&mut self) {
        self.failures = 0;
        self.trash.errors.extend(self.cooldown.take().map(|cooldown| cooldown.error));
    }

    /// Starts the cooldown. Returns the error with how long that is: what its waiters get.
    pub(super) fn cool(
        &mut self,
        error: Error,
        retry_after: Option<Duration>,
        now: Duration,
        random: u64,
        policy: &Policy,
    ) -> Error {
        self.failures = self.failures.saturating_add(1);
        let mut until = now + policy.cooldown_after(self.failures, retry_after, unit(random));
        if let (Some(running), None) = (&self.cooldown, retry_after) {
            // A forced refresh has failed amid it: the server's wish to be left alone still counts.
            until = until.max(running.until);
        }
        let before = self.cooldown.replace(Cooldown { until, error: error.clone() });
        self.trash.errors.extend(before.map(|cooldown| cooldown.error));
        error.retry_after(until.saturating_sub(now))
    }
}
