//! Attaching the token: what goes onto a request, and what does not.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use auth_core::{
    Advice, Anonymous, Body, Challenge, ClientBuilder, Error, ErrorKind, InvalidToken, Scheme, SessionState,
    StoredTokens, TokenHeader, TokenResponse, Tokens,
};
use auth_testkit::{Op, numbered};
use http::header::{AUTHORIZATION, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};

use crate::world::{World, error, kind, status};

const API_TOKEN: HeaderName = HeaderName::from_static("x-api-token");

fn request(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::empty()).unwrap()
}

/// Everything under this name that one attempt carried.
#[track_caller]
fn sent(world: &World, attempt: usize, name: &HeaderName) -> Vec<String> {
    let log = world.api.log();
    values(&log[attempt].headers, name)
}

fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// That nothing was asked of anybody but, once at most, of the store whether somebody is signed in.
#[track_caller]
fn assert_no_network(world: &World) {
    assert_eq!(world.api.calls(), 0);
    assert_eq!(world.refresher.calls(), 0);
}

/// That the text is in nothing an error shows, down to its last cause.
#[track_caller]
fn assert_hidden(error: &(dyn std::error::Error + 'static), secret: &str) {
    let mut next = Some(error);
    while let Some(error) = next {
        let shown = format!("{error} {error:?} {error:#?}");
        assert!(!shown.contains(secret), "{shown}");
        next = error.source();
    }
}

/// A1: tokens that are in the store already go out with the first request: one header, one value, no refresh.
#[test]
fn a_stored_token_is_attached_once() {
    let world = World::new();
    world.store.put(Some(numbered(0)));

    let running = world.get("/notes");

    assert_eq!(sent(&world, 0, &AUTHORIZATION), ["Bearer T0"]);
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&running), 200);
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.store.ops(), [Op::Load]);
    assert_eq!(world.session.state(), SessionState::Active);
}

/// A1: so do tokens that were signed in with, for request after request; their value is marked sensitive.
#[test]
fn every_request_carries_the_one_token() {
    let world = World::signed_in();
    let stored = world.store.ops();

    for n in 0..3 {
        let running = world.get(&format!("/{n}"));
        assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
        assert_eq!(status(&running), 200);
    }

    for sent in world.api.log() {
        assert_eq!(values(&sent.headers, &AUTHORIZATION), ["Bearer T0"]);
        assert!(sent.headers[AUTHORIZATION].is_sensitive());
    }
    assert_eq!(world.store.ops(), stored, "the store is not asked again");
    assert_eq!(world.refresher.calls(), 0);
}

/// A2: the caller's own authorization, in any letter case, is the only one that goes out.
#[test]
fn the_callers_own_authorization_stays_alone() {
    for name in ["authorization", "Authorization", "AUTHORIZATION", "aUtHoRiZaTiOn"] {
        let world = World::signed_in();
        let own = Request::get("/notes").header(name, "Basic YTpi").body(Body::empty()).unwrap();

        let running = world.send(own);

        assert_eq!(sent(&world, 0, &AUTHORIZATION), ["Basic YTpi"], "{name}");
        world.api_answers(200);
        assert_eq!(status(&running), 200);
    }
}

/// A2: two values of the caller's stay two, an empty one stays empty, and neither waits for a session that has nobody.
#[test]
fn the_callers_own_authorization_needs_no_session() {
    let world = World::new();
    let own = Request::get("/notes")
        .header("authorization", "Basic YTpi")
        .header("authorization", "Digest x")
        .body(Body::empty())
        .unwrap();
    let empty = Request::get("/empty").header("authorization", "").body(Body::empty()).unwrap();

    let running = [world.send(own), world.send(empty)];

    assert_eq!(sent(&world, 0, &AUTHORIZATION), ["Basic YTpi", "Digest x"]);
    assert_eq!(sent(&world, 1, &AUTHORIZATION), [""]);
    world.api_answers(204);
    world.api_answers(204);
    assert!(running.iter().all(|running| status(running) == 204));
    assert!(world.store.begun().is_empty());
}

