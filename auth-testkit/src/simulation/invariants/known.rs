//! What is known: of tokens how long they live, of sessions what they have, of requests how far they are.
//!
//! Invariants that judge what a session decides share this. All of it is seen from outside: a session's events arrive a
//! little after what they tell of, so whatever depends on a time leaves room for that.

mod life;
mod request;

pub(super) use life::Life;
pub(super) use request::Request;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use auth_core::{Event, SessionState, Stamp};

use life::Lives;

use crate::simulation::asked::Asked;
use crate::simulation::asked::Call;
use crate::simulation::plan::{Action, Plan, SessionPlan};
use crate::simulation::record::{Moment, Pair, StoreOp, StoreOutcome, Token, What};

/// An event is told at most this much after what it tells of, where nobody stands still.
pub(super) const LAG: Duration = Duration::from_millis(50);
/// The longest step.
pub(super) const STEP: Duration = Duration::from_millis(2);

pub(super) struct Known {
    pub(super) rules: SessionPlan,
    asked: Asked,
    lives: Lives,
    sessions: HashMap<u32, Session>,
    requests: HashMap<u32, Request>,
}

/// What is known of one process's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) state: SessionState,
    /// It stood still once: from then on its times say nothing.
    pub(super) disturbed: bool,
    /// The newest generation, where it was seen.
    pub(super) newest: Option<Stamp>,
    /// Its access token. A sign-in's is known before its stamp.
    pub(super) token: Option<Token>,
    /// The store has shown another sign-in, and nobody knows yet what came of that.
    pub(super) doubtful: bool,
    /// Generations whose lease was answered 401 on a first attempt.
    rejected: HashSet<Stamp>,
    /// The same while a refresh was under way, or began: whoever comes then has to wait.
    pub(super) held: Option<Stamp>,
    just_rejected: Option<(Stamp, Duration)>,
    /// The pairs that came last: from the token endpoint, and from the store.
    granted: Option<Pair>,
    found: Option<Pair>,
    /// A refresh of its own brought the newest token.
    born: bool,
    /// Sign-ins and sign-outs that no event has told of yet.
    untold: u32,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            state: SessionState::Unknown,
            disturbed: false,
            newest: None,
            token: None,
            doubtful: false,
            rejected: HashSet::new(),
            held: None,
            just_rejected: None,
            granted: None,
            found: None,
            born: false,
            untold: 0,
        }
    }
}

impl Known {
    pub(super) fn new(plan: &Plan) -> Self {
        let jumps = plan.steps.iter().any(|step| matches!(step.what, Action::JumpWall { .. }));
        Self {
            rules: plan.session.clone(),
            asked: Asked::new(plan),
            lives: Lives::new(&plan.session, jumps),
            sessions: HashMap::new(),
            requests: HashMap::new(),
        }
    }

    pub(super) fn session(&self, process: u32) -> Option<&Session> {
        self.sessions.get(&process)
    }

    /// What this request is.
    pub(super) fn call(&self, number: u32) -> Call {
        self.asked.call(number)
    }

    pub(super) fn request(&self, number: u32) -> Option<&Request> {
        self.requests.get(&number)
    }

    /// Those of this process that have no result yet.
    pub(super) fn open(&self, process: u32) -> impl Iterator<Item = (u32, &Request)> {
        let mine = move |(_, request): &(&u32, &Request)| request.process == process && request.is_open();
        self.requests.iter().filter(mine).map(|(number, request)| (*number, request))
    }

    /// The same, and those that had none a moment ago.
    pub(super) fn lately_open(&self, process: u32, at: Duration) -> impl Iterator<Item = &Request> {
        let mine = move |request: &&Request| {
            request.process == process && request.closed.is_none_or(|closed| closed + LAG >= at)
        };
        self.requests.values().filter(mine)
    }

    /// How long this token lives, as this process knows it; `None` where that cannot be said.
    pub(super) fn life(&self, process: u32, token: Token) -> Option<Life> {
        self.lives.of(process, token)
    }

    /// Whether none of the refresh tokens that a session may have has expired.
    pub(super) fn is_refresh_surely_good(&self, process: u32, at: Duration) -> bool {
        let ends = |token| self.lives.of_refresh(process, token);
        let good = |(earliest, _): (Duration, Duration)| at + STEP < earliest;
        self.refresh_tokens(process).all(|token| ends(token).is_some_and(|ends| ends.is_none_or(good)))
    }

    /// Whether all have.
    pub(super) fn is_refresh_surely_expired(&self, process: u32, at: Duration) -> bool {
        let ends = |token| self.lives.of_refresh(process, token);
        let mut all = self.refresh_tokens(process).peekable();
        all.peek().is_some()
            && all.all(|token| ends(token).flatten().is_some_and(|(_, latest)| at > latest + STEP))
    }

    /// Whether this refresh token has.
    pub(super) fn has_surely_expired(&self, process: u32, token: Token, at: Duration) -> bool {
        let ends = self.lives.of_refresh(process, token).flatten();
        ends.is_some_and(|(_, latest)| at > latest + STEP)
    }

    fn refresh_tokens(&self, process: u32) -> impl Iterator<Item = Token> {
        let session = self.session(process);
        let pairs = session.map(|session| [session.granted, session.found]).into_iter().flatten().flatten();
        pairs.filter_map(|pair| pair.refresh)
    }

