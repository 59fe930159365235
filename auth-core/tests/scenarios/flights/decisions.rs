//! The one decision, row by row of the two tables above `auth-core/src/session/state.rs`, as a session's own callers see
//! it. Row 10, the soft window, has a file of its own: `proactive`.

use std::time::Duration;

use auth_core::{
    AccessToken, Advice, Cause, EndReason, Error, ErrorKind, Event, Lease, RefreshError, SessionState, Stamp,
    Turn,
};
use auth_testkit::{Op, Running, numbered};

use super::{COOLED, JUST_COOLING, cause_of, failures, lasting, started};
use crate::world::World;

/// A session's callers, each on its way as far as it comes.
trait Callers {
    fn lease(&self) -> Running<Result<Turn, Error>>;
    fn recover(&self, rejected: Stamp) -> Running<Result<Turn, Error>>;
    fn refresh(&self, known: Option<Stamp>) -> Running<Result<Lease, Error>>;
    fn access_token(&self, seconds: u64) -> Running<Result<AccessToken, Error>>;
    fn stamp(&self) -> Stamp;
    fn fails(&self, error: RefreshError);
    fn ended(&self) -> Vec<EndReason>;
}

impl Callers for World {
    fn lease(&self) -> Running<Result<Turn, Error>> {
        let session = self.session.clone();
        go(self, async move { session.lease().await })
    }

    fn recover(&self, rejected: Stamp) -> Running<Result<Turn, Error>> {
        let session = self.session.clone();
        go(self, async move { session.recover(rejected).await })
    }

    fn refresh(&self, known: Option<Stamp>) -> Running<Result<Lease, Error>> {
        let session = self.session.clone();
        go(self, async move { session.refresh(known).await })
    }

    fn access_token(&self, seconds: u64) -> Running<Result<AccessToken, Error>> {
        let session = self.session.clone();
        go(self, async move { session.access_token(Duration::from_secs(seconds)).await })
    }

    /// The newest lease's, while it is free.
    #[track_caller]
    fn stamp(&self) -> Stamp {
        ready(&self.lease()).stamp()
    }

    /// The refresh under way fails like this.
    fn fails(&self, error: RefreshError) {
        self.refresher.try_next().expect("a refresh is under way").fail(error);
        self.settle();
    }

    fn ended(&self) -> Vec<EndReason> {
        let reason = |event: &Event| match event {
            Event::Ended(ended) => Some(ended.reason),
            _ => None,
        };
        self.events().iter().filter_map(reason).collect()
    }
}

fn go<T: Send + 'static>(world: &World, caller: impl Future<Output = T> + Send + 'static) -> Running<T> {
    let running = world.runtime.start(caller);
    world.settle();
    running
}

#[track_caller]
fn ready<T>(running: &Running<Result<T, Error>>) -> T {
    running.take().expect("it does not wait").expect("it has not failed")
}

#[track_caller]
fn failed<T: std::fmt::Debug>(running: &Running<Result<T, Error>>) -> Error {
    running.take().expect("it does not wait").expect_err("it fails")
}

/// A lease, with a turn or without.
trait Carries {
    fn carried(&self) -> &Lease;
}

impl Carries for Lease {
    fn carried(&self) -> &Lease {
        self
    }
}

impl Carries for Turn {
    fn carried(&self) -> &Lease {
        self
    }
}

fn bearer(carries: &impl Carries) -> &str {
    carries.carried().header().1.to_str().unwrap()
}

/// Somebody is signed in with T0, valid for so many seconds.
fn lasting_world(seconds: u64) -> World {
    let world = World::new();
    world.sign_in(lasting(&world, numbered(0), seconds));
    world
}

/// Row 1: A stamp of another sign-in is `SessionChanged` for everybody who brings it, and does nothing to who is signed in
/// now.
#[test]
fn row_1_another_identitys_stamp() {
    let world = World::signed_in();
    let old = world.stamp();
    world.sign_in(numbered(7));

    let recovered = failed(&world.recover(old));
    let rejected = world.session.reject(old).unwrap_err();
    let forced = failed(&world.refresh(Some(old)));

    for error in [recovered, rejected, forced] {
        assert_eq!(error.kind(), ErrorKind::SessionChanged);
        assert!(matches!(error.advice(), Advice::RetryLater { .. }));
    }
    world.settle();
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.session.state(), SessionState::Active);
    let newest = ready(&world.lease());
    assert_eq!(bearer(&newest), "Bearer T7");
    assert!(newest.stamp().epoch > old.epoch);
}

