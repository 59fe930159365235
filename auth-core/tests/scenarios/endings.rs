//! Failures, and the end of a session.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{
    Advice, Body, Cause, EndReason, Error, ErrorKind, Event, RefreshError, SessionState, TokenEndpointError,
    TokenResponse, Tokens, TransportError,
};
use auth_testkit::{Op, numbered, response, same_sign_in};
use http::Response;

use crate::world::{World, error, kind, status};

/// What the hook for ended sessions was told.
type Told = Arc<Mutex<Vec<EndReason>>>;

/// A world in which somebody is signed in with these tokens, and the hook is listened to.
fn hooked(tokens: Tokens) -> (World, Told) {
    let told = Told::default();
    let hook = Arc::clone(&told);
    let world = World::with(
        |session| session.on_session_ended(move |ended| hook.lock().unwrap().push(ended.reason)),
        |client| client,
    );
    world.sign_in(tokens);
    (world, told)
}

fn reasons(world: &World, told: &Told) -> Vec<EndReason> {
    world.settle();
    told.lock().unwrap().clone()
}

/// T0 and R0, valid for an hour.
fn an_hour(world: &World) -> Tokens {
    let now = auth_core::Runtime::now(&world.runtime);
    numbered(0).with_expires_in(Duration::from_secs(3600), now)
}

fn fail_refresh(world: &World, error: RefreshError) {
    world.refresher.try_next().expect("a refresh is under way").fail(error);
    world.settle();
}

/// What a token endpoint's response means.
fn means(world: &World, response: Response<Body>) -> RefreshError {
    let now = auth_core::Runtime::now(&world.runtime);
    world.runtime.block_on(TokenResponse::read(response, now)).expect_err("a failure")
}

fn answer(status: u16, body: &'static str) -> Response<Body> {
    let mut answer = response(status);
    *answer.body_mut() = Body::from(body);
    answer
}

/// Where the cause of an error lives: the same for those who share it.
fn cause(error: &Error) -> *const () {
    std::ptr::from_ref(error.source().expect("a cause")).cast()
}

fn refresh_error(error: &Error) -> &RefreshError {
    error.source().expect("a cause").downcast_ref().expect("the refresher's own error")
}

fn failures(world: &World) -> usize {
    world.events().iter().filter(|event| matches!(event, Event::RefreshFailed { .. })).count()
}

fn endings(world: &World) -> usize {
    world.events().iter().filter(|event| matches!(event, Event::Ended(_))).count()
}

/// G1: a refresh token that the server calls dead ends the session for everybody who waits, and the store lets go of it.
#[test]
fn a_dead_refresh_token_ends_the_session_for_every_waiter() {
    let (world, told) = hooked(numbered(0));
    let waiting: Vec<_> = ["/a", "/b", "/c"].iter().map(|path| world.get(path)).collect();
    for _ in 0..3 {
        assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
    }

    let dead = means(&world, answer(400, r#"{"error":"invalid_grant"}"#));
    fail_refresh(&world, dead);

    for request in &waiting {
        let error = error(request);
        assert_eq!(error.kind(), ErrorKind::SessionEnded);
        assert_eq!(error.advice(), Advice::SignIn);
        assert_eq!(error.end_reason(), Some(EndReason::Rejected));
        assert!(refresh_error(&error).is_rejected());
        assert_eq!(error.response().expect("the 401").status, 401);
    }
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::Rejected));
    assert_eq!(reasons(&world, &told), [EndReason::Rejected]);
    assert_eq!(world.refresher.presented(), ["R0"], "it is not tried again");
    assert_eq!(world.bearers(), ["T0"; 3], "nothing is replayed");
    assert_eq!(world.stored(), None);
}

