//! The runs as a picture: a day by the minute, and how what is measured grows beside its formula, up to a million sessions.

use std::fmt::Write as _;

use crate::day::{Day, Plan, Refreshing};
use crate::formula::expected;
use crate::machine::Jitter;
use crate::memory::Memory;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 690.0;
const HEIGHT: f64 = 240.0;
const GAP: f64 = 80.0;
const HEAD: &str = "\
<style>
text { font: 12px sans-serif; fill: #222 } .title { font-weight: bold; font-size: 14px } .end { text-anchor: end }
.mid { text-anchor: middle } .grid { stroke: #ddd } .frame { fill: none; stroke: #888 } .line { fill: none; stroke-width: 1.5 }
.formula { fill: none; stroke-dasharray: 5 4 }
</style>
<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>
";
const DRAWN: &str = "#0072b2";
const NONE: &str = "#d55e00";
const LATE: &str = "#56b4e9";
const USED: &str = "#009e73";
const USED_NONE: &str = "#cc79a7";

pub(crate) fn draw(days: &[Day], memories: &[Memory]) -> String {
    let mut picture = Picture { text: String::new(), top: 40.0 };
    day(&mut picture, days);
    requests(&mut picture, days);
    memory(&mut picture, memories);
    let height = picture.top - 20.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         {HEAD}{}</svg>\n",
        picture.text
    )
}

/// The run with the most sessions, each way: the highest second of each five minutes.
fn day(picture: &mut Picture, days: &[Day]) {
    const PART: usize = 300;
    let Some(most) = days.iter().map(|day| day.plan.sessions).max() else { return };
    let mut shown: Vec<&Day> = days.iter().filter(|day| day.plan.sessions == most).collect();
    // What is highest goes behind.
    shown.sort_by_key(|day| std::cmp::Reverse(day.by_second.iter().max()));
    let hours = shown.iter().map(|day| day.plan.hours).max().unwrap_or(1);
    let highest = shown.iter().flat_map(|day| day.by_second.iter()).max().copied().unwrap_or(1);
    let axes = Axes {
        top: picture.top,
        x: Scale::straight(f64::from(hours)),
        y: Scale::powers(0.5, f64::from(highest.max(1)) * 1.5),
    };
    axes.frame(
        picture,
        &format!("Token requests in the highest second of each five minutes, {most} sessions"),
    );
    axes.hours(picture, hours);
    for (row, day) in shown.iter().enumerate() {
        let mut seconds = day.by_second.clone();
        seconds.resize(day.plan.hours as usize * 3600, 0);
        let highest = seconds.chunks(PART).map(|part| f64::from(part.iter().max().copied().unwrap_or(0)));
        let points =
            highest.enumerate().map(|(at, highest)| ((at as f64 + 0.5) * PART as f64 / 3600.0, highest));
        axes.line(picture, points, color(&day.plan), "line");
        axes.legend(picture, row, color(&day.plan), &name(&day.plan));
    }
    picture.next();
}

/// Mean and highest second by number of sessions: dots are measured, dashes are the formula.
fn requests(picture: &mut Picture, days: &[Day]) {
    let Some(fewest) = days.iter().map(|day| day.plan.sessions).min() else { return };
    let axes = Axes {
        top: picture.top,
        x: Scale::powers(f64::from(fewest), 1e6),
        y: Scale::powers(0.01, 200_000.0),
    };
    axes.frame(picture, "Token requests a second by sessions: measured (dots) and the formula (dashes)");
    axes.sessions(picture, fewest);
    let mut row = 0;
    for (refreshing, jitter) in [
        (Refreshing::Timer, Jitter::None),
        (Refreshing::Timer, Jitter::Drawn),
        (Refreshing::OnUse, Jitter::Drawn),
    ] {
        let mine: Vec<&Day> = days
            .iter()
            .filter(|day| day.plan.refreshing == refreshing && day.plan.jitter == jitter)
            .collect();
        let Some(first) = mine.first() else { continue };
        let (plan, color) = (first.plan, color(&first.plan));
        let to = |sessions| Plan { sessions, ..plan };
        axes.formula(picture, fewest, color, |sessions| expected(&to(sessions)).first_peak);
        for day in &mine {
            axes.dot(picture, f64::from(day.plan.sessions), f64::from(day.measured().first_peak), color);
        }
        axes.legend(picture, row, color, &format!("highest, {}", name(&plan)));
        row += 1;
        if (refreshing, jitter) == (Refreshing::Timer, Jitter::Drawn) {
            axes.formula(picture, fewest, LATE, |sessions| expected(&to(sessions)).last_peak);
            for day in &mine {
                let highest = f64::from(day.measured().last_peak);
                axes.dot(picture, f64::from(day.plan.sessions), highest, LATE);
            }
            axes.legend(picture, row, LATE, "the same, last hour");
            row += 1;
        }
        // The mean is the same with jitter and without.
        if jitter == Jitter::Drawn {
            axes.formula(picture, fewest, color, |sessions| expected(&to(sessions)).mean);
            for day in &mine {
                axes.ring(picture, f64::from(day.plan.sessions), day.measured().mean, color);
            }
            axes.legend(picture, row, color, &format!("mean, {} (rings)", plan.refreshing.name()));
            row += 1;
        }
    }
    picture.next();
}

/// Megabytes by number of sessions; the formula goes through the largest that was measured.
fn memory(picture: &mut Picture, memories: &[Memory]) {
    let Some(fewest) = memories.iter().map(|memory| memory.sessions).min() else { return };
    let axes =
        Axes { top: picture.top, x: Scale::powers(f64::from(fewest), 1e6), y: Scale::powers(0.1, 20_000.0) };
    axes.frame(
        picture,
        "Megabytes that idle sessions hold in one process: measured (dots) and the formula (dashes)",
    );
    axes.sessions(picture, fewest);
    for (row, refreshing) in Refreshing::BOTH.into_iter().enumerate() {
        let mine: Vec<&Memory> = memories.iter().filter(|memory| memory.refreshing == refreshing).collect();
        let Some(largest) = mine.iter().max_by_key(|memory| memory.sessions) else { continue };
        let color = if refreshing == Refreshing::Timer { DRAWN } else { USED };
        let each = largest.bytes as f64 / f64::from(largest.sessions) / 1e6;
        axes.formula(picture, fewest, color, |sessions| each * f64::from(sessions));
        for memory in &mine {
            axes.dot(picture, f64::from(memory.sessions), memory.bytes as f64 / 1e6, color);
        }
        axes.legend(picture, row, color, refreshing.name());
    }
    picture.next();
}

fn color(plan: &Plan) -> &'static str {
    match (plan.refreshing, plan.jitter) {
        (Refreshing::Timer, Jitter::Drawn) => DRAWN,
        (Refreshing::Timer, Jitter::None) => NONE,
        (Refreshing::OnUse, Jitter::Drawn) => USED,
        (Refreshing::OnUse, Jitter::None) => USED_NONE,
    }
}

