//! Persistence: what the store holds and when, and other processes that share it.

mod made_after_all;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use auth_core::{
    Advice, AuthClient, Body, EndReason, Error, ErrorKind, Event, MemoryStore, PersistFailure, RefreshError,
    Session, SessionState, StoreError, StoreGuard, TokenStore,
};
use auth_testkit::{
    ManualRuntime, Op, RefresherHandle, Running, ScriptedRefresher, ScriptedStore, ScriptedTransport,
    TransportHandle, numbered,
};
use futures::task::{ArcWake, waker};
use http::Request;

use crate::world::{Answer, ORIGIN, World, error, kind, status};

const LOCK_WAIT: Duration = Duration::from_secs(10);
const STORE_CALL: Duration = Duration::from_secs(5);
const INSTANT: Duration = Duration::from_millis(1);

/// A world on a store with a lock, in which somebody is signed in with T0 and R0; and the store, for others.
fn shared_world() -> (World, ScriptedStore) {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let world = World::on(store.clone(), handle, |session| session, |client| client);
    world.sign_in(numbered(0));
    (world, store)
}

/// Another process takes the store's lock.
fn take_lock(world: &World, store: &ScriptedStore) -> Box<dyn StoreGuard> {
    world.runtime.block_on(store.lock()).unwrap().expect("the store has a lock")
}

/// What the store was asked to do, with the token and whether it worked: `save T1`, `load T0 (failed)`.
fn steps(world: &World) -> Vec<String> {
    let step = |call: &auth_testkit::Logged| {
        let token = call.tokens.as_ref().map(|token| format!(" {token}")).unwrap_or_default();
        let guarded = if call.guarded { "guarded " } else { "" };
        let failed = if call.ok { "" } else { " (failed)" };
        format!("{guarded}{:?}{token}{failed}", call.op).to_lowercase()
    };
    world.store.log().iter().map(step).collect()
}

/// The same, without what had been done before.
fn steps_since(world: &World, before: usize) -> Vec<String> {
    steps(world).split_off(before)
}

/// The kinds of the events, in order.
fn told(world: &World) -> Vec<&'static str> {
    world.events().iter().map(name).collect()
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Loaded { .. } => "loaded",
        Event::SignedIn { .. } => "signed in",
        Event::SignedOut { .. } => "signed out",
        Event::IdentityChanged { .. } => "identity changed",
        Event::RefreshStarted { .. } => "started",
        Event::AttemptFailed { .. } => "attempt failed",
        Event::Saved => "saved",
        Event::SaveFailed { .. } => "save failed",
        Event::WrittenUnlocked => "written unlocked",
        Event::Refreshed { adopted: false, .. } => "refreshed",
        Event::Refreshed { adopted: true, .. } => "adopted",
        Event::RefreshFailed { .. } => "failed",
        Event::Draining => "draining",
        Event::Ended(_) => "ended",
        Event::Replayed { .. } => "replayed",
        Event::QueueOpened { .. } => "queue opened",
        _ => "another",
    }
}

/// A request that is rejected and replayed, after a refresh that is answered with this.
fn rotate(world: &World, n: u64) {
    let waiting = world.rejected("/rotate");
    world.refresh_answers(numbered(n));
    assert_eq!(world.api_answers(200), Some(format!("T{n}")));
    assert_eq!(status(&waiting), 200);
}

/// Another session, as another process would have it, on the runtime of the first and with parts of its own.
struct Neighbour {
    runtime: ManualRuntime,
    refresher: RefresherHandle,
    api: TransportHandle,
    session: Session,
    client: AuthClient<ScriptedTransport>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Neighbour {
    fn new(runtime: &ManualRuntime, store: impl TokenStore) -> Self {
        let (refresher, refresher_handle) = ScriptedRefresher::new();
        let (transport, api) = ScriptedTransport::new();
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let session = Session::builder(refresher)
            .store(store)
            .runtime(runtime.clone())
            .on_event(move |event| seen.lock().unwrap().push(event.clone()))
            .build();
        let client = AuthClient::builder(transport, session.clone()).origin(ORIGIN).build().unwrap();
        Self { runtime: runtime.clone(), refresher: refresher_handle, api, session, client, events }
    }

    fn get(&self, path: &str) -> Running<Answer> {
        let (client, request) = (self.client.clone(), Request::get(path).body(Body::empty()).unwrap());
        let running = self.runtime.start(async move { client.send(request).await });
        self.runtime.run_until_stalled();
        running
    }

    /// The next request at the API, answered with this status; its bearer.
    fn api_answers(&self, status: u16) -> String {
        let call = self.api.try_next().expect("a request has reached the API");
        let bearer = call.bearer().unwrap_or("none").to_owned();
        call.respond(status);
        self.runtime.run_until_stalled();
        bearer
    }

    fn told(&self) -> Vec<&'static str> {
        self.runtime.run_until_stalled();
        self.events.lock().unwrap().iter().map(name).collect()
    }
}

// --- the new pair is saved first -----------------------------------------------------------------------------------------

/// K1: while the new pair is being saved nobody is released: no replay, no new request, no outcome of a forced refresh.
#[test]
fn nobody_is_released_before_the_new_pair_is_saved() {
    let world = World::signed_in();
    let waiting = [world.rejected("/1"), world.get("/2")];
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await.map(|lease| lease.stamp()) });
    world.settle();

    world.store.hold(Op::Save);
    world.refresh_answers(numbered(1));
    let late = world.get("/3");
    world.pass(STORE_CALL - INSTANT);
    assert_eq!(world.bearers(), ["T0"]);
    assert!(!forced.is_finished());
    assert_eq!(world.session.state(), SessionState::Refreshing);

    let held = world.store.try_next_held().expect("the save waits");
    assert_eq!(held.tokens().unwrap().access_token().reveal(), "T1");
    held.proceed();
    world.settle();

    assert_eq!(world.stored().as_deref(), Some("T1"));
    assert_eq!(world.bearers(), ["T0", "T1", "T1", "T1"]);
    for _ in 0..3 {
        world.api_answers(200);
    }
    assert!(waiting.iter().chain([&late]).all(|request| status(request) == 200));
    assert_eq!(forced.take().unwrap().unwrap().generation, 1);
}

