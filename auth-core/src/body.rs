//! Bodies: empty, bytes, a factory of streams, or a one-shot stream; the same type both ways.

mod frames;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use http_body::{Frame, SizeHint};

use self::frames::{Factory, FactoryFn, Frames, Measured, StreamFrames, Wrapped};
use crate::{BoxError, MaybeSend, MaybeSync};

/// The body of a request or a response.
///
/// A request whose body can be had again is replayed after a refresh: empty, bytes, or a factory of streams
/// ([`Body::replayable`]). A one-shot [`Body::stream`] is sent once; where its request is rejected, the caller gets
/// the 401 with [`NotReplayed`](crate::NotReplayed). (A request for another proof, `use_dpop_nonce`, is no rejection: it is
/// handed back with its [`Challenge`](crate::Challenge).)
///
/// Implements [`http_body::Body`], and is `Send + Sync + Unpin` whatever it is made from.
///
/// ```
/// use auth_core::Body;
/// use bytes::Bytes;
/// use futures::stream;
///
/// let text = Body::from("hello");
/// let chunks = ["a", "b"].map(|text| Ok::<_, std::io::Error>(Bytes::from(text)));
/// let again = Body::replayable(move || stream::iter(chunks.each_ref().map(|chunk| match chunk {
///     Ok(bytes) => Ok(bytes.clone()),
///     Err(error) => Err(std::io::Error::from(error.kind())),
/// })));
///
/// assert!(text.try_clone().is_some() && again.try_clone().is_some());
/// # futures::executor::block_on(async {
/// assert_eq!(again.text().await?, "ab");
/// # Ok::<(), auth_core::BodyError>(()) }).unwrap();
/// ```
pub struct Body {
    /// Read ahead by a peek, to be read first.
    #[expect(clippy::box_collection, reason = "few bodies are read ahead of, and all are moved about")]
    ahead: Option<Box<VecDeque<Item>>>,
    kind: Kind,
}

type Item = Result<Frame<Bytes>, BodyError>;