/// Row 2: Where nobody is signed in a stamp of before is `SignedOut`.
#[test]
fn row_2_a_stamp_of_before_the_sign_out() {
    let world = World::signed_in();
    let old = world.stamp();
    world.runtime.block_on(world.session.sign_out()).unwrap();

    assert_eq!(failed(&world.recover(old)).kind(), ErrorKind::SignedOut);
    assert_eq!(world.session.reject(old).unwrap_err().kind(), ErrorKind::SignedOut);
    assert_eq!(failed(&world.refresh(Some(old))).kind(), ErrorKind::SignedOut);
    assert_eq!(world.refresher.calls(), 0);
}

/// Rows 2 and 7: After the end everybody gets the end's error, without network.
#[test]
fn rows_2_and_7_after_the_end() {
    let world = World::signed_in();
    let old = world.stamp();
    let waiting = world.recover(old);
    world.fails(RefreshError::rejected("invalid_grant"));
    let ended = failed(&waiting);

    let errors = [
        failed(&world.recover(old)),
        world.session.reject(old).unwrap_err(),
        failed(&world.refresh(Some(old))),
        failed(&world.refresh(None)),
        failed(&world.lease()),
        failed(&world.access_token(0)),
    ];

    for error in &errors {
        assert_eq!((error.kind(), error.end_reason()), (ErrorKind::SessionEnded, Some(EndReason::Rejected)));
        assert_eq!(error.advice(), Advice::SignIn);
        assert_eq!(cause_of(error), cause_of(&ended));
    }
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.ended(), [EndReason::Rejected]);
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::Rejected));
}

/// Row 7: Nobody is signed in.
#[test]
fn row_7_signed_out() {
    let world = World::signed_in();
    world.runtime.block_on(world.session.sign_out()).unwrap();

    let errors = [failed(&world.lease()), failed(&world.refresh(None)), failed(&world.access_token(0))];

    assert!(errors.iter().all(|error| error.kind() == ErrorKind::SignedOut));
    assert!(errors.iter().all(|error| error.advice() == Advice::SignIn));
    assert_eq!(world.refresher.calls(), 0);
}

/// D10, row 3: An older stamp brings the current lease, without a place, and has no effect on it.
#[test]
fn row_3_an_older_stamp_brings_the_current_lease() {
    let world = World::signed_in();
    let old = world.stamp();
    let waiting = world.recover(old);
    world.refresh_answers(numbered(1));
    drop(waiting.take());
    let current = world.stamp();

    let recovered = ready(&world.recover(old));
    let refreshed = ready(&world.refresh(Some(old)));
    world.session.reject(old).unwrap();
    world.settle();

    assert_eq!((bearer(&recovered), recovered.ticket()), ("Bearer T1", None));
    assert_eq!(bearer(&refreshed), "Bearer T1");
    assert_eq!((recovered.stamp(), refreshed.stamp()), (current, current));
    assert_eq!(current.generation, old.generation + 1);
    assert_eq!(world.stamp(), current, "it was not marked as rejected");
    assert_eq!(world.refresher.calls(), 1);
    let forced = world.refresh(None);
    assert_eq!(bearer(&ready(&world.lease())), "Bearer T1", "nor while the next flight is up");
    drop(forced);
}

/// Row 3, rows 8, 12 and 13: An older stamp is decided as a new request is, whatever the newest token has come to.
#[test]
fn row_3_an_older_stamp_is_a_new_request() {
    let world = World::signed_in();
    let old = world.stamp();
    let waiting = world.recover(old);
    world.refresh_answers(lasting(&world, numbered(1), 100));
    drop(waiting.take());
    world.pass(Duration::from_secs(100));

    let starting = world.recover(old);
    let joining = world.recover(old);
    assert!(!starting.is_finished() && !joining.is_finished());
    world.fails(RefreshError::misconfigured("down"));
    let cooling = failed(&world.recover(old));

    assert_eq!(cause_of(&failed(&starting)), cause_of(&cooling));
    assert_eq!(cause_of(&failed(&joining)), cause_of(&cooling));
    let causes: Vec<_> = started(&world).into_iter().map(|(_, cause)| cause).collect();
    assert_eq!(causes, [Cause::Rejected, Cause::Proactive]);
    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
}

