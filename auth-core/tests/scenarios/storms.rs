//! Storms and cooldowns.

use std::error::Error as _;
use std::time::Duration;

use auth_core::{
    Advice, Error, ErrorKind, Event, RefreshError, Runtime as _, SessionState, Stamp, TokenResponse, Tokens,
};
use auth_testkit::{numbered, response, rotating};
use http::header::RETRY_AFTER;

use crate::world::{World, error, kind, status};

/// A first cooldown is over after this, whatever its jitter; and not over after four fifths of a second.
const COOLED: Duration = Duration::from_millis(1_201);

/// A world whose API rejects every token, and whose token endpoint issues one after the other.
fn rejecting(world: World) -> World {
    world.sign_in(numbered(0));
    world.api.answer_with(|_| response(401));
    world.refresher.answer_with(rotating);
    world
}

fn limited(most: Option<usize>) -> World {
    World::with(|session| session.max_rejections(most), |client| client)
}

fn stamp(world: &World) -> Stamp {
    world.runtime.block_on(world.session.lease()).unwrap().stamp()
}

fn forced(world: &World) -> Result<auth_core::Lease, Error> {
    world.runtime.block_on(world.session.refresh(None))
}

fn ended(world: &World) -> bool {
    world.events().iter().any(|event| matches!(event, Event::Ended(_) | Event::Draining))
}

/// F1: The server always answers 401: one refresh and two sends, and the second 401 is the answer.
#[test]
fn a_request_is_sent_twice_at_most() {
    let world = rejecting(World::new());

    let request = world.get("/");

    assert_eq!(status(&request), 401);
    assert_eq!(world.bearers(), ["T0", "T1"]);
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.session.state(), SessionState::Active);
    assert!(!ended(&world));
}

/// F1: Many at once: one refresh between them, and two sends each.
#[test]
fn a_crowd_is_sent_twice_at_most() {
    let world = World::signed_in();
    let requests: Vec<_> = (0..50).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in 0..50 {
        world.api_answers(401);
    }
    world.refresh_answers(numbered(1));
    for _ in 0..50 {
        assert_eq!(world.api_answers(401).as_deref(), Some("T1"));
    }

    assert!(requests.iter().all(|request| status(request) == 401));
    assert_eq!((world.api.calls(), world.refresher.calls()), (100, 1));
}

/// F2: Many requests one after another: as many refreshes as the window allows, then `ExcessiveRefresh` without a token
/// request, until the window has room again.
#[test]
fn a_server_that_rejects_every_token_is_not_asked_for_ever() {
    let world = rejecting(World::new());

    let statuses: Vec<_> = (0..5).map(|_| status(&world.get("/"))).collect();
    world.pass(Duration::from_secs(12));
    let refused: Vec<_> = (0..20).map(|_| error(&world.get("/"))).collect();

    assert_eq!(statuses, [401; 5]);
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::ExcessiveRefresh);
        assert_eq!(error.advice(), Advice::RetryLater { after: Some(Duration::from_secs(18)) });
        assert_eq!(error.response().unwrap().status, 401);
    }
    assert_eq!(world.refresher.calls(), 5);
    assert_eq!(world.api.calls(), 5 * 2 + 20, "those are sent once");
    assert!(!ended(&world));
    world.pass(Duration::from_secs(18));
    assert_eq!(status(&world.get("/")), 401);
    assert_eq!(world.refresher.calls(), 6, "the window has room again");
}

/// F2: The window slides: it has room for one as soon as its oldest is 30 seconds old.
#[test]
fn the_window_slides() {
    let world = rejecting(limited(Some(2)));

    status(&world.get("/"));
    world.pass(Duration::from_secs(20));
    status(&world.get("/"));
    assert_eq!(kind(&world.get("/")), ErrorKind::ExcessiveRefresh);
    world.pass(Duration::from_millis(9_999));
    assert_eq!(kind(&world.get("/")), ErrorKind::ExcessiveRefresh);
    world.pass(Duration::from_millis(1));
    assert_eq!(status(&world.get("/")), 401);
    assert_eq!(kind(&world.get("/")), ErrorKind::ExcessiveRefresh);

    assert_eq!(world.refresher.calls(), 3);
}

