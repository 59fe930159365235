//! What isahc's errors mean to a client that refreshes tokens.

use auth_core::{BodyError, TransportError};
use isahc::error::ErrorKind;

/// Classifies an error that came instead of a response.
///
/// A request counts as perhaps sent unless isahc says that it was not. That it never got as far as an address says so too:
/// time that ran out before is a connection that could not be made.
pub(crate) fn classify(error: isahc::Error) -> TransportError {
    let (kind, connected) = (error.kind().clone(), error.remote_addr().is_some());
    let classified = TransportError::new(error);
    match kind {
        ErrorKind::Timeout if connected => classified.timeout().maybe_sent(),
        ErrorKind::Timeout => classified.timeout().connect(),
        ErrorKind::ConnectionFailed | ErrorKind::NameResolution | ErrorKind::BadServerCertificate => {
            classified.connect()
        }
        ErrorKind::ClientInitialization | ErrorKind::InvalidRequest | ErrorKind::InvalidTlsConfiguration => {
            classified.unsendable()
        }
        // Without a handshake nothing is sent.
        ErrorKind::TlsEngine => classified.connect(),
        _ if connected => classified.maybe_sent(),
        // A scheme that is not built in comes as a violation of the protocol.
        ErrorKind::ProtocolViolation => classified.unsendable(),
        _ => classified.maybe_sent(),
    }
}

/// The request's own body failed, with part of the request on the wire.
pub(crate) fn body_failed(error: BodyError) -> TransportError {
    TransportError::new(error).maybe_sent()
}

/// The client could not be made.
pub(crate) fn no_client(error: isahc::Error) -> TransportError {
    TransportError::new(error).unsendable()
}

/// isahc has no error for this, or panics.
pub(crate) fn unsendable(what: &'static str) -> TransportError {
    TransportError::new(what).unsendable()
}

/// isahc panics where its thread has ended.
pub(crate) fn panicked() -> TransportError {
    TransportError::new("isahc panicked: its thread may have ended").maybe_sent()
}