/// K1: the order of a whole refresh at the store: it is read, then the refresher is asked, then the answer is saved.
#[test]
fn the_store_is_read_before_and_written_after_the_refresh() {
    let world = World::signed_in();
    let before = world.store.log().len();

    let waiting = world.rejected("/notes");
    assert_eq!(steps_since(&world, before), ["lock", "load t0"]);
    world.refresh_answers(numbered(1));

    assert_eq!(steps_since(&world, before), ["lock", "load t0", "lock", "save t1"]);
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);
}

/// K1: a save that never answers does not hold the waiters for ever: it is tried twice, told of, and they go on from memory.
#[test]
fn a_save_that_hangs_is_bounded() {
    let world = World::signed_in();
    let waiting = world.rejected("/notes");
    world.store.hold(Op::Save);

    world.refresh_answers(numbered(1));
    world.pass(STORE_CALL * 2 - INSTANT);
    assert_eq!(world.bearers(), ["T0"]);
    world.pass(INSTANT);

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert!(told(&world).contains(&"save failed"));
}

/// K2: where saving fails after a rotation it is told, the new pair is used all the same, R1 and not the stored R0 is
/// presented next, and T1 is saved before that.
#[test]
fn a_pair_that_could_not_be_saved_is_used_and_saved_before_the_next_refresh() {
    let world = World::signed_in();
    world.store.fail_always(Op::Save, true);
    rotate(&world, 1);
    assert_eq!(world.stored().as_deref(), Some("T0"));
    assert!(told(&world).contains(&"save failed"));
    world.store.fail_always(Op::Save, false);
    let before = world.store.log().len();

    let waiting = world.rejected("/notes");
    assert_eq!(steps_since(&world, before), ["lock", "load t0", "lock", "save t1"]);
    world.refresh_answers(numbered(2));

    assert_eq!(world.api_answers(200).as_deref(), Some("T2"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
    assert_eq!(world.stored().as_deref(), Some("T2"));
    assert_eq!(world.session.state(), SessionState::Active);
}

/// K2, invariant 3: nor is R1 presented while that save is not answered.
#[test]
fn a_pair_that_is_being_saved_is_not_refreshed_yet() {
    let world = World::signed_in();
    world.store.fail_next(Op::Save, 2);
    rotate(&world, 1);
    world.store.hold(Op::Save);

    let waiting = world.rejected("/notes");
    assert_eq!(world.refresher.calls(), 1);
    world.store.release_holds();
    world.settle();

    world.refresh_answers(numbered(2));
    assert_eq!(world.api_answers(200).as_deref(), Some("T2"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
}

/// K2: the same while the store keeps failing: the session goes on from memory, refresh after refresh.
#[test]
fn a_store_that_stays_broken_does_not_stop_a_session() {
    let world = World::signed_in();
    world.store.fail_always(Op::Save, true);

    for n in 1..4 {
        rotate(&world, n);
    }

    assert_eq!(world.refresher.presented(), ["R0", "R1", "R2"]);
    assert_eq!(world.stored().as_deref(), Some("T0"));
    let failures = world.events().iter().filter(|event| matches!(event, Event::SaveFailed { .. })).count();
    assert!(failures >= 3, "{failures}");
}

/// K2: `SaveFailed` says why.
#[test]
fn a_failed_save_is_told_with_its_cause() {
    let world = World::signed_in();
    world.store.fail_next(Op::Save, 2);

    rotate(&world, 1);

    let why: Vec<Error> = world
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::SaveFailed { error } => Some(error),
            _ => None,
        })
        .collect();
    assert_eq!(why.len(), 1);
    assert_eq!(why[0].kind(), ErrorKind::Store);
    assert!(std::error::Error::source(&why[0]).is_some());
}

/// K2: with `PersistFailure::Fail` the waiters get a store error with their 401, the rotated pair is kept all the same, and
/// after the cooldown it is saved and R1 is presented.
#[test]
fn a_session_can_refuse_to_go_on_from_memory() {
    let world = World::with(|session| session.persist_failure(PersistFailure::Fail), |client| client);
    world.sign_in(numbered(0));
    world.store.fail_next(Op::Save, 2);
    let waiting = world.rejected("/notes");

    world.refresh_answers(numbered(1));
    let failed = error(&waiting);
    assert_eq!(failed.kind(), ErrorKind::Store);
    assert_eq!(failed.response().unwrap().status, 401);
    assert!(matches!(failed.advice(), Advice::RetryLater { .. }));
    assert_eq!(world.bearers(), ["T0"], "T1 is not in use");
    world.pass(Duration::from_secs(2));
    let again = world.rejected("/notes");
    assert_eq!(world.stored().as_deref(), Some("T1"));
    world.refresh_answers(numbered(2));

    assert_eq!(world.api_answers(200).as_deref(), Some("T2"));
    assert_eq!(status(&again), 200);
    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
    assert_eq!(world.stored().as_deref(), Some("T2"));
}

/// K2: a write that failed is tried once more at once, and then is no failure.
#[test]
fn a_failed_write_is_tried_once_more() {
    let world = World::signed_in();
    let before = world.store.log().len();
    world.store.fail_next(Op::Save, 1);

    rotate(&world, 1);

    assert_eq!(
        steps_since(&world, before),
        ["lock", "load t0", "lock", "save t1 (failed)", "save t1"],
        "once more, and no oftener"
    );
    assert_eq!(world.stored().as_deref(), Some("T1"));
    assert!(!told(&world).contains(&"save failed"));
}

/// K2: the same of a sign-in and a sign-out; where it fails twice they say so, and are in force in memory.
#[test]
fn a_sign_in_or_sign_out_that_is_not_stored_says_so_and_is_in_force() {
    let world = World::new();
    world.store.fail_next(Op::Save, 1);
    world.sign_in(numbered(0));
    assert_eq!(world.stored().as_deref(), Some("T0"));

    world.store.fail_next(Op::Clear, 2);
    let error = world.runtime.block_on(world.session.sign_out()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert_eq!(world.session.state(), SessionState::SignedOut);
    assert_eq!(kind(&world.get("/notes")), ErrorKind::SignedOut);

    world.store.fail_next(Op::Save, 2);
    let error = world.runtime.block_on(world.session.sign_in(numbered(5))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert_eq!(world.session.state(), SessionState::Active);
    let request = world.get("/notes");
    assert_eq!(world.api_answers(200).as_deref(), Some("T5"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.stored().as_deref(), Some("T0"), "the store holds what it held");
}

// --- one writer ----------------------------------------------------------------------------------------------------------

/// H1, H4: sign-out and sign-in in the middle of a flight's save: the writes do not overlap, and the last one wins.
#[test]
fn writes_do_not_overlap_and_the_last_one_wins() {
    let world = World::signed_in();
    let waiting = world.rejected("/notes");
    world.store.hold(Op::Save);
    world.store.hold(Op::Clear);
    world.refresh_answers(numbered(1));
    let flights_save = world.store.try_next_held().expect("the flight's save");

    let out = world.session.sign_out();
    let signed_in = world.session.sign_in(numbered(5));
    world.settle();
    assert!(world.store.try_next_held().is_none(), "one write at a time");
    assert_eq!(kind(&waiting), ErrorKind::SignedOut);
    flights_save.proceed();
    world.settle();
    let newest = world.store.try_next_held().expect("then the newest content");
    assert_eq!(newest.tokens().unwrap().access_token().reveal(), "T5");
    newest.proceed();

    world.runtime.block_on(out).unwrap();
    world.runtime.block_on(signed_in).unwrap();
    assert_eq!(world.stored().as_deref(), Some("T5"));
    assert_eq!(world.store.most_at_once(), 1);
    assert_eq!(world.session.state(), SessionState::Active);
    let request = world.get("/notes");
    assert_eq!(world.api_answers(200).as_deref(), Some("T5"));
    assert_eq!(status(&request), 200);
}

/// H1: a sign-out in the middle of a flight's save ends with an empty store.
#[test]
fn a_sign_out_during_the_save_empties_the_store() {
    let world = World::signed_in();
    let waiting = world.rejected("/notes");
    world.store.hold(Op::Save);
    world.refresh_answers(numbered(1));

    let out = world.session.sign_out();
    assert_eq!(world.session.state(), SessionState::SignedOut);
    world.store.release_holds();
    world.runtime.block_on(out).unwrap();

    assert_eq!(kind(&waiting), ErrorKind::SignedOut);
    assert!(world.store.content().is_none());
    assert_eq!(world.store.most_at_once(), 1);
    assert_eq!(world.bearers(), ["T0"]);
}

/// H9: dropping what `sign_out` and `sign_in` return leaves nothing half done.
#[test]
fn a_sign_out_that_nobody_waits_for_is_stored() {
    let world = World::signed_in();

    drop(world.session.sign_out());
    world.settle();
    assert!(world.store.content().is_none());
    drop(world.session.sign_in(numbered(5)));
    world.settle();

    assert_eq!(world.stored().as_deref(), Some("T5"));
}

/// H4: a sign-in is written before the store is read for its first refresh, whatever the store holds by then.
#[test]
fn a_sign_in_that_is_not_stored_yet_adopts_nothing() {
    let world = World::new();
    world.store.fail_next(Op::Save, 2);
    let signed_in = world.session.sign_in(numbered(0));
    assert!(world.runtime.block_on(signed_in).is_err());
    world.store.put_as_other_sign_in(numbered(7));

    rotate(&world, 1);

    assert_eq!(world.refresher.presented(), ["R0"]);
    assert_eq!(world.stored().as_deref(), Some("T1"));
}

/// K2, K9, invariant 2: a sign-in's save was made, though it was said to have failed, and another process has refreshed what was
/// saved. That is not overwritten with a refresh token which has been exchanged by now, and the next refresh adopts it.
#[test]
fn a_sign_in_that_was_saved_after_all_is_not_saved_over_its_own_rotation() {
    for shared in [false, true] {
        let world = World::new();
        if shared {
            world.store.lockable();
        }
        world.store.hold(Op::Save);
        let signed_in = world.session.sign_in(numbered(0));
        world.settle();
        let save = world.store.try_next_held().unwrap();
        world.store.put(save.tokens().cloned());
        world.store.put_rotated(numbered(1));
        save.fail(StoreError::new("the answer was lost"));
        world.store.release_holds();
        world.runtime.block_on(signed_in).unwrap();
        assert_eq!(world.stored().as_deref(), Some("T1"), "shared: {shared}");

        let waiting = world.rejected("/notes");

        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        assert_eq!(status(&waiting), 200);
        assert_eq!(world.refresher.calls(), 0);
        assert_eq!(world.stored().as_deref(), Some("T1"));
    }
}

/// K2, H4: what else the store holds by then is not this sign-in's own, and is saved over.
#[test]
fn a_sign_in_whose_save_failed_is_saved_over_what_is_not_its_own() {
    for other in [true, false] {
        let world = World::signed_in();
        world.store.hold(Op::Save);
        let signed_in = world.session.sign_in(numbered(5));
        world.settle();
        let save = world.store.try_next_held().unwrap();
        if other {
            world.store.put_as_other_sign_in(numbered(7));
        } else {
            world.store.put(save.tokens().cloned());
        }
        let before = world.store.begun().len();
        save.fail(StoreError::new("the answer was lost"));
        world.store.release_holds();
        world.runtime.block_on(signed_in).unwrap();

        assert_eq!(world.stored().as_deref(), Some("T5"), "other: {other}");
        let saves = world.store.begun().split_off(before).iter().filter(|call| call.op == Op::Save).count();
        assert_eq!(saves, usize::from(other), "what is there is not written again");
    }
}

/// K14: a sign-out never waits for its own session's flight: it writes under the lock that the flight holds.
#[test]
fn a_sign_out_writes_under_its_own_flights_lock() {
    let (world, _store) = shared_world();
    let waiting = world.rejected("/notes");
    assert!(world.store.is_locked());
    let before = world.store.log().len();

    let out = world.session.sign_out();
    world.runtime.block_on(out).unwrap();

    assert_eq!(steps_since(&world, before)[0], "guarded clear");
    assert_eq!(kind(&waiting), ErrorKind::SignedOut);
    world.refresh_answers(numbered(1));
    assert!(world.store.content().is_none(), "what the refresh brought is discarded");
    assert_eq!(world.refresher.revoked().len(), 1);
    assert!(!world.store.is_locked());
    assert_eq!(world.store.most_at_once(), 1);
}

/// K14, H1, invariant 2: a sign-out that comes as the flight ends is written before the flight's lock is given back. Whoever has
/// the lock next would find the pair that is spent, and present it again.
#[test]
fn a_sign_out_is_written_before_the_flights_lock_is_given_back() {
    struct Drives(ManualRuntime);

    impl ArcWake for Drives {
        fn wake_by_ref(this: &Arc<Self>) {
            this.0.run_until_stalled();
        }
    }

    let (world, _store) = shared_world();
    let stamp = world.runtime.block_on(world.session.lease()).unwrap().stamp();
    let mut waiting = pin!(world.session.recover(stamp));
    // It is woken before the sign-out has told the ledger, and lets the flight's driver get ahead of that.
    let waker = waker(Arc::new(Drives(world.runtime.clone())));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    world.settle();
    world.refresher.try_next().expect("a refresh is under way").answer(numbered(1));
    let before = world.store.log().len();

    drop(world.session.sign_out());
    world.settle();

    assert_eq!(steps_since(&world, before), ["guarded clear", "guarded release"]);
}

/// H9: a sign-in or a sign-out whose lock cannot be had is written without it, in bounded time, and that is told.
#[test]
fn a_sign_in_or_sign_out_without_a_lock_is_written_and_told() {
    let (world, store) = shared_world();
    let others = take_lock(&world, &store);
    let session = world.session.clone();
    let out = world.runtime.start(session.sign_out());

    world.pass(LOCK_WAIT - INSTANT);
    assert!(!out.is_finished());
    assert_eq!(world.session.state(), SessionState::SignedOut);
    assert!(!told(&world).contains(&"written unlocked"));
    world.pass(INSTANT);
    out.take().expect("bounded").unwrap();
    assert!(world.store.content().is_none());
    assert_eq!(told(&world).iter().filter(|name| **name == "written unlocked").count(), 1);
    world.runtime.block_on(world.session.sign_in(numbered(5))).unwrap();

    assert_eq!(world.stored().as_deref(), Some("T5"));
    assert_eq!(told(&world).iter().filter(|name| **name == "written unlocked").count(), 2);
    assert_eq!(world.store.waiting_for_lock(), 0);
    drop(others);
}

/// K17: a refresh whose lock was lost takes it anew, and what is saved then is saved: nobody is failed for it.
#[test]
fn a_pair_that_is_saved_under_a_second_lock_is_released() {
    let world = World::with(|session| session.persist_failure(PersistFailure::Fail), |client| client);
    world.store.lockable();
    world.sign_in(numbered(0));
    let waiting = world.rejected("/notes");

    world.store.lose_lock();
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.stored().as_deref(), Some("T1"));
}

/// K17: a sign-out that finds the lock lost takes it anew and writes once more.
#[test]
fn a_sign_out_whose_lock_was_lost_takes_it_anew() {
    let (world, _store) = shared_world();
    let _waiting = world.rejected("/notes");
    world.store.lose_lock();
    let before = world.store.log().len();

    world.runtime.block_on(world.session.sign_out()).unwrap();

    let steps = steps_since(&world, before);
    assert!(steps.starts_with(&["guarded clear (failed)".to_owned()]), "{steps:?}");
    assert!(steps.contains(&"guarded clear".to_owned()), "{steps:?}");
    assert!(world.store.content().is_none());
    world.refresh_answers(numbered(1));
    assert!(world.store.content().is_none());
    assert!(!world.store.is_locked());
    let steps = steps_since(&world, before);
    assert_eq!(steps.last().map(String::as_str), Some("guarded release"), "{steps:?}");
}

// --- what another process did --------------------------------------------------------------------------------------------

/// K9: before a refresh token is spent the store is read: a pair that another process got is adopted without a call.
#[test]
fn a_pair_that_another_process_got_is_adopted() {
    let world = World::signed_in();
    world.store.put_rotated(numbered(1));
    let before = world.store.log().len();

    let waiting = world.get("/notes");
    world.api_answers(401);

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.refresher.calls(), 0);
    let names = told(&world);
    assert!(names.contains(&"adopted") && !names.contains(&"refreshed"), "{names:?}");
    assert_eq!(steps_since(&world, before), ["lock", "load t1"], "nothing is written back");
}

/// K9: an adopted pair is memory's own: what it can refresh is presented next.
#[test]
fn an_adopted_pair_is_refreshed_next() {
    let world = World::signed_in();
    world.store.put_rotated(numbered(1));
    let waiting = world.get("/notes");
    world.api_answers(401);
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);

    rotate(&world, 2);

    assert_eq!(world.refresher.presented(), ["R1"]);
    assert_eq!(world.stored().as_deref(), Some("T2"));
}

/// K9: a newer pair whose access token will not do (expired, or the one that was rejected) is refreshed instead of R0.
#[test]
fn a_newer_pair_that_will_not_do_is_refreshed() {
    let world = World::signed_in();
    let expired = numbered(1).with_expires_at(auth_core::Runtime::now(&world.runtime) - LOCK_WAIT);
    world.store.put_rotated(expired);
    let waiting = world.rejected("/expired");
    world.refresh_answers(numbered(2));
    assert_eq!(world.api_answers(200).as_deref(), Some("T2"));
    assert_eq!(status(&waiting), 200);

    world.store.put_rotated(numbered(2).with_refresh_token("R7"));
    let waiting = world.rejected("/same");
    world.refresh_answers(numbered(8));
    assert_eq!(world.api_answers(200).as_deref(), Some("T8"));
    assert_eq!(status(&waiting), 200);

    assert_eq!(world.refresher.presented(), ["R1", "R7"]);
}

/// K6, invariant 2: what another process writes late, with a refresh token that this session has exchanged since, is not adopted
/// but overwritten.
#[test]
fn a_spent_pair_that_comes_back_is_overwritten() {
    let world = World::signed_in();
    rotate(&world, 1);
    world.store.put_rotated(numbered(7).with_refresh_token("R0"));

    rotate(&world, 2);

    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
    assert_eq!(world.stored().as_deref(), Some("T2"));
}

/// K6: where the server does not rotate, every pair has the same refresh token, and what another process got with it is as good as
/// ever.
#[test]
fn a_pair_with_a_refresh_token_that_is_not_rotated_is_adopted() {
    let world = World::signed_in();
    let waiting = world.rejected("/first");
    world.refresh_answers(numbered(1).with_refresh_token("R0"));
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);
    world.store.put_rotated(numbered(7).with_refresh_token("R0"));

    let waiting = world.get("/second");
    world.api_answers(401);

    assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.refresher.calls(), 1);
}

