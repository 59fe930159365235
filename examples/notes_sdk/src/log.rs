//! The log: what happens to a session, for whoever runs the program. No event holds a token, so no line does.

use std::error::Error;
use std::fmt;

use auth_core::Event;
use tracing::{debug, error, info, trace, warn};

pub(crate) fn event(event: &Event) {
    match event {
        Event::LoadFailed { error } => {
            warn!(target: "notes_sdk", error = %Chain(error), "the stored sign-in could not be read");
        }
        Event::SignedIn { epoch } => info!(target: "notes_sdk", epoch, "signed in"),
        Event::SignedOut { epoch } => info!(target: "notes_sdk", epoch, "signed out"),
        Event::RefreshStarted { flight, cause } => {
            debug!(target: "notes_sdk", flight = flight.get(), ?cause, "refreshing");
        }
        Event::AttemptFailed { flight, attempt, error } => {
            warn!(target: "notes_sdk", flight = flight.get(), attempt, error = %Chain(error), "a token request failed");
        }
        Event::Refreshed { flight, waiters, .. } => {
            info!(target: "notes_sdk", flight = flight.get(), waiters, "refreshed");
        }
        Event::RefreshFailed { flight, error, .. } => {
            warn!(target: "notes_sdk", flight = flight.get(), error = %Chain(error), "the refresh failed");
        }
        Event::SaveFailed { error } => {
            error!(target: "notes_sdk", error = %Chain(error), "the sign-in could not be stored");
        }
        Event::Draining => warn!(target: "notes_sdk", "the session will end with its access token"),
        Event::Ended(ended) => {
            warn!(target: "notes_sdk", reason = %ended.reason, error = %Chain(&ended.error), "the session has ended");
        }
        other => trace!(target: "notes_sdk", event = ?other),
    }
}

/// An error with its causes: each one's `Display` says its own level only.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
