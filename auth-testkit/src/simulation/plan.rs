//! The plan of a run: what the world is like, and what happens in it. Data, to be kept and run again.

mod generate;

use std::fmt;

use serde::{Deserialize, Serialize};

/// What happens in a run. A seed makes one ([`from_seed`](Self::from_seed)); as JSON it can be kept, changed by hand and run
/// again. The same plan gives the same run.
///
/// ```
/// use auth_testkit::simulation::Plan;
///
/// let plan = Plan::from_seed(42);
/// let text = plan.to_json();
///
/// assert_eq!(Plan::from_json(&text)?, plan);
/// assert_eq!(Plan::from_seed(42), plan);
/// # Ok::<(), auth_testkit::simulation::InvalidPlan>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Decides what the steps leave open: who runs next, how long everything takes, jitter.
    pub seed: u64,
    /// The authorization server.
    pub server: ServerPlan,
    /// The sessions.
    pub session: SessionPlan,
    /// What happens. They need not be sorted.
    pub steps: Vec<Step>,
}

/// What kind of authorization server it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPlan {
    /// The lifetime of an access token, in seconds, as the server says it. `None`: it does not say, and means an hour.
    pub lifetime_s: Option<u64>,
    /// The lifetime of a refresh token, in seconds.
    pub refresh_lifetime_s: Option<u64>,
    /// Whether each refresh gives a new refresh token and spends the old one.
    pub rotates: bool,
    /// Whether a spent refresh token that is presented again revokes its whole family (RFC 9700 §4.14).
    pub detects_reuse: bool,
    /// For how long a spent refresh token still gives what it gave before, in milliseconds.
    pub grace_ms: u64,
    /// The longest way to a server and back, in milliseconds.
    pub latency_ms: u64,
}

/// What the sessions are like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPlan {
    /// How many processes share the store, each with a session. With one, the store has no lock unless it is `shared`.
    pub processes: u8,
    /// Whether the store has a lock.
    pub shared: bool,
    /// The queue's patience, in milliseconds.
    pub patience_ms: u64,
    /// Whether a pair that cannot be saved fails its flight's waiters (`PersistFailure::Fail`).
    pub fail_unsaved: bool,
}

/// Something happens at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, in milliseconds since the run began.
    pub at_ms: u64,
    /// To which process; those that the plan does not have are counted round.
    pub process: u8,
    /// What.
    pub what: Action,
}

/// What may happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// A request to the API.
    Request {
        /// What kind.
        kind: RequestKind,
        /// What becomes of its future.
        fate: Fate,
    },
    /// `Session::refresh`, knowing nothing.
    Refresh {
        /// What becomes of its future.
        fate: Fate,
    },
    /// `Session::access_token`.
    AccessToken {
        /// Valid for at least so many seconds.
        min_s: u64,
        /// What becomes of its future.
        fate: Fate,
    },
    /// Somebody signs in.
    SignIn,
    /// Sign-out.
    SignOut,
    /// The process is killed, and starts again at once.
    Kill,
    /// The servers forget all access tokens.
    ExpireAccess,
    /// The authorization server revokes what this process is signed in with.
    RevokeFamily,
    /// The token endpoint is down for so long.
    Outage {
        /// In milliseconds.
        ms: u64,
    },
    /// No write of the store succeeds for so long: a full disk.
    DiskFull {
        /// In milliseconds.
        ms: u64,
    },
    /// What becomes of this process's next token request.
    NextToken(TokenFault),
    /// What becomes of this process's next call of the store of that kind.
    NextStore {
        /// Which kind.
        on: StoreCall,
        /// What.
        fault: StoreFault,
    },
    /// What becomes of this process's next request to the API.
    NextApi(ApiFault),
    /// Another program does something to the store.
    Elsewhere(Elsewhere),
    /// Whoever holds the store's lock loses it: its lease has run out, and the next in line has it.
    StealLock,
    /// The wall clock jumps.
    JumpWall {
        /// Forth, or back.
        seconds: i64,
    },
}

/// What kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestKind {
    /// Without a body.
    Plain,
    /// With a body that can be sent again.
    Buffered,
    /// With a body that cannot.
    OneShot,
    /// It asks not to be replayed.
    NoReplay,
    /// To an endpoint that answers 401 whatever the token.
    AlwaysRejected,
}

/// What becomes of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// It is polled whenever it is woken, until it is done.
    Polled,
    /// It is dropped after so many polls, if it is not done by then.
    CancelledAfterPolls(u8),
    /// It is dropped after so many milliseconds, if it is not done by then.
    CancelledAfterMs(u64),
    /// It is not polled any more after so many polls, and lives on.
    ParkedAfterPolls(u8),
}