enum Kind {
    Empty,
    Bytes(Bytes),
    Factory(Arc<dyn Factory>, Option<u64>),
    /// The mutex makes a `Send` stream `Sync`; it is only ever reached through `get_mut`.
    Stream(Mutex<Frames>),
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Kind::Empty.into()
    }

    /// A body that is made anew for each attempt. The factory runs when the attempt's body is first read; its failure
    /// is a failing item of the stream.
    pub fn replayable<F, S, B, E>(factory: F) -> Self
    where
        F: Fn() -> S + MaybeSend + MaybeSync + 'static,
        S: Stream<Item = Result<B, E>> + MaybeSend + 'static,
        B: Into<Bytes>,
        E: Into<BoxError>,
    {
        Kind::Factory(Arc::new(FactoryFn(factory)), None).into()
    }

    /// A body that can be sent once.
    pub fn stream<S, B, E>(one_shot: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + MaybeSend + 'static,
        B: Into<Bytes>,
        E: Into<BoxError>,
    {
        Self::wrap(StreamFrames { stream: one_shot })
    }

    /// A body that can be sent once, from any [`http_body::Body`]: frames, trailers and size hint are kept. For
    /// adapters.
    pub fn wrap<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + MaybeSend + 'static,
        B::Error: Into<BoxError>,
    {
        Kind::Stream(Mutex::new(Box::pin(Wrapped { body }))).into()
    }

    /// With the length of a stream that is known before it is read: it is sent as `Content-Length`. A stream that
    /// then yields another number of bytes fails the request.
    #[must_use]
    pub fn with_length(mut self, bytes: u64) -> Self {
        self.kind = match self.kind {
            Kind::Factory(factory, _) => Kind::Factory(factory, Some(bytes)),
            Kind::Stream(frames) => {
                let frames = frames.into_inner().unwrap_or_else(PoisonError::into_inner);
                Kind::Stream(Mutex::new(Box::pin(Measured { frames, length: bytes })))
            }
            known => known,
        };
        self
    }

    /// The same body once more, where it can be had again: not of a one-shot stream, nor of one that has been read.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        if self.is_begun() {
            return None;
        }
        match &self.kind {
            Kind::Empty => Some(Kind::Empty.into()),
            Kind::Bytes(bytes) => Some(Kind::Bytes(bytes.clone()).into()),
            Kind::Factory(factory, length) => Some(Kind::Factory(Arc::clone(factory), *length).into()),
            Kind::Stream(_) => None,
        }
    }

    /// The whole body, where it is in memory already: nothing for an empty one.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.kind {
            _ if self.is_begun() => None,
            Kind::Empty => Some(&[]),
            Kind::Bytes(bytes) => Some(bytes),
            Kind::Factory(..) | Kind::Stream(_) => None,
        }
    }

    /// Collects the whole body, however large.
    ///
    /// # Errors
    ///
    /// [`BodyError`] where the stream fails before its end.
    pub async fn bytes(self) -> Result<Bytes, BodyError> {
        self.bytes_up_to(usize::MAX).await
    }

    /// Collects the body, of at most this many bytes.
    ///
    /// # Errors
    ///
    /// [`BodyError`] where the stream fails before its end, or is longer.
    pub async fn bytes_up_to(mut self, most: usize) -> Result<Bytes, BodyError> {
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            let so_far = if all.is_empty() { first.as_ref().map_or(0, Bytes::len) } else { all.len() };
            if data.len() > most.saturating_sub(so_far) {
                return Err(BodyError::new("the body is longer than is allowed"));
            }
            // One chunk stays the buffer it came in.
            match first.take() {
                None if all.is_empty() => first = Some(data),
                None => all.extend_from_slice(&data),
                Some(before) => {
                    all.reserve(before.len() + data.len());
                    all.extend_from_slice(&before);
                    all.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| all.freeze()))
    }

    /// Collects the whole body as UTF-8.
    ///
    /// # Errors
    ///
    /// [`BodyError`] where the stream fails before its end, or is not UTF-8.
    pub async fn text(self) -> Result<String, BodyError> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|_| BodyError::new("the body is not UTF-8"))
    }

    /// Collects the whole body and reads it as JSON.
    ///
    /// # Errors
    ///
    /// [`BodyError`] where the stream fails before its end, or is not JSON of that shape.
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, BodyError> {
        let bytes = self.bytes().await?;
        // The parser's own words are not passed on: they quote what they stumbled over.
        serde_json::from_slice(&bytes).map_err(|_| BodyError::new("the body is not JSON of that shape"))
    }

    /// The next frame: data, or the trailers. `None` is the end.
    pub async fn frame(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(self), cx)).await
    }

    /// The first bytes, at most this many, as soon as they are there or the body has ended or failed. They stay in the body, and so
    /// does an error, for whoever reads it: a layer can look at a body and hand it on.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has lost nothing.
    ///
    /// ```
    /// use auth_core::Body;
    ///
    /// # futures::executor::block_on(async {
    /// let mut body = Body::from("error: expired");
    /// assert_eq!(body.peek(5).await, "error");
    /// assert_eq!(body.text().await?, "error: expired");
    /// # Ok::<(), auth_core::BodyError>(()) }).unwrap();
    /// ```
    pub async fn peek(&mut self, bytes: usize) -> Bytes {
        self.read_ahead(bytes).await;
        self.peeked(bytes)
    }

    /// Reads ahead until `bytes` are there or the body has ended. Cancel safe: what was read stays in the body, and
    /// so does an error, for whoever reads it.
    pub(crate) async fn read_ahead(&mut self, bytes: usize) {
        std::future::poll_fn(|cx| {
            while self.ahead_len() < bytes && !matches!(self.ahead().next_back(), Some(Err(_))) {
                match ready!(self.poll_rest(cx)) {
                    Some(frame) => self.ahead.get_or_insert_default().push_back(frame),
                    None => break,
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// The first bytes that were read ahead, in one piece, at most `most` of them.
    pub(crate) fn peeked(&self, most: usize) -> Bytes {
        let mut all = BytesMut::new();
        for data in self.ahead().filter_map(|frame| frame.as_ref().ok()?.data_ref()) {
            let left = most.saturating_sub(all.len());
            all.extend_from_slice(&data[..data.len().min(left)]);
        }
        all.freeze()
    }

    /// Something of it was read ahead.
    fn is_begun(&self) -> bool {
        self.ahead().next().is_some()
    }

    fn ahead(&self) -> impl DoubleEndedIterator<Item = &Item> {
        self.ahead.iter().flat_map(|ahead| ahead.iter())
    }

    fn ahead_len(&self) -> usize {
        self.ahead().filter_map(|frame| Some(frame.as_ref().ok()?.data_ref()?.len())).sum()
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            match &mut self.kind {
                Kind::Empty => return Poll::Ready(None),
                Kind::Bytes(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.kind = Kind::Empty;
                    return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
                }
                Kind::Factory(factory, length) => {
                    let frames = factory.make(*length);
                    self.kind = Kind::Stream(Mutex::new(frames));
                }
                Kind::Stream(frames) => {
                    let frames = frames.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let frame = ready!(frames.as_mut().poll_frame(cx));
                    if frame.is_none() || matches!(frame, Some(Ok(_)) if frames.is_end_stream()) {
                        // What has ended is not polled again, and is not kept.
                        self.kind = Kind::Empty;
                    }
                    return Poll::Ready(frame);
                }
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        let body = self.get_mut();
        match body.ahead.as_mut().and_then(|ahead| ahead.pop_front()) {
            Some(frame) => Poll::Ready(Some(frame)),
            None => body.poll_rest(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.is_begun()
            && match &self.kind {
                Kind::Empty => true,
                Kind::Bytes(bytes) => bytes.is_empty(),
                Kind::Factory(..) | Kind::Stream(_) => false,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead_len() as u64;
        let rest = match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Factory(_, Some(length)) => SizeHint::with_exact(*length),
            Kind::Factory(_, None) => SizeHint::default(),
            // The lock is free: whoever has `&self` excludes whoever has `&mut self`.
            Kind::Stream(frames) => {
                frames.try_lock().map_or_else(|_| SizeHint::default(), |frames| frames.size_hint())
            }
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ahead);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ahead);
        }
        hint
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Empty => "Body(empty)",
            Kind::Bytes(_) => "Body(bytes)",
            Kind::Factory(..) => "Body(replayable)",
            Kind::Stream(_) => "Body(stream)",
        })
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { ahead: None, kind }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::empty() } else { Kind::Bytes(bytes).into() }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

/// Why a body could not be read to its end. Of a request's body it is told apart from the transport's failures
/// ([`ErrorKind::Body`](crate::ErrorKind::Body)).
#[derive(Debug, thiserror::Error)]
#[error("the body could not be read")]
pub struct BodyError {
    source: BoxError,
}

impl BodyError {
    /// The body failed, and this is why. An error that is one already stays the one it is.
    #[must_use]
    pub fn new(cause: impl Into<BoxError>) -> Self {
        match cause.into().downcast::<BodyError>() {
            Ok(same) => *same,
            Err(source) => Self { source },
        }
    }
}

#[cfg(test)]
mod tests;