    /// The life of a session's newest token.
    pub(super) fn newest_life(&self, process: u32) -> Option<Life> {
        let session = self.session(process)?;
        session.token.filter(|_| !session.doubtful).and_then(|token| self.life(process, token))
    }

    pub(super) fn see(&mut self, moment: &Moment) {
        let (process, at) = (moment.process, moment.at);
        self.lives.see(moment);
        if let Some((number, change)) = request::change(moment) {
            let call = self.asked.call(number);
            let request = self.requests.entry(number).or_insert_with(|| Request::new(process, call, at));
            request.see(change, at);
        }
        let session = self.sessions.entry(process).or_default();
        match &moment.what {
            What::Granted { pair, .. } if session.takes(*pair) => session.granted = Some(*pair),
            What::StoreEnded { op: StoreOp::Load, outcome: StoreOutcome::Done(Some(found)), .. } => {
                session.found = Some(*found);
                session.doubtful |= session.token.is_none_or(|token| token.sign_in != found.access.sign_in);
            }
            What::Submitted { .. } => session.just_rejected = None,
            What::SignIn { token } => session.identity(Some(*token)),
            What::SignOut => session.identity(None),
            What::Stopped { .. } => session.disturbed = true,
            What::Killed => self.requests.values_mut().for_each(|request| request.killed(process, at)),
            What::State(state) => session.becomes(*state, at),
            What::Sent { stamp: Some(stamp), token, .. } => session.sent(*stamp, *token),
            What::Answered { request, status: Some(401) } => {
                if let Some(stamp) = self.requests.get(request).and_then(Request::rejected) {
                    session.rejected(stamp, at);
                }
            }
            What::Told(event) => session.told(event),
            _ => {}
        }
    }
}

fn access(pair: Option<Pair>) -> Option<Token> {
    pair.map(|pair| pair.access)
}

impl Session {
    /// Whether its newest token may have been rejected.
    pub(super) fn is_rejected(&self) -> bool {
        self.newest.is_some_and(|newest| self.rejected.contains(&newest))
    }

    /// Whether a refresh of its own has brought its newest token: another may make it last no longer.
    pub(super) fn is_born(&self) -> bool {
        self.born
    }

    /// What it found in the store last.
    pub(super) fn found(&self) -> Option<Token> {
        access(self.found)
    }

    /// Whether somebody is signed in.
    pub(super) fn is_in(&self) -> bool {
        matches!(self.state, SessionState::Active | SessionState::Refreshing | SessionState::Draining)
    }

    /// Whether a pair that is granted may become its own: first tokens that come after a sign-in do not.
    fn takes(&self, pair: Pair) -> bool {
        let other = self.token.is_some_and(|token| token.sign_in != pair.access.sign_in);
        !(other && self.is_in() && !self.doubtful)
    }

    fn identity(&mut self, token: Option<Token>) {
        (self.newest, self.token, self.held) = (None, token, None);
        self.doubtful = false;
        self.untold += 1;
    }

    fn becomes(&mut self, state: SessionState, at: Duration) {
        if state == SessionState::Refreshing
            && let Some((stamp, then)) = self.just_rejected.take()
            && at <= then + STEP
        {
            self.held = Some(stamp);
        }
        self.state = state;
    }

    fn sent(&mut self, stamp: Stamp, token: Option<Token>) {
        let followed = |found: Pair| token.is_some_and(|token| token.sign_in == found.access.sign_in);
        self.doubtful &= !self.found.is_some_and(followed);
        if self.newest.is_none_or(|newest| newest <= stamp) {
            self.take(stamp, token);
        }
    }

    fn take(&mut self, stamp: Stamp, token: Option<Token>) {
        (self.newest, self.token) = (Some(stamp), token);
        // The same access token may have come back with a newer pair of somebody else's.
        let adopted = access(self.found) == token
            && self.found.and_then(|pair| pair.refresh) > self.granted.and_then(|pair| pair.refresh);
        self.born = stamp.generation > 0 && token.is_some() && token == access(self.granted) && !adopted;
    }

    fn rejected(&mut self, stamp: Stamp, at: Duration) {
        self.rejected.insert(stamp);
        if self.state == SessionState::Refreshing {
            self.held = Some(stamp);
        } else {
            self.just_rejected = Some((stamp, at));
        }
    }

    fn told(&mut self, event: &Event) {
        let (stamp, token) = match event {
            Event::SignedIn { epoch } => {
                self.untold = self.untold.saturating_sub(1);
                (Stamp { epoch: *epoch, generation: 0 }, self.token.or(access(self.granted)))
            }
            Event::Loaded { signed_in: true } => {
                if self.untold == 0 && self.is_in() && self.token.is_none() {
                    (self.token, self.doubtful) = (access(self.found), false);
                }
                return;
            }
            Event::SignedOut { .. } => {
                self.untold = self.untold.saturating_sub(1);
                return;
            }
            Event::IdentityChanged { epoch } => {
                self.doubtful = false;
                (Stamp { epoch: *epoch, generation: 0 }, access(self.found))
            }
            Event::Refreshed { stamp, adopted, .. } => {
                self.doubtful = false;
                (*stamp, access(if *adopted { self.found } else { self.granted }))
            }
            _ => return,
        };
        if self.untold > 0 || !self.is_in() {
            return;
        }
        if self.newest.is_none_or(|newest| newest < stamp) {
            self.take(stamp, token);
        }
    }
}