/// G6: the hook is told once for a session, however many wait in whatever way and however many come later; the next
/// session that ends is told of again.
#[test]
fn the_hook_is_told_once_for_each_session() {
    let (world, told) = hooked(numbered(0));
    let requests: Vec<_> = (0..10).map(|_| world.get("/")).collect();
    for _ in 0..10 {
        world.api_answers(401);
    }
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await });
    world.settle();

    fail_refresh(&world, RefreshError::rejected("invalid_grant"));
    let late: Vec<_> = (0..3).map(|_| world.get("/late")).collect();
    world.settle();

    assert!(requests.iter().chain(&late).all(|request| kind(request) == ErrorKind::SessionEnded));
    assert_eq!(forced.take().unwrap().unwrap_err().kind(), ErrorKind::SessionEnded);
    assert_eq!(reasons(&world, &told).len(), 1);
    assert_eq!(endings(&world), 1);

    world.sign_in(numbered(5));
    let request = world.rejected("/again");
    fail_refresh(&world, RefreshError::rejected("invalid_grant"));
    assert_eq!(kind(&request), ErrorKind::SessionEnded);
    assert_eq!(reasons(&world, &told).len(), 2);

    world.runtime.block_on(world.session.sign_out()).unwrap();
    assert_eq!(reasons(&world, &told).len(), 2, "a sign-out is not an end");
}

/// G7: once a session has ended, everything fails at once with what ended it, without the network or the store, until
/// somebody signs in.
#[test]
fn after_the_end_everything_fails_at_once_until_a_sign_in() {
    let world = World::signed_in();
    let stamp = world.runtime.block_on(world.session.lease()).unwrap().stamp();
    let ending = world.rejected("/");
    fail_refresh(&world, RefreshError::rejected("invalid_grant"));
    let ended = cause(&error(&ending));
    let (sent, refreshed, stored) = (world.api.calls(), world.refresher.calls(), world.store.begun().len());

    let request = error(&world.get("/later"));
    let session = world.session.clone();
    let others = world.runtime.start(async move {
        [
            session.lease().await.unwrap_err(),
            session.recover(stamp).await.unwrap_err(),
            session.reject(stamp).unwrap_err(),
            session.refresh(None).await.unwrap_err(),
            session.refresh(Some(stamp)).await.unwrap_err(),
            session.access_token(Duration::ZERO).await.unwrap_err(),
        ]
    });
    world.settle();

    for error in others.take().expect("nothing was waited for").iter().chain([&request]) {
        assert_eq!(error.kind(), ErrorKind::SessionEnded);
        assert_eq!(error.end_reason(), Some(EndReason::Rejected));
        assert_eq!(cause(error), ended, "they all say what ended it");
        assert!(error.response().is_none(), "the 401 was another request's");
    }
    let now = (world.api.calls(), world.refresher.calls(), world.store.begun().len());
    assert_eq!(now, (sent, refreshed, stored));

    world.sign_in(numbered(7));
    let request = world.get("/");
    assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.session.state(), SessionState::Active);
}

/// G2: a single 503 of the token endpoint is asked again after 250 ms, and nobody notices.
#[test]
fn a_single_503_is_noticed_by_nobody() {
    let world = World::signed_in();
    let request = world.rejected("/");

    let busy = means(&world, answer(503, ""));
    fail_refresh(&world, busy);
    world.pass(Duration::from_millis(249));
    assert!(world.refresher.try_next().is_none(), "the pause is not over");
    assert_eq!(world.session.state(), SessionState::Refreshing);
    world.pass(Duration::from_millis(1));
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.refresher.presented(), ["R0", "R0"]);
    assert_eq!(world.stored().as_deref(), Some("T1"));
    assert_eq!(failures(&world), 0);
    let attempts = world.events().iter().filter(|event| matches!(event, Event::AttemptFailed { .. })).count();
    assert_eq!(attempts, 1, "a listener can see it");
}

/// G2: after three failures, 250 ms and 1 s apart, the flight gives up: the tokens stay, the session lives, and the error
/// says that it may work later; it does.
#[test]
fn three_failures_in_a_row_cost_no_session() {
    let (world, told) = hooked(numbered(0));
    let request = world.rejected("/");

    fail_refresh(&world, RefreshError::unavailable("first"));
    world.pass(Duration::from_millis(250));
    fail_refresh(&world, RefreshError::unavailable("second"));
    world.pass(Duration::from_millis(999));
    assert!(world.refresher.try_next().is_none(), "the second pause is a second");
    world.pass(Duration::from_millis(1));
    assert!(!request.is_finished());
    fail_refresh(&world, RefreshError::unavailable("third"));

    let error = error(&request);
    assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
    assert!(matches!(error.advice(), Advice::RetryLater { .. }));
    assert_eq!(refresh_error(&error).source().unwrap().to_string(), "third");
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(world.stored().as_deref(), Some("T0"));
    assert_eq!(reasons(&world, &told), []);
    assert_eq!(failures(&world), 1);
    assert_eq!(world.refresher.presented(), ["R0"; 3]);

    world.pass(Duration::from_secs(2));
    let request = world.rejected("/again");
    world.refresh_answers(numbered(1));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&request), 200);
}

