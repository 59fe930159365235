//! The command line.

use std::ffi::OsString;

use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
usage: fleet --processes P --store file|redis [--rounds N] [--kill] [--seed S] [--json]

Starts a server and P processes that share one sign-in through a store. In each round the access token expires, and
every process makes a request: one of them has to refresh, and the others have to notice.

  --processes P   how many processes (default: 8)
  --store S       where they share it: file, or redis, which starts a redis-server of its own (default: file)
  --rounds N      how many times the token expires (default: 20)
  --kill          kill some of the processes, at random points of a refresh; others take their places
  --seed S        which ones, and where (default: other ones each time)
  --json          print one JSON object, and nothing else

Exit status: 0 if no spent refresh token was presented, no sign-in was lost and every request succeeded, except where
the server's answer died with its process; 1 otherwise; 2 if the command line is wrong.";

/// What is wrong with the command line.
pub(crate) struct Usage(pub(crate) String);

pub(crate) enum Command {
    Help,
    Run(Plan),
}

/// What to do.
pub(crate) struct Plan {
    pub(crate) processes: usize,
    pub(crate) store: Store,
    pub(crate) rounds: u64,
    pub(crate) kill: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    File,
    Redis,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Usage> {
    let mut plan =
        Plan { processes: 8, store: Store::File, rounds: 20, kill: false, seed: None, json: false };
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("processes") => plan.processes = number("--processes", &mut parser)?,
            Long("rounds") => plan.rounds = number("--rounds", &mut parser)?,
            Long("seed") => plan.seed = Some(number("--seed", &mut parser)?),
            Long("kill") => plan.kill = true,
            Long("json") => plan.json = true,
            Long("store") => {
                plan.store = match parser.value()?.to_str() {
                    Some("file") => Store::File,
                    Some("redis") => Store::Redis,
                    _ => return Err(Usage("no such store: there are file and redis".to_owned())),
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if plan.processes == 0 {
        return Err(Usage("--processes is 0: nobody would do anything".to_owned()));
    }
    // Whoever is killed needs somebody who goes on.
    if plan.kill && plan.processes == 1 {
        return Err(Usage("--kill needs two --processes at least".to_owned()));
    }
    Ok(Command::Run(plan))
}

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

fn number<T: std::str::FromStr>(option: &str, parser: &mut lexopt::Parser) -> Result<T, Usage> {
    let number = parser.value()?.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Usage(format!("{option} takes a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        match parse(line.split_whitespace().map(OsString::from)) {
            Ok(Command::Run(plan)) => Ok(plan),
            Ok(Command::Help) => Err("help".to_owned()),
            Err(Usage(message)) => Err(message),
        }
    }

    #[test]
    fn what_is_given_is_what_is_done() {
        let plan = plan("--processes 3 --store redis --rounds 7 --kill --seed 9 --json").unwrap();

        assert_eq!((plan.processes, plan.store, plan.rounds), (3, Store::Redis, 7));
        assert_eq!((plan.kill, plan.seed, plan.json), (true, Some(9), true));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--processes 0",
            "--processes many",
            "--processes 1 --kill",
            "--store memory",
            "--store",
            "--rounds -1",
            "--loud",
            "now",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
    }
}
