//! The ledger of a run: every flight as it is told, held against the policy.

use std::time::Duration;

use auth_core::{Advice, Cause, ErrorKind, Event, FlightId};

use super::{Settings, s};

/// What a policy's fractions may be off by.
const SLACK: Duration = Duration::from_millis(1);
/// Chance makes no cooldown shorter than this much of it.
const SHORTEST: f64 = 0.8;
/// No token is refreshed ahead of time before this much of its life.
const SOFTEST: f64 = 0.8;
const WINDOW: Duration = s(30);

pub struct Ledger {
    settings: Settings,
    /// How long the tokens live that were handed over last.
    issued: Option<Duration>,
    /// When somebody last wanted a token for longer.
    wanted_at: Option<Duration>,
    flights: usize,
    up: Option<(FlightId, Cause)>,
    epoch: Option<Epoch>,
    pub seen: Seen,
}

/// One identity's.
struct Epoch {
    since: Duration,
    /// When the newest generation was published, and how long it lives.
    newest: (Duration, Option<Duration>),
    generations: usize,
    shortest: Option<Duration>,
    flights: usize,
    forced: usize,
    wanted: usize,
    /// What the flights of the generations before the newest may have been.
    allowed: usize,
    failures: u32,
    /// None but a forced flight before.
    cools_until: Duration,
    /// When flights that a rejection had started succeeded.
    rejected: Vec<Duration>,
    refused: bool,
}

impl Ledger {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            issued: None,
            wanted_at: None,
            flights: 0,
            up: None,
            epoch: None,
            seen: Seen::default(),
        }
    }

    /// Tokens with this lifetime are handed over.
    pub fn issued(&mut self, lifetime: Option<Duration>) {
        self.issued = lifetime;
    }

    pub fn forced(&mut self) {
        if let Some(epoch) = &mut self.epoch {
            epoch.forced += 1;
        }
    }

    pub fn wanted(&mut self, at: Duration) {
        self.wanted_at = Some(at);
        if let Some(epoch) = &mut self.epoch {
            epoch.wanted += 1;
        }
    }

    pub fn tell(&mut self, at: Duration, event: &Event) {
        match event {
            Event::SignedIn { .. } => {
                assert!(self.up.is_none(), "a flight outlives its epoch");
                self.epoch = Some(Epoch::new(at, self.issued));
            }
            Event::SignedOut { .. } => self.epoch = None,
            Event::RefreshStarted { flight, cause } => self.starts(at, *flight, *cause),
            Event::Refreshed { cause, .. } => self.refreshed(at, *cause),
            Event::AttemptFailed { attempt, .. } => assert!(*attempt < 3, "a third call is the last"),
            Event::RefreshFailed { error, .. } => {
                self.up = None;
                let asked = match error.advice() {
                    Advice::RetryLater { after } => after,
                    _ => None,
                };
                match error.kind() {
                    ErrorKind::SessionChanged | ErrorKind::SignedOut => self.seen.overtaken += 1,
                    ErrorKind::SessionEnded => self.refused(),
                    _ => self.failed(at, asked),
                }
            }
            _ => {}
        }
    }

    fn starts(&mut self, at: Duration, flight: FlightId, cause: Cause) {
        assert!(self.up.is_none(), "{flight} starts while {:?} is up", self.up);
        self.up = Some((flight, cause));
        self.flights += 1;
        let wanted = self.wanted_at == Some(at);
        let epoch = self.epoch.as_mut().expect("somebody is signed in");
        epoch.flights += 1;
        assert!(!epoch.refused, "{flight} presents a refresh token that was refused");
        if cause != Cause::Forced {
            assert!(at + SLACK >= epoch.cools_until, "{flight} starts in the cooldown: {cause:?}");
        }
        match cause {
            Cause::Rejected => {
                let within = epoch.rejected.iter().filter(|since| at < **since + WINDOW).count();
                let full = self.settings.rejections.is_some_and(|most| within >= most);
                assert!(!full, "{flight} starts though the window is full");
                self.seen.rejected += 1;
            }
            Cause::Forced => self.seen.forced += 1,
            _ => {
                let (since, lifetime) = epoch.newest;
                let soft = lifetime.is_some_and(|lifetime| at + SLACK >= since + lifetime.mul_f64(SOFTEST));
                assert!(soft || wanted, "{flight} starts ahead of its time");
                self.seen.proactive += 1;
            }
        }
    }

    fn refreshed(&mut self, at: Duration, cause: Cause) {
        self.up = None;
        self.seen.refreshed += 1;
        let (settings, issued) = (self.settings, self.issued);
        let epoch = self.epoch.as_mut().expect("somebody is signed in");
        epoch.allowed += 1 + settings.probes(at - epoch.newest.0);
        epoch.newest = (at, issued);
        epoch.generations += 1;
        epoch.shortest = epoch.shortest.into_iter().chain(issued).min();
        (epoch.failures, epoch.cools_until) = (0, Duration::ZERO);
        if cause == Cause::Rejected {
            epoch.rejected.push(at);
        }
    }

    fn failed(&mut self, at: Duration, asked: Option<Duration>) {
        self.seen.failed += 1;
        let settings = self.settings;
        let epoch = self.epoch.as_mut().expect("somebody is signed in");
        epoch.failures += 1;
        let cools = settings.cooldown(epoch.failures).mul_f64(SHORTEST);
        let until = at + cools.max(asked.unwrap_or_default().min(settings.longest_retry_after));
        // What was asked for before counts until something else is asked for.
        epoch.cools_until = if asked.is_some() { until } else { until.max(epoch.cools_until) };
        self.seen.most_in_a_row = self.seen.most_in_a_row.max(u64::from(epoch.failures));
    }

    fn refused(&mut self) {
        self.seen.refused += 1;
        self.epoch.as_mut().expect("somebody is signed in").refused = true;
    }

    /// The three sums.
    pub fn balance(&self, now: Duration, calls: usize) {
        assert!(calls <= 3 * self.flights, "{calls} calls for {} flights", self.flights);
        let Some(epoch) = &self.epoch else { return };
        let allowed = epoch.forced + epoch.allowed + 1 + self.settings.probes(now - epoch.newest.0);
        assert!(epoch.flights <= allowed, "{} flights, {allowed} allowed", epoch.flights);
        let age = now - epoch.since;
        let windows = usize::try_from(age.as_nanos() / WINDOW.as_nanos() + 1).unwrap();
        let ahead =
            epoch.shortest.map_or(0.0, |shortest| age.as_secs_f64() / shortest.as_secs_f64() / SOFTEST);
        if let Some(most) = self.settings.rejections {
            // A float's slack is less than one.
            let allowed = epoch.forced + epoch.wanted + most * windows + (ahead + 0.01).floor() as usize;
            assert!(epoch.generations <= allowed, "{} generations, {allowed} allowed", epoch.generations);
        }
    }
}

