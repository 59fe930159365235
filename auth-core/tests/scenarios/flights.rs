//! One flight, one queue.

mod decisions;
mod order;
mod refreshers;

use std::collections::BTreeSet;
use std::error::Error as _;
use std::time::Duration;

use auth_core::{
    Advice, Attempt, Cause, Error, ErrorKind, Event, FlightId, RefreshError, Runtime as _, SessionState,
    StoreError, Tokens,
};
use auth_testkit::{Op, numbered};

use crate::world::{World, error, kind, status};

/// Cooldowns are jittered by a fifth: the first is over after this, and not before `JUST_COOLING`.
const COOLED: Duration = Duration::from_millis(1_201);
const JUST_COOLING: Duration = Duration::from_millis(799);

/// The paths that the API has seen from this call on, in the order of the first polls.
fn paths(world: &World, from: usize) -> Vec<String> {
    world.api.log()[from..].iter().map(|sent| sent.uri.path().to_owned()).collect()
}

/// The flights that have started, and why.
fn started(world: &World) -> Vec<(FlightId, Cause)> {
    let started = |event: &Event| match event {
        Event::RefreshStarted { flight, cause } => Some((*flight, *cause)),
        _ => None,
    };
    world.events().iter().filter_map(started).collect()
}

/// The errors with which flights have ended.
fn failures(world: &World) -> Vec<(FlightId, Error)> {
    let failed = |event: &Event| match event {
        Event::RefreshFailed { flight, error, .. } => Some((*flight, error.clone())),
        _ => None,
    };
    world.events().iter().filter_map(failed).collect()
}

/// These tokens, valid for so many seconds from now on.
fn lasting(world: &World, tokens: Tokens, seconds: u64) -> Tokens {
    tokens.with_expires_in(Duration::from_secs(seconds), world.runtime.now())
}

/// Where the error's cause is: two errors that share it have the same.
#[track_caller]
fn cause_of(error: &Error) -> *const () {
    std::ptr::from_ref(error.source().expect("the error has a cause")).cast()
}

/// C1: N parallel 401s for T0 make exactly one refresh and N replays with T1, and all succeed.
#[test]
fn parallel_rejections_make_one_refresh() {
    let world = World::signed_in();
    let waiting: Vec<_> = (0..20).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in 0..20 {
        assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
    }

    world.refresh_answers(numbered(1));
    for _ in 0..20 {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }

    assert!(waiting.iter().all(|request| status(request) == 200));
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.bearers()[20..], vec!["T1"; 20]);
    assert_eq!(world.stored().as_deref(), Some("T1"));
}

/// C2: A request that starts while the rejected T0 is being replaced waits for T1, behind those that wait already.
#[test]
fn a_new_request_waits_behind_the_rejected_ones() {
    let world = World::signed_in();
    let first = world.get("/first");
    let second = world.get("/second");
    world.api_answers(401);
    let new = world.get("/new");
    world.api_answers(401);
    let newer = world.get("/newer");
    assert_eq!(paths(&world, 0), ["/first", "/second"], "the new ones are not sent with T0");

    world.refresh_answers(numbered(1));

    assert_eq!(paths(&world, 2), ["/first", "/new", "/second", "/newer"]);
    assert_eq!(world.bearers()[2..], ["T1"; 4]);
    let attempts: Vec<_> =
        world.api.log()[2..].iter().map(|sent| *sent.extensions.get::<Attempt>().unwrap()).collect();
    let flight = started(&world)[0].0;
    let of_attempts: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.ticket)).collect();
    assert_eq!(of_attempts, [(2, Some(0)), (1, Some(1)), (2, Some(2)), (1, Some(3))]);
    assert!(attempts.iter().all(|attempt| attempt.flight == Some(flight)));
    for _ in 0..4 {
        world.api_answers(200);
    }
    assert!([first, second, new, newer].iter().all(|request| status(request) == 200));
    assert_eq!(world.refresher.calls(), 1);
}

