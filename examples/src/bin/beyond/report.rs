//! What a person reads, as tables in Markdown, and what a script reads: the measured beside the expected.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::day::Day;
use crate::formula::expected;
use crate::memory::Memory;

/// The numbers of a day that have a formula.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) mean: f64,
    pub(crate) first_peak: u32,
    pub(crate) last_peak: u32,
}

impl Day {
    pub(crate) fn measured(&self) -> Measured {
        let seconds = self.plan.hours as usize * 3600;
        let highest = |from: usize, to: usize| {
            let to = to.min(self.by_second.len());
            self.by_second.get(from..to).and_then(|part| part.iter().max()).copied().unwrap_or(0)
        };
        Measured {
            mean: f64::from(self.by_second.iter().sum::<u32>()) / seconds as f64,
            first_peak: highest(0, 3600),
            last_peak: highest(seconds - 3600, seconds),
        }
    }

    /// How long those that waited for a lock have waited, on average.
    fn mean_wait(&self) -> Duration {
        u32::try_from(self.waits.waited)
            .ok()
            .and_then(|count| self.waits.total.checked_div(count))
            .unwrap_or_default()
    }
}

/// The tables: one line for each run, the formula's number in brackets behind the measured one.
pub(crate) fn tables(days: &[Day], memories: &[Memory]) -> String {
    let mut text = String::new();
    line(
        &mut text,
        &[
            "sessions",
            "processes",
            "refreshed",
            "jitter",
            "token requests/s",
            "highest second, first lifetime",
            "highest second, last hour",
            "for each session",
        ]
        .map(str::to_owned),
    );
    text.push_str("| ---: | ---: | --- | --- | ---: | ---: | ---: | ---: |\n");
    for day in days {
        let (measured, expected) = (day.measured(), expected(&day.plan));
        let cells = [
            format!("{}", day.plan.sessions),
            processes(day),
            day.plan.refreshing.name().to_owned(),
            day.plan.jitter.name().to_owned(),
            format!("{:.3} ({:.3})", measured.mean, expected.mean),
            format!("{} ({:.0})", measured.first_peak, expected.first_peak),
            format!("{} ({:.0})", measured.last_peak, expected.last_peak),
            if day.fewest == day.most {
                format!("{}", day.most)
            } else {
                format!("{} to {}", day.fewest, day.most)
            },
        ];
        line(&mut text, &cells);
    }
    text.push('\n');
    line(
        &mut text,
        &[
            "sessions",
            "processes",
            "refreshed",
            "jitter",
            "locks",
            "waited",
            "mean wait",
            "longest wait",
            "API requests",
            "delayed",
            "longest",
            "wrong",
        ]
        .map(str::to_owned),
    );
    text.push_str("| ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for day in days {
        let expected = expected(&day.plan);
        let cells = [
            format!("{}", day.plan.sessions),
            processes(day),
            day.plan.refreshing.name().to_owned(),
            day.plan.jitter.name().to_owned(),
            format!("{}", day.waits.locks),
            format!("{}", day.waits.waited),
            ms(day.mean_wait()),
            format!("{} ({})", ms(day.waits.longest), ms(expected.longest_wait)),
            format!("{}", day.requests),
            format!("{}", day.delayed),
            ms(day.longest_delay),
            wrong(day),
        ];
        line(&mut text, &cells);
    }
    text.push('\n');
    line(
        &mut text,
        &[
            "idle sessions",
            "refreshed",
            "bytes",
            "for each",
            "allocations for each",
            "for each further thread",
        ]
        .map(str::to_owned),
    );
    text.push_str("| ---: | --- | ---: | ---: | ---: | ---: |\n");
    for memory in memories {
        let each = |sum: i64| sum as f64 / f64::from(memory.sessions);
        let cells = [
            format!("{}", memory.sessions),
            memory.refreshing.name().to_owned(),
            format!("{}", memory.bytes),
            format!("{:.0}", each(memory.bytes)),
            format!("{:.1}", each(memory.allocations)),
            format!("{:.0}", each(memory.thread)),
        ];
        line(&mut text, &cells);
    }
    text
}

fn line(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn processes(day: &Day) -> String {
    format!("{} of {}", day.plan.homes, day.plan.processes)
}

fn ms(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}

fn wrong(day: &Day) -> String {
    if day.wrong.is_nothing() { "nothing".to_owned() } else { format!("{:?}", day.wrong) }
}

/// One object.
pub(crate) fn to_json(days: &[Day], memories: &[Memory]) -> String {
    let days: Vec<Value> = days.iter().map(day_to_json).collect();
    let memories: Vec<Value> = memories
        .iter()
        .map(|memory| {
            json!({
                "sessions": memory.sessions,
                "refreshed": memory.refreshing.name(),
                "bytes": memory.bytes,
                "allocations": memory.allocations,
                "bytes_for_each_further_thread": memory.thread,
            })
        })
        .collect();
    json!({ "runs": days, "idle_memory": memories }).to_string()
}

fn day_to_json(day: &Day) -> Value {
    let (plan, measured, expected, wrong) = (day.plan, day.measured(), expected(&day.plan), day.wrong);
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    json!({
        "sessions": plan.sessions,
        "processes": plan.processes,
        "homes": plan.homes,
        "hours": plan.hours,
        "window_s": plan.window,
        "seed": plan.seed,
        "refreshed": plan.refreshing.name(),
        "jitter": plan.jitter.name(),
        "token_requests": day.by_second.iter().map(|count| u64::from(*count)).sum::<u64>(),
        "token_requests_a_second": measured.mean,
        "highest_second_first_lifetime": measured.first_peak,
        "highest_second_last_hour": measured.last_peak,
        "fewest_for_a_session": day.fewest,
        "most_for_a_session": day.most,
        "api_requests": day.requests,
        "delayed": day.delayed,
        "longest_delay_ms": ms(day.longest_delay),
        "adopted": day.adopted,
        "locks": day.waits.locks,
        "lock_waits": day.waits.waited,
        "mean_lock_wait_ms": ms(day.mean_wait()),
        "longest_lock_wait_ms": ms(day.waits.longest),
        "expected": {
            "token_requests_a_second": expected.mean,
            "highest_second_first_lifetime": expected.first_peak,
            "highest_second_last_hour": expected.last_peak,
            "longest_lock_wait_ms": ms(expected.longest_wait),
        },
        "wrong": {
            "lost": wrong.lost,
            "reuses": wrong.reuses,
            "overlaps": wrong.overlaps,
            "refused": wrong.refused,
            "failed": wrong.failed,
        },
    })
}
