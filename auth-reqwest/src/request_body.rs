//! The request's body on its way into reqwest, and what became of it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use auth_core::{Body, BodyError};
use bytes::Bytes;
use futures::FutureExt as _;
use http_body::{Frame, SizeHint};

/// Where a failing body leaves its error. hyper keeps a body's error in the chain of its own on HTTP/1 and loses it on
/// HTTP/2, so it is not looked for there.
#[derive(Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<BodyError>>>);

impl Failure {
    /// The error of the body, if it failed.
    pub(crate) fn take(&self) -> Option<BodyError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, error: BodyError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Converts a body: what is in memory stays one buffer, what is a stream is sent as it is produced, and nothing is
/// nothing. A known length becomes `Content-Length` in either case. Only a stream can fail.
pub(crate) fn convert(body: Body) -> (Option<reqwest::Body>, Option<Failure>) {
    match body.as_bytes().map(<[u8]>::len) {
        Some(0) => (None, None),
        // In memory, and so there at once.
        Some(_) => (body.bytes().now_or_never().and_then(Result::ok).map(Into::into), None),
        None => {
            let failure = Failure::default();
            (Some(reqwest::Body::wrap(Streamed { body, failure: failure.clone() })), Some(failure))
        }
    }
}

struct Streamed {
    body: Body,
    failure: Failure,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = BodyFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map(|frame| {
            frame.map(|frame| {
                frame.map_err(|error| {
                    self.failure.put(error);
                    BodyFailed
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Stands in for the error that [`Failure`] keeps.
#[derive(Debug)]
struct BodyFailed;

impl std::fmt::Display for BodyFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the request's body failed")
    }
}

impl std::error::Error for BodyFailed {}
