//! Actions: what may happen in a run, and how it may go wrong.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// `Session::refresh`.
    Refresh {
        /// What becomes of its future.
        fate: Fate,
        /// What the caller says it knows.
        #[serde(default, skip_serializing_if = "Knows::is_nothing")]
        knows: Knows,
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
    /// The same, but the access token stays good until it expires.
    RevokeRefresh,
    /// The process stands still for so long, as if its machine slept.
    Pause {
        /// In milliseconds.
        ms: u64,
    },
    /// What drives the session's own tasks stands still for so long, while those who call the session go on.
    Stall {
        /// In milliseconds.
        ms: u64,
    },
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
    /// Marked as anonymous, and answered 401.
    Anonymous,
    /// To an origin that was not named to the client, which answers 401.
    OtherOrigin,
    /// With an `authorization` header of the caller's, and answered 401.
    OwnHeader,
}

/// What the caller of `Session::refresh` says it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Knows {
    /// Nothing.
    #[default]
    Nothing,
    /// The stamp that this process has sent with last.
    Newest,
    /// The stamp that it sent with first.
    Oldest,
}

impl Knows {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
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

impl Action {
    /// Whether it makes something fail, get lost or get in the way.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Request { .. } | Self::Refresh { .. } | Self::AccessToken { .. } => false,
            Self::SignIn | Self::SignOut | Self::ExpireAccess => false,
            Self::Kill
            | Self::Pause { .. }
            | Self::Stall { .. }
            | Self::RevokeFamily
            | Self::RevokeRefresh
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
            Self::Refresh { fate, knows: Knows::Nothing } => write!(f, "a forced refresh ({fate:?})"),
            Self::Refresh { fate, knows } => {
                write!(f, "a forced refresh, knowing its {knows:?} stamp ({fate:?})")
            }
            Self::AccessToken { min_s, fate } => write!(f, "access_token({min_s} s) ({fate:?})"),
            Self::SignIn => f.write_str("sign-in"),
            Self::SignOut => f.write_str("sign-out"),
            Self::Kill => f.write_str("the process is killed"),
            Self::ExpireAccess => f.write_str("the servers forget all access tokens"),
            Self::RevokeFamily => f.write_str("the server revokes the family"),
            Self::RevokeRefresh => f.write_str("the server revokes the refresh tokens"),
            Self::Pause { ms } => write!(f, "the process stands still for {ms} ms"),
            Self::Stall { ms } => write!(f, "nobody drives the session's own tasks for {ms} ms"),
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
