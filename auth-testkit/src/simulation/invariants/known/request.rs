//! Requests, and other calls that wait: how far each is.

use std::time::Duration;

use auth_core::Stamp;

use crate::simulation::asked::Call;
use crate::simulation::plan::Knows;
use crate::simulation::record::{Moment, What};

/// One call, from its first poll to its end.
#[derive(Debug)]
pub(in super::super) struct Request {
    pub(in super::super) process: u32,
    pub(in super::super) call: Call,
    pub(in super::super) began: Duration,
    /// When it had its result, or was given up.
    pub(in super::super) closed: Option<Duration>,
    /// How it was sent last.
    pub(in super::super) sent: Option<Sent>,
    /// The last answer: its status, or none where the connection broke.
    pub(in super::super) answer: Option<Option<u16>>,
    /// What `refresh` was told.
    pub(in super::super) knew: Option<Stamp>,
}

/// An attempt.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Sent {
    pub(in super::super) attempt: u8,
    pub(in super::super) stamp: Option<Stamp>,
}

/// What a moment is for a call.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Begins,
    Sent(Sent),
    Answered(Option<u16>),
    Knew(Stamp),
    Ends,
}

pub(super) fn change(moment: &Moment) -> Option<(u32, Change)> {
    Some(match &moment.what {
        What::Submitted { request } => (*request, Change::Begins),
        What::Sent { request, attempt, stamp, .. } => {
            (*request, Change::Sent(Sent { attempt: *attempt, stamp: *stamp }))
        }
        What::Answered { request, status } => (*request, Change::Answered(*status)),
        What::Knew { request, stamp } => (*request, Change::Knew(*stamp)),
        What::Settled { request, .. } | What::Cancelled { request } => (*request, Change::Ends),
        _ => return None,
    })
}

impl Request {
    pub(super) fn new(process: u32, call: Call, began: Duration) -> Self {
        Self { process, call, began, closed: None, sent: None, answer: None, knew: None }
    }

    pub(super) fn see(&mut self, change: Change, at: Duration) {
        match change {
            Change::Begins => {}
            Change::Sent(sent) => (self.sent, self.answer) = (Some(sent), None),
            Change::Answered(status) => self.answer = Some(status),
            Change::Knew(stamp) => self.knew = Some(stamp),
            Change::Ends => self.closed = Some(at),
        }
    }

    pub(super) fn killed(&mut self, process: u32, at: Duration) {
        if self.process == process {
            self.closed.get_or_insert(at);
        }
    }

    /// Whether it is a forced refresh by somebody who knows no older stamp than the newest.
    pub(in super::super) fn is_forced(&self, newest: Option<Stamp>) -> bool {
        let knows_newest = || newest.is_some_and(|newest| self.knew.is_none_or(|known| known >= newest));
        matches!(self.call, Call::Refresh(knows) if knows == Knows::Nothing || knows_newest())
    }

    pub(in super::super) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether it is on its way, and waits for nothing but its answer.
    pub(in super::super) fn is_on_its_way(&self) -> bool {
        self.sent.is_some() && self.answer.is_none()
    }

    /// The stamp that a first 401 speaks of.
    pub(in super::super) fn rejected(&self) -> Option<Stamp> {
        let sent = self.sent.filter(|sent| sent.attempt == 1 && self.call.carries_token())?;
        sent.stamp
    }
}
