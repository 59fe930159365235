//! Of telling: events, states and counters say the same, and say what happened.

use std::collections::BTreeMap;

use auth_core::{Cause, Counters, ErrorKind, Event, SessionState};

use super::Invariant;
use crate::simulation::plan::{Plan, SessionPlan};
use crate::simulation::record::{Moment, StoreOp, StoreOutcome, What};

/// Events come in an order that makes sense; and when all is at rest, what they tell, what watchers saw, what the session says
/// of itself and what it counted agree.
pub(super) struct Told {
    rules: SessionPlan,
    sessions: BTreeMap<u32, Session>,
}

#[derive(Default)]
struct Session {
    state: Option<SessionState>,
    watched: Option<SessionState>,
    /// What the events make of it.
    told: Option<SessionState>,
    epoch: u64,
    flight: Option<u64>,
    /// A refresh has just failed that a rejection had started.
    rejected: bool,
    sums: Sums,
    counted: Option<Counters>,
    stopped: bool,
}

/// What was seen of what is counted.
#[derive(Clone, Copy, Default)]
struct Sums {
    started: u64,
    refreshed: u64,
    adopted: u64,
    refused: u64,
    failed: u64,
    overtaken: u64,
    joined: u64,
    replayed: u64,
    sent_again: u64,
    queue_full: u64,
    excessive: u64,
    opened: u64,
    ended: u64,
    saved: u64,
    save_failed: u64,
    /// Writes that the store made.
    written: u64,
}

impl Told {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { rules: plan.session.clone(), sessions: BTreeMap::new() }
    }
}

impl Session {
    fn event(&mut self, event: &Event, rules: &SessionPlan) -> Result<(), String> {
        let sums = &mut self.sums;
        let rejected = std::mem::take(&mut self.rejected);
        match event {
            Event::Loaded { signed_in } => {
                self.told = Some(if *signed_in { SessionState::Active } else { SessionState::SignedOut });
            }
            Event::SignedIn { epoch } | Event::IdentityChanged { epoch } | Event::SignedOut { epoch } => {
                if *epoch <= self.epoch {
                    return Err(format!("epoch {epoch} was told of after epoch {}", self.epoch));
                }
                self.epoch = *epoch;
                let out = matches!(event, Event::SignedOut { .. });
                self.told = Some(if out { SessionState::SignedOut } else { SessionState::Active });
                if self.flight.take().is_some() {
                    return Err(
                        "the identity changed, and the end of its refresh was not told before".to_owned()
                    );
                }
            }
            Event::RefreshStarted { flight, .. } => {
                sums.started += 1;
                (self.flight, self.told) = (Some(flight.get()), Some(SessionState::Refreshing));
            }
            Event::Refreshed { flight, adopted, waiters, .. } => {
                sums.refreshed += u64::from(!*adopted);
                sums.adopted += u64::from(*adopted);
                // One of them may have started it.
                if self.flight == Some(flight.get()) {
                    sums.joined += (*waiters as u64).saturating_sub(1);
                }
                self.lands(flight.get(), SessionState::Active);
                if rules.max_waiters.is_some_and(|most| *waiters > usize::from(most)) {
                    return Err(format!("{waiters} requests waited for flight {flight}"));
                }
            }
            Event::RefreshFailed { flight, error, waiters, cause, .. } => {
                self.rejected = *cause == Cause::Rejected;
                if error.kind() == ErrorKind::Store && !rules.fail_unsaved {
                    return Err(format!("flight {flight} failed because its tokens could not be saved"));
                }
                match error.kind() {
                    ErrorKind::SessionEnded => sums.refused += 1,
                    ErrorKind::SessionChanged | ErrorKind::SignedOut => sums.overtaken += 1,
                    _ => sums.failed += 1,
                }
                sums.joined += (*waiters as u64).saturating_sub(1);
                self.lands(flight.get(), SessionState::Active);
            }
            Event::Draining if rejected => {
                return Err("a token that was rejected stays in use".to_owned());
            }
            Event::Draining => self.told = Some(SessionState::Draining),
            Event::Ended(ended) => {
                sums.ended += 1;
                if self.flight.is_some() {
                    return Err("the end of the session was told before that of its refresh".to_owned());
                }
                self.told = Some(SessionState::Ended(ended.reason));
            }
            Event::Replayed { .. } => sums.replayed += 1,
            Event::QueueOpened { .. } => sums.opened += 1,
            Event::Saved => sums.saved += 1,
            Event::SaveFailed { .. } => sums.save_failed += 1,
            _ => {}
        }
        Ok(())
    }

