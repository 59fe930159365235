//! The report: what came of a storm, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::tape::{Life, Record};

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Ok,
    Status(u16),
    Failed(&'static str),
}

pub(crate) struct Report {
    pub(crate) numbers: Numbers,
    pub(crate) late: usize,
    pub(crate) lives: Vec<Life>,
    pub(crate) refreshes: Vec<(Duration, Option<Duration>)>,
    pub(crate) elapsed: Duration,
    /// What a person should know, for stderr.
    pub(crate) sentences: Vec<String>,
}

/// The contract for scripts.
#[derive(Serialize)]
pub(crate) struct Numbers {
    pub(crate) backend: &'static str,
    pub(crate) requests: usize,
    pub(crate) ok: usize,
    pub(crate) unauthorized: u64,
    pub(crate) refreshes: usize,
    pub(crate) replays: u64,
    pub(crate) out_of_order: usize,
    pub(crate) errors: BTreeMap<String, usize>,
    pub(crate) elapsed_ms: u64,
    pub(crate) refresh_token: &'static str,
}

impl Report {
    pub(crate) fn new(
        backend: &'static str,
        late: usize,
        record: &Record,
        endings: &[Option<Ending>],
        elapsed: Duration,
        in_time: bool,
    ) -> Self {
        let mut errors = BTreeMap::new();
        let mut ok = 0;
        for ending in endings {
            let name = match ending {
                Some(Ending::Ok) => {
                    ok += 1;
                    continue;
                }
                Some(Ending::Status(status)) => format!("status_{status}"),
                Some(Ending::Failed(kind)) => (*kind).to_owned(),
                None => "unfinished".to_owned(),
            };
            *errors.entry(name).or_insert(0) += 1;
        }
        let numbers = Numbers {
            backend,
            requests: endings.len(),
            ok,
            unauthorized: record.unauthorized,
            refreshes: record.refreshes.len(),
            replays: record.replays,
            out_of_order: out_of_order(record),
            errors,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            refresh_token: if record.rotated { "rotated" } else { "kept" },
        };
        let mut sentences = record.failures.clone();
        if record.failures.iter().any(|failure| failure.contains("os error 24")) {
            sentences.push("the process ran out of file descriptors: raise the limit (ulimit -n)".to_owned());
        }
        if !in_time {
            sentences.push(format!(
                "after {} s not every request had ended: {}",
                elapsed.as_secs(),
                standing(&record.lives)
            ));
        }
        Self {
            numbers,
            late,
            lives: record.lives.clone(),
            refreshes: record.refreshes.clone(),
            elapsed,
            sentences,
        }
    }

    pub(crate) fn all_well(&self) -> bool {
        self.numbers.ok == self.numbers.requests
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(&self.numbers).unwrap_or_default()
    }
}

/// How many of those that have not ended stand where.
fn standing(lives: &[Life]) -> String {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for life in lives.iter().filter(|life| life.ended.is_none()) {
        *places.entry(life.stands()).or_insert(0) += 1;
    }
    let places: Vec<_> = places.iter().map(|(place, count)| format!("{count} {place}")).collect();
    places.join("; ")
}

/// Replays whose first poll came before that of an earlier ticket of the same flight.
fn out_of_order(record: &Record) -> usize {
    let mut lowest_after = BTreeMap::new();
    let mut count = 0;
    for (flight, ticket) in record.order.iter().rev() {
        let lowest = lowest_after.entry(*flight).or_insert(*ticket);
        count += usize::from(ticket > lowest);
        *lowest = (*lowest).min(*ticket);
    }
    count
}