/// F2: A sign-in empties the window: it is another family of tokens.
#[test]
fn a_sign_in_empties_the_window() {
    let world = rejecting(limited(Some(1)));
    status(&world.get("/"));
    assert_eq!(kind(&world.get("/")), ErrorKind::ExcessiveRefresh);

    world.sign_in(numbered(10));

    assert_eq!(status(&world.get("/")), 401);
    assert_eq!(world.refresher.presented(), ["R0", "R10"]);
}

/// F5: A limit of 0 refuses the first rejection, and promises nothing; without a limit every one is refreshed.
#[test]
fn the_limit_can_be_nothing_or_off() {
    let none = rejecting(limited(Some(0)));
    let error = error(&none.get("/"));
    assert_eq!(error.kind(), ErrorKind::ExcessiveRefresh);
    assert_eq!(error.advice(), Advice::RetryLater { after: None }, "no time makes room in it");
    assert_eq!(error.response().unwrap().status, 401);
    assert_eq!((none.refresher.calls(), none.api.calls()), (0, 1));

    let off = rejecting(limited(None));
    assert!((0..100).all(|_| status(&off.get("/")) == 401));
    assert_eq!((off.refresher.calls(), off.api.calls()), (100, 200));
}

/// F6: Late 401s do not count: they are no news.
#[test]
fn late_401s_do_not_count() {
    let world = World::with(|session| session.max_rejections(Some(2)), |client| client);
    world.sign_in(numbered(0));
    let late: Vec<_> = (0..10).map(|n| (world.get(&format!("/late/{n}")), world.next_call())).collect();
    let first = world.rejected("/first");
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&first), 200);

    for (request, call) in late {
        call.respond(401);
        world.settle();
        world.api_answers(200);
        assert_eq!(status(&request), 200);
    }
    let second = world.rejected("/second");
    world.refresh_answers(numbered(2));
    world.api_answers(200);

    assert_eq!(status(&second), 200, "the window had room");
    let third = world.get("/third");
    world.api_answers(401);
    assert_eq!(kind(&third), ErrorKind::ExcessiveRefresh, "and now is full");
    assert_eq!(world.refresher.calls(), 2);
}

/// F6, F9: Forced refreshes do not count either, pass a full window, and leave it as full as it was.
#[test]
fn forced_refreshes_neither_count_nor_are_held_up() {
    let world = rejecting(limited(Some(1)));
    for generation in 1..=10 {
        assert_eq!(forced(&world).unwrap().stamp().generation, generation);
    }
    assert_eq!(status(&world.get("/")), 401);
    assert_eq!(world.refresher.calls(), 11, "the window had room");

    assert_eq!(kind(&world.get("/")), ErrorKind::ExcessiveRefresh);
    let lease = forced(&world).unwrap();

    assert_eq!(lease.header().1, "Bearer T12");
    assert_eq!(kind(&world.get("/")), ErrorKind::ExcessiveRefresh);
    assert_eq!(world.refresher.calls(), 12);
}

/// F6: Flights that fail do not count: the window is for tokens that were issued.
#[test]
fn failed_flights_do_not_fill_the_window() {
    let world = World::with(|session| session.max_rejections(Some(1)), |client| client);
    world.sign_in(numbered(0));
    world.api.answer_with(|_| response(401));
    world.refresher.answer_with(|_| Err(RefreshError::misconfigured("down")));

    assert_eq!(kind(&world.get("/")), ErrorKind::Misconfigured);
    world.pass(COOLED);
    assert_eq!(kind(&world.get("/")), ErrorKind::Misconfigured);
    world.pass(COOLED * 2);
    world.refresher.answer_with(rotating);

    assert_eq!(status(&world.get("/")), 401);
    assert_eq!(kind(&world.get("/")), ErrorKind::ExcessiveRefresh);
    assert_eq!(world.refresher.calls(), 3);
}

