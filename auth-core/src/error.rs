//! Errors: one opaque, cheap to clone type whose kind says what the caller can do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::response::Parts;

use crate::event::EndReason;
use crate::{InvalidToken, RefreshError, StoreError, TransportError};

/// Any cause: a boxed error that can cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, for everyone it went wrong for: cloning shares the cause.
///
/// Ask [`kind`](Error::kind) what happened and [`advice`](Error::advice) what to do. The cause is under
/// [`source`](std::error::Error::source); where the error stands in for a response (a 401 whose refresh failed),
/// [`response`](Error::response) has its head.
///
/// ```
/// use auth_core::{Advice, Error};
///
/// fn explain(error: &Error) -> String {
///     match error.advice() {
///         Advice::SignIn => "please sign in again".to_owned(),
///         Advice::RetryLater { after: Some(after) } => format!("try again in {:.0} s", after.as_secs_f64().ceil()),
///         Advice::RetryLater { .. } => "try again".to_owned(),
///         _ => format!("this is not yours to mend: {error}"),
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Error {
    shared: Arc<Shared>,
    /// Each request's own, though the cause is shared by all that waited: whoever comes later has less left to wait.
    retry_after: Option<Duration>,
    /// Each request's own as well.
    response: Option<Arc<Parts>>,
}

struct Shared {
    kind: ErrorKind,
    detail: Option<&'static str>,
    reason: Option<EndReason>,
    source: Option<BoxError>,
}

/// What happened, as far as it changes what a caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nobody is signed in. Nothing was sent.
    SignedOut,
    /// The session has ended: its refresh token is dead, or there is none.
    SessionEnded,
    /// The identity changed while the request was under way. It was not sent under the new one.
    SessionChanged,
    /// The token endpoint could not be had, or did not answer sensibly. The session lives.
    RefreshUnavailable,
    /// The client, or this program, is set up wrongly (`invalid_client`, a relative URI without an origin).
    Misconfigured,
    /// The server keeps rejecting tokens that were just issued; no more are asked for until the window has passed.
    ExcessiveRefresh,
    /// More requests wait for one refresh, or more sessions of a pool are in use, than are allowed to.
    QueueFull,
    /// A part of the session waited for the session itself: a refresher that calls through its own client.
    Reentrant,
    /// A token that cannot stand in a header, or whose type is not understood.
    InvalidToken,
    /// The token would have gone out over plain `http`. Nothing was sent.
    InsecureOrigin,
    /// The request's own body failed.
    Body,
    /// The store failed.
    Store,
    /// The transport failed: there is no response.
    Transport,
}

impl ErrorKind {
    /// The kind's name in snake case, for logs, labels and scripts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::SessionEnded => "session_ended",
            Self::SessionChanged => "session_changed",
            Self::RefreshUnavailable => "refresh_unavailable",
            Self::Misconfigured => "misconfigured",
            Self::ExcessiveRefresh => "excessive_refresh",
            Self::QueueFull => "queue_full",
            Self::Reentrant => "reentrant",
            Self::InvalidToken => "invalid_token",
            Self::InsecureOrigin => "insecure_origin",
            Self::Body => "body",
            Self::Store => "store",
            Self::Transport => "transport",
        }
    }
}

