//! Lapses: flights, loads and deliveries that nobody drives for a while, and what must not come of them; and other edges where
//! two roads meet.

use std::time::Duration;

use crate::apart::Apart;
use crate::world::{Answer, World, error, kind, status};
use auth_core::{EndReason, ErrorKind, Event, RefreshError, Runtime as _, SessionState, Tokens};
use auth_testkit::{HeldCall, Op, Running, ScriptedStore, numbered};

/// Lapses the flight that is up: a look after its deadline, on a runtime that nobody drives.
fn lapse(world: &World) {
    world.pass(Duration::from_secs(31));
    let looking = world.get("/looking");
    world.api_answers(200);
    drop(looking);
}

/// I14, invariant 2: two flights lapse before the runtime is driven again; the first one's answer must not be lost.
#[test]
fn a_second_lapse_does_not_lose_the_first_ones_answer() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _first = apart.rejected("/");
    let call = world.refresher.try_next().unwrap();
    lapse(world);
    world.pass(Duration::from_secs(3));
    let _second = world.rejected("/second"); // flight 2: spawned, never polled
    assert_eq!(world.session.state(), SessionState::Refreshing);
    lapse(world);

    call.answer(numbered(1)); // the server has rotated: R0 is spent
    apart.drive();

    assert_eq!(world.refresher.presented(), ["R0"], "R0 is spent: it is not presented again");
    assert_eq!(world.stored().as_deref(), Some("T1"));
}

/// I14, invariant 2: two presentations never overlap.
#[test]
fn two_lapsed_flights_do_not_present_at_once() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _first = apart.rejected("/");
    let call = world.refresher.try_next().unwrap();
    lapse(world);
    world.pass(Duration::from_secs(3));
    let _second = world.rejected("/second");
    lapse(world);

    apart.drive();

    assert!(world.refresher.calls() != 2 || call.is_abandoned(), "R0 is presented twice at once");
    assert_eq!(world.refresher.most_at_once(), 1);
}

/// K5: what a later flight adopted is newer than what a lapsed flight brings.
#[test]
fn a_lapsed_flights_answer_does_not_replace_what_was_adopted_since() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _first = apart.rejected("/");
    let call = world.refresher.try_next().unwrap();
    lapse(world);
    world.pass(Duration::from_secs(3));
    world.store.put_rotated(numbered(5)); // another process
    apart.move_home();
    let second = world.get("/second");
    world.api_answers(401);
    assert_eq!(world.api_answers(200).as_deref(), Some("T5"));
    assert_eq!(status(&second), 200);
    assert_eq!(world.refresher.presented(), ["R0"]);

    call.answer(numbered(1));
    apart.drive();

    let next = world.get("/next");
    assert_eq!((world.stored().as_deref(), world.api_answers(200).as_deref()), (Some("T5"), Some("T5")));
    drop(next);
}

/// H6, invariant 4: a wait that began as A does not end with B's token.
#[test]
fn access_token_asked_for_as_one_is_not_anothers() {
    let world = World::new();
    world.sign_in(numbered(0).with_expires_at(world.runtime.now() + Duration::from_secs(60)));
    let session = world.session.clone();
    let asked = world.runtime.start(async move { session.access_token(Duration::from_secs(3600)).await });
    world.settle();
    assert!(!asked.is_finished());

    world.sign_in(numbered(5));

    let answer = asked.take().unwrap();
    assert_eq!(
        answer.map(|token| token.reveal().to_owned()).map_err(|e| e.kind()),
        Err(ErrorKind::SessionChanged)
    );
}

