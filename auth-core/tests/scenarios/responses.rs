//! Token endpoint answers: what they grant, for how long, and what each failure means.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_core::{
    Body, EndReason, ErrorKind, InvalidResponse, RefreshError, Runtime as _, SessionState,
    TokenEndpointError, TokenResponse, Tokens,
};
use auth_testkit::{ScriptedStore, ScriptedTransport, numbered};
use bytes::Bytes;
use futures::FutureExt as _;
use http::Response;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::world::{World, error, status};

const HOUR: Duration = Duration::from_secs(3600);
const RECEIVED: SystemTime = UNIX_EPOCH;

fn parse(body: &str) -> Result<Tokens, InvalidResponse> {
    TokenResponse::parse(body.as_bytes(), RECEIVED)
}

/// A world in which these tokens have signed in.
fn signed_in_with(tokens: Tokens) -> World {
    let world = World::new();
    world.sign_in(tokens);
    world
}

/// One 401, and the refresh that it starts answered with this.
fn rotate(world: &World, answer: Tokens) {
    let waiting = world.rejected("/rotate");
    world.refresh_answers(answer);
    assert!(world.api_answers(200).is_some());
    assert_eq!(status(&waiting), 200);
}

/// One request that the API answers with 200, and the bearer it carried.
fn fetch(world: &World) -> Option<String> {
    let request = world.get("/notes");
    let bearer = world.api_answers(200);
    assert_eq!(status(&request), 200);
    bearer
}

fn stored(world: &World) -> Tokens {
    world.store.content().expect("somebody is signed in")
}

// --- refresh token, scope and type --------------------------------------------------------------------------------------

