//! The overview: a picture of letters, with a line for everybody and time from left to right.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::axis::Axis;
use super::lanes::{Lane, Lanes, Of, Own};
use super::legend::{Group, Look};
use super::say;

/// How wide the names are, and how wide the picture: a terminal together.
const NAMES: usize = 15;
const WIDTH: usize = 94;
/// From one time to the next.
const TICK: usize = 13;

pub(super) struct Overview {
    lines: Vec<(String, Line)>,
    ticks: Vec<(usize, String)>,
    /// Below the ticks: their lines, and where time is left out.
    cuts: Vec<(usize, String)>,
    /// Where the violation is.
    broken: Option<usize>,
    /// Requests that are not in the picture.
    left_out: usize,
    looks: BTreeSet<Look>,
}

type Line = [char; WIDTH];

impl Overview {
    /// Of the time from the first of these to the last.
    pub(super) fn new(
        lanes: &Lanes,
        times: impl Iterator<Item = Duration> + Clone,
        broken: Option<Duration>,
    ) -> Self {
        let (first, last) =
            (times.clone().min().unwrap_or_default(), times.clone().max().unwrap_or_default());
        let mut draft = Draft { axis: Axis::new(times), first, last, looks: BTreeSet::new() };
        let (mut lines, mut left_out): (Vec<(String, Line)>, _) = (Vec::new(), 0);
        for lane in &lanes.all {
            if lane.reach().is_some_and(|(from, to)| from <= last && to >= first) {
                lines.extend(draft.lane(lane));
            } else if matches!(lane.of, Of::Process(_, Own::Request(_))) {
                left_out += 1;
            }
        }
        // What was drawn over is not there.
        draft.looks.retain(|look| lines.iter().any(|(_, line)| line.contains(&look.letter)));
        let ticks = draft.ticks();
        let cuts = draft.cuts(&ticks);
        let broken = broken.map(|at| draft.column(at));
        Self { lines, ticks, cuts, broken, left_out, looks: draft.looks }
    }
}

struct Draft {
    axis: Axis,
    first: Duration,
    last: Duration,
    looks: BTreeSet<Look>,
}

impl Draft {
    fn column(&self, at: Duration) -> usize {
        let column = self.axis.place(at) * (WIDTH as u64 - 1) / self.axis.length();
        usize::try_from(column).unwrap_or(0).min(WIDTH - 1)
    }

    fn lane(&mut self, lane: &Lane) -> Vec<(String, Line)> {
        let name = match lane.of {
            Of::Process(process, _) => format!("{} {}", say::process(process), lane.of),
            _ => lane.of.to_string(),
        };
        let mut rows = vec![[' '; WIDTH]; lane.rows];
        for span in lane.spans.iter().filter(|span| span.to >= self.first && span.from <= self.last) {
            let look = span.phase.look();
            self.looks.insert(look);
            let from = self.column(span.from);
            // Up to where the next thing begins; what is open goes on to the edge.
            let to = if span.ended.is_some() { self.column(span.to) } else { WIDTH };
            rows[span.row][from..to.max(from + 1)].fill(look.letter);
        }
        for mark in lane.marks.iter().filter(|mark| mark.at >= self.first && mark.at <= self.last) {
            let look = mark.sign.look();
            self.looks.insert(look);
            rows[mark.row][self.column(mark.at)] = look.letter;
        }
        let names = std::iter::once(name).chain(std::iter::repeat(String::new()));
        names.zip(rows).collect()
    }

    fn ticks(&self) -> Vec<(usize, String)> {
        let place = |column: usize| column as u64 * self.axis.length() / (WIDTH as u64 - 1);
        let mut ticks = vec![(0, say::time(self.first))];
        let mut next = TICK;
        while next < WIDTH {
            let at = self.axis.round(place(next), place(next + TICK / 3));
            let column = self.column(at).max(next);
            next = column + TICK;
            let time = say::time(at);
            // Within a gap no time is worth its name.
            let is_away = self.gaps().all(|gap| column <= gap.0 || gap.1 <= column);
            if is_away && column + time.chars().count() <= WIDTH {
                ticks.push((column, time));
            }
        }
        ticks
    }

    /// Where nothing happens for long, and for how long.
    fn gaps(&self) -> impl Iterator<Item = (usize, usize, Duration)> {
        self.axis.gaps().map(|gap| (self.column(gap.from) + 1, self.column(gap.to), gap.time()))
    }

    fn cuts(&self, ticks: &[(usize, String)]) -> Vec<(usize, String)> {
        let lines = ticks.iter().map(|(column, _)| (*column, "|".to_owned()));
        let gaps = self.gaps().filter(|(from, to, _)| from < to).map(|(from, to, time)| {
            let room = to - from;
            let text = format!("{}s", time.as_secs());
            let text = if text.chars().count() <= room { text } else { String::new() };
            (from, format!("{text:~^room$}"))
        });
        let mut cuts: Vec<_> = lines.chain(gaps).collect();
        cuts.sort();
        cuts
    }
}