fn name(plan: &Plan) -> String {
    let jitter = if plan.jitter == Jitter::Drawn { "jitter" } else { "no jitter" };
    format!("{}, {jitter}", plan.refreshing.name())
}

struct Picture {
    text: String,
    top: f64,
}

impl Picture {
    fn put(&mut self, shape: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{shape}");
    }

    fn next(&mut self) {
        self.top += HEIGHT + GAP;
    }
}

/// Where a number stands between the ends of an axis.
struct Scale {
    first: f64,
    last: f64,
    powers: bool,
}

impl Scale {
    fn straight(last: f64) -> Self {
        Self { first: 0.0, last, powers: false }
    }

    fn powers(first: f64, last: f64) -> Self {
        Self { first: first.log10(), last: last.log10(), powers: true }
    }

    fn part(&self, at: f64) -> f64 {
        let at = if self.powers { at.max(1e-9).log10() } else { at };
        ((at - self.first) / (self.last - self.first)).clamp(0.0, 1.0)
    }

    /// The powers of ten on it.
    fn tens(&self) -> impl Iterator<Item = f64> + use<> {
        (self.first.ceil() as i32..=self.last.floor() as i32).map(|power| 10_f64.powi(power))
    }
}

struct Axes {
    top: f64,
    x: Scale,
    y: Scale,
}

