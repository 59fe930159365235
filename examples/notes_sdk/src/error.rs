//! Errors, sorted by what a caller can do about them.

use std::error::Error as _;
use std::time::Duration;

use auth_core::{Advice, Body, BodyError, BoxError, Challenge, ErrorKind, NotReplayed, TransportError};
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};

/// Why a call has no result, and so what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Go to the login page: nobody is signed in, or the session has ended.
    #[error("please sign in")]
    SignIn {
        /// Why.
        source: auth_core::Error,
    },
    /// Make the call again later. The server has not acted on it, and nobody was signed out.
    #[error("the service cannot be reached just now")]
    TryLater {
        /// How long to wait, where that is known.
        after: Option<Duration>,
        /// Why, where there was no answer.
        source: Option<auth_core::Error>,
    },
    /// Look what is there before making the call again: the server may have acted on it.
    #[error("the answer was lost")]
    AnswerLost {
        /// Where it was lost.
        source: Option<BoxError>,
    },
    /// Call again with a new stream. The token had expired, and this stream could be read only once; by now the token is
    /// being refreshed.
    #[error("the token had expired, and the stream cannot be sent again")]
    StreamSpent,
    /// Look at what you gave to upload: reading it failed.
    #[error("what was to be uploaded could not be read")]
    Upload {
        /// Why.
        source: auth_core::Error,
    },
    /// There is no such note.
    #[error("there is no such note")]
    NotFound,
    /// Ask for more rights.
    #[error("this account may not do that")]
    Forbidden {
        /// Which scope would do, where the server says so.
        scope: Option<String>,
    },
    /// The server says no, and would again.
    #[error("the server answered {status}")]
    Refused {
        /// Its status.
        status: StatusCode,
    },
    /// The answer is not one of this API: is this the service that it should be?
    #[error("the answer is not one of this API")]
    Garbled,
    /// Mend the settings of this client.
    #[error("the client is set up wrongly")]
    Misconfigured {
        /// What is wrong.
        source: BoxError,
    },
    /// Report it: a part of this crate, or one that was plugged in, has a mistake.
    #[error("this is a bug")]
    Bug {
        /// What happened.
        source: auth_core::Error,
    },
}

impl Error {
    /// What a response means that is no success.
    pub(crate) fn of(response: &Response<Body>) -> Self {
        if response.extensions().get::<NotReplayed>().is_some() {
            return Self::StreamSpent;
        }
        if let Some(Challenge::InsufficientScope { scope }) = response.extensions().get() {
            return Self::Forbidden { scope: scope.clone() };
        }
        match response.status() {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::FORBIDDEN => Self::Forbidden { scope: None },
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Self::TryLater { after: retry_after(response), source: None }
            }
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Self::AnswerLost { source: None },
            status => Self::Refused { status },
        }
    }

    pub(crate) fn answer_lost(cause: BodyError) -> Self {
        Self::AnswerLost { source: Some(cause.into()) }
    }

    pub(crate) fn misconfigured(cause: impl Into<BoxError>) -> Self {
        Self::Misconfigured { source: cause.into() }
    }
}

impl From<auth_core::Error> for Error {
    /// What the framework advises, in this API's words.
    fn from(error: auth_core::Error) -> Self {
        if is_maybe_sent(&error) {
            return Self::AnswerLost { source: Some(error.into()) };
        }
        match error.advice() {
            _ if error.kind() == ErrorKind::Body => Self::Upload { source: error },
            Advice::SignIn => Self::SignIn { source: error },
            Advice::RetryLater { after } => Self::TryLater { after, source: Some(error) },
            Advice::FixConfiguration => Self::misconfigured(error),
            _ => Self::Bug { source: error },
        }
    }
}

/// Only a call's own transport counts: a refresh whose answer was lost has not made the call.
fn is_maybe_sent(error: &auth_core::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<TransportError>());
    error.kind() == ErrorKind::Transport && cause.is_some_and(TransportError::is_maybe_sent)
}

/// In seconds, as this API writes it.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}