/// A3: its 401 is the caller's: no refresh, no replay under the session's identity, and no mark of the client's.
#[test]
fn a_caller_authorized_401_is_the_callers() {
    let world = World::signed_in();
    let own = Request::get("/notes").header("authorization", "Bearer mine").body(Body::empty()).unwrap();

    let running = world.send(own);
    assert_eq!(world.api_answers(401).as_deref(), Some("mine"));
    let answer = running.take().unwrap().unwrap();

    assert_eq!(answer.status(), 401);
    assert!(answer.extensions().is_empty());
    assert_eq!(world.bearers(), ["mine"]);
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.session.state(), SessionState::Active);
    let next = world.get("/next");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"), "the session's own token is as good as before");
    assert_eq!(status(&next), 200);
}

/// A3: also where the value is the session's own, put there by hand.
#[test]
fn a_hand_made_copy_of_the_header_is_the_callers_too() {
    let world = World::signed_in();
    let own = Request::get("/notes").header("authorization", "Bearer T0").body(Body::empty()).unwrap();

    let running = world.send(own);
    world.api_answers(401);

    assert_eq!(status(&running), 401);
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.bearers(), ["T0"]);
}

/// A4: with an empty store nobody is signed in: an error that says so, nothing sent, and the store is asked once.
#[test]
fn nobody_signed_in_sends_nothing() {
    let world = World::new();

    let first = error(&world.get("/notes"));
    let asked = world.store.begun().len();
    let second = error(&world.get("/notes"));

    for error in [first, second] {
        assert_eq!(error.kind(), ErrorKind::SignedOut);
        assert_eq!(error.advice(), Advice::SignIn);
        assert!(error.response().is_none() && error.source().is_none());
    }
    assert_no_network(&world);
    assert_eq!(world.store.begun().len(), asked, "the second request does no I/O at all");
    assert_eq!(world.session.state(), SessionState::SignedOut);
}

/// A4: the same after a sign-out, without any I/O from the first request on.
#[test]
fn after_a_sign_out_nothing_is_sent() {
    let world = World::signed_in();
    world.runtime.block_on(world.session.sign_out()).unwrap();
    let asked = world.store.begun().len();

    let running = world.get("/notes");

    assert_eq!(kind(&running), ErrorKind::SignedOut);
    assert_no_network(&world);
    assert_eq!(world.store.begun().len(), asked);
}

/// A5: what cannot stand in a header is refused where it enters, by name of the fault and without the text.
#[test]
fn a_token_that_cannot_stand_in_a_header_is_refused() {
    let bad = [
        "",
        " ",
        "secret\n",
        "secret\r\nx-evil: 1",
        "\0secret",
        "sec\tret",
        "secret\x7f",
        "secr\u{e9}t",
        "secret\u{2028}",
        " secret",
        "secret ",
    ];

    for text in bad {
        let refused = Tokens::new(text).err().unwrap_or_else(|| panic!("{text:?} is no token"));

        assert_hidden(&refused, "sec");
        assert_eq!(Error::from(refused).kind(), ErrorKind::InvalidToken);
    }
    assert!(Tokens::new("!~-._+/= \"{}").is_ok(), "every printable ASCII character is allowed");
}

/// A5: the same where it enters from a store's file or in a token endpoint's answer.
#[test]
fn a_bad_token_is_refused_on_every_way_in() {
    let stored = r#"{"access_token":"secret\nline","refresh_token":"R0"}"#;
    let stored: StoredTokens = serde_json::from_str(stored).unwrap();
    let answer = br#"{"access_token":"secr\u00e9t","token_type":"Bearer"}"#;

    let from_store = Tokens::try_from(stored).unwrap_err();
    let from_endpoint = TokenResponse::parse(answer, SystemTime::UNIX_EPOCH).unwrap_err();

    assert_hidden(&from_store, "sec");
    assert_hidden(&from_endpoint, "sec");
}

