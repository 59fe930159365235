//! The two tables, row by row.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::super::lease::Lease;
use super::*;
use crate::event::FlightId;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Everything is judged from here.
const NOW: Duration = s(10_000);

struct Table {
    state: State,
    policy: Policy,
}

fn header() -> (HeaderName, HeaderValue) {
    (AUTHORIZATION, HeaderValue::from_static("Bearer T"))
}

fn candidate(name: u64, lifetime: Option<Duration>) -> Candidate {
    let tokens = Tokens::new(format!("T{name}")).unwrap().with_refresh_token(format!("R{name}"));
    let times = Times {
        expires: lifetime.map(|left| NOW + left),
        soft: lifetime.map(|left| NOW + left * 4 / 5),
        granted: None,
    };
    Candidate {
        tokens: Arc::new(tokens),
        header: Ok(header()),
        refreshable: true,
        times,
        refresh_expires: None,
    }
}

impl Table {
    fn unknown() -> Self {
        Self { state: State::new(), policy: Policy::default() }
    }

    fn signed_in(candidate: Candidate) -> Self {
        let mut table = Self::unknown();
        table.state.sign_in(candidate, header(), &table.policy);
        table
    }

    /// Signed in with a token that is good for an hour.
    fn fresh() -> Self {
        Self::signed_in(candidate(0, Some(s(3600))))
    }

    fn expired() -> Self {
        Self::signed_in(candidate(0, Some(Duration::ZERO)))
    }

    fn ask_at(&mut self, ask: Ask, now: Duration) -> Decision {
        self.state.ask(ask, now, &self.policy)
    }

    fn ask(&mut self, ask: Ask) -> Decision {
        self.ask_at(ask, NOW)
    }

    fn stamp(&self) -> Stamp {
        self.state.newest().expect("somebody is signed in")
    }

    fn reject(&mut self) -> Decision {
        let stamp = self.stamp();
        self.ask(Ask::Rejected(stamp))
    }

    fn is_rejected(&self) -> bool {
        matches!(&self.state.phase, Phase::Active(active) if active.rejected)
    }

    /// Starts a flight by force.
    fn fly(&mut self) -> Arc<Flight> {
        started(self.ask(Ask::Forced(None)))
    }

    fn land(&mut self, flight: &Arc<Flight>, name: u64) {
        let fresh = candidate(name, Some(s(3600)));
        assert!(matches!(self.state.obtained(flight, &fresh, NOW, &self.policy), Obtained::Save));
        let landing = self.state.land(flight, fresh, Ok(()), NOW, 0, &self.policy);
        assert!(matches!(landing, Landing::Published { .. }));
    }

    fn crash(&mut self, flight: &Arc<Flight>) {
        let error = Error::new(ErrorKind::RefreshUnavailable);
        assert!(matches!(
            self.state.failed(flight, error, None, NOW, 0, &self.policy),
            Landing::Failed { .. }
        ));
    }

    fn drain(&mut self) {
        let flight = self.fly();
        let error = Error::ended(EndReason::Rejected, None);
        let landing = self.state.refused(&flight, EndReason::Rejected, error, NOW);
        assert!(matches!(landing, Landing::Draining { .. }));
    }
}

#[track_caller]
fn started(decision: Decision) -> Arc<Flight> {
    match decision {
        Decision::Start(flight) => flight,
        other => panic!("no flight was started: {other:?}"),
    }
}

#[track_caller]
fn joined(decision: Decision) -> FlightId {
    match decision {
        Decision::Join(flight) => flight.id,
        other => panic!("no flight was joined: {other:?}"),
    }
}

#[track_caller]
fn used(decision: Decision) -> u64 {
    match decision {
        Decision::Use(snapshot) => snapshot.stamp.generation,
        other => panic!("no lease was given: {other:?}"),
    }
}

#[track_caller]
fn failed(decision: Decision) -> ErrorKind {
    match decision {
        Decision::Fail(error) => error.kind(),
        other => panic!("it did not fail: {other:?}"),
    }
}