    fn lands(&mut self, flight: u64, state: SessionState) {
        if self.flight == Some(flight) {
            (self.flight, self.told) = (None, Some(state));
        }
    }

    fn at_rest(&self) -> Result<(), String> {
        let (Some(state), Some(counted)) = (self.state, self.counted) else { return Ok(()) };
        if self.watched != Some(state) {
            return Err(format!("the state is {state:?}, and whoever watches saw {:?} last", self.watched));
        }
        let told = self.told.unwrap_or(SessionState::Unknown);
        if told != state {
            return Err(format!("the state is {state:?}, and the events make it {told:?}"));
        }
        let (sums, all) = (&self.sums, counted);
        let flights = all.refreshed + all.adopted + all.failed + all.refused + all.overtaken;
        let same = [
            ("refreshed", all.refreshed, sums.refreshed),
            ("adopted", all.adopted, sums.adopted),
            ("failed", all.failed, sums.failed),
            ("refused and overtaken", all.refused + all.overtaken, sums.refused + sums.overtaken),
            ("replayed", all.replayed, sums.replayed),
            ("sent again", all.replayed, sums.sent_again),
            ("opened", all.opened, sums.opened),
            ("ended", all.ended, sums.ended),
            ("save_failed", all.save_failed, sums.save_failed),
            ("queue_full", all.queue_full, sums.queue_full),
            ("flights", if self.flight.is_some() { flights } else { flights.max(sums.started) }, flights),
        ];
        if let Some((name, counted, told)) = same.into_iter().find(|(_, counted, told)| counted != told) {
            return Err(format!("{name}: {counted} were counted, and {told} seen"));
        }
        let at_least = [
            ("joined", all.joined, if self.stopped { 0 } else { sums.joined }),
            ("excessive", all.excessive, sums.excessive),
            ("saved", sums.saved, if self.stopped { 0 } else { sums.written }),
        ];
        match at_least.into_iter().find(|(_, counted, seen)| counted < seen) {
            Some((name, counted, seen)) => Err(format!("{name}: {counted}, and at least {seen} were seen")),
            None => Ok(()),
        }
    }
}

impl Invariant for Told {
    fn name(&self) -> &'static str {
        "told-as-it-is"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let session = self.sessions.entry(moment.process).or_default();
        match &moment.what {
            What::State(state) => session.state = Some(*state),
            What::Watched(state) => session.watched = Some(*state),
            What::Counted(counters) => session.counted = Some(*counters),
            What::Sent { attempt: 2, .. } => session.sums.sent_again += 1,
            What::Told(event) => return session.event(event, &self.rules),
            What::Settled { outcome: Err(ErrorKind::QueueFull), .. } => session.sums.queue_full += 1,
            What::Settled { outcome: Err(ErrorKind::ExcessiveRefresh), .. } => session.sums.excessive += 1,
            What::StoreEnded {
                op: StoreOp::Save { .. } | StoreOp::Clear,
                outcome: StoreOutcome::Done(_),
                ..
            } => session.sums.written += 1,
            What::Stopped { .. } => session.stopped = true,
            What::Killed => drop(self.sessions.remove(&moment.process)),
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self) -> Result<(), String> {
        for (process, session) in &self.sessions {
            session.at_rest().map_err(|what| format!("process {process}: {what}"))?;
        }
        Ok(())
    }
}
