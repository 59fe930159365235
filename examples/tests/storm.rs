//! `storm` as a script sees it: its numbers, its exit status, and what it says, whatever the server does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::Duration;

use auth_core::Tokens;
use auth_testkit::server::{ApiAnswer, TestServer, TokenAnswer};
use serde_json::{Value, json};

/// Runs the program; it has a deadline of its own, and this one is for when that fails.
fn storm(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storm"));
    command.args(args).env_remove("STORM_ACCESS_TOKEN").env_remove("STORM_REFRESH_TOKEN");
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(command.output()));
    wait.recv_timeout(Duration::from_secs(120)).expect("storm hangs").expect("storm runs")
}

/// A storm against this server, as JSON.
fn against(server: &TestServer, tokens: &Tokens, more: &[&str]) -> (Output, Value) {
    let (api, endpoint) = (server.api("/notes"), server.token_endpoint());
    let mut args = vec!["--backend", "reqwest", "--json", "--api", &api, "--token-endpoint", &endpoint];
    args.extend(["--client-id", "storm", "--access-token", tokens.access_token().reveal()]);
    args.extend(["--refresh-token", tokens.refresh_token().unwrap().reveal()]);
    args.extend(more);
    let output = storm(&args);
    let value = serde_json::from_slice(&output.stdout).expect("stdout has one JSON object");
    (output, value)
}

/// Forty requests with an expired token.
fn expired(server: &TestServer, more: &[&str]) -> Value {
    let tokens = server.issue();
    server.expire_access_tokens();
    let mut args = vec!["--requests", "40"];
    args.extend(more);
    let (output, value) = against(server, &tokens, &args);
    assert_eq!(output.status.success(), value["ok"] == 40, "{value}");
    for secret in [tokens.access_token().reveal(), tokens.refresh_token().unwrap().reveal()] {
        let text = [output.stdout.clone(), output.stderr.clone()].concat();
        assert!(!String::from_utf8_lossy(&text).contains(secret), "a token was printed");
    }
    value
}

#[track_caller]
fn assert_numbers(value: &Value, numbers: [u64; 4], errors: &Value) {
    let seen = ["ok", "unauthorized", "refreshes", "replays"].map(|name| value[name].as_u64().unwrap());
    assert_eq!((seen, &value["errors"]), (numbers, errors), "{value}");
    assert_eq!(value["out_of_order"], 0, "{value}");
}

#[test]
fn a_storm_on_its_own_server_is_one_refresh() {
    for late in ["0", "15"] {
        let output = storm(&["--backend", "reqwest", "--requests", "60", "--late", late, "--json"]);

        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_numbers(&value, [60, 60, 1, 60], &json!({}));
        assert_eq!(value["refresh_token"], "rotated");
        assert_eq!(value["backend"], "reqwest");
        assert!(output.status.success());
    }
}

#[test]
fn a_person_sees_the_queue() {
    let output = storm(&["--backend", "reqwest", "--requests", "20"]);

    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["queue", "refresh", "ticket 0", "20 of 20 requests succeeded"] {
        assert!(text.contains(word), "{text}");
    }
}

/// D2: late 401s against a server that revokes the whole family when a refresh token is seen twice.
#[test]
fn a_family_that_is_revoked_on_reuse_survives_late_rejections() {
    let server = TestServer::start().unwrap();

    let value = expired(&server, &["--late", "20"]);

    assert_numbers(&value, [40, 40, 1, 40], &json!({}));
    assert_eq!(server.stats().reuse_detected, 0);
}

/// F1: the server always says 401.
#[test]
fn a_server_that_always_says_401_is_asked_twice_by_each() {
    let server = TestServer::start().unwrap();
    server.always_401(true);

    assert_numbers(&expired(&server, &[]), [0, 80, 1, 40], &json!({"status_401": 40}));
}

/// G1: the refresh token is dead.
#[test]
fn a_dead_refresh_token_ends_the_session() {
    let server = TestServer::start().unwrap();
    server.always_token_answer(Some(TokenAnswer::error("invalid_grant")));

    assert_numbers(&expired(&server, &["--late", "5"]), [0, 40, 1, 0], &json!({"session_ended": 40}));
}