impl Overview {
    /// A line that is blank but for these texts, each at its column.
    fn ruler<'a>(&self, texts: impl Iterator<Item = (usize, &'a str)>) -> String {
        let mut line = String::new();
        for (column, text) in texts {
            let here = line.chars().count();
            line.extend(std::iter::repeat_n(' ', column.saturating_sub(here)));
            line.push_str(text);
        }
        format!("{:NAMES$} {line}", "")
    }
}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticks = self.ticks.iter().map(|(column, text)| (*column, text.as_str()));
        writeln!(f, "{}", self.ruler(ticks))?;
        writeln!(f, "{}", self.ruler(self.cuts.iter().map(|(column, text)| (*column, text.as_str()))))?;
        for (name, line) in &self.lines {
            let line: String = line.iter().collect();
            writeln!(f, "{}", format!("{name:NAMES$} {line}").trim_end())?;
        }
        if let Some(column) = self.broken {
            writeln!(f, "{}", self.ruler(std::iter::once((column, "!"))))?;
        }
        if self.left_out > 0 {
            writeln!(f, "({} requests of other times are left out)", self.left_out)?;
        }
        Group::ALL.into_iter().try_for_each(|group| self.legend(f, group))
    }
}

impl Overview {
    /// What the letters mean: those that are in the picture.
    fn legend(&self, f: &mut fmt::Formatter<'_>, group: Group) -> fmt::Result {
        let mut name = format!("{}:", group.name());
        let mut line = String::new();
        for Look { letter, words, .. } in self.looks.iter().filter(|look| look.group == group) {
            let entry = format!("{letter} {words}");
            if !line.is_empty() && line.chars().count() + entry.chars().count() + 3 > WIDTH {
                writeln!(f, "{name:NAMES$} {line}")?;
                (name, line) = (String::new(), String::new());
            }
            if !line.is_empty() {
                line.push_str(" · ");
            }
            line.push_str(&entry);
        }
        if line.is_empty() { Ok(()) } else { writeln!(f, "{name:NAMES$} {line}") }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenes;
    use super::*;

    /// The overview of the storm from one time to another, in microseconds.
    fn storm(from: u64, to: u64) -> String {
        let run = scenes::storm();
        let lanes = Lanes::new(&run.record, Duration::ZERO);
        let range = Duration::from_micros(from)..=Duration::from_micros(to);
        let times = run.record.moments.iter().map(|moment| moment.at).filter(|at| range.contains(at));
        Overview::new(&lanes, times, None).to_string()
    }

    fn line<'a>(overview: &'a str, name: &str) -> &'a str {
        overview.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{overview}"))
    }

    /// The letters of a line, each once where it stands beside itself.
    fn letters(line: &str) -> String {
        let mut letters: Vec<char> = line.trim().chars().collect();
        letters.dedup();
        letters.into_iter().collect()
    }

    #[test]
    fn a_line_is_a_request_from_left_to_right() {
        let overview = storm(0, 100_000_000);

        assert_eq!(letters(line(&overview, "p0 request 1 ")), "s4qr+");
        assert_eq!(letters(line(&overview, "p0 request 8 ")), "s4r+", "its 401 came when all was over");
        assert_eq!(letters(line(&overview, "p0 flights")), "awfP");
        assert_eq!(letters(line(&overview, "p0 session")), ">I=~=");
        assert!(overview.contains("~89s~"), "{overview}");
    }

    #[test]
    fn requests_are_released_one_after_the_other() {
        let overview = storm(90_000_000, 100_000_000);
        let released = |request: u32| line(&overview, &format!("p0 request {request} ")).find('r').unwrap();

        assert!((1..7).all(|request| released(request) <= released(request + 1)), "{overview}");
        assert!(released(1) < released(7));
    }

    #[test]
    fn only_what_is_in_the_picture_is_explained() {
        let overview = storm(0, 100_000_000);

        assert!(overview.contains("requests:       s sent · q waits for a token · r sent again\n"));
        assert!(!overview.contains("dropped") && !overview.contains("killed"));
        assert!(!overview.contains("in line for the lock"), "it took no time, and is drawn over");
    }

    #[test]
    fn requests_of_another_time_are_left_out() {
        let overview = storm(0, 80_000_000);

        assert!(!overview.contains("p0 request") && overview.contains("p0 session"));
        assert!(overview.contains("(8 requests of other times are left out)"));
    }

    #[test]
    fn a_violation_is_marked_below_all() {
        let run = scenes::broken();
        let at = run.violation.as_ref().unwrap().at;
        let lanes = Lanes::new(&run.record, at);

        let times = run.record.moments.iter().map(|moment| moment.at);
        let overview = Overview::new(&lanes, times, Some(at)).to_string();

        let mark = overview.lines().find(|line| line.trim() == "!").unwrap();
        assert_eq!(mark.chars().count(), NAMES + 1 + WIDTH, "it is the last moment");
        let waits = overview.lines().find(|line| line.starts_with("p0 request 4 ")).unwrap();
        assert_eq!(waits.chars().count(), NAMES + 1 + WIDTH, "what waits then reaches to the edge");
    }
}
