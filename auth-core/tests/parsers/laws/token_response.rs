//! What holds of any answer of a token endpoint: what it grants, what its failure means, and that no error quotes it.
//!
//! The meaning is written down here a second time, from the documentation.

use std::error::Error as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_core::{Body, RefreshError, TokenEndpointError, TokenResponse, Tokens};
use futures::FutureExt as _;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::{Map, Value};

/// No answer is read that is longer.
const LONGEST: usize = 1024 * 1024;
/// No lifetime counts as longer.
const CENTURY: f64 = 100.0 * 365.0 * 86_400.0;

/// 2026-01-01T00:00:00Z
pub fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

/// A whole response in a text: a status, lines of headers, an empty line, and the body. What is none is a body.
pub fn any_bytes(data: &[u8]) {
    any_body(data);
    let Some((status, headers, body)) = response(data) else { return };
    any_body(body);
    any_response(status, &headers, body);
}

/// What `parse` makes of a body.
pub fn any_body(body: &[u8]) {
    match (TokenResponse::parse(body, received()), Grant::of(body)) {
        (Ok(tokens), Some(grant)) => grant.assert_is(&tokens),
        (Err(error), None) => assert!(
            UNUSABLE.iter().any(|known| {
                shown(&error) == shown(&TokenResponse::parse(known, received()).expect_err("it is unusable"))
            }),
            "the error is made of the body: {error:?}"
        ),
        (Ok(_), None) => panic!("what is unusable was read"),
        (Err(error), Some(_)) => panic!("what is usable was refused: {error}"),
    }
}

/// What `read` makes of a response.
pub fn any_response(status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    let error = match (read(status, headers, body), outcome(status, body)) {
        (Ok(tokens), Ok(grant)) => return grant.assert_is(&tokens),
        (Err(error), Err(expected)) => {
            assert_eq!(meaning(&error), expected, "{status}");
            error
        }
        (Ok(_), Err(expected)) => panic!("{status} was read, and is {expected:?}"),
        (Err(error), Ok(_)) => panic!("{status} was refused, and is a grant: {error:?}"),
    };
    if let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<TokenEndpointError>()) {
        assert_eq!(cause.status(), status);
        assert_eq!(
            cause.code(),
            code(body).and_then(|code| REGISTERED.into_iter().find(|known| *known == code))
        );
        assert_eq!(error.retry_after_hint(), headers.get(RETRY_AFTER).and_then(pause));
    } else {
        assert_eq!((meaning(&error), error.retry_after_hint()), (Meaning::Lost, None));
    }
    let text = shown(&error);
    assert!(
        witnesses().any(|known| read(status, headers, known).is_err_and(|known| shown(&known) == text)),
        "the error is made of the body: {error:?}"
    );
}

fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Tokens, RefreshError> {
    let mut response = Response::new(Body::from(body.to_vec()));
    *response.status_mut() = status;
    response.headers_mut().clone_from(headers);
    TokenResponse::read(response, received()).now_or_never().expect("the body is there")
}

fn response(data: &[u8]) -> Option<(StatusCode, HeaderMap, &[u8])> {
    let end = data.windows(2).position(|pair| pair == b"\n\n")?;
    let mut lines = data[..end].split(|&byte| byte == b'\n');
    let status = StatusCode::from_bytes(lines.next()?).ok().filter(|status| status.as_u16() >= 200)?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    Some((status, headers, &data[end + 2..]))
}

// --- what it grants -----------------------------------------------------------------------------------------------------

/// What an answer grants; the lifetimes in seconds, zero where they are not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grant {
    pub access: String,
    pub refresh: Option<String>,
    pub token_type: Option<String>,
    pub scope: Option<String>,
    pub lifetime: f64,
    pub refresh_lifetime: f64,
}

impl Grant {
    /// `None` where the answer is of no use.
    fn of(body: &[u8]) -> Option<Self> {
        let fields = object(body)?;
        let text = |name| fields.get(name).and_then(Value::as_str);
        let access = text("access_token").filter(|text| can_stand_in_a_header(text))?.to_owned();
        let refresh = match fields.get("refresh_token") {
            None | Some(Value::Null) => None,
            Some(other) => Some(other.as_str()?.to_owned()).filter(|text| !text.is_empty()),
        };
        let refresh_lifetime = match seconds(fields.get("refresh_expires_in"))? {
            0.0 => seconds(fields.get("refresh_token_expires_in"))?,
            known => known,
        };
        Some(Self {
            access,
            refresh,
            token_type: text("token_type").filter(|kind| !kind.is_empty()).map(str::to_owned),
            scope: text("scope").map(str::to_owned),
            lifetime: seconds(fields.get("expires_in"))?,
            refresh_lifetime,
        })
    }

    #[track_caller]
    pub fn assert_is(&self, tokens: &Tokens) {
        assert_eq!(tokens.access_token().reveal(), self.access);
        assert_eq!(tokens.refresh_token().map(auth_core::RefreshToken::reveal), self.refresh.as_deref());
        match (tokens.token_type(), self.token_type.as_deref()) {
            (Some("Bearer"), Some(given)) => assert!(given.eq_ignore_ascii_case("bearer")),
            (read, given) => assert_eq!(read, given),
        }
        assert_eq!(tokens.scope(), self.scope.as_deref());
        let since = |at: SystemTime| at.duration_since(received()).expect("it expires later");
        assert_lasts(tokens.expires_in(), self.lifetime);
        assert_eq!(tokens.expires_at().map(since), tokens.expires_in());
        assert_lasts(tokens.refresh_expires_at().map(since), self.refresh_lifetime);
        assert!(tokens.sign_in_id().is_none());
    }
}

