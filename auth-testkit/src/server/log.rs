//! What the server has seen, and how often.

use std::fmt;

use http::{HeaderMap, Method, StatusCode};

/// One request as the server saw it. Its `Debug` shows no token and no query.
#[derive(Clone)]
#[non_exhaustive]
pub struct Seen {
    /// Its place in the order of arrival, from 0.
    pub number: usize,
    /// The number of its connection, from 0.
    pub connection: u64,
    /// The method.
    pub method: Method,
    /// The path with the query.
    pub target: String,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The text after `Bearer `, if that is the scheme.
    pub bearer: Option<String>,
    /// How many bytes of its body were read so far.
    pub body_length: u64,
    /// The status it was answered with. `None`: not answered yet, or never.
    pub status: Option<StatusCode>,
    /// Of a token request: its `grant_type`.
    pub grant_type: Option<String>,
    /// Of a token request: the refresh token it presented.
    pub refresh_token: Option<String>,
}

impl Seen {
    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The label of the access token it carried: `T1`. `None` also for one this server would not have issued.
    #[must_use]
    pub fn access_label(&self) -> Option<&str> {
        self.bearer.as_deref().and_then(label)
    }

    /// The label of the refresh token it presented: `R1`.
    #[must_use]
    pub fn refresh_label(&self) -> Option<&str> {
        self.refresh_token.as_deref().and_then(label)
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} on {}: {} {}", self.number, self.connection, self.method, self.path())?;
        for label in [self.access_label(), self.refresh_label()].into_iter().flatten() {
            write!(f, " with {label}")?;
        }
        match self.status {
            Some(status) => write!(f, " -> {}", status.as_u16()),
            None => f.write_str(" -> no answer"),
        }
    }
}

/// The part of a token that says which one it is, and is no secret: `T1` of `T1.0.9f3c…`.
pub(super) fn label(token: &str) -> Option<&str> {
    let (label, _) = token.split_once('.')?;
    let generation = label.strip_prefix(['T', 'R'])?;
    (!generation.is_empty() && generation.bytes().all(|b| b.is_ascii_digit())).then_some(label)
}

/// The server's counters. All but the last three only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Protected requests that arrived.
    pub api_requests: u64,
    /// Protected requests answered with 200.
    pub ok: u64,
    /// Protected requests answered with 401.
    pub unauthorized: u64,
    /// Requests without need of a token that arrived.
    pub public_requests: u64,
    /// Redirects sent.
    pub redirects: u64,
    /// Token requests that arrived.
    pub token_requests: u64,
    /// Refresh tokens exchanged, whether or not the answer arrived.
    pub refreshes_granted: u64,
    /// Refresh tokens refused.
    pub refreshes_refused: u64,
    /// Spent refresh tokens that were presented within the grace period and answered.
    pub graced: u64,
    /// Spent refresh tokens that were presented outside of any grace period.
    pub reuse_detected: u64,
    /// Families revoked because of it.
    pub families_revoked: u64,
    /// Requests to the revocation endpoint.
    pub revocations: u64,
    /// Chunks of `/api/stream` sent.
    pub chunks: u64,
    /// Bytes of request bodies read.
    pub body_bytes: u64,
    /// Protected requests that wait for their answer now.
    pub api_held: u64,
    /// Token requests that wait now.
    pub token_held: u64,
    /// Connections that are open now.
    pub open_connections: u64,
}
