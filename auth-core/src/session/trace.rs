//! Traces: what a session does, as spans and events for the subscribers of `tracing`. Without that feature, `trace/off.rs`
//! stands in for this file, and there is nothing.
//!
//! A subscriber is foreign code. It is called in the session's tasks alone and never under a lock: a span is opened when its
//! task is first polled, not when the task is made, and events are told by the delivery. Nothing here has a parent: a task
//! belongs to nobody's request, whatever its runtime is inside of when it polls it.

use std::error::Error as StdError;
use std::sync::Arc;

use futures::FutureExt as _;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, Span, debug, info, info_span, warn};

use super::flight::Flight;
use super::reentry::SessionId;
use crate::contain::quietly;
use crate::{Error, Event, FlightId};

/// Whether there is a subscriber that could want an event. One atomic load.
pub(crate) fn anyone_listens() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// A flight's task in its span, from its first poll to its drop.
pub(crate) fn refresh<F>(
    session: SessionId,
    flight: &Arc<Flight>,
    drive: F,
) -> impl Future<Output = ()> + use<F>
where
    F: Future<Output = ()>,
{
    let flight = Arc::clone(flight);
    async move {
        let span = info_span!(
            target: "auth_core", parent: None, "auth.refresh",
            session = session.0, flight = flight.id.get(), cause = ?flight.cause, outcome = Empty,
        );
        let landing = Landing { span: span.clone(), flight };
        drive.instrument(span).await;
        drop(landing);
    }
}

/// A load's task in its span.
pub(crate) async fn load(session: SessionId, run: impl Future<Output = ()>) {
    let span = info_span!(target: "auth_core", parent: None, "auth.load", session = session.0);
    run.instrument(span).await;
}

/// Records what the flight's waiters got when its task is over, be it that the runtime has dropped it.
struct Landing {
    span: Span,
    flight: Arc<Flight>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let outcome = match self.flight.outcome.wait().now_or_never() {
            Some(Ok(Ok(()))) => "refreshed",
            Some(Ok(Err(error))) => error.kind().as_str(),
            // Whoever has ended the flight is about to tell them.
            Some(Err(_)) | None => "overtaken",
        };
        // It may be dropped by a panic of the subscriber's own.
        let _ = quietly(|| self.span.record("outcome", outcome));
    }
}

/// Tells the event. A subscriber that panics misses it.
pub(crate) fn event(session: SessionId, event: &Event) {
    let _ = quietly(|| tell(session.0, event));
}

fn tell(session: u64, event: &Event) {
    macro_rules! tell {
        ($level:ident, $($fields:tt)*) => {
            $level!(target: "auth_core", parent: None, session, $($fields)*)
        };
    }
    match event {
        Event::Loaded { signed_in } => tell!(debug, signed_in, "the store was read"),
        Event::SignedIn { epoch } => tell!(info, epoch, "signed in"),
        Event::SignedOut { epoch } => tell!(info, epoch, "signed out"),
        Event::IdentityChanged { epoch } => tell!(info, epoch, "somebody else was signed in elsewhere"),
        Event::RefreshStarted { flight, cause } => {
            tell!(debug, flight = flight.get(), ?cause, "refreshing");
        }
        Event::AttemptFailed { flight, attempt, error } => {
            let (kind, error) = why(error);
            tell!(warn, flight = flight.get(), attempt, kind, error, "a token request failed");
        }
        Event::Saved => tell!(debug, "the store was written"),
        Event::SaveFailed { error } => {
            let (kind, error) = why(error);
            tell!(warn, kind, error, "the store could not be written");
        }
        Event::WrittenUnlocked => tell!(warn, "the store was written without its lock"),
        Event::Refreshed { flight, stamp, adopted, unchanged, cause, waiters, took } => {
            let (flight, epoch, generation) = (flight.get(), stamp.epoch, stamp.generation);
            let took_ms = took.as_millis() as u64;
            tell!(info, flight, ?cause, adopted, unchanged, epoch, generation, waiters, took_ms, "refreshed");
        }
        Event::RefreshFailed { flight, error, cause, waiters, took } => {
            let (flight, took_ms) = (flight.get(), took.as_millis() as u64);
            let (kind, error) = why(error);
            tell!(warn, flight, ?cause, kind, error, waiters, took_ms, "the refresh failed");
        }
        Event::Draining => tell!(warn, "the session will end with its access token"),
        Event::Ended(ended) => {
            let (_, error) = why(&ended.error);
            tell!(warn, reason = ?ended.reason, error, "the session has ended");
        }
        Event::Replayed { flight, ticket } => {
            tell!(debug, flight = flight.map(FlightId::get), ticket, "a request is sent again");
        }
        Event::QueueOpened { flight } => {
            tell!(warn, flight = flight.get(), "a request in line was not polled: the others go on");
        }
    }
}

fn why(error: &Error) -> (&'static str, &(dyn StdError + 'static)) {
    (error.kind().as_str(), error)
}
