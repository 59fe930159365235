//! Of refreshes: one flight at a time, no refresh token twice, one generation for each success.

use std::collections::{HashMap, HashSet};

use auth_core::Event;

use super::Invariant;
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, StoreOp, StoreOutcome, Token, What};
use crate::simulation::universe::OUTSIDE;

/// 1. At most one flight an epoch: each has ended before the next begins.
#[derive(Default)]
pub(super) struct OneFlight {
    up: HashMap<u32, u64>,
}

impl Invariant for OneFlight {
    fn name(&self) -> &'static str {
        "one-flight"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let What::Told(event) = &moment.what else { return Ok(()) };
        match event {
            Event::RefreshStarted { flight, .. } => match self.up.insert(moment.process, flight.get()) {
                Some(other) => Err(format!("flight {flight} began while flight {other} was up")),
                None => Ok(()),
            },
            Event::Refreshed { flight, .. } | Event::RefreshFailed { flight, .. } => {
                if self.up.get(&moment.process) == Some(&flight.get()) {
                    self.up.remove(&moment.process);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// 2. A refresh token that was exchanged is never presented again, unless the answer was lost; two presentations never
///    overlap.
///
/// A process that has not heard of an exchange by another may present what the store gave it: the answer, or its save, was
/// lost with whoever made it. So a process must not present what it knows to be spent.
pub(super) struct NoReuse {
    shared: bool,
    /// Calls under way: whose, and which refresh token.
    open: HashMap<u32, (u32, Token)>,
    /// What each call was granted for its refresh token.
    granted: HashMap<u32, (Token, Token)>,
    /// The refresh tokens that a process knows to be spent.
    spent: HashMap<(u32, Token), u32>,
    /// What each process read last: the newest pair of a sign-in.
    read: HashMap<u32, Token>,
    /// Who stood still: a call that ran out of time there may not have been dropped when the next is made.
    disturbed: HashSet<u32>,
}

impl NoReuse {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            shared: plan.session.is_shared(),
            open: HashMap::new(),
            granted: HashMap::new(),
            spent: HashMap::new(),
            read: HashMap::new(),
            disturbed: HashSet::new(),
        }
    }
}

impl Invariant for NoReuse {
    fn name(&self) -> &'static str {
        "no-reuse"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let process = moment.process;
        match &moment.what {
            // A store that is nobody else's by its rules has no lock: what another program makes of it there is its own affair.
            _ if process == OUTSIDE && !self.shared => {}
            What::Presented { call, refresh } => {
                if let Some(granted) = self.spent.get(&(process, *refresh)) {
                    return Err(format!(
                        "refresh token {} was presented although call {granted} had exchanged it",
                        refresh.number
                    ));
                }
                let overlaps = self.open.values().any(|(other, token)| *other == process && token == refresh);
                if overlaps && !self.disturbed.contains(&process) {
                    return Err(format!("refresh token {} was presented twice at a time", refresh.number));
                }
                if let Some(read) = self.read.get(&process)
                    && read.sign_in == refresh.sign_in
                    && read.number > refresh.number
                {
                    return Err(format!(
                        "refresh token {} was presented although the store held {}",
                        refresh.number, read.number
                    ));
                }
                self.open.insert(*call, (process, *refresh));
            }
            What::Stopped { .. } => drop(self.disturbed.insert(process)),
            What::Exchanged { call, refresh, .. } => {
                if let Some((_, presented)) = self.open.get(call)
                    && presented != refresh
                {
                    self.granted.insert(*call, (*presented, *refresh));
                }
            }
            What::Delivered { call } => {
                self.open.remove(call);
                if let Some((presented, _)) = self.granted.get(call) {
                    self.spent.insert((process, *presented), *call);
                }
            }
            What::Refused { call, .. } | What::Failed { call, .. } => {
                self.open.remove(call);
            }
            What::Lost { call } | What::Abandoned { call } => {
                self.open.remove(call);
            }
            What::StoreEnded { op: StoreOp::Load, outcome: StoreOutcome::Done(Some(found)), .. } => {
                if let Some(refresh) = found.refresh {
                    self.read.insert(process, refresh);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// 7. The generation grows by one for each success, and only then: every flight that succeeds brings the next.
#[derive(Default)]
pub(super) struct Generation {
    newest: HashMap<u32, (u64, u64)>,
    /// Which token each stamp is of.
    carried: HashMap<(u32, u64, u64), Token>,
}

impl Invariant for Generation {
    fn name(&self) -> &'static str {
        "generation"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        match &moment.what {
            What::Told(Event::Refreshed { stamp, .. }) => {
                let before = self.newest.insert(moment.process, (stamp.epoch, stamp.generation));
                let last = before.filter(|(epoch, _)| *epoch == stamp.epoch).map_or(0, |(_, last)| last);
                if stamp.generation != last + 1 {
                    return Err(format!("generation {} came after generation {last}", stamp.generation));
                }
            }
            What::Sent { stamp: Some(stamp), token: Some(token), .. } => {
                let key = (moment.process, stamp.epoch, stamp.generation);
                let first = *self.carried.entry(key).or_insert(*token);
                if first != *token {
                    return Err(format!(
                        "epoch {} generation {} stands for two tokens: {} and {}",
                        stamp.epoch, stamp.generation, first.number, token.number
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
