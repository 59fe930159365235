//! Of the store beside memory: looked at before a refresh token is presented, and after one was refused; and what others have
//! written there is not overwritten unseen.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use auth_core::{EndReason, ErrorKind, Event, SessionState};

use super::Invariant;
use super::first::FirstTokens;
use super::known::LAG;
use crate::simulation::plan::{Plan, SessionPlan};
use crate::simulation::record::{Moment, Pair, StoreOp, StoreOutcome, Token, What};
use crate::simulation::universe::OUTSIDE;

/// A refresh looks at the store before it presents anything, presents what is there or has tried to save it, and looks again
/// before it takes a refusal for the end. The store is never set back, and cleared only of what is one's own.
pub(super) struct LooksFirst {
    rules: SessionPlan,
    content: Option<Pair>,
    /// The newest save was made without the lock: whoever has that cannot have seen it coming.
    past_the_lock: bool,
    sessions: HashMap<u32, Session>,
    calls: HashMap<u32, Token>,
}

#[derive(Default)]
struct Session {
    disturbed: bool,
    /// Whether somebody is signed in has been known before.
    known: bool,
    /// A refresh is under way. What is told of one now is of the one before.
    busy: bool,
    flight: Flight,
    /// Every pair that it was given.
    granted: HashSet<Pair>,
    found: Option<Pair>,
    /// What it had found when it ended.
    dead: Option<Option<Pair>>,
    /// Who is signed in, as far as it has told.
    identity: Option<u32>,
    /// A sign-in or a sign-out wins over whatever is there, until it has been written.
    unsaved: Option<Option<u32>>,
    /// When it signed in last.
    signed_in: Duration,
    /// Signed out, and nothing has been saved since.
    out: bool,
    first: FirstTokens,
}

/// What was done since the refresh began.
#[derive(Default)]
struct Flight {
    /// A load has ended: with what was found.
    looked: Option<Option<Pair>>,
    failed: bool,
    saved: HashSet<Token>,
    /// The lock could not be had.
    unlocked: bool,
    began: Duration,
    refused: HashSet<Token>,
    /// A load has ended since the last refusal.
    again: Option<Option<Pair>>,
    again_failed: bool,
}

impl Session {
    fn presents(&self, refresh: Token, shared: bool) -> Result<(), String> {
        let flight = &self.flight;
        let number = refresh.number;
        match flight.looked {
            _ if flight.failed && !shared => Ok(()),
            None => Err(format!("refresh token {number} was presented before a look at the store")),
            Some(found) => {
                let there = found.and_then(|pair| pair.refresh) == Some(refresh);
                if there || flight.saved.contains(&refresh) {
                    return Ok(());
                }
                Err(format!("refresh token {number} was presented, and the store did not hold it"))
            }
        }
    }

    /// A refusal is taken for the end.
    fn ends(&self, shared: bool) -> Result<(), String> {
        let flight = &self.flight;
        // The one that was found there instead is tried once.
        let Some(refused) = flight.refused.iter().max().filter(|_| flight.refused.len() == 1) else {
            return Ok(());
        };
        let number = refused.number;
        match flight.again {
            None if shared || !flight.again_failed => Err(format!(
                "refresh token {number} was refused, and nobody looked whether the store held another"
            )),
            Some(Some(Pair { refresh: Some(there), .. }))
                if there > *refused && there.sign_in == refused.sign_in =>
            {
                Err(format!(
                    "refresh token {number} was refused, and {} from the store was not tried",
                    there.number
                ))
            }
            _ => Ok(()),
        }
    }

    /// Notes what it has when it ends.
    fn turns(&mut self, state: SessionState) {
        let ended = matches!(state, SessionState::Ended(_));
        self.dead = ended.then_some(self.found);
        if state == SessionState::Active && !self.known && self.identity.is_none() {
            // It was read in the store, which is told later: by then others may have been found there.
            self.identity = self.found.map(|pair| pair.access.sign_in);
        }
        self.known |= state != SessionState::Unknown;
        self.busy = state == SessionState::Refreshing;
    }

    /// Whether the sign-in that it says to follow is the one that it has; and is it from then on.
    fn follows_itself(&mut self, at: Duration) -> bool {
        let found = self.found.map(|pair| pair.access.sign_in);
        let same = found.is_some() && found == self.identity && at > self.signed_in + LAG && !self.disturbed;
        self.identity = found.or(self.identity);
        same
    }

    fn written(&mut self, sign_in: Option<u32>, outcome: StoreOutcome) {
        if matches!(outcome, StoreOutcome::Done(_)) && self.unsaved == Some(sign_in) {
            self.unsaved = None;
        }
    }

    fn load(&mut self, outcome: StoreOutcome) {
        let flight = &mut self.flight;
        if let StoreOutcome::Done(found) = outcome {
            flight.looked = Some(found);
            flight.again = Some(found);
            self.found = found.or(self.found);
            if found.is_some_and(|found| self.unsaved == Some(Some(found.access.sign_in))) {
                // It was written after all, whatever was said of that.
                self.unsaved = None;
            }
        } else {
            (flight.failed, flight.again_failed) = (true, true);
        }
    }
}

