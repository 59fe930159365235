//! The timeline: what happened, for a person.

use std::fmt::Write as _;
use std::time::Duration;

use crate::report::Report;
use crate::tape::Life;

const COLUMNS: usize = 72;
const LANES: usize = 12;

pub(crate) fn draw(report: &Report) -> String {
    let mut out = String::new();
    head(&mut out, report);
    let scale = Scale { whole: report.elapsed.max(Duration::from_micros(1)) };
    let _ = writeln!(out, "\n  {:>10}  0 {:>width$}", "", millis(report.elapsed), width = COLUMNS - 2);
    let level = |values: Vec<usize>| bars(&values);
    let _ = writeln!(out, "  {:>10}  {}", "401s", level(scale.count(times(report, |life| life.rejected))));
    let _ = writeln!(out, "  {:>10}  {}", "refresh", refreshes(report, &scale));
    let _ = writeln!(out, "  {:>10}  {}", "queue", level(queue(report, &scale)));
    let _ = writeln!(out, "  {:>10}  {}", "replays", level(scale.count(times(report, |life| life.replayed))));
    let _ =
        writeln!(out, "  {:>10}  {}\n", "responses", level(scale.count(times(report, |life| life.ended))));
    lanes(&mut out, report, &scale);
    tail(&mut out, report);
    out
}

fn head(out: &mut String, report: &Report) {
    let numbers = &report.numbers;
    let _ = write!(
        out,
        "storm over {}: requests with a token that has expired: {}",
        numbers.backend, numbers.requests
    );
    if report.late > 0 {
        let _ = write!(out, ", {} of them held back until the refresh was over", report.late);
    }
    let _ = writeln!(out);
}

fn tail(out: &mut String, report: &Report) {
    let n = &report.numbers;
    let _ = writeln!(
        out,
        "\n  401s: {}. Calls of the token endpoint: {} (refresh token {}). Replays: {}, out of order: {}.",
        n.unauthorized, n.refreshes, n.refresh_token, n.replays, n.out_of_order,
    );
    let _ = write!(out, "  {} of {} requests succeeded in {}.", n.ok, n.requests, millis(report.elapsed));
    for (kind, count) in &n.errors {
        let _ = write!(out, "\n  {count} ended with {kind}.");
    }
}

/// The tickets' lanes: a few requests, evenly chosen, in the order in which they queued.
fn lanes(out: &mut String, report: &Report, scale: &Scale) {
    let mut lives: Vec<&Life> = report.lives.iter().collect();
    lives.sort_by_key(|life| (life.ticket.is_none(), life.ticket, life.rejected));
    let shown = lives.len().min(LANES);
    let _ = writeln!(
        out,
        "  · sent  x rejected  ~ in the queue  R replayed  ✓ succeeded  ! failed; a ticket is a place in the queue"
    );
    for lane in 0..shown {
        let life = lives[lane * lives.len() / shown];
        let name = life.ticket.map_or_else(
            || if life.late { "late".to_owned() } else { "-".to_owned() },
            |ticket| format!("ticket {ticket}"),
        );
        let _ = writeln!(out, "  {name:>10}  {}", lane_of(life, scale).trim_end());
    }
    if lives.len() > shown {
        let _ = writeln!(out, "  {:>10}  ({} of {} requests shown)", "", shown, lives.len());
    }
}

fn lane_of(life: &Life, scale: &Scale) -> String {
    let mut lane = vec![' '; COLUMNS];
    let at = |time: Option<Duration>| time.map(|time| scale.column(time));
    let mut fill = |from: Option<usize>, to: Option<usize>, sign: char| {
        if let (Some(from), Some(to)) = (from, to) {
            lane[from..=to.max(from)].fill(sign);
        }
    };
    let (sent, rejected, replayed, ended) =
        (at(life.sent), at(life.rejected), at(life.replayed), at(life.ended));
    fill(sent, rejected.or(ended), '·');
    fill(rejected, replayed.or(ended), '~');
    fill(replayed, ended, '·');
    fill(rejected, rejected, 'x');
    fill(replayed, replayed, 'R');
    fill(ended, ended, if life.succeeded { '✓' } else { '!' });
    lane.into_iter().collect()
}

fn refreshes(report: &Report, scale: &Scale) -> String {
    let mut row = vec![' '; COLUMNS];
    for (begun, ended) in &report.refreshes {
        let (from, to) = (scale.column(*begun), scale.column(ended.unwrap_or(report.elapsed)));
        row[from..=to].fill('═');
        row[from] = '╞';
    }
    row.into_iter().collect()
}

/// How many waited, at the end of each column.
fn queue(report: &Report, scale: &Scale) -> Vec<usize> {
    let mut change = vec![0_isize; COLUMNS + 1];
    for life in &report.lives {
        if let Some(rejected) = life.rejected {
            let left = life.replayed.or(life.ended).unwrap_or(report.elapsed);
            change[scale.column(rejected)] += 1;
            change[scale.column(left) + 1] -= 1;
        }
    }
    let mut waiting = 0;
    change[..COLUMNS]
        .iter()
        .map(|change| {
            waiting += change;
            usize::try_from(waiting).unwrap_or(0)
        })
        .collect()
}

fn times(report: &Report, which: impl Fn(&Life) -> Option<Duration>) -> Vec<Duration> {
    report.lives.iter().filter_map(which).collect()
}

struct Scale {
    whole: Duration,
}

impl Scale {
    fn column(&self, time: Duration) -> usize {
        let part = time.as_secs_f64() / self.whole.as_secs_f64();
        ((part * COLUMNS as f64) as usize).min(COLUMNS - 1)
    }

    fn count(&self, times: Vec<Duration>) -> Vec<usize> {
        let mut counts = vec![0; COLUMNS];
        for time in times {
            counts[self.column(time)] += 1;
        }
        counts
    }
}

fn bars(values: &[usize]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let bar = |value: &usize| match value {
        0 => ' ',
        value => LEVELS[(value * LEVELS.len()).div_ceil(most) - 1],
    };
    let row: String = values.iter().map(bar).collect();
    if values.iter().all(|value| *value == 0) { row } else { format!("{row} (at most {most})") }
}

fn millis(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
