//! The record of a run: everything that happened, in order, as somebody sees it who sees everything.

use std::time::Duration;

use auth_core::{Counters, ErrorKind, Event, SessionState, Stamp};

/// A run, moment by moment.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// In the order in which they happened.
    pub moments: Vec<Moment>,
}

/// Something happened.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When, since the run began.
    pub at: Duration,
    /// To which process: the first has 0. A process that is killed and started again is a new one.
    pub process: u32,
    /// What.
    pub what: What,
}

/// What happened. Tokens are named by their numbers, which the [`Tokens`](auth_core::Tokens) of the world bear in their
/// texts; a sign-in's tokens have higher numbers than those of any earlier one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum What {
    /// The process began: nothing in memory, the store as it is.
    Started,
    /// The process was killed.
    Killed,
    /// The process stands still from here on: all of it, or what drives the session's own tasks.
    Stopped {
        /// Whether those who call the session stand still as well.
        whole: bool,
    },
    /// It goes on.
    GoesOn,
    /// A request was polled for the first time.
    Submitted {
        /// Which.
        request: u32,
    },
    /// An attempt of a request left for the API.
    Sent {
        /// Which.
        request: u32,
        /// The number of the attempt, from 1.
        attempt: u8,
        /// The flight it waited for, and its place in that queue.
        place: Option<(u64, u64)>,
        /// The stamp of its lease.
        stamp: Option<Stamp>,
        /// The access token it carries, if it carries one of this world.
        token: Option<Token>,
    },
    /// The API's answer arrived.
    Answered {
        /// Which.
        request: u32,
        /// Its status; `None` where the connection broke.
        status: Option<u16>,
    },
    /// A request, or another call of the session, has its result.
    Settled {
        /// Which.
        request: u32,
        /// The status of its response (200 for a call that returns no response), or what went wrong.
        outcome: Result<u16, ErrorKind>,
        /// The status of the response that an error stands in for.
        instead_of: Option<u16>,
    },
    /// `Session::refresh` was called by somebody who knows this stamp.
    Knew {
        /// The number of the call.
        request: u32,
        /// What it knows.
        stamp: Stamp,
    },
    /// `Session::access_token` gave this token.
    Handed {
        /// The number of the call.
        request: u32,
        /// The token.
        token: Token,
    },
    /// A request did not come through as it was made, or its response as it should be.
    Spoiled {
        /// Which.
        request: u32,
        /// What is wrong.
        how: String,
    },
    /// A request's future was dropped before it was done.
    Cancelled {
        /// Which.
        request: u32,
    },
    /// A request's future is polled no more from here on, and not dropped.
    Parked {
        /// Which.
        request: u32,
    },
    /// Somebody signed in: the session's `sign_in` was called.
    SignIn {
        /// Who, with which tokens.
        token: Token,
    },
    /// `sign_out` was called.
    SignOut,
    /// What `sign_in` or `sign_out` returned was awaited to its end.
    Written {
        /// Whether the store holds what it should.
        saved: bool,
    },
    /// Somebody has a pair of the authorization server, by signing in or with an answer, and is told how long it lives.
    Granted {
        /// The pair.
        pair: Pair,
        /// How long the access token lives, in seconds, if the server says it.
        lives_s: Option<u64>,
        /// The same of the refresh token.
        refresh_lives_s: Option<u64>,
    },
    /// First tokens were asked for, without a refresh token.
    Acquiring {
        /// The number of the call.
        call: u32,
    },
    /// A refresh token was presented.
    Presented {
        /// The number of the call.
        call: u32,
        /// The refresh token.
        refresh: Token,
    },
    /// The authorization server exchanged it.
    Exchanged {
        /// Which call.
        call: u32,
        /// What it gave: the new access token.
        access: Token,
        /// And the refresh token; where it does not rotate, the old one.
        refresh: Token,
    },
    /// The authorization server refused it: `invalid_grant`.
    Refused {
        /// Which call.
        call: u32,
        /// Why.
        why: Refusal,
    },
    /// The authorization server's answer was another failure.
    Failed {
        /// Which call.
        call: u32,
        /// Its status; `None` where there was no answer.
        status: Option<u16>,
    },
    /// The answer arrived, whole and readable.
    Delivered {
        /// Which call.
        call: u32,
    },
    /// What the server granted did not arrive: the answer was lost or unreadable, or the call was dropped before it came.
    Lost {
        /// Which call.
        call: u32,
    },
    /// The call was given up, with nothing granted so far.
    Abandoned {
        /// Which call.
        call: u32,
    },
    /// The session is built with [`Parts::builder`](super::Parts::builder): from here on the record has what it offers for
    /// revocation.
    Built,
    /// A pair was offered for revocation: `Refresher::revoke` was called.
    Offered {
        /// Its refresh token.
        refresh: Token,
    },
    /// The authorization server was asked to revoke a pair, and has.
    Revoked {
        /// Its refresh token.
        refresh: Token,
    },
    /// A call of the store began.
    StoreBegan {
        /// The number of the call.
        call: u32,
        /// Which.
        op: StoreOp,
        /// Whether it was made with the lock's guard, rather than past it.
        locked: bool,
    },
    /// It ended.
    StoreEnded {
        /// Which call.
        call: u32,
        /// Which.
        op: StoreOp,
        /// How.
        outcome: StoreOutcome,
    },
    /// The store's lock was given back.
    Unlocked,
    /// The store holds something else now.
    Stored {
        /// The pair; `None`: it is empty.
        pair: Option<Pair>,
    },
    /// The session told its listeners.
    Told(Event),
    /// The session's state is another.
    State(SessionState),
    /// Somebody who watches the session has seen this state.
    Watched(SessionState),
    /// What the session has counted so far. Told when everything is at rest.
    Counted(Counters),
    /// The plan did something to the world: its words for it.
    Meddled(String),
    /// A text left the library that holds a token. Where.
    Leaked(String),
    /// The plan is over, and every fault with it: from here on the world is well.
    Healed,
}

/// A token of this world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Its number. Every token has another, and later ones have higher.
    pub number: u32,
    /// The sign-in that it comes from, numbered from 1 in the order of signing in.
    pub sign_in: u32,
}

/// Why a refresh token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It had been exchanged before, and the server takes that for theft: the whole family is revoked.
    Reused,
    /// Its family had been revoked.
    Revoked,
    /// It had expired.
    Expired,
    /// The server has never issued it.
    Unknown,
}

/// An access token with its refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The access token.
    pub access: Token,
    /// The refresh token.
    pub refresh: Option<Token>,
}

/// A call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreOp {
    /// `load`
    Load,
    /// `save`
    Save {
        /// Of what.
        pair: Pair,
    },
    /// `clear`
    Clear,
    /// `lock`
    Lock,
}

/// How a call of the store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreOutcome {
    /// It did what it should. A `load` found this pair, or nothing.
    Done(Option<Pair>),
    /// It failed.
    Failed,
    /// The lock had been lost.
    Conflict,
    /// It was dropped before it was done.
    Dropped,
}

impl Record {
    /// How many moments are of this kind.
    pub fn count(&self, kind: impl Fn(&What) -> bool) -> usize {
        self.moments.iter().filter(|moment| kind(&moment.what)).count()
    }
}