/// A5: a scheme whose prefix spoils the header, and one that panics, refuse the sign-in; nothing has changed by it.
#[test]
fn a_header_that_cannot_be_made_refuses_the_sign_in() {
    struct Panics;
    impl Scheme for Panics {
        fn prepare(&self, _: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
            panic!("scripted: this scheme panics")
        }
    }
    let spoilt = TokenHeader::new(API_TOKEN).with_prefix("a\r\nb ");
    let worlds = [
        World::with(|session| session.scheme(spoilt), |client| client),
        World::with(|session| session.scheme(Panics), |client| client),
    ];

    for world in worlds {
        let refused = world.runtime.block_on(world.session.sign_in(numbered(0))).unwrap_err();

        assert_eq!(refused.kind(), ErrorKind::InvalidToken);
        assert_eq!(refused.advice(), Advice::FixConfiguration);
        assert_hidden(&refused, "T0");
        assert_eq!(world.session.state(), SessionState::Unknown);
        assert!(world.store.begun().is_empty());
        assert!(world.events().is_empty());
    }
}

/// A6: `bearer` is one type in whatever letter case, and goes out as `Bearer`.
#[test]
fn the_token_type_bearer_is_read_in_any_letter_case() {
    for text in ["bearer", "BEARER", "Bearer", "bEaReR"] {
        let world = World::new();
        let tokens = numbered(0).with_token_type(text);
        assert_eq!(tokens.token_type(), Some("Bearer"));

        world.sign_in(tokens);
        let running = world.get("/notes");

        assert_eq!(sent(&world, 0, &AUTHORIZATION), ["Bearer T0"], "{text}");
        world.api_answers(200);
        assert_eq!(status(&running), 200);
    }
}

/// A6: a type that the scheme does not understand is refused at the sign-in, and the session before it goes on.
#[test]
fn a_token_type_that_is_not_understood_is_refused() {
    for text in ["mac", "DPoP", "N_A", "Bearerish", ""] {
        let world = World::signed_in();

        let signing_in = world.session.sign_in(numbered(7).with_token_type(text));
        let refused = world.runtime.block_on(signing_in).unwrap_err();

        assert_eq!(refused.kind(), ErrorKind::InvalidToken, "{text}");
        assert!(refused.source().unwrap().is::<InvalidToken>());
        let running = world.get("/notes");
        assert_eq!(world.api_answers(200).as_deref(), Some("T0"), "{text}");
        assert_eq!(status(&running), 200);
        assert_eq!(world.stored().as_deref(), Some("T0"));
    }
}

/// A6: found in the store, such tokens are an error of the request, not a request without a token.
#[test]
fn a_stored_token_of_another_type_is_not_sent() {
    let world = World::new();
    world.store.put(Some(numbered(0).with_token_type("mac")));

    let running = world.get("/notes");

    assert_eq!(kind(&running), ErrorKind::InvalidToken);
    assert_no_network(&world);
    assert_eq!(world.stored().as_deref(), Some("T0"), "and they stay where they are");
}

/// A6: granted by a refresh, such a pair is saved all the same, since its refresh token is the live one; the waiters get
/// `InvalidToken`, and within the cooldown nobody asks again.
#[test]
fn a_refreshed_token_of_another_type_is_saved_but_not_sent() {
    let world = World::signed_in();
    let running = world.rejected("/notes");

    world.refresh_answers(numbered(1).with_token_type("mac"));

    let refused = error(&running);
    assert_eq!(refused.kind(), ErrorKind::InvalidToken);
    assert_eq!(refused.response().map(|head| head.status.as_u16()), Some(401));
    assert_eq!(world.bearers(), ["T0"]);
    assert_eq!(world.stored().as_deref(), Some("T1"));
    let late = world.get("/notes");
    assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
    assert_eq!(kind(&late), ErrorKind::InvalidToken);
    assert_eq!(world.refresher.calls(), 1, "it cools down");

    world.pass(Duration::from_secs(2));
    let mended = world.rejected("/notes");
    world.refresh_answers(numbered(2).with_token_type("Bearer"));

    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
    assert_eq!(world.api_answers(200).as_deref(), Some("T2"));
    assert_eq!(status(&mended), 200);
}