/// F7: A new token that by the clock has expired already is used all the same, by those that waited and those that come, and
/// refreshed when it is rejected: no spin.
#[test]
fn a_new_token_that_has_expired_already_is_used() {
    let world = World::signed_in();
    let past = world.runtime.now() - Duration::from_secs(3_600);
    let rejected = world.rejected("/rejected");

    world.refresh_answers(numbered(1).with_expires_at(past));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    for _ in 0..10 {
        let next = world.get("/next");
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        assert_eq!(status(&next), 200);
    }

    assert_eq!(status(&rejected), 200);
    assert_eq!(world.refresher.calls(), 1);
    let rejected = world.rejected("/rejected/again");
    world.refresh_answers(numbered(2));
    assert_eq!(world.api_answers(200).as_deref(), Some("T2"));
    assert_eq!(status(&rejected), 200);
}

/// F7: One whose whole lifetime is shorter than any margin is used until it has passed, one refresh for each.
#[test]
fn a_lifetime_shorter_than_the_margin_is_used_to_its_end() {
    let world = World::new();
    let second = |n: u64| numbered(n).with_expires_in(Duration::from_secs(1), world.runtime.now());
    world.sign_in(second(0));

    for n in 0..3 {
        for _ in 0..5 {
            let request = world.get("/");
            assert_eq!(world.api_answers(200), Some(format!("T{n}")));
            assert_eq!(status(&request), 200);
            world.pass(Duration::from_millis(170));
        }
        world.pass(Duration::from_millis(150));
        let waiting = world.get("/");
        assert_eq!(world.refresher.calls(), usize::try_from(n).unwrap() + 1);
        world.refresh_answers(second(n + 1));
        assert_eq!(world.api_answers(200), Some(format!("T{}", n + 1)));
        assert_eq!(status(&waiting), 200);
    }
}

/// F7: Those that wait for a token that has expired by the time of their turn use it, instead of waiting again.
#[test]
fn a_waiter_uses_what_it_waited_for() {
    let world = World::new();
    world.sign_in(numbered(0));
    let rejected = world.rejected("/rejected");
    let waiting = world.get("/waiting");
    world.store.hold(auth_testkit::Op::Save);
    world.refresh_answers(numbered(1).with_expires_in(Duration::from_secs(1), world.runtime.now()));

    world.pass(Duration::from_secs(3));
    world.store.release_holds();
    world.settle();

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert!([rejected, waiting].iter().all(|request| status(request) == 200));
    assert_eq!(world.refresher.calls(), 1);
}

/// F8: A flight failed: fifty calls within its cooldown make no token request and no request at all; a new sign-in clears it.
#[test]
fn calls_within_the_cooldown_ask_for_nothing() {
    let world = World::new();
    world.sign_in(numbered(0).with_expires_in(Duration::from_secs(100), world.runtime.now()));
    world.pass(Duration::from_secs(100));
    let first = world.get("/first");
    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("down"));
    world.settle();
    let failure = error(&first);

    let cooling: Vec<_> = (0..50)
        .map(|_| {
            world.pass(Duration::from_millis(15));
            error(&world.get("/"))
        })
        .collect();

    for error in cooling {
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(std::ptr::addr_eq(error.source().unwrap(), failure.source().unwrap()), "the same cause");
    }
    assert_eq!((world.refresher.calls(), world.api.calls()), (1, 0));
    world.sign_in(numbered(7));
    let request = world.rejected("/");
    assert_eq!(world.refresher.calls(), 2, "a refresh may start at once");
    world.refresh_answers(numbered(8));
    world.api_answers(200);
    assert_eq!(status(&request), 200);
}

/// F9: A forced refresh passes the cooldown, and where it succeeds ends it for all.
#[test]
fn a_forced_refresh_passes_the_cooldown() {
    let world = World::signed_in();
    let rejected = world.rejected("/");
    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("down"));
    world.settle();
    assert_eq!(kind(&rejected), ErrorKind::Misconfigured);
    let stamp = stamp(&world);
    assert!(world.session.reject(stamp).is_err(), "it cools down");

    world.refresher.answer_with(rotating);
    let lease = world.runtime.block_on(world.session.refresh(Some(stamp))).unwrap();

    assert_eq!(lease.header().1, "Bearer T1");
    world.session.reject(lease.stamp()).unwrap();
    world.settle();
    assert_eq!(world.refresher.presented(), ["R0", "R0", "R1"]);
}

