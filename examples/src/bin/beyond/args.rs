//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::day::{Plan, Refreshing};
use crate::machine::Jitter;
use crate::store::Locking;

pub(crate) const USAGE: &str = "\
usage: beyond [--sessions N[,N...]] [--processes P[,P...]] [--homes H] [--hours H] [--refreshed timer|use|both]
              [--window S] [--seed S] [--unlocked] [--json] [--svg FILE]

Sessions on processes that share one store and one authorization server, in virtual time: how many token requests
there are, who waits for a lock, and what an idle session takes, with and without jitter, beside what the formulas say.

  --sessions N         how many sessions; several numbers, with commas, are as many runs (default: 10000)
  --processes P        how many processes; likewise (default: 50)
  --homes H            on how many of the processes each session lives (default: 3, or all where there are fewer)
  --hours H            how long, in virtual time (default: 24)
  --refreshed WHEN     by a timer, on use, or each in turn: both (default: both)
  --window S           how many seconds before its end a token is refreshed: 30 to 720 of 3600 (default: 300)
  --seed S             decides what the users do and what is drawn (default: 1)
  --unlocked           the store has no locks: to see what they are for
  --json               print one JSON object, and nothing else
  --svg FILE           draw the runs to this file as well

Exit status: 0 if every run went well; 1 if a session was lost, a refresh token presented twice, or a request failed; 2 if
the command line is wrong.";

/// What is wrong with the command line.
pub(crate) struct Usage(pub(crate) String);

pub(crate) enum Command {
    Help,
    Run(Job),
}

/// What to do.
pub(crate) struct Job {
    pub(crate) plans: Vec<Plan>,
    pub(crate) json: bool,
    pub(crate) svg: Option<PathBuf>,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Usage> {
    let (mut sessions, mut processes, mut homes, mut hours) = (vec![10_000], vec![50], 3, 24);
    let (mut window, mut seed) = (300, 1);
    let (mut refreshed, mut locking, mut json, mut svg) =
        (Refreshing::BOTH.to_vec(), Locking::Rows, false, None);
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("sessions") => sessions = numbers("--sessions", &mut parser, 1_000_000)?,
            Long("processes") => processes = numbers("--processes", &mut parser, 10_000)?,
            Long("homes") => homes = number("--homes", &text(&mut parser)?, 10_000)?,
            Long("hours") => hours = number("--hours", &text(&mut parser)?, 24 * 365)?,
            Long("window") => window = number("--window", &text(&mut parser)?, 720)?,
            Long("seed") => {
                seed = text(&mut parser)?.parse().map_err(|_| Usage("--seed takes a number".into()))?;
            }
            Long("refreshed") => refreshed = refreshings(&text(&mut parser)?)?,
            Long("unlocked") => locking = Locking::None,
            Long("json") => json = true,
            Long("svg") => svg = Some(PathBuf::from(parser.value()?)),
            other => return Err(other.unexpected().into()),
        }
    }
    // The last five seconds are no window: there the token counts as expired.
    if window < 30 {
        return Err(Usage("--window is 30 at least".to_owned()));
    }
    let mut plans = Vec::new();
    for refreshing in refreshed {
        for &sessions in &sessions {
            for &processes in &processes {
                let homes = homes.min(processes);
                let plan = |jitter| Plan {
                    sessions,
                    processes,
                    homes,
                    hours,
                    window,
                    seed,
                    refreshing,
                    jitter,
                    locking,
                };
                plans.extend(Jitter::BOTH.map(plan));
            }
        }
    }
    Ok(Command::Run(Job { plans, json, svg }))
}

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

fn refreshings(text: &str) -> Result<Vec<Refreshing>, Usage> {
    match text {
        "timer" => Ok(vec![Refreshing::Timer]),
        "use" => Ok(vec![Refreshing::OnUse]),
        "both" => Ok(Refreshing::BOTH.to_vec()),
        _ => Err(Usage("--refreshed takes timer, use or both".to_owned())),
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, Usage> {
    parser.value()?.into_string().map_err(|_| Usage("a value is not UTF-8".to_owned()))
}

fn numbers(option: &str, parser: &mut lexopt::Parser, most: u32) -> Result<Vec<u32>, Usage> {
    text(parser)?.split(',').map(|each| number(option, each, most)).collect()
}

fn number(option: &str, text: &str, most: u32) -> Result<u32, Usage> {
    let wrong = || Usage(format!("{option} takes a number from 1 to {most}"));
    text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(line: &str) -> Result<Job, String> {
        match parse(line.split_whitespace().map(OsString::from)) {
            Ok(Command::Run(job)) => Ok(job),
            Ok(Command::Help) => Err("help".to_owned()),
            Err(Usage(message)) => Err(message),
        }
    }

    #[test]
    fn nothing_means_a_day_of_ten_thousand_sessions_on_fifty_processes() {
        let job = job("").unwrap();

        let sizes = job.plans.iter().map(|plan| (plan.sessions, plan.processes, plan.homes, plan.hours));
        assert_eq!(sizes.collect::<Vec<_>>(), [(10_000, 50, 3, 24); 4]);
    }

    #[test]
    fn several_numbers_are_as_many_runs_with_and_without_jitter() {
        let job = job("--sessions 10,20 --processes 1,5 --refreshed timer --hours 2").unwrap();

        let runs: Vec<_> =
            job.plans.iter().map(|plan| (plan.sessions, plan.homes, plan.jitter == Jitter::Drawn)).collect();
        let each = |sessions, homes| [(sessions, homes, true), (sessions, homes, false)];
        assert_eq!(runs, [each(10, 1), each(10, 3), each(20, 1), each(20, 3)].concat());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for line in [
            "--sessions 0",
            "--sessions 1,,2",
            "--processes many",
            "--hours",
            "--window 5",
            "--refreshed never",
            "--loud",
            "10",
        ] {
            assert!(job(line).is_err(), "{line} is accepted");
        }
    }
}