impl Epoch {
    fn new(since: Duration, lifetime: Option<Duration>) -> Self {
        Self {
            since,
            newest: (since, lifetime),
            generations: 0,
            shortest: lifetime,
            flights: 0,
            forced: 0,
            wanted: 0,
            allowed: 0,
            failures: 0,
            cools_until: Duration::ZERO,
            rejected: Vec::new(),
            refused: false,
        }
    }
}

impl Settings {
    /// After so many failures in a row, without its jitter.
    fn cooldown(&self, failures: u32) -> Duration {
        let (first, longest) = self.cooldown;
        first.saturating_mul(1 << (failures - 1).min(20)).min(longest)
    }

    /// How many cooldowns find room in this time, one after the other, each as short as it can be.
    fn probes(&self, time: Duration) -> usize {
        let mut left = time + SLACK;
        (1..)
            .take_while(|failures| {
                let cooldown = self.cooldown(*failures).mul_f64(SHORTEST);
                let room = left.checked_sub(cooldown);
                left = room.unwrap_or_default();
                room.is_some()
            })
            .count()
    }
}

/// How much of everything has happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    rejected: u64,
    proactive: u64,
    forced: u64,
    refreshed: u64,
    failed: u64,
    refused: u64,
    overtaken: u64,
    most_in_a_row: u64,
    pub excessive: u64,
    pub cooled: u64,
    pub late: u64,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.rejected += other.rejected;
        self.proactive += other.proactive;
        self.forced += other.forced;
        self.refreshed += other.refreshed;
        self.failed += other.failed;
        self.refused += other.refused;
        self.overtaken += other.overtaken;
        self.most_in_a_row = self.most_in_a_row.max(other.most_in_a_row);
        self.excessive += other.excessive;
        self.cooled += other.cooled;
        self.late += other.late;
    }

    /// Enough of each for the bounds to have been put to the test.
    pub fn is_plenty(&self) -> bool {
        let each = [
            self.rejected,
            self.proactive,
            self.forced,
            self.refreshed,
            self.failed,
            self.refused,
            self.overtaken,
            self.excessive,
            self.cooled,
            self.late,
        ];
        each.iter().all(|seen| *seen >= 100) && self.most_in_a_row >= 6
    }
}
