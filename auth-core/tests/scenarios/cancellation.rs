//! Cancellation, timeouts and panics: whatever is dropped or never answers, nobody hangs.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::{
    Advice, Attempt, Body, EndReason, Error, ErrorKind, Event, RefreshError, Refresher, Runtime, Session,
    SessionBuilder, SessionState, TokenStore as _, Tokens, Turn,
};
use auth_testkit::{ManualRuntime, Op, Running, ScriptedStore, numbered, response};
use bytes::Bytes;
use futures::future::{Either, select};
use http::Request;

use crate::apart::Apart;
use crate::world::{Answer, World, error, kind, status};

/// A future that only the test polls.
type ByHand<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn poll<T>(future: &mut ByHand<T>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn send_by_hand(world: &World, path: &str) -> ByHand<Answer> {
    let client = world.client.clone();
    let request = Request::get(path).body(Body::empty()).unwrap();
    Box::pin(async move { client.send(request).await })
}

/// Waits for the refresh of the token that is in use now, as a request does whose lease was rejected.
fn recover_by_hand(world: &World) -> ByHand<Result<Turn, Error>> {
    let session = world.session.clone();
    let stamp = world.runtime.block_on(session.lease()).unwrap().stamp();
    Box::pin(async move { session.recover(stamp).await })
}

fn forced(world: &World) -> Running<Result<auth_core::Lease, Error>> {
    let session = world.session.clone();
    let running = world.runtime.start(async move { session.refresh(None).await });
    world.settle();
    running
}

/// Requests that were all sent before the first of them was rejected, and that wait for the refresh in this order.
fn rejected<const N: usize>(world: &World, paths: [&str; N]) -> [Running<Answer>; N] {
    let running = paths.map(|path| world.get(path));
    for _ in paths {
        assert!(world.api_answers(401).is_some());
    }
    assert!(running.iter().all(|request| !request.is_finished()));
    running
}

/// The refresher's calls so far are left without an answer.
fn leave_unanswered(world: &World) {
    while world.refresher.try_next().is_some() {}
}

fn saves(world: &World) -> Vec<String> {
    let saved = |call: &auth_testkit::Logged| call.ok && call.op == Op::Save;
    world.store.log().into_iter().filter(saved).filter_map(|call| call.tokens).collect()
}

/// One request goes through a whole refresh, from this token to the next.
#[track_caller]
fn assert_refreshes(world: &World, from: &str, to: u64) {
    let request = world.get("/once-more");
    assert_eq!(world.api_answers(401).as_deref(), Some(from));
    world.refresh_answers(numbered(to));
    assert_eq!(world.api_answers(200), Some(format!("T{to}")));
    assert_eq!(status(&request), 200);
    assert_eq!(world.stored(), Some(format!("T{to}")));
}

/// I1: the request that started the refresh is dropped: the refresh goes on for the others, and is saved.
#[test]
fn the_request_that_started_the_refresh_may_be_dropped() {
    let world = World::signed_in();
    let [starter, waiter] = rejected(&world, ["/starter", "/waiter"]);

    starter.cancel();
    world.settle();
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiter), 200);
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.stored().as_deref(), Some("T1"));
    assert_eq!(world.bearers(), ["T0", "T0", "T1"], "the starter is not sent again");
}

/// I1: also where it was the only one, at every step: the new pair is there for whoever comes next.
#[test]
fn a_refresh_that_nobody_waits_for_is_made_and_saved() {
    for op in [None, Some(Op::Lock), Some(Op::Load), Some(Op::Save)] {
        let world = World::new();
        world.store.lockable();
        world.sign_in(numbered(0));
        let starter = world.get("/starter");
        op.iter().for_each(|op| world.store.hold(*op));
        world.api_answers(401);
        if op == Some(Op::Save) {
            world.refresh_answers(numbered(1));
        }

        starter.cancel();
        world.store.release_holds();
        world.settle();
        if op != Some(Op::Save) {
            world.refresh_answers(numbered(1));
        }

        assert_eq!(world.stored().as_deref(), Some("T1"), "{op:?}");
        let later = world.get("/later");
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"), "{op:?}");
        assert_eq!(status(&later), 200);
        assert_eq!((world.refresher.calls(), world.runtime.tasks()), (1, 0), "{op:?}");
        assert!(!world.store.is_locked(), "{op:?}");
    }
}

/// I3: everybody has gone and the refresh hangs: its own deadline ends it, and the next request is nobody's captive.
#[test]
fn a_refresh_that_hangs_with_nobody_waiting_ends() {
    let world = World::signed_in();
    let waiting = rejected(&world, ["/a", "/b"]);
    let first = world.refresher.try_next().unwrap();
    waiting.into_iter().for_each(Running::cancel);
    assert_eq!(world.session.state(), SessionState::Refreshing);

    world.pass(Duration::from_secs(15));
    let second = world.refresher.try_next().expect("it is asked once more");
    world.pass(Duration::from_secs(15));

    assert!(first.is_abandoned() && second.is_abandoned());
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!((world.runtime.tasks(), world.runtime.timers()), (0, 0));
    let next = world.get("/next");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"), "it is sent at once");
    assert_eq!(status(&next), 200);
    world.pass(Duration::from_secs(2));
    assert_refreshes(&world, "T0", 1);
}