/// K6: without a lock two processes may present one refresh token: the one that is refused reads the store again, and
/// adopts what the other got.
#[test]
fn a_refused_refresh_adopts_what_another_process_saved_meanwhile() {
    let world = World::signed_in();
    let waiting = world.rejected("/notes");
    let call = world.refresher.try_next().unwrap();

    world.store.put_rotated(numbered(1));
    call.fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.stored().as_deref(), Some("T1"));
    assert_eq!(world.session.state(), SessionState::Active);
}

/// K6: where the store still holds the refused pair, the session ends, and that pair is removed.
#[test]
fn a_refused_refresh_ends_the_session_where_the_store_has_nothing_newer() {
    let world = World::signed_in();
    let waiting = world.rejected("/notes");

    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    assert_eq!(kind(&waiting), ErrorKind::SessionEnded);
    assert_eq!(world.refresher.calls(), 1);
    assert!(world.store.content().is_none());
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::Rejected));
}

/// K6, G1: what another process signs in while the session ends is not cleared with the dead pair.
#[test]
fn the_end_of_a_session_clears_its_own_pair_only() {
    let world = World::signed_in();
    let waiting = world.rejected("/notes");
    world.store.hold(Op::Load);
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    world.store.try_next_held().expect("the store is read again").proceed();
    world.settle();
    assert_eq!(kind(&waiting), ErrorKind::SessionEnded);

    world.store.put_as_other_sign_in(numbered(9));
    world.store.release_holds();
    world.settle();

    assert_eq!(world.stored().as_deref(), Some("T9"));
}

