//! The tape: what happened when, and the transport that writes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use auth_core::{Attempt, Body, FlightId, Transport, TransportError, async_trait};
use http::{Request, Response, StatusCode};

use crate::gate::Gate;

/// Which request this is, in its extensions.
#[derive(Clone, Copy)]
pub(crate) struct Index(pub(crate) usize);

/// One request's life; times since the start.
#[derive(Clone, Default)]
pub(crate) struct Life {
    pub(crate) leased: Option<Duration>,
    pub(crate) sent: Option<Duration>,
    pub(crate) rejected: Option<Duration>,
    pub(crate) replayed: Option<Duration>,
    pub(crate) ticket: Option<u64>,
    pub(crate) ended: Option<Duration>,
    pub(crate) succeeded: bool,
    pub(crate) late: bool,
}

impl Life {
    /// Where it stands, for a person who asks why it has not ended.
    pub(crate) fn stands(&self) -> &'static str {
        match self {
            Self { ended: Some(_), .. } => "ended",
            Self { replayed: Some(_), .. } => "sent again, without a response",
            Self { rejected: Some(_), .. } => "rejected, waiting for the refresh",
            Self { sent: Some(_), .. } => "sent, without a response",
            Self { leased: Some(_), late: true, .. } => "held back for the refresh to end",
            Self { leased: Some(_), .. } => "waiting for the others to have their lease",
            _ => "waiting for a lease",
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Record {
    pub(crate) lives: Vec<Life>,
    pub(crate) unauthorized: u64,
    pub(crate) replays: u64,
    /// Replays with a ticket, in the order of their first polls.
    pub(crate) order: Vec<(FlightId, u64)>,
    /// Calls of the token endpoint: begun, ended.
    pub(crate) refreshes: Vec<(Duration, Option<Duration>)>,
    pub(crate) rotated: bool,
    /// The transport's failures, each kind once, as a person would say it.
    pub(crate) failures: Vec<String>,
    /// How many requests still have to take their lease, or to end, before the first is sent.
    leases_missing: usize,
    /// How many that are not late have not ended.
    on_time_left: usize,
}

pub(crate) struct Tape {
    start: Instant,
    record: Mutex<Record>,
    /// Open once every request has its lease.
    leased: Gate,
    /// Open once the first flight has ended.
    landed: Gate,
}

impl Tape {
    pub(crate) fn new(requests: usize, late: usize) -> Self {
        let mut lives = vec![Life::default(); requests];
        for life in &mut lives[requests - late..] {
            life.late = true;
        }
        let record =
            Record { lives, leases_missing: requests, on_time_left: requests - late, ..Record::default() };
        Self { start: Instant::now(), record: Mutex::new(record), leased: Gate::new(), landed: Gate::new() }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// What is on the tape so far.
    pub(crate) fn copy(&self) -> Record {
        self.record().clone()
    }

    /// A flight has ended: what was held back for it may go.
    pub(crate) fn flight_ended(&self) {
        self.landed.open();
    }

    /// A request has its lease.
    async fn wait_for_leases(&self, index: usize) {
        let (last, late) = {
            let (now, mut record) = (self.now(), self.record());
            record.lives[index].leased = Some(now);
            record.leases_missing -= 1;
            (record.leases_missing == 0, record.lives[index].late)
        };
        if last {
            self.leased.open();
        }
        self.leased.pass().await;
        if late {
            self.landed.pass().await;
        }
        let now = self.now();
        self.record().lives[index].sent = Some(now);
    }

    /// A request has ended, well or not.
    pub(crate) fn ended(&self, index: usize, succeeded: bool) {
        let (leased, landed) = {
            let (now, mut record) = (self.now(), self.record());
            let life = &mut record.lives[index];
            life.ended = Some(now);
            life.succeeded = succeeded;
            let (unleased, on_time) = (life.leased.is_none(), !life.late);
            // It failed before it could be sent: nobody may wait for it.
            record.leases_missing -= usize::from(unleased);
            record.on_time_left -= usize::from(on_time);
            (record.leases_missing == 0, record.on_time_left == 0)
        };
        if leased {
            self.leased.open();
        }
        // No flight, or all of them over: the late ones wait for nothing any more.
        if landed {
            self.landed.open();
        }
    }

    fn replayed(&self, index: usize, attempt: Attempt) {
        let (now, mut record) = (self.now(), self.record());
        record.replays += 1;
        record.lives[index].replayed = Some(now);
        record.lives[index].ticket = attempt.ticket;
        if let (Some(flight), Some(ticket)) = (attempt.flight, attempt.ticket) {
            record.order.push((flight, ticket));
        }
    }

    fn unauthorized(&self, index: usize) {
        let (now, mut record) = (self.now(), self.record());
        record.unauthorized += 1;
        record.lives[index].rejected.get_or_insert(now);
    }

    /// A call of the token endpoint begins; it ends when what is returned is dropped.
    pub(crate) fn refresh_begins(&self) -> Refreshing<'_> {
        let (now, mut record) = (self.now(), self.record());
        record.refreshes.push((now, None));
        Refreshing { tape: self, number: record.refreshes.len() - 1 }
    }

    pub(crate) fn rotated(&self) {
        self.record().rotated = true;
    }

    /// The transport failed: kept as a sentence.
    pub(crate) fn failure(&self, error: &TransportError) {
        let mut text = error.to_string();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        let mut record = self.record();
        if record.failures.len() < 5 && !record.failures.contains(&text) {
            record.failures.push(text);
        }
    }
}

pub(crate) struct Refreshing<'a> {
    tape: &'a Tape,
    number: usize,
}

impl Drop for Refreshing<'_> {
    fn drop(&mut self) {
        let now = self.tape.now();
        self.tape.record().refreshes[self.number].1 = Some(now);
    }
}

/// A transport whose requests are on the tape.
pub(crate) struct Taped<T> {
    pub(crate) transport: T,
    pub(crate) tape: Arc<Tape>,
}

#[async_trait]
impl<T: Transport> Transport for Taped<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let extensions = request.extensions();
        let (Some(&Index(index)), Some(&attempt)) = (extensions.get(), extensions.get::<Attempt>()) else {
            return self.transport.send(request).await;
        };
        if attempt.number == 1 {
            self.tape.wait_for_leases(index).await;
        } else {
            self.tape.replayed(index, attempt);
        }
        let response = self.transport.send(request).await.inspect_err(|error| self.tape.failure(error))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.tape.unauthorized(index);
        }
        Ok(response)
    }
}