/// I4: one waiter is dropped: the others and the flight notice nothing of it, and keep their order.
#[test]
fn a_dropped_waiter_leaves_the_others_in_order() {
    let world = World::signed_in();
    let [zero, one, two, three, four] = rejected(&world, ["/0", "/1", "/2", "/3", "/4"]);

    three.cancel();
    one.cancel();
    world.refresh_answers(numbered(1));
    let replays: Vec<_> = (0..3).map(|_| world.next_call()).collect();

    let path = |call: &auth_testkit::SendCall| call.request().uri().path().to_owned();
    assert_eq!(replays.iter().map(path).collect::<Vec<_>>(), ["/0", "/2", "/4"]);
    let ticket =
        |call: &auth_testkit::SendCall| call.request().extensions().get::<Attempt>().unwrap().ticket.unwrap();
    assert_eq!(replays.iter().map(ticket).collect::<Vec<_>>(), [0, 2, 4]);
    replays.into_iter().for_each(|call| call.respond(200));
    world.settle();
    assert!([zero, two, four].iter().all(|request| status(request) == 200));
    assert_eq!(world.refresher.calls(), 1);
    let refreshed = |event: &Event| matches!(event, Event::Refreshed { waiters: 3, .. });
    assert!(world.events().iter().any(refreshed));
}

/// I5: a waiter that is dropped leaves at once, and its place is free: where two may wait, the next one may.
#[test]
fn a_dropped_waiter_gives_up_its_place() {
    let world = World::with(|session| session.max_waiters(2), |client| client);
    world.sign_in(numbered(0));
    let [staying, leaving] = rejected(&world, ["/staying", "/leaving"]);
    assert_eq!(kind(&world.get("/too-many")), ErrorKind::QueueFull);

    leaving.cancel();
    let next = world.get("/next");
    assert!(!next.is_finished());
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!((status(&staying), status(&next)), (200, 200));
}

/// I5: one that is dropped in its turn, before it was polled, passes the turn on at once; no time has to pass.
#[test]
fn a_waiter_dropped_in_its_turn_passes_it_on() {
    let world = World::signed_in();
    let mut first = recover_by_hand(&world);
    assert!(poll(&mut first).is_pending());
    let second = world.get("/second");
    world.refresh_answers(numbered(1));
    assert_eq!(world.api.calls(), 0, "the second waits for the first to start");

    drop(first);
    world.settle();

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&second), 200);
}

/// I7: a refresh that never settles is bounded: everybody who waits gets an error that passes, the session lives and the
/// next refresh can be made.
#[test]
fn a_refresh_that_never_settles_is_bounded() {
    let world = World::signed_in();
    let waiting = rejected(&world, ["/a", "/b"]);
    let forced = forced(&world);

    world.pass(Duration::from_millis(29_999));
    assert!(waiting.iter().all(|request| !request.is_finished()));
    world.pass(Duration::from_millis(1));

    let errors = waiting.map(|request| error(&request));
    for error in errors.iter().chain([&forced.take().unwrap().unwrap_err()]) {
        assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
        assert!(matches!(error.advice(), Advice::RetryLater { .. }));
        let cause: &RefreshError = error.source().unwrap().downcast_ref().unwrap();
        assert!(cause.is_unavailable() && cause.is_outcome_unknown());
    }
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(world.stored().as_deref(), Some("T0"));
    leave_unanswered(&world);
    world.pass(Duration::from_secs(2));
    assert_refreshes(&world, "T0", 1);
}

/// I7: the store's calls are bounded as well: what hangs there is a failure that passes, or is gone on without.
#[test]
fn a_store_that_never_answers_is_bounded() {
    let table = [
        (Op::Lock, Duration::from_secs(10), Err(ErrorKind::RefreshUnavailable)),
        (Op::Load, Duration::from_secs(5), Err(ErrorKind::RefreshUnavailable)),
        (Op::Save, Duration::from_secs(10), Ok("T1")),
        (Op::Release, Duration::ZERO, Ok("T1")),
    ];
    for (op, bound, expected) in table {
        let world = World::new();
        world.store.lockable();
        world.sign_in(numbered(0));
        world.refresher.answer_with(auth_testkit::rotating);
        world.store.hold(op);

        let request = world.get("/");
        world.api_answers(401);
        world.pass(bound);

        match expected {
            Ok(token) => {
                assert_eq!(world.api_answers(200).as_deref(), Some(token), "{op:?}");
                assert_eq!(status(&request), 200);
            }
            Err(expected) => {
                assert_eq!(kind(&request), expected, "{op:?}");
                assert_eq!(world.refresher.calls(), 0, "{op:?}");
            }
        }
        world.pass(Duration::from_secs(60));
        assert_eq!(world.runtime.tasks(), 0, "{op:?}");
    }
}

