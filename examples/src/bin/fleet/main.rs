//! A fleet: processes that share one sign-in through a store, while its token expires again and again, and while some of them
//! are killed.
//!
//! Starts its own authorization server, which revokes everything when it sees a spent refresh token again, and where the store is
//! Redis its own `redis-server`. Prints what happened for a person, or with `--json` one object.

mod args;
mod books;
mod killer;
mod report;
mod run;
mod store;

use std::io::Write as _;
use std::process::ExitCode;

use auth_testkit::processes;

use crate::args::{Command, Usage};

fn main() -> ExitCode {
    // In a process of the fleet this is all there is.
    processes::member(|opening| store::open(opening.address, opening.lease));

    let plan = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(plan)) => plan,
        Ok(Command::Help) => {
            print(args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(Usage(message)) => {
            complain(&format!("{message} (see fleet --help)"));
            return ExitCode::from(2);
        }
    };
    let report = match run::run(&plan) {
        Ok(report) => report,
        Err(problem) => {
            complain(&problem);
            return ExitCode::FAILURE;
        }
    };
    report.sentences.iter().for_each(|sentence| complain(sentence));
    print(&if plan.json { report.to_json() } else { report.to_string() });
    if report.all_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A reader that has gone away is no reason to panic.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "fleet: {text}");
}