/// G2: a single 503 is noticed by nobody; G4: a proxy's HTML page is not the end.
#[test]
fn a_passing_failure_is_passed_over_and_a_lasting_one_is_unavailable() {
    let server = TestServer::start().unwrap();
    server.next_token_answers([TokenAnswer::status(503)]);
    assert_numbers(&expired(&server, &[]), [40, 40, 2, 40], &json!({}));

    let server = TestServer::start().unwrap();
    server.always_token_answer(Some(TokenAnswer::Html(403)));
    assert_numbers(&expired(&server, &[]), [0, 40, 3, 0], &json!({"refresh_unavailable": 40}));
}

/// G3: the client's registration is wrong.
#[test]
fn a_refused_client_is_misconfigured() {
    let server = TestServer::start().unwrap();
    server.always_token_answer(Some(TokenAnswer::error("invalid_client")));

    assert_numbers(&expired(&server, &[]), [0, 40, 1, 0], &json!({"misconfigured": 40}));
}

/// I8: the answer is lost: within the server's grace it is had by asking again; without one, the session has ended.
#[test]
fn a_lost_answer_is_asked_for_again() {
    for answer in [TokenAnswer::Lost, TokenAnswer::Truncated] {
        let server =
            TestServer::builder().configure(|policy| policy.grace = Duration::from_secs(60)).start().unwrap();
        server.next_token_answers([answer]);
        assert_numbers(&expired(&server, &[]), [40, 40, 2, 40], &json!({}));
    }

    let server = TestServer::start().unwrap();
    server.next_token_answers([TokenAnswer::Lost]);
    assert_numbers(&expired(&server, &[]), [0, 40, 2, 0], &json!({"session_ended": 40}));
}

/// J1: an omitted refresh token is kept.
#[test]
fn a_refresh_token_that_is_not_rotated_is_kept() {
    let server = TestServer::builder().configure(|policy| policy.rotate = false).start().unwrap();

    let value = expired(&server, &[]);

    assert_numbers(&value, [40, 40, 1, 40], &json!({}));
    assert_eq!(value["refresh_token"], "kept");
}

/// F10: a server that asks to be left alone for longer than a request can wait.
#[test]
fn a_long_retry_after_is_not_waited_for() {
    let server = TestServer::start().unwrap();
    server.always_token_answer(Some(TokenAnswer::Status {
        status: 429,
        retry_after: Some("3600".to_owned()),
        content_type: None,
        body: String::new(),
    }));

    assert_numbers(&expired(&server, &[]), [0, 40, 1, 0], &json!({"refresh_unavailable": 40}));
}

#[test]
fn what_the_token_endpoint_makes_up_is_unavailable() {
    let server = TestServer::start().unwrap();
    server.always_token_answer(Some(TokenAnswer::Nonsense("42".into())));

    assert_numbers(&expired(&server, &[]), [0, 40, 3, 0], &json!({"refresh_unavailable": 40}));
}

#[test]
fn a_final_status_that_is_no_success_is_counted_by_its_number() {
    let server = TestServer::start().unwrap();
    server.always_api_answer(Some(ApiAnswer::status(500)));

    assert_numbers(&expired(&server, &[]), [0, 0, 0, 0], &json!({"status_500": 40}));
}

/// B10: a server that is gone is a sentence, and no refresh.
#[test]
fn a_server_that_is_gone_is_a_sentence() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    let (api, endpoint) = (server.api("/notes"), server.token_endpoint());
    drop(server);

    let output = storm(&[
        "--backend",
        "reqwest",
        "--json",
        "--requests",
        "3",
        "--api",
        &api,
        "--token-endpoint",
        &endpoint,
        "--client-id",
        "storm",
        "--access-token",
        tokens.access_token().reveal(),
        "--refresh-token",
        "R",
    ]);

    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_numbers(&value, [0, 0, 0, 0], &json!({"transport": 3}));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("connection") && !said.contains("panicked"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn tokens_may_come_from_the_environment() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    let mut command = Command::new(env!("CARGO_BIN_EXE_storm"));
    command
        .args(["--backend", "reqwest", "--json", "--requests", "2", "--client-id", "storm"])
        .args(["--api", &server.api("/notes"), "--token-endpoint", &server.token_endpoint()])
        .env("STORM_ACCESS_TOKEN", tokens.access_token().reveal())
        .env("STORM_REFRESH_TOKEN", tokens.refresh_token().unwrap().reveal());

    let value: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();

    assert_numbers(&value, [2, 0, 0, 0], &json!({}));
}

#[test]
fn wrong_usage_says_so_and_prints_nothing() {
    for args in [&["--requests", "0"][..], &["--backend", "telnet"], &["--api", "::"], &["--late", "100"]] {
        let output = storm(args);

        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}
