//! The layout: where everything stands, in pixels.

use std::fmt;
use std::ops::{Add, Mul, Sub};
use std::time::Duration;

use super::super::axis::Axis;
use super::super::lanes::{OUTSIDE, Of};

/// Tenths of a pixel: whole numbers are the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Px(pub(super) i64);

pub(super) const fn px(pixels: i64) -> Px {
    Px(pixels * 10)
}

/// How wide the column of names is.
pub(super) const NAMES: Px = px(178);
/// How high a row of a lane is.
pub(super) const ROW: Px = px(16);
/// How high a line of text is.
pub(super) const LINE: Px = px(14);
/// How many rows the plan's words may take.
pub(super) const PLAN_ROWS: usize = 8;
/// Above each process, its name.
const TITLE: Px = px(20);
/// The times, above everything.
const TICKS: Px = px(20);
/// Below everything.
const FOOT: Px = px(6);
/// To both sides, so that nothing is cut off.
const SIDE: Px = px(26);

/// One lane's place.
#[derive(Debug)]
pub(super) struct Band {
    pub(super) top: Px,
    pub(super) height: Px,
    odd: bool,
}

#[derive(Debug)]
pub(super) struct Layout {
    head: Px,
    width: Px,
    bands: Vec<(Of, Band)>,
    titles: Vec<(String, Option<u32>, Px)>,
    bottom: Px,
}

impl Layout {
    /// With so many lines of text above everything.
    pub(super) fn new(axis: &Axis, lines: usize) -> Self {
        let head = LINE * lines + TICKS;
        // As long as the axis, up to about a screen; from there on it grows more slowly.
        let length = axis.length() as i64;
        let screen = 4_400;
        let width = if length <= screen {
            (length * 10 / 4).max(9_000)
        } else {
            (screen * 10 / 4) * (length * 100 / screen).isqrt() / 10
        };
        Self { head, width: Px(width), bands: Vec::new(), titles: Vec::new(), bottom: head }
    }

    /// The next lane, with so many rows.
    pub(super) fn add(&mut self, of: Of, rows: usize) {
        let before = self.bands.last().map(|(of, _)| process(*of));
        if before != Some(process(of)) {
            let title = match process(of) {
                None => "shared".to_owned(),
                Some(OUTSIDE) => "other programs".to_owned(),
                Some(process) => format!("process p{process}"),
            };
            self.titles.push((title, process(of), self.bottom));
            self.bottom = self.bottom + TITLE;
        }
        let height = ROW * rows;
        let odd = self.bands.len() % 2 == 1;
        self.bands.push((of, Band { top: self.bottom, height, odd }));
        self.bottom = self.bottom + height;
    }

    pub(super) fn bands(&self) -> impl Iterator<Item = &Band> {
        self.bands.iter().map(|(_, band)| band)
    }

    /// The names of what the lanes are grouped by, and the process they are of.
    pub(super) fn titles(&self) -> impl Iterator<Item = (&str, Option<u32>, Px)> {
        self.titles.iter().map(|(title, process, top)| (title.as_str(), *process, *top))
    }

    pub(super) fn processes(&self) -> usize {
        self.titles.iter().filter(|(_, process, _)| process.is_some()).count()
    }

    /// From the top to the bottom of what is this process's.
    pub(super) fn reach(&self, of: u32) -> (Px, Px) {
        let mine = self.bands.iter().filter(|(lane, _)| process(*lane) == Some(of));
        let (mut top, mut bottom) = (self.bottom, self.head);
        for (_, band) in mine {
            (top, bottom) = (top.min(band.top), bottom.max(band.top + band.height));
        }
        (top, bottom)
    }

    /// Where the lanes begin.
    pub(super) fn head(&self) -> Px {
        self.head
    }

    pub(super) fn width(&self) -> Px {
        self.width
    }

    pub(super) fn height(&self) -> Px {
        self.bottom + FOOT
    }

    pub(super) fn x(&self, axis: &Axis, at: Duration) -> Px {
        let way = (self.width - SIDE - SIDE).0;
        let place = i128::from(axis.place(at)) * i128::from(way) / i128::from(axis.length());
        SIDE + Px(place as i64)
    }

    /// The place on the axis that stands there.
    pub(super) fn place(&self, axis: &Axis, x: Px) -> u64 {
        let way = (self.width - SIDE - SIDE).0;
        let place = i128::from((x - SIDE).0.clamp(0, way)) * i128::from(axis.length()) / i128::from(way);
        place as u64
    }
}

impl Band {
    pub(super) fn class(&self) -> &'static str {
        if self.odd { "odd" } else { "even" }
    }
}

fn process(of: Of) -> Option<u32> {
    match of {
        Of::Process(process, _) => Some(process),
        Of::World | Of::Endpoint | Of::Store => None,
    }
}

impl Px {
    pub(super) fn half(self) -> Self {
        Self(self.0 / 2)
    }
}

impl Add for Px {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Px {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<usize> for Px {
    type Output = Self;

    fn mul(self, many: usize) -> Self {
        Self(self.0 * many as i64)
    }
}

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, tenths) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        match tenths % 10 {
            0 => write!(f, "{sign}{}", tenths / 10),
            part => write!(f, "{sign}{}.{part}", tenths / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_are_written_where_there_are_any() {
        let written = [px(12), Px(123), Px(-5), Px(0)].map(|pixels| pixels.to_string());

        assert_eq!(written, ["12", "12.3", "-0.5", "0"]);
    }

    #[test]
    fn a_time_stands_within_the_picture() {
        let times = [0, 50, 9_000_000].map(Duration::from_micros);
        let axis = Axis::new(times);
        let layout = Layout::new(&axis, 0);

        let places = times.map(|time| layout.x(&axis, time));

        assert!(px(0) < places[0] && places[0] < places[1] && places[1] < places[2]);
        assert!(places[2] < layout.width());
        let back = axis.time(layout.place(&axis, places[1]));
        assert!(back.abs_diff(times[1]) <= Duration::from_micros(1), "{back:?}");
    }

    #[test]
    fn a_long_run_is_wider_but_not_as_much_as_it_is_longer() {
        let width = |moments| Layout::new(&Axis::new((0..moments).map(Duration::from_millis)), 0).width();

        let (short, long, longer) = (width(3), width(100), width(1_000));

        assert!(short < long && long < longer && longer < px(10_000), "{short} {long} {longer}");
        assert!(longer.0 < long.0 * 5);
    }
}
