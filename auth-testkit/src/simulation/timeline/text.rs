//! `Timeline`: a run as text.

use std::fmt;
use std::time::Duration;

use super::super::record::Moment;
use super::super::run::{Run, Violation};
use super::asked::Asked;
use super::lanes::Lanes;
use super::overview::Overview;
use super::say;

/// A [`Run`] as text: what was broken and how to run it again, a picture of letters with a line for everybody, and the
/// moments in their order. The same run is the same text, to the byte.
///
/// Of a long run only the last moments are shown, unless it is asked for [`whole`](Self::whole).
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

    #[test]
    fn look() {
        println!("{}", scenes::storm().timeline());
        println!("{}", scenes::broken().timeline());
        if let Ok(dir) = std::env::var("LOOK") {
            std::fs::write(format!("{dir}/storm.html"), scenes::storm().html()).unwrap();
            std::fs::write(format!("{dir}/broken.html"), scenes::broken().html()).unwrap();
            let simulation = crate::simulation::Simulation::new();
            for seed in [1, 3, 7, 42, 101, 200, 333] {
                let run = simulation.run(&simulation.plan(seed));
                println!(
                    "seed {seed}: {} moments, {} requests",
                    run.record.moments.len(),
                    run.counts().requests
                );
                std::fs::write(format!("{dir}/seed{seed}.html"), run.html()).unwrap();
                std::fs::write(format!("{dir}/seed{seed}.txt"), run.timeline().to_string()).unwrap();
            }
            for fault in auth_core::Fault::ALL {
                let simulation = crate::simulation::Simulation::new()
                    .session(move |parts| parts.builder(parts.refresher()).plant(fault));
                let Some((seed, run)) = simulation.seeds(0..300).first_failure else {
                    println!("{fault}: nothing");
                    continue;
                };
                let short = simulation.run(&simulation.shrink(&run.plan));
                println!(
                    "{fault}: seed {seed}: {} and {}",
                    run.record.moments.len(),
                    short.record.moments.len()
                );
                for (name, run) in [("whole", run), ("short", short)] {
                    std::fs::write(format!("{dir}/{fault}-{name}.html"), run.html()).unwrap();
                    std::fs::write(format!("{dir}/{fault}-{name}.txt"), run.timeline().to_string()).unwrap();
                }
            }
        }
    }
}
