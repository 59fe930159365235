//! Secrets: in which texts a token never is. Where a token may go is told with challenges and attaching.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auth_core::{
    AuthChallenge, AuthClient, Bearer, Body, BodyError, BoxError, Challenge, Error, ErrorKind, Event,
    InvalidToken, Lease, MemoryStore, RefreshError, Refresher as _, Runtime as _, Scheme, SchemeError,
    Session, StoreError, StoredTokens, TokenHeader, TokenResponse, TokenStore as _, Tokens, Transport as _,
    TransportError, auth_challenges, challenge_fn, refresher_fn,
};
use auth_testkit::{ManualRuntime, Op, ScriptedRefresher, ScriptedStore, ScriptedTransport, response};
use futures::FutureExt as _;
use http::{HeaderName, Request, Response, header::AUTHORIZATION};

use crate::world::{ORIGIN, World, error, status};

/// Long, and random to the eye: no message has four of their characters in a row by chance.
const ACCESS: [&str; 3] = [
    "Zq7xVw2Jk9Pf4Lm8Rt3Hd6Gb5Nc1YsXo0Ue",
    "Wj4mQx8Tz1Kv6Bp3Fs9Dl7Hn2Gr5CyXuJq0",
    "Mf6Vz3Kq9Xw1Jt7Pb4Hc8Rd2Lg5NsYk0QoZv",
];
const REFRESH: [&str; 3] = [
    "pX3vJ7qK1zW9mF5tB8hD2rG6nL4cYsQ0xEu",
    "kQ8wZ2xV6jM4pT9fH1bR7dN3gL5sCyU0vXo",
    "tV5zQ9jX2wK7mP4fB1hG8dR6nL3cSyJ0qUe",
];

fn pair(n: usize) -> Tokens {
    Tokens::new(ACCESS[n]).unwrap().with_refresh_token(REFRESH[n])
}

/// Texts that were shown, each with what showed it.
#[derive(Default)]
struct Shown(Vec<(String, String)>);

impl Shown {
    fn text(&mut self, what: &str, text: impl Into<String>) {
        self.0.push((what.to_owned(), text.into()));
    }

    /// Every format for programmers, none of which hides the thing itself.
    #[track_caller]
    fn debug(&mut self, what: &str, value: &(impl Debug + ?Sized)) {
        assert!(!format!("{value:?}").is_empty(), "{what} shows nothing at all");
        self.text(what, format!("{value:?}\n{value:#?}\n{value:x?}"));
    }

