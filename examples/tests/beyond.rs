//! `beyond` on a small scale: three hours of some hundred sessions on five processes, as a script sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

/// Runs the program. No time passes in it but the processor's.
fn beyond(args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beyond"));
    command.args(args.split_whitespace());
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(command.output()));
    wait.recv_timeout(Duration::from_secs(300)).expect("beyond hangs").expect("beyond runs")
}

/// What a run that goes well prints.
fn measured(args: &str) -> Value {
    let output = beyond(&format!("{args} --json"));
    let value = serde_json::from_slice(&output.stdout).expect("stdout has one JSON object");
    assert!(output.status.success(), "{value}");
    value
}

/// The two runs: with jitter, and without.
fn both(args: &str) -> [Value; 2] {
    let runs = measured(args)["runs"].as_array().unwrap().clone();
    let [drawn, none] = <[Value; 2]>::try_from(runs).expect("two runs");
    assert_eq!((&drawn["jitter"], &none["jitter"]), (&json!("drawn"), &json!("none")));
    [drawn, none]
}

fn number(run: &Value, name: &str) -> f64 {
    run[name].as_f64().unwrap_or_else(|| panic!("{name} is missing: {run}"))
}

#[track_caller]
fn assert_near(run: &Value, name: &str, tolerance: f64) {
    let (measured, expected) = (number(run, name), number(&run["expected"], name));
    assert!(
        (measured / expected - 1.0).abs() < tolerance,
        "{name}: {measured}, and the formula says {expected}"
    );
}

const SMALL: &str = "--sessions 200 --processes 5 --hours 3";

/// A session on three processes is refreshed once a lifetime, and not once for each of them; the others adopt.
#[test]
fn each_session_is_refreshed_once_a_lifetime_whichever_process_does_it() {
    for run in both(&format!("{SMALL} --refreshed timer")) {
        assert_eq!(
            (&run["fewest_for_a_session"], &run["most_for_a_session"]),
            (&json!(3), &json!(3)),
            "{run}"
        );
        assert_eq!(run["token_requests"], 3 * 200, "{run}");
        assert_eq!(run["adopted"], 3 * 200 * 2, "{run}");
        let wrong = json!({ "lost": 0, "reuses": 0, "overlaps": 0, "refused": 0, "failed": 0 });
        assert_eq!(run["wrong"], wrong, "{run}");
    }
}

/// The same where tokens are refreshed when they are used: none more than once a lifetime, and idle ones not at all.
#[test]
fn a_session_that_nobody_uses_makes_no_token_request() {
    for run in both(&format!("{SMALL} --refreshed use")) {
        assert_eq!(
            (&run["fewest_for_a_session"], &run["most_for_a_session"]),
            (&json!(0), &json!(3)),
            "{run}"
        );
        assert!(number(&run, "delayed") < number(&run, "api_requests"), "{run}");
    }
}

#[test]
fn jitter_takes_the_peak_down_and_the_waits_for_locks_away() {
    let [drawn, none] = both(&format!("{SMALL} --refreshed timer"));

    for name in ["highest_second_first_lifetime", "highest_second_last_hour", "lock_waits"] {
        assert!(number(&drawn, name) < number(&none, name), "{name}: {drawn} {none}");
    }
    assert!(number(&none, "lock_waits") >= 3.0 * 200.0 * 2.0, "all three ask at once: {none}");
}

/// What is chance is a tenth of the window.
#[test]
fn a_wider_window_spreads_more() {
    let [usual, wide] = ["", "--window 720"]
        .map(|window| both(&format!("{SMALL} --homes 1 --refreshed timer {window}"))[0].clone());

    for name in ["highest_second_first_lifetime", "highest_second_last_hour"] {
        assert!(number(&wide, name) < number(&usual, name), "{name}: {usual} {wide}");
    }
}

#[test]
fn what_is_measured_follows_the_formula() {
    let [drawn, none] = both("--sessions 400 --processes 8 --hours 11 --refreshed timer");

    for run in [&drawn, &none] {
        assert_near(run, "token_requests_a_second", 0.1);
        assert_near(run, "highest_second_first_lifetime", 0.35);
    }
    assert_near(&none, "longest_lock_wait_ms", 0.01);
}

#[test]
fn idle_sessions_take_so_many_bytes_each() {
    let value = measured("--sessions 50,500 --processes 1 --hours 1 --refreshed use");
    let [few, many] = [0, 1].map(|at| &value["idle_memory"][at]);

    let each = (number(many, "bytes") - number(few, "bytes")) / 450.0;
    // Three texts of a token of 800 characters, and the session.
    assert!((2_400.0..10_000.0).contains(&each), "{each} bytes each: {value}");
}

#[test]
fn the_same_seed_is_the_same_day() {
    let args = "--sessions 40 --processes 4 --hours 3 --seed 7";

    assert_eq!(measured(args)["runs"], measured(args)["runs"]);
}

/// What the locks are for, and that a run which goes wrong is noticed.
#[test]
fn without_locks_tokens_are_presented_twice_and_the_run_fails() {
    let output = beyond("--sessions 20 --processes 3 --hours 2 --refreshed timer --unlocked --json");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(output.status.code(), Some(1), "{value}");
    let wrong = &value["runs"][1]["wrong"];
    for name in ["lost", "reuses", "overlaps"] {
        assert!(number(wrong, name) > 0.0, "{name}: {value}");
    }
}

#[test]
fn the_picture_is_a_file_of_its_own() {
    let file = std::env::temp_dir().join(format!("beyond-{}.svg", std::process::id()));
    let output = beyond(&format!("--sessions 20 --processes 3 --hours 2 --svg {}", file.display()));

    let picture = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success());
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert_eq!(picture.matches("href").count() + picture.matches("url(").count(), 0);
}

#[test]
fn a_wrong_command_line_is_told_from_a_wrong_run() {
    assert_eq!(beyond("--sessions none").status.code(), Some(2));
}