/// G2: a call of the token endpoint that hangs is dropped after 15 s, and made again at once: its answer may be lost, and
/// servers forgive the old refresh token for seconds only.
#[test]
fn a_hanging_call_is_dropped_and_made_again() {
    let world = World::signed_in();
    let request = world.rejected("/");
    let hanging = world.refresher.try_next().unwrap();

    world.pass(Duration::from_millis(14_999));
    assert!(!hanging.is_abandoned());
    world.pass(Duration::from_millis(1));
    assert!(hanging.is_abandoned());
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.refresher.presented(), ["R0", "R0"]);
    assert_eq!(world.refresher.most_at_once(), 1, "the two never overlap");
}

/// G2: which failures of the token endpoint pass, and how soon it is asked again: after the pause where the refresh token
/// is surely not spent, at once where the answer may be lost.
#[test]
fn passing_failures_are_tried_again() {
    let connect = || TransportError::new("refused").connect().into();
    let reset = || TransportError::new("reset").maybe_sent().into();
    let timeout = || TransportError::new("timed out").timeout().into();
    let http = |status| move |world: &World| means(world, answer(status, ""));
    type Failure = Box<dyn Fn(&World) -> RefreshError>;
    let table: [(&str, Failure, u64); 9] = [
        ("connection refused", Box::new(move |_: &World| connect()), 250),
        ("connection reset", Box::new(move |_: &World| reset()), 0),
        ("timeout", Box::new(move |_: &World| timeout()), 0),
        ("408", Box::new(http(408)), 250),
        ("429", Box::new(http(429)), 250),
        ("500", Box::new(http(500)), 250),
        ("502", Box::new(http(502)), 0),
        ("503", Box::new(http(503)), 250),
        ("504", Box::new(http(504)), 0),
    ];

    for (name, failure, pause) in table {
        let world = World::signed_in();
        let request = world.rejected("/");
        let failure = failure(&world);

        fail_refresh(&world, failure);
        if pause > 0 {
            world.pass(Duration::from_millis(pause - 1));
            assert!(world.refresher.try_next().is_none(), "{name}: too early");
            world.pass(Duration::from_millis(1));
        }
        world.refresh_answers(numbered(1));

        assert_eq!(world.api_answers(200).as_deref(), Some("T1"), "{name}");
        assert_eq!(status(&request), 200, "{name}");
        assert_eq!(world.refresher.presented(), ["R0", "R0"], "{name}");
    }
}

/// G2: a `Retry-After` that fits into the flight is waited for in place of the pause, if it is longer.
#[test]
fn retry_after_is_waited_for_inside_the_flight() {
    for (asked, waited) in [(7_000, 7_000), (100, 250)] {
        let world = World::signed_in();
        let request = world.rejected("/");

        let busy = RefreshError::unavailable("503").retry_after(Duration::from_millis(asked));
        fail_refresh(&world, busy);
        world.pass(Duration::from_millis(waited - 1));
        assert!(world.refresher.try_next().is_none());
        world.pass(Duration::from_millis(1));
        world.refresh_answers(numbered(1));

        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        assert_eq!(status(&request), 200);
    }
}

/// G2: a `Retry-After` beyond the flight's deadline ends the flight at once; the error says when to come back, and nothing is
/// asked before that.
#[test]
fn a_long_retry_after_is_passed_on() {
    let world = World::signed_in();
    let request = world.rejected("/");

    let mut busy = answer(429, "");
    busy.headers_mut().insert("retry-after", "60".parse().unwrap());
    let busy = means(&world, busy);
    fail_refresh(&world, busy);

    let first = error(&request);
    assert_eq!(first.kind(), ErrorKind::RefreshUnavailable);
    assert_eq!(first.advice(), Advice::RetryLater { after: Some(Duration::from_secs(60)) });
    assert_eq!(world.refresher.calls(), 1);

    world.pass(Duration::from_millis(59_900));
    let early = world.get("/early");
    world.api_answers(401);
    let early = error(&early);
    assert_eq!(cause(&early), cause(&first));
    assert_eq!(early.advice(), Advice::RetryLater { after: Some(Duration::from_millis(100)) });
    assert_eq!(world.refresher.calls(), 1);

    world.pass(Duration::from_millis(200));
    let _on_time = world.rejected("/on-time");
    assert_eq!(world.refresher.calls(), 2);
}