#[track_caller]
fn ended(decision: Decision) -> EndReason {
    match decision {
        Decision::End(reason, error) => {
            assert_eq!((error.kind(), error.end_reason()), (ErrorKind::SessionEnded, Some(reason)));
            reason
        }
        other => panic!("the session has not ended: {other:?}"),
    }
}

#[test]
fn row_1_another_epoch_where_somebody_is_signed_in() {
    let mut table = Table::fresh();
    let before = table.stamp();
    table.state.sign_in(candidate(5, None), header(), &table.policy);

    assert_eq!(failed(table.ask(Ask::Rejected(before))), ErrorKind::SessionChanged);
    assert_eq!(failed(table.ask(Ask::Told(before))), ErrorKind::SessionChanged);
    assert_eq!(failed(table.ask(Ask::Forced(Some(before)))), ErrorKind::SessionChanged);
    assert!(!table.is_rejected() && table.state.flight.is_none());
}

#[test]
fn row_2_another_epoch_where_nobody_is_signed_in_or_the_session_has_ended() {
    let mut table = Table::fresh();
    let before = table.stamp();
    table.state.sign_out(&Policy::default());
    assert_eq!(failed(table.ask(Ask::Rejected(before))), ErrorKind::SignedOut);
    assert_eq!(failed(table.ask(Ask::Forced(Some(before)))), ErrorKind::SignedOut);

    let mut table = Table::expired();
    let before = table.stamp();
    table.drain_by_end();
    assert_eq!(failed(table.ask(Ask::Rejected(before))), ErrorKind::SessionEnded);
}

impl Table {
    /// Ends the session: its pair cannot be refreshed, and is rejected.
    fn drain_by_end(&mut self) {
        if let Phase::Active(active) = &mut self.state.phase {
            active.refreshable = false;
        }
        assert_eq!(ended(self.reject()), EndReason::NotRefreshable);
    }
}

#[test]
fn row_3_an_older_generation_is_decided_as_a_new_request() {
    let mut table = Table::fresh();
    let before = table.stamp();
    let flight = table.fly();
    table.land(&flight, 1);

    assert_eq!(used(table.ask(Ask::Rejected(before))), 1);
    assert!(matches!(table.ask(Ask::Told(before)), Decision::Nothing));
    assert_eq!(used(table.ask(Ask::Forced(Some(before)))), 1);

    // D1b: while the newest is being replaced it waits for that.
    let replacing = started(table.reject());
    assert_eq!(joined(table.ask(Ask::Rejected(before))), replacing.id);
}

#[test]
fn row_4_the_newest_while_a_flight_is_up() {
    let mut table = Table::fresh();
    let flight = table.fly();
    assert_eq!(used(table.ask(Ask::New)), 0, "nobody has rejected it yet");

    assert_eq!(joined(table.reject()), flight.id);

    assert!(table.is_rejected() && table.state.holds());
}

#[test]
fn row_5a_the_newest_where_a_refresh_is_of_no_use() {
    let mut table = Table::fresh();
    table.drain();
    assert_eq!(ended(table.reject()), EndReason::Rejected);
    assert_eq!(failed(table.ask(Ask::New)), ErrorKind::SessionEnded);

    let mut table = Table::fresh();
    table.drain_by_end();
}

#[test]
fn row_5b_the_newest_while_the_cooldown_runs() {
    let mut table = Table::fresh();
    let flight = table.fly();
    table.crash(&flight);

    assert_eq!(failed(table.reject()), ErrorKind::RefreshUnavailable);
    assert!(table.is_rejected());
    assert_eq!(used(table.ask(Ask::New)), 0, "C9: unexpired, it is used by others");

    let stamp = table.stamp();
    started(table.ask_at(Ask::Rejected(stamp), NOW + s(2)));
}

#[test]
fn row_5c_the_newest_where_the_window_is_full() {
    let mut table = Table::fresh();
    for name in 1..=5 {
        let flight = started(table.reject());
        table.land(&flight, name);
    }

    assert_eq!(failed(table.reject()), ErrorKind::ExcessiveRefresh);
    assert!(!table.is_rejected() && table.state.flight.is_none());

    let stamp = table.stamp();
    started(table.ask_at(Ask::Rejected(stamp), NOW + table.policy.window));
}