/// I8: the answer to a refresh is lost on its way: the same refresh token is presented again at once.
#[test]
fn a_lost_answer_is_asked_for_again_at_once() {
    let world = World::signed_in();
    let request = world.rejected("/");

    let lost = RefreshError::unavailable("connection reset").outcome_unknown();
    world.refresher.try_next().unwrap().fail(lost);
    world.settle();
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.refresher.presented(), ["R0", "R0"]);
}

/// A world in which somebody is signed in, and what ended the session is listened to.
fn hooked() -> (World, Arc<Mutex<Vec<EndReason>>>) {
    hooked_with(|session| session)
}

fn hooked_with(build: impl FnOnce(SessionBuilder) -> SessionBuilder) -> (World, Arc<Mutex<Vec<EndReason>>>) {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&reasons);
    let world = World::with(
        |session| build(session.on_session_ended(move |ended| hook.lock().unwrap().push(ended.reason))),
        |client| client,
    );
    world.sign_in(numbered(0));
    (world, reasons)
}

/// I8: where the server then calls the refresh token dead, what ended the session was the lost answer, and everybody is
/// told so. Without a lost answer it is an ordinary rejection.
#[test]
fn a_rejection_after_a_lost_answer_is_told_apart() {
    for lost in [true, false] {
        let (world, reasons) = hooked();
        let request = world.rejected("/");

        let failed = RefreshError::unavailable("connection trouble");
        let failed = if lost { failed.outcome_unknown() } else { failed };
        world.refresher.try_next().unwrap().fail(failed);
        world.pass(Duration::from_millis(250));
        world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
        world.settle();

        let expected = if lost { EndReason::AnswerLost } else { EndReason::Rejected };
        let error = error(&request);
        assert_eq!(error.kind(), ErrorKind::SessionEnded);
        assert_eq!(error.end_reason(), Some(expected));
        let cause: &RefreshError = error.source().unwrap().downcast_ref().unwrap();
        assert_eq!((cause.is_rejected(), cause.is_outcome_unknown()), (true, lost));
        assert_eq!(*reasons.lock().unwrap(), [expected]);
        assert_eq!(world.refresher.presented(), ["R0", "R0"]);
    }
}

/// How a flight loses an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    EachCall,
    LastCall,
    Hangs,
    HangsInAShortFlight,
}

/// I8: and so it is where the answer was lost to an earlier flight, or that flight ran out of time: the refresh token is
/// still the one that was presented then.
#[test]
fn a_rejection_after_a_flight_that_lost_its_answer_is_told_apart() {
    for loss in [Loss::EachCall, Loss::LastCall, Loss::Hangs, Loss::HangsInAShortFlight] {
        let short = loss == Loss::HangsInAShortFlight;
        let timeout = Duration::from_secs(if short { 5 } else { 30 });
        let (world, reasons) = hooked_with(|session| session.refresh_timeout(timeout));
        let request = world.rejected("/");
        match loss {
            Loss::EachCall | Loss::LastCall => {
                for call in 1..=3 {
                    let failed = RefreshError::unavailable("connection trouble");
                    let lost = loss == Loss::EachCall || call == 3;
                    let failed = if lost { failed.outcome_unknown() } else { failed };
                    world.refresher.try_next().unwrap().fail(failed);
                    world.pass(Duration::from_secs(1));
                }
            }
            Loss::Hangs | Loss::HangsInAShortFlight => world.pass(timeout),
        }
        leave_unanswered(&world);
        let failed = error(&request);
        assert_eq!(failed.kind(), ErrorKind::RefreshUnavailable, "{loss:?}");
        let cause: &RefreshError = failed.source().unwrap().downcast_ref().unwrap();
        assert!(cause.is_outcome_unknown(), "{loss:?}");

        world.pass(Duration::from_secs(2));
        let request = world.rejected("/later");
        world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
        world.settle();

        assert_eq!(error(&request).end_reason(), Some(EndReason::AnswerLost), "{loss:?}");
        assert_eq!(*reasons.lock().unwrap(), [EndReason::AnswerLost], "{loss:?}");
    }
}

/// When a runtime ends a flight.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    Before,
    InACall,
    InAPause,
}

/// I8, I14: the same where a runtime ended in the middle of the call, or after a call that had lost its answer. Where no call
/// had been made nothing can have been lost.
#[test]
fn a_rejection_after_a_shutdown_that_lost_an_answer_is_told_apart() {
    for (ends, expected) in [
        (Ends::Before, EndReason::Rejected),
        (Ends::InACall, EndReason::AnswerLost),
        (Ends::InAPause, EndReason::AnswerLost),
    ] {
        let apart = Apart::signed_in();
        let world = &apart.world;
        let waiting = world.rejected("/");
        if ends != Ends::Before {
            apart.drive();
        }
        if ends == Ends::InAPause {
            let lost = RefreshError::unavailable("reset").outcome_unknown();
            world.refresher.try_next().unwrap().fail(lost.retry_after(Duration::from_secs(1)));
            apart.drive();
        }
        apart.tasks.shutdown();
        world.settle();
        leave_unanswered(world);
        assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable, "{ends:?}");

        apart.move_home();
        world.pass(Duration::from_secs(2));
        let request = world.rejected("/later");
        world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
        world.settle();

        assert_eq!(error(&request).end_reason(), Some(expected), "{ends:?}");
    }
}

