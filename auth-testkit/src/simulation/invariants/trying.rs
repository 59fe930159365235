//! Of writes: one that failed is tried once more, what has ended is cleared away, and a sign-in or a sign-out is not given up
//! for want of a lock.

use std::collections::BTreeMap;
use std::time::Duration;

use auth_core::{EndReason, Event, SessionState};

use super::Invariant;
use super::known::STEP;
use crate::simulation::plan::{Plan, SessionPlan};
use crate::simulation::record::{Moment, Pair, StoreOp, StoreOutcome, Token, What};

/// A write that fails is made once more before it is told as failed; one of a sign-in or a sign-out is made without the lock
/// where that cannot be had. When a session ends, the store is cleared of it. Where a pair must be saved to be used, one that
/// was not is not.
pub(super) struct Tries {
    rules: SessionPlan,
    sessions: BTreeMap<u32, Session>,
}

#[derive(Default)]
struct Session {
    disturbed: bool,
    /// The last write failed, and was the first; when, if it is still to be made again.
    failed: bool,
    again: Option<Duration>,
    /// What the last write was of.
    wrote: Option<Token>,
    /// A look at the store has failed, which may have been a try: from then on nobody can count them, until one succeeds.
    uncounted: bool,
    /// It has ended, and the store has not been turned to since.
    ended: bool,
    /// A sign-in or a sign-out has not been tried yet; and it was not to be had.
    due: bool,
    asked: bool,
    unlocked: bool,
    saved: Option<Token>,
    granted: Option<Token>,
    /// The newest sign-in's own.
    signed_in: Option<Token>,
}

impl Tries {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { rules: plan.session.clone(), sessions: BTreeMap::new() }
    }
}

impl Session {
    fn write(&mut self, pair: Pair, outcome: StoreOutcome, at: Duration) {
        let failed = matches!(outcome, StoreOutcome::Failed | StoreOutcome::Dropped);
        self.uncounted &= failed;
        // The second failure of one pair is the last.
        let second = self.failed && self.wrote == Some(pair.access);
        self.failed = failed && !second && !self.uncounted;
        self.again = self.failed.then_some(at);
        self.wrote = Some(pair.access);
    }

    /// What was to be tried again has been overtaken.
    fn overtaken(&mut self) {
        (self.failed, self.again) = (false, None);
    }

    fn told(&mut self, event: &Event, rules: &SessionPlan) -> Result<(), String> {
        match event {
            Event::SaveFailed { .. } if self.due && self.unlocked => {
                return Err("a sign-in or a sign-out was given up for want of the lock".to_owned());
            }
            Event::Refreshed { flight, adopted: false, .. }
                if rules.fail_unsaved && self.granted.is_some() && self.granted != self.saved =>
            {
                return Err(format!("the tokens of flight {flight} are in use, and were not saved"));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Invariant for Tries {
    fn name(&self) -> &'static str {
        "tried-again"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let session = self.sessions.entry(moment.process).or_default();
        if session.again.is_some_and(|then| moment.at > then + STEP) && !session.disturbed {
            return Err("a write that failed was not tried again".to_owned());
        }
        match &moment.what {
            What::Stopped { .. } => session.disturbed = true,
            What::Killed => drop(self.sessions.remove(&moment.process)),
            What::SignIn { .. } | What::SignOut => {
                (session.due, session.asked, session.unlocked) = (true, false, false);
                session.overtaken();
                session.granted = None;
                if let What::SignIn { token } = moment.what {
                    session.signed_in = Some(token);
                }
            }
            // A sign-in's own pair is no refresh's, and what was granted to somebody who has gone is not its.
            What::Granted { pair, .. }
                if session
                    .signed_in
                    .is_some_and(|own| own == pair.access || own.sign_in > pair.access.sign_in) => {}
            What::State(SessionState::Ended(reason)) => session.ended = *reason != EndReason::EndedElsewhere,
            What::State(_) => session.ended = false,
            What::Granted { pair, .. } => session.granted = Some(pair.access),
            // It came for somebody who had gone, and is no refresh's of the one who is here.
            What::Offered { refresh } => {
                session.granted = session.granted.filter(|granted| granted.sign_in != refresh.sign_in);
            }
            What::StoreBegan { op, .. } => {
                (session.ended, session.again) = (false, None);
                session.asked |= *op == StoreOp::Lock;
                session.due &= !matches!(op, StoreOp::Save { .. } | StoreOp::Clear);
            }
            What::StoreEnded { op: StoreOp::Lock, outcome, .. } => {
                session.unlocked = session.asked && !matches!(outcome, StoreOutcome::Done(_));
            }
            What::StoreEnded { op: StoreOp::Save { pair }, outcome, .. } => {
                session.write(*pair, *outcome, moment.at);
                if matches!(outcome, StoreOutcome::Done(_)) {
                    session.saved = Some(pair.access);
                }
            }
            What::StoreEnded { op: StoreOp::Load, outcome, .. }
                if !matches!(outcome, StoreOutcome::Done(_)) =>
            {
                session.uncounted = true;
            }
            What::StoreEnded { op: StoreOp::Load, outcome: StoreOutcome::Done(Some(found)), .. } => {
                session.saved = Some(found.access);
                // Whoever is there may be followed.
                session.signed_in = session.signed_in.filter(|own| own.sign_in == found.access.sign_in);
                let made = |wrote: Token| {
                    wrote.sign_in == found.access.sign_in && wrote.number <= found.access.number
                };
                if session.wrote.is_some_and(made) {
                    // It was made after all, and is not to be made again.
                    session.failed = false;
                }
            }
            What::Told(event) if !session.disturbed => return session.told(event, &self.rules),
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self) -> Result<(), String> {
        let left = self.sessions.iter().find(|(_, session)| session.ended);
        left.map_or(Ok(()), |(process, _)| {
            Err(format!("the session of process {process} ended, and nobody looked whether the store still holds its pair"))
        })
    }
}
