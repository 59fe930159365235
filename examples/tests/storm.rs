//! `storm` as a script sees it: its numbers, its exit status, and what it says, whatever the server does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::process::{Command, Output, Stdio};
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
fn against(backend: &str, server: &TestServer, tokens: &Tokens, more: &[&str]) -> (Output, Value) {
    let (api, endpoint) = (server.api("/notes"), server.token_endpoint());
    let mut args = vec!["--backend", backend, "--json", "--api", &api, "--token-endpoint", &endpoint];
    args.extend(["--client-id", "storm", "--access-token", tokens.access_token().reveal()]);
    args.extend(["--refresh-token", tokens.refresh_token().unwrap().reveal()]);
    args.extend(more);
    let output = storm(&args);
    let value = serde_json::from_slice(&output.stdout).expect("stdout has one JSON object");
    (output, value)
}

/// Forty requests with an expired token.
fn expired(backend: &str, server: &TestServer, more: &[&str]) -> Value {
    let tokens = server.issue();
    server.expire_access_tokens();
    let mut args = vec!["--requests", "40"];
    args.extend(more);
    let (output, value) = against(backend, server, &tokens, &args);
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

/// Each is a test of each backend: `reqwest::…` and `isahc::…`.
macro_rules! on_each_backend {
    ($($(#[doc = $doc:expr])* fn $name:ident($backend:ident: &str) $body:block)*) => {
        $($(#[doc = $doc])* fn $name($backend: &str) $body)*

        mod reqwest {
            $(#[test] fn $name() { super::$name("reqwest"); })*
        }

        mod isahc {
            $(#[test] fn $name() { super::$name("isahc"); })*
        }
    };
}

on_each_backend! {
    fn a_storm_on_its_own_server_is_one_refresh(backend: &str) {
        for late in ["0", "15"] {
            let output = storm(&["--backend", backend, "--requests", "60", "--late", late, "--json"]);

            let value: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_numbers(&value, [60, 60, 1, 60], &json!({}));
            assert_eq!(value["refresh_token"], "rotated");
            assert_eq!(value["backend"], backend);
            assert!(output.status.success());
        }
    }

    fn a_person_sees_the_queue(backend: &str) {
        let output = storm(&["--backend", backend, "--requests", "20"]);

        let text = String::from_utf8(output.stdout).unwrap();
        for word in ["queue", "refresh", "ticket 0", "20 of 20 requests succeeded"] {
            assert!(text.contains(word), "{text}");
        }
    }

    /// D2: late 401s against a server that revokes the whole family when a refresh token is seen twice.
    fn a_family_that_is_revoked_on_reuse_survives_late_rejections(backend: &str) {
        let server = TestServer::start().unwrap();

        let value = expired(backend, &server, &["--late", "20"]);

        assert_numbers(&value, [40, 40, 1, 40], &json!({}));
        assert_eq!(server.stats().reuse_detected, 0);
    }

    /// F1: the server always says 401.
    fn a_server_that_always_says_401_is_asked_twice_by_each(backend: &str) {
        let server = TestServer::start().unwrap();
        server.always_401(true);

        assert_numbers(&expired(backend, &server, &[]), [0, 80, 1, 40], &json!({"status_401": 40}));
    }

    /// G1: the refresh token is dead.
    fn a_dead_refresh_token_ends_the_session(backend: &str) {
        let server = TestServer::start().unwrap();
        server.always_token_answer(Some(TokenAnswer::error("invalid_grant")));

        assert_numbers(&expired(backend, &server, &["--late", "5"]), [0, 40, 1, 0], &json!({"session_ended": 40}));
    }

    /// G2: a single 503 is noticed by nobody; G4: a proxy's HTML page is not the end.
    fn a_passing_failure_is_passed_over_and_a_lasting_one_is_unavailable(backend: &str) {
        let server = TestServer::start().unwrap();
        server.next_token_answers([TokenAnswer::status(503)]);
        assert_numbers(&expired(backend, &server, &[]), [40, 40, 2, 40], &json!({}));

        let server = TestServer::start().unwrap();
        server.always_token_answer(Some(TokenAnswer::Html(403)));
        assert_numbers(&expired(backend, &server, &[]), [0, 40, 3, 0], &json!({"refresh_unavailable": 40}));
    }

    /// G3: the client's registration is wrong.
    fn a_refused_client_is_misconfigured(backend: &str) {
        let server = TestServer::start().unwrap();
        server.always_token_answer(Some(TokenAnswer::error("invalid_client")));

        assert_numbers(&expired(backend, &server, &[]), [0, 40, 1, 0], &json!({"misconfigured": 40}));
    }

    /// I8: the answer is lost: within the server's grace it is had by asking again; without one, the session has ended.
    fn a_lost_answer_is_asked_for_again(backend: &str) {
        for answer in [TokenAnswer::Lost, TokenAnswer::Truncated] {
            let server =
                TestServer::builder().configure(|policy| policy.grace = Duration::from_secs(60)).start().unwrap();
            server.next_token_answers([answer]);
            assert_numbers(&expired(backend, &server, &[]), [40, 40, 2, 40], &json!({}));
        }

        let server = TestServer::start().unwrap();
        server.next_token_answers([TokenAnswer::Lost]);
        assert_numbers(&expired(backend, &server, &[]), [0, 40, 2, 0], &json!({"session_ended": 40}));
    }

    /// J1: an omitted refresh token is kept.
    fn a_refresh_token_that_is_not_rotated_is_kept(backend: &str) {
        let server = TestServer::builder().configure(|policy| policy.rotate = false).start().unwrap();

        let value = expired(backend, &server, &[]);

        assert_numbers(&value, [40, 40, 1, 40], &json!({}));
        assert_eq!(value["refresh_token"], "kept");
    }

    /// F10: a server that asks to be left alone for longer than a request can wait.
    fn a_long_retry_after_is_not_waited_for(backend: &str) {
        let server = TestServer::start().unwrap();
        server.always_token_answer(Some(TokenAnswer::Status {
            status: 429,
            retry_after: Some("3600".to_owned()),
            content_type: None,
            body: String::new(),
        }));

        assert_numbers(&expired(backend, &server, &[]), [0, 40, 1, 0], &json!({"refresh_unavailable": 40}));
    }

    fn what_the_token_endpoint_makes_up_is_unavailable(backend: &str) {
        let server = TestServer::start().unwrap();
        server.always_token_answer(Some(TokenAnswer::Nonsense("42".into())));

        assert_numbers(&expired(backend, &server, &[]), [0, 40, 3, 0], &json!({"refresh_unavailable": 40}));
    }

    fn a_final_status_that_is_no_success_is_counted_by_its_number(backend: &str) {
        let server = TestServer::start().unwrap();
        server.always_api_answer(Some(ApiAnswer::status(500)));

        assert_numbers(&expired(backend, &server, &[]), [0, 0, 0, 0], &json!({"status_500": 40}));
    }

    /// B10: a server that is gone is a sentence, and no refresh.
    fn a_server_that_is_gone_is_a_sentence(backend: &str) {
        let server = TestServer::start().unwrap();
        let tokens = server.issue();
        let (api, endpoint) = (server.api("/notes"), server.token_endpoint());
        drop(server);

        let output = storm(&[
            "--backend",
            backend,
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

    fn tokens_may_come_from_the_environment(backend: &str) {
        let server = TestServer::start().unwrap();
        let tokens = server.issue();
        let mut command = Command::new(env!("CARGO_BIN_EXE_storm"));
        command
            .args(["--backend", backend, "--json", "--requests", "2", "--client-id", "storm"])
            .args(["--api", &server.api("/notes"), "--token-endpoint", &server.token_endpoint()])
            .env("STORM_ACCESS_TOKEN", tokens.access_token().reveal())
            .env("STORM_REFRESH_TOKEN", tokens.refresh_token().unwrap().reveal());

        let value: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();

        assert_numbers(&value, [2, 0, 0, 0], &json!({}));
    }
}

#[test]
fn wrong_usage_says_so_and_prints_nothing() {
    let yours = ["--token-endpoint", "http://localhost/t", "--client-id", "c"];
    let without_one = [&["--api", "http://localhost/"][..], &yours].concat();
    let with_both = [&without_one[..], &["--backend", "both"]].concat();
    for args in [
        &["--requests", "0"][..],
        &["--backend", "telnet"],
        &["--api", "::"],
        &["--late", "100"],
        &without_one,
        &with_both,
    ] {
        let output = storm(args);

        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn both_backends_run_in_turn() {
    let output = storm(&["--requests", "20", "--json"]);

    let text = String::from_utf8(output.stdout).unwrap();
    let values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = values.iter().map(|value| value["backend"].as_str().unwrap()).collect();
    assert_eq!(names, ["reqwest", "isahc"]);
    for value in &values {
        assert_numbers(value, [20, 20, 1, 20], &json!({}));
    }
    assert!(output.status.success());
}

/// The storm's threads while its server holds it: on isahc none of them is tokio's.
#[cfg(target_os = "linux")]
#[test]
fn isahc_runs_without_tokio() {
    let threads = |backend: &str| {
        let server = TestServer::start().unwrap();
        server.hold_api();
        let tokens = server.issue();
        let mut child = Command::new(env!("CARGO_BIN_EXE_storm"))
            .args(["--backend", backend, "--json", "--requests", "8", "--client-id", "storm"])
            .args(["--api", &server.api("/notes"), "--token-endpoint", &server.token_endpoint()])
            .env("STORM_ACCESS_TOKEN", tokens.access_token().reveal())
            .env("STORM_REFRESH_TOKEN", tokens.refresh_token().unwrap().reveal())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let held = server.wait_until(|stats| stats.api_held == 8, Duration::from_secs(60));
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
        let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
        server.release_api();

        assert!(child.wait().unwrap().success() && held.is_ok(), "{held:?}");
        names
    };

    assert!(threads("reqwest").iter().any(|name| name.starts_with("tokio")), "the names have changed");
    let names = threads("isahc");
    assert!(names.iter().all(|name| !name.starts_with("tokio")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("isahc")), "{names:?}");
}
