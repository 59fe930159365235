//! Of the store's lock: a shared store is read, refreshed from and written under it.

use std::collections::HashMap;

use super::Invariant;
use super::first::FirstTokens;
use crate::simulation::plan::{Plan, SessionPlan};
use crate::simulation::record::{Moment, StoreOp, StoreOutcome, What};
use crate::simulation::universe::OUTSIDE;

/// On a store with a lock nobody asks the token endpoint without it, and only a sign-in or a sign-out that cannot have it writes
/// without it.
pub(super) struct UnderLock {
    rules: SessionPlan,
    sessions: HashMap<u32, Session>,
}

#[derive(Default)]
struct Session {
    holds: bool,
    /// It asked for the lock last, and did not get it.
    refused: bool,
    /// A sign-in that is not in the store yet, or a sign-out.
    unsaved: Option<Option<u32>>,
    first: FirstTokens,
    /// Signed out.
    out: bool,
    /// And nothing of it has been tried.
    due: bool,
    writing: bool,
    /// A refresh token was presented under this lock: what the store holds may be spent.
    presented: bool,
    disturbed: bool,
}

impl UnderLock {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { rules: plan.session.clone(), sessions: HashMap::new() }
    }
}

impl Session {
    fn identity(&mut self, sign_in: Option<u32>) {
        self.unsaved = Some(sign_in);
        self.first.forget();
        (self.due, self.out) = (!self.writing, sign_in.is_none());
    }

    fn written(&mut self, sign_in: Option<u32>, outcome: StoreOutcome) {
        self.writing = false;
        if matches!(outcome, StoreOutcome::Done(_)) && self.unsaved == Some(sign_in) {
            self.unsaved = None;
        }
    }

    fn writes(&mut self, locked: bool, op: StoreOp) -> Result<(), &'static str> {
        (self.writing, self.due) = (true, false);
        match (locked, self.holds) {
            _ if self.disturbed => Ok(()),
            (true, _) => Ok(()),
            (false, true) => Err("wrote outside of the lock that it has"),
            (false, false) if !self.refused => Err("wrote without the lock, and had not asked for it"),
            // However often.
            (false, false) if self.out && op == StoreOp::Clear => Ok(()),
            (false, false) if self.unsaved.is_none() => {
                Err("wrote what a refresh had brought without the lock")
            }
            (false, false) => Ok(()),
        }
    }

    fn see(&mut self, what: &What) -> Result<(), &'static str> {
        match what {
            What::SignIn { token } => self.identity(Some(token.sign_in)),
            What::SignOut => self.identity(None),
            What::Stopped { .. } | What::Killed => self.disturbed = true,
            What::Presented { .. } | What::Acquiring { .. } if !self.holds && !self.disturbed => {
                return Err("asked the token endpoint without the lock");
            }
            What::Presented { .. } => self.presented = true,
            What::Unlocked => {
                self.holds = false;
                if self.due && self.presented && !self.disturbed {
                    return Err("gave the lock back before a sign-in or a sign-out was written under it");
                }
            }
            What::StoreBegan { op: op @ (StoreOp::Save { .. } | StoreOp::Clear), locked, .. } => {
                return self.writes(*locked, *op);
            }
            What::StoreEnded { op: StoreOp::Lock, outcome, .. } => {
                self.holds = matches!(outcome, StoreOutcome::Done(_));
                self.refused = !self.holds;
                self.presented = false;
            }
            What::StoreEnded { op: StoreOp::Save { pair }, outcome, .. } => {
                self.written(Some(pair.access.sign_in), *outcome);
            }
            What::StoreEnded { op: StoreOp::Clear, outcome, .. } => self.written(None, *outcome),
            _ => {}
        }
        Ok(())
    }
}

impl Invariant for UnderLock {
    fn name(&self) -> &'static str {
        "under-lock"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        if !self.rules.is_shared() || moment.process == OUTSIDE {
            return Ok(());
        }
        let session = self.sessions.entry(moment.process).or_default();
        if let Some(sign_in) = session.first.see(&moment.what) {
            session.unsaved = Some(sign_in);
        }
        session.see(&moment.what).map_err(|what| format!("process {} {what}", moment.process))
    }
}
