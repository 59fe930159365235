//! Of endings: a session ends once, and not without a reason.

use std::collections::{HashMap, HashSet};

use auth_core::{EndReason, Event, SessionState};

use super::Invariant;
use crate::simulation::record::{Moment, What};

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

/// Nobody is signed out by anything but a refusal of the authorization server, another program, or time.
#[derive(Default)]
pub(super) struct NoFalseLogout {
    /// Processes to whom the server has refused a refresh token.
    refused: HashSet<u32>,
    /// Somebody has emptied the store, or signed in there.
    written_by: HashSet<u32>,
}

impl Invariant for NoFalseLogout {
    fn name(&self) -> &'static str {
        "no-false-logout"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let process = moment.process;
        match &moment.what {
            What::Refused { .. } => {
                self.refused.insert(process);
            }
            What::Stored { pair: None } => {
                self.written_by.insert(process);
            }
            What::State(SessionState::Ended(reason)) => {
                let others = self.written_by.iter().any(|other| *other != process);
                let wrong = match reason {
                    EndReason::Rejected | EndReason::AnswerLost => !self.refused.contains(&process),
                    EndReason::EndedElsewhere => !others,
                    EndReason::NotRefreshable => true,
                    _ => false,
                };
                if wrong {
                    return Err(format!("the session ended ({reason}), and nobody had ended it"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