/// I9: a refresh that was sent is not cancelled before its result is saved, though every request, every client and every
/// handle of the session is dropped.
#[test]
fn a_sent_refresh_is_saved_though_everybody_has_gone() {
    for saving in [false, true] {
        let world = World::signed_in();
        let (waiting, forced) = (world.rejected("/"), forced(&world));
        let call = world.refresher.try_next().unwrap();
        world.store.hold(Op::Save);
        let World { runtime, store, session, client, .. } = world;
        let gone = move || {
            waiting.cancel();
            forced.cancel();
            drop((session, client));
        };

        if saving {
            call.answer(numbered(1));
            runtime.run_until_stalled();
            gone();
        } else {
            gone();
            runtime.run_until_stalled();
            assert!(!call.is_abandoned());
            call.answer(numbered(1));
        }
        runtime.run_until_stalled();
        store.release_holds();
        runtime.run_until_stalled();

        assert_eq!(store.content().unwrap().access_token().reveal(), "T1", "saving: {saving}");
        assert_eq!((runtime.tasks(), runtime.timers()), (0, 0), "and then nothing is left of it");
    }
}

/// A world on a store whose lock another process has.
fn locked_out() -> (World, Box<dyn auth_core::StoreGuard>) {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let world = World::on(store.clone(), handle, |session| session, |client| client);
    world.sign_in(numbered(0));
    let guard = world.runtime.block_on(store.lock()).unwrap().expect("a lock");
    (world, guard)
}

/// I12: the store's lock cannot be had in time, but what its holder made is there: that is taken over, and nothing is
/// refreshed.
#[test]
fn without_the_lock_what_is_newer_in_the_store_is_adopted() {
    let (world, _guard) = locked_out();
    let request = world.rejected("/");

    world.store.put_rotated(numbered(1));
    world.pass(Duration::from_millis(9_999));
    assert!(!request.is_finished());
    world.pass(Duration::from_millis(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.refresher.calls(), 0);
    let adopted = |event: &Event| matches!(event, Event::Refreshed { adopted: true, .. });
    assert!(world.events().iter().any(adopted));
}

/// I12: where nothing newer is there the refresh token is not spent without the lock: an error that passes, and with the
/// lock the next refresh is made.
#[test]
fn without_the_lock_nothing_is_refreshed() {
    let (world, guard) = locked_out();
    let request = world.rejected("/");

    world.pass(Duration::from_secs(10));
    let error = error(&request);

    assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
    assert!(matches!(error.advice(), Advice::RetryLater { .. }));
    assert!(error.source().is_some());
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(world.store.waiting_for_lock(), 0, "it has left the line");
    drop(guard);
    world.pass(Duration::from_secs(2));
    assert_refreshes(&world, "T0", 1);
    assert!(!world.store.is_locked());
}

/// I14: the runtime shuts down at any step of a refresh: everybody who waits is told, none hangs, and on another runtime
/// the session goes on.
#[test]
fn a_runtime_that_shuts_down_frees_every_waiter() {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Step {
        Unpolled,
        Lock,
        Load,
        Refresher,
        Pause,
    }
    for step in [Step::Unpolled, Step::Lock, Step::Load, Step::Refresher, Step::Pause] {
        let apart = Apart::signed_in();
        let world = &apart.world;
        match step {
            Step::Lock => world.store.hold(Op::Lock),
            Step::Load => world.store.hold(Op::Load),
            Step::Unpolled | Step::Refresher | Step::Pause => {}
        }
        let waiting = rejected(world, ["/a", "/b"]);
        let forced = forced(world);
        if step != Step::Unpolled {
            apart.drive();
        }
        if step == Step::Pause {
            world.refresher.try_next().unwrap().fail(RefreshError::unavailable("503"));
            apart.drive();
        }

        apart.tasks.shutdown();
        world.settle();

        for request in &waiting {
            let error = error(request);
            assert_eq!(error.kind(), ErrorKind::RefreshUnavailable, "{step:?}");
            assert_eq!(error.response().expect("the 401").status, 401);
        }
        assert_eq!(forced.take().unwrap().unwrap_err().kind(), ErrorKind::RefreshUnavailable, "{step:?}");
        assert!(!world.store.is_locked(), "{step:?}: nobody is locked out");
        assert_eq!(world.session.state(), SessionState::Active, "{step:?}");

        world.store.release_holds();
        leave_unanswered(world);
        apart.move_home();
        world.pass(Duration::from_secs(2));
        assert_refreshes(world, "T0", 1);
        assert!(!world.store.is_locked(), "{step:?}");
        assert!(world.events().iter().any(|event| matches!(event, Event::Refreshed { .. })), "{step:?}");
    }
}

/// I14: a runtime that shuts down while the new pair is being saved releases nobody, and loses nothing: the pair is saved by
/// the next runtime before it is refreshed.
#[test]
fn a_shutdown_during_the_save_loses_no_rotation() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    world.store.hold(Op::Save);
    let waiting = apart.rejected("/");
    world.refresh_answers(numbered(1));
    apart.drive();
    assert!(!waiting.is_finished());

    apart.tasks.shutdown();
    world.settle();

    assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);
    assert_eq!(world.stored().as_deref(), Some("T0"));
    world.store.release_holds();
    apart.move_home();
    world.pass(Duration::from_secs(2));
    assert_refreshes(world, "T0", 2);
    assert_eq!(saves(world), ["T0", "T1", "T2"]);
    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
}