impl LooksFirst {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            rules: plan.session.clone(),
            content: None,
            past_the_lock: false,
            sessions: HashMap::new(),
            calls: HashMap::new(),
        }
    }

    fn stored(&mut self, process: u32, pair: Option<Pair>) -> Result<(), String> {
        let before = std::mem::replace(&mut self.content, pair);
        let Some(session) = self.sessions.get(&process).filter(|_| process != OUTSIDE) else { return Ok(()) };
        match (before, pair) {
            _ if session.disturbed => Ok(()),
            _ if session.unsaved.is_some() => Ok(()),
            (_, None) if session.out || self.past_the_lock => Ok(()),
            (Some(before), Some(pair)) if before.access.sign_in == pair.access.sign_in => {
                if newest(before) <= newest(pair) {
                    return Ok(());
                }
                Err(format!(
                    "access token {} was written over {}, which was newer",
                    pair.access.number, before.access.number
                ))
            }
            (Some(before), None) => {
                let own = session.granted.contains(&before)
                    || session.dead.unwrap_or(session.found) == Some(before);
                if own {
                    Ok(())
                } else {
                    Err(format!("access token {} of somebody else was cleared", before.access.number))
                }
            }
            _ => Ok(()),
        }
    }
}

fn newest(pair: Pair) -> u32 {
    pair.refresh.map_or(0, |refresh| refresh.number).max(pair.access.number)
}

impl Invariant for LooksFirst {
    fn name(&self) -> &'static str {
        "looks-first"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        if let What::StoreBegan { op: StoreOp::Save { .. }, locked, .. } = moment.what {
            self.past_the_lock = !locked;
        }
        let process = moment.process;
        let session = self.sessions.entry(process).or_default();
        if let What::State(state) = &moment.what {
            session.turns(*state);
        }
        match &moment.what {
            What::Stored { pair } => return self.stored(process, *pair),
            _ if process == OUTSIDE => {}
            What::Stopped { .. } => session.disturbed = true,
            What::State(SessionState::Refreshing) => {
                session.flight = Flight { began: moment.at, ..Flight::default() };
            }
            What::State(
                SessionState::Draining | SessionState::Ended(EndReason::Rejected | EndReason::AnswerLost),
            ) if !session.disturbed => session.ends(self.rules.is_shared())?,
            What::SignIn { token } => {
                session.unsaved = Some(Some(token.sign_in));
                session.first.forget();
                session.identity = Some(token.sign_in);
                session.signed_in = moment.at;
            }
            What::SignOut => {
                (session.unsaved, session.out) = (Some(None), true);
                session.first.forget();
                session.identity = None;
            }
            What::StoreBegan { op: StoreOp::Save { .. }, .. } => session.out = false,
            What::Granted { pair, .. } => drop(session.granted.insert(*pair)),
            What::StoreEnded { op: StoreOp::Load, outcome, .. } => session.load(*outcome),
            What::StoreEnded { op: StoreOp::Save { pair }, outcome, .. } => {
                session.flight.saved.extend(pair.refresh);
                session.written(Some(pair.access.sign_in), *outcome);
            }
            What::StoreEnded { op: StoreOp::Clear, outcome, .. } => session.written(None, *outcome),
            What::Acquiring { .. } | What::Exchanged { .. } | What::Delivered { .. } => {
                if let Some(sign_in) = session.first.see(&moment.what) {
                    session.unsaved = Some(sign_in);
                }
            }
            What::Presented { call, refresh } => {
                self.calls.insert(*call, *refresh);
                if !session.disturbed && session.flight.refused.is_empty() {
                    session.presents(*refresh, self.rules.is_shared())?;
                }
            }
            What::Refused { call, .. } => {
                session.flight.refused.extend(self.calls.get(call));
                (session.flight.again, session.flight.again_failed) = (None, false);
            }
            What::StoreEnded { op: StoreOp::Lock, outcome, .. } => {
                let flight = &mut session.flight;
                if flight.looked.is_none() && !flight.failed {
                    flight.unlocked = !matches!(outcome, StoreOutcome::Done(_));
                }
            }
            What::Told(Event::RefreshFailed { flight, error, .. })
                if error.kind() == ErrorKind::RefreshUnavailable && !session.disturbed && !session.busy =>
            {
                let looked = session.flight.looked.is_some() || session.flight.failed;
                // Unless it has run out of time before.
                let late = moment.at > session.flight.began + Duration::from_secs(29);
                if session.flight.unlocked && !looked && !late {
                    return Err(format!(
                        "flight {flight} could not have the lock, and did not look at the store"
                    ));
                }
            }
            // Of what is found while it refreshes it may follow another sign-in still.
            What::Told(Event::Loaded { signed_in: true }) if !session.busy => {
                let found = session.found.map(|pair| pair.access.sign_in);
                session.identity = session.identity.or(found);
            }
            What::Told(Event::IdentityChanged { .. }) if session.follows_itself(moment.at) => {
                return Err("another sign-in was followed that was none".to_owned());
            }
            What::Told(Event::IdentityChanged { .. })
                if matches!(session.unsaved, Some(Some(_)))
                    && !session.disturbed
                    && moment.at > session.signed_in + LAG =>
            {
                return Err("a sign-in that was not saved yet gave way to what the store held".to_owned());
            }
            What::State(SessionState::Ended(EndReason::EndedElsewhere))
                if matches!(session.unsaved, Some(Some(_))) && !session.disturbed =>
            {
                return Err("a sign-in that was not saved yet was ended by what the store held".to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}