/// C3: A 401 that arrives while the refresh runs, however late in it, joins the queue.
#[test]
fn a_401_during_the_refresh_joins_the_queue() {
    let world = World::signed_in();
    let requests: Vec<_> = (0..3).map(|n| world.get(&format!("/{n}"))).collect();
    world.api_answers(401);

    world.pass(Duration::from_secs(5));
    world.api_answers(401);
    assert!(!requests[1].is_finished());
    world.store.hold(Op::Save);
    world.refresh_answers(numbered(1));
    world.api_answers(401);
    assert!(!requests[2].is_finished(), "the refresh has its answer, but its save has none");
    assert_eq!(world.api.calls(), 3);
    world.store.release_holds();
    world.settle();

    assert_eq!(paths(&world, 3), ["/0", "/1", "/2"]);
    assert_eq!(world.bearers()[3..], ["T1"; 3]);
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(started(&world).len(), 1);
    let waited = |event: &Event| matches!(event, Event::Refreshed { waiters: 3, .. });
    assert!(world.events().iter().any(waited));
}

/// C5: A failed refresh is one failure: every waiter gets the same error with the same cause, each with its own 401.
#[test]
fn all_waiters_of_a_failed_refresh_get_the_same_error() {
    let world = World::signed_in();
    let requests: Vec<_> = (0..5).map(|n| world.get(&format!("/{n}"))).collect();
    for n in 0..5_u16 {
        let mut response = auth_testkit::response(401);
        response.headers_mut().insert("x-request", n.into());
        world.next_call().answer(response);
        world.settle();
    }
    let new = world.get("/new");
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await });
    world.settle();

    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("invalid_client"));
    world.settle();

    let errors: Vec<_> = requests.iter().map(error).collect();
    for (n, error) in errors.iter().enumerate() {
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert_eq!(error.advice(), Advice::FixConfiguration);
        let response = error.response().expect("the 401 it stands in for");
        assert_eq!(response.status, 401);
        assert_eq!(response.headers["x-request"], n.to_string().as_str());
    }
    let new = error(&new);
    assert!(new.response().is_none(), "it was not sent");
    let forced = forced.take().unwrap().unwrap_err();
    let (flight, told) = failures(&world).remove(0);
    let causes: BTreeSet<_> = errors.iter().chain([&new, &forced, &told]).map(cause_of).collect();
    assert_eq!(causes.len(), 1);
    assert!(told.source().unwrap().downcast_ref::<RefreshError>().unwrap().is_misconfigured());
    assert_eq!(started(&world), [(flight, Cause::Rejected)]);
    assert_eq!(failures(&world).len(), 1);
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.api.calls(), 5);
    assert_eq!(world.session.state(), SessionState::Active);
}

/// C6: However the refresh fails, nobody hangs: neither those that queue nor those that wait without a place.
#[test]
fn nobody_hangs_however_the_refresh_fails() {
    type End = fn(&World);
    let ends: [(&str, End, ErrorKind); 6] = [
        (
            "rejected",
            |world| world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant")),
            ErrorKind::SessionEnded,
        ),
        (
            "misconfigured",
            |world| world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("invalid_scope")),
            ErrorKind::Misconfigured,
        ),
        (
            "unavailable",
            |world| {
                world.refresher.answer_with(|_| Err(RefreshError::unavailable("503")));
                world.refresher.try_next().unwrap().fail(RefreshError::unavailable("503"));
            },
            ErrorKind::RefreshUnavailable,
        ),
        (
            "panics",
            |world| {
                world.refresher.answer_with(|_| panic!("scripted"));
                world.refresher.try_next().unwrap().panics("scripted");
            },
            ErrorKind::RefreshUnavailable,
        ),
        ("never answers", |world| drop(world.refresher.try_next()), ErrorKind::RefreshUnavailable),
        ("the runtime ends", |world| world.runtime.shutdown(), ErrorKind::RefreshUnavailable),
    ];
    for (name, end, expected) in ends {
        let world = World::signed_in();
        let queued = [world.rejected("/rejected"), world.get("/new"), world.get("/newer")];
        let session = world.session.clone();
        let forced = world.runtime.start(async move { session.refresh(None).await });
        world.settle();

        end(&world);
        world.pass(Duration::from_secs(31));

        for request in &queued {
            assert_eq!(kind(request), expected, "{name}");
        }
        assert_eq!(forced.take().expect("it has ended").unwrap_err().kind(), expected, "{name}");
        assert_eq!(world.refresher.most_at_once(), 1, "{name}");
        assert_eq!((world.runtime.tasks(), world.runtime.timers()), (0, 0), "{name}: nothing is left behind");
    }
}

