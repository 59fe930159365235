//! Challenges: which responses are about the token.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{
    Advice, Anonymous, AuthClient, Body, Challenge, ChallengePolicy, ErrorKind, FinalUri, NotReplayed,
    NotReplayedReason, Session, SessionState, StandardChallenge, TransportError, challenge_fn,
};
use auth_testkit::{Running, ScriptedRefresher, numbered, response};
use bytes::Bytes;
use futures::channel::mpsc;
use http::{Request, Response, StatusCode, Uri};

use crate::world::{Answer, World, error, status};

/// A response with these lines of `WWW-Authenticate`.
fn challenged(status: u16, lines: &[&str]) -> Response<Body> {
    let builder = Response::builder().status(status);
    let builder = lines.iter().fold(builder, |builder, line| builder.header("www-authenticate", *line));
    builder.body(Body::empty()).unwrap()
}

/// The response of a request that has ended with one.
#[track_caller]
fn answer(running: &Running<Answer>) -> Response<Body> {
    running.take().expect("the request has ended").expect("with a response")
}

/// Answers the request under way.
fn respond(world: &World, response: Response<Body>) {
    world.next_call().answer(response);
    world.settle();
}

/// What the response to a request with T0 came to be: the caller's, untouched by any refresh.
#[track_caller]
fn handed_back(world: &World, running: &Running<Answer>) -> Response<Body> {
    let answer = answer(running);
    assert_eq!((world.refresher.calls(), world.api.calls()), (0, 1), "no refresh, no second send");
    assert_eq!(world.session.state(), SessionState::Active);
    answer
}

/// That this response to T0 leads to a refresh, and to a replay with T1.
#[track_caller]
fn assert_refreshes(world: &World, rejection: Response<Body>) {
    let running = world.get("/notes");
    respond(world, rejection);
    assert_eq!(world.session.state(), SessionState::Refreshing);
    world.refresh_answers(numbered(1));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));

    let answer = answer(&running);
    assert_eq!(answer.status(), 200);
    assert!(answer.extensions().get::<Challenge>().is_none());
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.bearers(), ["T0", "T1"]);
}

fn with_policy(policy: impl ChallengePolicy) -> World {
    let world = World::with(|session| session, |client| client.challenges(policy));
    world.sign_in(numbered(0));
    world
}

/// B1: a 401 that says `invalid_token` is about the token, in whatever letters it says so.
#[test]
fn a_401_with_invalid_token_refreshes() {
    for line in [
        r#"Bearer error="invalid_token""#,
        r#"bearer realm="api", error="invalid_token", error_description="The access token expired""#,
        "BEARER ERROR=invalid_token",
    ] {
        assert_refreshes(&World::signed_in(), challenged(401, &[line]));
    }
}