/// K7: another process emptied the store: the session has ended, without a refresh, and nothing is written back.
#[test]
fn a_store_that_was_emptied_elsewhere_ends_the_session() {
    let world = World::signed_in();
    let before = world.store.log().len();
    world.store.put(None);

    let waiting = world.get("/notes");
    world.api_answers(401);

    let error = error(&waiting);
    assert_eq!((error.kind(), error.advice()), (ErrorKind::SessionEnded, Advice::SignIn));
    assert_eq!(error.end_reason(), Some(EndReason::EndedElsewhere));
    assert_eq!(error.response().unwrap().status, 401);
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::EndedElsewhere));
    assert_eq!(told(&world).iter().filter(|name| **name == "ended").count(), 1);
    assert_eq!(steps_since(&world, before), ["lock", "load"]);
}

/// K7: a store that is empty because the first save failed is not that: it is saved, and refreshed.
#[test]
fn a_store_that_is_empty_because_a_save_failed_is_no_end() {
    let world = World::new();
    world.store.fail_next(Op::Save, 2);
    assert!(world.runtime.block_on(world.session.sign_in(numbered(0))).is_err());
    let before = world.store.log().len();

    let waiting = world.rejected("/notes");
    // A look whether the save was made after all, the save, and the flight's own look.
    assert_eq!(steps_since(&world, before), ["lock", "lock", "load", "save t0", "load t0"]);
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.refresher.presented(), ["R0"]);
    assert_eq!(world.stored().as_deref(), Some("T1"));
}

