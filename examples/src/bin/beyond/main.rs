//! Beyond one machine: a day of many sessions on many processes with one store and one authorization server, in virtual
//! time, measured beside the formulas that say what a million sessions would come to.
//!
//! The library is the real one; the store, the server and the clock are simulated. What it has to do with you stands in
//! `docs/beyond.md`.

mod args;
mod authority;
mod day;
mod formula;
mod machine;
mod memory;
mod plot;
mod report;
mod store;

use std::io::Write as _;
use std::process::ExitCode;

use crate::args::{Command, Job, Usage};
use crate::day::Day;
use crate::memory::Memory;

fn main() -> ExitCode {
    let job = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(job)) => job,
        Ok(Command::Help) => {
            print(args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(Usage(message)) => {
            complain(&format!("beyond: {message} (see beyond --help)"));
            return ExitCode::from(2);
        }
    };
    let days: Vec<Day> = job.plans.iter().map(|plan| day::run(*plan)).collect();
    let memories = memories(&job);
    if job.json {
        print(&report::to_json(&days, &memories));
    } else {
        print(report::tables(&days, &memories).trim_end());
    }
    if let Some(file) = &job.svg
        && let Err(error) = std::fs::write(file, plot::draw(&days, &memories))
    {
        complain(&format!("beyond: {} cannot be written: {error}", file.display()));
        return ExitCode::FAILURE;
    }
    if days.iter().all(|day| day.wrong.is_nothing()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// For each number of sessions and each way to refresh, once.
fn memories(job: &Job) -> Vec<Memory> {
    let mut kinds: Vec<_> =
        job.plans.iter().map(|plan| (plan.sessions, plan.refreshing, plan.seed)).collect();
    kinds.dedup();
    kinds.into_iter().map(|(sessions, refreshing, seed)| memory::idle(sessions, refreshing, seed)).collect()
}

/// A reader that has gone away is no reason to panic.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
