//! Runs seeded worlds, and says what broke.
//!
//! ```text
//! cargo run --release -p auth-testkit --example simulate -- --seeds 10000
//! cargo run --release -p auth-testkit --example simulate -- --seeds 1000 --break double-refresh --html broken.html
//! cargo run --release -p auth-testkit --example simulate -- --plan plan.json
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

use std::process::ExitCode;

use auth_core::Fault;
use auth_testkit::simulation::{Counts, Plan, Run, Simulation};
use lexopt::prelude::*;

const HELP: &str = "\
simulate: runs seeded worlds of sessions, servers and stores, and says what broke.

    --seeds N       how many worlds (default: 1000)
    --start S       the first seed (default: 0)
    --plan FILE     this plan (JSON) instead of seeds
    --break NAME    with a known bug in the library: the check that the check can fail
    --json          prints one object at the end, and nothing else on stdout
    --html FILE     writes the first failing world, else the last, as a page
    --quiet         no timeline of what failed

Exit status: 0 if every promise was kept, 1 if one was broken, 2 if it could not run.";

#[derive(Default)]
struct Args {
    seeds: Option<u64>,
    start: u64,
    plan: Option<String>,
    fault: Option<Fault>,
    json: bool,
    html: Option<String>,
    quiet: bool,
}

fn main() -> ExitCode {
    match args().and_then(|args| args.map_or(Ok(ExitCode::SUCCESS), |args| simulate(&args))) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("simulate: {error}");
            ExitCode::from(2)
        }
    }
}

fn args() -> Result<Option<Args>, Box<dyn std::error::Error>> {
    let mut args = Args::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("seeds") => args.seeds = Some(parser.value()?.parse()?),
            Long("start") => args.start = parser.value()?.parse()?,
            Long("plan") => args.plan = Some(parser.value()?.string()?),
            Long("break") => args.fault = Some(fault(&parser.value()?.string()?)?),
            Long("json") => args.json = true,
            Long("html") => args.html = Some(parser.value()?.string()?),
            Long("quiet") => args.quiet = true,
            Short('h') | Long("help") => {
                println!("{HELP}");
                return Ok(None);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if args.plan.is_some() && args.seeds.is_some() {
        return Err("either --plan or --seeds".into());
    }
    Ok(Some(args))
}

fn fault(name: &str) -> Result<Fault, String> {
    let names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    name.parse().map_err(|_| format!("--break: there is no {name:?}, only {}", names.join(", ")))
}

fn simulate(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let fault = args.fault;
    let simulation = Simulation::new().session(move |parts| {
        let builder = parts.builder(parts.refresher());
        match fault {
            Some(fault) => builder.plant(fault),
            None => builder,
        }
    });

    let (counts, failure, last) = if let Some(file) = &args.plan {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let plan = Plan::from_json(&text).map_err(|error| {
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!("{file}: {error}: {why}")
        })?;
        let run = simulation.run(&plan);
        (run.counts(), run.violation.is_some().then(|| (None, run.clone())), Some(run))
    } else {
        let end = args.start.checked_add(args.seeds.unwrap_or(1_000)).ok_or("more seeds than there are")?;
        let report = simulation.seeds(args.start..end);
        let failure = report.first_failure.map(|(seed, run)| (Some(seed), run));
        (report.counts, failure, report.last)
    };

    if let (Some((seed, run)), false) = (&failure, args.quiet) {
        explain(&simulation, *seed, run);
    }
    let shown = failure.as_ref().map(|(_, run)| run).or(last.as_ref());
    if let (Some(file), Some(run)) = (&args.html, shown) {
        std::fs::write(file, run.html()).map_err(|error| format!("{file}: {error}"))?;
    }
    let first = failure.as_ref().and_then(|(seed, _)| *seed);
    if args.json {
        println!("{}", json(&counts, first));
    } else {
        say(&counts, first);
    }
    Ok(if counts.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// On stderr: the shortest plan that breaks the same promise, and what happens in it.
fn explain(simulation: &Simulation, seed: Option<u64>, run: &Run) {
    if let Some(seed) = seed {
        eprintln!("seed {seed} broke a promise; the shortest plan that breaks the same:\n");
    }
    let short = simulation.run(&simulation.shrink(&run.plan));
    eprintln!("{short}");
}

fn say(counts: &Counts, first: Option<u64>) {
    println!(
        "{} worlds: {} requests, {} refreshes, {} cancellations, {} faults",
        counts.worlds, counts.requests, counts.refreshes, counts.cancellations, counts.faults
    );
    match (counts.violations, first) {
        (0, _) => println!("every promise was kept"),
        (some, Some(seed)) => println!("a promise was broken in {some} of them, first with seed {seed}"),
        (some, None) => println!("a promise was broken in {some} of them"),
    }
}

fn json(counts: &Counts, first: Option<u64>) -> serde_json::Value {
    serde_json::json!({
        "worlds": counts.worlds,
        "requests": counts.requests,
        "refreshes": counts.refreshes,
        "cancellations": counts.cancellations,
        "faults_injected": counts.faults,
        "violations": counts.violations,
        "first_failing_seed": first,
    })
}
