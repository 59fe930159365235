//! The response's body on its way out of isahc.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::AsyncRead;
use http_body::Frame;
use isahc::{AsyncBody, Trailer};

use crate::request_body::Upload;

/// As much as curl hands over at a time.
const CHUNK: usize = 16 * 1024;

/// What comes, as it comes, and the trailers.
pub(crate) struct Download {
    body: AsyncBody,
    buffer: BytesMut,
    /// `None`: it has ended.
    trailer: Option<Trailer>,
    /// The request's body may still be on its way up: whoever drops this gives it up.
    upload: Upload,
}

impl Download {
    pub(crate) fn new(body: AsyncBody, trailer: Trailer, upload: Upload) -> Self {
        Self { body, buffer: BytesMut::new(), trailer: Some(trailer), upload }
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.trailer.is_none() {
            return Poll::Ready(None);
        }
        if this.buffer.is_empty() {
            // With one byte more than there is, the read that finds the end needs no other.
            let length = this.body.len().and_then(|length| usize::try_from(length).ok());
            let size = length.map_or(CHUNK, |length| length.saturating_add(1).min(CHUNK));
            this.buffer = BytesMut::zeroed(size);
        }
        let count = ready!(Pin::new(&mut this.body).poll_read(cx, &mut this.buffer))?;
        if count > 0 {
            return Poll::Ready(Some(Ok(Frame::data(this.buffer.split_to(count).freeze()))));
        }
        this.buffer = BytesMut::new();
        if this.upload.is_unfinished() {
            this.trailer = None;
            return Poll::Ready(Some(Err(io::Error::other(
                "the response began before the request was sent, and isahc sent no more of it",
            ))));
        }
        let trailers = this.trailer.take().and_then(|trailer| trailer.try_get().cloned());
        Poll::Ready(
            trailers.filter(|trailers| !trailers.is_empty()).map(|trailers| Ok(Frame::trailers(trailers))),
        )
    }
}