/// Row 4: A rejection while a flight is up joins it, and from then on the token counts as rejected.
#[test]
fn row_4_a_rejection_joins_the_flight_that_is_up() {
    let world = World::signed_in();
    let stamp = world.stamp();
    let forced = world.refresh(None);
    assert!(ready(&world.lease()).ticket().is_none(), "nobody has seen it rejected");

    let first = world.recover(stamp);
    let second = world.recover(stamp);
    let new = world.lease();
    assert!(!new.is_finished());
    world.refresh_answers(numbered(1));

    let first = ready(&first);
    assert_eq!((first.ticket(), first.flight()), (Some(0), Some(started(&world)[0].0)));
    assert!(!second.is_finished(), "the first has the baton");
    drop(first);
    world.settle();
    assert_eq!(ready(&second).ticket(), Some(1));
    world.settle();
    assert_eq!(ready(&new).ticket(), Some(2));
    assert_eq!(bearer(&ready(&forced)), "Bearer T1");
    assert_eq!(world.refresher.calls(), 1);
}

/// Row 4: `reject` marks the token as rejected too, but takes no place and does not wait.
#[test]
fn row_4_a_rejection_that_does_not_wait_takes_no_place() {
    let world = World::signed_in();
    let stamp = world.stamp();
    let forced = world.refresh(None);

    world.session.reject(stamp).unwrap();

    let new = world.lease();
    assert!(!new.is_finished());
    world.refresh_answers(numbered(1));
    assert_eq!(ready(&new).ticket(), Some(0));
    assert_eq!(bearer(&ready(&forced)), "Bearer T1");
}

/// Row 5a: A rejected token that cannot be refreshed ends the session, once, and the store is cleared.
#[test]
fn row_5a_what_cannot_be_refreshed_ends() {
    let world = World::new();
    world.sign_in(auth_core::Tokens::new("T0").unwrap());
    let stamp = world.stamp();

    let first = failed(&world.recover(stamp));
    let second = failed(&world.recover(stamp));

    for error in [first, second] {
        let ended = (ErrorKind::SessionEnded, Some(EndReason::NotRefreshable));
        assert_eq!((error.kind(), error.end_reason()), ended);
    }
    assert_eq!(world.ended(), [EndReason::NotRefreshable]);
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::NotRefreshable));
    assert!(world.store.content().is_none());
    assert_eq!(world.refresher.calls(), 0);
}

/// Row 5a: So does one whose refresh token has expired by the clock, told by `reject` as well.
#[test]
fn row_5a_an_expired_refresh_token_ends() {
    let world = World::new();
    let day = Duration::from_secs(86_400);
    let now = auth_core::Runtime::now(&world.runtime);
    world.sign_in(numbered(0).with_refresh_expires_in(day, now));
    let stamp = world.stamp();
    world.pass(day);

    let error = world.session.reject(stamp).unwrap_err();

    let ended = (ErrorKind::SessionEnded, Some(EndReason::RefreshTokenExpired));
    assert_eq!((error.kind(), error.end_reason()), ended);
    assert_eq!(world.ended(), [EndReason::RefreshTokenExpired]);
    assert_eq!(world.refresher.calls(), 0);
}

/// A session whose refresh token is dead, and whose T0 is good for 100 seconds.
fn draining() -> (World, Stamp) {
    let world = lasting_world(100);
    let stamp = world.stamp();
    let forced = world.refresh(None);
    world.fails(RefreshError::rejected("invalid_grant"));
    assert_eq!(failed(&forced).kind(), ErrorKind::SessionEnded);
    assert_eq!(world.session.state(), SessionState::Draining);
    assert_eq!(world.ended(), []);
    (world, stamp)
}

