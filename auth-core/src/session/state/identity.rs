//! Identity: sign-in and sign-out, the load, and the end of a session. Each is one critical section.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::landing::Landing;
use super::{Active, Candidate, Decision, Phase, State};
use crate::event::{EndReason, FlightId};
use crate::session::books::{Content, Origin};
use crate::session::flight::{Flight, Promise};
use crate::session::lease::Stamp;
use crate::session::policy::Policy;
use crate::{Error, Tokens};

/// What an epoch leaves behind: those to be freed, and what is nobody's any more.
#[derive(Default)]
pub(crate) struct Leftovers {
    pub(crate) flight: Option<Arc<Flight>>,
    pub(crate) load: Option<Arc<Promise>>,
    /// Queues that still drain: their waiters look for themselves.
    pub(crate) landed: Vec<Arc<Flight>>,
    /// The pair that was in use, if no flight is about to replace it.
    pub(crate) pair: Option<Arc<Tokens>>,
}

impl State {
    /// Somebody signs in: a new epoch, whatever was before.
    pub(crate) fn sign_in(
        &mut self,
        candidate: Candidate,
        header: (HeaderName, HeaderValue),
        policy: &Policy,
    ) -> (u64, Leftovers) {
        let leftovers = self.next_epoch(policy);
        let number = self.books.want(Content::Pair(Arc::clone(&candidate.tokens)), Origin::Identity);
        self.activate(candidate, header);
        (number, leftovers)
    }

    /// Sign-out: a new epoch with nobody in it.
    pub(crate) fn sign_out(&mut self, policy: &Policy) -> (u64, Leftovers) {
        let pair = match &self.phase {
            Phase::Active(active) => Some(Arc::clone(&active.pair)),
            Phase::Unknown | Phase::SignedOut | Phase::Ended(..) => None,
        };
        let answered = self.flight.as_ref().is_none_or(|slot| slot.obtained.is_some());
        let mut leftovers = self.next_epoch(policy);
        match (&leftovers.flight, pair) {
            // The flight presents this pair just now: what becomes of it, its driver will know.
            (Some(flight), Some(pair)) if !answered => flight.orphan(pair),
            (_, pair) => leftovers.pair = pair,
        }
        if matches!(self.phase, Phase::Unknown) {
            self.books.leave_unread();
        }
        self.enter_phase(Phase::SignedOut);
        let number = self.books.want(Content::Nothing, Origin::Identity);
        (number, leftovers)
    }

    fn next_epoch(&mut self, policy: &Policy) -> Leftovers {
        self.epoch += 1;
        self.acquires = false;
        self.warm_up();
        self.window.clear();
        self.trash.flights.extend(self.lapsed.take());
        let slot = self.flight.take();
        self.counters.overtaken += u64::from(slot.is_some());
        self.orphans.extend(slot.as_ref().map(|slot| (slot.flight.id, slot.deadline + policy.save())));
        self.orphans.extend(self.load.as_ref().map(|loading| (loading.id, loading.deadline)));
        Leftovers {
            // What the refresher answered, and is nobody's now.
            pair: slot
                .as_ref()
                .and_then(|slot| slot.obtained.as_ref())
                .map(|fresh| Arc::clone(&fresh.tokens)),
            flight: slot.map(|slot| slot.flight),
            load: self.load.take().map(|loading| loading.promise),
            landed: self.landed.drain(..).filter_map(|flight| flight.upgrade()).collect(),
        }
    }

    fn activate(&mut self, candidate: Candidate, header: (HeaderName, HeaderValue)) {
        let stamp = Stamp::new(self.epoch, 0);
        self.enter_phase(Phase::Active(Box::new(Active::new(candidate, header, stamp, 0))));
    }

