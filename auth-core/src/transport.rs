//! The transport: how a request is sent, whatever the HTTP library.

use std::fmt;

use async_trait::async_trait;
use http::{Request, Response, Uri};

use crate::body::BodyError;
use crate::maybe::forward;
use crate::{Body, BoxError, Error, MaybeSend, MaybeSync};

/// Sends one request and returns its response. An HTTP library behind one method.
///
/// A transport converts, and decides nothing about tokens: every response is an `Ok`, a 401 like a 200, and what it
/// means is for the client to say.
///
/// # Contract
///
/// - **Concurrency.** Any number of calls may be under way at a time.
/// - **Once.** A request is put on the wire at most once. A library that sends again by itself is told not to.
/// - **Fidelity.** Method, URI, headers and body go out as they are, and come back as they came. Headers that the
///   transport adds never replace those of the request.
/// - **Streaming.** A response is returned when its head is there; its body comes as it arrives. A request's body is
///   sent as it is produced.
/// - **Redirects.** None is followed unless the user asked for it. The response carries
///   [`FinalUri`] in its extensions; credentials never go to another origin.
/// - **Connections.** One whose response was read to its end is used again.
/// - **Executors.** Its futures are polled by any executor, and from any thread.
/// - **Deadlines** are the caller's: dropping the future abandons the request.
///
/// `auth_testkit::conformance::transport` tries each clause against a real server.
///
/// # Errors
///
/// [`TransportError`] only where there is no response. It says whether the connection could not be made
/// ([`connect`](TransportError::connect)), whether time ran out, and whether the request may have been acted on
/// ([`maybe_sent`](TransportError::maybe_sent)). Of a request that can never be sent it says that
/// ([`unsendable`](TransportError::unsendable)).
///
/// # Cancel safety
///
/// Dropping the future gives up the request and everything it holds.
///
/// # Examples
///
/// ```
/// use auth_core::{async_trait, Body, FinalUri, Transport, TransportError};
/// use http::{Request, Response, StatusCode};
///
/// /// Answers everything with 204.
/// struct NoContent;
///
/// #[async_trait]
/// impl Transport for NoContent {
///     async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
///         let mut response = Response::new(Body::empty());
///         *response.status_mut() = StatusCode::NO_CONTENT;
///         // Nothing is followed: it came from where the request went.
///         response.extensions_mut().insert(FinalUri(request.uri().clone()));
///         Ok(response)
///     }
/// }
/// ```
#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
pub trait Transport: MaybeSend + MaybeSync + 'static {
    /// Sends the request, and returns the response as soon as its head is there.
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError>;
}

forward! {
    #[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
    #[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
    impl Transport {
        async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
            (**self).send(request).await
        }
    }
}

/// The URI a response finally came from, in its extensions. Every adapter sets it, which is part of its contract; where
/// another layer has lost it, the request's own URI counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalUri(pub Uri);

/// Why there is no response.
///
/// ```
/// use auth_core::TransportError;
///
/// let refused = TransportError::new("connection refused").connect();
/// let reset = TransportError::new("connection reset").maybe_sent();
///
/// assert!(refused.is_connect() && !refused.is_maybe_sent());
/// assert!(reset.is_maybe_sent());
/// ```
pub struct TransportError {
    connect: bool,
    timeout: bool,
    maybe_sent: bool,
    unsendable: bool,
    cause: BoxError,
}

impl TransportError {
    /// There is no response, and this is why.
    #[must_use]
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self { connect: false, timeout: false, maybe_sent: false, unsendable: false, cause: cause.into() }
    }

    /// With the mark that no connection could be made.
    #[must_use]
    pub fn connect(mut self) -> Self {
        self.connect = true;
        self
    }

    /// With the mark that time ran out.
    #[must_use]
    pub fn timeout(mut self) -> Self {
        self.timeout = true;
        self
    }

    /// With the mark that the server may have received the request and acted on it.
    #[must_use]
    pub fn maybe_sent(mut self) -> Self {
        self.maybe_sent = true;
        self
    }

    /// With the mark that nothing was sent, and that trying again helps nobody: the library cannot read the URI, or lacks what it
    /// runs on. A refresh that meets it fails as [`Misconfigured`](crate::ErrorKind::Misconfigured).
    #[must_use]
    pub fn unsendable(mut self) -> Self {
        self.unsendable = true;
        self
    }

    /// Whether no connection could be made.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.connect
    }

    /// Whether time ran out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.timeout
    }

    /// Whether the server may have acted on the request.
    #[must_use]
    pub fn is_maybe_sent(&self) -> bool {
        self.maybe_sent
    }

    /// Whether nothing was sent, and nothing will be.
    #[must_use]
    pub fn is_unsendable(&self) -> bool {
        self.unsendable
    }

    /// Whether it was the request's own body that failed: the cause, or the cause of a cause, is a [`BodyError`].
    #[must_use]
    pub fn is_body(&self) -> bool {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&*self.cause);
        while let Some(error) = next {
            if error.is::<BodyError>() {
                return true;
            }
            // `io::Error` hides a custom inner error from `source`: it gives the inner error's source instead.
            if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                next = Some(inner);
                continue;
            }
            next = error.source();
        }
        false
    }

    /// The error of a client that was used as a transport.
    pub(crate) fn into_nested(self) -> Result<Error, Self> {
        match self.cause.downcast::<Error>() {
            Ok(nested) => Ok(*nested),
            Err(cause) => Err(Self { cause, ..self }),
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.connect, self.timeout) {
            _ if self.unsendable => "the request cannot be sent",
            (true, false) => "no connection could be made",
            (true, true) => "no connection could be made in time",
            (false, true) => "no response came in time",
            (false, false) => "no response came",
        })
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("connect", &self.connect)
            .field("timeout", &self.timeout)
            .field("maybe_sent", &self.maybe_sent)
            .field("unsendable", &self.unsendable)
            .field("cause", &self.cause)
            .finish()
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

impl From<Error> for TransportError {
    /// For a client used as a transport. Converting back gives the same error.
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_it_was_marked_with_and_no_more() {
        let marks = |error: &TransportError| (error.is_connect(), error.is_timeout(), error.is_maybe_sent());
        let new = || TransportError::new("why");

        for (error, expected, text) in [
            (new(), (false, false, false), "no response came"),
            (new().connect(), (true, false, false), "no connection could be made"),
            (new().timeout(), (false, true, false), "no response came in time"),
            (new().connect().timeout(), (true, true, false), "no connection could be made in time"),
            (new().maybe_sent(), (false, false, true), "no response came"),
            (new().unsendable(), (false, false, false), "the request cannot be sent"),
        ] {
            assert_eq!((marks(&error), error.to_string().as_str()), (expected, text));
            assert_eq!(Error::from(error).is_maybe_sent(), expected.2);
        }
        assert!(!Error::new(crate::ErrorKind::SignedOut).is_maybe_sent());
        assert!(new().unsendable().is_unsendable() && !new().connect().is_unsendable());
    }
}