/// Row 5a: The rejection of a token that drains ends the session. Until then it is used (row 9), and a forced refresh
/// fails without network and changes nothing.
#[test]
fn row_5a_a_rejection_ends_what_drains() {
    let (world, stamp) = draining();

    assert_eq!(bearer(&ready(&world.lease())), "Bearer T0");
    assert_eq!(failed(&world.refresh(None)).kind(), ErrorKind::SessionEnded);
    assert_eq!(failed(&world.refresh(Some(stamp))).kind(), ErrorKind::SessionEnded);
    assert_eq!(world.session.state(), SessionState::Draining);
    let error = failed(&world.recover(stamp));

    assert_eq!((error.kind(), error.end_reason()), (ErrorKind::SessionEnded, Some(EndReason::Rejected)));
    assert_eq!(world.ended(), [EndReason::Rejected]);
    assert_eq!(world.refresher.calls(), 1);
    assert!(world.store.content().is_none());
}

/// Row 5b: In the cooldown a rejection is answered with the failed flight's error, and marks the token: while a forced
/// flight is up nobody goes out with it.
#[test]
fn row_5b_a_rejection_in_the_cooldown() {
    let world = World::signed_in();
    let stamp = world.stamp();
    let forced = world.refresh(None);
    world.fails(RefreshError::misconfigured("down"));
    let failure = failed(&forced);

    let recovered = failed(&world.recover(stamp));
    let rejected = world.session.reject(stamp).unwrap_err();
    assert_eq!(bearer(&ready(&world.lease())), "Bearer T0", "no flight is up: it is used (row 9)");
    let forced = world.refresh(None);
    let waiting = world.lease();
    assert!(!waiting.is_finished(), "it was marked as rejected");
    world.refresh_answers(numbered(1));

    assert_eq!(cause_of(&recovered), cause_of(&failure));
    assert_eq!(cause_of(&rejected), cause_of(&failure));
    assert_eq!(failures(&world).len(), 1);
    assert_eq!(bearer(&ready(&waiting)), "Bearer T1");
    assert_eq!(bearer(&ready(&forced)), "Bearer T1");
    assert_eq!(bearer(&ready(&world.lease())), "Bearer T1", "the mark is gone with its token");
}

/// Row 5b: A token that was rejected in the cooldown does not drain: when its refresh token turns out to be dead the
/// session ends.
#[test]
fn row_5b_a_token_rejected_in_the_cooldown_does_not_drain() {
    let world = World::signed_in();
    let stamp = world.stamp();
    let forced = world.refresh(None);
    world.fails(RefreshError::misconfigured("down"));
    drop(forced.take());
    drop(failed(&world.recover(stamp)));

    let forced = world.refresh(None);
    world.fails(RefreshError::rejected("invalid_grant"));

    assert_eq!(failed(&forced).kind(), ErrorKind::SessionEnded);
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::Rejected));
}

/// Row 5c: With the window full a rejection is `ExcessiveRefresh`, without a token request, and says when to try again.
#[test]
fn row_5c_the_window_is_full() {
    let world = World::with(|session| session.max_rejections(Some(1)), |client| client);
    world.sign_in(numbered(0));
    let waiting = world.recover(world.stamp());
    world.refresh_answers(numbered(1));
    drop(waiting.take());
    let stamp = world.stamp();
    world.pass(Duration::from_secs(10));

    let recovered = failed(&world.recover(stamp));
    let rejected = world.session.reject(stamp).unwrap_err();

    for error in [recovered, rejected] {
        assert_eq!(error.kind(), ErrorKind::ExcessiveRefresh);
        assert_eq!(error.advice(), Advice::RetryLater { after: Some(Duration::from_secs(20)) });
    }
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(bearer(&ready(&world.lease())), "Bearer T1", "the others go on");
    world.pass(Duration::from_secs(20));
    assert!(!world.recover(stamp).is_finished());
    assert_eq!(world.refresher.calls(), 2);
}