/// K7: the same where the store cannot be written at all: the session goes on from memory.
#[test]
fn a_store_that_cannot_be_written_is_no_end() {
    let world = World::new();
    world.store.fail_always(Op::Save, true);
    assert!(world.runtime.block_on(world.session.sign_in(numbered(0))).is_err());

    rotate(&world, 1);
    rotate(&world, 2);

    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
    assert!(world.store.content().is_none());
    assert_eq!(world.session.state(), SessionState::Active);
}

/// K7: that holds for a session with a rotated pair that it could not save, too: an emptied store is a sign-out elsewhere.
#[test]
fn a_store_that_was_emptied_after_a_failed_save_ends_the_session() {
    let world = World::signed_in();
    world.store.fail_next(Op::Save, 2);
    rotate(&world, 1);
    world.store.put(None);

    let waiting = world.get("/notes");
    world.api_answers(401);

    assert_eq!(error(&waiting).end_reason(), Some(EndReason::EndedElsewhere));
    assert_eq!(world.refresher.calls(), 1);
    assert!(world.store.content().is_none());
}

/// K2, K9: a rotated pair that could not be saved gives way to a newer one of another process.
#[test]
fn an_unsaved_pair_gives_way_to_a_newer_one() {
    let world = World::signed_in();
    world.store.fail_next(Op::Save, 2);
    rotate(&world, 1);
    world.store.put_rotated(numbered(7));

    let waiting = world.get("/notes");
    world.api_answers(401);

    assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.stored().as_deref(), Some("T7"));
    assert_eq!(world.refresher.calls(), 1);
}

/// K7b: another process signed in as somebody else: what is queued fails as `SessionChanged` and goes out nowhere; the next
/// request goes out as the new identity.
#[test]
fn another_sign_in_elsewhere_changes_the_session() {
    let world = World::signed_in();
    world.store.hold(Op::Load);
    let queued = [world.rejected("/1"), world.get("/2")];
    world.store.put_as_other_sign_in(numbered(9));

    world.store.release_holds();
    world.settle();

    for request in &queued {
        assert_eq!(kind(request), ErrorKind::SessionChanged);
    }
    assert_eq!(world.bearers(), ["T0"]);
    assert_eq!(world.refresher.calls(), 0);
    assert!(told(&world).contains(&"identity changed"));
    assert!(!told(&world).contains(&"ended"));
    assert_eq!(world.stored().as_deref(), Some("T9"));
    let next = world.get("/3");
    assert_eq!(world.api_answers(200).as_deref(), Some("T9"));
    assert_eq!(status(&next), 200);
}