/// G3: an answer that blames the client is a misconfiguration: asked once, the tokens kept, the token that is left used.
#[test]
fn a_misconfigured_client_keeps_its_session() {
    let bodies = [
        r#"{"error":"invalid_client"}"#,
        r#"{"error":"unauthorized_client"}"#,
        r#"{"error":"unsupported_grant_type"}"#,
        r#"{"error":"invalid_scope"}"#,
    ];
    for (status_code, body) in bodies.into_iter().flat_map(|body| [(400, body), (401, body)]) {
        let (world, told) = hooked(numbered(0));
        let request = world.rejected("/");

        let refused = means(&world, answer(status_code, body));
        fail_refresh(&world, refused);

        let error = error(&request);
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{body}");
        assert_eq!(error.advice(), Advice::FixConfiguration);
        let named: &TokenEndpointError = refresh_error(&error).source().unwrap().downcast_ref().unwrap();
        assert!(body.contains(named.code().unwrap()));
        assert_eq!(named.status(), status_code);
        world.pass(Duration::from_secs(60));
        assert_eq!(world.refresher.calls(), 1, "{body}: asking again is of no use");
        assert_eq!(world.session.state(), SessionState::Active);
        assert_eq!(world.stored().as_deref(), Some("T0"));
        assert_eq!(reasons(&world, &told), []);

        let other = world.get("/other");
        assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
        assert_eq!(status(&other), 200);
    }
}

/// G4: an answer that is not OAuth, whatever its status, says nothing about the refresh token: unavailable, not the end.
#[test]
fn an_answer_that_is_not_oauth_ends_nothing() {
    let table = [
        (200, "<html>Welcome to the hotel's network</html>"),
        (200, r#"{"hello":"world"}"#),
        (302, ""),
        (400, ""),
        (400, "<html>Bad Request</html>"),
        (401, r#"{"message":"no"}"#),
        (403, "<html>blocked by the proxy</html>"),
        (404, "invalid_grant"),
    ];
    for (code, body) in table {
        let (world, told) = hooked(numbered(0));
        let request = world.rejected("/");

        for _ in 0..3 {
            let failure = means(&world, answer(code, body));
            fail_refresh(&world, failure);
            world.pass(Duration::from_secs(1));
        }

        let error = error(&request);
        assert_eq!(error.kind(), ErrorKind::RefreshUnavailable, "{code} {body}");
        assert!(matches!(error.advice(), Advice::RetryLater { .. }));
        assert_eq!(world.refresher.calls(), 3);
        assert_eq!(world.session.state(), SessionState::Active);
        assert_eq!(world.stored().as_deref(), Some("T0"));
        assert_eq!(reasons(&world, &told), []);
    }
}

/// G15: `invalid_grant` on a 5xx, 408 or 429 is somebody else's echo: the failure passes, the session lives.
#[test]
fn invalid_grant_on_a_server_error_passes() {
    for code in [500, 502, 503, 504, 408, 429] {
        let (world, told) = hooked(numbered(0));
        let request = world.rejected("/");

        let echo = means(&world, answer(code, r#"{"error":"invalid_grant"}"#));
        assert!(echo.is_unavailable());
        fail_refresh(&world, echo);
        world.pass(Duration::from_millis(250));
        world.refresh_answers(numbered(1));

        assert_eq!(world.api_answers(200).as_deref(), Some("T1"), "{code}");
        assert_eq!(status(&request), 200);
        assert_eq!(reasons(&world, &told), []);
    }
}

/// G8: a refresh that nobody needed yet is rejected: the session drains. Its token stays in use, nothing more is asked of
/// the token endpoint, and when the server rejects the token as well the session ends, once, with that 401's parts.
#[test]
fn a_draining_session_ends_with_the_first_rejection() {
    let (world, told) = hooked(numbered(0));
    world.sign_in(an_hour(&world));
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await });
    world.settle();

    fail_refresh(&world, RefreshError::rejected("invalid_grant"));

    assert_eq!(forced.take().unwrap().unwrap_err().kind(), ErrorKind::SessionEnded);
    assert_eq!(world.session.state(), SessionState::Draining);
    assert_eq!(reasons(&world, &told), []);
    assert_eq!(world.stored().as_deref(), Some("T0"));

    let (one, two) = (world.get("/one"), world.get("/two"));
    let again = world.runtime.block_on(world.session.refresh(None)).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::SessionEnded);
    assert_eq!(world.session.state(), SessionState::Draining, "asking changes nothing");
    let ok = world.get("/ok");
    let call_one = world.next_call();
    let call_two = world.next_call();
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&ok), 200);

    call_one.respond(401);
    call_two.respond(401);
    world.settle();
    for request in [&one, &two] {
        let error = error(request);
        assert_eq!(error.kind(), ErrorKind::SessionEnded);
        assert_eq!(error.end_reason(), Some(EndReason::Rejected));
        assert_eq!(error.response().expect("the 401").status, 401);
    }
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::Rejected));
    assert_eq!(reasons(&world, &told), [EndReason::Rejected]);
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.stored(), None);
    let draining = world.events().iter().filter(|event| matches!(event, Event::Draining)).count();
    assert_eq!(draining, 1);
}