/// C8: A second round of 401, refresh and replay behaves as the first.
#[test]
fn two_cycles_behave_the_same() {
    let world = World::signed_in();

    for generation in 0..2 {
        let requests: Vec<_> = (0..3).map(|n| world.get(&format!("/{generation}/{n}"))).collect();
        for _ in &requests {
            assert_eq!(world.api_answers(401), Some(format!("T{generation}")));
        }
        world.refresh_answers(numbered(generation + 1));
        for _ in &requests {
            assert_eq!(world.api_answers(200), Some(format!("T{}", generation + 1)));
        }
        assert!(requests.iter().all(|request| status(request) == 200));
        assert_eq!(world.stored(), Some(format!("T{}", generation + 1)));
        assert_eq!(world.session.state(), SessionState::Active);
    }

    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
    assert_eq!(paths(&world, 9), ["/1/0", "/1/1", "/1/2"]);
    let [(first, Cause::Rejected), (second, Cause::Rejected)] = started(&world)[..] else {
        panic!("two flights, both for a rejected token")
    };
    assert!(first < second);
    let saved = world
        .store
        .log()
        .iter()
        .filter_map(|call| call.tokens.clone().filter(|_| call.op == Op::Save))
        .collect::<Vec<_>>();
    assert_eq!(saved, ["T0", "T1", "T2"]);
}

/// C9: In the cooldown of a failed flight no other starts, and the token that is still valid is used; after it exactly one
/// starts, and a success leaves nothing of the failure.
#[test]
fn after_the_cooldown_exactly_one_flight_starts() {
    let world = World::signed_in();
    let failing = world.rejected("/failing");
    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("down"));
    world.settle();
    let failed = error(&failing);

    world.pass(JUST_COOLING);
    let cooling = world.get("/cooling");
    assert_eq!(world.api_answers(401).as_deref(), Some("T0"), "by the clock it is valid");
    let cooling = error(&cooling);
    let elsewhere = world.get("/elsewhere");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&elsewhere), 200, "one endpoint that says 401 does not stop the others");
    let before = world.refresher.calls();
    world.pass(COOLED - JUST_COOLING);
    let probing: Vec<_> = (0..5).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in &probing {
        world.api_answers(401);
    }

    assert_eq!(cause_of(&cooling), cause_of(&failed), "the failed flight's error");
    assert_eq!(cooling.response().unwrap().status, 401);
    assert_eq!((before, world.refresher.calls()), (1, 2));
    world.refresh_answers(numbered(1));
    for _ in &probing {
        world.api_answers(200);
    }
    assert!(probing.iter().all(|request| status(request) == 200));
    let again = world.rejected("/again");
    world.refresh_answers(numbered(2));
    world.api_answers(200);
    assert_eq!(status(&again), 200, "no failure is latched");
    assert_eq!(world.refresher.presented(), ["R0", "R0", "R1"]);
}

/// C9: Failures in a row make the cooldown longer, to a bound; each cooldown is over at last.
#[test]
fn cooldowns_grow_while_failures_follow_each_other() {
    let world = World::signed_in();
    world.refresher.answer_with(|_| Err(RefreshError::misconfigured("down")));
    let stamp = world.runtime.block_on(world.session.lease()).unwrap().stamp();

    for (flight, seconds) in [1, 2, 4, 8, 16, 32, 60, 60, 60].into_iter().enumerate() {
        assert!(world.session.reject(stamp).is_ok(), "flight {flight} starts");
        world.settle();
        assert_eq!(world.refresher.calls(), flight + 1);
        world.pass(JUST_COOLING * seconds);
        assert_eq!(world.session.reject(stamp).unwrap_err().kind(), ErrorKind::Misconfigured);
        world.settle();
        assert_eq!(world.refresher.calls(), flight + 1);
        world.pass((COOLED - JUST_COOLING) * seconds);
    }

    assert_eq!(world.session.state(), SessionState::Active);
}

/// C9: How long a cooldown is, is a fifth of chance either way, so that clients that failed together do not come back together.
#[test]
fn cooldowns_are_spread() {
    let world = World::signed_in();
    world.refresher.answer_with(|_| Err(RefreshError::misconfigured("down")));
    let stamp = world.runtime.block_on(world.session.lease()).unwrap().stamp();
    // Until they are as long as they get.
    for _ in 0..10 {
        world.session.reject(stamp).unwrap();
        world.pass(COOLED * 60);
    }

    let mut seconds = Vec::new();
    for _ in 0..50 {
        world.session.reject(stamp).unwrap();
        world.pass(JUST_COOLING * 60);
        let over = |_: &u64| {
            world.pass(Duration::from_secs(1));
            world.session.reject(stamp).is_ok()
        };
        seconds.push((48..=72).find(over).expect("it is over at last"));
        world.pass(COOLED * 60);
    }

    assert!(seconds.iter().min() < Some(&51) && seconds.iter().max() > Some(&69), "{seconds:?}");
    let short = seconds.iter().filter(|seconds| **seconds < 60).count();
    assert!((15..35).contains(&short), "{seconds:?}");
}

