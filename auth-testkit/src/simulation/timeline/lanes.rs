//! Lanes: who was busy with what, from when to when. Derived from the record alone; every rendering draws these.

mod calls;
mod draft;
mod flights;
mod requests;
mod session;

use std::fmt;
use std::time::Duration;

use auth_core::{Event, SessionState};

use super::super::record::{Moment, Record, What};
pub(super) use super::super::universe::OUTSIDE;
use draft::{Draft, Key};

/// All lanes of a run, in the order in which they are drawn: what is shared, then each process with what is its own.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) all: Vec<Lane>,
    /// When the last moment was.
    pub(super) end: Duration,
}

/// One thing that is busy at times.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) of: Of,
    /// By when they begin.
    pub(super) spans: Vec<Span>,
    pub(super) marks: Vec<Mark>,
    /// How many rows it takes so that no two spans of one row overlap, but for a flight and its parts.
    pub(super) rows: usize,
    /// What has not ended, as an index into the spans.
    open: Vec<(Key, usize)>,
}

/// Whose lane it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// What the plan does.
    World,
    Endpoint,
    Store,
    /// What is a process's own.
    Process(u32, Own),
}

/// What is a process's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Own {
    Session,
    Flights,
    Request(u32),
}

/// Something took a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) phase: Phase,
    pub(super) process: u32,
    /// Within its lane.
    pub(super) row: usize,
    /// A few letters: a token, a flight's number.
    pub(super) label: String,
    /// The moment it began with, as an index into the record.
    pub(super) began: usize,
    /// The moment it ended with; `None`: the record ends before it does.
    pub(super) ended: Option<usize>,
    /// What it is a part of.
    on: Option<usize>,
}

/// Something happened at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: Duration,
    pub(super) sign: Sign,
    pub(super) row: usize,
    pub(super) label: String,
    /// As an index into the record.
    pub(super) moment: usize,
    /// Which span it is a mark on.
    on: Option<usize>,
}

/// What somebody is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// A request is on its way for the first time.
    Sent,
    /// A request waits for a token: it has been rejected, or has not been sent yet.
    Queued,
    /// A request is on its way again.
    Replayed,
    /// A request's future is alive and not polled.
    Parked,
    /// From a flight's start to its landing.
    Flight,
    /// A refresh token is with the token endpoint.
    Asking,
    Loading,
    Saving,
    Clearing,
    /// In line for the store's lock.
    Locking,
    /// The store's lock is held.
    Holding,
    /// What a session says it is doing.
    State(SessionState),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Sign {
    /// The API answered 401.
    Rejected,
    /// It ended as it should.
    Ok,
    /// A request has its response, which says no.
    Refused,
    Failed,
    /// Dropped before it was done.
    Cancelled,
    Parked,
    Exchanged,
    /// What was granted did not arrive.
    Lost,
    /// The store holds something else.
    Stored,
    /// A flight's new tokens are in force.
    Published,
    /// A queue waits no longer for its first.
    Opened,
    SignedIn,
    SignedOut,
    Ended,
    Started,
    Killed,
    Leaked,
    Meddled,
    Healed,
}

impl Lanes {
    /// The lanes of a record that ends at `end`, or with its last moment.
    pub(super) fn new(record: &Record, end: Duration) -> Self {
        let mut draft = Draft::default();
        for (index, moment) in record.moments.iter().enumerate() {
            draft.add(index, moment);
        }
        let last = record.moments.iter().map(|moment| moment.at).max().unwrap_or_default();
        let end = last.max(end);
        Self { all: draft.close(end), end }
    }
}

impl Lane {
    /// From its first moment to its last.
    pub(super) fn reach(&self) -> Option<(Duration, Duration)> {
        let spans = self.spans.iter().map(|span| (span.from, span.to));
        let all = spans.chain(self.marks.iter().map(|mark| (mark.at, mark.at)));
        all.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }
}

impl Of {
    /// Whose lane a moment is in.
    pub(super) fn moment(moment: &Moment) -> Self {
        let own = match &moment.what {
            What::Meddled(_) | What::Healed => return Self::World,
            What::Presented { .. }
            | What::Acquiring { .. }
            | What::Exchanged { .. }
            | What::Refused { .. }
            | What::Failed { .. }
            | What::Delivered { .. }
            | What::Lost { .. }
            | What::Abandoned { .. }
            | What::Offered { .. }
            | What::Revoked { .. } => return Self::Endpoint,
            What::StoreBegan { .. } | What::StoreEnded { .. } | What::Unlocked | What::Stored { .. } => {
                return Self::Store;
            }
            What::Submitted { request }
            | What::Sent { request, .. }
            | What::Answered { request, .. }
            | What::Settled { request, .. }
            | What::Cancelled { request }
            | What::Parked { request } => Own::Request(*request),
            What::Told(
                Event::RefreshStarted { .. }
                | Event::AttemptFailed { .. }
                | Event::Refreshed { .. }
                | Event::RefreshFailed { .. }
                | Event::Replayed { .. }
                | Event::QueueOpened { .. },
            ) => Own::Flights,
            _ => Own::Session,
        };
        Self::Process(moment.process, own)
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.write_str("the plan"),
            Self::Endpoint => f.write_str("token endpoint"),
            Self::Store => f.write_str("store"),
            Self::Process(_, Own::Session) => f.write_str("session"),
            Self::Process(_, Own::Flights) => f.write_str("flights"),
            Self::Process(_, Own::Request(request)) => write!(f, "request {request}"),
        }
    }
}

#[cfg(test)]
mod tests;
