//! `Timeline`: a run as text.

use std::fmt;
use std::time::Duration;

use super::super::asked::Asked;
use super::super::record::Moment;
use super::super::run::{Run, Violation};
use super::lanes::Lanes;
use super::overview::Overview;
use super::say;

/// A [`Run`] as text: what was broken and how to run it again, a picture of letters with a line for everybody, and the
/// moments in their order. The same run is the same text, to the byte.
///
/// Of a long run only the last moments are shown, unless it is asked for [`whole`](Self::whole).
///
/// ```
/// use auth_testkit::simulation::{Plan, Simulation};
///
/// let run = Simulation::new().run(&Plan::from_seed(42));
///
/// assert!(run.violation.is_none(), "{}", run.timeline());
/// assert!(run.html().starts_with("<!DOCTYPE html>"), "and the same as a page");
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it is text: print it"]
pub struct Timeline<'a> {
    run: &'a Run,
    moments: usize,
}

/// A few screens.
const MOMENTS: usize = 200;
/// A pause in the list, where nothing happens for so long.
const PAUSE: Duration = Duration::from_secs(1);
/// What fits beside a time and a name.
const LINE: usize = 76;

impl<'a> Timeline<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        Self { run, moments: MOMENTS }
    }

    /// All moments.
    pub fn whole(self) -> Self {
        self.last(usize::MAX)
    }

    /// The last so many moments.
    pub fn last(self, moments: usize) -> Self {
        Self { moments, ..self }
    }

    fn shown(&self) -> &'a [Moment] {
        let all = &self.run.record.moments;
        &all[all.len().saturating_sub(self.moments)..]
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Violation { invariant, message, .. }) = &self.run.violation {
            writeln!(f, "BROKEN: {invariant}\n  {message}\n")?;
        }
        writeln!(f, "{}", say::summary(self.run))?;
        if self.run.violation.is_some() {
            writeln!(f, "To run it again: {}.", say::again(&self.run.plan))?;
        }
        Ok(())
    }

    fn list(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = Asked::new(&self.run.plan);
        let mut before: Option<Duration> = None;
        let mut moments = self.shown().iter().peekable();
        let mut broken = self.run.violation.as_ref();
        while let Some(moment) = moments.next() {
            if let Some(violation) = broken.take_if(|violation| violation.at < moment.at) {
                Self::broken(violation, f)?;
            }
            let pause = before.map(|before| moment.at.saturating_sub(before));
            if let Some(pause) = pause.filter(|pause| *pause >= PAUSE) {
                writeln!(f, "{:>15}  ... {} later", "", say::about(pause))?;
            }
            // What happens at once stands under one time, and in one line if it happens to one.
            let time = if pause == Some(Duration::ZERO) { String::new() } else { clock(moment.at) };
            let (who, mut what) = (say::who(moment), say::sentence(moment, &asked));
            while let Some(next) = moments.peek().filter(|next| next.at == moment.at && say::who(next) == who)
            {
                let more = say::sentence(next, &asked);
                if what.chars().count() + more.chars().count() > LINE {
                    break;
                }
                what = format!("{what}; {more}");
                moments.next();
            }
            writeln!(f, "{time:>15}  {who:<14}  {what}")?;
            before = Some(moment.at);
        }
        broken.map_or(Ok(()), |violation| Self::broken(violation, f))
    }

    fn broken(violation: &Violation, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { invariant, message, at, .. } = violation;
        writeln!(f, "{:>15}  {:<14}  {invariant}: {message}", clock(*at), "BROKEN")
    }

    /// The plan in one line, to be copied. Only of what has to be run again.
    fn plan(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.run.plan;
        if self.run.violation.is_none() || say::is_seed(plan) {
            return Ok(());
        }
        writeln!(f, "\n{}", serde_json::to_string(plan).unwrap_or_default())
    }
}