/// I14: one that shuts down while a queue is let go leaves nobody waiting for a first in line that is never polled.
#[test]
fn a_shutdown_while_the_queue_drains_lets_everybody_go() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let session = world.session.clone();
    let stamp = world.runtime.block_on(session.lease()).unwrap().stamp();
    let mut first: ByHand<Result<Turn, Error>> = Box::pin(async move { session.recover(stamp).await });
    assert!(poll(&mut first).is_pending());
    let waiting = [world.get("/a"), world.get("/b")];
    apart.drive();
    world.refresh_answers(numbered(1));
    apart.drive();
    assert_eq!(world.api.calls(), 0);

    apart.tasks.shutdown();
    world.settle();

    for _ in 0..2 {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }
    assert!(waiting.iter().all(|request| status(request) == 200));
}

/// I14: a shutdown during the first load is an error, not "signed out", and the next runtime loads.
#[test]
fn a_shutdown_during_the_load_is_an_error() {
    let apart = Apart::new();
    let world = &apart.world;
    world.store.put_as_other_sign_in(numbered(0));
    world.store.hold(Op::Load);
    let waiting = [world.get("/a"), world.get("/b")];
    apart.drive();

    apart.tasks.shutdown();
    world.settle();

    assert!(waiting.iter().all(|request| kind(request) == ErrorKind::Store));
    world.store.release_holds();
    apart.move_home();
    let later = world.get("/later");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&later), 200);
}

/// I14: a session on a runtime that is dead already fails its requests, each of them, and does not hang.
#[test]
fn a_session_on_a_dead_runtime_does_not_hang() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    apart.tasks.shutdown();

    for path in ["/a", "/b"] {
        let request = world.get(path);
        world.api_answers(401);
        assert_eq!(kind(&request), ErrorKind::RefreshUnavailable);
        world.pass(Duration::from_secs(10));
    }

    let written = world.runtime.start(world.session.sign_out());
    world.settle();
    assert_eq!(written.take().expect("no wait for a dead runtime").unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(world.session.state(), SessionState::SignedOut);
    assert_eq!(world.refresher.calls(), 0);
}

/// I14: a flight on a runtime that nobody drives any more is ended by the next request after its deadline, for all who
/// wait; that request is not captive.
#[test]
fn the_next_request_ends_a_flight_that_nobody_drives() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let (waiting, forced) = (rejected(world, ["/a", "/b"]), forced(world));
    apart.drive();

    world.pass(Duration::from_millis(29_999));
    let joining = world.get("/joining");
    assert!(!joining.is_finished());
    world.pass(Duration::from_millis(1));
    let next = world.get("/next");

    assert!(waiting.iter().all(|request| kind(request) == ErrorKind::RefreshUnavailable));
    assert_eq!(kind(&joining), ErrorKind::RefreshUnavailable);
    assert_eq!(forced.take().unwrap().unwrap_err().kind(), ErrorKind::RefreshUnavailable);
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&next), 200);
    assert_eq!(world.session.state(), SessionState::Active);
}

/// I14: so does any waiter that is polled after the deadline, by whatever executor, with a place or without.
#[test]
fn any_poll_after_the_deadline_ends_a_flight_that_nobody_drives() {
    for placed in [true, false] {
        let apart = Apart::signed_in();
        let world = &apart.world;
        let others = apart.rejected("/other");
        let session = world.session.clone();
        let mut polled: ByHand<Result<(), Error>> = if placed {
            Box::pin(async move { session.lease().await.map(drop) })
        } else {
            Box::pin(async move { session.refresh(None).await.map(drop) })
        };
        world.pass(Duration::from_secs(10));
        assert!(poll(&mut polled).is_pending());

        world.pass(Duration::from_secs(20));
        assert!(!others.is_finished(), "nobody has looked yet");
        let Poll::Ready(Err(error)) = poll(&mut polled) else { panic!("it hangs, or has a lease") };
        world.settle();

        assert_eq!(error.kind(), ErrorKind::RefreshUnavailable, "placed: {placed}");
        assert_eq!(kind(&others), ErrorKind::RefreshUnavailable, "placed: {placed}");
    }
}