/// K7b: a stamp of the identity before is worth nothing after it.
#[test]
fn a_late_401_of_the_identity_before_is_not_replayed() {
    let world = World::signed_in();
    let (first, late) = (world.get("/1"), world.get("/2"));
    world.store.put_as_other_sign_in(numbered(9));
    world.api_answers(401);
    assert_eq!(kind(&first), ErrorKind::SessionChanged);

    world.api_answers(401);

    assert_eq!(kind(&late), ErrorKind::SessionChanged);
    assert_eq!(world.bearers(), ["T0", "T0"]);
}

/// K7b: a stored pair without a sign-in id is another sign-in than one with it.
#[test]
fn a_pair_without_a_sign_in_id_is_somebody_elses() {
    let world = World::signed_in();
    world.store.put(Some(numbered(9)));

    let waiting = world.get("/notes");
    world.api_answers(401);

    assert_eq!(kind(&waiting), ErrorKind::SessionChanged);
    assert_eq!(world.refresher.calls(), 0);
}

/// K9: a load that fails: an unshared store lets the session go on from memory, a shared one makes the flight unavailable.
#[test]
fn a_load_that_fails_stops_a_shared_store_only() {
    let alone = World::signed_in();
    alone.store.fail_always(Op::Load, true);
    rotate(&alone, 1);
    assert_eq!(alone.refresher.presented(), ["R0"]);

    let (world, _store) = shared_world();
    world.store.fail_next(Op::Load, 1);
    let waiting = world.get("/notes");
    world.api_answers(401);

    let error = error(&waiting);
    assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
    assert!(matches!(error.advice(), Advice::RetryLater { .. }));
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.session.state(), SessionState::Active);
    assert!(!world.store.is_locked());
}

// --- the lock ------------------------------------------------------------------------------------------------------------

/// K14: the lock is held for re-read, refresh and save, and for nothing else: not for the first send, not for the replays.
#[test]
fn the_lock_is_held_for_reading_refreshing_and_saving_only() {
    let (world, _store) = shared_world();
    let before = world.store.log().len();
    let waiting = world.get("/notes");
    assert!(!world.store.is_locked(), "a request under way needs none");

    world.store.hold(Op::Save);
    world.api_answers(401);
    assert!(world.store.is_locked(), "while it refreshes");
    world.refresh_answers(numbered(1));
    assert!(world.store.is_locked(), "while it saves");
    world.store.release_holds();
    world.settle();
    assert!(!world.store.is_locked(), "not while the replay is under way");

    assert_eq!(
        steps_since(&world, before),
        ["lock", "guarded load t0", "guarded save t1", "guarded release"]
    );
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
}

/// K14: giving the lock back is not waited for.
#[test]
fn a_release_that_hangs_delays_nobody() {
    let (world, _store) = shared_world();
    world.store.hold(Op::Release);
    let waiting = world.rejected("/notes");

    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    world.pass(STORE_CALL);
    assert!(!world.store.is_locked(), "a release that was given up drops the guard");
}

/// K14: the lock is given back after a flight that failed, one that was refused and one that adopted.
#[test]
fn the_lock_is_given_back_however_the_flight_ends() {
    let (world, _store) = shared_world();
    let waiting = world.rejected("/failed");
    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("invalid_client"));
    world.settle();
    assert_eq!(kind(&waiting), ErrorKind::Misconfigured);
    assert!(!world.store.is_locked());

    let (world, _store) = shared_world();
    world.store.put_rotated(numbered(1));
    let waiting = world.get("/adopted");
    world.api_answers(401);
    assert!(!world.store.is_locked());
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);

    let (world, _store) = shared_world();
    let waiting = world.rejected("/refused");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(kind(&waiting), ErrorKind::SessionEnded);
    assert!(!world.store.is_locked());
}

/// K8, I12: a lock that cannot be had in ten seconds: the store is read without it, nothing newer is there, and the request
/// fails for now; the refresh token is not spent.
#[test]
fn a_lock_that_cannot_be_had_makes_the_refresh_unavailable() {
    let (world, store) = shared_world();
    let others = take_lock(&world, &store);
    let waiting = world.rejected("/notes");

    world.pass(LOCK_WAIT - INSTANT);
    assert!(!waiting.is_finished());
    world.pass(INSTANT);

    let error = error(&waiting);
    assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
    assert_eq!(error.response().unwrap().status, 401);
    assert!(std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<StoreError>()).is_some());
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(world.stored().as_deref(), Some("T0"));
    drop(others);
}

/// K8, I12: where the process that has the lock has saved a newer pair, that is adopted.
#[test]
fn what_is_newer_is_adopted_where_the_lock_cannot_be_had() {
    let (world, store) = shared_world();
    let others = take_lock(&world, &store);
    let waiting = world.rejected("/notes");
    world.pass(LOCK_WAIT / 2);
    world.store.put_rotated(numbered(1));

    world.pass(LOCK_WAIT / 2);

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.refresher.calls(), 0);
    drop(others);
}

/// K8: a store whose lock fails is not refreshed on either; the session lives.
#[test]
fn a_lock_that_fails_makes_the_refresh_unavailable() {
    let (world, _store) = shared_world();
    world.store.fail_next(Op::Lock, 1);

    let waiting = world.get("/notes");
    world.api_answers(401);

    assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);
    assert_eq!(world.refresher.calls(), 0);
    world.pass(Duration::from_secs(2));
    rotate(&world, 1);
    assert_eq!(world.refresher.presented(), ["R0"]);
}

/// K8: a holder that died gives the lock up, and the one in line refreshes.
#[test]
fn a_holder_that_died_frees_the_lock() {
    let (world, store) = shared_world();
    let others = take_lock(&world, &store);
    let waiting = world.rejected("/notes");
    world.pass(LOCK_WAIT / 2);
    assert_eq!(world.refresher.calls(), 0);

    drop(others);
    world.settle();
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
}

