//! Requests of the simulated world: how they are made, and whether they come through as they were made.

use auth_core::{Anonymous, Body, NoReplay, NotAttached, NotReplayed};
use bytes::Bytes;
use futures::stream;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, Response, StatusCode, request};

use super::plan::RequestKind;
use super::transport::API_ORIGIN;

const NOTE: &str = "a note";
/// On every request: which it is.
const MARK: &str = "x-request";
const OWN: &str = "Bearer of-the-callers-own";
/// An endpoint of the API that answers 401 whatever the token.
const ALWAYS_REJECTED: &str = "/always-401";
/// A host that is none of the session's business.
const OTHER_ORIGIN: &str = "https://elsewhere.test/notes";

/// Which request of the plan this is.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId {
    pub(super) number: u32,
    pub(super) kind: RequestKind,
}

/// A request as its caller makes it.
pub(super) fn make(number: u32, kind: RequestKind) -> Request<Body> {
    let body = match kind {
        RequestKind::Buffered => Body::from(NOTE),
        RequestKind::OneShot => {
            Body::stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(NOTE.as_bytes()))]))
        }
        _ => Body::empty(),
    };
    let mut request = Request::new(body);
    *request.method_mut() = method(kind);
    *request.uri_mut() = match kind {
        RequestKind::OtherOrigin => OTHER_ORIGIN.parse().unwrap_or_default(),
        _ => path(kind).parse().unwrap_or_default(),
    };
    request.headers_mut().insert(MARK, number.into());
    request.extensions_mut().insert(RequestId { number, kind });
    match kind {
        RequestKind::NoReplay => {
            request.extensions_mut().insert(NoReplay);
        }
        RequestKind::Anonymous => {
            request.extensions_mut().insert(Anonymous);
        }
        RequestKind::OwnHeader => {
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static(OWN));
        }
        _ => {}
    }
    request
}

fn method(kind: RequestKind) -> Method {
    match kind {
        RequestKind::Buffered | RequestKind::OneShot => Method::POST,
        _ => Method::GET,
    }
}

fn path(kind: RequestKind) -> &'static str {
    if kind == RequestKind::AlwaysRejected { ALWAYS_REJECTED } else { "/notes?all=yes" }
}

/// What of an attempt is not as its caller made it.
pub(super) fn spoiled(id: RequestId, head: &request::Parts, body: &[u8]) -> Option<&'static str> {
    let RequestId { number, kind } = id;
    let wanted = if matches!(kind, RequestKind::Buffered | RequestKind::OneShot) { NOTE } else { "" };
    let own = head.headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>();
    let named = kind != RequestKind::OtherOrigin;
    Some(match kind {
        _ if head.method != method(kind) => "its method is another",
        _ if named && !head.uri.to_string().starts_with(API_ORIGIN) => "it goes somewhere else",
        _ if named && head.uri.path_and_query().is_none_or(|there| there != path(kind)) => {
            "its path is another"
        }
        _ if head.headers.get(MARK) != Some(&HeaderValue::from(number)) => "a header of it is lost",
        _ if body != wanted.as_bytes() => "its body is another",
        RequestKind::OwnHeader if own != [OWN] => "the caller's own header was replaced",
        RequestKind::Anonymous | RequestKind::OtherOrigin if !own.is_empty() => "it carries a token",
        _ if own.len() > 1 => "it carries two tokens",
        _ => return None,
    })
}

/// What is missing on a response.
pub(super) fn unmarked(kind: RequestKind, response: &Response<Body>) -> Option<&'static str> {
    let marks = response.extensions();
    let rejected = response.status() == StatusCode::UNAUTHORIZED;
    match kind {
        RequestKind::OneShot | RequestKind::NoReplay if rejected && marks.get::<NotReplayed>().is_none() => {
            Some("its response does not say that it was not sent again")
        }
        RequestKind::OtherOrigin if marks.get::<NotAttached>().is_none() => {
            Some("its response does not say that it went out bare")
        }
        _ => None,
    }
}

/// How the API answers this kind of request, whatever token it carries.
pub(super) fn is_always_rejected(kind: RequestKind) -> bool {
    !matches!(kind, RequestKind::Plain | RequestKind::Buffered | RequestKind::OneShot | RequestKind::NoReplay)
}