/// H3: a pair in use is not offered for revocation.
#[test]
fn a_lapsed_load_does_not_revoke_the_pair_that_is_in_use() {
    let apart = Apart::new();
    let world = &apart.world;
    world.refresher.script_acquire();
    let _waiting = world.get("/");
    apart.drive();
    world.store.hold(Op::Save);
    world.refresher.try_next_acquire().unwrap().answer(Some(numbered(0)));
    apart.drive();
    world.pass(Duration::from_secs(60));
    world.store.release_holds();
    apart.move_home();
    let next = world.get("/next");
    world.pass(Duration::from_secs(15));
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&next), 200);

    apart.drive();

    assert_eq!(world.session.state(), SessionState::Active);
    assert!(world.refresher.revoked().is_empty(), "T0 is in use");
}

/// H4: a new sign-in is untouched by what an old flight brings; a server that does not rotate.
#[test]
fn an_orphan_that_shares_the_live_refresh_token_is_not_revoked() {
    let world = World::signed_in();
    let _waiting = world.rejected("/");
    let call = world.refresher.try_next().unwrap();
    world.sign_in(numbered(0)); // the same grant once more
    call.answer(Tokens::new("T1").unwrap()); // R0 stays: no rotation
    world.settle();

    let live = world.refresher.revoked().iter().any(|t| t.refresh_token().unwrap().reveal() == "R0");
    assert_eq!(world.session.state(), SessionState::Active);
    assert!(!live, "R0 is what the session lives on");
}

/// I8: an answer lost to a flight that was ended from outside is a lost answer.
#[test]
fn a_rejection_after_a_lapsed_flight_is_a_lost_answer() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _first = apart.rejected("/");
    let _call = world.refresher.try_next().unwrap();
    lapse(world);
    world.pass(Duration::from_secs(3));
    apart.move_home();
    let second = world.rejected("/second");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    assert_eq!(error(&second).end_reason(), Some(EndReason::AnswerLost));
}

/// I14, G1: used again under another runtime, the session works: its hook is called.
#[test]
fn events_are_delivered_after_a_runtime_that_nobody_drives() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _first = world.rejected("/"); // a delivery is spawned there, and not polled
    apart.move_home();
    world.pass(Duration::from_secs(40));
    let _looking = world.get("/looking");
    world.api_answers(200);
    world.pass(Duration::from_secs(3));
    let second = world.rejected("/second");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(kind(&second), ErrorKind::SessionEnded);

    world.pass(Duration::from_secs(600));
    assert!(world.events().iter().any(|event| matches!(event, Event::Ended(_))), "the hook was called");
}

/// G16, K6: the store cannot be read again, so nobody knows that the session is over.
#[test]
fn a_rejection_whose_second_reading_fails_does_not_end_the_session() {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let world = World::on(store, handle, |session| session, |client| client);
    world.sign_in(numbered(0));
    let waiting = world.rejected("/");
    world.store.lose_lock();
    world.store.put_rotated(numbered(1)); // a sibling has rotated
    world.store.fail_next(Op::Load, 1); // one blip

    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);
    assert_eq!(world.session.state(), SessionState::Active);
}

/// G1: where nobody else writes the store, it need not be read: the server's word is enough.
#[test]
fn a_rejection_ends_the_session_of_an_unshared_store_that_cannot_be_read() {
    let world = World::signed_in();
    let waiting = world.rejected("/");
    world.store.fail_next(Op::Load, 1);

    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    assert_eq!(error(&waiting).end_reason(), Some(EndReason::Rejected));
    assert_eq!(world.refresher.presented(), ["R0"]);
}

/// H3: the session was ended elsewhere while it rotated: the new pair is live at the server, and nobody's.
#[test]
fn a_pair_obtained_for_a_session_ended_elsewhere_is_offered() {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let world = World::on(store, handle, |session| session, |client| client);
    world.sign_in(numbered(0));
    let waiting = world.rejected("/");
    world.store.lose_lock();
    world.store.put(None); // signed out there
    world.refresh_answers(numbered(1));

    assert_eq!(kind(&waiting), ErrorKind::SessionEnded);
    assert_eq!(world.stored(), None);
    let revoked: Vec<_> =
        world.refresher.revoked().iter().map(|t| t.refresh_token().unwrap().reveal().to_owned()).collect();
    assert_eq!(revoked, ["R1"]);
}

