//! Events: what happened in a session, in order, for whoever listens.

use std::fmt;
use std::time::Duration;

use crate::maybe::forward;
use crate::{Error, MaybeSend, MaybeSync, Stamp};

/// Which flight: one refresh, from its start to its last effect. Numbers grow, and are never used again by a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(pub(crate) u64);

impl FlightId {
    /// The number itself.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FlightId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for FlightId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlightId({})", self.0)
    }
}

/// Why a flight was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The token has expired by the clock, or soon will.
    Proactive,
    /// The server rejected the token.
    Rejected,
    /// Somebody asked for it.
    Forced,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The server says that the refresh token is dead.
    Rejected,
    /// The refresh token is dead, most likely because the answer that replaced it was lost on its way.
    AnswerLost,
    /// The access token is of no use any more, and cannot be refreshed.
    NotRefreshable,
    /// The refresh token has expired by the clock.
    RefreshTokenExpired,
    /// Another session on the same store ended it.
    EndedElsewhere,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rejected => "the refresh token was rejected",
            Self::AnswerLost => "the refresh token was rejected after an answer had been lost",
            Self::NotRefreshable => "the access token cannot be refreshed",
            Self::RefreshTokenExpired => "the refresh token has expired",
            Self::EndedElsewhere => "another session on the same store ended it",
        })
    }
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionState {
    /// The store has not been read yet.
    Unknown,
    /// Nobody is signed in.
    SignedOut,
    /// Somebody is signed in.
    Active,
    /// Somebody is signed in, and a refresh is under way.
    Refreshing,
    /// The refresh token is dead, the access token still valid: the session ends with it.
    Draining,
    /// The session has ended; only a new sign-in helps.
    Ended(EndReason),
}

/// What happened, told to [`SessionBuilder::on_event`](crate::SessionBuilder::on_event) in order. No event holds a token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The store was read: somebody was signed in, or nobody.
    Loaded {
        /// Whether the store held tokens.
        signed_in: bool,
    },
    /// The store could not be read, or first tokens could not be acquired: nobody knows yet whether somebody is signed in. The next
    /// request tries again.
    LoadFailed {
        /// What those got that waited for it.
        error: Error,
    },
    /// Somebody signed in here, or first tokens were acquired.
    SignedIn {
        /// The sign-in's number.
        epoch: u64,
    },
    /// Sign-out.
    SignedOut {
        /// The sign-out's number.
        epoch: u64,
    },
    /// Another session on the same store signed somebody else in; this one follows.
    IdentityChanged {
        /// The sign-in's number.
        epoch: u64,
    },
    /// A flight started.
    RefreshStarted {
        /// Which.
        flight: FlightId,
        /// Why.
        cause: Cause,
    },
    /// A call of the refresher failed; the flight goes on, or ends with the next event.
    AttemptFailed {
        /// Which flight.
        flight: FlightId,
        /// The number of the call within its flight, from 1.
        attempt: u8,
        /// What came of it.
        error: Error,
    },
    /// The store holds what it should: a new pair, or nothing after a sign-out.
    Saved,
    /// The store could not be written. The session goes on from memory, and writes again before the next refresh.
    SaveFailed {
        /// Why.
        error: Error,
    },
    /// The store was written although its lock could not be had: a sign-in or a sign-out does not wait for ever.
    WrittenUnlocked,
    /// New tokens are in force. Replays follow.
    Refreshed {
        /// Which flight.
        flight: FlightId,
        /// The stamp of the new lease.
        stamp: Stamp,
        /// Whether another session had made the refresh, and its tokens were taken over from the store.
        adopted: bool,
        /// Whether the access token is the one from before.
        unchanged: bool,
        /// Why the flight was started.
        cause: Cause,
        /// How many requests wait in its queue.
        waiters: usize,
        /// How long it took, from its start, the save included.
        took: Duration,
    },
    /// A flight failed. The session lives, or ends with the next event.
    RefreshFailed {
        /// Which flight.
        flight: FlightId,
        /// What its waiters got.
        error: Error,
        /// Why the flight was started.
        cause: Cause,
        /// How many requests waited in its queue.
        waiters: usize,
        /// How long it took, from its start.
        took: Duration,
    },
    /// The refresh token is dead, the access token stays in use until it expires or is rejected.
    Draining,
    /// The session has ended. Once for each session.
    Ended(SessionEnded),
    /// A request is sent again.
    Replayed {
        /// The flight it waited for, if it did.
        flight: Option<FlightId>,
        /// Its place there.
        ticket: Option<u64>,
    },
    /// A request in line was not polled for so long that the others no longer wait for it.
    QueueOpened {
        /// Which flight's queue.
        flight: FlightId,
    },
}

/// Who is told what happens in a session: for a log, a trace, metrics.
///
/// # Contract
///
/// - **Ordering.** Events come in the order in which they happened, one at a time. (Unless a call has not returned after 30 s:
///   then it is taken for lost, and the next event is told without it.)
/// - **Isolation.** They are told by a task of their own, when no lock is held: a slow observer delays later events, which are kept
///   in memory, and nothing else; one that panics misses that event. It must not block its thread.
/// - **Confidentiality.** No event holds a token.
///
/// # Examples
///
/// ```
/// use auth_core::{Event, Observer};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct SlowestRefresh(AtomicU64);
///
/// impl Observer for SlowestRefresh {
///     fn event(&self, event: &Event) {
///         if let Event::Refreshed { took, .. } = event {
///             self.0.fetch_max(took.as_millis() as u64, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Observer: MaybeSend + MaybeSync + 'static {
    /// This happened.
    fn event(&self, event: &Event);
}

forward! {
    impl Observer {
        fn event(&self, event: &Event) {
            (**self).event(event);
        }
    }
}

/// A closure that observes, as [`SessionBuilder::on_event`](crate::SessionBuilder::on_event) takes it. (A blanket impl would
/// collide with the forwarding ones.)
pub(crate) struct ObserverFn<F>(pub(crate) F);

impl<F: Fn(&Event) + MaybeSend + MaybeSync + 'static> Observer for ObserverFn<F> {
    fn event(&self, event: &Event) {
        (self.0)(event);
    }
}

/// A session's end, told to [`SessionBuilder::on_session_ended`](crate::SessionBuilder::on_session_ended).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionEnded {
    /// Why.
    pub reason: EndReason,
    /// What its waiters got: the cause is its source.
    pub error: Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_is_shown_by_its_number() {
        let flight = FlightId(7);

        assert_eq!(
            (flight.get(), flight.to_string(), format!("{flight:?}")),
            (7, "7".into(), "FlightId(7)".into())
        );
    }

    #[test]
    fn every_reason_for_an_end_has_a_text_of_its_own() {
        let all = [
            EndReason::Rejected,
            EndReason::AnswerLost,
            EndReason::NotRefreshable,
            EndReason::RefreshTokenExpired,
            EndReason::EndedElsewhere,
        ];
        let mut texts = all.map(|reason| reason.to_string()).to_vec();
        assert!(texts.iter().all(|text| !text.is_empty()));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), all.len());
    }
}