/// K14, I3: each call of a store that hangs is bounded, whichever it is; afterwards the session goes on.
#[test]
fn a_store_that_hangs_is_bounded_at_every_call() {
    for (op, bound, refreshed) in [
        (Op::Lock, LOCK_WAIT, false),
        (Op::Load, STORE_CALL, false),
        (Op::Save, STORE_CALL * 2, true),
        (Op::Release, Duration::ZERO, true),
    ] {
        let (world, _store) = shared_world();
        world.store.hold(op);
        let waiting = world.get("/notes");
        world.api_answers(401);
        if refreshed {
            world.refresh_answers(numbered(1));
        }
        if !bound.is_zero() {
            world.pass(bound - INSTANT);
            assert!(!waiting.is_finished() && world.bearers().len() == 1, "{op:?}");
            world.pass(INSTANT);
        }

        if refreshed {
            assert_eq!(world.api_answers(200).as_deref(), Some("T1"), "{op:?}");
            assert_eq!(status(&waiting), 200, "{op:?}");
        } else {
            assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable, "{op:?}");
            assert_eq!(world.refresher.calls(), 0, "{op:?}");
        }
        world.store.release_holds();
        world.pass(Duration::from_secs(20));
        assert!(!world.store.is_locked(), "{op:?}");
        rotate(&world, 2);
        assert_eq!(world.stored().as_deref(), Some("T2"), "{op:?}");
        assert_eq!(world.store.most_at_once(), 1, "{op:?}");
    }
}

/// K14: a store that is slow, but keeps within the bounds of each call, is asked once for each thing, however long that takes
/// together.
#[test]
fn a_slow_store_is_not_asked_twice() {
    let (world, store) = shared_world();
    let others = take_lock(&world, &store);
    world.store.hold(Op::Save);
    let before = world.store.begun().len();
    let written = world.runtime.start(world.session.sign_in(numbered(5)));
    let waiting = world.rejected("/notes");

    // The wait for the lock, and two tries of the save.
    world.pass(LOCK_WAIT + STORE_CALL * 2);
    assert_eq!(written.take().unwrap().unwrap_err().kind(), ErrorKind::Store);
    world.store.release_holds();
    drop(others);
    world.settle();

    let ops: Vec<_> = world.store.begun().split_off(before).iter().map(|call| call.op).collect();
    // Before each further try a look whether the one before was made after all.
    assert_eq!(ops, [Op::Lock, Op::Save, Op::Load, Op::Save, Op::Lock, Op::Load, Op::Save, Op::Load]);
    world.refresh_answers(numbered(6));
    assert_eq!(world.api_answers(200).as_deref(), Some("T6"));
    assert_eq!(status(&waiting), 200);
}

/// K14, I17: a store that panics is a store that fails, whichever call it is; afterwards the session goes on.
#[test]
fn a_store_that_panics_is_one_that_fails() {
    for (op, refreshed) in [(Op::Lock, false), (Op::Load, false), (Op::Save, true), (Op::Release, true)] {
        let (world, _store) = shared_world();
        world.store.panic_next(op);
        let waiting = world.get("/notes");
        world.api_answers(401);

        if refreshed {
            world.refresh_answers(numbered(1));
            assert_eq!(world.api_answers(200).as_deref(), Some("T1"), "{op:?}");
            assert_eq!(status(&waiting), 200, "{op:?}");
            assert_eq!(world.stored().as_deref(), Some("T1"), "{op:?}: a save is tried once more");
        } else {
            assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable, "{op:?}");
            assert_eq!(world.refresher.calls(), 0, "{op:?}");
        }
        world.pass(Duration::from_secs(2));
        assert!(!world.store.is_locked(), "{op:?}");
        rotate(&world, 2);
        assert_eq!(world.stored().as_deref(), Some("T2"), "{op:?}");
        assert_eq!(world.runtime.panicked(), 0, "{op:?}: it is contained before the runtime sees it");
    }
}

/// K14: the first load of an empty store gives its lock back.
#[test]
fn the_lock_is_given_back_after_the_first_load() {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let world = World::on(store, handle, |session| session, |client| client);

    assert_eq!(kind(&world.get("/notes")), ErrorKind::SignedOut);

    assert_eq!(steps(&world), ["load", "lock", "guarded load", "guarded release"]);
    assert!(!world.store.is_locked());
}

/// K16: two sessions of one process on one shared store make one refresh between them; the other adopts.
#[test]
fn two_sessions_on_one_store_make_one_refresh() {
    let (world, store) = shared_world();
    let other = Neighbour::new(&world.runtime, store);
    let (ours, theirs) = (world.get("/notes"), other.get("/notes"));
    world.api_answers(401);
    assert_eq!(other.api_answers(401), "T0");
    assert_eq!((world.refresher.calls(), other.refresher.calls()), (1, 0));

    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(other.api_answers(200), "T1");
    assert_eq!((status(&ours), status(&theirs)), (200, 200));
    assert_eq!((world.refresher.calls(), other.refresher.calls()), (1, 0));
    assert!(other.told().contains(&"adopted"));
    assert_eq!(world.store.most_at_once(), 1);
    assert!(!world.store.is_locked());
}

/// K16: the same on clones of a `MemoryStore`, refresh after refresh, whoever comes first.
#[test]
fn two_sessions_on_one_memory_store_make_one_refresh() {
    let (runtime, store) = (ManualRuntime::new(), MemoryStore::new());
    let (a, b) = (Neighbour::new(&runtime, store.clone()), Neighbour::new(&runtime, store.clone()));
    runtime.block_on(a.session.sign_in(numbered(0))).unwrap();

    for n in 1..5 {
        let (first, second) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let requests = [first.get("/notes"), second.get("/notes")];
        first.api_answers(401);
        second.api_answers(401);
        first.refresher.try_next().expect("the first to come refreshes").answer(numbered(n));
        runtime.run_until_stalled();
        assert_eq!(first.api_answers(200), format!("T{n}"));
        assert_eq!(second.api_answers(200), format!("T{n}"));
        assert!(requests.iter().all(|request| status(request) == 200));
    }

    assert_eq!(a.refresher.calls() + b.refresher.calls(), 4);
    let stored = runtime.block_on(store.load()).unwrap().unwrap();
    assert_eq!(stored.access_token().reveal(), "T4");
}

