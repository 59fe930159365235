//! Frames: what a body is made from, as one kind of stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use http_body::{Frame, SizeHint};

use super::BodyError;
use crate::{BoxError, MaybeSend, MaybeSync};

#[cfg(not(any(target_arch = "wasm32", auth_local)))]
pub(super) type Frames = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>;
#[cfg(any(target_arch = "wasm32", auth_local))]
pub(super) type Frames = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>;

pub(super) trait Factory: MaybeSend + MaybeSync {
    fn make(&self, length: Option<u64>) -> Frames;
}

/// A factory from a closure.
pub(super) struct FactoryFn<F>(pub(super) F);

impl<F, S, B, E> Factory for FactoryFn<F>
where
    F: Fn() -> S + MaybeSend + MaybeSync,
    S: Stream<Item = Result<B, E>> + MaybeSend + 'static,
    B: Into<Bytes>,
    E: Into<BoxError>,
{
    fn make(&self, length: Option<u64>) -> Frames {
        let frames: Frames = Box::pin(Wrapped { body: StreamFrames { stream: (self.0)() } });
        match length {
            Some(length) => Box::pin(Measured { frames, length }),
            None => frames,
        }
    }
}

pin_project_lite::pin_project! {
    /// A stream of data, without trailers.
    pub(super) struct StreamFrames<S> {
        #[pin]
        pub(super) stream: S,
    }
}

impl<S, B, E> http_body::Body for StreamFrames<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
{
    type Data = Bytes;
    type Error = E;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let chunk = ready!(self.project().stream.poll_next(cx));
        Poll::Ready(chunk.map(|chunk| chunk.map(|data| Frame::data(data.into()))))
    }
}

pin_project_lite::pin_project! {
    /// Any body, its errors made `BodyError`.
    pub(super) struct Wrapped<B> {
        #[pin]
        pub(super) body: B,
    }
}

impl<B> http_body::Body for Wrapped<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.project().body.poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::new)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose length was told.
pub(super) struct Measured {
    pub(super) frames: Frames,
    pub(super) length: u64,
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        let frame = ready!(body.frames.as_mut().poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let data = frame.data_ref().map_or(0, |data| data.len() as u64);
                match body.length.checked_sub(data) {
                    Some(left) => {
                        body.length = left;
                        Some(Ok(frame))
                    }
                    None => Some(Err(BodyError::new("the stream is longer than was told"))),
                }
            }
            None if body.length > 0 => {
                body.length = 0;
                Some(Err(BodyError::new("the stream is shorter than was told")))
            }
            ended => ended,
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