/// What the caller of a failed request can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Only a new sign-in helps.
    SignIn,
    /// The same request may succeed later; `after` says when to try, where that is known. Whether it may have been acted on
    /// already, [`Error::is_maybe_sent`] says.
    RetryLater {
        /// How long to wait, counted from when the request failed: before that, the session does not ask the token endpoint
        /// again. Not always as long as a `Retry-After`, which is honoured to a bound; that is in the
        /// [`source`](std::error::Error::source).
        after: Option<Duration>,
    },
    /// Somebody has to change the configuration, the URI or the token that was put in.
    FixConfiguration,
    /// A mistake in a part that was plugged in.
    ReportBug,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self::build(kind, None, None)
    }

    pub(crate) fn detailed(kind: ErrorKind, detail: &'static str) -> Self {
        Self::build(kind, Some(detail), None)
    }

    pub(crate) fn caused(kind: ErrorKind, source: impl Into<BoxError>) -> Self {
        Self::build(kind, None, Some(source.into()))
    }

    /// The same error for somebody who may try again after this.
    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    pub(crate) fn ended(reason: EndReason, source: Option<BoxError>) -> Self {
        let shared = Shared { kind: ErrorKind::SessionEnded, detail: None, reason: Some(reason), source };
        Self { shared: Arc::new(shared), retry_after: None, response: None }
    }

    /// What a refresher's failure is for those who waited for it. (A rejection ends the session instead.)
    pub(crate) fn refresh(error: RefreshError) -> Self {
        let kind = if error.is_misconfigured() {
            ErrorKind::Misconfigured
        } else if error.is_rejected() {
            ErrorKind::SessionEnded
        } else {
            ErrorKind::RefreshUnavailable
        };
        let hint = error.retry_after_hint();
        Self { retry_after: hint, ..Self::caused(kind, error) }
    }

    fn build(kind: ErrorKind, detail: Option<&'static str>, source: Option<BoxError>) -> Self {
        let shared = Shared { kind, detail, reason: None, source };
        Self { shared: Arc::new(shared), retry_after: None, response: None }
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.shared.kind
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self.shared.kind {
            ErrorKind::SignedOut | ErrorKind::SessionEnded => Advice::SignIn,
            ErrorKind::SessionChanged
            | ErrorKind::RefreshUnavailable
            | ErrorKind::ExcessiveRefresh
            | ErrorKind::QueueFull
            | ErrorKind::Store => Advice::RetryLater { after: self.retry_after },
            // It would fail again.
            ErrorKind::Transport if self.is_unsendable() => Advice::FixConfiguration,
            ErrorKind::Transport => Advice::RetryLater { after: self.retry_after },
            ErrorKind::Misconfigured
            | ErrorKind::InvalidToken
            | ErrorKind::InsecureOrigin
            | ErrorKind::Body => Advice::FixConfiguration,
            ErrorKind::Reentrant => Advice::ReportBug,
        }
    }

    /// The head of the 401 this error stands in for, if there was one. Its body was discarded.
    #[must_use]
    pub fn response(&self) -> Option<&Parts> {
        self.response.as_deref()
    }

    /// Whether the request may have been acted on though there is no response: think before making it again, if it is not
    /// idempotent.
    #[must_use]
    pub fn is_maybe_sent(&self) -> bool {
        self.transport().is_some_and(TransportError::is_maybe_sent)
    }

    fn is_unsendable(&self) -> bool {
        self.transport().is_some_and(TransportError::is_unsendable)
    }

    fn transport(&self) -> Option<&TransportError> {
        self.shared.source.as_deref().and_then(|source| source.downcast_ref())
    }

    /// Why the session ended, where the kind is [`SessionEnded`](ErrorKind::SessionEnded).
    #[must_use]
    pub fn end_reason(&self) -> Option<EndReason> {
        self.shared.reason
    }

    pub(crate) fn with_response(mut self, parts: Parts) -> Self {
        self.response = Some(Arc::new(parts));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.shared.kind {
            ErrorKind::SignedOut => "nobody is signed in",
            ErrorKind::SessionEnded => "the session has ended",
            ErrorKind::SessionChanged => "the identity changed while the request was under way",
            ErrorKind::RefreshUnavailable => "the token could not be refreshed now",
            ErrorKind::Misconfigured => "the client is misconfigured",
            ErrorKind::ExcessiveRefresh => "the server rejects every new token",
            ErrorKind::QueueFull => "too many requests at once",
            ErrorKind::Reentrant => "a part of the session waits for the session itself",
            ErrorKind::InvalidToken => "the token cannot be used",
            ErrorKind::InsecureOrigin => "the token would be sent over plain http",
            ErrorKind::Body => "the request's body failed",
            ErrorKind::Store => "the token store failed",
            ErrorKind::Transport => "the request failed without a response",
        })?;
        if let Some(detail) = self.shared.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(reason) = self.shared.reason {
            write!(f, ": {reason}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    // The response's headers are not shown: cookies and the like are secrets too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.shared.kind);
        if let Some(detail) = self.shared.detail {
            out.field("detail", &detail);
        }
        if let Some(reason) = self.shared.reason {
            out.field("reason", &reason);
        }
        if let Some(source) = &self.shared.source {
            out.field("source", source);
        }
        if let Some(response) = &self.response {
            out.field("response", &response.status);
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.shared.source.as_deref().map(|source| source as _)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::caused(ErrorKind::Store, error)
    }
}

impl From<InvalidToken> for Error {
    fn from(error: InvalidToken) -> Self {
        Self::caused(ErrorKind::InvalidToken, error)
    }
}

impl From<TransportError> for Error {
    /// An error of a nested client comes out as it went in; a failing request body is told apart from the rest.
    fn from(error: TransportError) -> Self {
        let error = match error.into_nested() {
            Ok(nested) => return nested,
            Err(error) => error,
        };
        let kind = if error.is_body() { ErrorKind::Body } else { ErrorKind::Transport };
        Self::caused(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_refresh_says_when_the_server_wants_to_be_asked_again() {
        let hint = Duration::from_secs(7);
        let failed = Error::refresh(RefreshError::unavailable("503").retry_after(hint));

        assert_eq!(failed.advice(), Advice::RetryLater { after: Some(hint) });
    }
}