/// Zero is not known, a century is for ever, and between them it is that long to the nanosecond, or to a double's precision.
#[track_caller]
fn assert_lasts(read: Option<Duration>, seconds: f64) {
    let off = (read.map_or(0.0, |read| read.as_secs_f64()) - seconds.min(CENTURY)).abs();
    assert!(off <= 1e-9 + seconds.min(CENTURY) * 1e-15, "{read:?} for {seconds} s");
    assert!(read.is_none_or(|read| !read.is_zero()));
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

/// RFC 6749 appendix A.12; a header's value has no white space around it.
fn can_stand_in_a_header(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}

/// A lifetime in seconds, zero where it is not known; `None` where it is no number.
fn seconds(value: Option<&Value>) -> Option<f64> {
    let seconds = match value {
        None | Some(Value::Null) => 0.0,
        Some(Value::Number(number)) => number.as_f64()?,
        Some(Value::String(text)) if is_number(text.trim().as_bytes()) => text.trim().parse().ok()?,
        Some(_) => return None,
    };
    Some(seconds.max(0.0))
}

/// A sign, digits with a point among them or at one of their ends, an exponent; all but the digits may be left out.
fn is_number(text: &[u8]) -> bool {
    fn digits(text: &mut &[u8]) -> usize {
        let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        *text = &text[end..];
        end
    }
    fn pass(text: &mut &[u8], one_of: &[u8]) -> bool {
        let here = text.first().is_some_and(|byte| one_of.contains(byte));
        if here {
            *text = &text[1..];
        }
        here
    }
    let mut rest = text;
    pass(&mut rest, b"+-");
    let mut count = digits(&mut rest);
    if pass(&mut rest, b".") {
        count += digits(&mut rest);
    }
    if count == 0 {
        return false;
    }
    if pass(&mut rest, b"eE") {
        pass(&mut rest, b"+-");
        if digits(&mut rest) == 0 {
            return false;
        }
    }
    rest.is_empty()
}

// --- what a failure means -----------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Rejected,
    Misconfigured,
    Unavailable,
    /// Unavailable, and the refresh token may be spent.
    Lost,
}

pub const CONFIGURATION: [&str; 6] = [
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_request",
    "invalid_target",
];

/// The codes that an error may repeat, because they are known from the start.
const REGISTERED: [&str; 10] = [
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_request",
    "invalid_target",
    "temporarily_unavailable",
    "server_error",
    "slow_down",
];

fn code(body: &[u8]) -> Option<String> {
    object(body).filter(|_| body.len() <= LONGEST)?.get("error")?.as_str().map(str::to_owned)
}

fn meaning(error: &RefreshError) -> Meaning {
    let kinds = [error.is_rejected(), error.is_misconfigured(), error.is_unavailable()];
    match (kinds, error.is_outcome_unknown()) {
        ([true, false, false], false) => Meaning::Rejected,
        ([false, true, false], false) => Meaning::Misconfigured,
        ([false, false, true], false) => Meaning::Unavailable,
        ([false, false, true], true) => Meaning::Lost,
        other => panic!("it means two things at once: {other:?}"),
    }
}

/// What a response grants, or what its failure means.
pub fn outcome(status: StatusCode, body: &[u8]) -> Result<Grant, Meaning> {
    let whole = if body.len() > LONGEST { &[] } else { body };
    let fields = object(whole).unwrap_or_default();
    let text = |name| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let error = text("error");
    match (status.as_u16(), error) {
        (200..300, _) if error.is_none() || text("access_token").is_some() => {
            Grant::of(whole).ok_or(Meaning::Lost)
        }
        (502 | 504, _) => Err(Meaning::Lost),
        (408 | 429, _) => Err(Meaning::Unavailable),
        (200..300 | 400..500, Some("invalid_grant")) => Err(Meaning::Rejected),
        (200..300 | 400..500, Some(error)) if CONFIGURATION.contains(&error) => Err(Meaning::Misconfigured),
        _ => Err(Meaning::Unavailable),
    }
}

/// `Retry-After`: seconds, or a date in any of its three forms.
fn pause(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(received()).unwrap_or_default())
}

// --- that no error quotes it --------------------------------------------------------------------------------------------

/// Bodies that `parse` refuses, one for each reason.
const UNUSABLE: [&[u8]; 5] = [
    b"",
    b"{}",
    br#"{"access_token": "\n"}"#,
    br#"{"access_token": "T", "refresh_token": 7}"#,
    br#"{"access_token": "T", "expires_in": "soon"}"#,
];

/// Bodies that are known from the start, one for each error that a response can become. An error that looks like one of
/// theirs has nothing of the body that it was made from.
fn witnesses() -> impl Iterator<Item = &'static [u8]> {
    const REFUSED: [&[u8]; 11] = [
        br#"{"error": "invalid_grant"}"#,
        br#"{"error": "invalid_client"}"#,
        br#"{"error": "invalid_request"}"#,
        br#"{"error": "invalid_scope"}"#,
        br#"{"error": "invalid_target"}"#,
        br#"{"error": "unauthorized_client"}"#,
        br#"{"error": "unsupported_grant_type"}"#,
        br#"{"error": "temporarily_unavailable"}"#,
        br#"{"error": "server_error"}"#,
        br#"{"error": "slow_down"}"#,
        br#"{"error": "unheard of"}"#,
    ];
    static HUGE: [u8; LONGEST + 1] = [b' '; LONGEST + 1];
    UNUSABLE.into_iter().chain(REFUSED).chain([&HUGE[..]])
}

/// All that an error shows, its causes included.
fn shown(error: &dyn std::error::Error) -> String {
    let mut all = format!("{error} {error:?} {error:#?}");
    if let Some(source) = error.source() {
        all.push_str(&shown(source));
    }
    all
}