impl fmt::Display for Timeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let violation = self.run.violation.as_ref().map(|violation| violation.at);
        let lanes = Lanes::new(&self.run.record, violation.unwrap_or_default());
        let shown = self.shown();
        let hidden = self.run.record.moments.len() - shown.len();

        self.head(f)?;
        writeln!(f)?;
        let times = shown.iter().map(|moment| moment.at).chain(violation);
        write!(f, "{}", Overview::new(&lanes, times, violation))?;
        writeln!(f)?;
        if hidden > 0 {
            writeln!(f, "{:>15}  ... {hidden} earlier moments are not shown", "")?;
        }
        self.list(f)?;
        self.plan(f)
    }
}

/// Milliseconds, so that times stand below each other.
fn clock(at: Duration) -> String {
    format!("{}.{:03} ms", at.as_millis(), at.as_micros() % 1_000)
}

#[cfg(test)]
mod tests {
    use super::super::scenes;
    use super::*;
    use crate::simulation::{Plan, Simulation};

    #[test]
    fn the_same_run_is_the_same_text() {
        let simulation = Simulation::new();
        let plan = simulation.plan(3);
        let text = || simulation.run(&plan).timeline().to_string();

        assert_eq!(text(), text());
    }

    #[test]
    fn what_was_broken_comes_first_and_how_to_run_it_again() {
        let run = scenes::broken();

        let text = run.timeline().to_string();

        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("BROKEN: no-reuse"));
        assert_eq!(lines.next(), Some(format!("  {}", run.violation.clone().unwrap().message).as_str()));
        assert!(text.contains("To run it again: give the plan below"));
        let plan = text.lines().last().unwrap();
        assert_eq!(Plan::from_json(plan).unwrap(), run.plan);
    }

    #[test]
    fn moments_are_sentences_and_what_happens_at_once_stands_together() {
        let text = scenes::broken().timeline().to_string();

        let part = "
       2.000 ms  p0 request 1    is answered 401
                 p0 flight 1     told: starts (the token was rejected)
                 p0 endpoint     r2 of sign-in 1 is presented (call 1)
       2.500 ms  p0 request 2    is answered 401
       3.000 ms  p0 request 3    is dropped by its caller
       4.000 ms  p0 endpoint     exchanged for a3 and r4 (call 1)
       6.000 ms  p0 endpoint     the answer arrives (call 1)
                 p0 store        save of a3/r4 begins (call 2)
";
        assert!(text.contains(part), "{text}");
        let text = scenes::storm().timeline().to_string();
        assert!(text.contains("  p0 request 1    is answered 200; has its result: 200\n"), "and in one line");
    }

    #[test]
    fn a_violation_stands_where_it_was_noticed() {
        let mut run = scenes::broken();
        run.violation.as_mut().unwrap().at = Duration::from_micros(3_500);

        let text = run.timeline().to_string();

        let at = |what: &str| text.rfind(what).unwrap_or_else(|| panic!("{what} is in\n{text}"));
        assert!(at("is dropped by its caller") < at("no-reuse: r2"));
        assert!(at("no-reuse: r2") < at("exchanged for a3"));
        assert!(text.contains("3.500 ms  BROKEN"));
    }

    #[test]
    fn a_pause_is_told() {
        let text = scenes::storm().timeline().to_string();

        assert!(text.contains("... 89.9 s later\n   90000.000 ms  the plan"), "{text}");
    }

    #[test]
    fn of_a_long_run_the_end_is_shown_unless_it_is_asked_for_whole() {
        let run = scenes::storm();
        let (all, last) = (run.timeline().whole().to_string(), run.timeline().last(10).to_string());

        assert!(all.contains("the process starts") && !all.contains("not shown"));
        assert!(last.contains("... 63 earlier moments are not shown"));
        assert!(!last.contains("sign_in is called") && last.contains("p0 request 8    is answered 200"));
    }

    #[test]
    fn a_terminal_is_wide_enough() {
        let simulation = Simulation::new();
        for seed in 0..40 {
            let text = simulation.run(&simulation.plan(seed)).timeline().to_string();
            for line in text.lines() {
                assert!(line.chars().count() <= 112, "seed {seed}: {line}");
            }
        }
    }
}
