//! Of endings: a session ends once, and not without a reason.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use auth_core::{EndReason, Event, SessionState};

use super::Invariant;
use super::known::Known;
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, Refusal, Token, What};

/// 8. A session ends once; and whoever listens is told.
#[derive(Default)]
pub(super) struct EndsOnce {
    /// How often each process was told of the end of the sign-in it has.
    told: HashMap<u32, u32>,
    ended: HashSet<u32>,
}

impl Invariant for EndsOnce {
    fn name(&self) -> &'static str {
        "ends-once"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        match &moment.what {
            What::Told(Event::Ended(_)) => {
                let told = self.told.entry(moment.process).or_default();
                *told += 1;
                if *told > 1 {
                    return Err("the end of the session was told twice".to_owned());
                }
            }
            // Events are told in order, so this is about the next sign-in.
            What::Told(Event::SignedIn { .. } | Event::IdentityChanged { .. } | Event::Loaded { .. }) => {
                self.told.insert(moment.process, 0);
            }
            What::State(SessionState::Ended(_)) => {
                self.ended.insert(moment.process);
            }
            What::State(_) | What::Killed => {
                self.ended.remove(&moment.process);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self) -> Result<(), String> {
        let untold = self.ended.iter().find(|process| self.told.get(process) != Some(&1));
        untold.map_or(Ok(()), |process| {
            Err(format!("process {process} was not told of the end of its session"))
        })
    }
}

/// Nobody is signed out by anything but a refusal of the authorization server, another program, or time; and not while the
/// access token is good, unless that was rejected.
pub(super) struct NoFalseLogout {
    known: Known,
    /// What each process's session was refused: the sign-ins.
    refused: HashSet<(u32, u32)>,
    /// Somebody has emptied the store, or signed in there.
    written_by: HashSet<u32>,
    calls: HashMap<u32, Token>,
    /// Refresh tokens whose answer a process has lost; and who was refused one of them since.
    lost: HashSet<(u32, Token)>,
    spent: HashSet<(u32, u32)>,
}

impl NoFalseLogout {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            known: Known::new(plan),
            refused: HashSet::new(),
            written_by: HashSet::new(),
            calls: HashMap::new(),
            lost: HashSet::new(),
            spent: HashSet::new(),
        }
    }

    fn refused(&mut self, process: u32, call: u32, why: Refusal) {
        let Some(token) = self.calls.get(&call) else { return };
        self.refused.insert((process, token.sign_in));
        if why == Refusal::Reused && self.lost.contains(&(process, *token)) {
            self.spent.insert((process, token.sign_in));
        }
    }

    fn ended(&self, process: u32, at: Duration, reason: EndReason) -> Result<(), String> {
        let session = self.known.session(process);
        let sure = session.filter(|session| !session.doubtful);
        let sign_in = sure.and_then(|session| session.token).map(|token| token.sign_in);
        let refused = match sign_in {
            Some(sign_in) => self.refused.contains(&(process, sign_in)),
            None => self.refused.iter().any(|(other, _)| *other == process),
        };
        let others = self.written_by.iter().any(|other| *other != process);
        let wrong = match reason {
            EndReason::Rejected | EndReason::AnswerLost => !refused,
            EndReason::EndedElsewhere => !others,
            EndReason::RefreshTokenExpired => self.known.is_refresh_surely_good(process, at),
            EndReason::NotRefreshable => true,
            _ => false,
        };
        if wrong {
            return Err(format!("the session ended ({reason}), and nobody had ended it"));
        }
        let Some(session) = session else { return Ok(()) };
        let life = self.known.newest_life(process);
        let good = life.is_some_and(|life| life.is_surely_good(at)) && !session.is_rejected();
        if good && !session.disturbed && reason != EndReason::EndedElsewhere {
            return Err(format!("the session ended ({reason}) though its access token was good"));
        }
        let lost = sign_in.is_some_and(|sign_in| self.spent.contains(&(process, sign_in)));
        if reason == EndReason::Rejected && lost && !session.disturbed {
            return Err("the session ended as rejected, though it had lost the answer itself".to_owned());
        }
        Ok(())
    }
}

impl Invariant for NoFalseLogout {
    fn name(&self) -> &'static str {
        "no-false-logout"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let process = moment.process;
        let mut judged = Ok(());
        match &moment.what {
            What::Presented { call, refresh } => drop(self.calls.insert(*call, *refresh)),
            What::Lost { call } => self.lost.extend(self.calls.get(call).map(|token| (process, *token))),
            // With another pair that is over.
            What::Told(Event::Refreshed { .. }) => self.spent.retain(|(other, _)| *other != process),
            What::Refused { call, why } => self.refused(process, *call, *why),
            What::Stored { pair: None } => drop(self.written_by.insert(process)),
            What::State(SessionState::Ended(reason)) => judged = self.ended(process, moment.at, *reason),
            _ => {}
        }
        self.known.see(moment);
        judged
    }
}