/// K17: a lapsed flight looks before it writes, also where another flight has the lock meanwhile.
#[test]
fn a_lapsed_flight_does_not_write_unseen_under_another_flights_lock() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _first = apart.rejected("/");
    let call = world.refresher.try_next().unwrap();
    lapse(world);
    world.pass(Duration::from_secs(3));
    world.store.put_rotated(numbered(5)); // another process, before flight 2 has the lock
    apart.move_home();
    world.store.hold(Op::Load);
    let _second = world.rejected("/second");
    let load = world.store.try_next_held().expect("flight 2 loads under its lock");
    call.answer(numbered(1));
    apart.drive();

    load.proceed();
    world.store.release_holds();
    for _ in 0..5 {
        apart.drive();
    }

    let next = world.get("/next");
    let used = world.bearers().last().cloned();
    drop(next);
    assert_eq!(world.stored(), used, "memory and store hold the same pair");
    assert_eq!(world.stored().as_deref(), Some("T5"));
}

/// What the store was asked to do after a flight had lapsed while the refresher was called, and that answered with T1.
fn late_answer(meanwhile: impl FnOnce(&World)) -> (Apart, Vec<(Op, bool, Option<String>)>) {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _first = apart.rejected("/");
    let call = world.refresher.try_next().unwrap();
    lapse(world);
    apart.drive();
    assert!(!world.store.is_locked(), "its lock was given back");
    meanwhile(world);
    let before = world.store.log().len();
    call.answer(numbered(1));
    apart.drive();
    let asked = world.store.log().split_off(before);
    (apart, asked.into_iter().map(|call| (call.op, call.ok, call.tokens)).collect())
}

/// K14: without the lock that it had, a late answer is saved under one taken anew, after a look at what is there.
#[test]
fn a_late_answer_is_saved_where_nobody_else_has_written() {
    let (apart, asked) = late_answer(|_| {});

    let token = |text: &str| Some(text.to_owned());
    assert_eq!(
        asked,
        [
            (Op::Lock, true, None),
            (Op::Load, true, token("T0")),
            (Op::Save, true, token("T1")),
            (Op::Release, true, None)
        ]
    );
    assert!(!apart.world.events().iter().any(|event| matches!(event, Event::SaveFailed { .. })));
}

/// K17: and gives way to what another process has written meanwhile.
#[test]
fn a_late_answer_gives_way_to_what_another_process_has_written() {
    let (apart, asked) = late_answer(|world| world.store.put_rotated(numbered(5)));

    assert!(asked.iter().all(|(op, ..)| *op != Op::Save), "{asked:?}");
    assert_eq!(apart.world.stored().as_deref(), Some("T5"));
    let next = apart.world.get("/next");
    assert_eq!(apart.world.api_answers(200).as_deref(), Some("T5"));
    assert_eq!(status(&next), 200);
}

/// K17: nor is it written without the lock, where another process has that.
#[test]
fn a_late_answer_is_not_written_without_the_lock() {
    let (apart, asked) = late_answer(|world| {
        world.store.hold(Op::Lock);
        world.store.put_rotated(numbered(5));
    });
    let world = &apart.world;
    assert!(asked.is_empty(), "it waits for the lock: {asked:?}");

    for _ in 0..3 {
        world.pass(Duration::from_secs(10));
        apart.tasks.advance(Duration::from_secs(10));
        apart.drive();
    }

    assert_eq!(world.stored().as_deref(), Some("T5"));
    assert!(!world.events().iter().any(|event| matches!(event, Event::WrittenUnlocked)));
}

