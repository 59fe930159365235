//! Answers that a test prescribes.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// What becomes of one token request. Those said to be *processed* spend the refresh token as an ordinary one does.
#[derive(Clone)]
#[non_exhaustive]
pub enum TokenAnswer {
    /// The ordinary one.
    Normal,
    /// This status, header and body; not processed.
    Status {
        /// The status code.
        status: u16,
        /// The text of `Retry-After`.
        retry_after: Option<String>,
        /// The text of `Content-Type`.
        content_type: Option<String>,
        /// The body.
        body: String,
    },
    /// An OAuth error answer (RFC 6749 §5.2); not processed.
    OAuthError {
        /// The status code.
        status: u16,
        /// The text of `error`.
        code: String,
    },
    /// A proxy's HTML page with this status; not processed.
    Html(u16),
    /// The request is sent elsewhere; not processed.
    Redirect {
        /// The status code: 307, say.
        status: u16,
        /// The text of `Location`.
        to: String,
    },
    /// 200 with these bytes as `application/json`; not processed.
    Nonsense(Bytes),
    /// The connection is closed without an answer; not processed.
    Refused,
    /// Processed; then the connection is closed without an answer.
    Lost,
    /// Processed; then half of the answer is sent and the connection is closed.
    Truncated,
    /// Answered after this long, by the clock. [`Hold`](Self::Hold) needs no clock.
    Slow(Duration),
    /// Processed; the answer waits for [`TestServer::release_token_endpoint`](super::TestServer::release_token_endpoint).
    Hold,
}

impl TokenAnswer {
    /// This status with an empty body; not processed.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, retry_after: None, content_type: None, body: String::new() }
    }

    /// An OAuth error with status 400; not processed.
    #[must_use]
    pub fn error(code: impl Into<String>) -> Self {
        Self::OAuthError { status: 400, code: code.into() }
    }
}

impl fmt::Debug for TokenAnswer {
    /// The variant only: a body may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("Normal"),
            Self::Status { status, .. } => write!(f, "Status({status})"),
            Self::OAuthError { status, code } => write!(f, "OAuthError({status}, {code:?})"),
            Self::Html(status) => write!(f, "Html({status})"),
            Self::Redirect { status, .. } => write!(f, "Redirect({status})"),
            Self::Nonsense(_) => f.write_str("Nonsense(..)"),
            Self::Refused => f.write_str("Refused"),
            Self::Lost => f.write_str("Lost"),
            Self::Truncated => f.write_str("Truncated"),
            Self::Slow(duration) => write!(f, "Slow({duration:?})"),
            Self::Hold => f.write_str("Hold"),
        }
    }
}

/// What becomes of one protected request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ApiAnswer {
    /// The ordinary one.
    Normal,
    /// 401, whatever its token.
    Unauthorized,
    /// This status, with these headers and this body, whatever its token.
    Status {
        /// The status code.
        status: u16,
        /// Names and values. One that is not a header is left out.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// The ordinary one, with `Connection: close`.
    Close,
    /// The connection is closed without an answer, after the request was read.
    Lost,
    /// Half of the ordinary answer's body, then the connection is closed.
    Truncated,
}

impl ApiAnswer {
    /// This status with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, headers: Vec::new(), body: String::new() }
    }
}

/// One-time answers first, then the standing one.
pub(super) struct Script<T> {
    pub(super) next: VecDeque<T>,
    pub(super) always: Option<T>,
}

impl<T> Default for Script<T> {
    fn default() -> Self {
        Self { next: VecDeque::new(), always: None }
    }
}

impl<T: Clone> Script<T> {
    pub(super) fn draw(&mut self) -> Option<T> {
        self.next.pop_front().or_else(|| self.always.clone())
    }
}