/// What becomes of a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenFault {
    /// The connection is refused: nothing was sent.
    NoConnection,
    /// The server does what is asked, and its answer is lost.
    LostAnswer,
    /// The same, and the connection stays silent for ever.
    Silent,
    /// The server does what is asked, and the answer cannot be read.
    Garbage,
    /// A proxy's page, with this status.
    Html(u16),
    /// 503.
    Unavailable,
    /// 429, with a `Retry-After` of so many seconds.
    TooMany(u64),
    /// 503 with `invalid_grant` in its body, which is not to be believed.
    Echo,
    /// 400 `invalid_client`.
    InvalidClient,
    /// It takes so many milliseconds.
    Slow(u64),
    /// A new refresh token and the same access token.
    SameAccess,
    /// The new access token lives for so many seconds.
    ShortLived(u64),
    /// No new refresh token, this once.
    KeepRefresh,
}

/// A kind of call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoreCall {
    /// Any.
    Any,
    /// `load`
    Load,
    /// `save` or `clear`
    Write,
    /// `lock`
    Lock,
}

/// What becomes of a call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoreFault {
    /// It fails, with nothing done.
    Fails,
    /// It does what it should, and says that it failed.
    LiesAboutFailing,
    /// It takes so many milliseconds.
    Slow(u64),
    /// It never ends.
    Hangs,
    /// The process is killed before it has done anything.
    KilledBefore,
    /// The process is killed when it is done, before anybody knows.
    KilledAfter,
}

/// What becomes of a request to the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApiFault {
    /// The connection breaks after it was sent.
    Breaks,
    /// 503.
    Unavailable,
    /// 401, though the token is good.
    Rejects,
    /// 403 `insufficient_scope`.
    Forbids,
    /// It takes so many milliseconds.
    Slow(u64),
}

/// What another program does to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Elsewhere {
    /// It refreshes, as it should: under the lock.
    Rotates,
    /// It signs somebody in.
    SignsIn,
    /// It empties the store.
    Empties,
}

/// A text that is not a plan.
#[derive(Debug, thiserror::Error)]
#[error("this is not a plan")]
pub struct InvalidPlan(#[from] serde_json::Error);

impl Plan {
    /// The plan that this seed makes.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        generate::plan(seed)
    }

    /// The plan as JSON, to be kept.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// A plan from its JSON.
    ///
    /// # Errors
    ///
    /// [`InvalidPlan`], with where and why as its source.
    pub fn from_json(text: &str) -> Result<Self, InvalidPlan> {
        Ok(serde_json::from_str(text)?)
    }

    /// When the last step happens, in milliseconds.
    #[must_use]
    pub fn ends_at_ms(&self) -> u64 {
        self.steps.iter().map(|step| step.at_ms).max().unwrap_or(0)
    }
}

impl Action {
    /// Whether it makes something fail, get lost or get in the way.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Request { .. } | Self::Refresh { .. } | Self::AccessToken { .. } => false,
            Self::SignIn | Self::SignOut | Self::ExpireAccess => false,
            Self::Kill
            | Self::RevokeFamily
            | Self::Outage { .. }
            | Self::DiskFull { .. }
            | Self::Elsewhere(_) => true,
            Self::NextToken(_) | Self::NextStore { .. } | Self::NextApi(_) => true,
            Self::StealLock | Self::JumpWall { .. } => true,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { kind, fate } => write!(f, "a request ({kind:?}, {fate:?})"),
            Self::Refresh { fate } => write!(f, "a forced refresh ({fate:?})"),
            Self::AccessToken { min_s, fate } => write!(f, "access_token({min_s} s) ({fate:?})"),
            Self::SignIn => f.write_str("sign-in"),
            Self::SignOut => f.write_str("sign-out"),
            Self::Kill => f.write_str("the process is killed"),
            Self::ExpireAccess => f.write_str("the servers forget all access tokens"),
            Self::RevokeFamily => f.write_str("the server revokes the family"),
            Self::Outage { ms } => write!(f, "the token endpoint is down for {ms} ms"),
            Self::DiskFull { ms } => write!(f, "no write of the store succeeds for {ms} ms"),
            Self::NextToken(fault) => write!(f, "the next token request: {fault:?}"),
            Self::NextStore { on, fault } => write!(f, "the next call of the store ({on:?}): {fault:?}"),
            Self::NextApi(fault) => write!(f, "the next API request: {fault:?}"),
            Self::Elsewhere(what) => write!(f, "another program: {what:?}"),
            Self::StealLock => f.write_str("the holder of the store's lock loses it"),
            Self::JumpWall { seconds } => write!(f, "the wall clock jumps by {seconds} s"),
        }
    }
}
