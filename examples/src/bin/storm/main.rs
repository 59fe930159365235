//! A storm: many requests at once with a token that has just expired; one refresh, and every request sent again in its turn.
//!
//! Starts a real authorization and resource server on loopback, or takes yours (`--api`). Prints what happened for a person,
//! or with `--json` one object for each backend.

mod args;
mod backend;
mod gate;
mod refresher;
mod report;
mod run;
mod tape;
mod timeline;

use std::io::Write as _;
use std::process::ExitCode;

use crate::args::{Command, Usage};

fn main() -> ExitCode {
    let plan = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(plan)) => plan,
        Ok(Command::Help) => {
            print(args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(Usage(message)) => {
            complain(&format!("storm: {message} (see storm --help)"));
            return ExitCode::from(2);
        }
    };
    let mut all_well = true;
    for backend in &plan.backends {
        let report = match backend::run(*backend, &plan) {
            Ok(report) => report,
            Err(problem) => {
                complain(&format!("storm: {problem}"));
                return ExitCode::FAILURE;
            }
        };
        for sentence in &report.sentences {
            complain(&format!("storm: {sentence}"));
        }
        if plan.json {
            print(&report.to_json());
        } else {
            print(&timeline::draw(&report));
        }
        all_well &= report.all_well();
    }
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A reader that has gone away is no reason to panic.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
