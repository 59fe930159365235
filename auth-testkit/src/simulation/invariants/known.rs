//! What is known of tokens and sessions: how old each token is, which is the newest of each session, which was rejected.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use auth_core::{Event, Stamp};

use crate::simulation::plan::{Action, Plan};
use crate::simulation::record::{Moment, Pair, StoreOp, StoreOutcome, Token, What};

/// Clocks are read a little before or after what they are read for.
pub(super) const BREATH: Duration = Duration::from_millis(50);

pub(super) struct Known {
    lives: HashMap<Token, Life>,
    sessions: HashMap<u32, Session>,
    /// As which stamp, and with which token, each request was last sent; and the number of the attempt.
    sent: HashMap<u32, (Option<Stamp>, Option<Token>, u8)>,
    /// No time of expiry is what it seems where the wall clock jumps.
    jumps: bool,
}

/// How long a token lives, as somebody heard of it.
#[derive(Clone, Copy)]
pub(super) struct Life {
    from: Duration,
    lives: Duration,
}

/// What is known of one process's session.
#[derive(Default)]
pub(super) struct Session {
    /// The newest generation, and those before it with the times at which they were replaced.
    pub(super) newest: Option<Stamp>,
    before: Vec<(Stamp, Duration)>,
    /// The epoch that was told of last.
    epoch: u64,
    /// Generations whose lease was answered 401, on a first attempt.
    pub(super) rejected: HashSet<Stamp>,
    tokens: HashMap<Stamp, Token>,
    /// The pair that it was given last, or found in the store; and whether a refresh brought it.
    pub(super) holds: Option<Pair>,
    pub(super) born: bool,
    /// Flights that began while this generation was the newest.
    pub(super) flights: HashMap<Stamp, u32>,
}

impl Life {
    pub(super) fn ends(self) -> Duration {
        self.from + self.lives
    }

    /// By the policy's defaults.
    fn margin(self) -> Duration {
        Duration::from_secs(5).min(self.lives / 10)
    }

    /// When the session takes it for expired.
    pub(super) fn expires(self) -> Duration {
        self.ends().saturating_sub(self.margin())
    }

    /// The soft window at its longest. Chance shortens it by up to a tenth.
    fn window(self) -> Duration {
        Duration::from_secs(300).min(self.lives / 5)
    }

    /// When it may be refreshed ahead of time, at the earliest.
    pub(super) fn soft(self) -> Duration {
        self.ends().saturating_sub(self.window())
    }

    /// When it certainly is to be.
    pub(super) fn surely_soft(self) -> Duration {
        self.ends().saturating_sub(self.window() * 9 / 10)
    }
}

impl Known {
    pub(super) fn new(plan: &Plan) -> Self {
        let jumps = plan.steps.iter().any(|step| matches!(step.what, Action::JumpWall { .. }));
        Self { lives: HashMap::new(), sessions: HashMap::new(), sent: HashMap::new(), jumps }
    }

    /// `None`: for ever, as far as anybody knows.
    pub(super) fn life(&self, token: Token) -> Option<Life> {
        self.lives.get(&token).copied()
    }

    /// Whether nothing can be said of times.
    pub(super) fn jumps(&self) -> bool {
        self.jumps
    }

    pub(super) fn session(&self, process: u32) -> Option<&Session> {
        self.sessions.get(&process)
    }

    /// The token of this stamp, where it was sent with it.
    pub(super) fn token(&self, process: u32, stamp: Stamp) -> Option<Token> {
        self.session(process)?.tokens.get(&stamp).copied()
    }

    /// How a request was last sent.
    pub(super) fn sent(&self, request: u32) -> Option<(Option<Stamp>, Option<Token>, u8)> {
        self.sent.get(&request).copied()
    }

    /// Whether a session that was asked from then to now may have found its token to be bad: rejected, or expired.
    pub(super) fn may_be_bad(&self, process: u32, from: Duration, to: Duration) -> bool {
        let Some(session) = self.session(process) else { return true };
        let Some(newest) = session.newest else { return true };
        let then = session.before.iter().filter(|(_, until)| *until + BREATH >= from).map(|(stamp, _)| *stamp);
        then.chain([newest]).any(|stamp| {
            let expired = session.tokens.get(&stamp).is_none_or(|token| self.may_be_expired(*token, to));
            expired || session.rejected.contains(&stamp)
        })
    }

    pub(super) fn may_be_expired(&self, token: Token, at: Duration) -> bool {
        self.jumps || self.life(token).is_some_and(|life| at + BREATH >= life.expires())
    }

    pub(super) fn see(&mut self, moment: &Moment) {
        let (process, at) = (moment.process, moment.at);
        match &moment.what {
            What::Granted { pair, lives_s, .. } => {
                match lives_s.filter(|seconds| *seconds > 0) {
                    Some(seconds) => {
                        let life = Life { from: at, lives: Duration::from_secs(seconds) };
                        self.lives.insert(pair.access, life);
                    }
                    None => drop(self.lives.remove(&pair.access)),
                }
                self.session_mut(process).hold(*pair, true);
            }
            What::SignIn { .. } => self.session_mut(process).born = false,
            What::StoreEnded { op: StoreOp::Load, outcome: StoreOutcome::Done(Some(found)), .. } => {
                let session = self.session_mut(process);
                if session.holds.is_none_or(|held| held.access != found.access) {
                    session.hold(*found, false);
                }
            }
            What::Sent { request, attempt, stamp, token, .. } => {
                self.sent.insert(*request, (*stamp, *token, *attempt));
                if let (Some(stamp), Some(token)) = (stamp, token) {
                    let session = self.session_mut(process);
                    session.tokens.insert(*stamp, *token);
                    if session.newest.is_none_or(|newest| newest < *stamp) {
                        session.replace(*stamp, at);
                    }
                }
            }
            What::Answered { request, status: Some(401) } => {
                if let Some((Some(stamp), Some(_), 1)) = self.sent(*request) {
                    self.session_mut(process).rejected.insert(stamp);
                }
            }
            What::Told(event) => self.session_mut(process).told(event, at),
            _ => {}
        }
    }

    fn session_mut(&mut self, process: u32) -> &mut Session {
        self.sessions.entry(process).or_default()
    }
}

impl Session {
    fn hold(&mut self, pair: Pair, born: bool) {
        self.holds = Some(pair);
        self.born = born;
    }

    fn replace(&mut self, stamp: Stamp, at: Duration) {
        if let Some(before) = self.newest.replace(stamp) {
            self.before.push((before, at));
        }
    }

    fn told(&mut self, event: &Event, at: Duration) {
        let stamp = match event {
            Event::SignedIn { epoch } | Event::IdentityChanged { epoch } => {
                self.epoch = *epoch;
                Stamp { epoch: *epoch, generation: 0 }
            }
            Event::Loaded { signed_in: true } => Stamp { epoch: self.epoch, generation: 0 },
            Event::Refreshed { stamp, .. } => *stamp,
            Event::RefreshStarted { .. } => {
                if let Some(newest) = self.newest {
                    *self.flights.entry(newest).or_default() += 1;
                }
                return;
            }
            _ => return,
        };
        if self.newest.is_none_or(|newest| newest < stamp) {
            self.replace(stamp, at);
        }
    }
}
