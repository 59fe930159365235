//! Cooling: after a refresh that failed, none is started for a while. How long, as far as that can be seen from outside.

use std::collections::HashMap;
use std::time::Duration;

use auth_core::{Advice, Error, ErrorKind, Event};

use super::known::LAG;
use crate::simulation::plan::{Plan, SessionPlan};
use crate::simulation::record::{Moment, What};

pub(super) struct Cooling {
    rules: SessionPlan,
    sessions: HashMap<u32, Session>,
}

#[derive(Clone, Copy, Default)]
struct Session {
    failures: u32,
    /// When it is over, at the earliest and at the latest.
    until: Option<(Duration, Duration)>,
    kind: Option<ErrorKind>,
    /// First tokens were asked for: a failure of that cools as well, and no event tells of it.
    acquires: bool,
}

impl Cooling {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { rules: plan.session.clone(), sessions: HashMap::new() }
    }

    /// Whether it certainly runs.
    pub(super) fn surely_runs(&self, process: u32, at: Duration) -> bool {
        self.until(process).is_some_and(|(earliest, _)| at < earliest)
    }

    pub(super) fn is_surely_over(&self, process: u32, at: Duration) -> bool {
        !self.acquires(process) && self.until(process).is_none_or(|(_, latest)| at > latest)
    }

    /// What a request fails with while it runs.
    pub(super) fn kind(&self, process: u32) -> Option<ErrorKind> {
        self.sessions.get(&process)?.kind
    }

    pub(super) fn acquires(&self, process: u32) -> bool {
        self.sessions.get(&process).is_some_and(|session| session.acquires)
    }

    fn until(&self, process: u32) -> Option<(Duration, Duration)> {
        self.sessions.get(&process)?.until
    }

    pub(super) fn see(&mut self, moment: &Moment) {
        let session = self.sessions.entry(moment.process).or_default();
        match &moment.what {
            What::Acquiring { .. } => session.acquires = true,
            What::Told(Event::RefreshFailed { error, .. }) if fails(error.kind()) => {
                session.failed(&self.rules, error, moment.at);
            }
            What::Told(
                Event::Refreshed { .. }
                | Event::SignedIn { .. }
                | Event::SignedOut { .. }
                | Event::IdentityChanged { .. },
            ) => *session = Session { acquires: session.acquires, ..Session::default() },
            _ => {}
        }
    }
}

impl Session {
    fn failed(&mut self, rules: &SessionPlan, error: &Error, at: Duration) {
        self.failures += 1;
        self.kind = Some(error.kind());
        let doubled = rules.cooldown() * (1 << (self.failures - 1).min(20));
        let cooldown = doubled.min(rules.longest_cooldown());
        let asked = retry_after(error, rules);
        let wish = asked.unwrap_or_default();
        let earliest = at.saturating_sub(LAG) + (cooldown * 8 / 10).max(wish);
        let latest = at + (cooldown * 12 / 10).max(wish);
        let running = self.until.filter(|_| asked.is_none());
        let (first, last) = running.unwrap_or((earliest, latest));
        self.until =
            Some((earliest.max(first), latest.max(last).max(self.until.map_or(latest, |(_, last)| last))));
    }
}

/// How long the server wants to be left alone, as far as that is honoured.
pub(super) fn retry_after(error: &Error, rules: &SessionPlan) -> Option<Duration> {
    match error.advice() {
        Advice::RetryLater { after } => after.map(|after| after.min(rules.longest_retry_after())),
        _ => None,
    }
}

/// Whether a flight that ended so has failed: else it was overtaken, or its refresh token is dead.
pub(super) fn fails(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::SessionChanged | ErrorKind::SignedOut | ErrorKind::SessionEnded)
}
