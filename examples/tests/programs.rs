//! The small programs: each ends well, in time, and says what it is there to say.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::io::Read as _;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Runs it to its end; one that hangs is ended.
fn run(program: &str, args: &[&str]) -> Output {
    let mut child =
        Command::new(program).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        stdout.read_to_end(&mut out).unwrap();
        stderr.read_to_end(&mut err).unwrap();
        done.send((out, err))
    });
    let Ok((stdout, stderr)) = wait.recv_timeout(Duration::from_secs(60)) else {
        child.kill().unwrap();
        panic!("{program} hangs");
    };
    Output { status: child.wait().unwrap(), stdout, stderr }
}

/// Runs it; these lines, indented or not, are in its output, in this order.
#[track_caller]
fn says(program: &str, lines: &[&str]) {
    let output = run(program, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();

    let mut said = text.lines().map(str::trim);
    for line in lines {
        assert!(
            said.any(|said| said == *line),
            "{line:?} is missing, or in another place:\n{text}{complaints}"
        );
    }
    assert!(output.status.success(), "{text}{complaints}");
    assert!(complaints.is_empty(), "{complaints}");
}

#[test]
fn notes() {
    says(
        env!("CARGO_BIN_EXE_notes"),
        &[
            "over reqwest:",
            "over isahc:",
            "made note 1: Milk",
            "the token expired: calls rejected: 8, refreshes: 1",
            "calls answered: 8",
            "it expired again: 23 bytes were streamed a second time",
            "deleted, and so not found",
            "the server ended the session: please sign in",
            "the hook goes to the login page: the refresh token was rejected",
        ],
    );
}

#[test]
fn notes_names_the_backends_that_there_are() {
    let output = run(env!("CARGO_BIN_EXE_notes"), &["telnet"]);

    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("reqwest"));
}

#[test]
fn trouble() {
    says(
        env!("CARGO_BIN_EXE_trouble"),
        &[
            "== 1. Quiet: the token is renewed before it expires, and nobody waits",
            "15:00.000  alice has made 30 requests: 30 answered",
            "15:00.000  the token endpoint goes down; the API stays up",
            "18:30.280  alice's request fails: the token could not be refreshed now. Advice: try again in 60 s",
            "25:00.000  the token endpoint is back",
            "29:12.000  8 of 8 are answered; token requests: 1",
            "30:00.240  1 of 1 is answered",
            "32:12.800  alice's request is answered 401",
            "32:15.840  alice's request fails: the server rejects every new token. Advice: try again in 14 s",
            "42:30.520  the app goes to the login page",
            "44:01.000  alice signs out, while the token endpoint thinks about it",
            "44:02.040  5 of bob's 5 requests are answered",
            "44:04.080  tokens that are nobody's any more are revoked at the server",
            "44:06.000  0 of alice's 4 requests are answered: none was sent as bob",
            "60:00.040  bob is back: 1 of 1 is answered, and did not wait",
            "10  auth.client.refreshes auth.refresh.outcome=refreshed",
            "held  one refresh at a time: 25 token requests (11 granted, 1 refused, 12 in the outage, 1 lost)",
            "held  nothing is sent as somebody else: 115 requests have reached the API",
        ],
    );
}

#[test]
fn the_trouble_is_the_same_each_time_and_shows_no_token() {
    let (one, two) = (run(env!("CARGO_BIN_EXE_trouble"), &[]), run(env!("CARGO_BIN_EXE_trouble"), &[]));

    assert_eq!(one.stdout, two.stdout);
    let text = String::from_utf8(one.stdout).unwrap();
    for token in ["access-", "refresh-"] {
        assert!(!text.contains(token), "{token}… is in {text}");
    }
}

#[test]
fn custom_store() {
    says(
        env!("CARGO_BIN_EXE_custom_store"),
        &[
            "first run: signed in; the token expired; served with T1",
            "second run: nobody had to sign in; served with T1",
            "signed out: 0 entries in the keyring",
            "third run: nobody is signed in",
        ],
    );
}

#[test]
fn custom_challenge() {
    says(
        env!("CARGO_BIN_EXE_custom_challenge"),
        &[
            "the API says 400 TOKEN_EXPIRED: the caller sees 200 OK; refreshes: 1",
            "the API says 419: the caller sees 200 OK; refreshes: 1",
            "the API says 400 TITLE_MISSING: the caller sees 400 Bad Request; refreshes: 0",
            r#"its body is whole: {"code": "TITLE_MISSING"}"#,
        ],
    );
}

#[test]
fn another_scheme() {
    says(
        env!("CARGO_BIN_EXE_another_scheme"),
        &[
            "a header of another name:",
            "sent with x-api-token: T0",
            "sent with x-api-token: T1",
            "answered with 200 OK",
            "a header more:",
            "sent with x-api-token: T0, x-tenant: acme",
            "sent with x-api-token: T1, x-tenant: acme",
            "answered with 200 OK",
        ],
    );
}

#[test]
fn sign_out() {
    says(
        env!("CARGO_BIN_EXE_sign_out"),
        &[
            "three requests wait for the refresh; the user signs out",
            "a request: nobody is signed in",
            "a request: nobody is signed in",
            "a request: nobody is signed in",
            "the refresh ends: its tokens work (true), and are offered for revocation",
            "the session: SignedOut",
            "the next request: nobody is signed in",
            "requests that the API has seen: 3, none of them twice",
        ],
    );
}

#[test]
fn two_tenants() {
    says(
        env!("CARGO_BIN_EXE_two_tenants"),
        &[
            "both tokens expired: 10 of 10 calls answered",
            "refreshes: 2, one for each",
            "requests that carried the other's token: 0",
            "bob signs out",
            "alice: 200 OK",
            "bob: nobody is signed in",
        ],
    );
}