/// K2: a save that nobody drives any more, but that had reached the store: made once more it is no failure.
#[test]
fn a_save_that_had_arrived_is_no_failure() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    world.store.hold(Op::Save);
    let waiting = apart.rejected("/");
    world.refresh_answers(numbered(1));
    apart.drive();
    world.store.put_rotated(numbered(1));
    world.store.release_holds();
    world.store.lose_lock();
    apart.move_home();
    world.pass(Duration::from_secs(26)); // longer than a save may take

    let looking = world.get("/looking");

    assert_eq!(
        (world.api_answers(200).as_deref(), world.api_answers(200).as_deref()),
        (Some("T1"), Some("T1"))
    );
    assert_eq!((status(&waiting), status(&looking)), (200, 200));
    let events = world.events();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Saved)).count(), 2, "T0 and T1");
    assert!(!events.iter().any(|event| matches!(event, Event::SaveFailed { .. })));
}

/// K14, I14: the lock of a flight whose identity is gone is given back, also where nobody drives its task.
#[test]
fn a_sign_out_frees_the_lock_of_a_flight_that_nobody_drives() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let waiting = apart.rejected("/");
    assert!(world.store.is_locked());
    apart.move_home();
    world.runtime.block_on(world.session.sign_out()).unwrap();
    world.settle();
    assert_eq!(kind(&waiting), ErrorKind::SignedOut);

    world.pass(Duration::from_secs(600));
    world.sign_in(numbered(7));
    world.pass(Duration::from_secs(600));

    assert!(!world.store.is_locked(), "no flight is up");
}

/// K14, I14: until its time is over it has the lock, however often somebody looks: what it does may still be under way.
#[test]
fn a_signed_out_flight_keeps_its_lock_until_its_time_is_over() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _waiting = apart.rejected("/");
    apart.move_home();
    world.runtime.block_on(world.session.sign_out()).unwrap();

    // The refresh's 30 s, and 25 s for a save.
    for _ in 0..6 {
        assert_eq!(kind(&world.get("/looking")), ErrorKind::SignedOut);
        world.settle();
        assert!(world.store.is_locked(), "at {:?}", world.runtime.elapsed());
        world.pass(Duration::from_secs(10));
    }

    assert_eq!(kind(&world.get("/looking")), ErrorKind::SignedOut);
    world.settle();
    assert!(!world.store.is_locked());
}

/// A flight that has come to read the store once more, 25 s after it was started; and that reading.
fn reading_again(apart: &Apart) -> (Running<Answer>, HeldCall) {
    let world = &apart.world;
    let waiting = apart.rejected("/");
    world.pass(Duration::from_secs(25));
    world.store.hold(Op::Load);
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    apart.drive();
    (waiting, world.store.try_next_held().expect("the store is read again"))
}

/// I14: a look that comes just before the driver's own timer ends the flight, and takes no store call away: what that finds
/// still counts.
#[test]
fn a_look_at_the_deadline_leaves_the_store_call_that_is_under_way() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let (waiting, reading) = reading_again(&apart);
    world.store.put_rotated(numbered(1)); // a sibling
    world.pass(Duration::from_millis(5_999));
    let looking = world.get("/looking");
    world.api_answers(200);
    assert_eq!(status(&looking), 200);
    assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);

    reading.proceed();
    apart.drive();

    let next = world.get("/next");
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&next), 200);
}

/// I14: a store call of a flight that nobody drives holds up no other flight.
#[test]
fn the_next_flight_does_not_wait_for_a_store_call_that_nobody_drives() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let (waiting, _reading) = reading_again(&apart);
    apart.move_home();
    world.store.release_holds();
    world.store.lose_lock(); // its life was as long as the flight's
    world.pass(Duration::from_secs(6));
    let looking = world.get("/looking");
    world.api_answers(200);
    assert_eq!(status(&looking), 200);
    assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);
    world.pass(Duration::from_secs(2));

    let next = world.rejected("/next");
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&next), 200);
}

