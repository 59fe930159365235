//! The request's body on its way into isahc, and what became of it.
//!
//! 1. No body can be read twice, though its bytes could: libcurl has to start over to send a request again, and cannot.
//! 2. The body is the sender's and is released when the sender goes, not when libcurl is done.
//! 3. isahc reads no more of it once the response has begun, and sends what it has as the whole: that is told.
//! 4. The body is polled and dropped outside of the lock, and its panics stay inside: they would end isahc's thread.

use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use auth_core::{Body, BodyError};
use bytes::{Buf as _, Bytes};
use futures::AsyncRead;
use http_body::Body as _;
use isahc::AsyncBody;

/// The sender's end of a body that isahc reads. Dropping it gives the body up.
#[derive(Default)]
pub(crate) struct Upload(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    body: Option<Body>,
    /// Who reads, while there is nothing to read.
    reader: Option<Waker>,
    failure: Option<BodyError>,
    /// Something of it has not been read.
    unfinished: bool,
    given_up: bool,
}

impl Upload {
    /// Converts a body: nothing is nothing, and a known length becomes `Content-Length`.
    pub(crate) fn start(body: Body) -> (Self, AsyncBody) {
        if body.as_bytes().is_some_and(<[u8]>::is_empty) {
            return (Self::default(), AsyncBody::empty());
        }
        let length = body.size_hint().exact();
        let unfinished = length != Some(0);
        let state = State { body: Some(body), unfinished, ..State::default() };
        let upload = Self(Arc::new(Mutex::new(state)));
        let reader = Reader { state: Arc::clone(&upload.0), chunk: Bytes::new(), left: length };
        let body = match length {
            Some(length) => AsyncBody::from_reader_sized(reader, length),
            None => AsyncBody::from_reader(reader),
        };
        (upload, body)
    }

    /// Whether something of the body has not been read. Once the response has begun it will not be.
    pub(crate) fn is_unfinished(&self) -> bool {
        lock(&self.0).unfinished
    }

    /// The error of the body, if it failed.
    pub(crate) fn take_failure(&self) -> Option<BodyError> {
        lock(&self.0).failure.take()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (body, reader) = {
            let mut state = lock(&self.0);
            state.given_up = true;
            (state.body.take(), state.reader.take())
        };
        drop(body);
        // Whoever waits for the rest reads once more, and learns that there is none.
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// isahc's end. It is read on isahc's thread, once.
struct Reader {
    state: Arc<Mutex<State>>,
    chunk: Bytes,
    /// Of a known length.
    left: Option<u64>,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        while self.chunk.is_empty() {
            match ready!(self.poll_chunk(cx)?) {
                Some(chunk) => self.chunk = chunk,
                None => {
                    lock(&self.state).unfinished = false;
                    return Poll::Ready(Ok(0));
                }
            }
        }
        let count = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        // libcurl asks for no more than was told.
        self.left = self.left.map(|left| left.saturating_sub(count as u64));
        if self.left == Some(0) {
            lock(&self.state).unfinished = false;
        }
        Poll::Ready(Ok(count))
    }
}

impl Reader {
    /// The next data; trailers cannot be sent.
    fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Some(mut body) = self.take(cx)? else { return Poll::Ready(Ok(None)) };
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(&mut body).poll_frame(cx)));
            match polled {
                Ok(Poll::Ready(None)) => return Poll::Ready(Ok(None)),
                Ok(Poll::Ready(Some(Ok(frame)))) => {
                    self.put_back(body);
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
                Ok(Poll::Ready(Some(Err(error)))) => return Poll::Ready(Err(self.fail(error))),
                Ok(Poll::Pending) => {
                    self.put_back(body);
                    return Poll::Pending;
                }
                Err(_panic) => {
                    let error = BodyError::new("the request's body panicked on isahc's thread");
                    return Poll::Ready(Err(self.fail(error)));
                }
            }
        }
    }

    /// The body, to be polled. None: it has ended.
    fn take(&self, cx: &mut Context<'_>) -> io::Result<Option<Body>> {
        let reader = cx.waker().clone();
        let (body, before) = {
            let mut state = lock(&self.state);
            if state.given_up {
                return Err(io::Error::other("the request was given up"));
            }
            (state.body.take(), state.reader.replace(reader))
        };
        drop(before);
        Ok(body)
    }

    /// Not if the sender has gone while it was polled.
    fn put_back(&self, body: Body) {
        let unwanted = {
            let mut state = lock(&self.state);
            if state.given_up { Some(body) } else { state.body.replace(body) }
        };
        drop(unwanted);
    }

    fn fail(&self, error: BodyError) -> io::Error {
        lock(&self.state).failure = Some(error);
        io::Error::other("the request's body failed")
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