/// Row 5d: The first rejection starts the flight and has ticket 0; `reject` starts it as well, and has none.
#[test]
fn row_5d_a_rejection_starts_the_flight() {
    let world = World::signed_in();
    let first = world.recover(world.stamp());
    assert_eq!(world.session.state(), SessionState::Refreshing);
    world.refresh_answers(numbered(1));
    assert_eq!(ready(&first).ticket(), Some(0));

    world.session.reject(world.stamp()).unwrap();
    world.settle();
    assert_eq!(world.session.state(), SessionState::Refreshing);
    let new = world.lease();
    assert!(!new.is_finished(), "it is marked as rejected");
    world.refresh_answers(numbered(2));

    assert_eq!(ready(&new).ticket(), Some(0));
    let causes: Vec<_> = started(&world).into_iter().map(|(_, cause)| cause).collect();
    assert_eq!(causes, [Cause::Rejected; 2]);
}

/// Row 6: Whoever comes first loads first: a forced refresh presents what the store holds, and a stamp of nobody is
/// `SessionChanged`.
#[test]
fn row_6_a_forced_refresh_loads_first() {
    let world = World::new();
    world.store.put_as_other_sign_in(numbered(3));
    world.store.hold(Op::Load);
    let forced = world.refresh(None);
    let token = world.access_token(0);
    assert_eq!(world.refresher.calls(), 0);

    world.store.release_holds();
    world.settle();
    assert_eq!(ready(&token).reveal(), "T3");
    world.refresh_answers(numbered(4));

    assert_eq!(bearer(&ready(&forced)), "Bearer T4");
    assert_eq!(world.refresher.presented(), ["R3"]);
    assert_eq!(started(&world)[0].1, Cause::Forced);
}

/// Row 6: An empty store is locked and read again before first tokens are acquired; they are saved, and then in force as a
/// sign-in.
#[test]
fn row_6_first_tokens_are_acquired_and_saved() {
    let world = World::new();
    world.refresher.script_acquire();
    world.store.lockable();
    let waiting = [world.lease(), world.lease()];
    world.store.hold(Op::Save);

    world.refresher.try_next_acquire().unwrap().answer(Some(numbered(0)));
    world.settle();
    assert!(waiting.iter().all(|lease| !lease.is_finished()), "not before they are saved");
    world.store.release_holds();
    world.settle();

    assert!(waiting.iter().all(|lease| bearer(&ready(lease)) == "Bearer T0"));
    assert_eq!(world.store.ops(), [Op::Load, Op::Lock, Op::Load, Op::Save, Op::Release]);
    assert_eq!(world.refresher.acquires(), 1);
    assert!(world.store.content().unwrap().sign_in_id().is_some());
    assert!(world.events().iter().any(|event| matches!(event, Event::SignedIn { epoch: 1 })));
}

/// Row 6: What another process has put there by the second reading is used, and nothing is acquired.
#[test]
fn row_6_the_second_reading_counts() {
    let world = World::new();
    world.refresher.script_acquire();
    world.store.lockable();
    world.store.hold(Op::Lock);
    let waiting = world.lease();

    world.store.put_as_other_sign_in(numbered(5));
    world.store.release_holds();
    world.settle();

    assert_eq!(bearer(&ready(&waiting)), "Bearer T5");
    assert_eq!(world.refresher.acquires(), 0);
}

/// Row 6: An `acquire` that fails cools down as a flight does, with its own error for all; then it is tried again.
#[test]
fn row_6_a_failed_acquire_cools_down() {
    let world = World::new();
    world.refresher.script_acquire();
    let waiting = [world.lease(), world.lease()];
    world.refresher.try_next_acquire().unwrap().fail(RefreshError::misconfigured("invalid_client"));
    world.settle();
    let errors = waiting.each_ref().map(|lease| failed(lease));

    world.pass(JUST_COOLING);
    let cooling = [failed(&world.lease()), failed(&world.access_token(0))];
    let acquired = world.refresher.acquires();
    world.pass(COOLED - JUST_COOLING);
    let next = world.lease();
    world.refresher.try_next_acquire().unwrap().answer(Some(numbered(0)));
    world.settle();

    for error in errors.iter().chain(&cooling) {
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert_eq!(cause_of(error), cause_of(&errors[0]));
    }
    assert_eq!(acquired, 1);
    assert_eq!(bearer(&ready(&next)), "Bearer T0");
}