/// A7: an anonymous request carries no header, signed in or not, and waits for nobody.
#[test]
fn an_anonymous_request_carries_nothing() {
    for world in [World::signed_in(), World::new()] {
        let asked = world.store.begun().len();
        let anonymous = Request::get("/motd").extension(Anonymous).body(Body::empty()).unwrap();

        let running = world.send(anonymous);

        assert!(sent(&world, 0, &AUTHORIZATION).is_empty());
        world.api_answers(200);
        assert_eq!(status(&running), 200);
        assert_eq!(world.store.begun().len(), asked);
    }
}

/// A7: and its 401 comes back as it came: head, body and extensions.
#[test]
fn an_anonymous_401_comes_back_untouched() {
    let world = World::signed_in();
    let anonymous = Request::get("/motd").extension(Anonymous).body(Body::empty()).unwrap();
    let unauthorized = Response::builder()
        .status(401)
        .header("www-authenticate", "Bearer error=\"invalid_token\"")
        .body(Body::from("who are you?"))
        .unwrap();

    let running = world.send(anonymous);
    world.next_call().answer(unauthorized);
    world.settle();
    let answer = running.take().unwrap().unwrap();

    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers().len(), 1);
    assert!(answer.extensions().is_empty());
    assert_eq!(world.runtime.block_on(answer.into_body().text()).unwrap(), "who are you?");
    assert_eq!((world.api.calls(), world.refresher.calls()), (1, 0));
    assert_eq!(world.session.state(), SessionState::Active);
}

/// A9: a token does not go over plain `http` to another machine: an error before any I/O, the store's included.
#[test]
fn plain_http_is_refused_before_any_io() {
    for origin in ["http://api.example.com", "http://192.0.2.7:8080", "http://127.0.0.1.example.com"] {
        let world = World::with(|session| session, |client| client.origin(origin));
        world.store.put(Some(numbered(0)));

        let running = world.send(request(&format!("{origin}/notes")));

        let refused = error(&running);
        assert_eq!(refused.kind(), ErrorKind::InsecureOrigin, "{origin}");
        assert_eq!(refused.advice(), Advice::FixConfiguration);
        assert_no_network(&world);
        assert!(world.store.begun().is_empty());
    }
}

/// A9: the same where any origin is allowed; that does not mean any road.
#[test]
fn any_origin_is_not_any_road() {
    let world = World::with(|session| session, ClientBuilder::any_origin);
    world.sign_in(numbered(0));

    let running = world.send(request("http://elsewhere.example/notes"));

    assert_eq!(kind(&running), ErrorKind::InsecureOrigin);
    assert_no_network(&world);
}

/// A9: what stays on this machine is fine.
#[test]
fn plain_http_to_this_machine_is_fine() {
    for origin in ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:9", "http://api.localhost"] {
        let world = World::with(|session| session, |client| client.origin(origin));
        world.sign_in(numbered(0));

        let running = world.send(request(&format!("{origin}/notes")));

        assert_eq!(world.api_answers(200).as_deref(), Some("T0"), "{origin}");
        assert_eq!(status(&running), 200);
    }
}

/// A9: and so is what was opted into.
#[test]
fn plain_http_can_be_opted_into() {
    let origin = "http://api.example.com";
    let world = World::with(|session| session, |client| client.origin(origin).allow_insecure_http());
    world.sign_in(numbered(0));

    let running = world.send(request("http://api.example.com/notes"));

    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&running), 200);
}

/// A13: the token goes into a header of another name, bare or with a prefix; after a refresh the new one does, alone.
#[test]
fn another_header_carries_the_token() {
    let schemes = [
        (TokenHeader::new(API_TOKEN), API_TOKEN, "T0", "T1"),
        (TokenHeader::new(AUTHORIZATION).with_prefix("Token "), AUTHORIZATION, "Token T0", "Token T1"),
    ];

    for (scheme, name, before, after) in schemes {
        let world = World::with(|session| session.scheme(scheme), |client| client);
        world.sign_in(numbered(0));
        let running = world.get("/notes");
        world.next_call().respond(401);
        world.settle();
        world.refresh_answers(numbered(1));
        world.api_answers(200);

        assert_eq!(status(&running), 200);
        assert_eq!(sent(&world, 0, &name), [before]);
        assert_eq!(sent(&world, 1, &name), [after]);
        assert_eq!(world.refresher.calls(), 1);
    }
}

