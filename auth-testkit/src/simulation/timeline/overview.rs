//! The overview: a picture of letters, with a line for everybody and time from left to right.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use auth_core::SessionState;

use super::axis::Axis;
use super::lanes::{Lane, Lanes, Of, Own, Phase, Sign};
use super::say;

/// How wide the names are, and how wide the picture: a terminal together.
const NAMES: usize = 15;
const WIDTH: usize = 94;
/// From one time to the next.
const TICK: usize = 13;

pub(super) struct Overview {
    lines: Vec<(String, Line)>,
    ticks: Vec<(usize, String)>,
    /// Where the violation is.
    broken: Option<usize>,
    /// Requests that are not in the picture.
    left_out: usize,
    letters: BTreeSet<(Group, char, &'static str)>,
}

type Line = [char; WIDTH];

/// In which line of the legend a letter is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Requests,
    Flights,
    Sessions,
    Marks,
}

impl Overview {
    /// Of the time from the first of these to the last.
    pub(super) fn new(
        lanes: &Lanes,
        times: impl Iterator<Item = Duration> + Clone,
        broken: Option<Duration>,
    ) -> Self {
        let (first, last) =
            (times.clone().min().unwrap_or_default(), times.clone().max().unwrap_or_default());
        let mut draft = Draft { axis: Axis::new(times), first, last, letters: BTreeSet::new() };
        let (mut lines, mut left_out) = (Vec::new(), 0);
        for lane in &lanes.all {
            if lane.reach().is_some_and(|(from, to)| from <= last && to >= first) {
                lines.extend(draft.lane(lane));
            } else if matches!(lane.of, Of::Process(_, Own::Request(_))) {
                left_out += 1;
            }
        }
        let ticks = draft.ticks();
        let broken = broken.map(|at| draft.column(at));
        Self { lines, ticks, broken, left_out, letters: draft.letters }
    }
}

struct Draft {
    axis: Axis,
    first: Duration,
    last: Duration,
    letters: BTreeSet<(Group, char, &'static str)>,
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
            let (group, letter, words) = phase(span.phase);
            self.letters.insert((group, letter, words));
            let from = self.column(span.from);
            // Up to where the next thing begins; what is open goes on to the edge.
            let to = if span.ended.is_some() { self.column(span.to) } else { WIDTH };
            rows[span.row][from..to.max(from + 1)].fill(letter);
        }
        for mark in lane.marks.iter().filter(|mark| mark.at >= self.first && mark.at <= self.last) {
            let (letter, words) = sign(mark.sign);
            self.letters.insert((Group::Marks, letter, words));
            rows[mark.row][self.column(mark.at)] = letter;
        }
        let names = std::iter::once(name).chain(std::iter::repeat(String::new()));
        names.zip(rows).collect()
    }

    fn ticks(&self) -> Vec<(usize, String)> {
        let place = |column: usize| column as u64 * self.axis.length() / (WIDTH as u64 - 1);
        let mut ticks = vec![(0, say::time(self.first))];
        let mut next = TICK;
        while next + TICK / 2 < WIDTH {
            let at = self.axis.round(place(next), place(next + TICK / 3));
            let column = self.column(at).max(next);
            ticks.push((column, say::time(at)));
            next = column + TICK;
        }
        ticks
    }
}

fn phase(phase: Phase) -> (Group, char, &'static str) {
    use Group::{Flights, Requests, Sessions};

    match phase {
        Phase::Sent => (Requests, 's', "sent"),
        Phase::Queued => (Requests, 'q', "waits for a token"),
        Phase::Replayed => (Requests, 'r', "sent again"),
        Phase::Parked => (Requests, 'z', "not polled"),
        Phase::Flight => (Flights, 'f', "a flight"),
        Phase::Asking => (Flights, 'a', "asks the token endpoint"),
        Phase::Loading => (Flights, 'l', "loads"),
        Phase::Saving => (Flights, 'w', "saves"),
        Phase::Clearing => (Flights, 'c', "clears"),
        Phase::Locking => (Flights, 'i', "in line for the lock"),
        Phase::Holding => (Flights, 'h', "holds the lock"),

        Phase::State(SessionState::SignedOut) => (Sessions, '.', "signed out"),
        Phase::State(SessionState::Active) => (Sessions, '=', "active"),
        Phase::State(SessionState::Refreshing) => (Sessions, '~', "refreshing"),
        Phase::State(SessionState::Draining) => (Sessions, '-', "draining"),
        Phase::State(SessionState::Ended(_)) => (Sessions, '#', "ended"),
        Phase::State(_) => (Sessions, '?', "unknown"),
    }
}

fn sign(sign: Sign) -> (char, &'static str) {
    match sign {
        Sign::Ok => ('+', "done"),
        Sign::Rejected => ('4', "401"),
        Sign::Refused => ('n', "its response says no"),
        Sign::Failed => ('x', "failed"),
        Sign::Cancelled => ('/', "dropped"),
        Sign::Parked => ('Z', "polled no more"),
        Sign::Started => ('>', "the process starts"),
        Sign::Killed => ('K', "killed"),
        Sign::SignIn => ('I', "sign-in"),
        Sign::SignOut => ('O', "sign-out, revoked"),
        Sign::Exchanged => ('E', "exchanged"),
        Sign::Lost => ('L', "the answer is lost"),
        Sign::Published => ('P', "published"),
        Sign::Stored => ('S', "stored"),
        Sign::Opened => ('Q', "the queue opens"),
        Sign::Ended => ('X', "the session ends"),
        Sign::Meddled => ('M', "the plan"),
        Sign::Healed => ('H', "healed"),
        Sign::Leaked => ('*', "a token leaked"),
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
        writeln!(f, "{}", self.ruler(self.ticks.iter().map(|(column, _)| (*column, "|"))))?;
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
        for (group, name) in [
            (Group::Requests, "requests:"),
            (Group::Flights, "flights, store:"),
            (Group::Sessions, "sessions:"),
            (Group::Marks, "marks:"),
        ] {
            self.legend(f, group, name)?;
        }
        Ok(())
    }
}

impl Overview {
    /// What the letters mean: those that are in the picture.
    fn legend(&self, f: &mut fmt::Formatter<'_>, group: Group, name: &str) -> fmt::Result {
        let mut line = String::new();
        let mut name = name;
        let letters = self.letters.iter().filter(|(of, ..)| *of == group);
        for (_, letter, words) in letters {
            let entry = format!("{letter} {words}");
            if !line.is_empty() && line.chars().count() + entry.chars().count() + 3 > WIDTH {
                writeln!(f, "{name:NAMES$} {line}")?;
                (name, line) = ("", String::new());
            }
            if !line.is_empty() {
                line.push_str(" · ");
            }
            line.push_str(&entry);
        }
        if line.is_empty() { Ok(()) } else { writeln!(f, "{name:NAMES$} {line}") }
    }
}