    pub(super) fn enter_phase(&mut self, phase: Phase) {
        if matches!(phase, Phase::Ended(..)) {
            // Whatever it still finds in the store, the session has ended. What it obtains is nobody's.
            self.trash.flights.extend(self.lapsed.take());
        }
        match std::mem::replace(&mut self.phase, phase) {
            Phase::Ended(_, error) => self.trash.errors.push(error),
            Phase::Active(active) => {
                active.snapshot.supersede();
                self.trash.errors.extend(active.draining.map(|(_, error)| error));
            }
            Phase::Unknown | Phase::SignedOut => {}
        }
    }

    /// Whether this load is still the one waited for.
    pub(crate) fn is_loading(&self, id: FlightId) -> bool {
        self.load.as_ref().is_some_and(|loading| loading.id == id)
    }

    /// The store was read. `None`: nobody is signed in. Returns the load to be answered, if it still counts.
    pub(crate) fn loaded(
        &mut self,
        id: FlightId,
        found: Option<(Candidate, (HeaderName, HeaderValue))>,
    ) -> Option<Arc<Promise>> {
        if !self.is_loading(id) {
            return None;
        }
        match found {
            Some((candidate, header)) => {
                self.books.found(Some(Arc::clone(&candidate.tokens)));
                self.activate(candidate, header);
            }
            None => {
                self.books.found(None);
                self.enter_phase(Phase::SignedOut);
            }
        }
        self.load.take().map(|loading| loading.promise)
    }

    /// First tokens were acquired; they are saved before they are published.
    pub(crate) fn acquired(&mut self, id: FlightId, tokens: &Arc<Tokens>) -> Option<u64> {
        self.is_loading(id).then(|| self.books.want(Content::Pair(Arc::clone(tokens)), Origin::Identity))
    }

    /// First tokens are published as a sign-in.
    pub(crate) fn enter(
        &mut self,
        id: FlightId,
        candidate: Candidate,
        header: (HeaderName, HeaderValue),
    ) -> Option<Arc<Promise>> {
        let promise = self.is_loading(id).then(|| self.load.take())??.promise;
        self.epoch += 1;
        self.acquires = true;
        self.warm_up();
        self.activate(candidate, header);
        Some(promise)
    }

    /// The load failed. The next request tries again, after a cooldown where it was the token endpoint's fault. Returns the load
    /// to be answered, if it still counts, and with what.
    pub(crate) fn load_failed(
        &mut self,
        id: FlightId,
        error: Error,
        cools: Option<Option<Duration>>,
        now: Duration,
        random: u64,
        policy: &Policy,
    ) -> Option<(Arc<Promise>, Error)> {
        let Some(loading) = self.load.take_if(|loading| loading.id == id) else {
            self.trash.errors.push(error);
            return None;
        };
        let error = match cools {
            Some(retry_after) => self.cool(error, retry_after, now, random, policy),
            None => error,
        };
        Some((loading.promise, error))
    }

    /// Another process has signed somebody in: the session follows, and whoever waits learns that it changed.
    pub(crate) fn follow(
        &mut self,
        flight: &Arc<Flight>,
        candidate: Candidate,
        policy: &Policy,
    ) -> (Landing, Leftovers) {
        if !self.is_current(flight) {
            return (Landing::Over, Leftovers::default());
        }
        let leftovers = self.next_epoch(policy);
        self.books.found(Some(Arc::clone(&candidate.tokens)));
        match candidate.header.clone() {
            Ok(header) => self.activate(candidate, header),
            // Not ours to throw away: whoever asks next loads it again, and learns what is wrong with it.
            Err(_) => self.enter_phase(Phase::Unknown),
        }
        (Landing::Followed { flight: Arc::clone(flight), epoch: self.epoch }, leftovers)
    }

    /// Invariant 8: the session ends here, once. The store is cleared of the dead pair, if it still holds that.
    pub(super) fn end(&mut self, reason: EndReason, error: Error) -> Decision {
        let Phase::Active(active) = &self.phase else {
            self.trash.errors.push(error);
            return Decision::Nothing;
        };
        let pair = Arc::clone(&active.pair);
        self.books.want(Content::NothingFor(pair), Origin::Flight);
        self.enter_phase(Phase::Ended(reason, error.clone()));
        Decision::End(reason, error)
    }
}