#[test]
fn row_5d_the_newest_starts_the_flight() {
    let mut table = Table::fresh();

    let flight = started(table.reject());

    assert_eq!((flight.cause, flight.from), (Cause::Rejected, table.stamp()));
    assert!(table.is_rejected() && table.state.holds());
}

#[test]
fn row_6_not_loaded_yet() {
    let mut table = Table::unknown();
    let Decision::StartLoad(id, promise) = table.ask(Ask::New) else { panic!("no load was started") };
    for ask in [Ask::New, Ask::Forced(None), Ask::Valid(s(1)), Ask::Rejected(Stamp::new(0, 0))] {
        match table.ask(ask) {
            Decision::Load(other) => assert!(Arc::ptr_eq(&promise, &other)),
            Decision::Fail(error) => assert_eq!(error.kind(), ErrorKind::SessionChanged),
            other => panic!("{other:?}"),
        }
    }

    let error = Error::new(ErrorKind::RefreshUnavailable);
    assert!(table.state.load_failed(id, error, Some(None), NOW, 0, &table.policy).is_some());
    assert_eq!(failed(table.ask(Ask::New)), ErrorKind::RefreshUnavailable);
    assert!(matches!(table.ask_at(Ask::New, NOW + s(2)), Decision::StartLoad(..)));

    let mut table = Table::unknown();
    let Decision::StartLoad(id, _) = table.ask(Ask::New) else { panic!("no load was started") };
    let error = Error::new(ErrorKind::Store);
    assert!(table.state.load_failed(id, error, None, NOW, 0, &table.policy).is_some());
    assert!(matches!(table.ask(Ask::New), Decision::StartLoad(..)), "a store's failure does not cool down");
}

#[test]
fn row_7_signed_out_or_ended() {
    let mut table = Table::fresh();
    table.state.sign_out(&Policy::default());
    for ask in [Ask::New, Ask::Forced(None), Ask::Valid(s(1))] {
        assert_eq!(failed(table.ask(ask)), ErrorKind::SignedOut);
    }

    let mut table = Table::fresh();
    table.drain_by_end();
    for ask in [Ask::New, Ask::Forced(None), Ask::Valid(s(1))] {
        assert_eq!(failed(table.ask(ask)), ErrorKind::SessionEnded);
    }
}

#[test]
fn row_8_a_flight_is_up_and_the_token_is_rejected_or_expired() {
    let mut table = Table::fresh();
    let flight = started(table.reject());
    assert_eq!(joined(table.ask(Ask::New)), flight.id);

    let mut table = Table::expired();
    let flight = started(table.ask(Ask::New));
    assert_eq!(joined(table.ask(Ask::New)), flight.id);
}

#[test]
fn row_9_fresh() {
    assert_eq!(used(Table::fresh().ask(Ask::New)), 0);
    assert_eq!(used(Table::signed_in(candidate(0, None)).ask(Ask::New)), 0, "of unknown lifetime");
}

#[test]
fn row_10_the_soft_window_starts_one_flight_in_the_background() {
    let soft = NOW + s(3000);
    let mut table = Table::fresh();
    assert!(matches!(table.ask(Ask::New), Decision::Use(_)), "not yet");
    let Decision::UseAndStart(snapshot, flight) = table.ask_at(Ask::New, soft) else {
        panic!("nothing was started")
    };
    assert_eq!((snapshot.stamp.generation, flight.cause), (0, Cause::Proactive));
    assert!(matches!(table.ask_at(Ask::New, soft), Decision::Use(_)), "one is up");
    table.crash(&flight);
    assert!(matches!(table.ask(Ask::New), Decision::Use(_)), "it cools down");
    table.drain();
    assert!(matches!(table.ask_at(Ask::New, soft), Decision::Use(_)), "it drains");
}

#[test]
fn row_11_expired_where_a_refresh_is_of_no_use() {
    let mut table = Table::fresh();
    table.drain();
    assert_eq!(used(table.ask(Ask::New)), 0, "valid for now");
    assert_eq!(ended(table.ask_at(Ask::New, NOW + s(3600))), EndReason::Rejected);

    let mut bearer_only = candidate(0, Some(Duration::ZERO));
    bearer_only.refreshable = false;
    assert_eq!(ended(Table::signed_in(bearer_only).ask(Ask::New)), EndReason::NotRefreshable);
}