/// C16: More waiters than the session allows fail at once as `QueueFull`, with nothing sent for those that are new; the
/// rest is unharmed, and who leaves makes room.
#[test]
fn a_full_queue_refuses_at_once_and_harms_nobody_in_it() {
    let world = World::with(|session| session.max_waiters(3), |client| client);
    world.sign_in(numbered(0));
    let mut requests: Vec<_> = (0..4).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in 0..4 {
        world.api_answers(401);
    }

    let refused = error(&requests.pop().unwrap());
    let new = world.get("/new");
    let new = error(&new);
    requests.remove(0).cancel();
    let last = world.get("/last");
    world.refresh_answers(numbered(1));
    for _ in 0..3 {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }

    assert_eq!(refused.kind(), ErrorKind::QueueFull);
    assert!(matches!(refused.advice(), Advice::RetryLater { .. }));
    assert_eq!(refused.response().unwrap().status, 401);
    assert_eq!(new.kind(), ErrorKind::QueueFull);
    assert!(new.response().is_none());
    assert_eq!(paths(&world, 4), ["/1", "/2", "/last"]);
    assert!(requests.iter().chain([&last]).all(|request| status(request) == 200));
    assert_eq!(world.refresher.calls(), 1);
}

/// C17: Requests that find the token expired and requests whose 401 comes meanwhile share one flight, and all are
/// released by it.
#[test]
fn proactive_and_rejected_waiters_share_one_flight() {
    let world = World::new();
    world.sign_in(lasting(&world, numbered(0), 100));
    let late = world.get("/late");
    world.pass(Duration::from_secs(100));

    let expired = world.get("/expired");
    world.api_answers(401);
    let new = world.get("/new");
    let session = world.session.clone();
    let token = world.runtime.start(async move { session.access_token(Duration::ZERO).await });
    world.settle();
    assert_eq!(paths(&world, 0), ["/late"], "none of them goes out with T0");
    world.refresh_answers(numbered(1));
    for _ in 0..3 {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }

    assert_eq!(paths(&world, 1), ["/expired", "/late", "/new"]);
    assert!([late, expired, new].iter().all(|request| status(request) == 200));
    assert_eq!(token.take().unwrap().unwrap().reveal(), "T1");
    assert_eq!(started(&world).iter().map(|(_, cause)| *cause).collect::<Vec<_>>(), [Cause::Proactive]);
    assert_eq!(world.refresher.calls(), 1);
}

/// C17: While a valid token is replaced ahead of time new requests use it; from its first 401 on they wait.
#[test]
fn from_the_first_401_on_new_requests_wait() {
    let world = World::signed_in();
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await });
    world.settle();

    let unharmed = world.get("/unharmed");
    let rejected = world.get("/rejected");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"), "nobody has seen it rejected");
    assert_eq!(status(&unharmed), 200);
    assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
    let waiting = world.get("/waiting");
    assert_eq!(world.api.calls(), 2);
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    world.api_answers(200);

    assert_eq!(paths(&world, 2), ["/rejected", "/waiting"]);
    assert_eq!(world.bearers()[2..], ["T1"; 2]);
    assert!([rejected, waiting].iter().all(|request| status(request) == 200));
    assert_eq!(forced.take().unwrap().unwrap().header().1, "Bearer T1");
    assert_eq!(started(&world).iter().map(|(_, cause)| *cause).collect::<Vec<_>>(), [Cause::Forced]);
    assert_eq!(world.refresher.calls(), 1);
}

