//! The axis: a time as a place on a line. Where nothing happens, time is short.

use std::time::Duration;

/// Virtual time is idle most of the time, and then a hundred things happen within a millisecond. So the line is cut where
/// something happens, and a piece is as long as the logarithm of its time: what comes after something else always stands
/// to its right. Where nothing happens for [`GAP`] or longer, time is left out: such a piece is as long as any other.
///
/// Whole numbers only: the same record gives the same places everywhere.
#[derive(Debug)]
pub(super) struct Axis {
    /// Each time at which something happens.
    cuts: Vec<Cut>,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    /// In microseconds.
    time: u64,
    place: u64,
}

/// A piece of the line in which time is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: Duration,
    pub(super) to: Duration,
}

impl Gap {
    pub(super) fn time(self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// One doubling of time is so long.
const DOUBLING: u64 = 16;
/// Up to here a piece is about as long as its time says; beyond, as its logarithm says.
const LINEAR: u64 = 16;
/// What a piece is at least, so that an order can be seen.
const LEAST: u64 = 20;
/// What a piece is in which time is left out.
const CUT: u64 = 220;
/// From here on, time is left out.
const GAP: u64 = 1_000_000;

impl Axis {
    pub(super) fn new(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<u64> = times.into_iter().map(micros).collect();
        times.sort_unstable();
        times.dedup();
        let mut cuts: Vec<Cut> = Vec::with_capacity(times.len());
        for time in times {
            let place = cuts.last().map_or(0, |before| before.place + length(time - before.time));
            cuts.push(Cut { time, place });
        }
        Self { cuts }
    }

    /// Where the line ends. At least 1.
    pub(super) fn length(&self) -> u64 {
        self.cuts.last().map_or(1, |last| last.place.max(1))
    }

    pub(super) fn place(&self, at: Duration) -> u64 {
        let at = micros(at);
        let Some((before, after)) = self.around(|cut| cut.time < at) else { return 0 };
        between(at.clamp(before.time, after.time), (before.time, after.time), (before.place, after.place))
    }

    /// The time that stands there.
    pub(super) fn time(&self, place: u64) -> Duration {
        let Some((before, after)) = self.around(|cut| cut.place < place) else { return Duration::ZERO };
        let place = place.clamp(before.place, after.place);
        Duration::from_micros(between(place, (before.place, after.place), (before.time, after.time)))
    }

    /// The last cut that is before something, and the one after it. At an end, twice the same.
    fn around(&self, is_before: impl Fn(&Cut) -> bool) -> Option<(Cut, Cut)> {
        let after = self.cuts.partition_point(is_before);
        let before = self.cuts.get(after.saturating_sub(1))?;
        Some((*before, *self.cuts.get(after).unwrap_or(before)))
    }

    /// The roundest time between two places.
    pub(super) fn round(&self, from: u64, to: u64) -> Duration {
        let (from, to) = (micros(self.time(from)), micros(self.time(to)));
        let mut step = 1_000_000_000_000;
        while step > 1 {
            for part in [1, 2, 5] {
                let step = step / part;
                let round = from.div_ceil(step) * step;
                if round <= to {
                    return Duration::from_micros(round);
                }
            }
            step /= 10;
        }
        Duration::from_micros(from)
    }

    /// Where time is left out.
    pub(super) fn gaps(&self) -> impl Iterator<Item = Gap> {
        self.cuts.windows(2).filter(|pair| pair[1].time - pair[0].time >= GAP).map(|pair| Gap {
            from: Duration::from_micros(pair[0].time),
            to: Duration::from_micros(pair[1].time),
        })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How long a piece is in which nothing happens for so many microseconds.
fn length(micros: u64) -> u64 {
    if micros >= GAP {
        return CUT;
    }
    LEAST + logarithm(micros + LINEAR) - logarithm(LINEAR)
}

/// The logarithm to base 2, times [`DOUBLING`], straight between powers.
fn logarithm(number: u64) -> u64 {
    let whole = u64::from(number.ilog2());
    let power = 1_u128 << whole;
    let part = (u128::from(number) - power) * u128::from(DOUBLING) / power;
    whole * DOUBLING + part as u64
}

/// What `at` is on the other line, where both ends are known on both.
fn between(at: u64, from: (u64, u64), to: (u64, u64)) -> u64 {
    let (way, whole) = (u128::from(at - from.0), u128::from((from.1 - from.0).max(1)));
    to.0 + (u128::from(to.1 - to.0) * way / whole) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn what_is_later_stands_further_right() {
        let times = [0, 1, 2, 900, 901, 40_000, 90_000_000, 90_000_001];
        let axis = Axis::new(times.map(us));

        let places = times.map(|time| axis.place(us(time)));

        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        assert_eq!((places[0], places[7]), (0, axis.length()));
    }

    #[test]
    fn an_hour_without_anything_is_not_longer_than_a_tenth_of_a_second() {
        let axis = Axis::new([us(0), us(1_000), us(101_000), us(3_600_101_000)]);
        let place = |time| axis.place(us(time));
        let (short, long, hour) =
            (place(1_000), place(101_000) - place(1_000), axis.length() - place(101_000));

        assert!(short < hour && hour <= long, "{short} {long} {hour}");
    }

    #[test]
    fn a_place_and_its_time_find_each_other() {
        let axis = Axis::new([us(0), us(1_000), us(50_000)]);

        for time in [0, 1_000, 50_000] {
            assert_eq!(axis.time(axis.place(us(time))), us(time));
        }
        let middle = axis.place(us(25_000));
        assert!(axis.place(us(1_000)) < middle && middle < axis.length());
        assert_eq!(axis.place(us(70_000)), axis.length(), "what is later than all stands at the end");
    }

    #[test]
    fn a_tick_is_a_round_time() {
        let axis = Axis::new([us(0), us(12_437), us(50_000)]);
        let place = |time| axis.place(us(time));

        assert_eq!(axis.round(place(15_000), place(22_000)), us(20_000));
        assert_eq!(axis.round(place(12_437), place(12_437)), us(12_437));
        assert_eq!(axis.round(0, place(3)), us(0));
    }

    #[test]
    fn gaps_are_found() {
        let axis = Axis::new([us(0), us(10), us(2_000_000), us(2_000_001)]);

        let gaps: Vec<Gap> = axis.gaps().collect();

        assert_eq!(gaps, [Gap { from: us(10), to: us(2_000_000) }]);
    }

    #[test]
    fn a_run_in_which_nothing_happens_has_an_axis() {
        let axis = Axis::new([]);

        assert_eq!((axis.place(us(5)), axis.time(3), axis.length()), (0, us(0), 1));
    }
}
