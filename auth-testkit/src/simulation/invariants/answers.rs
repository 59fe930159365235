//! Of errors: whoever gets one gets it for a reason that is there.

use std::collections::HashMap;
use std::time::Duration;

use auth_core::{Cause, ErrorKind, Event, SessionState, Stamp};

use super::Invariant;
use super::cooling::{Cooling, fails};
use super::known::{Known, LAG, Request};
use crate::simulation::asked::Call;
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, StoreOp, StoreOutcome, What};

/// A call fails only for what happened while it waited, or for a cooldown that runs: no request fails while a valid session
/// exists and nothing is wrong.
pub(super) struct Grounds {
    known: Known,
    cooling: Cooling,
    sessions: HashMap<u32, Session>,
    /// Failures whose reason has not been told of yet: until when that may be, and as what they count.
    open: Vec<(Duration, u32, u32, ErrorKind)>,
}

/// When something was last so, since the run began.
#[derive(Default)]
struct Session {
    unknown: Option<Duration>,
    out: Option<Duration>,
    ended: Option<Duration>,
    draining: Option<Duration>,
    changed: Option<Duration>,
    failed: HashMap<ErrorKind, Duration>,
    rejections: Vec<Duration>,
    /// A flight has begun.
    started: Option<Duration>,
}

const WINDOW: Duration = Duration::from_secs(30);

impl Grounds {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            known: Known::new(plan),
            cooling: Cooling::new(plan),
            sessions: HashMap::new(),
            open: Vec::new(),
        }
    }

    /// Whether this failure has its reason by now.
    fn has_reason(&self, request: &Request, kind: ErrorKind, at: Duration) -> bool {
        let process = request.process;
        let (Some(session), Some(known)) = (self.sessions.get(&process), self.known.session(process)) else {
            return true;
        };
        let since = |then: Option<Duration>| then.is_some_and(|then| then >= request.began);
        match kind {
            ErrorKind::SignedOut => since(session.out) || known.state == SessionState::SignedOut,
            ErrorKind::SessionEnded => {
                let ended = matches!(known.state, SessionState::Ended(_)) || since(session.ended);
                let drains = known.state == SessionState::Draining || since(session.draining);
                let dead = matches!(request.call, Call::Refresh(_))
                    && !self.known.is_refresh_surely_good(process, at);
                ended || drains || dead
            }
            ErrorKind::SessionChanged => {
                let of_another = |stamp: Stamp| known.newest.is_none_or(|newest| newest.epoch != stamp.epoch);
                since(session.changed) || known.doubtful || request.knew.is_some_and(of_another)
            }
            ErrorKind::QueueFull => {
                let waits = self.known.open(process).filter(|(_, other)| !other.is_on_its_way()).count();
                self.known.rules.max_waiters.is_some_and(|most| waits >= usize::from(most))
            }
            ErrorKind::ExcessiveRefresh => {
                let lately = session.rejections.iter().filter(|then| at < **then + WINDOW + LAG).count();
                lately >= self.known.rules.most_rejections()
            }
            ErrorKind::RefreshUnavailable
            | ErrorKind::Misconfigured
            | ErrorKind::InvalidToken
            | ErrorKind::Store => {
                let unknown = known.state == SessionState::Unknown || since(session.unknown);
                let cools = !self.cooling.is_surely_over(process, at)
                    && self.cools_as(process, kind)
                    && !request.is_forced(known.newest);
                unknown || cools || since(session.failed.get(&kind).copied())
            }
            ErrorKind::Transport => true,
            _ => false,
        }
    }

    fn cools_as(&self, process: u32, kind: ErrorKind) -> bool {
        self.cooling.acquires(process) || self.cooling.kind(process) == Some(kind)
    }

    fn judge(&self, number: u32, kind: ErrorKind) -> String {
        let Some(request) = self.known.request(number) else { return String::new() };
        format!("call {number} of process {} failed ({}) for no reason", request.process, kind.as_str())
    }
}

impl Session {
    fn see(&mut self, moment: &Moment, before: Option<SessionState>, doubtful: bool) {
        let at = Some(moment.at);
        match &moment.what {
            What::State(_) => match before {
                Some(SessionState::Unknown) | None => self.unknown = at,
                Some(SessionState::SignedOut) => self.out = at,
                Some(SessionState::Ended(_)) => self.ended = at,
                Some(SessionState::Draining) => self.draining = at,
                Some(_) => {}
            },
            What::SignOut => (self.out, self.changed, self.rejections) = (at, at, Vec::new()),
            What::SignIn { .. } => (self.changed, self.rejections) = (at, Vec::new()),
            What::StoreEnded { op: StoreOp::Load, outcome: StoreOutcome::Done(Some(_)), .. } if doubtful => {
                self.changed = at;
            }
            What::Told(Event::IdentityChanged { .. }) => {
                (self.changed, self.rejections) = (at, Vec::new());
            }
            What::Told(Event::Draining) => self.draining = at,
            What::Told(Event::Ended(_)) => self.ended = at,
            What::Told(Event::RefreshStarted { .. }) => self.started = at,
            What::Told(Event::RefreshFailed { error, .. }) if fails(error.kind()) => {
                self.failed.insert(error.kind(), moment.at);
            }
            What::Told(Event::Refreshed { cause: Cause::Rejected, .. }) => self.rejections.push(moment.at),
            _ => {}
        }
    }
}

impl Invariant for Grounds {
    fn name(&self) -> &'static str {
        "no-false-failure"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let (process, at) = (moment.process, moment.at);
        let before = self.known.session(process).map(|session| session.state);
        self.known.see(moment);
        self.cooling.see(moment);
        let known = self.known.session(process);
        let (doubtful, disturbed) = known.map_or((false, false), |known| (known.doubtful, known.disturbed));
        self.sessions.entry(process).or_default().see(moment, before, doubtful);
        if let What::Settled { request, outcome: Err(kind), .. } = &moment.what
            && !disturbed
        {
            // The queue is as full as it is now.
            let later = if *kind == ErrorKind::QueueFull { at } else { at + LAG };
            self.open.push((later, *request, process, *kind));
        }
        let mut waiting = std::mem::take(&mut self.open);
        waiting.retain(|(_, number, _, kind)| {
            self.known.request(*number).is_some_and(|request| !self.has_reason(request, *kind, at))
        });
        if matches!(moment.what, What::Killed | What::Stopped { .. }) {
            waiting.retain(|(_, _, other, _)| *other != process);
        }
        let late = waiting
            .iter()
            .find(|(until, ..)| at >= *until)
            .map(|(_, number, _, kind)| self.judge(*number, *kind));
        self.open = waiting;
        late.map_or(Ok(()), Err)
    }

    fn at_rest(&mut self) -> Result<(), String> {
        let first = self.open.first().map(|(_, number, _, kind)| self.judge(*number, *kind));
        first.map_or(Ok(()), Err)
    }
}