/// C18: The first requests of a session whose store is slow make one load, and all wait for it.
#[test]
fn a_slow_store_is_read_once_for_all_first_requests() {
    let world = World::new();
    world.store.put_as_other_sign_in(numbered(0));
    world.store.hold(Op::Load);

    let requests: Vec<_> = (0..5).map(|n| world.get(&format!("/{n}"))).collect();
    world.pass(Duration::from_secs(4));
    assert_eq!(world.session.state(), SessionState::Unknown);
    assert_eq!(world.api.calls(), 0);
    assert!(requests.iter().all(|request| !request.is_finished()));
    world.store.release_holds();
    world.settle();
    for _ in &requests {
        assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    }

    assert!(requests.iter().all(|request| status(request) == 200));
    assert_eq!(world.store.ops(), [Op::Load]);
    assert_eq!((world.refresher.calls(), world.refresher.acquires()), (0, 0));
    assert!(matches!(world.events()[..], [Event::Loaded { signed_in: true }]));
}

/// C18: A sign-in while the store is being read wins: in memory at once, and in the store in the end.
#[test]
fn a_sign_in_during_the_load_wins() {
    let world = World::new();
    world.store.put_as_other_sign_in(numbered(0));
    world.store.hold(Op::Load);
    let waiting = world.get("/waiting");

    let written = world.session.sign_in(numbered(7));
    world.settle();
    assert_eq!(world.bearers(), ["T7"], "the waiter does not wait for the load any longer");
    world.store.release_holds();
    world.runtime.block_on(written).unwrap();
    world.api_answers(200);
    let later = world.get("/later");

    assert_eq!(status(&waiting), 200);
    assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
    assert_eq!(status(&later), 200);
    assert_eq!(world.stored().as_deref(), Some("T7"));
    assert!(!world.events().iter().any(|event| matches!(event, Event::Loaded { .. })));
}

/// C18: A sign-out while the store is being read wins as well.
#[test]
fn a_sign_out_during_the_load_wins() {
    let world = World::new();
    world.store.put_as_other_sign_in(numbered(0));
    world.store.hold(Op::Load);
    let waiting = world.get("/waiting");

    let written = world.session.sign_out();
    world.settle();
    assert_eq!(kind(&waiting), ErrorKind::SignedOut);
    world.store.release_holds();
    world.runtime.block_on(written).unwrap();

    assert_eq!(world.session.state(), SessionState::SignedOut);
    assert!(world.store.content().is_none());
    assert_eq!(kind(&world.get("/later")), ErrorKind::SignedOut);
    assert_eq!(world.api.calls(), 0);
}

/// C18: A load that fails is the store's error for all that waited for it, and not "signed out"; the next request loads
/// again.
#[test]
fn a_failed_load_is_an_error_and_is_tried_again() {
    let world = World::new();
    world.store.put_as_other_sign_in(numbered(0));
    world.store.fail_always(Op::Load, true);

    let failed: Vec<_> = (0..2).map(|n| world.get(&format!("/{n}"))).collect();
    let errors: Vec<_> = failed.iter().map(error).collect();
    let state = world.session.state();
    world.store.fail_always(Op::Load, false);
    let next = world.get("/next");

    for error in &errors {
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(matches!(error.advice(), Advice::RetryLater { .. }));
        assert!(error.source().unwrap().is::<StoreError>());
    }
    assert_eq!(state, SessionState::Unknown);
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&next), 200);
    assert_eq!(world.refresher.acquires(), 0, "an unreadable store is not an empty one");
    assert_eq!(world.stored().as_deref(), Some("T0"));
}

/// C18: A store that never answers is an error as well, within the time that one of its calls has.
#[test]
fn a_load_that_never_ends_is_an_error_in_time() {
    let world = World::with(|session| session.store_timeout(Duration::from_secs(2)), |client| client);
    world.store.put_as_other_sign_in(numbered(0));
    world.store.hold(Op::Load);

    let waiting = world.get("/");
    world.pass(Duration::from_millis(1_999));
    assert!(!waiting.is_finished());
    world.pass(Duration::from_millis(1));

    assert_eq!(kind(&waiting), ErrorKind::Store);
    world.store.release_holds();
    let next = world.get("/next");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&next), 200);
}

/// C18: An empty store means that somebody has to sign in, found out once.
#[test]
fn an_empty_store_is_signed_out() {
    let world = World::new();

    let first = world.get("/");
    let second = world.get("/");

    assert_eq!(kind(&first), ErrorKind::SignedOut);
    assert_eq!(kind(&second), ErrorKind::SignedOut);
    assert_eq!(world.session.state(), SessionState::SignedOut);
    assert_eq!(world.refresher.acquires(), 1);
    assert_eq!(world.api.calls(), 0);
    let ended = |event: &Event| matches!(event, Event::Ended(_));
    assert!(!world.events().iter().any(ended), "nobody's session has ended");
}