#[test]
fn an_expired_refresh_token_starts_a_flight_only_where_the_access_token_is_of_no_use_either() {
    let dead = |lifetime| {
        let mut dead = candidate(0, lifetime);
        dead.refresh_expires = Some(NOW);
        Table::signed_in(dead)
    };
    let mut table = dead(Some(s(3600)));
    for ask in [Ask::New, Ask::Valid(s(7200))] {
        assert_eq!(used(table.ask(ask)), 0);
    }
    assert_eq!(failed(table.ask(Ask::Forced(None))), ErrorKind::SessionEnded);
    assert_eq!(table.state.session_state(), SessionState::Active);

    for ask in [Ask::New, Ask::Valid(s(1)), Ask::Forced(None)] {
        let mut table = dead(Some(Duration::ZERO));
        started(table.ask(ask));
        assert!(table.state.is_past_refreshing(NOW), "and that presents nothing");
    }
    let mut table = dead(Some(s(3600)));
    let flight = started(table.reject());
    table.crash(&flight);
    started(table.ask_at(Ask::Forced(None), NOW));
}

#[test]
fn row_12_expired_while_the_cooldown_runs() {
    let mut table = Table::expired();
    let flight = started(table.ask(Ask::New));
    table.crash(&flight);

    assert_eq!(failed(table.ask(Ask::New)), ErrorKind::RefreshUnavailable);
    started(table.ask(Ask::Forced(None)));
}

#[test]
fn row_13_expired() {
    let mut table = Table::expired();

    let flight = started(table.ask(Ask::New));

    assert_eq!(flight.cause, Cause::Proactive);
}

#[test]
fn a_forced_refresh_passes_cooldown_and_window_and_ends_nothing() {
    let mut table = Table::fresh();
    table.policy.rejections = Some(0);
    assert_eq!(failed(table.reject()), ErrorKind::ExcessiveRefresh);
    let flight = table.fly();
    table.crash(&flight);
    let flight = table.fly();
    let known = flight.from;
    assert_eq!(joined(table.ask(Ask::Forced(Some(known)))), flight.id);
    table.crash(&flight);

    table.drain();
    assert_eq!(failed(table.ask(Ask::Forced(None))), ErrorKind::SessionEnded);
    assert_eq!(table.state.session_state(), SessionState::Draining);
}

#[test]
fn a_token_that_is_valid_for_too_short_counts_as_expired_for_who_asks() {
    let mut table = Table::fresh();
    assert_eq!(used(table.ask(Ask::Valid(s(3600)))), 0);
    let flight = started(table.ask(Ask::Valid(s(3601))));
    assert_eq!(joined(table.ask(Ask::Valid(s(3601)))), flight.id);
    assert_eq!(used(table.ask(Ask::New)), 0);
    table.crash(&flight);
    assert_eq!(
        used(table.ask(Ask::Valid(s(3601)))),
        0,
        "it cools down: what is valid is better than nothing"
    );
    let mut table = Table::fresh();
    table.drain();
    assert_eq!(used(table.ask(Ask::Valid(s(3601)))), 0);
}

/// P3: a refresh that cannot do better is not made.
#[test]
fn what_no_refresh_can_give_is_not_asked_for_again() {
    let mut granted = candidate(0, Some(s(60)));
    granted.times.granted = Some(s(60));
    let mut table = Table::signed_in(granted);

    assert_eq!(used(table.ask(Ask::Valid(s(61)))), 0);
    started(table.ask_at(Ask::Valid(s(60)), NOW + s(1)));
}

