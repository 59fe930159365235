//! Token endpoint answers: the one place that reads them (RFC 6749 §5), and that says what each failure means.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{Response, StatusCode, response};
use serde_json::{Map, Value};

use crate::tokens::LONGEST_LIFETIME;
use crate::{Body, InvalidToken, RefreshError, Tokens};

/// No sensible answer is longer; one that is counts as unreadable.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Reads token endpoint answers.
///
/// [`read`](Self::read) takes a whole response and is what a refresher calls; [`parse`](Self::parse) takes the body of a
/// successful one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenResponse;

impl TokenResponse {
    /// The tokens of a successful answer: `access_token`, `refresh_token`, `token_type`, `scope`, and the lifetimes
    /// `expires_in`, `refresh_expires_in` or `refresh_token_expires_in` in seconds, counted from `received`.
    ///
    /// A lifetime may be a number or a number in a string, with a fraction or without; missing, null, zero and negative
    /// mean that it is not known, and one too large for the clock counts as for ever.
    ///
    /// ```
    /// use auth_core::TokenResponse;
    /// use std::time::{Duration, SystemTime};
    ///
    /// let received = SystemTime::now();
    /// let body = br#"{"access_token": "T1", "token_type": "bearer", "expires_in": "3600", "refresh_token": "R1"}"#;
    ///
    /// let tokens = TokenResponse::parse(body, received)?;
    ///
    /// assert_eq!(tokens.expires_in(), Some(Duration::from_secs(3600)));
    /// assert_eq!(tokens.token_type(), Some("Bearer"));
    /// # Ok::<(), auth_core::InvalidResponse>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidResponse`] where it is not a JSON object, has no usable `access_token`, or a lifetime that is no number.
    /// It quotes nothing of the body.
    pub fn parse(body: &[u8], received: SystemTime) -> Result<Tokens, InvalidResponse> {
        Self::tokens(&object(body)?, received)
    }

    /// The tokens of a token endpoint's response, or what its failure means:
    ///
    /// | response | error |
    /// | --- | --- |
    /// | `invalid_grant` on a 4xx | [rejected](RefreshError::rejected) |
    /// | `invalid_client`, `unauthorized_client`, `unsupported_grant_type`, `invalid_scope`, `invalid_request` on a 4xx | [misconfigured](RefreshError::misconfigured) |
    /// | 502, 504, a 2xx that cannot be read | [unavailable](RefreshError::unavailable), outcome unknown |
    /// | any other 5xx, 408, 429, a redirect, an answer that is not OAuth | unavailable |
    ///
    /// An `error` in a 2xx (some servers do that) is read as on a 400. `Retry-After` is honoured in both its forms.
    ///
    /// # Errors
    ///
    /// [`RefreshError`] as above; its source is a [`TokenEndpointError`], an [`InvalidResponse`] or a
    /// [`BodyError`](crate::BodyError).
    pub async fn read(response: Response<Body>, received: SystemTime) -> Result<Tokens, RefreshError> {
        let (head, body) = response.into_parts();
        let body = body.bytes_up_to(LONGEST_ANSWER).await;
        let fields = body.as_ref().ok().and_then(|body| object(body).ok());
        let text = |name| {
            fields.as_ref().and_then(|fields| fields.get(name)?.as_str()).filter(|text| !text.is_empty())
        };
        let code = text("error").map(ErrorCode::of);

        // What grants a token is no error, whatever else it says.
        if head.status.is_success() && (code.is_none() || text("access_token").is_some()) {
            let body = body.map_err(|error| RefreshError::unavailable(error).outcome_unknown())?;
            return Self::parse(&body, received)
                .map_err(|error| RefreshError::unavailable(error).outcome_unknown());
        }
        Err(classify(&head, code, received))
    }

    fn tokens(fields: &Map<String, Value>, received: SystemTime) -> Result<Tokens, InvalidResponse> {
        let text = |name| fields.get(name).and_then(Value::as_str);
        let access = text("access_token").ok_or(InvalidResponse::new("it has no access token"))?;
        let mut tokens = Tokens::new(access)?;
        match fields.get("refresh_token") {
            None | Some(Value::Null) => {}
            Some(Value::String(refresh)) => tokens = tokens.with_refresh_token(refresh),
            // Not to be taken for one left out: the old one is spent.
            Some(_) => return Err(InvalidResponse::new("its refresh token is not a text")),
        }
        if let Some(token_type) = text("token_type").filter(|text| !text.is_empty()) {
            tokens = tokens.with_token_type(token_type);
        }
        if let Some(scope) = text("scope") {
            tokens = tokens.with_scope(scope);
        }
        if let Some(lifetime) = lifetime(fields, "expires_in")? {
            tokens = tokens.with_expires_in(lifetime, received);
        }
        let refresh_lifetime = match lifetime(fields, "refresh_expires_in")? {
            None => lifetime(fields, "refresh_token_expires_in")?,
            known => known,
        };
        if let Some(lifetime) = refresh_lifetime {
            tokens = tokens.with_refresh_expires_in(lifetime, received);
        }
        Ok(tokens)
    }
}