/// I14: a flight whose wish for the lock is lost with a task that nobody drives any more wishes again, also where that task's
/// place has been taken by then for something else.
#[test]
fn a_wish_for_the_lock_is_not_lost_with_a_task_that_nobody_drives() {
    for replaced in [false, true] {
        let apart = Apart::signed_in();
        let world = &apart.world;
        let _first = replaced.then(|| apart.rejected("/"));
        drop(world.session.sign_in(numbered(5)));
        if let Some(call) = world.refresher.try_next() {
            // A flight that was nobody's: 55 s after its start a lock of its, if there still is one, is given back.
            call.fail(RefreshError::misconfigured("down"));
        }
        apart.drive();
        world.pass(Duration::from_secs(40));
        world.store.hold(Op::Release);
        let rotating = apart.rejected("/rotating");
        world.refresh_answers(numbered(6));
        apart.drive();
        assert_eq!(world.api_answers(200).as_deref(), Some("T6"));
        assert_eq!(status(&rotating), 200);
        apart.move_home();
        world.pass(Duration::from_secs(3));
        let mut waiting = vec![world.rejected("/waiting")]; // its wish comes after the release
        if replaced {
            world.pass(Duration::from_secs(3));
        }
        world.store.hold(Op::Lock);
        world.store.try_next_held().expect("the release").proceed();
        apart.drive();
        world.store.try_next_held().expect("the lock");
        world.store.release_holds();

        // Longer than any call of the store may take.
        world.pass(Duration::from_secs(11));
        if replaced {
            waiting.push(world.get("/looking"));
            world.pass(Duration::from_secs(8));
        }

        world.refresh_answers(numbered(7));
        for request in waiting {
            assert_eq!(world.api_answers(200).as_deref(), Some("T7"), "replaced: {replaced}");
            assert_eq!(status(&request), 200);
        }
    }
}

/// A first load that has come to save what it acquired, 50 s after it was started; and that save.
fn saving_first_tokens(apart: &Apart) -> (Running<Answer>, HeldCall) {
    let world = &apart.world;
    world.refresher.script_acquire();
    let waiting = world.get("/");
    apart.drive();
    world.pass(Duration::from_secs(50));
    world.store.hold(Op::Save);
    world.refresher.try_next_acquire().unwrap().answer(Some(numbered(0)));
    apart.drive();
    (waiting, world.store.try_next_held().expect("it is saved"))
}

/// I14: the same of a load: a look that comes just before its own timer leaves its save alone.
#[test]
fn a_look_at_the_end_of_a_load_leaves_the_save_that_is_under_way() {
    let apart = Apart::new();
    let world = &apart.world;
    let (waiting, saving) = saving_first_tokens(&apart);
    world.pass(Duration::from_millis(5_999));
    let next = world.get("/next");
    assert_eq!(kind(&waiting), ErrorKind::Store);

    apart.drive();
    assert!(!saving.is_abandoned());
    saving.proceed();
    apart.drive();

    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&next), 200);
    assert_eq!(world.store.begun().iter().filter(|call| call.op == Op::Save).count(), 1);
}

/// I14: a save of a load that nobody drives holds up no other load.
#[test]
fn the_next_load_does_not_wait_for_a_store_call_that_nobody_drives() {
    let apart = Apart::new();
    let world = &apart.world;
    let (waiting, _saving) = saving_first_tokens(&apart);
    apart.move_home();
    world.store.release_holds();
    world.store.lose_lock(); // its life was as long as the load's
    world.pass(Duration::from_secs(6));

    let next = world.get("/next");

    assert_eq!(kind(&waiting), ErrorKind::Store);
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&next), 200);
}

