//! What the authorization server does about refreshes.

use std::time::Duration;

use serde_json::Value;

/// How refresh tokens are treated and what an answer says. The default is a strict server: rotation, and reuse
/// revokes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Policy {
    /// Each refresh gives a new refresh token and spends the old one. Default: true.
    pub rotate: bool,
    /// A spent refresh token that is presented again revokes its whole family, access tokens included (RFC 9700 §4.14).
    /// Default: true.
    pub detect_reuse: bool,
    /// How long a spent refresh token is still answered, with the pair that it was exchanged for. Default: zero.
    pub grace: Duration,
    /// Answers leave out the refresh token, and the presented one stays good. Default: false.
    pub omit_refresh_token: bool,
    /// A refresh gives the same access token again, expired or not. Default: false.
    pub same_access_token: bool,
    /// What answers say under `expires_in`; `None` leaves it out. A positive number, or one in a string, is also how long
    /// the server accepts the token, by the clock. Default: 3600.
    pub expires_in: Option<Value>,
    /// A client gets tokens for itself (`client_credentials`, RFC 6749 §4.4): the first access token of a new family, and
    /// no refresh token. Default: false.
    pub client_credentials: bool,
    /// The `client_id` that a token request has to present; `None` accepts any, or none. Default: `None`.
    pub client_id: Option<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rotate: true,
            detect_reuse: true,
            grace: Duration::ZERO,
            omit_refresh_token: false,
            same_access_token: false,
            expires_in: Some(3600.into()),
            client_credentials: false,
            client_id: None,
        }
    }
}

impl Policy {
    /// How long an access token is accepted. `None`: until something is done about it.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        let seconds = match self.expires_in.as_ref()? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        seconds.filter(|seconds| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}
