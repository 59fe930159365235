//! Of reasons: no refresh is started that nobody needs.

use std::collections::HashMap;
use std::time::Duration;

use auth_core::{Cause, Event, SessionState, Stamp};

use super::Invariant;
use super::known::{Known, LAG, Request};
use crate::simulation::asked::Call;
use crate::simulation::plan::{Knows, Plan};
use crate::simulation::record::{Moment, Token, What};
use crate::simulation::universe::OUTSIDE;

/// A refresh takes no longer.
const FLIGHT: Duration = Duration::from_secs(31);

/// A refresh has a reason: the newest token was rejected, or has little time left, or somebody asks for it who knows no older
/// one; and its refresh token is not known to be dead.
pub(super) struct Reasons {
    known: Known,
    sessions: HashMap<u32, Session>,
}

/// What a session has told, in its order.
#[derive(Default)]
struct Session {
    newest: Option<Stamp>,
    epoch: u64,
    draining: bool,
    /// Generations that were rejected on a first attempt.
    rejected: Vec<Stamp>,
}

impl Reasons {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { known: Known::new(plan), sessions: HashMap::new() }
    }

    fn presented(&self, moment: &Moment, refresh: Token) -> Result<(), String> {
        let disturbed = self.known.session(moment.process).is_none_or(|session| session.disturbed);
        // It may have been good when the refresh began.
        let began = moment.at.saturating_sub(FLIGHT);
        if !disturbed && self.known.has_surely_expired(moment.process, refresh, began) {
            return Err(format!("refresh token {} was presented, which had expired", refresh.number));
        }
        Ok(())
    }

    fn started(&self, moment: &Moment, cause: Cause) -> Result<(), &'static str> {
        let process = moment.process;
        let (Some(told), Some(session)) = (self.sessions.get(&process), self.known.session(process)) else {
            return Ok(());
        };
        if told.draining {
            return Err("its refresh token was known to be dead");
        }
        // The clock of a session that stood still is not this one.
        if session.disturbed || session.doubtful {
            return Ok(());
        }
        // One that has expired is looked for in the store where there is nothing else left to use.
        let before = moment.at.saturating_sub(LAG);
        // Told late, it may have brought a newer token by now: what is known of that says nothing of how it began.
        let late = told.newest.is_some_and(|told| session.newest != Some(told));
        let newest = self.known.newest_life(process).filter(|_| !late);
        let good = newest.is_some_and(|life| life.is_surely_good(moment.at));
        if good && !session.is_rejected() && self.known.is_refresh_surely_expired(process, before) {
            return Err("its refresh token had expired, and the access token was good");
        }
        let newest = told.newest;
        match cause {
            Cause::Rejected if newest.is_some_and(|newest| !told.rejected.contains(&newest)) => {
                Err("nobody had seen the newest token rejected")
            }
            Cause::Forced => {
                let asks = |request: &Request| match request.call {
                    Call::Refresh(Knows::Nothing) => true,
                    Call::Refresh(_) => {
                        request.knew.is_none_or(|known| newest.is_none_or(|newest| known >= newest))
                    }
                    _ => false,
                };
                let anybody = self.known.lately_open(process, moment.at).any(asks);
                if anybody { Ok(()) } else { Err("nobody had asked for it who knew no older token") }
            }
            Cause::Proactive => {
                let Some(life) = self.known.newest_life(process).filter(|_| session.newest == newest) else {
                    return Ok(());
                };
                let asks = |request: &Request| match request.call {
                    Call::AccessToken(least) => {
                        let least = Duration::from_secs(least);
                        let helps = !session.is_born()
                            || life.good.is_none_or(|good| least <= good + super::known::STEP);
                        let lasts = life.expires.is_none_or(|(earliest, _)| moment.at + least < earliest);
                        helps && !lasts
                    }
                    _ => false,
                };
                let anybody = self.known.lately_open(process, moment.at).any(asks);
                if life.may_be_soft(moment.at) || anybody { Ok(()) } else { Err("the token had time left") }
            }
            _ => Ok(()),
        }
    }
}

impl Session {
    fn told(&mut self, event: &Event) {
        match event {
            Event::SignedIn { epoch } | Event::IdentityChanged { epoch } => {
                self.epoch = *epoch;
                self.newest = Some(Stamp { epoch: *epoch, generation: 0 });
                self.draining = false;
            }
            Event::SignedOut { epoch } => {
                self.epoch = *epoch;
                (self.newest, self.draining) = (None, false);
            }
            Event::Loaded { signed_in: true } => {
                self.newest = Some(Stamp { epoch: self.epoch, generation: 0 });
            }
            Event::Refreshed { stamp, .. } => (self.newest, self.draining) = (Some(*stamp), false),
            Event::Draining => self.draining = true,
            Event::Ended(_) => (self.newest, self.draining) = (None, false),
            _ => {}
        }
    }
}

impl Invariant for Reasons {
    fn name(&self) -> &'static str {
        "no-needless-refresh"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let mut judged = Ok(());
        match &moment.what {
            What::Answered { request, status: Some(401) } => {
                let stamp = self.known.request(*request).and_then(Request::rejected);
                self.sessions.entry(moment.process).or_default().rejected.extend(stamp);
            }
            What::Presented { refresh, .. } if moment.process != OUTSIDE => {
                judged = self.presented(moment, *refresh);
            }
            What::Told(Event::RefreshStarted { flight, cause }) => {
                judged = self
                    .started(moment, *cause)
                    .map_err(|why| format!("flight {flight} ({cause:?}) began, and {why}"));
            }
            What::Told(event) => self.sessions.entry(moment.process).or_default().told(event),
            What::State(SessionState::SignedOut) | What::Killed => {}
            _ => {}
        }
        self.known.see(moment);
        judged
    }
}