/// A13: "the caller's own" is a matter of that header: an `Authorization` of the caller's is none of this scheme's
/// business, an `X-Api-Token` is.
#[test]
fn with_another_header_that_one_decides() {
    let world = World::with(|session| session.scheme(TokenHeader::new(API_TOKEN)), |client| client);
    world.sign_in(numbered(0));
    let beside = Request::get("/1").header("authorization", "Basic YTpi").body(Body::empty()).unwrap();
    let own = Request::get("/2").header("X-API-Token", "mine").body(Body::empty()).unwrap();

    let running = [world.send(beside), world.send(own)];

    assert_eq!(sent(&world, 0, &AUTHORIZATION), ["Basic YTpi"]);
    assert_eq!(sent(&world, 0, &API_TOKEN), ["T0"]);
    assert_eq!(sent(&world, 1, &API_TOKEN), ["mine"]);
    world.api_answers(200);
    world.api_answers(401);
    assert_eq!(status(&running[0]), 200);
    assert_eq!(status(&running[1]), 401);
    assert_eq!(world.refresher.calls(), 0);
}

/// A13: so it is while nobody is signed in.
#[test]
fn with_another_header_that_one_needs_no_sign_in() {
    let world = World::with(|session| session.scheme(TokenHeader::new(API_TOKEN)), |client| client);
    let beside = Request::get("/1").header("authorization", "Basic YTpi").body(Body::empty()).unwrap();
    let own = Request::get("/2").header("x-api-token", "mine").body(Body::empty()).unwrap();

    let running = [world.send(beside), world.send(own)];
    world.api_answers(200);

    assert_eq!(kind(&running[0]), ErrorKind::SignedOut);
    assert_eq!(status(&running[1]), 200);
    assert_eq!(sent(&world, 0, &API_TOKEN), ["mine"]);
}

/// A13: a scheme whose header has another name than it says is noticed before a second value goes out.
#[test]
fn a_scheme_that_misnames_its_header_adds_no_second_value() {
    struct Misnamed;
    impl Scheme for Misnamed {
        fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
            TokenHeader::new(API_TOKEN).prepare(tokens)
        }
    }
    let world = World::with(|session| session.scheme(Misnamed), |client| client);
    world.sign_in(numbered(0));
    let own = Request::get("/notes").header("x-api-token", "mine").body(Body::empty()).unwrap();

    let running = world.send(own);

    assert_eq!(sent(&world, 0, &API_TOKEN), ["mine"]);
    world.api_answers(401);
    assert_eq!(status(&running), 401);
    assert_eq!(world.refresher.calls(), 0);
}

/// M8: clones of a client, and of its session, are one session: one refresh for all, and a sign-out is everybody's.
#[test]
fn clones_share_one_session() {
    let world = World::signed_in();
    let clients = [world.client.clone(), world.client.clone(), world.client.clone()];
    let start = |n: usize| {
        let client = clients[n].clone();
        let running = world.runtime.start(async move { client.send(request(&format!("/{n}"))).await });
        world.settle();
        running
    };

    let running: Vec<_> = (0..3).map(start).collect();
    for _ in 0..3 {
        assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
    }
    world.refresh_answers(numbered(1));
    assert_eq!(world.api.calls(), 6, "no replay waits for the response to another");
    for _ in 0..3 {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }
    let signed_out = clients[0].session().clone();
    world.runtime.block_on(signed_out.sign_out()).unwrap();

    assert!(running.iter().all(|running| status(running) == 200));
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.session.state(), SessionState::SignedOut);
    assert_eq!(kind(&start(1)), ErrorKind::SignedOut);
    assert_eq!(kind(&start(2)), ErrorKind::SignedOut);
    assert_eq!(world.api.calls(), 6);
}