/// K16: a sign-out of one ends the other at its next refresh, and a sign-in of one is the other's.
#[test]
fn sessions_on_one_store_follow_each_other() {
    let (world, store) = shared_world();
    let other = Neighbour::new(&world.runtime, store);
    let request = other.get("/notes");
    assert_eq!(other.api_answers(200), "T0");
    assert_eq!(status(&request), 200);

    world.runtime.block_on(world.session.sign_out()).unwrap();
    let request = other.get("/notes");
    other.api_answers(401);
    assert_eq!(error(&request).end_reason(), Some(EndReason::EndedElsewhere));
    assert_eq!(other.refresher.calls(), 0);
    other.runtime.block_on(other.session.sign_in(numbered(5))).unwrap();

    assert_eq!(world.stored().as_deref(), Some("T5"));
    assert_eq!(other.told().iter().filter(|name| **name == "ended").count(), 1);
}

/// K17: a holder that was paused past its lock's life: its late write is refused, and it adopts what the next one wrote.
#[test]
fn a_late_write_is_refused_and_what_is_there_is_adopted() {
    let (world, _store) = shared_world();
    let waiting = world.rejected("/notes");
    world.store.lose_lock();
    world.store.put_rotated(numbered(7));
    let before = world.store.log().len();

    world.refresh_answers(numbered(1));

    let steps = steps_since(&world, before);
    assert_eq!(steps[0], "guarded save t1 (failed)");
    assert!(steps.contains(&"guarded load t7".to_owned()), "{steps:?}");
    assert!(!steps.iter().any(|step| step.ends_with("save t1")), "{steps:?}");
    assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.stored().as_deref(), Some("T7"));
    assert_eq!(world.refresher.calls(), 1);
    assert!(told(&world).contains(&"adopted"));
    assert!(!world.store.is_locked());
}

/// K17: where nobody else wrote, it takes the lock anew and saves.
#[test]
fn a_late_write_is_made_under_a_new_lock_where_nobody_else_wrote() {
    let (world, _store) = shared_world();
    let waiting = world.rejected("/notes");
    world.store.lose_lock();
    let before = world.store.log().len();

    world.refresh_answers(numbered(1));

    let steps = steps_since(&world, before);
    assert_eq!(steps[0], "guarded save t1 (failed)");
    assert_eq!(
        steps[steps.len() - 4..],
        ["lock", "guarded load t0", "guarded save t1", "guarded release"],
        "{steps:?}"
    );
    assert_eq!(world.stored().as_deref(), Some("T1"));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.store.most_at_once(), 1);
    assert!(!world.store.is_locked());
}

/// K17: what the next holder left may be another sign-in, or nothing: then nothing of the late answer is in force.
#[test]
fn a_late_write_does_not_bring_back_who_was_signed_out() {
    let (world, _store) = shared_world();
    let waiting = world.rejected("/notes");
    world.store.lose_lock();
    world.store.put_as_other_sign_in(numbered(9));
    world.refresh_answers(numbered(1));
    assert_eq!(kind(&waiting), ErrorKind::SessionChanged);
    assert_eq!(world.stored().as_deref(), Some("T9"));
    assert_eq!(world.bearers(), ["T0"]);

    let (world, _store) = shared_world();
    let waiting = world.rejected("/notes");
    world.store.lose_lock();
    world.store.put(None);
    world.refresh_answers(numbered(1));
    assert_eq!(error(&waiting).end_reason(), Some(EndReason::EndedElsewhere));
    assert!(world.store.content().is_none());
    assert_eq!(world.bearers(), ["T0"]);
}

/// K17: the write of a paused holder while the next one has the lock and is still busy: it waits for its turn, and adopts.
#[test]
fn a_late_write_waits_for_the_next_holder() {
    let (world, store) = shared_world();
    let waiting = world.rejected("/notes");
    world.store.lose_lock();
    let others = take_lock(&world, &store);

    world.refresh_answers(numbered(1));
    assert!(!waiting.is_finished());
    assert_eq!(world.bearers(), ["T0"]);
    world.store.put_rotated(numbered(7));
    drop(others);
    world.settle();

    assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.stored().as_deref(), Some("T7"));
}

/// K17, I12: where the lock cannot be had anew either, what the next holder has saved is adopted all the same.
#[test]
fn a_late_write_that_gets_no_lock_gives_way_to_what_is_there() {
    let (world, store) = shared_world();
    let waiting = world.rejected("/notes");
    world.store.lose_lock();
    let others = take_lock(&world, &store);
    world.store.put_rotated(numbered(7));

    world.refresh_answers(numbered(1));
    assert_eq!(world.bearers(), ["T0"]);
    world.pass(LOCK_WAIT);

    assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.stored().as_deref(), Some("T7"));
    drop(others);
}

/// I3: settings without a bound are no panic: somebody may mean "no limit".
#[test]
fn settings_without_a_bound_do_not_panic() {
    let unbounded = |session: auth_core::SessionBuilder| {
        session
            .refresh_timeout(Duration::MAX)
            .attempt_timeout(Duration::MAX)
            .store_timeout(Duration::MAX)
            .lock_timeout(Duration::MAX)
            .patience(Duration::MAX)
    };
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let world = World::on(store, handle, unbounded, |client| client);

    world.sign_in(numbered(0));
    rotate(&world, 1);

    assert_eq!(world.stored().as_deref(), Some("T1"));
    assert_eq!(world.runtime.panicked(), 0);
}

// --- what can be observed ------------------------------------------------------------------------------------------------

/// K4: every rotation can be observed: each has its events, with the stamp it made, and is in the store by then.
#[test]
fn every_rotation_is_observable() {
    let world = World::signed_in();

    for n in 1..4 {
        rotate(&world, n);
    }
    world.store.put_rotated(numbered(4));
    let waiting = world.get("/adopted");
    world.api_answers(401);
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);

    let rotations: Vec<_> = world
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Refreshed { stamp, adopted, unchanged, waiters, .. } => {
                Some((stamp.epoch, stamp.generation, *adopted, *unchanged, *waiters))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        rotations,
        [(1, 1, false, false, 1), (1, 2, false, false, 1), (1, 3, false, false, 1), (1, 4, true, false, 1)]
    );
    let saves = world.events().iter().filter(|event| matches!(event, Event::Saved)).count();
    assert_eq!(saves, 4, "the sign-in's and three rotations'; the fourth was saved elsewhere");
}