/// G8: a draining session whose token is never rejected ends, once, when that expires; nothing is sent for it.
#[test]
fn a_draining_session_ends_when_its_token_expires() {
    let (world, told) = hooked(numbered(0));
    world.sign_in(an_hour(&world));
    let session = world.session.clone();
    let longer = world.runtime.start(async move { session.access_token(Duration::from_secs(7200)).await });
    world.settle();
    fail_refresh(&world, RefreshError::rejected("invalid_grant"));
    let proactive = |event: &Event| matches!(event, Event::RefreshStarted { cause: Cause::Proactive, .. });
    assert!(world.events().iter().any(proactive));
    assert_eq!(longer.take().unwrap().unwrap().reveal(), "T0", "what is valid is better than nothing");
    assert_eq!(world.session.state(), SessionState::Draining);

    world.pass(Duration::from_secs(3590));
    let last = world.get("/last");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&last), 200);
    assert_eq!(world.session.state(), SessionState::Draining);
    world.pass(Duration::from_secs(10));
    let late: Vec<_> = (0..2).map(|_| error(&world.get("/late"))).collect();

    assert!(late.iter().all(|error| error.kind() == ErrorKind::SessionEnded));
    assert!(late.iter().all(|error| error.response().is_none()));
    assert_eq!(world.bearers(), ["T0"]);
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::Rejected));
    assert_eq!(reasons(&world, &told), [EndReason::Rejected]);
    assert_eq!(world.stored(), None);
}

/// G8: a token that was rejected while the refresh ran does not drain: the session ends with the refresh.
#[test]
fn a_token_seen_rejected_does_not_drain() {
    let (world, told) = hooked(numbered(0));
    world.sign_in(an_hour(&world));
    let request = world.get("/");
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await });
    world.settle();
    world.api_answers(401);

    fail_refresh(&world, RefreshError::rejected("invalid_grant"));

    assert_eq!(kind(&request), ErrorKind::SessionEnded);
    assert_eq!(forced.take().unwrap().unwrap_err().kind(), ErrorKind::SessionEnded);
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::Rejected));
    assert_eq!(reasons(&world, &told), [EndReason::Rejected]);
}

