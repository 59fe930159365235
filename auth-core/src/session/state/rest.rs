//! Rest: whether a session that nobody holds may be given up, and nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use super::{Phase, State};
use crate::session::policy::Policy;

impl State {
    /// Whether nothing is under way, the store holds what it should, and no guard is up that a session made anew would not
    /// know of.
    pub(crate) fn is_at_rest(&self, now: Duration, policy: &Policy) -> bool {
        // One that has lapsed may still bring a pair, until its driver drops it; one of another epoch may still hold the
        // store's lock.
        let under_way = self.flight.is_some()
            || self.lapsed.as_ref().is_some_and(|flight| Arc::strong_count(flight) > 1)
            || self.load.is_some()
            || !self.orphans.is_empty()
            || self.landed.iter().any(|flight| flight.strong_count() > 0);
        let cools = self.cooldown.as_ref().is_some_and(|cooldown| now < cooldown.until);
        // Only counted where rejections are limited.
        let guards = self.window.back().is_some_and(|&at| now < at + policy.window);
        !under_way && !cools && !guards && !self.books.is_unsaved()
    }

    /// Whether somebody is signed in with tokens that only a person can bring again.
    pub(crate) fn is_irreplaceable(&self) -> bool {
        matches!(self.phase, Phase::Active(_)) && !self.acquires
    }

    /// Wants tried again what could not be saved. Flights and loads do that by themselves, when they have looked what is
    /// there. Whether there is anything.
    pub(crate) fn save_again(&mut self) -> bool {
        let unsaved = self.books.is_unsaved() && self.flight.is_none() && self.load.is_none();
        if unsaved {
            self.books.try_again();
        }
        unsaved
    }
}

#[cfg(test)]
#[cfg(not(auth_shuttle))]
mod tests {
    use http::header::AUTHORIZATION;
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::session::flight::Flight;
    use crate::session::state::{Ask, Candidate, Decision, Obtained, Times, Trash};
    use crate::{Error, RefreshError, StoreError, Tokens};

    const NOW: Duration = Duration::from_secs(10_000);

    fn header() -> (HeaderName, HeaderValue) {
        (AUTHORIZATION, HeaderValue::from_static("Bearer T"))
    }

    fn candidate(name: u64) -> Candidate {
        let tokens = Tokens::new(format!("T{name}")).unwrap().with_refresh_token(format!("R{name}"));
        Candidate {
            tokens: Arc::new(tokens),
            header: Ok(header()),
            refreshable: true,
            times: Times::default(),
            refresh_expires: None,
        }
    }

    struct Resting {
        state: State,
        policy: Policy,
    }

    impl Resting {
        /// Nothing was read yet.
        fn unknown() -> Self {
            Self { state: State::new(), policy: Policy::default() }
        }

        /// Somebody is signed in, and that is saved.
        fn signed_in() -> Self {
            let mut resting = Self::unknown();
            resting.state.sign_in(candidate(0), header(), &resting.policy);
            resting.save();
            resting
        }

        fn save(&mut self) {
            let order = self.state.books.due().expect("a write is due");
            drop(self.state.books.answered(&order, Ok(())));
        }

        fn fail_save(&mut self) {
            let order = self.state.books.due().expect("a write is due");
            drop(self.state.books.answered(&order, Err(Arc::new(StoreError::new("full")))));
        }

        #[track_caller]
        fn rejected(&mut self) -> Arc<Flight> {
            let stamp = self.state.snapshot().expect("somebody is signed in").stamp;
            match self.state.ask(Ask::Rejected(stamp), NOW, &self.policy) {
                Decision::Start(flight) => flight,
                other => panic!("{other:?}"),
            }
        }

        /// The refresher has answered with this pair, and it is in force.
        fn publish(&mut self, flight: &Arc<Flight>, name: u64) {
            let obtained = self.state.obtained(flight, &candidate(name), NOW, &self.policy);
            assert!(matches!(obtained, Obtained::Save));
            self.save();
            self.state.land(flight, candidate(name), Ok(()), NOW, 0, &self.policy);
            self.sweep();
        }

        /// What a change drops when it has left the lock.
        fn sweep(&mut self) {
            self.state.trash = Trash::default();
        }

        fn is_at_rest_after(&self, time: Duration) -> bool {
            self.state.is_at_rest(NOW + time, &self.policy)
        }

        fn is_at_rest(&self) -> bool {
            self.is_at_rest_after(Duration::ZERO)
        }
    }

    #[test]
    fn one_that_nothing_was_asked_of_is_at_rest() {
        assert!(Resting::unknown().is_at_rest());
        assert!(Resting::signed_in().is_at_rest());
    }