/// M8: a client outlives the one it was cloned from.
#[test]
fn a_clone_works_on_after_the_original_has_gone() {
    let World { runtime, refresher, api, session, client, .. } = World::signed_in();
    let clone = client.clone();
    drop((client, session));

    let running = runtime.start(async move { clone.send(request("/notes")).await });
    runtime.run_until_stalled();
    api.try_next().unwrap().respond(401);
    runtime.run_until_stalled();
    refresher.try_next().unwrap().answer(numbered(1));
    runtime.run_until_stalled();
    let replay = api.try_next().unwrap();

    assert_eq!(replay.bearer(), Some("T1"));
    replay.respond(200);
    runtime.run_until_stalled();
    assert_eq!(status(&running), 200);
}

mod origins {
    //! Where the token may go.

    use auth_core::NotAttached;

    use super::*;

    const ELSEWHERE: [&str; 6] = [
        "https://elsewhere.example/notes",
        "https://api.example.com:8443/notes",
        "https://api.example.com.evil.example/notes",
        "https://example.com/notes",
        "http://api.example.com/notes",
        "https://api.example.com@evil.example/notes",
    ];

    /// L2: a URL outside the named origins goes out bare, and its response says so.
    #[test]
    fn another_origin_gets_no_token() {
        for uri in ELSEWHERE {
            let world = World::signed_in();

            let running = world.send(request(uri));
            assert!(sent(&world, 0, &AUTHORIZATION).is_empty(), "{uri}");
            assert_eq!(world.api_answers(200), None);
            let answer = running.take().unwrap().unwrap();

            assert_eq!(answer.status(), 200);
            assert_eq!(answer.extensions().get::<NotAttached>(), Some(&NotAttached));
            assert_eq!(world.api.log()[0].uri, uri);
        }
    }

    /// L2, A7: an anonymous request wanted no token, so nothing says that it got none.
    #[test]
    fn an_anonymous_request_elsewhere_is_not_marked() {
        let world = World::signed_in();
        let mut anonymous = request(ELSEWHERE[0]);
        anonymous.extensions_mut().insert(Anonymous);

        let running = world.send(anonymous);
        assert_eq!(world.api_answers(200), None);

        assert!(running.take().unwrap().unwrap().extensions().is_empty());
    }

    /// L2: and its 401 has nothing to do with the session.
    #[test]
    fn another_origins_401_refreshes_nothing() {
        for uri in ELSEWHERE {
            let world = World::signed_in();

            let running = world.send(request(uri));
            world.api_answers(401);
            let answer = running.take().unwrap().unwrap();

            assert_eq!(answer.status(), 401, "{uri}");
            assert!(answer.extensions().get::<NotAttached>().is_some());
            assert!(answer.extensions().get::<Challenge>().is_none());
            assert_eq!((world.api.calls(), world.refresher.calls()), (1, 0));
            assert_eq!(world.session.state(), SessionState::Active);
        }
    }

    /// L2: such a request needs nobody to be signed in, and does not read the store.
    #[test]
    fn another_origin_needs_no_session() {
        let world = World::new();

        let running = world.send(request("https://elsewhere.example/notes"));
        world.api_answers(200);

        assert_eq!(status(&running), 200);
        assert!(world.store.begun().is_empty());
    }

    /// L2: a response of a named origin is not marked, and the host's letter case and its default port are no difference.
    #[test]
    fn the_named_origin_is_known_in_every_spelling() {
        for uri in [
            "https://api.example.com/x",
            "https://API.Example.COM/x",
            "https://api.example.com:443/x",
            "HTTPS://api.example.com/x",
        ] {
            let world = World::signed_in();

            let running = world.send(request(uri));
            assert_eq!(world.api_answers(200).as_deref(), Some("T0"), "{uri}");
            let answer = running.take().unwrap().unwrap();

            assert!(answer.extensions().get::<NotAttached>().is_none());
        }
    }