impl Axes {
    fn x(&self, at: f64) -> f64 {
        LEFT + self.x.part(at) * (RIGHT - LEFT)
    }

    fn y(&self, at: f64) -> f64 {
        self.top + (1.0 - self.y.part(at)) * HEIGHT
    }

    fn frame(&self, picture: &mut Picture, title: &str) {
        let (top, width) = (self.top, RIGHT - LEFT);
        picture.put(format_args!("<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{title}</text>", top - 12.0));
        for value in self.y.tens() {
            let y = self.y(value);
            picture.put(format_args!(
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/><text class=\"end\" x=\"{}\" y=\"{:.1}\">{value}</text>",
                LEFT - 6.0,
                y + 4.0
            ));
        }
        picture.put(format_args!(
            "<rect class=\"frame\" x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"{HEIGHT}\"/>"
        ));
    }

    fn below(&self, picture: &mut Picture, at: f64, label: &str) {
        let (x, y) = (self.x(at), self.top + HEIGHT + 18.0);
        picture.put(format_args!("<text class=\"mid\" x=\"{x:.1}\" y=\"{y}\">{label}</text>"));
    }

    fn hours(&self, picture: &mut Picture, hours: u32) {
        for hour in (0..=hours).step_by((hours as usize / 8).max(1)) {
            self.below(picture, f64::from(hour), &format!("{hour} h"));
        }
    }

    fn sessions(&self, picture: &mut Picture, fewest: u32) {
        for value in self.x.tens() {
            self.below(picture, value, &format!("{value}"));
        }
        if self.x.tens().next() != Some(f64::from(fewest)) {
            self.below(picture, f64::from(fewest), &fewest.to_string());
        }
    }

    fn line(
        &self,
        picture: &mut Picture,
        points: impl Iterator<Item = (f64, f64)>,
        color: &str,
        class: &str,
    ) {
        let points: Vec<String> = points.map(|(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y))).collect();
        let points = points.join(" ");
        picture.put(format_args!("<polyline class=\"{class}\" stroke=\"{color}\" points=\"{points}\"/>"));
    }

    /// From the fewest sessions to a million.
    fn formula(&self, picture: &mut Picture, fewest: u32, color: &str, of: impl Fn(u32) -> f64) {
        let first = f64::from(fewest);
        let steps = (0..=24).map(|step| (first * (1e6 / first).powf(f64::from(step) / 24.0)).round() as u32);
        self.line(picture, steps.map(|sessions| (f64::from(sessions), of(sessions))), color, "formula");
    }

    fn dot(&self, picture: &mut Picture, x: f64, y: f64, color: &str) {
        let (x, y) = (self.x(x), self.y(y));
        picture.put(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{color}\"/>"));
    }

    fn ring(&self, picture: &mut Picture, x: f64, y: f64, color: &str) {
        let (x, y) = (self.x(x), self.y(y));
        picture.put(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#fff\" stroke=\"{color}\"/>"
        ));
    }

    fn legend(&self, picture: &mut Picture, row: usize, color: &str, name: &str) {
        let (x, y) = (RIGHT + 10.0, self.top + 14.0 + 18.0 * row as f64);
        picture.put(format_args!("<text x=\"{x}\" y=\"{y}\" style=\"fill:{color}\">{name}</text>"));
    }
}