#[test]
fn a_flight_past_its_deadline_is_ended_by_whoever_looks() {
    let mut table = Table::fresh();
    let flight = started(table.reject());
    let deadline = NOW + table.policy.flight;
    assert!(table.state.expire(deadline - s(1), 0, &table.policy).landing.is_none());

    let landing = table.state.expire(deadline, 0, &table.policy).landing;

    assert!(matches!(landing, Some(Landing::Failed { .. })));
    assert!(table.state.flight.is_none() && !table.state.holds());
    assert!(table.state.is_current(&flight), "its answer may still come");

    let fresh = candidate(1, None);
    assert!(matches!(table.state.obtained(&flight, &fresh, deadline, &table.policy), Obtained::Save));
    let landing = table.state.land(&flight, fresh, Ok(()), deadline, 0, &table.policy);
    assert!(matches!(landing, Landing::Published { .. }), "no rotation is lost");
    assert_eq!(used(table.ask_at(Ask::New, deadline)), 1, "and no cooldown is left");
}

#[test]
fn a_lapsed_flight_is_overtaken_by_the_next_one() {
    let mut table = Table::fresh();
    let lapsed = started(table.reject());
    let later = NOW + table.policy.flight;
    drop(table.state.expire(later, 0, &table.policy));

    let next = started(table.ask_at(Ask::Forced(None), later));
    assert!(!lapsed.is_overtaken(), "until the next presents the token its answer is welcome");
    let presented = table.state.present(&next).unwrap();

    assert_eq!(presented.refresh_token().unwrap().reveal(), "R0");
    assert!(lapsed.is_overtaken() && !next.is_overtaken());
    let fresh = candidate(1, None);
    assert!(matches!(table.state.obtained(&lapsed, &fresh, later, &table.policy), Obtained::Overtaken));
    assert!(table.state.is_current(&next));
}

#[test]
fn a_flight_that_lapsed_before_it_presented_anything_presents_nothing() {
    let mut table = Table::fresh();
    let lapsed = started(table.reject());
    let later = NOW + table.policy.flight;
    drop(table.state.expire(later, 0, &table.policy));

    assert!(
        table.state.present(&lapsed).is_none(),
        "nobody waits for it, and the next would present the same"
    );
}

#[test]
fn a_lapsed_flight_does_not_bring_back_a_session_that_has_ended() {
    let mut table = Table::fresh();
    let lapsed = started(table.reject());
    let later = NOW + table.policy.flight;
    drop(table.state.expire(later, 0, &table.policy));
    let error = Error::ended(EndReason::RefreshTokenExpired, None);
    assert!(matches!(table.state.end(EndReason::RefreshTokenExpired, error), Decision::End(..)));

    assert!(!table.state.is_current(&lapsed));
    let (landing, _) = table.state.follow(&lapsed, candidate(1, None), &table.policy);
    assert!(matches!(landing, Landing::Over));
    assert!(matches!(table.state.session_state(), SessionState::Ended(_)));
}

#[test]
fn a_late_answer_is_what_the_next_flight_presents() {
    let mut table = Table::fresh();
    let lapsed = started(table.reject());
    let later = NOW + table.policy.flight;
    drop(table.state.expire(later, 0, &table.policy));
    let next = started(table.ask_at(Ask::Forced(None), later));

    let late = candidate(1, None);
    let obtained = table.state.obtained(&lapsed, &late, later, &table.policy);

    assert!(
        matches!(obtained, Obtained::Overtaken),
        "the flight that is up looks at the store before it is written"
    );
    assert_eq!(table.state.present(&next).unwrap().refresh_token().unwrap().reveal(), "R1");
    let fresh = candidate(2, None);
    assert!(matches!(table.state.obtained(&next, &fresh, later, &table.policy), Obtained::Save));
    assert!(matches!(
        table.state.land(&next, fresh, Ok(()), later, 0, &table.policy),
        Landing::Published { .. }
    ));
    assert_eq!(table.stamp().generation, 1);
}

#[test]
fn a_save_past_its_deadline_is_published_from_memory() {
    let mut table = Table::fresh();
    let flight = started(table.reject());
    let fresh = candidate(1, None);
    assert!(matches!(table.state.obtained(&flight, &fresh, NOW, &table.policy), Obtained::Save));
    assert!(table.state.expire(NOW + s(1), 0, &table.policy).landing.is_none());

    let landing = table.state.expire(NOW + table.policy.save(), 0, &table.policy).landing;

    assert!(matches!(landing, Some(Landing::Published { .. })));
}