    /// L2: several origins may be named; the token goes to each, and to no other.
    #[test]
    fn several_origins_may_be_named() {
        let world = World::with(|session| session, |client| client.origin("https://files.example.com:8443"));
        world.sign_in(numbered(0));

        for uri in
            ["https://api.example.com/x", "https://files.example.com:8443/x", "https://files.example.com/x"]
        {
            let _running = world.send(request(uri));
            world.api_answers(200);
        }

        assert_eq!(world.bearers(), ["T0", "T0", "none"]);
    }

    /// L2: `any_origin` opts out: the token goes wherever the request goes, and a 401 from there counts.
    #[test]
    fn any_origin_opts_out() {
        let world = World::with(|session| session, ClientBuilder::any_origin);
        world.sign_in(numbered(0));

        let running = world.send(request("https://elsewhere.example/notes"));
        assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
        world.refresh_answers(numbered(1));
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        let answer = running.take().unwrap().unwrap();

        assert_eq!(answer.status(), 200);
        assert!(answer.extensions().get::<NotAttached>().is_none());
    }

    /// L2: a relative URI is one at the one named origin, query and all.
    #[test]
    fn a_relative_uri_is_at_the_named_origin() {
        let world = World::signed_in();

        let running = world.get("/notes/1?sort=up&sort=down");
        world.api_answers(200);

        assert_eq!(status(&running), 200);
        assert_eq!(world.api.log()[0].uri, "https://api.example.com/notes/1?sort=up&sort=down");
    }

    /// L2: with several origins, or with none, a relative URI is nowhere: an error before any I/O.
    #[test]
    fn a_relative_uri_needs_one_origin() {
        let several = World::with(|session| session, |client| client.origin("https://files.example.com"));
        assert_eq!(kind(&several.get("/notes")), ErrorKind::Misconfigured);
        assert_no_network(&several);
        assert!(several.store.begun().is_empty());

        let world = World::signed_in();
        for any in [false, true] {
            let (transport, api) = auth_testkit::ScriptedTransport::new();
            let builder = auth_core::AuthClient::builder(transport, world.session.clone());
            let none = if any { builder.any_origin() } else { builder }.build().unwrap();

            let running = world.runtime.start(async move { none.send(request("/notes")).await });
            world.settle();

            let refused = error(&running);
            assert_eq!(refused.kind(), ErrorKind::Misconfigured, "any: {any}");
            assert_eq!(refused.advice(), Advice::FixConfiguration);
            assert_eq!(api.calls(), 0);
        }
    }

    /// L2: `notes` is no path but a host (the authority form), `*` is no path either: neither is guessed at.
    #[test]
    fn a_relative_uri_begins_with_a_slash() {
        let authority: Uri = "notes".parse().unwrap();
        let with_port: Uri = "notes:80".parse().unwrap();
        let asterisk = Uri::from(PathAndQuery::from_static("*"));

        for uri in [authority, with_port, asterisk] {
            let world = World::signed_in();
            let shown = uri.to_string();
            let mut odd = Request::new(Body::empty());
            *odd.method_mut() = Method::OPTIONS;
            *odd.uri_mut() = uri;

            let running = world.send(odd);

            assert!(running.is_finished(), "{shown} was sent to {}", world.api.log()[0].uri);
            let refused = error(&running);
            assert_eq!(refused.kind(), ErrorKind::Misconfigured, "{shown}");
            let says = refused.to_string();
            assert!(says.ends_with("a relative URI begins with a slash"), "{shown}: {says}");
            assert_no_network(&world);
        }
    }

    /// L2: what is no origin is refused when the client is built.
    #[test]
    fn a_bad_origin_is_refused_at_build() {
        let world = World::new();
        for origin in [
            "",
            "api.example.com",
            "/v1",
            "https://api.example.com/v1",
            "ftp://api.example.com",
            "https://a b",
        ] {
            let (transport, _) = auth_testkit::ScriptedTransport::new();

            let built =
                auth_core::AuthClient::builder(transport, world.session.clone()).origin(origin).build();

            let refused = built.expect_err(origin);
            assert_eq!(
                (refused.kind(), refused.advice()),
                (ErrorKind::Misconfigured, Advice::FixConfiguration)
            );
        }
    }
}
