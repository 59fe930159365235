//! Lanes: who was busy with what, from when to when. Derived from the record alone; every rendering draws these.

mod calls;
mod flights;
mod requests;
mod session;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use auth_core::SessionState;

use super::super::record::{Moment, Record, What};
pub(super) use super::super::universe::OUTSIDE;

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
    SignIn,
    SignOut,
    Ended,
    Started,
    Killed,
    Leaked,
    Meddled,
    Healed,
}

/// What is open in a lane, so that its end finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// A request has one span at a time.
    Request,
    Flight(u64),
    /// A flight whose number has not been told yet.
    Unnamed,
    /// What a flight does: a call of the store or of the token endpoint.
    Part(Of, u32),
    Call(u32),
    Lock,
    State,
}

impl Lanes {
    /// The lanes of a record that ends at `end`, or with its last moment.
    pub(super) fn new(record: &Record, end: Duration) -> Self {
        let last = record.moments.iter().map(|moment| moment.at).max().unwrap_or_default();
        let mut lanes = Draft::default();
        for (index, moment) in record.moments.iter().enumerate() {
            lanes.add(index, moment);
        }
        let end = last.max(end);
        let mut all: Vec<Lane> = lanes.lanes.into_values().collect();
        for lane in &mut all {
            lane.close(end);
        }
        all.retain(|lane| lane.reach().is_some());
        Self { all, end }
    }
}

/// Lanes that are being filled.
#[derive(Default)]
struct Draft {
    lanes: BTreeMap<Of, Lane>,
}

impl Draft {
    fn lane(&mut self, of: Of) -> &mut Lane {
        self.lanes.entry(of).or_insert_with(|| Lane::new(of))
    }

    fn add(&mut self, index: usize, moment: &Moment) {
        let here = Here { index, at: moment.at, process: moment.process };
        match Of::moment(moment) {
            of @ Of::World => {
                let sign = match moment.what {
                    What::Healed => Sign::Healed,
                    _ => Sign::Meddled,
                };
                self.lane(of).mark(here, sign, String::new());
            }
            Of::Endpoint | Of::Store => self.call(here, &moment.what),
            Of::Process(_, Own::Request(request)) => self.request(here, request, &moment.what),
            Of::Process(_, Own::Session | Own::Flights) => self.session(here, &moment.what),
        }
    }

    /// The lanes of this process's requests.
    fn requests(&mut self, process: u32) -> impl Iterator<Item = &mut Lane> {
        let (first, last) =
            (Of::Process(process, Own::Request(0)), Of::Process(process, Own::Request(u32::MAX)));
        self.lanes.range_mut(first..=last).map(|(_, lane)| lane)
    }
}

/// The moment that is being drawn.
#[derive(Clone, Copy)]
struct Here {
    index: usize,
    at: Duration,
    process: u32,
}

impl Lane {
    fn new(of: Of) -> Self {
        Self { of, spans: Vec::new(), marks: Vec::new(), rows: 1, open: Vec::new() }
    }

    fn begin(&mut self, here: Here, key: Key, phase: Phase, label: String) {
        self.begin_on(None, here, key, phase, label);
    }

    /// Something begins, as a part of this span.
    fn begin_on(&mut self, on: Option<usize>, here: Here, key: Key, phase: Phase, label: String) {
        self.open.push((key, self.spans.len()));
        let Here { index, at, process } = here;
        let span = Span { from: at, to: at, phase, process, row: 0, label, began: index, ended: None, on };
        self.spans.push(span);
    }

    /// What is open under this key ends; which that is.
    fn finish(&mut self, here: Here, key: Key) -> Option<usize> {
        let at = self.open.iter().position(|(open, _)| *open == key)?;
        let (_, index) = self.open.remove(at);
        self.spans[index].ends(here);
        Some(index)
    }

    /// Everything that is open ends.
    fn finish_all(&mut self, here: Here) {
        for (_, index) in std::mem::take(&mut self.open) {
            self.spans[index].ends(here);
        }
    }

    /// The latest of those that are open.
    fn latest(&self, is: impl Fn(Key, &Span) -> bool) -> Option<usize> {
        let mut open = self.open.iter().rev();
        open.find(|(key, index)| is(*key, &self.spans[*index])).map(|(_, index)| *index)
    }

    fn mark(&mut self, here: Here, sign: Sign, label: String) {
        self.mark_on(None, here, sign, label);
    }

    fn mark_on(&mut self, on: Option<usize>, here: Here, sign: Sign, label: String) {
        self.marks.push(Mark { at: here.at, sign, row: 0, label, moment: here.index, on });
    }

    /// The record is over: everything gets its row, and what took no time at all and says nothing goes.
    fn close(&mut self, end: Duration) {
        for (_, index) in self.open.drain(..) {
            let span = &mut self.spans[index];
            if span.ended.is_none() {
                span.to = end;
            }
        }
        // Until when each row is taken.
        let mut taken: Vec<Duration> = Vec::new();
        for span in self.spans.iter_mut().filter(|span| span.on.is_none()) {
            span.row = taken.iter().position(|until| *until <= span.from).unwrap_or(taken.len());
            taken.resize(taken.len().max(span.row + 1), Duration::ZERO);
            taken[span.row] = if span.ended.is_some() { span.to } else { Duration::MAX };
        }
        self.rows = taken.len().max(1);
        let rows: Vec<usize> = self.spans.iter().map(|span| span.row).collect();
        let row = |on: Option<usize>| on.map(|on| rows[on]);
        self.spans.iter_mut().for_each(|span| span.row = row(span.on).unwrap_or(span.row));
        self.marks.iter_mut().for_each(|mark| mark.row = row(mark.on).unwrap_or(0));
        self.marks.sort_by_key(|mark| mark.at);
        self.spans.retain(|span| span.phase != Phase::Queued || span.to > span.from);
    }

    /// From its first moment to its last.
    pub(super) fn reach(&self) -> Option<(Duration, Duration)> {
        let spans = self.spans.iter().map(|span| (span.from, span.to));
        let all = spans.chain(self.marks.iter().map(|mark| (mark.at, mark.at)));
        all.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }
}

impl Span {
    fn ends(&mut self, here: Here) {
        (self.to, self.ended) = (here.at, Some(here.index));
    }
}

impl Of {
    /// Whose lane a moment is in.
    pub(super) fn moment(moment: &Moment) -> Self {
        use auth_core::Event;

        let own = match &moment.what {
            What::Meddled(_) | What::Healed => return Self::World,
            What::Presented { .. }
            | What::Exchanged { .. }
            | What::Refused { .. }
            | What::Failed { .. }
            | What::Delivered { .. }
            | What::Lost { .. }
            | What::Abandoned { .. }
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
