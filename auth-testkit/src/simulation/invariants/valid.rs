//! Of tokens in use: none that is known to be bad goes out, and nobody waits for another while it is good.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use auth_core::{Event, SessionState, Stamp};

use super::Invariant;
use super::cooling::Cooling;
use super::known::{Known, LAG, STEP, Session};
use crate::simulation::asked::Call;
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, Token, What};

/// No request leaves with a token that has expired, that has been replaced, or that was rejected while its refresh is under way.
pub(super) struct GoodTokens {
    known: Known,
    newest: HashMap<u32, Stamp>,
}

impl GoodTokens {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { known: Known::new(plan), newest: HashMap::new() }
    }

    /// What another has put into the store is in force.
    fn adopted(&self, moment: &Moment, flight: u64) -> Result<(), String> {
        let found = self.known.session(moment.process).filter(|session| !session.disturbed);
        let Some(token) = found.and_then(Session::found) else { return Ok(()) };
        let life = self.known.life(moment.process, token);
        if life.is_some_and(|life| life.is_surely_expired(moment.at.saturating_sub(LAG))) {
            return Err(format!(
                "flight {flight} took access token {} over, which had expired",
                token.number
            ));
        }
        Ok(())
    }

    /// A first attempt, which has not waited in line.
    fn first(&self, moment: &Moment, request: u32, stamp: Stamp, token: Token) -> Result<(), String> {
        let process = moment.process;
        let Some(session) = self.known.session(process) else { return Ok(()) };
        let unordered = self.known.rules.unordered;
        let expired = self.known.life(process, token).is_some_and(|life| life.is_surely_expired(moment.at));
        if expired && !unordered {
            return Err(format!(
                "request {request} left with access token {}, which had expired",
                token.number
            ));
        }
        let refreshing = session.state == SessionState::Refreshing && !session.disturbed;
        if session.held == Some(stamp) && refreshing && !unordered {
            return Err(format!(
                "request {request} left with access token {}, which was rejected and being refreshed",
                token.number
            ));
        }
        Ok(())
    }
}

impl Invariant for GoodTokens {
    fn name(&self) -> &'static str {
        "good-tokens"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let judged = match &moment.what {
            What::Sent { request, attempt, place, stamp: Some(stamp), token: Some(token) } => {
                let newest = self.newest.entry(moment.process).or_insert(*stamp);
                if stamp < newest {
                    return Err(format!(
                        "request {request} left with a lease of {}.{} after one had left with {}.{}",
                        stamp.epoch, stamp.generation, newest.epoch, newest.generation
                    ));
                }
                *newest = *stamp;
                if (*attempt, *place) == (1, None) {
                    self.first(moment, *request, *stamp, *token)
                } else {
                    Ok(())
                }
            }
            What::State(SessionState::Draining)
                if self
                    .known
                    .newest_life(moment.process)
                    .is_some_and(|life| life.is_surely_expired(moment.at.saturating_sub(STEP))) =>
            {
                Err("a token that has expired stays in use".to_owned())
            }
            What::Told(Event::Refreshed { adopted: true, flight, .. }) => self.adopted(moment, flight.get()),
            _ => Ok(()),
        };
        self.known.see(moment);
        judged
    }
}

/// While the token is good nobody waits: a request leaves at once, and in the soft window the refresh is made meanwhile.
pub(super) struct NobodyWaits {
    known: Known,
    cooling: Cooling,
    /// A call that must go on in the moment that follows.
    next: Option<u32>,
    /// Sessions that must refresh by the end of this step.
    due: HashMap<u32, Duration>,
    /// Those of whose newest refresh nobody has been told yet how it ended: its failure may have begun a cooldown.
    untold: HashSet<u32>,
}

impl NobodyWaits {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            known: Known::new(plan),
            cooling: Cooling::new(plan),
            next: None,
            due: HashMap::new(),
            untold: HashSet::new(),
        }
    }

    /// Whether this process's session has a token that anybody may use.
    fn is_free(&self, process: u32, at: Duration) -> bool {
        let Some(session) = self.known.session(process) else { return false };
        let good = self.known.newest_life(process).is_some_and(|life| life.is_surely_good(at));
        good && session.is_in() && !session.is_rejected() && !session.disturbed
    }

    fn is_soft(&self, process: u32, stamp: Stamp, at: Duration) -> bool {
        let Some(session) = self.known.session(process) else { return false };
        let life = self.known.newest_life(process);
        let soft = life.is_some_and(|life| life.is_surely_soft(at) && life.is_surely_good(at));
        let alive = self.known.is_refresh_surely_good(process, at);
        // Who waits without a place is not told from who does not.
        soft && alive
            && !self.known.rules.unordered
            && session.newest == Some(stamp)
            && session.state == SessionState::Active
            && !session.disturbed
            && !self.untold.contains(&process)
            && self.cooling.is_surely_over(process, at)
    }

    fn judge(&mut self, moment: &Moment) -> Result<(), String> {
        let (process, at) = (moment.process, moment.at);
        if let Some(request) = self.next.take() {
            let goes_on = match &moment.what {
                What::Sent { request: other, .. }
                | What::Settled { request: other, .. }
                | What::Handed { request: other, .. } => *other == request,
                _ => false,
            };
            if !goes_on {
                return Err(format!("call {request} had to wait though the token was good"));
            }
        }
        if let What::State(_) | What::SignIn { .. } | What::SignOut | What::Killed = &moment.what {
            self.due.remove(&process);
        }
        if let Some((late, _)) = self.due.iter().find(|(_, due)| at > **due + STEP) {
            return Err(format!("process {late} used a token in its soft window, and did not refresh it"));
        }
        match &moment.what {
            What::State(SessionState::Refreshing) => drop(self.untold.insert(process)),
            What::Told(Event::Refreshed { .. } | Event::RefreshFailed { .. }) => {
                self.untold.remove(&process);
            }
            What::Submitted { request } => {
                let call = self.known.call(*request);
                let waits_never = call.carries_token() || call == Call::AccessToken(0);
                if waits_never && self.is_free(process, at) {
                    self.next = Some(*request);
                }
            }
            What::Sent { attempt: 1, place: None, stamp: Some(stamp), .. }
                if self.is_soft(process, *stamp, at) =>
            {
                self.due.insert(process, at);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Invariant for NobodyWaits {
    fn name(&self) -> &'static str {
        "nobody-waits"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        // What follows from a moment is judged by what was known before it.
        let judged = self.judge(moment);
        self.known.see(moment);
        self.cooling.see(moment);
        judged
    }
}