/// G9: those who waited for a refresh that failed share its cause, and each has the head of its own 401.
#[test]
fn each_waiter_has_its_own_401_and_the_cause_is_shared() {
    let world = World::signed_in();
    let names = ["a", "b", "c"];
    let waiting: Vec<_> = names.iter().map(|name| world.get(&format!("/{name}"))).collect();
    for name in names {
        let mut rejection = response(401);
        rejection.headers_mut().insert("x-request-id", name.parse().unwrap());
        rejection.extensions_mut().insert(name);
        world.next_call().answer(rejection);
    }
    world.settle();

    for pause in [250, 1000, 0] {
        fail_refresh(&world, RefreshError::unavailable("the endpoint is down"));
        world.pass(Duration::from_millis(pause));
    }

    let errors: Vec<_> = waiting.iter().map(error).collect();
    for (error, name) in errors.iter().zip(names) {
        let parts = error.response().expect("the 401");
        assert_eq!(parts.status, 401);
        assert_eq!(parts.headers["x-request-id"], name);
        assert_eq!(parts.extensions.get::<&str>(), Some(&name));
        assert_eq!(cause(error), cause(&errors[0]));
        assert!(refresh_error(error).is_unavailable());
        assert_eq!(refresh_error(error).source().unwrap().to_string(), "the endpoint is down");
        assert!(!error.to_string().contains("down"), "each level speaks for itself");
    }
}

/// G9, C9: in the cooldown the same cause is handed out, with the late 401's own head, and without one where nothing was
/// sent.
#[test]
fn a_cooldown_hands_out_the_same_cause() {
    let world = World::new();
    world.sign_in(an_hour(&world));
    let (first, late) = (world.get("/first"), world.get("/late"));
    world.api_answers(401);
    fail_refresh(&world, RefreshError::misconfigured("no such client"));
    let first = error(&first);

    let mut rejection = response(401);
    rejection.headers_mut().insert("x-request-id", "late".parse().unwrap());
    world.next_call().answer(rejection);
    world.settle();

    let late = error(&late);
    assert_eq!(cause(&late), cause(&first));
    assert_eq!(late.response().unwrap().headers["x-request-id"], "late");
    assert!(first.response().unwrap().headers.is_empty());
    let stamp = world.runtime.block_on(world.session.lease()).unwrap().stamp();
    let unsent = world.runtime.block_on(world.session.recover(stamp)).unwrap_err();
    assert_eq!(cause(&unsent), cause(&first));
    assert!(unsent.response().is_none());
    assert_eq!(world.refresher.calls(), 1);
}

/// G10: what cannot be refreshed is not tried: the first 401 ends the session, with its own head.
#[test]
fn what_cannot_be_refreshed_ends_with_the_401() {
    let (world, told) = hooked(Tokens::new("T0").unwrap());
    let request = world.get("/");
    let mut rejection = response(401);
    rejection.headers_mut().insert("www-authenticate", "Bearer error=\"invalid_token\"".parse().unwrap());

    world.next_call().answer(rejection);
    world.settle();

    let error = error(&request);
    assert_eq!(error.kind(), ErrorKind::SessionEnded);
    assert_eq!(error.advice(), Advice::SignIn);
    assert_eq!(error.end_reason(), Some(EndReason::NotRefreshable));
    let parts = error.response().expect("the 401");
    assert_eq!(parts.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.bearers(), ["T0"]);
    assert_eq!(reasons(&world, &told), [EndReason::NotRefreshable]);
    assert_eq!(world.stored(), None);
}

/// G10: a refresher may refuse although there is a refresh token; and an expired token that cannot be refreshed is not
/// sent at all.
#[test]
fn the_refresher_decides_what_can_be_refreshed() {
    let (world, told) = hooked(numbered(9));
    world.refresher.set_refreshable(Some(false));
    world.sign_in(an_hour(&world));
    let forced = world.runtime.block_on(world.session.refresh(None)).unwrap_err();
    assert_eq!(forced.kind(), ErrorKind::SessionEnded);
    assert_eq!(world.session.state(), SessionState::Active, "the access token is good");

    world.pass(Duration::from_secs(3600));
    let request = world.get("/");

    let error = error(&request);
    assert_eq!(error.end_reason(), Some(EndReason::NotRefreshable));
    assert!(error.response().is_none());
    assert_eq!((world.api.calls(), world.refresher.calls()), (0, 0));
    assert_eq!(reasons(&world, &told), [EndReason::NotRefreshable]);
}

/// A world on client credentials: first tokens by `acquire`, and no refresh token is needed.
fn client_credentials() -> World {
    let world = World::new();
    world.refresher.script_acquire();
    world.refresher.set_refreshable(Some(true));
    world
}