/// I14: also the first load, on a runtime that nobody drives.
#[test]
fn a_load_that_nobody_drives_is_ended() {
    let apart = Apart::new();
    let world = &apart.world;
    world.store.put_as_other_sign_in(numbered(0));
    let waiting = world.get("/");

    world.pass(Duration::from_secs(60));
    apart.move_home();
    let next = world.get("/next");

    assert_eq!(kind(&waiting), ErrorKind::Store);
    assert_eq!(world.session.state(), SessionState::Active, "the next request has loaded");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&next), 200);
}

/// I14: where nobody drives the save, the new pair is used from memory after the time a save may take.
#[test]
fn a_save_that_nobody_drives_takes_nothing_back() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    world.store.hold(Op::Save);
    let waiting = apart.rejected("/");
    world.refresh_answers(numbered(1));
    apart.drive();

    world.pass(Duration::from_secs(60));
    assert!(!waiting.is_finished());
    let next = world.get("/next");

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!((status(&waiting), status(&next)), (200, 200));
}

/// I14: a flight that lapsed may still come back: its answer is adopted and saved, as long as no other flight has started,
/// so that no rotation is lost.
#[test]
fn the_late_answer_of_a_lapsed_flight_is_kept() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let waiting = apart.rejected("/");
    let call = world.refresher.try_next().unwrap();
    world.pass(Duration::from_secs(31));
    let looking = world.get("/looking");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&looking), 200);
    assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);

    call.answer(numbered(1));
    apart.drive();

    assert_eq!(saves(world), ["T0", "T1"]);
    assert!(!world.store.is_locked());
    assert_eq!(world.session.state(), SessionState::Active);
    let next = world.get("/next");
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&next), 200);
    apart.move_home();
    assert_refreshes(world, "T1", 2);
    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
}

/// I14: once another flight has started, the lapsed one is out: it presents nothing any more, and its answer is not taken.
#[test]
fn a_lapsed_flight_does_not_come_back_beside_another() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let waiting = apart.rejected("/");
    let call = world.refresher.try_next().unwrap();
    world.pass(Duration::from_secs(31));
    let next = world.get("/next");
    assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);
    world.pass(Duration::from_secs(2));
    apart.move_home();
    world.api_answers(401);
    assert_eq!(world.refresher.presented(), ["R0", "R0"], "another flight has started");

    call.answer(numbered(99));
    apart.drive();
    assert!(!next.is_finished());
    assert_eq!(world.stored().as_deref(), Some("T0"));
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&next), 200);
    assert_eq!(saves(world), ["T0", "T1"]);
    apart.drive();
    assert!(!world.store.is_locked());
}

/// I14: driven again, it does not present the refresh token beside the other flight, whether it waited for the refresher or
/// for the pause before the next call.
#[test]
fn a_lapsed_flight_presents_nothing_beside_another() {
    for pausing in [false, true] {
        let apart = Apart::signed_in();
        let world = &apart.world;
        let waiting = apart.rejected("/");
        let call = world.refresher.try_next().unwrap();
        let hanging = if pausing {
            call.fail(RefreshError::unavailable("503"));
            apart.drive();
            None
        } else {
            Some(call)
        };
        world.pass(Duration::from_secs(31));
        let next = world.get("/next");
        assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);
        world.pass(Duration::from_secs(2));
        apart.move_home();
        world.api_answers(401);
        assert_eq!(world.refresher.calls(), 2, "another flight has started");

        apart.tasks.advance(Duration::from_secs(60));

        assert!(hanging.is_none_or(|call| call.is_abandoned()));
        assert_eq!(world.refresher.calls(), 2, "pausing: {pausing}");
        assert!(!next.is_finished());
        world.refresh_answers(numbered(1));
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        assert_eq!(status(&next), 200);
        assert_eq!(saves(world), ["T0", "T1"]);
    }
}

/// I17: a refresher that panics is asked again like one whose answer was lost; where it panics every time, everybody who
/// waits gets an error, and the next refresh can be made.
#[test]
fn a_refresher_that_panics_fails_its_waiters_only() {
    let world = World::signed_in();
    let waiting = rejected(&world, ["/a", "/b"]);
    let forced = forced(&world);

    for _ in 0..3 {
        world.refresher.try_next().expect("it is asked again").panics("scripted: the refresher panics");
        world.settle();
    }

    assert!(waiting.iter().all(|request| kind(request) == ErrorKind::RefreshUnavailable));
    assert_eq!(forced.take().unwrap().unwrap_err().kind(), ErrorKind::RefreshUnavailable);
    assert_eq!(world.runtime.panicked(), 0, "no panic reaches the runtime");
    assert_eq!(world.session.state(), SessionState::Active);
    world.pass(Duration::from_secs(2));
    assert_refreshes(&world, "T0", 1);
}

/// I17: a refresher that panics once is noticed by nobody.
#[test]
fn a_single_panic_is_noticed_by_nobody() {
    let world = World::signed_in();
    let request = world.rejected("/");

    world.refresher.try_next().unwrap().panics("scripted: the refresher panics");
    world.settle();
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&request), 200);
}

