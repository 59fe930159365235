//! Of calls within one refresh: made again where that may help, with its pauses, and no more often than three times.

use std::collections::HashMap;
use std::time::Duration;

use auth_core::{ErrorKind, Event, SessionState};

use super::Invariant;
use super::cooling::retry_after;
use super::known::LAG;
use crate::simulation::plan::{Plan, SessionPlan};
use crate::simulation::record::{Moment, Token, What};
use crate::simulation::universe::OUTSIDE;

/// A call of the token endpoint that failed is made again within its refresh: at once where its answer was lost, after a pause
/// where the server was busy, not at all where it said no, and no more than twice.
pub(super) struct Pace {
    rules: SessionPlan,
    flights: HashMap<u32, Flight>,
    calls: HashMap<u32, Token>,
    disturbed: Vec<u32>,
}

/// A refresh under way, or the last one, as its calls tell it.
#[derive(Default)]
struct Flight {
    began: Duration,
    token: Option<Token>,
    /// Calls with that token.
    calls: u32,
    /// How the last one failed, and when.
    failed: Option<(How, Duration)>,
    /// How long the server asked to be left alone.
    asked: Option<Duration>,
    /// Something else has come between.
    cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The answer may have been lost.
    Lost,
    /// The server could not.
    Busy,
    /// The server said no.
    No,
}

const FLIGHT: Duration = Duration::from_secs(30);

/// Before the second call, and before the third.
fn pause(calls: u32) -> Option<Duration> {
    match calls {
        1 => Some(Duration::from_millis(250)),
        2 => Some(Duration::from_secs(1)),
        _ => None,
    }
}

impl Flight {
    fn presented(&mut self, token: Token, at: Duration, rules: &SessionPlan) -> Result<(), String> {
        let failed = self.failed.take();
        let asked = self.asked.take().unwrap_or_default().min(rules.longest_retry_after());
        if self.token.replace(token) != Some(token) {
            self.calls = 1;
            return Ok(());
        }
        self.calls += 1;
        let Some(pause) = pause(self.calls - 1) else {
            return Err(format!(
                "refresh token {} was presented {} times in one refresh",
                token.number, self.calls
            ));
        };
        let Some((how, then)) = failed else { return Ok(()) };
        let waited = at.saturating_sub(then);
        match how {
            How::No => Err(format!("refresh token {} was presented again after a refusal", token.number)),
            How::Busy if waited < pause.max(asked) => {
                Err(format!("refresh token {} was presented again after {waited:?}", token.number))
            }
            How::Lost if waited > LAG * 2 => Err(format!(
                "the answer to refresh token {} was lost, and it took {waited:?} to ask for it again",
                token.number
            )),
            _ => Ok(()),
        }
    }

    /// The refresh failed at this time, with the server asking for so long a pause.
    fn given_up(&self, asked: Duration) -> Result<(), String> {
        let (Some((how, then)), Some(token), false) = (self.failed, self.token, self.cut) else {
            return Ok(());
        };
        let Some(pause) = pause(self.calls) else { return Ok(()) };
        let next = then + pause.max(asked);
        if how != How::No && next + LAG < self.began + FLIGHT {
            return Err(format!(
                "refresh token {} was presented {} times, and then given up with time left",
                token.number, self.calls
            ));
        }
        Ok(())
    }
}

impl Pace {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            rules: plan.session.clone(),
            flights: HashMap::new(),
            calls: HashMap::new(),
            disturbed: Vec::new(),
        }
    }

    fn ended(&mut self, moment: &Moment, call: u32, how: How) {
        let flight = self.flights.entry(moment.process).or_default();
        if self.calls.remove(&call).is_some_and(|token| flight.token == Some(token)) {
            flight.failed = Some((how, moment.at));
        }
    }
}

impl Invariant for Pace {
    fn name(&self) -> &'static str {
        "calls-in-measure"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let (process, at) = (moment.process, moment.at);
        // Other programs make each refresh anew, and say nothing of it.
        if process == OUTSIDE || self.disturbed.contains(&process) {
            return Ok(());
        }
        let flight = self.flights.entry(process).or_default();
        match &moment.what {
            What::State(SessionState::Refreshing) => *flight = Flight { began: at, ..Flight::default() },
            What::SignIn { .. } | What::SignOut => flight.cut = true,
            What::StoreEnded { .. } => flight.cut |= flight.failed.is_some(),
            What::Stopped { .. } => self.disturbed.push(process),
            What::Presented { call, refresh } => {
                self.calls.insert(*call, *refresh);
                if !flight.cut {
                    flight.presented(*refresh, at, &self.rules)?;
                }
            }
            What::Failed { call, status } => {
                let how = match status {
                    Some(502 | 504 | 200) => How::Lost,
                    Some(400) => How::No,
                    _ => How::Busy,
                };
                self.ended(moment, *call, how);
            }
            What::Lost { call } | What::Abandoned { call } => self.ended(moment, *call, How::Lost),
            What::Refused { call, .. } => self.ended(moment, *call, How::No),
            What::Told(Event::AttemptFailed { error, .. }) => {
                flight.asked = retry_after(error, &self.rules);
            }
            What::Told(Event::RefreshFailed { error, .. })
                if error.kind() == ErrorKind::RefreshUnavailable =>
            {
                let asked = retry_after(error, &self.rules).unwrap_or_default();
                flight.given_up(asked)?;
            }
            _ => {}
        }
        Ok(())
    }
}