/// G10b: with client credentials nobody signs in: the first requests share one `acquire`, whose tokens are saved before
/// they are used; later ones come by `refresh`, without a refresh token.
#[test]
fn client_credentials_need_no_sign_in() {
    let world = client_credentials();
    let requests = [world.get("/a"), world.get("/b")];
    assert_eq!(world.refresher.acquires(), 1);
    assert_eq!(world.api.calls(), 0);

    world.store.hold(Op::Save);
    world.refresher.try_next_acquire().unwrap().answer(Some(Tokens::new("T0").unwrap()));
    world.settle();
    assert_eq!(world.api.calls(), 0, "not before it is saved");
    let save = world.store.try_next_held().expect("it is being saved");
    assert_eq!(save.tokens().unwrap().access_token().reveal(), "T0");
    save.proceed();
    world.store.release_holds();
    world.settle();

    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
    world.refresh_answers(Tokens::new("T1").unwrap());
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert!(requests.iter().all(|request| status(request) == 200));
    assert_eq!((world.refresher.acquires(), world.refresher.calls()), (1, 1));
    assert_eq!(world.refresher.presented(), Vec::<String>::new(), "there is no refresh token");
    assert_eq!(world.stored().as_deref(), Some("T1"));
    assert!(world.store.content().unwrap().sign_in_id().is_some());
    let sign_ins = world.events().iter().filter(|event| matches!(event, Event::SignedIn { .. })).count();
    assert_eq!(sign_ins, 1);
}

/// G10b: what was acquired is found in the store by the next session, and nothing is acquired again.
#[test]
fn acquired_tokens_are_found_by_the_next_session() {
    let (store, handle) = auth_testkit::ScriptedStore::new();
    let first = World::on(store.clone(), handle.clone(), |session| session, |client| client);
    first.refresher.script_acquire();
    let request = first.get("/");
    first.refresher.try_next_acquire().unwrap().answer(Some(Tokens::new("T0").unwrap()));
    first.settle();
    first.api_answers(200);
    assert_eq!(status(&request), 200);

    let second = World::on(store, handle, |session| session, |client| client);
    second.refresher.script_acquire();
    let request = second.get("/");

    assert_eq!(second.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&request), 200);
    assert_eq!(second.refresher.acquires(), 0);
}

/// G10b: an `acquire` that fails is tried again like a refresh, then cools down: no request asks the token endpoint
/// meanwhile, and afterwards one does.
#[test]
fn a_failing_acquire_cools_down() {
    let world = client_credentials();
    let request = world.get("/");

    for pause in [250, 1000, 0] {
        let acquire = world.refresher.try_next_acquire().expect("tried again inside the load");
        acquire.fail(RefreshError::unavailable("503"));
        world.pass(Duration::from_millis(pause));
    }
    let failed = error(&request);
    let soon: Vec<_> = (0..5).map(|_| error(&world.get("/soon"))).collect();

    assert_eq!(failed.kind(), ErrorKind::RefreshUnavailable);
    assert!(matches!(failed.advice(), Advice::RetryLater { after: Some(_) }));
    assert!(soon.iter().all(|error| cause(error) == cause(&failed) && error.advice() == failed.advice()));
    assert_eq!((world.refresher.acquires(), world.api.calls()), (3, 0));
    assert_eq!(world.session.state(), SessionState::Unknown, "nobody knows of anything yet");

    world.pass(Duration::from_secs(2));
    let request = world.get("/later");
    world.refresher.try_next_acquire().unwrap().answer(Some(Tokens::new("T0").unwrap()));
    world.settle();
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.refresher.acquires(), 4);
}

/// G10b: a refused grant is a misconfiguration, not the end of a session that never was; "somebody has to sign in" is
/// signed out.
#[test]
fn an_acquire_that_is_refused_ends_nothing() {
    let refused = client_credentials();
    let request = refused.get("/");
    refused.refresher.try_next_acquire().unwrap().fail(RefreshError::rejected("invalid_grant"));
    refused.settle();
    assert_eq!(kind(&request), ErrorKind::Misconfigured);
    assert_eq!(endings(&refused), 0);
    assert_eq!(refused.refresher.acquires(), 1);

    let none = client_credentials();
    let request = none.get("/");
    none.refresher.try_next_acquire().unwrap().answer(None);
    none.settle();
    assert_eq!(kind(&request), ErrorKind::SignedOut);
    assert_eq!(none.session.state(), SessionState::SignedOut);
    assert_eq!(kind(&none.get("/")), ErrorKind::SignedOut);
    assert_eq!((none.refresher.acquires(), none.api.calls()), (1, 0));
}