/// I17: a refresher that answers, and panics when it is dropped after that, has answered.
#[test]
fn a_panic_after_the_answer_does_not_take_it_back() {
    let world = World::signed_in();
    let waiting = rejected(&world, ["/a", "/b"]);

    world.refresher.try_next().unwrap().answer_then_panic_in_drop(numbered(1));
    world.settle();

    for _ in 0..2 {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }
    assert!(waiting.iter().all(|request| status(request) == 200));
    assert_eq!((world.refresher.calls(), world.runtime.panicked()), (1, 0));
    assert_eq!(world.stored().as_deref(), Some("T1"));
}

/// I17: who begins to wait on another thread, while the refresher is in the very poll that panics, is told like all
/// others.
#[test]
fn who_registers_during_the_panicking_poll_is_told() {
    type Hook = Box<dyn FnOnce() + Send>;

    #[derive(Clone, Default)]
    struct Panicking {
        calls: Arc<AtomicUsize>,
        in_last_poll: Arc<Mutex<Option<Hook>>>,
    }

    #[async_trait]
    impl Refresher for Panicking {
        async fn refresh(&self, _: &Tokens) -> Result<Tokens, RefreshError> {
            match self.calls.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => panic!("scripted: the refresher panics"),
                2 => {
                    let hook = self.in_last_poll.lock().unwrap().take();
                    hook.expect("set before")();
                    panic!("scripted: the refresher panics for the last time");
                }
                _ => Ok(numbered(1)),
            }
        }
    }

    let runtime = ManualRuntime::new();
    let refresher = Panicking::default();
    let session = Session::builder(refresher.clone()).runtime(runtime.clone()).build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    let stamp = runtime.block_on(session.lease()).unwrap().stamp();
    let registered = Arc::new(Mutex::new(Vec::new()));
    let (shared, inside) = (Arc::clone(&registered), session.clone());
    *refresher.in_last_poll.lock().unwrap() = Some(Box::new(move || {
        // Another thread: there the session is not inside its own refresher.
        let join = std::thread::spawn(move || {
            let (recovering, refreshing) = (inside.clone(), inside);
            let mut all: [ByHand<Result<(), Error>>; 2] = [
                Box::pin(async move { recovering.recover(stamp).await.map(drop) }),
                Box::pin(async move { refreshing.refresh(None).await.map(drop) }),
            ];
            assert!(all.iter_mut().all(|waiter| poll(waiter).is_pending()));
            shared.lock().unwrap().extend(all);
        });
        join.join().expect("they wait");
    }));

    let first = session.clone();
    let first = runtime.start(async move { first.recover(stamp).await.map(drop) });
    runtime.run_until_stalled();

    assert_eq!(first.take().unwrap().unwrap_err().kind(), ErrorKind::RefreshUnavailable);
    let mut registered = std::mem::take(&mut *registered.lock().unwrap());
    assert_eq!(registered.len(), 2);
    for waiter in &mut registered {
        match poll(waiter) {
            Poll::Ready(outcome) => {
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::RefreshUnavailable);
            }
            Poll::Pending => panic!("who registered during the panic hangs"),
        }
    }
    assert_eq!(runtime.panicked(), 0);
    let lease = runtime.block_on(session.refresh(None)).unwrap();
    assert_eq!(lease.header().1, "Bearer T1");
}

/// I18: every caller gives up after 50 ms and the refresh takes 500 ms: it is made once, to its end, and later callers
/// have the new token.
#[test]
fn impatient_callers_do_not_starve_the_refresh() {
    let world = World::signed_in();
    let impatient = |path: String| {
        let (client, timeout) = (world.client.clone(), world.runtime.sleep(Duration::from_millis(50)));
        let request = Request::get(path).body(Body::empty()).unwrap();
        world.runtime.start(async move {
            match select(Box::pin(async move { client.send(request).await }), timeout).await {
                Either::Left((answer, _)) => Some(answer),
                Either::Right(_) => None,
            }
        })
    };
    let mut callers = vec![impatient("/first".to_owned())];
    world.settle();
    world.api_answers(401);

    for n in 1..=20 {
        callers.push(impatient(format!("/{n}")));
        world.pass(Duration::from_millis(25));
    }
    assert_eq!(callers.iter().filter(|caller| caller.is_finished()).count(), 20);
    world.refresh_answers(numbered(1));

    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.stored().as_deref(), Some("T1"));
    let last = callers.pop().unwrap();
    assert!(callers.iter().all(|caller| matches!(caller.take(), Some(None))), "they gave up");
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(last.take().unwrap().unwrap().unwrap().status(), 200, "the last one was in time");
    let later = impatient("/later".to_owned());
    world.settle();
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(later.take().unwrap().unwrap().unwrap().status(), 200);
    assert_eq!(world.bearers(), ["T0", "T1", "T1"]);
}

