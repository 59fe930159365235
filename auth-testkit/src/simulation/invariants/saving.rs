//! Of saving: first saved, then used; and one writer.

use std::collections::{HashMap, HashSet};

use super::Invariant;
use crate::simulation::record::{Moment, StoreOp, StoreOutcome, Token, What};

/// 3. Nothing is released before its save was tried and answered.
#[derive(Default)]
pub(super) struct SavedFirst {
    granted: HashMap<u32, Token>,
    /// Access tokens that a process was given, and whose save has not been answered.
    unsaved: HashSet<(u32, Token)>,
    /// Access tokens that a process has had before: a server may give the same again.
    known: HashSet<(u32, Token)>,
    /// Who was signed in or out at a process, and whom the store has shown since.
    who: HashMap<u32, Vec<u32>>,
    /// Sign-ins that a process has left.
    left: HashSet<(u32, u32)>,
    /// Who stood still.
    disturbed: HashSet<u32>,
    /// The sign-in that a process found in the store last.
    found: HashMap<u32, u32>,
}

impl SavedFirst {
    /// What a refresh brings for somebody who is not signed in any more is nobody's, and is not saved.
    fn is_of(&self, process: u32, token: Token) -> bool {
        self.who.get(&process).is_none_or(|who| who.contains(&token.sign_in))
    }

    fn leave(&mut self, process: u32, now: Vec<u32>) {
        let before = self.who.insert(process, now).unwrap_or_default();
        self.left.extend(self.found.get(&process).map(|sign_in| (process, *sign_in)));
        self.left.extend(before.into_iter().map(|sign_in| (process, sign_in)));
        self.forget(process);
    }

    fn forget(&mut self, process: u32) {
        self.unsaved.retain(|(other, _)| *other != process);
    }
}

impl Invariant for SavedFirst {
    fn name(&self) -> &'static str {
        "saved-first"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let process = moment.process;
        match &moment.what {
            What::Exchanged { call, access, .. } => {
                self.granted.insert(*call, *access);
            }
            What::SignIn { token } => {
                self.known.insert((process, *token));
                self.leave(process, vec![token.sign_in]);
            }
            What::SignOut => {
                self.leave(process, Vec::new());
            }
            What::Delivered { call } => {
                if let Some(access) = self.granted.get(call)
                    && self.known.insert((process, *access))
                    && self.is_of(process, *access)
                {
                    self.unsaved.insert((process, *access));
                }
            }
            What::StoreEnded { op, outcome, .. } => match (op, outcome) {
                (StoreOp::Save { pair }, _) => {
                    self.unsaved.remove(&(process, pair.access));
                }
                // A store that cannot be locked or looked at before the write has answered it.
                (_, StoreOutcome::Failed | StoreOutcome::Conflict | StoreOutcome::Dropped) => {
                    self.forget(process);
                }
                // Whoever has emptied it comes first.
                (StoreOp::Load, StoreOutcome::Done(None)) => self.forget(process),
                // Somebody else has saved it there.
                (StoreOp::Load, StoreOutcome::Done(Some(found))) => {
                    self.known.insert((process, found.access));
                    self.found.insert(process, found.access.sign_in);
                    if let Some(who) = self.who.get_mut(&process)
                        && !self.left.contains(&(process, found.access.sign_in))
                    {
                        who.push(found.access.sign_in);
                    }
                    // Or has written something else, which comes first.
                    self.forget(process);
                }
                _ => {}
            },
            // Time may run out for it.
            What::Stopped { .. } => {
                self.disturbed.insert(process);
                self.forget(process);
            }
            What::Killed => self.forget(process),
            What::Unlocked if self.disturbed.contains(&process) => {}
            What::Unlocked => {
                if let Some((_, token)) = self.unsaved.iter().filter(|(other, _)| *other == process).min() {
                    return Err(format!(
                        "the lock was given back before the save of access token {} was answered",
                        token.number
                    ));
                }
            }
            What::Sent { request, token: Some(token), .. } if self.unsaved.contains(&(process, *token)) => {
                return Err(format!(
                    "request {request} left with access token {} before its save was answered",
                    token.number
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

/// 9. The store has one writer a session: its writes do not overlap.
#[derive(Default)]
pub(super) struct OneWriter {
    writing: HashMap<u32, u32>,
    /// Where a writer may have been replaced that nobody drove.
    disturbed: HashSet<u32>,
}

impl Invariant for OneWriter {
    fn name(&self) -> &'static str {
        "one-writer"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        // Those of other programs are theirs.
        match &moment.what {
            What::StoreBegan { call, op: StoreOp::Save { .. } | StoreOp::Clear, .. }
                if !is_outside(moment) && !self.disturbed.contains(&moment.process) =>
            {
                match self.writing.insert(moment.process, *call) {
                    Some(other) => Err(format!("write {call} began before write {other} had ended")),
                    None => Ok(()),
                }
            }
            What::StoreEnded { call, .. } => {
                if self.writing.get(&moment.process) == Some(call) {
                    self.writing.remove(&moment.process);
                }
                Ok(())
            }
            What::Stopped { .. } => {
                self.disturbed.insert(moment.process);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn is_outside(moment: &Moment) -> bool {
    moment.process == crate::simulation::universe::OUTSIDE
}