/// The flight's save runs out of time, and what it brought has expired by then: whoever looks ends the session in the same breath.
#[test]
fn what_is_replaced_before_it_was_shown_is_nobodys_newest() {
    let mut table = Table::expired();
    let Decision::Start(flight) = table.ask(Ask::New) else { panic!("no flight was started") };
    let brings = Candidate { refreshable: false, ..candidate(1, Some(s(1))) };
    assert!(matches!(table.state.obtained(&flight, &brings, NOW, &table.policy), Obtained::Save));
    let later = flight.deadline();

    let landing = table.state.expire(later, 0, &table.policy).landing;
    assert!(matches!(landing, Some(Landing::Published { .. })));
    assert!(flight.brought().is_some_and(Lease::is_newest));
    assert!(matches!(table.ask_at(Ask::New, later), Decision::End(..)));

    assert!(!flight.brought().is_some_and(Lease::is_newest), "it would go out after the session's end");
}

#[test]
fn a_load_that_has_run_out_of_time_holds_the_stores_lock_no_longer() {
    let mut table = Table::unknown();
    let Decision::StartLoad(id, _) = table.ask(Ask::New) else { panic!("no load was started") };

    let expired = table.state.expire(NOW + s(3600), 0, &table.policy);

    assert!(expired.load.is_some());
    assert_eq!(expired.holders, [id]);
}

#[test]
fn flights_that_have_landed_and_are_gone_take_no_room() {
    let mut table = Table::fresh();

    for name in 1..=100 {
        let flight = table.fly();
        table.land(&flight, name);
        drop((flight, std::mem::take(&mut table.state.trash)));
    }

    assert!(table.state.landed.len() < 3);
}

#[test]
fn what_a_flight_brings_for_another_epoch_is_orphaned() {
    let mut table = Table::fresh();
    let flight = started(table.reject());
    table.state.sign_out(&Policy::default());

    assert!(matches!(
        table.state.obtained(&flight, &candidate(1, None), NOW, &table.policy),
        Obtained::Orphaned
    ));
    let error = Error::new(ErrorKind::RefreshUnavailable);
    assert!(matches!(table.state.failed(&flight, error, None, NOW, 0, &table.policy), Landing::Over));
    assert_eq!(table.state.session_state(), SessionState::SignedOut);
    assert_eq!(flight.take_orphan().unwrap().refresh_token().unwrap().reveal(), "R0");
}

#[test]
fn a_flight_sees_memorys_pair_while_it_counts_and_presents_it_while_it_is_up() {
    let mut table = Table::fresh();
    let flight = started(table.reject());
    assert!(table.state.pair(&flight).is_some() && table.state.present(&flight).is_some());

    drop(table.state.expire(NOW + table.policy.flight, 0, &table.policy));
    assert!(table.state.pair(&flight).is_some(), "it may still be answered");
    assert!(table.state.present(&flight).is_none(), "its lock was given back");

    table.state.sign_in(candidate(5, None), header(), &table.policy);
    assert!(table.state.pair(&flight).is_none(), "it is another's");
}

#[test]
fn a_late_answer_is_not_published_over_a_pair_that_was_adopted_since() {
    let mut table = Table::fresh();
    let lapsed = started(table.reject());
    let later = NOW + table.policy.flight;
    drop(table.state.expire(later, 0, &table.policy));
    let late = candidate(1, Some(s(3600)));
    assert!(matches!(table.state.obtained(&lapsed, &late, later, &table.policy), Obtained::Save));
    let next = started(table.ask_at(Ask::Forced(None), later));
    let adopted = table.state.adopt(&next, candidate(2, Some(s(3600))), later, &table.policy);
    assert!(matches!(adopted, Some(Landing::Published { adopted: true, .. })));

    let landing = table.state.land(&lapsed, late, Ok(()), later, 0, &table.policy);

    assert!(matches!(landing, Landing::Over), "its pair is spent: it is what was rotated elsewhere");
    let flight = started(table.ask_at(Ask::Forced(None), later));
    assert_eq!(table.state.present(&flight).unwrap().refresh_token().unwrap().reveal(), "R2");
}