/// Where a request is when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// It waits for the store to be read.
    Load,
    /// It waits in line, at the front.
    Line,
    /// What it waited for is there, and it has not been polled since.
    Turn,
    /// It discards the body of its 401.
    Discard,
    /// It has been sent again.
    Replay,
}

/// How what the others wait for ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ok,
    Err,
    Never,
}

/// The store's load ends.
fn end_load(world: &World, end: End) {
    match (end, world.store.try_next_held().expect("a load")) {
        (End::Ok, load) => load.proceed(),
        (End::Err, load) => load.fail(auth_core::StoreError::new("scripted")),
        (End::Never, load) => {
            world.pass(Duration::from_secs(5));
            assert!(load.is_abandoned());
        }
    }
    world.store.release_holds();
    world.settle();
}

/// The flight that is up ends; `Ok` is this generation's pair.
fn end_flight(world: &World, end: End, generation: u64) {
    match end {
        End::Ok => world.refresh_answers(numbered(generation)),
        End::Err => {
            let call = world.refresher.try_next().expect("a refresh is under way");
            call.fail(RefreshError::misconfigured("scripted"));
            world.settle();
        }
        End::Never => {
            world.pass(Duration::from_secs(30));
            leave_unanswered(world);
        }
    }
}

/// I1, I4, I5: a request is dropped at each point at which it can wait, and what it waits for ends well, badly or never:
/// the one beside it gets what it would have got, nothing is left over, and the session works.
#[test]
fn a_request_may_be_dropped_wherever_it_waits() {
    for at in [At::Load, At::Line, At::Turn, At::Discard, At::Replay] {
        for end in [End::Ok, End::Err, End::Never] {
            dropped_at(at, end);
        }
    }
}

fn dropped_at(at: At, end: End) {
    let world = World::new();
    let held = Arc::new(());
    if at == At::Load {
        world.store.put_as_other_sign_in(numbered(0));
        world.store.hold(Op::Load);
    } else {
        world.sign_in(numbered(0));
    }
    let (bystander, expected) = match at {
        At::Load => {
            let victim = world.get("/victim");
            let bystander = world.get("/bystander");
            assert_eq!(world.api.calls(), 0);
            victim.cancel();
            end_load(&world, end);
            (bystander, "T0")
        }
        At::Line => {
            let [victim, bystander] = rejected(&world, ["/victim", "/bystander"]);
            victim.cancel();
            end_flight(&world, end, 1);
            (bystander, "T1")
        }
        At::Turn => {
            let mut victim = send_by_hand(&world, "/victim");
            assert!(poll(&mut victim).is_pending());
            let bystander = world.get("/bystander");
            world.api_answers(401);
            assert!(poll(&mut victim).is_pending());
            world.api_answers(401);
            end_flight(&world, end, 1);
            assert_eq!(bystander.is_finished(), end != End::Ok, "{end:?}: it waits for the victim's start");
            drop(victim);
            world.settle();
            (bystander, "T1")
        }
        At::Discard => {
            let victim = world.get("/victim");
            let sent = world.next_call();
            let bystander = world.rejected("/bystander");
            let mut rejection = response(401);
            let stream = futures::stream::unfold(Arc::clone(&held), |held| async move {
                std::future::pending::<()>().await;
                Some((Ok::<_, std::io::Error>(Bytes::new()), held))
            });
            *rejection.body_mut() = Body::stream(stream);
            sent.answer(rejection);
            world.settle();
            assert!(!victim.is_finished());
            assert_eq!(Arc::strong_count(&held), 2, "it reads the body");
            victim.cancel();
            assert_eq!(Arc::strong_count(&held), 1, "the body goes with it");
            end_flight(&world, end, 1);
            (bystander, "T1")
        }
        At::Replay => {
            let victim = world.rejected("/victim");
            world.refresh_answers(numbered(1));
            let replay = world.next_call();
            let bystander = world.rejected("/bystander");
            victim.cancel();
            assert!(replay.is_abandoned());
            end_flight(&world, end, 2);
            (bystander, "T2")
        }
    };

    let mut token = if at == At::Replay { "T1" } else { "T0" };
    if end == End::Ok {
        token = expected;
        assert_eq!(world.api_answers(200).as_deref(), Some(expected), "{at:?} {end:?}");
        assert_eq!(status(&bystander), 200, "{at:?} {end:?}");
    } else {
        let kind = kind(&bystander);
        let expected = match (at, end) {
            (At::Load, _) => ErrorKind::Store,
            (_, End::Never) => ErrorKind::RefreshUnavailable,
            _ => ErrorKind::Misconfigured,
        };
        assert_eq!(kind, expected, "{at:?} {end:?}");
    }
    assert!(world.api.try_next().is_none(), "{at:?} {end:?}: the victim is not sent again");
    assert_eq!(world.api.under_way(), 0, "{at:?} {end:?}");
    world.pass(Duration::from_secs(2));
    assert_eq!((world.runtime.tasks(), world.runtime.timers()), (0, 0), "{at:?} {end:?}: nothing is left");
    assert_refreshes(&world, token, 7);
}