/// The parser's own words are not passed on: they quote what they stumbled over.
fn object(body: &[u8]) -> Result<Map<String, Value>, InvalidResponse> {
    serde_json::from_slice(body).map_err(|_| InvalidResponse::new("it is not a JSON object"))
}

fn lifetime(fields: &Map<String, Value>, name: &str) -> Result<Option<Duration>, InvalidResponse> {
    let refused = InvalidResponse::new("a lifetime is not a number");
    let seconds = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64().ok_or(refused)?,
        Some(Value::String(text)) => {
            let seconds = text.trim().parse::<f64>().map_err(|_| refused)?;
            // `inf` and `nan` are numbers to the parser alone; so many digits that they overflow are one.
            if !seconds.is_finite() && !text.bytes().any(|byte| byte.is_ascii_digit()) {
                return Err(refused);
            }
            seconds
        }
        Some(_) => return Err(refused),
    };
    if seconds <= 0.0 {
        return Ok(None);
    }
    Ok(Some(
        Duration::try_from_secs_f64(seconds)
            .map_or(LONGEST_LIFETIME, |lifetime| lifetime.min(LONGEST_LIFETIME)),
    ))
}

fn classify(head: &response::Parts, code: Option<ErrorCode>, received: SystemTime) -> RefreshError {
    let status = head.status;
    let cause = TokenEndpointError { status, code: code.map(|code| code.0) };
    let judged = status.is_client_error() || status.is_success();
    let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    let mut error = match code {
        Some(code) if judged && !busy && code.0 == "invalid_grant" => RefreshError::rejected(cause),
        Some(code) if judged && !busy && code.is_configuration() => RefreshError::misconfigured(cause),
        _ => RefreshError::unavailable(cause),
    };
    if matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
        error = error.outcome_unknown();
    }
    match retry_after(head, received) {
        Some(after) => error.retry_after(after),
        None => error,
    }
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(head: &response::Parts, received: SystemTime) -> Option<Duration> {
    let text = head.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(received).unwrap_or(Duration::ZERO))
}

/// An `error` code of RFC 6749 §5.2 and its kin. A code not known here is not repeated: it is the server's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ErrorCode(&'static str);

impl ErrorCode {
    const KNOWN: [&'static str; 12] = [
        "invalid_grant",
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "unauthorized_client",
        "unsupported_grant_type",
        "temporarily_unavailable",
        "server_error",
        "slow_down",
        "invalid_dpop_proof",
        "use_dpop_nonce",
    ];

    const ANOTHER: &'static str = "another error";

    fn of(text: &str) -> Self {
        Self(Self::KNOWN.into_iter().find(|known| *known == text).unwrap_or(Self::ANOTHER))
    }

    fn is_configuration(self) -> bool {
        matches!(
            self.0,
            "invalid_client"
                | "invalid_request"
                | "invalid_scope"
                | "invalid_target"
                | "unauthorized_client"
                | "unsupported_grant_type"
                | "invalid_dpop_proof"
                | "use_dpop_nonce"
        )
    }
}

/// A token endpoint's refusal: its status, and its `error` code where that is a registered one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEndpointError {
    status: StatusCode,
    code: Option<&'static str>,
}

impl TokenEndpointError {
    /// The response's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The `error` code, such as `invalid_grant`. A code that is not known here is `None`: it is the server's text.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        self.code.filter(|code| *code != ErrorCode::ANOTHER)
    }
}

impl fmt::Display for TokenEndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the token endpoint answered {}", self.status.as_u16())?;
        match self.code {
            Some(code) => write!(f, " with {code}"),
            None => f.write_str(" without an OAuth error"),
        }
    }
}

impl std::error::Error for TokenEndpointError {}

/// An answer that grants nothing usable: what is wrong with it, without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token endpoint's answer cannot be used: {reason}")]
pub struct InvalidResponse {
    reason: &'static str,
}

impl InvalidResponse {
    fn new(reason: &'static str) -> Self {
        Self { reason }
    }
}

impl From<InvalidToken> for InvalidResponse {
    fn from(_: InvalidToken) -> Self {
        Self::new("its access token cannot stand in a header")
    }
}

impl From<InvalidResponse> for RefreshError {
    /// The answer came, but what it granted is lost.
    fn from(error: InvalidResponse) -> Self {
        Self::unavailable(error).outcome_unknown()
    }
}