/// K17: a late answer whose save comes after a release that hangs: nor is it written over another process's pair once the
/// next flight has the lock.
#[test]
fn a_save_that_is_due_does_not_come_between_the_next_flights_lock_and_its_look() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _first = apart.rejected("/");
    let call = world.refresher.try_next().unwrap();
    world.store.hold(Op::Release);
    lapse(world);
    apart.drive();
    call.answer(numbered(1));
    apart.drive();
    world.pass(Duration::from_secs(12)); // longer than any call of the store may take
    world.store.release_holds();
    world.store.lose_lock();
    world.store.put_rotated(numbered(5));
    apart.move_home();

    let second = world.get("/second");
    world.api_answers(401);

    assert_eq!(world.stored().as_deref(), Some("T5"));
    assert_eq!(world.api_answers(200).as_deref(), Some("T5"));
    assert_eq!(status(&second), 200);
    apart.drive();
    assert_eq!(apart.tasks.tasks(), 0);
    assert_eq!(world.stored().as_deref(), Some("T5"));
}

/// What `revoke` waits for, and what came of it.
#[derive(Default)]
struct Waited {
    session: Option<auth_core::Session>,
    outcome: Option<Result<(), ErrorKind>>,
}

struct Revoking(std::sync::Arc<std::sync::Mutex<Waited>>);

#[auth_core::async_trait]
impl auth_core::Refresher for Revoking {
    async fn refresh(&self, _: &Tokens) -> Result<Tokens, RefreshError> {
        Ok(numbered(6))
    }
    async fn revoke(&self, _: &Tokens) {
        let session = self.0.lock().unwrap().session.clone().unwrap();
        let got = session.refresh(None).await.map(drop).map_err(|e| e.kind());
        self.0.lock().unwrap().outcome = Some(got);
    }
}

/// C12: re-entrancy is where the flight's own task waits: `revoke` is a task of its own, nothing waits for it.
#[test]
fn revoke_may_wait_for_the_session() {
    let runtime = auth_testkit::ManualRuntime::new();
    let shared = std::sync::Arc::<std::sync::Mutex<Waited>>::default();
    let session = auth_core::Session::builder(Revoking(shared.clone())).runtime(runtime.clone()).build();
    shared.lock().unwrap().session = Some(session.clone());
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    drop(session.sign_out()); // T0 is offered
    runtime.block_on(session.sign_in(numbered(5))).unwrap();
    runtime.run_until_stalled();
    let got = shared.lock().unwrap().outcome.take();
    assert_eq!(got, Some(Ok(())));
    shared.lock().unwrap().session = None;
}

/// K17, K5: a process that was stopped for longer than its lock lives, and goes on in the middle of a refresh. Another one may
/// have rotated since: the old refresh token is not presented any more.
#[test]
fn a_flight_that_was_paused_past_its_deadline_presents_nothing() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let waiting = apart.rejected("/");
    world.refresher.try_next().unwrap().fail(RefreshError::unavailable("503"));
    apart.drive();
    assert_eq!(world.refresher.calls(), 1, "the second call comes after a pause");
    world.pass(Duration::from_secs(70));
    world.store.lose_lock();
    world.store.put_rotated(numbered(7));

    // The pause is over; the flight's own timer is not.
    apart.tasks.advance(Duration::from_secs(1));
    apart.drive();

    assert_eq!(world.refresher.presented(), ["R0"], "R0 is spent");
    assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);
    world.pass(Duration::from_secs(3));
    let later = apart.rejected("/later");
    world.api_answers(200);
    apart.drive();
    assert_eq!(status(&later), 200);
    assert_eq!(world.bearers().last().map(String::as_str), Some("T7"), "it is adopted");
    assert_eq!(world.refresher.calls(), 1);
}

/// K17, K5: the same where somebody has looked meanwhile, and the flight has lapsed: it has given its lock back.
#[test]
fn a_flight_that_has_lapsed_presents_nothing_more() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let _waiting = apart.rejected("/");
    world.refresher.try_next().unwrap().fail(RefreshError::unavailable("503"));
    apart.drive();
    lapse(world);
    world.store.put_rotated(numbered(7));

    apart.tasks.advance(Duration::from_secs(1));
    apart.drive();

    assert_eq!(world.refresher.presented(), ["R0"], "R0 is spent");
}
