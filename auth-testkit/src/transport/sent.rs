//! What was sent: a request as the log remembers it.

use std::fmt;

use auth_core::Body;
use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Uri, Version, header};

/// One request as it was sent. Its `Debug` shows neither the values of headers nor the query.
#[derive(Clone)]
#[non_exhaustive]
pub struct Sent {
    /// Its method.
    pub method: Method,
    /// Its URI.
    pub uri: Uri,
    /// Its version.
    pub version: Version,
    /// Its headers, those with credentials included.
    pub headers: HeaderMap,
    /// Its extensions, what a client adds to each attempt included.
    pub extensions: Extensions,
    /// Its body, where that was in memory already; of an empty one no bytes. `None` for a stream.
    pub body: Option<Bytes>,
}

impl Sent {
    pub(super) fn of(request: &Request<Body>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            extensions: request.extensions().clone(),
            body: request.body().as_bytes().map(Bytes::copy_from_slice),
        }
    }

    /// The token behind `Bearer` in the `Authorization` header, if there is one.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        bearer(&self.headers)
    }
}

/// The scheme's name in any letter case (RFC 9110 §11.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