/// G11: where no token can be had nothing is sent, for whatever reason: the request fails, never goes out bare.
#[test]
fn nothing_is_ever_sent_without_a_token() {
    let signed_out = World::new();
    assert_eq!(kind(&signed_out.get("/")), ErrorKind::SignedOut);

    let unreadable = World::new();
    unreadable.store.fail_always(Op::Load, true);
    assert_eq!(kind(&unreadable.get("/")), ErrorKind::Store);

    let expired = World::new();
    expired.sign_in(an_hour(&expired));
    expired.pass(Duration::from_secs(3600));
    let waiting = expired.get("/");
    for pause in [250, 1000, 0] {
        fail_refresh(&expired, RefreshError::unavailable("503"));
        expired.pass(Duration::from_millis(pause));
    }
    assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);
    assert_eq!(kind(&expired.get("/cooling")), ErrorKind::RefreshUnavailable);

    let ended = World::new();
    ended.sign_in(an_hour(&ended));
    ended.pass(Duration::from_secs(3600));
    let waiting = ended.get("/");
    fail_refresh(&ended, RefreshError::rejected("invalid_grant"));
    assert_eq!(kind(&waiting), ErrorKind::SessionEnded);

    let unusable = World::new();
    unusable.sign_in(an_hour(&unusable));
    unusable.pass(Duration::from_secs(3600));
    let waiting = unusable.get("/");
    unusable.refresh_answers(numbered(1).with_token_type("mac"));
    assert_eq!(kind(&waiting), ErrorKind::InvalidToken);

    for world in [signed_out, unreadable, expired, ended, unusable] {
        assert_eq!(world.api.calls(), 0);
    }
}

/// G16: the refresh token was rejected because a sibling had rotated it: what the sibling stored is used, and the session
/// lives.
#[test]
fn a_siblings_rotation_outlives_the_rejection() {
    let (world, told) = hooked(numbered(0));
    let request = world.rejected("/");

    world.store.put_rotated(numbered(5));
    fail_refresh(&world, RefreshError::rejected("invalid_grant"));

    assert_eq!(world.api_answers(200).as_deref(), Some("T5"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.refresher.presented(), ["R0"]);
    assert_eq!(world.stored().as_deref(), Some("T5"));
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(reasons(&world, &told), []);
}

/// G16: a sibling's refresh token beside a used up access token is tried once: a success saves the session.
#[test]
fn a_siblings_refresh_token_is_tried() {
    let world = World::signed_in();
    let request = world.rejected("/");
    let pair = Tokens::new("T0").unwrap().with_refresh_token("R5");

    world.store.put_rotated(pair);
    fail_refresh(&world, RefreshError::rejected("invalid_grant"));
    world.refresh_answers(numbered(6));

    assert_eq!(world.api_answers(200).as_deref(), Some("T6"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.refresher.presented(), ["R0", "R5"]);
    assert_eq!(world.stored().as_deref(), Some("T6"));
}

/// G16: that one is tried once: rejected as well, the session ends, and a third pair that appeared since is neither tried
/// nor cleared away.
#[test]
fn only_one_other_refresh_token_is_tried() {
    let (world, told) = hooked(numbered(0));
    let request = world.rejected("/");
    let stored = world.store.content().unwrap();
    let used_up = |name: &str| same_sign_in(&stored, Tokens::new("T0").unwrap().with_refresh_token(name));

    world.store.put(Some(used_up("R5")));
    fail_refresh(&world, RefreshError::rejected("invalid_grant"));
    world.store.put(Some(used_up("R6")));
    fail_refresh(&world, RefreshError::rejected("invalid_grant"));

    assert_eq!(kind(&request), ErrorKind::SessionEnded);
    assert_eq!(world.refresher.presented(), ["R0", "R5"]);
    assert_eq!(reasons(&world, &told), [EndReason::Rejected]);
    assert_eq!(world.store.content().unwrap().refresh_token().unwrap().reveal(), "R6");
}