/// Row 6: A sign-in during an `acquire` wins; what is acquired all the same is nobody's, and is offered for revocation.
#[test]
fn row_6_a_sign_in_during_the_acquire_wins() {
    let world = World::new();
    world.refresher.script_acquire();
    let waiting = world.lease();

    world.sign_in(numbered(7));
    world.settle();
    assert_eq!(bearer(&ready(&waiting)), "Bearer T7");
    world.refresher.try_next_acquire().unwrap().answer(Some(numbered(0)));
    world.settle();

    assert_eq!(bearer(&ready(&world.lease())), "Bearer T7");
    assert_eq!(world.stored().as_deref(), Some("T7"));
    let revoked: Vec<_> = world.refresher.revoked();
    assert_eq!(revoked.iter().map(|pair| pair.access_token().reveal()).collect::<Vec<_>>(), ["T0"]);
}

/// Rows 8 and 9: While a flight is up a token that is neither rejected nor expired is used; once it expires, new requests
/// wait for that flight.
#[test]
fn rows_8_and_9_a_flight_is_up() {
    let world = lasting_world(100);
    let forced = world.refresh(None);

    let fresh = ready(&world.lease());
    let token = ready(&world.access_token(10));
    assert_eq!((bearer(&fresh), fresh.ticket(), token.reveal()), ("Bearer T0", None, "T0"));
    world
        .refresher
        .try_next()
        .unwrap()
        .fail(RefreshError::unavailable("busy").retry_after(Duration::from_secs(7)));
    world.pass(Duration::from_secs(7));
    assert_eq!(bearer(&ready(&world.lease())), "Bearer T0");
    drop(forced);

    let world = lasting_world(10);
    let forced = world.refresh(None);
    world.pass(Duration::from_secs(10));
    let waiting = world.lease();
    assert!(!waiting.is_finished());
    world.refresh_answers(numbered(1));
    assert_eq!((ready(&waiting).ticket(), world.refresher.calls()), (Some(0), 1));
    assert_eq!(bearer(&ready(&forced)), "Bearer T1");
}

/// Row 9: A rejected token with no flight up is used: one endpoint must not stop the others while the token endpoint is
/// down.
#[test]
fn row_9_a_rejected_token_without_a_flight_is_used() {
    let world = World::signed_in();
    let stamp = world.stamp();
    let waiting = world.recover(stamp);
    world.fails(RefreshError::misconfigured("down"));
    drop(waiting.take());

    let cooling = ready(&world.lease());
    world.pass(COOLED);
    let cooled = ready(&world.lease());

    assert_eq!((bearer(&cooling), cooling.ticket()), ("Bearer T0", None));
    assert_eq!((bearer(&cooled), cooled.ticket()), ("Bearer T0", None));
    assert_eq!(world.refresher.calls(), 1, "a new request starts nothing");
    assert!(!world.recover(stamp).is_finished());
    assert_eq!(world.refresher.calls(), 2);
}

/// Rows 9 and 13, P1: A token is used until it counts as expired, 5 s early, and from that instant on no more.
#[test]
fn rows_9_and_13_at_the_end_of_a_lifetime() {
    let world = World::with(|session| session.soft_window(Duration::ZERO), |client| client);
    world.sign_in(lasting(&world, numbered(0), 100));
    world.pass(Duration::from_millis(94_999));
    assert_eq!(bearer(&ready(&world.lease())), "Bearer T0");
    assert_eq!(world.refresher.calls(), 0);

    world.pass(Duration::from_millis(1));
    let waiting = world.lease();

    assert!(!waiting.is_finished());
    world.refresh_answers(numbered(1));
    assert_eq!(bearer(&ready(&waiting)), "Bearer T1");
}

/// Row 11: An expired token that cannot be refreshed ends the session, and so does one that drains.
#[test]
fn row_11_expired_and_not_refreshable_ends() {
    let world = World::new();
    world.sign_in(lasting(&world, auth_core::Tokens::new("T0").unwrap(), 100));
    assert_eq!(bearer(&ready(&world.lease())), "Bearer T0");
    world.pass(Duration::from_secs(100));
    let error = failed(&world.lease());
    assert_eq!(
        (error.kind(), error.end_reason()),
        (ErrorKind::SessionEnded, Some(EndReason::NotRefreshable))
    );
    assert_eq!(world.ended(), [EndReason::NotRefreshable]);
    assert!(world.store.content().is_none());

    let (world, _) = draining();
    world.pass(Duration::from_secs(100));
    let error = failed(&world.access_token(0));
    assert_eq!((error.kind(), error.end_reason()), (ErrorKind::SessionEnded, Some(EndReason::Rejected)));
    assert_eq!(world.ended(), [EndReason::Rejected]);
    assert_eq!(world.refresher.calls(), 1);
}

