//! What reqwest's errors mean to a client that refreshes tokens.

use std::sync::Arc;

use auth_core::{BodyError, TransportError};

/// Classifies an error that came instead of a response.
///
/// A request counts as perhaps sent unless reqwest says that it could not be built or that no connection was made. The
/// URL is taken out: a query may hold secrets, and errors are logged.
pub(crate) fn classify(error: reqwest::Error) -> TransportError {
    let (connect, timeout, built) = (error.is_connect(), error.is_timeout(), !error.is_builder());
    let mut classified = TransportError::new(error.without_url());
    if timeout {
        classified = classified.timeout();
    }
    if connect {
        return classified.connect();
    }
    if built { classified.maybe_sent() } else { classified.unsendable() }
}

/// The request's own body failed, with part of the request on the wire.
pub(crate) fn body_failed(error: BodyError) -> TransportError {
    TransportError::new(error).maybe_sent()
}

/// The client could not be made.
pub(crate) fn no_client(error: &Arc<reqwest::Error>) -> TransportError {
    TransportError::new(Arc::clone(error)).unsendable()
}

/// There is no tokio runtime to send on.
pub(crate) fn no_runtime() -> TransportError {
    TransportError::new(
        "no tokio runtime: reqwest needs one; make or use the transport inside of one, or give it a handle",
    )
    .unsendable()
}

/// tokio panics where a runtime lacks what a connection needs.
pub(crate) fn panicked() -> TransportError {
    TransportError::new("reqwest panicked: the tokio runtime may lack I/O or time, or has been shut down")
        .maybe_sent()
}