    #[test]
    fn one_that_loads_is_not() {
        let mut resting = Resting::unknown();
        let Decision::StartLoad(id, _) = resting.state.ask(Ask::New, NOW, &resting.policy) else {
            panic!("a load starts");
        };
        assert!(!resting.is_at_rest());

        resting.state.loaded(id, None);

        assert!(resting.is_at_rest());
    }

    #[test]
    fn one_that_refreshes_is_not() {
        let mut resting = Resting::signed_in();
        resting.policy.rejections = None;
        let flight = resting.rejected();
        assert!(!resting.is_at_rest());

        resting.publish(&flight, 1);
        assert!(!resting.is_at_rest(), "its queue may still drain");
        drop(flight);

        assert!(resting.is_at_rest());
    }

    #[test]
    fn one_whose_flight_has_lapsed_is_not() {
        let mut resting = Resting::signed_in();
        let flight = resting.rejected();
        let later = resting.policy.flight;
        assert!(resting.state.expire(NOW + later, 0, &resting.policy).landing.is_some());
        let cooled = later + 2 * resting.policy.longest_cooldown;
        assert!(!resting.is_at_rest_after(cooled), "its driver may still bring a pair");

        drop(flight);
        resting.sweep();

        assert!(resting.is_at_rest_after(cooled));
    }

    #[test]
    fn one_whose_flight_was_overtaken_by_a_sign_in_is_not() {
        let mut resting = Resting::signed_in();
        let _flight = resting.rejected();
        resting.state.sign_in(candidate(5), header(), &resting.policy);
        resting.save();
        assert!(!resting.is_at_rest(), "the flight may hold the store's lock");

        let over = resting.policy.flight + resting.policy.save();
        let expired = resting.state.expire(NOW + over, 0, &resting.policy);

        assert_eq!(expired.holders.len(), 1);
        assert!(resting.is_at_rest_after(over));
    }

    #[test]
    fn one_that_has_something_to_save_is_not() {
        let mut resting = Resting::signed_in();
        resting.state.sign_in(candidate(1), header(), &resting.policy);
        assert!(!resting.is_at_rest(), "a sign-in");
        resting.fail_save();
        assert!(!resting.is_at_rest(), "one that could not be saved");

        assert!(resting.state.save_again());
        resting.save();
        assert!(resting.is_at_rest());

        resting.state.sign_out(&resting.policy);
        assert!(!resting.is_at_rest(), "a sign-out");
        resting.save();

        assert!(resting.is_at_rest());
        assert!(!resting.state.save_again());
    }

    #[test]
    fn a_flight_and_a_load_save_by_themselves() {
        let mut resting = Resting::signed_in();
        resting.state.sign_in(candidate(1), header(), &resting.policy);
        resting.fail_save();
        resting.rejected();

        assert!(!resting.state.save_again());
        assert!(resting.state.books.due().is_none());
    }

    #[test]
    fn one_that_cools_down_is_not() {
        let mut resting = Resting::signed_in();
        let flight = resting.rejected();
        let down = Error::refresh(RefreshError::unavailable("503"));
        resting.state.failed(&flight, down, Some(Duration::from_secs(7)), NOW, 0, &resting.policy);

        assert!(!resting.is_at_rest_after(Duration::from_secs(6)));
        assert!(resting.is_at_rest_after(Duration::from_secs(7)));
    }

    #[test]
    fn one_whose_tokens_were_rejected_a_moment_ago_is_not() {
        let mut resting = Resting::signed_in();
        let flight = resting.rejected();
        resting.publish(&flight, 1);
        drop(flight);

        assert!(!resting.is_at_rest_after(resting.policy.window / 2));
        assert!(resting.is_at_rest_after(resting.policy.window));
    }

    #[test]
    fn tokens_that_were_acquired_can_be_had_again() {
        let mut resting = Resting::unknown();
        assert!(!resting.state.is_irreplaceable(), "there are none");
        let Decision::StartLoad(id, _) = resting.state.ask(Ask::New, NOW, &resting.policy) else {
            panic!("a load starts");
        };
        resting.state.acquired(id, &candidate(0).tokens);
        resting.state.enter(id, candidate(0), header());
        assert!(!resting.state.is_irreplaceable());

        resting.state.sign_in(candidate(1), header(), &resting.policy);
        assert!(resting.state.is_irreplaceable(), "a person brought them");

        resting.state.sign_out(&resting.policy);
        assert!(!resting.state.is_irreplaceable(), "nobody is signed in");
    }
}