    /// An error in every format, and all of its causes.
    fn error(&mut self, error: &(dyn std::error::Error + 'static)) {
        let mut text = String::new();
        let mut next = Some(error);
        while let Some(error) = next {
            assert!(!format!("{error}").is_empty() && !format!("{error:?}").is_empty(), "{text}");
            writeln!(text, "{error}\n{error:#}\n{error:?}\n{error:#?}").unwrap();
            next = error.source();
        }
        self.text("an error", text);
    }

    /// No secret is in any of them, nor any four characters of one in a row, nor those as a list of bytes.
    #[track_caller]
    fn assert_clean_of(&self, secrets: &[&str]) {
        for secret in secrets {
            assert!(secret.is_ascii());
            for part in secret.as_bytes().windows(4) {
                let bytes = format!("{}, {}, {}, {}", part[0], part[1], part[2], part[3]);
                let part = std::str::from_utf8(part).unwrap();
                for (what, text) in &self.0 {
                    assert!(!text.contains(part), "{what} shows {part} of a secret: {text}");
                    assert!(!text.contains(&bytes), "{what} shows {part} of a secret, in bytes: {text}");
                }
            }
        }
    }

    #[track_caller]
    fn assert_clean(&self) {
        self.assert_clean_of(&ACCESS);
        self.assert_clean_of(&REFRESH);
    }
}

/// L6: the search itself finds what it has to find: a whole token, four characters of it, its bytes.
#[test]
fn the_search_for_secrets_finds_them() {
    for text in [ACCESS[0], &REFRESH[2][20..24], &format!("{:?}", &ACCESS[1].as_bytes()[5..9])] {
        let mut shown = Shown::default();
        shown.text("a leak", text);

        assert!(std::panic::catch_unwind(|| shown.assert_clean()).is_err(), "{text}");
    }
}

/// L6: no type that holds a token shows anything of it, in any format.
#[test]
fn no_type_shows_a_token() {
    let mut shown = Shown::default();
    let runtime = ManualRuntime::new();
    let tokens = pair(0)
        .with_token_type("bearer")
        .with_scope("read")
        .with_expires_in(Duration::from_secs(60), runtime.now())
        .with_refresh_expires_in(Duration::from_secs(600), runtime.now());
    shown.debug("Tokens", &tokens);
    shown.debug("StoredTokens", &tokens.to_stored());
    shown.debug("AccessToken", tokens.access_token());
    shown.debug("RefreshToken", &tokens.refresh_token());
    shown.debug("Option<Tokens>", &Some(tokens.clone()));

    let memory = MemoryStore::with(tokens.clone());
    shown.debug("MemoryStore", &memory);
    let guard = memory.lock().now_or_never().unwrap().unwrap();
    shown.debug("MemoryStore while it is locked", &memory);
    drop(guard);

    let (header, value) = Bearer.prepare(&tokens).unwrap();
    assert!(value.to_str().unwrap().contains(ACCESS[0]) && header == AUTHORIZATION);
    shown.debug("Bearer", &Bearer);
    shown.debug("TokenHeader", &TokenHeader::new(HeaderName::from_static("x-token")).with_prefix("Token "));

    let held = tokens.clone();
    let refresher = refresher_fn(move |_| {
        let answer = held.clone();
        async move { Ok(answer) }
    });
    shown.debug("RefresherFn", &refresher);
    let builder = Session::builder(refresher).store(memory).runtime(runtime.clone());
    shown.debug("SessionBuilder", &builder);
    let session = builder.build();
    let written = session.sign_in(tokens);
    shown.debug("Written", &written);
    runtime.block_on(written).unwrap();
    shown.debug("Session", &session);
    shown.debug("Watch", &session.watch());

    let turn = runtime.block_on(session.lease()).unwrap();
    shown.debug("Turn", &turn);
    shown.debug("Lease", &*turn);
    assert!(turn.header().1.is_sensitive());
    shown.debug("Lease::header", &turn.header());
    let start = turn.start(async {});
    shown.debug("Start", &start);
    runtime.block_on(start);
    let access = runtime.block_on(session.access_token(Duration::ZERO)).unwrap();
    assert_eq!(access.reveal(), ACCESS[0]);
    shown.debug("Session::access_token", &access);

    let (transport, _api) = ScriptedTransport::new();
    let builder = AuthClient::builder(transport, session).origin(ORIGIN);
    shown.debug("ClientBuilder", &builder);
    shown.debug("AuthClient", &builder.build().unwrap());

    let held = ACCESS[0].to_owned();
    let policy =
        challenge_fn(
            move |_, peeked| {
                if peeked == held.as_bytes() { Challenge::Expired } else { Challenge::Unrelated }
            },
        );
    shown.debug("ChallengeFn", &policy);

    for body in [Body::from(ACCESS[0]), Body::from(REFRESH[0].as_bytes().to_vec()), one_shot(ACCESS[0])] {
        shown.debug("Body", &body);
    }
    shown.debug("Body", &Body::replayable(|| futures::stream::iter([Ok::<_, BodyError>(ACCESS[0])])));

    shown.assert_clean();
}

fn one_shot(text: &'static str) -> Body {
    Body::stream(futures::stream::iter([Ok::<_, BodyError>(text)]))
}

/// L6: the scripted parts show nothing either: their `Debug` ends up in the output of other people's tests.
#[test]
fn no_scripted_part_shows_a_token() {
    let mut shown = Shown::default();
    let runtime = ManualRuntime::new();

    let (refresher, calls) = ScriptedRefresher::new();
    let tokens = pair(0);
    let clone = refresher.clone();
    let refreshing = runtime.start(async move { clone.refresh(&tokens).await });
    runtime.run_until_stalled();
    let call = calls.try_next().unwrap();
    shown.debug("RefreshCall", &call);
    shown.debug("RefresherHandle", &calls);
    shown.debug("ScriptedRefresher", &refresher);
    call.answer(pair(1));
    shown.debug("Running", &refreshing);

    let (store, handle) = ScriptedStore::new();
    handle.hold(Op::Save);
    let (clone, tokens) = (store.clone(), pair(0));
    let saving = runtime.start(async move { clone.save(&tokens).await });
    runtime.run_until_stalled();
    let held = handle.try_next_held().unwrap();
    shown.debug("HeldCall", &held);
    held.proceed();
    runtime.block_on(saving).unwrap();
    shown.debug("Logged", &handle.log());
    shown.debug("StoreHandle", &handle);
    shown.debug("ScriptedStore", &store);

    let (transport, api) = ScriptedTransport::new();
    let request = Request::get(format!("/?token={}", ACCESS[0]))
        .header(AUTHORIZATION, format!("Bearer {}", ACCESS[0]))
        .body(Body::from(REFRESH[0]))
        .unwrap();
    let _sending = runtime.start(async move { transport.send(request).await });
    runtime.run_until_stalled();
    let call = api.try_next().unwrap();
    shown.debug("SendCall", &call);
    shown.debug("Sent", &api.log());
    shown.debug("TransportHandle", &api);

    shown.assert_clean();
}

/// L6: on a request the header is marked sensitive, on the first attempt and on the replay, so that no HTTP library shows
/// it; and the whole request in `Debug` shows nothing.
#[test]
fn the_header_on_a_request_is_marked_sensitive() {
    let mut shown = Shown::default();
    let world = World::new();
    world.sign_in(pair(0));
    let waiting = world.get("/notes");

    let first = world.next_call();
    assert_eq!(first.bearer(), Some(ACCESS[0]));
    assert!(first.request().headers()[AUTHORIZATION].is_sensitive());
    shown.debug("Request", first.request());
    shown.debug("Parts", &Request::new(()).into_parts().0);
    first.respond(401);
    world.settle();
    world.refresh_answers(pair(1));
    let replay = world.next_call();
    assert_eq!(replay.bearer(), Some(ACCESS[1]));
    assert!(replay.request().headers()[AUTHORIZATION].is_sensitive());
    shown.debug("Request", replay.request());
    replay.respond(200);
    world.settle();
    let response = waiting.take().unwrap().unwrap();
    shown.debug("Response", &response);

    shown.assert_clean();
}

/// L6: the header that a scheme of its own has made is marked, too.
#[test]
fn the_header_of_another_scheme_is_marked_sensitive() {
    let scheme = TokenHeader::new(HeaderName::from_static("x-api-token"));
    let world = World::with(|session| session.scheme(scheme), |client| client);
    world.sign_in(pair(0));

    let _waiting = world.get("/notes");

    let call = world.next_call();
    let value = &call.request().headers()["x-api-token"];
    assert_eq!(value, ACCESS[0]);
    assert!(value.is_sensitive());
}

/// Everything that a world has shown: events, and the state of its session.
fn look_at(shown: &mut Shown, world: &World) {
    let events = world.events();
    for event in &events {
        shown.debug("Event", event);
        match event {
            Event::AttemptFailed { error, .. }
            | Event::SaveFailed { error }
            | Event::RefreshFailed { error, .. } => shown.error(error),
            Event::Ended(ended) => {
                shown.debug("SessionEnded", ended);
                shown.error(&ended.error);
            }
            _ => {}
        }
    }
    shown.debug("SessionState", &world.session.state());
    shown.debug("Session", &world.session);
    shown.debug("AuthClient", &world.client);
    shown.debug("Attempt", &world.api.log().iter().map(|sent| sent.extensions.clone()).collect::<Vec<_>>());
}

/// An answer of a token endpoint as a refresher would read it.
fn answer(status: u16, body: impl Into<Body>) -> Result<Tokens, RefreshError> {
    let response = Response::builder().status(status).body(body.into()).unwrap();
    TokenResponse::read(response, SystemTime::UNIX_EPOCH).now_or_never().unwrap()
}

fn failure(status: u16, body: impl Into<Body>) -> RefreshError {
    answer(status, body).unwrap_err()
}

/// What a server that echoes everything answers.
fn echoes() -> Vec<(u16, String)> {
    let (access, refresh) = (ACCESS[1], REFRESH[0]);
    vec![
        (400, format!(r#"{{"error": "invalid_grant", "error_description": "{refresh} is revoked"}}"#)),
        (401, format!(r#"{{"error": "invalid_client", "error_uri": "https://e.example.com/?t={refresh}"}}"#)),
        (400, format!(r#"{{"error": "{refresh}"}}"#)),
        (400, format!(r#"{{"error": {{"{refresh}": "{access}"}}}}"#)),
        (200, format!(r#"{{"error": "{refresh}", "token": "{access}"}}"#)),
        (503, format!("<html>{refresh}</html>")),
        (200, format!("<html>{refresh}</html>")),
        (200, format!(r#""{refresh}""#)),
        (200, format!(r#"["{access}", "{refresh}"]"#)),
        (200, format!(r#"{{"access_token": "{access}", "refresh_token": "{refresh}"#)),
        (200, format!(r#"{{"access_token": ["{access}"]}}"#)),
        (200, format!(r#"{{"access_token": "{access}\r\nX: y"}}"#)),
        (200, format!(r#"{{"access_token": " {access}"}}"#)),
        (200, format!(r#"{{"access_token": "{access}", "expires_in": "{refresh}"}}"#)),
        (200, format!(r#"{{"access_token": "{access}", "expires_in": {{"{refresh}": 1}}}}"#)),
        (200, format!("{access}{refresh}")),
        (200, format!(r#"{{"{refresh}": "{access}"}}"#)),
    ]
}

/// L6: whatever a token endpoint echoes, nothing of it is in the errors that it becomes.
#[test]
fn what_a_token_endpoint_echoes_is_in_no_error() {
    let mut shown = Shown::default();

    for (status, body) in echoes() {
        shown.error(&failure(status, body.clone()));
        if let Err(error) = TokenResponse::parse(body.as_bytes(), SystemTime::UNIX_EPOCH) {
            shown.error(&error);
            shown.debug("InvalidResponse", &error);
        }
    }
    let located = Response::builder()
        .status(302)
        .header("location", format!("https://e.example.com/?refresh_token={}", REFRESH[0]))
        .header("retry-after", REFRESH[0])
        .header("www-authenticate", format!(r#"Bearer error_description="{}""#, ACCESS[0]))
        .body(Body::empty())
        .unwrap();
    shown.error(&TokenResponse::read(located, SystemTime::UNIX_EPOCH).now_or_never().unwrap().unwrap_err());

    assert!(shown.0.len() > 18);
    shown.assert_clean();
}

/// L6: nor in what the session makes of them: its events and its requests' errors, whatever the outcome.
#[test]
fn what_a_token_endpoint_echoes_is_in_no_event() {
    let mut shown = Shown::default();

    for (code, body) in echoes() {
        let world = World::new();
        world.sign_in(pair(0));
        let waiting = world.rejected("/notes");
        let mut calls = 0;
        while let Some(call) = world.refresher.try_next() {
            call.fail(failure(code, body.clone()));
            world.pass(Duration::from_secs(1));
            calls += 1;
        }

        assert!(calls > 0);
        shown.error(&error(&waiting));
        look_at(&mut shown, &world);
    }

    shown.assert_clean();
}

/// L6: a whole run shows no token, in no event, error or state: success, retries, an unusable answer, a panic, a failing
/// store, a sign-out, another identity, and the end.
#[test]
fn a_whole_run_shows_no_token() {
    let mut shown = Shown::default();
    let ended = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&ended);
    let world = World::with(
        |session| session.on_session_ended(move |why| hook.lock().unwrap().push(format!("{why:?} {why:#?}"))),
        |client| client,
    );

    // Success, after a failure.
    world.sign_in(pair(0));
    let waiting = world.rejected("/1");
    world.refresher.try_next().unwrap().fail(RefreshError::unavailable("503"));
    world.pass(Duration::from_secs(1));
    world.refresh_answers(pair(1));
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);

    // A panic whose message has the token in it, and a flight that fails by it.
    let waiting = world.rejected("/2");
    while let Some(call) = world.refresher.try_next() {
        call.panics(format!("no such token: {}", REFRESH[1]));
        world.pass(Duration::from_secs(1));
    }
    let failed = error(&waiting);
    assert_eq!(failed.kind(), ErrorKind::RefreshUnavailable);
    shown.error(&failed);

    // A pair that the scheme refuses, and a store that fails and panics.
    world.pass(Duration::from_secs(60));
    let waiting = world.rejected("/3");
    world.store.fail_next(Op::Save, 2);
    world.refresh_answers(pair(2).with_token_type("MAC"));
    let refused = error(&waiting);
    assert_eq!(refused.kind(), ErrorKind::InvalidToken);
    shown.error(&refused);
    world.store.panic_next(Op::Save);
    world.store.fail_next(Op::Save, 1);
    let unsaved = world.runtime.block_on(world.session.sign_in(pair(0))).unwrap_err();
    shown.error(&unsaved);

    // Another identity, a sign-out, errors of the transport.
    let waiting = world.get("/4");
    world.sign_in(pair(1));
    world.api_answers(401);
    let changed = error(&waiting);
    assert_eq!(changed.kind(), ErrorKind::SessionChanged);
    shown.error(&changed);
    let waiting = world.get("/5");
    world.next_call().fail(TransportError::new("reset").maybe_sent());
    world.settle();
    shown.error(&error(&waiting));
    world.runtime.block_on(world.session.sign_out()).unwrap();
    shown.error(&error(&world.get("/6")));

    // The end.
    world.sign_in(pair(0));
    let waiting = world.rejected("/7");
    world.refresher.try_next().unwrap().fail(failure(
        400,
        format!(r#"{{"error": "invalid_grant", "error_description": "{} is dead"}}"#, REFRESH[0]),
    ));
    world.settle();
    let over = error(&waiting);
    assert_eq!(over.kind(), ErrorKind::SessionEnded);
    shown.error(&over);

    look_at(&mut shown, &world);
    let names = ended.lock().unwrap();
    assert_eq!(names.len(), 1);
    shown.text("the hook", names.join("\n"));
    assert!(shown.0.len() > 30, "the run has shown a lot");
    shown.assert_clean();
}

/// L6: the 401 that an error carries is not in its text: a server may echo the token in a header of it.
#[test]
fn the_response_behind_an_error_is_not_in_its_text() {
    let mut shown = Shown::default();
    let world = World::new();
    world.sign_in(pair(0));
    let waiting = world.get("/notes");
    let mut echo = response(401);
    let challenge = format!(r#"Bearer error="invalid_token", error_description="{} has expired""#, ACCESS[0]);
    echo.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
    echo.headers_mut().insert("set-cookie", format!("session={}", REFRESH[0]).parse().unwrap());
    *echo.body_mut() = Body::from(ACCESS[0]);

    world.next_call().answer(echo);
    world.settle();
    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("invalid_client"));
    world.settle();

    let failed = error(&waiting);
    assert!(failed.response().unwrap().headers.contains_key("www-authenticate"), "it is there, for who asks");
    shown.error(&failed);
    look_at(&mut shown, &world);
    shown.assert_clean();
}

/// L6: challenges are read from the server's text, and show nothing of what their parameters hold.
#[test]
fn a_challenge_shows_no_parameter() {
    let mut shown = Shown::default();
    let mut headers = http::HeaderMap::new();
    let line = format!(r#"Bearer realm="{}", error_description="{}""#, ACCESS[0], REFRESH[0]);
    headers.insert("www-authenticate", line.parse().unwrap());

    let challenges: Vec<AuthChallenge> = auth_challenges(&headers);

    assert_eq!(challenges[0].param("error_description"), Some(REFRESH[0]));
    shown.debug("AuthChallenge", &challenges[0]);
    let names = format!("{:?}", challenges[0]);
    assert!(names.contains("Bearer") && names.contains("error_description"), "{names}");
    shown.assert_clean();
}

/// L6: JSON that has another shape than the caller wants is an error that quotes nothing of it: a refresher may read its
/// answer that way.
#[test]
fn a_json_body_of_another_shape_is_not_quoted() {
    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "it is never read")]
    struct Answer {
        access_token: u64,
    }
    let mut shown = Shown::default();

    for body in [
        format!(r#"{{"access_token": "{}"}}"#, ACCESS[0]),
        format!(r#""{}""#, REFRESH[0]),
        format!(r#"{{"access_token": 5, "access_token": "{}"}}"#, ACCESS[0]),
    ] {
        let error = Body::from(body).json::<Answer>().now_or_never().unwrap().unwrap_err();
        shown.error(&error);
        shown.error(&RefreshError::unavailable(error));
    }

    shown.assert_clean();
}

/// A5, L6: a text that cannot be a token is refused where it enters, and the refusal quotes nothing of it.
#[test]
fn a_refused_token_is_not_quoted() {
    let mut shown = Shown::default();
    for text in [
        format!("{}\r\nX-Injected: 1", ACCESS[0]),
        format!("{}\n", ACCESS[0]),
        format!("{}\0", ACCESS[0]),
        format!("{}\u{7f}", ACCESS[0]),
        format!("{}é", ACCESS[0]),
        format!("“{}”", ACCESS[0]),
        format!(" {}", ACCESS[0]),
        format!("{} ", ACCESS[0]),
        String::new(),
    ] {
        let refused: InvalidToken = Tokens::new(text.clone()).expect_err(&text);
        shown.error(&refused);
        shown.error(&Error::from(refused));
        shown.error(&RefreshError::from(refused));

        let mut stored = pair(1).to_stored();
        stored.access_token = text;
        let refused = Tokens::try_from(stored).unwrap_err();
        shown.error(&refused);
    }
    shown.assert_clean();
}

/// A5, A6: tokens that the session's scheme cannot put on a request are refused at sign-in, and nothing changes.
#[test]
fn a_token_of_a_type_that_is_not_understood_is_refused_at_sign_in() {
    let mut shown = Shown::default();
    let world = World::new();
    world.sign_in(pair(0));

    let refused = world.runtime.block_on(world.session.sign_in(pair(1).with_token_type("MAC"))).unwrap_err();

    assert_eq!(refused.kind(), ErrorKind::InvalidToken);
    shown.error(&refused);
    let request = world.get("/notes");
    assert_eq!(world.api_answers(200).as_deref(), Some(ACCESS[0]));
    assert_eq!(status(&request), 200);
    assert_eq!(world.stored().as_deref(), Some(ACCESS[0]));
    shown.assert_clean();
}

/// A5: a refresh token may hold what no header can, and goes where it goes as it is.
#[test]
fn a_refresh_token_of_any_text_is_presented_as_it_is() {
    let odd = format!("{}\r\n\u{1f511}é", REFRESH[0]);
    let world = World::new();
    world.sign_in(Tokens::new(ACCESS[0]).unwrap().with_refresh_token(odd.clone()));

    let _waiting = world.rejected("/notes");

    assert_eq!(world.refresher.presented(), [odd]);
}

/// L6: the errors that an author makes show kind and cause, and nothing else; their conversions keep it that way.
#[test]
fn errors_made_of_other_errors_show_no_token() {
    let mut shown = Shown::default();
    let cause = || -> BoxError { Box::new(Tokens::new(format!("{}\n", ACCESS[0])).unwrap_err()) };

    shown.error(&RefreshError::rejected(cause()));
    shown.error(&RefreshError::unavailable(cause()).retry_after(Duration::from_secs(1)).outcome_unknown());
    shown.error(&RefreshError::misconfigured(cause()));
    shown.error(&TransportError::new(cause()).connect().timeout().maybe_sent());
    shown.error(&RefreshError::from(TransportError::new(cause())));
    shown.error(&Error::from(TransportError::new(cause())));
    shown.error(&TransportError::from(Error::from(TransportError::new(cause()))));
    shown.error(&StoreError::new(cause()));
    shown.error(&StoreError::conflict());
    shown.error(&Error::from(StoreError::new(cause())));
    shown.error(&SchemeError::new(cause()));
    shown.error(&BodyError::new(cause()));

    shown.assert_clean();
}

/// L6: origins that are refused when a client is built are not quoted: their user info may be a secret.
#[test]
fn a_refused_origin_is_not_quoted() {
    let mut shown = Shown::default();
    for origin in [
        format!("https://user:{}@api.example.com", ACCESS[0]),
        format!("https://api.example.com/?token={}", ACCESS[0]),
        format!("nothing {}", ACCESS[0]),
    ] {
        let world = World::new();
        let (transport, _api) = ScriptedTransport::new();
        let refused = AuthClient::builder(transport, world.session.clone()).origin(origin).build();

        shown.error(&refused.expect_err("this is no origin"));
    }
    shown.assert_clean();
}

/// L6: a lease outlives its session without showing anything; the stored form shows it only where it is asked to.
#[test]
fn the_only_ways_to_a_token_are_the_named_ones() {
    let world = World::new();
    world.sign_in(pair(0));
    let lease: Lease = world.runtime.block_on(world.session.lease()).unwrap().into_lease();
    let stored: StoredTokens = world.store.content().unwrap().to_stored();

    assert!(lease.header().1.to_str().unwrap().contains(ACCESS[0]));
    assert!(serde_json::to_string(&stored).unwrap().contains(REFRESH[0]));
    assert_eq!(world.store.content().unwrap().access_token().reveal(), ACCESS[0]);
    let mut shown = Shown::default();
    shown.debug("Lease", &lease);
    shown.debug("StoredTokens", &stored);
    shown.assert_clean();
}