/// F10: The token endpoint asks to be left alone: the cooldown is at least that long, and the caller is told.
#[test]
fn retry_after_sets_the_cooldown() {
    let world = World::signed_in();
    let mut busy = response(429);
    busy.headers_mut().insert(RETRY_AFTER, "60".parse().unwrap());
    let busy = world.runtime.block_on(TokenResponse::read(busy, world.runtime.now())).unwrap_err();
    let rejected = world.rejected("/");

    world.refresher.try_next().unwrap().fail(busy);
    world.settle();

    let error = error(&rejected);
    assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
    assert_eq!(error.advice(), Advice::RetryLater { after: Some(Duration::from_secs(60)) });
    assert_eq!(world.refresher.calls(), 1, "it does not fit the flight, so it is not tried again in it");
    let stamp = stamp(&world);
    world.pass(Duration::from_millis(59_999));
    assert_eq!(world.session.reject(stamp).unwrap_err().kind(), ErrorKind::RefreshUnavailable);
    world.pass(Duration::from_millis(1));
    world.session.reject(stamp).unwrap();
    world.settle();
    assert_eq!(world.refresher.calls(), 2);
}

/// F10: What fits into the flight is waited for within it.
#[test]
fn a_short_retry_after_is_noticed_by_nobody() {
    let world = World::signed_in();
    let rejected = world.rejected("/");
    let busy = RefreshError::unavailable("503").retry_after(Duration::from_secs(7));

    world.refresher.try_next().unwrap().fail(busy);
    world.pass(Duration::from_millis(6_999));
    assert!(world.refresher.try_next().is_none(), "not before its time");
    world.pass(Duration::from_millis(1));
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&rejected), 200);
}

/// F10: To a maximum: a server's typing error does not shut a client out for a day.
#[test]
fn retry_after_is_honoured_to_a_maximum() {
    let world = World::signed_in();
    let rejected = world.rejected("/");
    let day = RefreshError::unavailable("503").retry_after(Duration::from_secs(86_400));

    world.refresher.try_next().unwrap().fail(day);
    world.settle();

    assert_eq!(kind(&rejected), ErrorKind::RefreshUnavailable);
    let stamp = stamp(&world);
    world.pass(Duration::from_secs(299));
    assert!(world.session.reject(stamp).is_err());
    world.pass(Duration::from_secs(1));
    assert!(world.session.reject(stamp).is_ok());
}

/// F12: However often the refresh fails for a time, the session lives and its tokens stay; when it succeeds at last, all is
/// well.
#[test]
fn transient_failures_never_end_the_session() {
    let transient: [fn() -> RefreshError; 4] = [
        || RefreshError::unavailable("503"),
        || RefreshError::unavailable("reset").outcome_unknown(),
        || RefreshError::unavailable("429").retry_after(Duration::from_secs(90)),
        || RefreshError::misconfigured("invalid_client"),
    ];
    let world = World::new();
    world.sign_in(numbered(0).with_expires_in(Duration::from_secs(100), world.runtime.now()));
    world.pass(Duration::from_secs(100));

    for failure in transient.iter().cycle().take(60) {
        let failure = *failure;
        world.refresher.answer_with(move |_: &Tokens| Err(failure()));
        let request = world.get("/");
        world.pass(Duration::from_secs(31));
        let kind = kind(&request);
        assert!(matches!(kind, ErrorKind::RefreshUnavailable | ErrorKind::Misconfigured), "{kind:?}");
        assert_eq!(world.session.state(), SessionState::Active);
        world.pass(Duration::from_secs(70));
    }

    assert!(world.refresher.calls() >= 60);
    assert!(world.refresher.presented().iter().all(|token| token == "R0"));
    assert_eq!(world.stored().as_deref(), Some("T0"));
    assert!(!ended(&world));
    world.refresher.answer_with(rotating);
    world.api.answer_with(|_| response(200));
    assert_eq!(status(&world.get("/")), 200);
    assert_eq!(world.bearers(), ["T1"]);
}