/// B2: so is a 401 that says nothing, or nothing that concerns tokens.
#[test]
fn a_401_without_a_challenge_refreshes() {
    for lines in [&[][..], &[""], &["Bearer"], &[r#"Basic realm="api""#], &["Negotiate", "NTLM"]] {
        assert_refreshes(&World::signed_in(), challenged(401, lines));
    }
}

/// B3: the one challenge that matters is found among several, in one line or in several, behind commas in quotes.
#[test]
fn a_challenge_is_found_among_several() {
    let scope = Challenge::InsufficientScope { scope: Some("notes:write".to_owned()) };
    let found = r#"Bearer realm="a, b", error="insufficient_scope", scope="notes:write""#;
    for lines in [
        &[found][..],
        &[r#"Basic realm="x, y=\"z\", Bearer error=invalid_token""#, found],
        &["Negotiate YII=", "NTLM", found],
        &[
            r#"Digest qop="auth, auth-int", nonce="q", Bearer error="insufficient_scope", scope="notes:write""#,
        ],
        &[r#"Bearer error="insufficient_scope", scope="notes:write", Basic realm="after""#],
        &[r#"Negotiate YII=, Bearer scope="notes:write" , error="insufficient_scope""#],
        &[" , ,, broken=", "=", found],
    ] {
        let world = World::signed_in();

        let running = world.get("/notes");
        respond(&world, challenged(401, lines));

        let answer = handed_back(&world, &running);
        assert_eq!(answer.extensions().get(), Some(&scope), "{lines:?}");
    }
}

/// B3: what only looks like it, inside another parameter's quotes, is text.
#[test]
fn a_challenge_inside_quotes_is_text() {
    for line in [
        r#"Basic realm="Bearer error=\"insufficient_scope\"""#,
        r#"Bearer error_description="no, error=insufficient_scope, is not it", error="invalid_token""#,
        r#"Basic realm="a, Bearer error=insufficient_user_authentication, b""#,
    ] {
        assert_refreshes(&World::signed_in(), challenged(401, &[line]));
    }
}

/// B4: a missing scope is not mended by a refresh, whether a 403 says so or a 401. The response comes back with the scope
/// that is needed, where it is named.
#[test]
fn a_missing_scope_never_refreshes() {
    let named = Challenge::InsufficientScope { scope: Some("a b".to_owned()) };
    let unnamed = Challenge::InsufficientScope { scope: None };
    for status in [401, 403] {
        for (line, expected) in [
            (r#"Bearer error="insufficient_scope", scope="a b""#, &named),
            ("Bearer error=insufficient_scope", &unnamed),
        ] {
            let world = World::signed_in();

            let running = world.get("/notes");
            let mut insufficient = challenged(status, &[line]);
            *insufficient.body_mut() = Body::from("ask for more");
            respond(&world, insufficient);

            let answer = handed_back(&world, &running);
            assert_eq!(answer.status(), status);
            assert_eq!(answer.extensions().get(), Some(expected));
            assert!(answer.extensions().get::<NotReplayed>().is_none());
            assert_eq!(world.runtime.block_on(answer.into_body().text()).unwrap(), "ask for more");
        }
    }
}

/// B4: a 403 that says nothing of the scope is the caller's alone, and so are all others: of 407, too, a proxy's.
#[test]
fn other_statuses_are_the_callers() {
    let responses = [
        challenged(403, &[]),
        challenged(403, &[r#"Bearer error="invalid_token""#]),
        challenged(403, &[r#"Bearer error="insufficient_user_authentication""#]),
        challenged(407, &[r#"Bearer error="invalid_token""#]),
        challenged(407, &[r#"Bearer error="insufficient_scope""#]),
        challenged(200, &[r#"Bearer error="invalid_token""#]),
        challenged(400, &[r#"Bearer error="insufficient_scope""#]),
        challenged(419, &[]),
        challenged(500, &[r#"Bearer error="invalid_token""#]),
        challenged(302, &[]),
    ];
    for response in responses {
        let world = World::signed_in();
        let sent = response.status();

        let running = world.get("/notes");
        respond(&world, response);

        let answer = handed_back(&world, &running);
        assert_eq!(answer.status(), sent);
        assert!(answer.extensions().get::<Challenge>().is_none(), "{sent}");
    }
}

/// B5: another status that was configured works exactly like 401: the refresh, the replay, and no third send.
#[test]
fn another_status_works_like_401() {
    for status in [400, 403, 419, 440, 498] {
        let policy = || StandardChallenge::new().or_status(StatusCode::from_u16(status).unwrap());
        assert_refreshes(&with_policy(policy()), response(status));
        assert_refreshes(&with_policy(policy()), response(401));

        let world = with_policy(policy());
        let running = world.rejected("/notes");
        world.refresh_answers(numbered(1));
        assert_eq!(world.api_answers(status).as_deref(), Some("T1"));
        let rejected = answer(&running);

        assert_eq!(rejected.status(), status);
        assert_eq!(rejected.extensions().get(), Some(&Challenge::Expired));
        assert_eq!((world.refresher.calls(), world.api.calls()), (1, 2));
    }
}

/// B5: its own challenges still count, and the refresh that fails keeps its head.
#[test]
fn another_status_is_read_like_401() {
    let policy =
        || StandardChallenge::new().or_status(StatusCode::FORBIDDEN).or_status(StatusCode::BAD_REQUEST);
    let world = with_policy(policy());
    let running = world.get("/scope");
    respond(&world, challenged(403, &[r#"Bearer error="insufficient_scope""#]));
    handed_back(&world, &running);

    let world = with_policy(policy());
    let running = world.get("/step-up");
    respond(&world, challenged(400, &[r#"Bearer error="insufficient_user_authentication""#]));
    handed_back(&world, &running);

    let world = with_policy(policy());
    let running = world.get("/notes");
    world.next_call().respond(400);
    world.settle();
    world.refresher.try_next().unwrap().fail(auth_core::RefreshError::rejected("invalid_grant"));
    world.settle();
    let ended = error(&running);
    assert_eq!(ended.kind(), ErrorKind::SessionEnded);
    assert_eq!(ended.response().map(|head| head.status), Some(StatusCode::BAD_REQUEST));
}

/// Says `Expired` where the body begins with "token expired"; remembers what it was shown.
#[derive(Clone)]
struct ReadsBody {
    wants: usize,
    shown: Arc<Mutex<Vec<Bytes>>>,
}

impl ReadsBody {
    fn of(wants: usize) -> Self {
        Self { wants, shown: Arc::default() }
    }

    fn shown(&self) -> Vec<Bytes> {
        self.shown.lock().unwrap().clone()
    }
}

impl ChallengePolicy for ReadsBody {
    fn peek(&self, _: &http::response::Parts) -> usize {
        self.wants
    }

    fn challenge(&self, _: &http::response::Parts, peeked: &[u8]) -> Challenge {
        self.shown.lock().unwrap().push(Bytes::copy_from_slice(peeked));
        if peeked.starts_with(b"token expired") { Challenge::Expired } else { Challenge::Unrelated }
    }
}

/// A body of these pieces, each a chunk of its own.
fn pieces(texts: &'static [&'static str]) -> Body {
    Body::stream(futures::stream::iter(texts.iter().map(|text| Ok::<_, std::io::Error>(*text))))
}

fn with_body(status: u16, body: Body) -> Response<Body> {
    Response::builder().status(status).body(body).unwrap()
}

/// B6: a policy that looks at the body finds "token expired" in a 200 or a 400, also where it comes in pieces.
#[test]
fn a_body_that_says_expired_refreshes() {
    for status in [200, 400] {
        for body in [Body::from("token expired, sorry"), pieces(&["tok", "", "en exp", "ired, sorry"])] {
            let policy = ReadsBody::of(16);
            let world = with_policy(policy.clone());

            assert_refreshes(&world, with_body(status, body));

            assert_eq!(policy.shown(), [&b"token expired, s"[..], b""], "so many bytes, and no more");
        }
    }
}

/// B6: where the body says nothing of the token the caller reads all of it, the start that was looked at included.
#[test]
fn the_caller_misses_nothing_of_a_body_that_was_looked_at() {
    let bodies = [
        Body::from("all is well"),
        pieces(&["all ", "is", " well"]),
        pieces(&["all is well"]),
        pieces(&["a", "ll is well"]),
    ];
    for (body, wants) in bodies.into_iter().zip([3, 5, 1000, 1]) {
        let policy = ReadsBody::of(wants);
        let world = with_policy(policy.clone());

        let running = world.get("/notes");
        respond(&world, with_body(200, body));
        let answer = handed_back(&world, &running);

        assert_eq!(world.runtime.block_on(answer.into_body().text()).unwrap(), "all is well");
        assert_eq!(policy.shown(), [&b"all is well"[..wants.min(11)]]);
    }
}

/// B6: so does the caller of a request that cannot be sent again, and of a replay that was rejected too.
#[test]
fn a_rejection_that_is_handed_back_is_whole() {
    let world = with_policy(ReadsBody::of(13));
    let one_shot = Body::stream(futures::stream::iter([Ok::<_, std::io::Error>("once")]));
    let running = world.send(Request::post("/notes").body(one_shot).unwrap());
    respond(&world, with_body(400, pieces(&["token ", "expired: ", "T0"])));
    let rejected = answer(&running);

    assert_eq!(rejected.extensions().get(), Some(&NotReplayed(NotReplayedReason::Body)));
    assert_eq!(world.runtime.block_on(rejected.into_body().text()).unwrap(), "token expired: T0");
    world.refresh_answers(numbered(1));

    let running = world.get("/notes");
    respond(&world, with_body(400, Body::from("token expired: T1")));
    world.refresh_answers(numbered(2));
    respond(&world, with_body(400, pieces(&["token expired", ": T2"])));
    let rejected = answer(&running);

    assert_eq!(world.runtime.block_on(rejected.into_body().text()).unwrap(), "token expired: T2");
    assert_eq!(world.refresher.calls(), 2);
}

/// B6: passed on as a request's body it goes out whole, once: what was looked at is not lost on a replay.
#[test]
fn a_body_that_was_looked_at_can_be_passed_on_once() {
    let world = with_policy(ReadsBody::of(16));
    let running = world.get("/from");
    respond(&world, with_body(200, Body::from("all is well")));
    let body = handed_back(&world, &running).into_body();

    let running = world.send(Request::post("/to").body(body).unwrap());
    let (request, reply) = world.next_call().into_parts();
    let sent = world.runtime.block_on(request.into_body().text()).unwrap();
    reply.answer(with_body(400, Body::from("token expired")));
    world.settle();

    assert_eq!(sent, "all is well");
    assert_eq!(answer(&running).extensions().get(), Some(&NotReplayed(NotReplayedReason::Body)));
    assert_eq!(world.api.calls(), 2);
}

/// B6: however much a policy asks for, 64 KiB are looked at; the rest stays where it is, unread.
#[test]
fn no_more_than_a_bounded_start_is_looked_at() {
    let policy = ReadsBody::of(usize::MAX);
    let world = with_policy(policy.clone());
    let read = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&read);
    let chunks = (0..200).map(move |_| {
        *counter.lock().unwrap() += 1;
        Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1024]))
    });

    let running = world.get("/notes");
    respond(&world, with_body(200, Body::stream(futures::stream::iter(chunks))));
    let answer = handed_back(&world, &running);

    assert_eq!(policy.shown()[0].len(), 64 * 1024);
    assert_eq!(*read.lock().unwrap(), 64);
    assert_eq!(world.runtime.block_on(answer.into_body().bytes()).unwrap().len(), 200 * 1024);
}

/// B6: a body that is slow is waited for one second, then judged by what has come; the caller gets the rest when it does.
#[test]
fn a_slow_body_is_looked_at_for_a_second() {
    let policy = ReadsBody::of(64);
    let world = with_policy(policy.clone());
    let (slow, chunks) = mpsc::unbounded::<Result<&str, std::io::Error>>();
    slow.unbounded_send(Ok("all ")).unwrap();

    let running = world.get("/notes");
    respond(&world, with_body(200, Body::stream(chunks)));
    world.pass(Duration::from_millis(999));
    assert!(!running.is_finished(), "the second is not over");
    world.pass(Duration::from_millis(1));
    let answer = handed_back(&world, &running);

    assert_eq!(policy.shown(), [&b"all "[..]]);
    assert_eq!(world.runtime.timers(), 0);
    slow.unbounded_send(Ok("is well")).unwrap();
    drop(slow);
    assert_eq!(world.runtime.block_on(answer.into_body().text()).unwrap(), "all is well");
}

/// B6: a body that fails while it is looked at is judged by what has come; its error is for whoever reads it.
#[test]
fn a_body_that_fails_while_it_is_looked_at_fails_for_its_reader() {
    let policy = ReadsBody::of(64);
    let world = with_policy(policy.clone());
    let broken = [Ok("all "), Err(std::io::Error::other("reset"))];

    let running = world.get("/notes");
    respond(&world, with_body(200, Body::stream(futures::stream::iter(broken))));
    let mut body = handed_back(&world, &running).into_body();

    assert_eq!(policy.shown(), [&b"all "[..]]);
    let first = world.runtime.block_on(body.frame()).unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "all ");
    let failed = world.runtime.block_on(body.frame()).unwrap().unwrap_err();
    assert_eq!(failed.source().unwrap().to_string(), "reset");
}

/// B7: "authenticate more strongly" (RFC 9470) is no matter of tokens: no refresh, and what is asked for comes back.
#[test]
fn a_step_up_never_refreshes() {
    for (line, acr_values, max_age) in [
        (
            r#"Bearer error="insufficient_user_authentication", acr_values="urn:a urn:b", max_age="5""#,
            Some("urn:a urn:b".to_owned()),
            Some(Duration::from_secs(5)),
        ),
        ("Bearer error=insufficient_user_authentication, max_age=0", None, Some(Duration::ZERO)),
        (
            r#"Bearer error="insufficient_user_authentication", acr_values="x", max_age="soon""#,
            Some("x".to_owned()),
            None,
        ),
        (r#"DPoP error="insufficient_user_authentication""#, None, None),
    ] {
        let world = World::signed_in();

        let running = world.get("/transfer");
        respond(&world, challenged(401, &[line]));
        let answer = handed_back(&world, &running);

        assert_eq!(answer.status(), 401);
        assert_eq!(answer.extensions().get(), Some(&Challenge::StepUp { acr_values, max_age }), "{line}");
        assert!(answer.headers().contains_key("www-authenticate"));
    }
}

/// B7: nor is a proof that the server does not take (RFC 9449 §7.1): the token may be good, and a new one fares no better.
#[test]
fn a_proof_that_is_not_taken_never_refreshes() {
    let world = World::signed_in();

    let running = world.get("/notes");
    respond(&world, challenged(401, &[r#"DPoP error="invalid_dpop_proof", algs="ES256""#]));
    let answer = handed_back(&world, &running);

    assert_eq!(answer.status(), 401);
    assert!(answer.extensions().get::<Challenge>().is_none());
}

/// B10: no response at all says nothing of the token: the transport's own error, no refresh, no second send.
#[test]
fn no_response_never_refreshes() {
    let failures = [
        TransportError::new("connection refused").connect(),
        TransportError::new("connection reset").maybe_sent(),
        TransportError::new("too slow").timeout().maybe_sent(),
        TransportError::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)),
    ];
    for failure in failures {
        let marks = (failure.is_connect(), failure.is_timeout(), failure.is_maybe_sent());
        let world = World::signed_in();

        let running = world.get("/notes");
        world.next_call().fail(failure);
        world.settle();

        let failed = error(&running);
        assert_eq!(
            (failed.kind(), failed.advice()),
            (ErrorKind::Transport, Advice::RetryLater { after: None })
        );
        assert!(failed.response().is_none());
        let cause = failed.source().unwrap().downcast_ref::<TransportError>().unwrap();
        assert_eq!((cause.is_connect(), cause.is_timeout(), cause.is_maybe_sent()), marks);
        assert_eq!((world.refresher.calls(), world.api.calls()), (0, 1));
        assert_eq!(world.session.state(), SessionState::Active);
    }
}

/// B10: a replay without a response is not made once more either.
#[test]
fn a_replay_without_a_response_fails() {
    let world = World::signed_in();
    let running = world.rejected("/notes");
    world.refresh_answers(numbered(1));

    world.next_call().fail(TransportError::new("connection reset").maybe_sent());
    world.settle();

    assert_eq!(error(&running).kind(), ErrorKind::Transport);
    assert_eq!((world.refresher.calls(), world.api.calls()), (1, 2));
}

/// B12: a 401 to a request that carried no token of this session is not about its token, whoever else's it carried.
#[test]
fn a_401_without_this_sessions_token_refreshes_nothing() {
    let requests = || {
        [
            Request::get("/notes").extension(Anonymous),
            Request::get("/notes").header("authorization", "Bearer T0"),
            Request::get("https://elsewhere.example/notes"),
        ]
    };
    for request in requests() {
        let world = World::signed_in();

        let running = world.send(request.body(Body::empty()).unwrap());
        respond(&world, challenged(401, &[r#"Bearer error="invalid_token""#]));
        let answer = handed_back(&world, &running);

        assert_eq!(answer.status(), 401);
        assert!(answer.extensions().get::<Challenge>().is_none());
    }
}

/// B12: of two sessions one inside the other, the one whose token went out is the one that refreshes.
#[test]
fn a_401_concerns_the_session_whose_token_went_out() {
    let world = World::signed_in();
    let (refresher, outer_refresher) = ScriptedRefresher::new();
    let outer = Session::builder(refresher).runtime(world.runtime.clone()).build();
    world.runtime.block_on(outer.sign_in(numbered(10))).unwrap();
    let client =
        AuthClient::builder(world.client.clone(), outer).origin(crate::world::ORIGIN).build().unwrap();

    let request = Request::get("/notes").body(Body::empty()).unwrap();
    let running = world.runtime.start(async move { client.send(request).await });
    world.settle();
    assert_eq!(world.api_answers(401).as_deref(), Some("T10"));
    outer_refresher.try_next().unwrap().answer(numbered(11));
    world.settle();
    assert_eq!(world.api_answers(200).as_deref(), Some("T11"));

    assert_eq!(status(&running), 200);
    assert_eq!((outer_refresher.calls(), world.refresher.calls()), (1, 0));
    assert_eq!(world.session.state(), SessionState::Active);
}

/// B13: where the fresh token is rejected as well, one replay was made, its 401 goes to the caller, and the session lives.
#[test]
fn a_fresh_token_that_is_rejected_too_is_the_callers_401() {
    let world = World::signed_in();
    let running = world.rejected("/notes");

    world.refresh_answers(numbered(1));
    assert_eq!(world.api_answers(401).as_deref(), Some("T1"));
    let rejected = answer(&running);

    assert_eq!(rejected.status(), 401);
    assert_eq!(rejected.extensions().get(), Some(&Challenge::Expired));
    assert!(rejected.extensions().get::<NotReplayed>().is_none(), "it was replayed");
    assert_eq!(world.bearers(), ["T0", "T1"]);
    assert_eq!(world.refresher.presented(), ["R0"]);
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(world.stored().as_deref(), Some("T1"));
    let next = world.get("/next");
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&next), 200);
}

fn from(uri: &str, status: u16) -> Response<Body> {
    let mut response = response(status);
    response.extensions_mut().insert(FinalUri(uri.parse::<Uri>().unwrap()));
    response
}

/// B14: a 401 that a redirect's target on another origin gave is not about the token, which was stripped on the way.
#[test]
fn a_401_of_another_origin_refreshes_nothing() {
    for last in [
        "https://elsewhere.example/login",
        "http://api.example.com/notes",
        "https://api.example.com:8443/notes",
        "https://api.example.com.evil.example/notes",
        "/notes",
    ] {
        let world = World::signed_in();

        let running = world.get("/notes");
        respond(&world, from(last, 401));
        let answer = handed_back(&world, &running);

        assert_eq!(answer.status(), 401, "{last}");
        assert!(answer.extensions().get::<Challenge>().is_none());
        assert_eq!(world.bearers(), ["T0"], "no token went there");
    }
}

/// B14: not even where that origin is one of those that the token may go to; nor is it asked what its body says.
#[test]
fn a_redirect_to_another_named_origin_counts_as_another() {
    let policy = ReadsBody::of(16);
    let seen = policy.clone();
    let world = World::with(
        |session| session,
        |client| client.origin("https://files.example.com").challenges(policy),
    );
    world.sign_in(numbered(0));

    let running = world.get("https://api.example.com/notes");
    let mut redirected = from("https://files.example.com/notes", 401);
    *redirected.body_mut() = Body::from("token expired");
    respond(&world, redirected);
    let answer = handed_back(&world, &running);

    assert_eq!(world.runtime.block_on(answer.into_body().text()).unwrap(), "token expired");
    assert!(seen.shown().is_empty());
}

/// B14: a redirect within the origin changes nothing.
#[test]
fn a_401_after_a_redirect_within_the_origin_refreshes() {
    for last in ["https://api.example.com/elsewhere?x", "https://API.example.com:443/"] {
        assert_refreshes(&World::signed_in(), from(last, 401));
    }
}

/// B14: the replay's response is judged the same way.
#[test]
fn a_replay_that_is_redirected_elsewhere_is_the_callers() {
    let world = World::signed_in();
    let running = world.rejected("/notes");
    world.refresh_answers(numbered(1));

    respond(&world, from("https://elsewhere.example/", 401));
    let answer = answer(&running);

    assert_eq!(answer.status(), 401);
    assert!(answer.extensions().get::<Challenge>().is_none());
    assert_eq!((world.refresher.calls(), world.api.calls()), (1, 2));
}

/// B5: a policy from a closure decides alone: what it calls expired is, and a 401 that it does not is the caller's.
#[test]
fn a_policy_of_ones_own_decides_alone() {
    let policy = || {
        challenge_fn(|head, _| match head.status.as_u16() {
            419 => Challenge::Expired,
            _ => Challenge::Unrelated,
        })
    };
    assert_refreshes(&with_policy(policy()), response(419));

    let world = with_policy(policy());
    let running = world.get("/notes");
    respond(&world, response(401));
    assert_eq!(handed_back(&world, &running).status(), 401);
}

/// B6: a policy from a closure is shown as many bytes as it has asked for, and none unasked.
#[test]
fn a_policy_of_ones_own_sees_what_it_asks_for() {
    let policy = || {
        challenge_fn(|_, peeked| match peeked {
            b"token e" => Challenge::Expired,
            _ => Challenge::Unrelated,
        })
    };
    assert_refreshes(&with_policy(policy().peek(7)), with_body(200, "token expired".into()));

    for policy in [policy(), policy().peek(8)] {
        let world = with_policy(policy);
        let running = world.get("/notes");
        respond(&world, with_body(200, "token expired".into()));
        assert_eq!(handed_back(&world, &running).status(), 200);
    }
}