/// Rows 12 and 13: An expired token starts a flight, which others join; in the cooldown of its failure everybody gets its
/// error without network; after it one flight starts again.
#[test]
fn rows_12_and_13_expired() {
    let world = lasting_world(100);
    world.pass(Duration::from_secs(100));

    let starting = world.lease();
    let joining = world.access_token(0);
    world.fails(RefreshError::misconfigured("down"));
    let errors = [failed(&starting), failed(&joining)];
    world.pass(JUST_COOLING);
    let cooling = [failed(&world.lease()), failed(&world.access_token(0))];
    assert_eq!(world.refresher.calls(), 1);
    world.pass(COOLED - JUST_COOLING);
    let next = world.lease();
    world.refresh_answers(numbered(1));

    assert!(errors.iter().chain(&cooling).all(|error| cause_of(error) == cause_of(&errors[0])));
    assert_eq!((bearer(&ready(&next)), world.refresher.calls()), ("Bearer T1", 2));
    let causes: Vec<_> = started(&world).into_iter().map(|(_, cause)| cause).collect();
    assert_eq!(causes, [Cause::Proactive; 2]);
}

/// Rows 1 and 2 once more, at a waiter's turn: whose identity has gone by then does not go out as somebody else.
#[test]
fn a_waiter_at_its_turn_looks_whose_it_is() {
    for (signs_in, expected) in [(true, ErrorKind::SessionChanged), (false, ErrorKind::SignedOut)] {
        let world = World::signed_in();
        let stamp = world.stamp();
        let first = world.recover(stamp);
        let second = world.recover(stamp);
        world.refresh_answers(numbered(1));
        let turn = ready(&first);
        assert!(!second.is_finished());

        let written = if signs_in { world.session.sign_in(numbered(7)) } else { world.session.sign_out() };
        world.runtime.block_on(written).unwrap();

        assert_eq!(failed(&second).kind(), expected, "at once, whoever has the baton");
        assert_eq!(bearer(&turn), "Bearer T1", "this one was let go before");
    }
}

/// F7: A waiter at its turn takes the newest lease whatever its age, so that it cannot spin.
#[test]
fn a_waiter_at_its_turn_takes_the_newest_token_however_old() {
    let world = World::with(|session| session.patience(Duration::from_secs(3_600)), |client| client);
    world.sign_in(numbered(0));
    let stamp = world.stamp();
    let first = world.recover(stamp);
    let second = world.recover(stamp);
    world.refresh_answers(lasting(&world, numbered(1), 10));
    let turn = ready(&first);

    world.pass(Duration::from_secs(20));
    drop(turn);
    world.settle();

    assert_eq!(bearer(&ready(&second)), "Bearer T1");
    assert_eq!(world.refresher.calls(), 1);
    let next = world.lease();
    assert!(!next.is_finished(), "a new request refreshes it");
    assert_eq!(world.refresher.calls(), 2);
}

/// Row 13: `access_token` refreshes a token that is too short of life, ahead of time and for nobody else, and does not do it again
/// where the new one is no better.
#[test]
fn an_access_token_for_long_enough() {
    let world = lasting_world(100);

    assert_eq!(ready(&world.access_token(60)).reveal(), "T0");
    let longer = world.access_token(600);
    let also = world.access_token(600);
    assert!(!longer.is_finished() && !also.is_finished());
    assert_eq!(bearer(&ready(&world.lease())), "Bearer T0", "requests go on");
    world.refresh_answers(lasting(&world, numbered(1), 100));

    assert_eq!(ready(&longer).reveal(), "T1");
    assert_eq!(ready(&also).reveal(), "T1");
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(started(&world)[0].1, Cause::Proactive);
}