/// J1: an answer without a refresh token leaves R0 in force: in the store, and presented next.
#[test]
fn an_omitted_refresh_token_is_kept() {
    let world = World::signed_in();

    rotate(&world, parse(r#"{"access_token": "T1"}"#).unwrap());
    assert_eq!(stored(&world).refresh_token().unwrap().reveal(), "R0");
    rotate(&world, parse(r#"{"access_token": "T2", "refresh_token": ""}"#).unwrap());

    assert_eq!(world.refresher.presented(), ["R0", "R0"]);
    assert_eq!(stored(&world).access_token().reveal(), "T2");
    assert_eq!(stored(&world).refresh_token().unwrap().reveal(), "R0");
}

/// J2: a refresh token in the answer replaces R0: in the store, and presented next.
#[test]
fn a_rotated_refresh_token_replaces_the_old_one() {
    let world = World::signed_in();

    rotate(&world, parse(r#"{"access_token": "T1", "refresh_token": "R1"}"#).unwrap());
    rotate(&world, parse(r#"{"access_token": "T2", "refresh_token": "R2"}"#).unwrap());

    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
    assert_eq!(stored(&world).refresh_token().unwrap().reveal(), "R2");
}

/// J12: an omitted scope is the scope from before; one that is there replaces it. The token type is treated alike.
#[test]
fn an_omitted_scope_is_unchanged() {
    let world = signed_in_with(numbered(0).with_scope("read write").with_token_type("bearer"));

    rotate(&world, numbered(1));
    assert_eq!(stored(&world).scope(), Some("read write"));
    assert_eq!(stored(&world).token_type(), Some("Bearer"));
    rotate(&world, parse(r#"{"access_token": "T2", "refresh_token": "R2", "scope": "read"}"#).unwrap());

    assert_eq!(stored(&world).scope(), Some("read"));
}

/// J1, J14: a refresh token that is kept keeps its lifetime, and a new one has its own.
#[test]
fn a_kept_refresh_token_keeps_its_lifetime() {
    let world = World::new();
    world.sign_in(numbered(0).with_refresh_expires_in(HOUR, world.runtime.now()));
    let expires = stored(&world).refresh_expires_at();

    rotate(&world, Tokens::new("T1").unwrap());
    assert_eq!(stored(&world).refresh_expires_at(), expires);
    rotate(&world, numbered(2));

    assert_eq!(stored(&world).refresh_expires_at(), None);
}

/// J15: tokens of 8 to 32 KiB are accepted, go out whole, are stored whole and presented whole.
#[test]
fn large_tokens_are_carried_whole() {
    for size in [8 * 1024, 32 * 1024] {
        let (access, refresh) = ("a".repeat(size), "r".repeat(size));
        let world = World::signed_in();
        let answer = format!(r#"{{"access_token": "{access}", "refresh_token": "{refresh}"}}"#);

        rotate(&world, parse(&answer).unwrap());
        rotate(&world, numbered(2));

        assert_eq!(world.bearers()[1], access);
        assert_eq!(world.refresher.presented()[1], refresh);
    }
}

/// J15: the same by way of a whole response.
#[test]
fn an_answer_with_large_tokens_is_read() {
    let (access, refresh) = ("a".repeat(32 * 1024), "r".repeat(32 * 1024));
    let answer = format!(r#"{{"access_token": "{access}", "refresh_token": "{refresh}"}}"#);

    let tokens = read(200, answer).unwrap();

    assert_eq!(tokens.access_token().reveal(), access);
    assert_eq!(tokens.refresh_token().unwrap().reveal(), refresh);
}

// --- lifetimes ----------------------------------------------------------------------------------------------------------

/// J4: `expires_in` missing or null is an unknown lifetime: nothing is refreshed ahead of time, and a 401 still works.
#[test]
fn an_unknown_lifetime_refreshes_on_401_only() {
    for answer in
        [r#"{"access_token": "T1"}"#.to_owned(), r#"{"access_token": "T1", "expires_in": null}"#.to_owned()]
    {
        let world = World::signed_in();
        rotate(&world, parse(&answer).unwrap());

        world.pass(HOUR * 24 * 365);
        assert_eq!(fetch(&world).as_deref(), Some("T1"));
        assert_eq!(world.refresher.calls(), 1);
        rotate(&world, numbered(2));

        assert_eq!(world.refresher.calls(), 2);
        assert_eq!(world.bearers().last().map(String::as_str), Some("T2"));
    }
}

/// J5: a lifetime may be a number or a number in a string, with a fraction or without.
#[test]
fn lifetimes_are_read_in_every_spelling() {
    for (text, expected) in [
        ("3600", HOUR),
        (r#""3600""#, HOUR),
        (r#"" 3600 ""#, HOUR),
        ("3600.0", HOUR),
        (r#""3600.0""#, HOUR),
        ("3600.5", HOUR + Duration::from_millis(500)),
        (r#""3600.5""#, HOUR + Duration::from_millis(500)),
        ("3.6e3", HOUR),
    ] {
        let tokens = parse(&format!(r#"{{"access_token": "T1", "expires_in": {text}}}"#)).unwrap();

        assert_eq!(tokens.expires_in(), Some(expected), "{text}");
        assert_eq!(tokens.expires_at(), Some(RECEIVED + expected), "{text}");
    }
}

/// J5: a lifetime that is no number refuses the answer, under each of its names.
#[test]
fn a_lifetime_that_is_no_number_refuses_the_answer() {
    for name in ["expires_in", "refresh_expires_in", "refresh_token_expires_in"] {
        for text in
            [r#""zzz""#, "{}", "[]", "false", "true", r#""""#, r#""NaN""#, r#""0x10""#, r#""1h""#, "[3600]"]
        {
            let refused = parse(&format!(r#"{{"access_token": "T1", "{name}": {text}}}"#));

            assert!(refused.is_err(), "{name}: {text}");
        }
    }
}

/// J5: a lifetime too large for the clock saturates; it neither panics nor refuses the answer.
#[test]
fn a_huge_lifetime_saturates() {
    for text in
        ["18446744073709551615", "99999999999999999999999", "1e30", r#""1e30""#, r#""1e999""#, "1e308"]
    {
        let world = World::signed_in();
        let body = format!(
            r#"{{"access_token": "T1", "refresh_token": "R1", "expires_in": {text}, "refresh_expires_in": {text}}}"#
        );
        let tokens = TokenResponse::parse(body.as_bytes(), world.runtime.now()).unwrap();
        assert!(tokens.expires_in().unwrap() > HOUR * 24 * 365, "{text}");

        rotate(&world, tokens);
        world.pass(HOUR * 24 * 365);

        assert_eq!(fetch(&world).as_deref(), Some("T1"), "{text}");
        assert_eq!(world.refresher.calls(), 1);
    }
}

/// J6, J7: a lifetime of zero or less is unknown: it never makes each request refresh.
#[test]
fn a_lifetime_of_nothing_is_unknown() {
    for text in ["0", "-1", "-3600", "0.0", "-0", r#""0""#, r#""-3600""#] {
        let world = World::signed_in();
        let body = format!(r#"{{"access_token": "T1", "refresh_token": "R1", "expires_in": {text}}}"#);
        let tokens = TokenResponse::parse(body.as_bytes(), world.runtime.now()).unwrap();
        assert_eq!((tokens.expires_in(), tokens.expires_at()), (None, None), "{text}");

        rotate(&world, tokens);
        for _ in 0..10 {
            assert_eq!(fetch(&world).as_deref(), Some("T1"), "{text}");
        }

        assert_eq!(world.refresher.calls(), 1, "{text}");
        rotate(&world, numbered(2));
        assert_eq!(world.refresher.presented(), ["R0", "R1"]);
    }
}

/// J6, J7: a refresh token with such a lifetime is not taken for expired.
#[test]
fn a_refresh_token_with_a_lifetime_of_nothing_is_not_expired() {
    for text in ["0", "-1"] {
        let world = World::signed_in();
        let body =
            format!(r#"{{"access_token": "T1", "refresh_token": "R1", "refresh_expires_in": {text}}}"#);
        rotate(&world, TokenResponse::parse(body.as_bytes(), world.runtime.now()).unwrap());

        rotate(&world, numbered(2));

        assert_eq!(world.refresher.presented(), ["R0", "R1"], "{text}");
    }
}

/// J14: the lifetime of a refresh token is read under both of its names.
#[test]
fn the_refresh_tokens_lifetime_is_read() {
    for name in ["refresh_expires_in", "refresh_token_expires_in"] {
        let body = format!(r#"{{"access_token": "T1", "refresh_token": "R1", "{name}": 3600}}"#);

        assert_eq!(parse(&body).unwrap().refresh_expires_at(), Some(RECEIVED + HOUR));
    }
}

// --- clocks -------------------------------------------------------------------------------------------------------------

/// A world whose tokens are good until they expire, and not refreshed before.
fn hard_expiry_alone() -> World {
    World::with(|session| session.soft_window(Duration::ZERO), |client| client)
}

/// J10: on a machine whose clock is hours off a lifetime counts from receipt, and from nothing else.
#[test]
fn a_lifetime_counts_from_receipt_on_a_clock_that_is_off() {
    for (ahead, off) in [(true, HOUR * 7), (false, HOUR * 7)] {
        let world = hard_expiry_alone();
        world.sign_in(numbered(0));
        let now = world.runtime.now();
        world.runtime.set_wall(if ahead { now + off } else { now - off });
        let body = br#"{"access_token": "T1", "refresh_token": "R1", "expires_in": 3600}"#;
        rotate(&world, TokenResponse::parse(body, world.runtime.now()).unwrap());

        world.pass(HOUR - Duration::from_secs(6));
        assert_eq!(fetch(&world).as_deref(), Some("T1"));
        assert_eq!(world.refresher.calls(), 1);
        world.pass(Duration::from_secs(2));
        let proactive = world.get("/notes");
        world.refresh_answers(numbered(2));

        assert_eq!(world.api_answers(200).as_deref(), Some("T2"));
        assert_eq!(status(&proactive), 200);
    }
}

/// J10: a refresher that says when the token expires by the server's clock, which this one takes for long ago, does not
/// make each request refresh.
#[test]
fn a_token_that_is_expired_by_the_local_clock_alone_is_used() {
    let world = World::signed_in();

    rotate(&world, numbered(1).with_expires_at(world.runtime.now() - HOUR));
    for _ in 0..5 {
        assert_eq!(fetch(&world).as_deref(), Some("T1"));
    }

    assert_eq!(world.refresher.calls(), 1);
}

/// J10: a 401 always overrules the local opinion that the token is good for hours.
#[test]
fn a_401_overrules_the_local_clock() {
    let world = World::new();
    world.sign_in(numbered(0).with_expires_in(HOUR * 8, world.runtime.now()));

    rotate(&world, numbered(1));

    assert_eq!(world.bearers(), ["T0", "T1"]);
    assert_eq!(world.refresher.presented(), ["R0"]);
}

/// J11: the wall clock jumps back or forth while a session runs: its token lives as long as before, no longer and no
/// shorter.
#[test]
fn a_jump_of_the_wall_clock_changes_no_lifetime() {
    let day = HOUR * 24;
    for jump in [
        |now: SystemTime| now + Duration::from_secs(86_400 * 400),
        |now: SystemTime| now - Duration::from_secs(86_400 * 400),
        |_: SystemTime| UNIX_EPOCH,
        |_: SystemTime| UNIX_EPOCH - Duration::from_secs(86_400),
    ] {
        let world = hard_expiry_alone();
        world.sign_in(numbered(0).with_expires_in(day, world.runtime.now()));

        world.runtime.set_wall(jump(world.runtime.now()));
        world.pass(day - Duration::from_secs(6));
        assert_eq!(fetch(&world).as_deref(), Some("T0"));
        assert_eq!(world.refresher.calls(), 0);
        world.pass(Duration::from_secs(2));
        let proactive = world.get("/notes");
        world.refresh_answers(numbered(1).with_expires_in(day, world.runtime.now()));

        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        assert_eq!(status(&proactive), 200);
        world.pass(day - Duration::from_secs(6));
        assert_eq!(fetch(&world).as_deref(), Some("T1"));
        assert_eq!(world.refresher.calls(), 1);
    }
}

/// J11: a pair that is loaded on a wall clock that was set back in the meantime gets no longer life than it was granted.
#[test]
fn a_stored_lifetime_does_not_grow_where_the_clock_went_back() {
    let (store, handle) = ScriptedStore::new();
    let first = World::on(store.clone(), handle.clone(), |session| session, |client| client);
    first.sign_in(numbered(0).with_expires_in(HOUR, first.runtime.now()));

    let second = World::on(store, handle, |session| session, |client| client);
    second.runtime.set_wall(first.runtime.now() - HOUR * 24 * 30);
    assert_eq!(fetch(&second).as_deref(), Some("T0"));
    second.pass(HOUR);
    let proactive = second.get("/notes");

    assert_eq!(second.refresher.calls(), 1, "an hour after the load it has expired");
    second.refresh_answers(numbered(1));
    assert_eq!(second.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&proactive), 200);
}

/// J11: the same where the answer had a time of expiry and no lifetime: what was left when it came is all there will be.
#[test]
fn a_stored_time_of_expiry_does_not_grow_where_the_clock_went_back() {
    let (store, handle) = ScriptedStore::new();
    let first = World::on(store.clone(), handle.clone(), |session| session, |client| client);
    first.sign_in(numbered(0).with_expires_at(first.runtime.now() + HOUR));

    let second = World::on(store, handle, |session| session, |client| client);
    second.runtime.set_wall(first.runtime.now() - HOUR * 24 * 30);
    assert_eq!(fetch(&second).as_deref(), Some("T0"));
    second.pass(HOUR);
    let _proactive = second.get("/notes");

    assert_eq!(second.refresher.calls(), 1, "an hour after the load it has expired");
}

/// J11: a stored pair that has expired by the wall clock is refreshed before the first request, once.
#[test]
fn a_pair_that_expired_while_nobody_ran_is_refreshed_first() {
    let (store, handle) = ScriptedStore::new();
    let first = World::on(store.clone(), handle.clone(), |session| session, |client| client);
    first.sign_in(numbered(0).with_expires_in(HOUR, first.runtime.now()));

    let second = World::on(store, handle, |session| session, |client| client);
    second.runtime.set_wall(first.runtime.now() + HOUR * 24);
    let waiting = second.get("/notes");
    assert_eq!(second.bearers(), Vec::<String>::new());
    second.refresh_answers(numbered(1));

    assert_eq!(second.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(second.refresher.presented(), ["R0"]);
}

/// J14: a refresh token that is known to have expired is not presented: the session ends here, once, and says why.
#[test]
fn an_expired_refresh_token_is_not_presented() {
    let world = World::new();
    world.sign_in(numbered(0).with_refresh_expires_in(HOUR, world.runtime.now()));
    world.pass(HOUR);

    let requests = [world.get("/1"), world.get("/2")];
    world.api_answers(401);
    world.api_answers(401);

    for request in &requests {
        let error = error(request);
        assert_eq!(error.kind(), ErrorKind::SessionEnded);
        assert_eq!(error.end_reason(), Some(EndReason::RefreshTokenExpired));
    }
    assert_eq!(world.refresher.calls(), 0);
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::RefreshTokenExpired));
    world.settle();
    assert!(world.store.content().is_none());
    let ended = world.events().into_iter().filter(|event| matches!(event, auth_core::Event::Ended(_)));
    assert_eq!(ended.count(), 1);
}

/// J14: one second before, it is presented; and an access token that is still good is used after it.
#[test]
fn an_expired_refresh_token_does_not_end_a_session_that_needs_none() {
    let world = World::new();
    world.sign_in(numbered(0).with_refresh_expires_in(HOUR, world.runtime.now()));

    world.pass(HOUR * 2);
    assert_eq!(fetch(&world).as_deref(), Some("T0"));
    assert_eq!(world.session.state(), SessionState::Active);
    world.sign_in(numbered(5).with_refresh_expires_in(HOUR, world.runtime.now()));
    world.pass(HOUR - Duration::from_secs(1));
    rotate(&world, numbered(6));

    assert_eq!(world.refresher.presented(), ["R5"]);
}

// --- whole responses ----------------------------------------------------------------------------------------------------

fn read(status: u16, body: impl Into<Body>) -> Result<Tokens, RefreshError> {
    let response = Response::builder().status(status).body(body.into()).unwrap();
    read_response(response)
}

fn read_response(response: Response<Body>) -> Result<Tokens, RefreshError> {
    TokenResponse::read(response, received()).now_or_never().expect("the body is there")
}

/// 2026-01-01T00:00:00Z
fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Rejected,
    Misconfigured,
    Unavailable,
    /// Unavailable, and the refresh token may be spent.
    Lost,
}
use Meaning::{Lost, Misconfigured, Rejected, Unavailable};

fn meaning(error: &RefreshError) -> Meaning {
    let kinds = [error.is_rejected(), error.is_misconfigured(), error.is_unavailable()];
    match (kinds, error.is_outcome_unknown()) {
        ([true, false, false], false) => Rejected,
        ([false, true, false], false) => Misconfigured,
        ([false, false, true], false) => Unavailable,
        ([false, false, true], true) => Lost,
        other => panic!("it means two things at once: {other:?}"),
    }
}

/// J1: what grants a token is a grant, whatever else it says: to take it for a failure would lose the new refresh token.
#[test]
fn a_grant_is_a_grant_whatever_else_it_says() {
    for error in ["", "invalid_grant", "slow_down"] {
        let body = format!(r#"{{"access_token": "T1", "refresh_token": "R1", "error": "{error}"}}"#);

        let tokens = read(200, body).unwrap();

        assert_eq!(tokens.refresh_token().unwrap().reveal(), "R1");
    }
}

/// G1, G3, G4, G15: what each failure of a token endpoint means, by status and `error` code.
#[test]
fn a_failure_means_what_its_status_and_code_say() {
    let html = "<!doctype html><title>403 Forbidden</title>";
    for (status, body, expected) in [
        // The refresh token is dead.
        (400, r#"{"error": "invalid_grant"}"#, Rejected),
        (401, r#"{"error": "invalid_grant", "error_description": "revoked"}"#, Rejected),
        (403, r#"{"error": "invalid_grant"}"#, Rejected),
        (200, r#"{"error": "invalid_grant"}"#, Rejected),
        // The client is set up wrongly.
        (400, r#"{"error": "invalid_client"}"#, Misconfigured),
        (401, r#"{"error": "invalid_client"}"#, Misconfigured),
        (400, r#"{"error": "unauthorized_client"}"#, Misconfigured),
        (400, r#"{"error": "unsupported_grant_type"}"#, Misconfigured),
        (400, r#"{"error": "invalid_dpop_proof"}"#, Misconfigured),
        (400, r#"{"error": "use_dpop_nonce"}"#, Misconfigured),
        (400, r#"{"error": "invalid_scope"}"#, Misconfigured),
        (400, r#"{"error": "invalid_request"}"#, Misconfigured),
        (200, r#"{"error": "invalid_client"}"#, Misconfigured),
        // On a 5xx, a code says nothing.
        (500, r#"{"error": "invalid_grant"}"#, Unavailable),
        (503, r#"{"error": "invalid_grant"}"#, Unavailable),
        (503, r#"{"error": "invalid_client"}"#, Unavailable),
        (502, r#"{"error": "invalid_grant"}"#, Lost),
        // Busy, or too slow.
        (429, r#"{"error": "invalid_grant"}"#, Unavailable),
        (429, "", Unavailable),
        (408, r#"{"error": "invalid_grant"}"#, Unavailable),
        (503, "", Unavailable),
        (500, "", Unavailable),
        (400, r#"{"error": "temporarily_unavailable"}"#, Unavailable),
        (400, r#"{"error": "slow_down"}"#, Unavailable),
        (200, r#"{"error": "temporarily_unavailable"}"#, Unavailable),
        // The request went through, the answer did not come.
        (502, "", Lost),
        (504, "", Lost),
        (502, html, Lost),
        (200, html, Lost),
        (200, "", Lost),
        (204, "", Lost),
        (200, r#"{"access_token": "T1", "refre"#, Lost),
        (200, r#"{"token": "T1"}"#, Lost),
        (200, r#"{"access_token": ""}"#, Lost),
        (200, r#"{"access_token": "two\nlines"}"#, Lost),
        (200, r#"{"access_token": "T1", "expires_in": "soon"}"#, Lost),
        (200, r#"["T1"]"#, Lost),
        (200, r#"{"access_token": "T1", "refresh_token": 7}"#, Lost),
        (200, r#"{"access_token": "T1", "expires_in": "inf"}"#, Lost),
        // Not an OAuth answer.
        (403, html, Unavailable),
        (400, "", Unavailable),
        (400, "invalid_grant", Unavailable),
        (400, r#"["invalid_grant"]"#, Unavailable),
        (400, r#"{"error": ["invalid_grant"]}"#, Unavailable),
        (400, r#"{"error": "some_other_code"}"#, Unavailable),
        (404, html, Unavailable),
        (302, "", Unavailable),
        (307, r#"{"error": "invalid_grant"}"#, Unavailable),
    ] {
        let error = read(status, body).expect_err("a failure");

        assert_eq!(meaning(&error), expected, "{status} {body}");
        assert!(error.source().is_some());
    }
}

/// B6: a successful answer is read whatever 2xx it has, and an `error` that is null is none.
#[test]
fn a_successful_answer_is_read() {
    for (status, body) in [
        (200, r#"{"access_token": "T1", "refresh_token": "R1", "expires_in": "60", "token_type": "bearer"}"#),
        (201, r#"{"access_token": "T1", "refresh_token": "R1", "expires_in": 60, "token_type": "Bearer"}"#),
        (
            200,
            r#"{"error": null, "access_token": "T1", "refresh_token": "R1", "expires_in": 60, "token_type": "BEARER"}"#,
        ),
    ] {
        let tokens = read(status, body).unwrap();

        assert_eq!(tokens.access_token().reveal(), "T1");
        assert_eq!(tokens.refresh_token().unwrap().reveal(), "R1");
        assert_eq!(tokens.expires_at(), Some(received() + Duration::from_secs(60)));
        assert_eq!(tokens.token_type(), Some("Bearer"));
    }
}

/// G9: the cause of such a failure tells status and registered code, and no more.
#[test]
fn a_refusal_tells_its_status_and_code() {
    let error = read(401, r#"{"error": "invalid_client", "error_description": "Xq7"}"#).unwrap_err();
    let cause = error.source().unwrap().downcast_ref::<TokenEndpointError>().unwrap();
    assert_eq!((cause.status().as_u16(), cause.code()), (401, Some("invalid_client")));
    assert_eq!(cause.to_string(), "the token endpoint answered 401 with invalid_client");
    assert!(!format!("{error:?} {cause}").contains("Xq7"));

    let error = read(500, "oops").unwrap_err();
    let cause = error.source().unwrap().downcast_ref::<TokenEndpointError>().unwrap();
    assert_eq!((cause.status().as_u16(), cause.code()), (500, None));
    assert_eq!(cause.to_string(), "the token endpoint answered 500 without an OAuth error");

    let error = read(400, r#"{"error": "Xq7"}"#).unwrap_err();
    let cause = error.source().unwrap().downcast_ref::<TokenEndpointError>().unwrap();
    assert_eq!(cause.code(), None, "it is the server's own");
    assert_eq!(cause.to_string(), "the token endpoint answered 400 with another error");
}

/// G4: a body that breaks off, and one without an end, are answers that were lost; on an error status its status counts.
#[test]
fn a_body_that_cannot_be_read_is_a_lost_answer() {
    let torn = || {
        let chunks =
            [Ok(Bytes::from_static(br#"{"access_token": "T1""#)), Err(std::io::Error::other("reset"))];
        Body::stream(futures::stream::iter(chunks))
    };
    let endless =
        || Body::stream(futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024])));

    for body in [torn(), endless()] {
        assert_eq!(meaning(&read(200, body).unwrap_err()), Lost);
    }
    for body in [torn(), endless()] {
        assert_eq!(meaning(&read(400, body).unwrap_err()), Unavailable);
    }
    assert_eq!(meaning(&read(504, torn()).unwrap_err()), Lost);
}

/// G4: an answer of megabytes is not read to its end: it is no answer, were it a good one.
#[test]
fn a_huge_answer_is_not_read_to_its_end() {
    let padding = " ".repeat(2 * 1024 * 1024);
    let huge = format!(r#"{{"access_token": "T1"{padding}}}"#);
    assert_eq!(meaning(&read(200, huge).unwrap_err()), Lost);

    let chunks = Arc::new(AtomicUsize::new(0));
    let read_so_far = Arc::clone(&chunks);
    let endless = futures::stream::repeat_with(move || {
        read_so_far.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(vec![b' '; 64 * 1024])
    });
    assert_eq!(meaning(&read(200, Body::stream(endless)).unwrap_err()), Lost);
    assert!(chunks.load(Ordering::SeqCst) <= 32, "two megabytes are enough of it");
}

/// F10: a `Retry-After` beyond every clock is no panic: it is honoured to five minutes, as any long one.
#[test]
fn a_retry_after_beyond_every_clock_is_honoured_to_its_bound() {
    for text in ["86400", "18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let world = World::signed_in();
        let waiting = world.rejected("/notes");
        let busy = Response::builder().status(503).header("retry-after", text).body(Body::empty()).unwrap();

        world.refresher.try_next().unwrap().fail(read_response(busy).unwrap_err());
        world.settle();

        let failed = error(&waiting);
        assert_eq!(failed.kind(), ErrorKind::RefreshUnavailable, "{text}");
        assert!(
            failed.source().and_then(|cause| cause.downcast_ref::<RefreshError>()).is_some(),
            "{text}: {failed:?}"
        );
        assert_eq!(world.runtime.panicked(), 0, "{text}");
        world.pass(Duration::from_secs(299));
        let cooling = world.get("/notes");
        world.api_answers(401);
        assert_eq!(error(&cooling).kind(), ErrorKind::RefreshUnavailable, "{text}: it is left alone");
        assert_eq!(world.refresher.calls(), 1, "{text}");
        world.pass(Duration::from_secs(1));
        rotate(&world, numbered(1));
    }
}

/// F10: `Retry-After` is read in both of its forms, on whatever failure it comes; what is neither is left out.
#[test]
fn retry_after_is_read_in_both_forms() {
    for (text, expected) in [
        ("120", Some(Duration::from_secs(120))),
        ("0", Some(Duration::ZERO)),
        (" 7 ", Some(Duration::from_secs(7))),
        ("Thu, 01 Jan 2026 00:02:00 GMT", Some(Duration::from_secs(120))),
        ("Wed, 31 Dec 2025 23:00:00 GMT", Some(Duration::ZERO)),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
    ] {
        for status in [429, 503, 500, 400] {
            let response = Response::builder()
                .status(status)
                .header("retry-after", text)
                .body(Body::from(r#"{"error": "temporarily_unavailable"}"#))
                .unwrap();

            let error = read_response(response).unwrap_err();

            assert_eq!(error.retry_after_hint(), expected, "{status} {text}");
            assert!(error.is_unavailable());
        }
    }
    assert_eq!(read(503, "").unwrap_err().retry_after_hint(), None);
}

/// J1, J4, L7: a refresher of an SDK author on a scripted token endpoint, whole way through.
#[test]
fn a_refresher_over_a_transport_reads_its_answers() {
    use auth_core::{AuthClient, Session, Transport as _};
    use auth_testkit::ManualRuntime;

    let runtime = ManualRuntime::new();
    let (endpoint, tokens) = ScriptedTransport::new();
    let (transport, api) = ScriptedTransport::new();
    let clock = runtime.clone();
    let refresher = auth_core::refresher_fn(move |current: Tokens| {
        let (endpoint, clock) = (endpoint.clone(), clock.clone());
        async move {
            let token =
                current.refresh_token().expect("it is asked only where there is one").reveal().to_owned();
            let request =
                http::Request::post("https://login.example.com/token").body(Body::from(token)).unwrap();
            TokenResponse::read(endpoint.send(request).await?, clock.now()).await
        }
    });
    let session = Session::builder(refresher).runtime(runtime.clone()).build();
    let client =
        AuthClient::builder(transport, session.clone()).origin("https://api.example.com").build().unwrap();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();

    let waiting = runtime.start(async move {
        let request = http::Request::get("/notes").body(Body::empty()).unwrap();
        client.send(request).await
    });
    runtime.block_on(api.next()).respond(401);
    let first = runtime.block_on(tokens.next());
    assert_eq!(first.request().body().as_bytes(), Some(&b"R0"[..]));
    assert!(!first.request().headers().contains_key("authorization"));
    first.respond(503);
    let second = runtime.block_on(tokens.next());
    second.answer(Response::new(Body::from(r#"{"access_token": "T1", "expires_in": 60}"#)));
    let replay = runtime.block_on(api.next());
    assert_eq!(replay.bearer(), Some("T1"));
    replay.respond(200);

    assert_eq!(runtime.block_on(waiting).unwrap().status(), 200);
    assert_eq!(tokens.calls(), 2);
}

// --- whatever comes -----------------------------------------------------------------------------------------------------

/// Upper case and digits: no message of the library has four of them in a row.
fn secret() -> impl Strategy<Value = String> {
    "[A-Z0-9]{12,40}"
}

/// JSON of any shape, in which every text is a secret.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        secret().prop_map(Value::from),
        secret().prop_map(|text| Value::from(format!("{text}\r\n{text}"))),
    ];
    leaf.prop_recursive(2, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            inner.prop_map(|value| json!({ "access_token": value })),
        ]
    })
}

/// An answer with any of the fields, and each of them of any shape.
fn answer() -> impl Strategy<Value = serde_json::Value> {
    const FIELDS: [&str; 8] = [
        "access_token",
        "refresh_token",
        "token_type",
        "scope",
        "expires_in",
        "refresh_expires_in",
        "refresh_token_expires_in",
        "error",
    ];
    prop::collection::btree_map(prop::sample::select(&FIELDS[..]), json(), 0..8).prop_map(|fields| {
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<serde_json::Map<_, _>>()
            .into()
    })
}

/// Whether two texts have four characters in a row in common that are upper case or digits.
fn shares_a_part(text: &str, body: &str) -> bool {
    let body: Vec<char> = body.chars().collect();
    body.windows(4)
        .filter(|part| part.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
        .any(|part| text.contains(&part.iter().collect::<String>()))
}

/// What an error shows, its causes included.
fn shown(error: &dyn std::error::Error) -> String {
    let mut all = format!("{error} {error:?} {error:#?}");
    if let Some(source) = error.source() {
        all.push_str(&shown(source));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    })]

    /// L6: whatever bytes come, parsing them does not panic, and its error shows one of a few fixed texts.
    #[test]
    fn any_bytes_are_parsed_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..512), at in any::<u32>()) {
        let received = UNIX_EPOCH + Duration::from_secs(u64::from(at));

        if let Err(error) = TokenResponse::parse(&body, received) {
            let without_input = TokenResponse::parse(b"", received).unwrap_err();
            prop_assert_eq!(shown(&error), shown(&without_input));
        }
    }

    /// L6: an answer of any shape is parsed without a panic, and nothing of it is echoed.
    #[test]
    fn any_answer_is_parsed_without_an_echo(answer in answer(), cut in any::<prop::sample::Index>()) {
        let whole = answer.to_string();
        let cut = whole.get(..cut.index(whole.len() + 1)).unwrap_or(&whole);
        for body in [whole.as_str(), cut] {
            match TokenResponse::parse(body.as_bytes(), received()) {
                Ok(tokens) => {
                    prop_assert_eq!(answer["access_token"].as_str(), Some(tokens.access_token().reveal()));
                    let hidden = format!("{tokens:?}").replace(&format!("{:?}", tokens.expires_at()), "");
                    prop_assert!(!answer["access_token"].as_str().is_some_and(|text| shares_a_part(&hidden, text)));
                    prop_assert!(!answer["refresh_token"].as_str().is_some_and(|text| shares_a_part(&hidden, text)));
                }
                Err(error) => prop_assert!(!shares_a_part(&shown(&error), body), "{error:?}"),
            }
        }
    }

    /// L6: the same of whole responses, whatever their status.
    #[test]
    fn any_response_is_read_without_an_echo(answer in answer(), status in 200_u16..600, after in "[ -~]{0,40}") {
        let body = answer.to_string();
        let response = Response::builder()
            .status(status)
            .header("retry-after", &after)
            .body(Body::from(body.clone()))
            .unwrap();

        if let Err(error) = read_response(response) {
            let text = shown(&error).replace(&format!("{:?}", error.retry_after_hint()), "");
            prop_assert!(!shares_a_part(&text, &body), "{error:?}");
        }
    }
}
