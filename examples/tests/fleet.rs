//! `fleet` as a script sees it: its numbers, its exit status, and what it says.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

/// Runs the program. Each wait in it has a deadline of its own; this one is for when that fails.
fn fleet(change: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    change(&mut command);
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(command.output()));
    wait.recv_timeout(Duration::from_secs(600)).expect("fleet hangs").expect("fleet runs")
}

fn numbers(line: &str) -> (Value, String) {
    let output = fleet(|command| {
        command.args(line.split_whitespace()).arg("--json");
    });
    let complaints = String::from_utf8(output.stderr).unwrap();
    let numbers: Value = serde_json::from_slice(&output.stdout).expect("stdout has one JSON object");
    assert!(output.status.success(), "{numbers}\n{complaints}");
    (numbers, complaints)
}

#[track_caller]
fn refresh_once_a_round(store: &str) {
    let (numbers, complaints) = numbers(&format!("--processes 8 --store {store} --rounds 30"));

    assert_eq!(
        numbers,
        json!({
            "processes": 8, "rounds": 30, "refreshes": 30, "reuse_detected": 0, "sessions_lost": 0,
            "lost_answers": 0, "requests": 240, "failed": 0,
        })
    );
    assert_eq!(complaints, "");
}

/// K5, on a file: one refresh a round.
#[test]
fn processes_on_one_file_refresh_once_a_round() {
    refresh_once_a_round("file");
}

/// K5, on Redis.
#[test]
fn processes_on_one_redis_refresh_once_a_round() {
    refresh_once_a_round("redis");
}

/// K15: whoever is killed, and wherever, nothing is lost but what died with them; and that is said.
#[track_caller]
fn survives(line: &str, processes: u64, rounds: u64) {
    let (numbers, complaints) = numbers(line);

    let number = |name: &str| numbers[name].as_u64().unwrap();
    assert_eq!(number("requests"), processes * rounds, "{numbers}");
    // One that was killed before it was answered left its round to another.
    assert!((rounds..=2 * rounds).contains(&number("refreshes")), "{numbers}");
    let explained = complaints.lines().filter(|line| line.contains("the only copy died with it")).count();
    assert_eq!(number("lost_answers"), explained as u64, "{complaints}");
    assert_eq!(complaints.lines().count(), explained, "and nothing else: {complaints}");
}

#[test]
fn processes_on_one_file_that_are_killed_lose_nothing_else() {
    survives("--processes 5 --store file --rounds 60 --kill --seed 1", 5, 60);
}

#[test]
fn processes_on_one_redis_that_are_killed_lose_nothing_else() {
    survives("--processes 5 --store redis --rounds 20 --kill --seed 3", 5, 20);
}

#[test]
fn for_a_person_it_says_the_same_in_words_and_names_the_seed() {
    let output = fleet(|command| {
        command.args(["--processes", "2", "--rounds", "3", "--kill", "--seed", "5"]);
    });

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("2 processes on one file, whose token expired 3 times\n"), "{text}");
    assert!(text.contains("--seed 5"), "{text}");
    assert!(text.contains("6  requests"), "{text}");
    assert!(output.status.success());
}

#[test]
fn what_cannot_be_done_is_said() {
    let output = fleet(|command| {
        command.args(["--store", "memory"]);
    });
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("there are file and redis"));

    let output = fleet(|command| {
        command.args(["--store", "redis"]).env("PATH", "");
    });
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("apt-get install redis-server"));
    assert!(output.stdout.is_empty());
}
