//! Of revoking: a pair that is nobody's any more is offered to the authorization server.

use std::collections::{BTreeMap, HashMap, HashSet};

use auth_core::SessionState;

use super::Invariant;
use super::known::{Known, Session};
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, Token, What};

/// What was signed out, and what came for somebody who had gone, is offered for revocation.
pub(super) struct Revoked {
    known: Known,
    /// What is still to be offered: by which process, of which sign-in. And why.
    owed: BTreeMap<(u32, u32), &'static str>,
    /// Calls under way, and how often each process's identity had changed when they began.
    calls: HashMap<u32, u32>,
    first: HashMap<u32, u32>,
    changes: HashMap<u32, u32>,
    granted: HashMap<u32, u32>,
    /// Who was told in the refresh under way that the refresh token is dead.
    dead: HashSet<u32>,
    /// Those of whom this is seen.
    built: HashSet<u32>,
    /// First tokens that are about to be in force.
    acquired: HashMap<u32, u32>,
    /// The newest sign-in that was called for. What comes for an older one is not what it has.
    signed_in: HashMap<u32, u32>,
}

const SIGNED_OUT: &str = "was signed out";
const TOO_LATE: &str = "came when somebody else was signed in, or nobody";

impl Revoked {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            known: Known::new(plan),
            owed: BTreeMap::new(),
            calls: HashMap::new(),
            first: HashMap::new(),
            changes: HashMap::new(),
            granted: HashMap::new(),
            dead: HashSet::new(),
            built: HashSet::new(),
            acquired: HashMap::new(),
            signed_in: HashMap::new(),
        }
    }

    fn owe(&mut self, process: u32, sign_in: u32, why: &'static str) {
        if self.built.contains(&process) {
            self.owed.insert((process, sign_in), why);
        }
    }

    fn identity(&mut self, process: u32, out: bool) {
        *self.changes.entry(process).or_default() += 1;
        if let Some(sign_in) = self.acquired.remove(&process) {
            self.owe(process, sign_in, TOO_LATE);
        }
        let Some(session) = self.known.session(process) else { return };
        let dead = session.state == SessionState::Refreshing && self.dead.contains(&process);
        let own = |token: &Token| self.signed_in.get(&process).is_none_or(|own| token.sign_in >= *own);
        let known =
            session.token.filter(|_| out && session.is_in() && !session.doubtful && !dead).filter(own);
        if let Some(token) = known {
            self.owe(process, token.sign_in, SIGNED_OUT);
        }
    }

    fn delivered(&mut self, process: u32, call: u32) {
        let Some(sign_in) = self.granted.remove(&call) else { return };
        let first = self.first.remove(&call);
        let began = self.calls.remove(&call).or(first);
        let changes = self.changes.get(&process).copied().unwrap_or_default();
        if began.is_some_and(|began| began < changes) {
            self.owe(process, sign_in, TOO_LATE);
        } else if first.is_some() {
            if self.known.session(process).is_some_and(Session::is_in) {
                // Another call for first tokens was faster.
                self.owe(process, sign_in, TOO_LATE);
            } else {
                self.acquired.insert(process, sign_in);
            }
        }
    }
}

impl Invariant for Revoked {
    fn name(&self) -> &'static str {
        "revoked"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let process = moment.process;
        let changes = self.changes.get(&process).copied().unwrap_or_default();
        match &moment.what {
            What::SignIn { token } => {
                self.identity(process, false);
                self.signed_in.insert(process, token.sign_in);
            }
            What::SignOut => self.identity(process, true),
            What::Presented { call, .. } => drop(self.calls.insert(*call, changes)),
            What::Acquiring { call } => drop(self.first.insert(*call, changes)),
            What::Exchanged { call, access, .. } => drop(self.granted.insert(*call, access.sign_in)),
            What::Delivered { call } => self.delivered(process, *call),
            // It is dead already.
            What::Refused { .. } => {
                self.dead.insert(process);
                self.owed.retain(|(other, _), _| *other != process);
            }
            What::State(SessionState::Refreshing) => drop(self.dead.remove(&process)),
            What::Built => drop(self.built.insert(process)),
            What::Offered { refresh } => drop(self.owed.remove(&(process, refresh.sign_in))),
            What::State(state) if *state != SessionState::Unknown => drop(self.acquired.remove(&process)),
            // While they are saved, first tokens are their task's alone: one that stands still may run out of time.
            What::Stopped { .. } => drop(self.acquired.remove(&process)),
            What::Killed => self.owed.retain(|(other, _), _| *other != process),
            _ => {}
        }
        self.known.see(moment);
        Ok(())
    }

    fn at_rest(&mut self) -> Result<(), String> {
        let first = self.owed.first_key_value();
        first.map_or(Ok(()), |((process, sign_in), why)| {
            Err(format!(
                "a pair of sign-in {sign_in} {why} at process {process}, and was not offered for revocation"
            ))
        })
    }
}
