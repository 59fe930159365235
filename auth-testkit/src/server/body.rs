//! Bodies: what the server reads, and the kinds that it sends.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;

use super::shared::Shared;

pub(super) type ResponseBody = UnsyncBoxBody<Bytes, Gone>;

/// Ends a connection where it stands.
#[derive(Debug)]
pub(super) struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed on purpose")
    }
}

impl std::error::Error for Gone {}

/// The 64-bit FNV-1a hash, in hexadecimal: what the server says under `digest` of a body. Not for secrets.
///
/// ```
/// assert_eq!(auth_testkit::server::digest(b""), "cbf29ce484222325");
/// ```
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let mut digest = Digest::default();
    digest.update(bytes);
    digest.finish()
}

struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Reads a body to its end and keeps none of it: its length and its digest.
pub(super) async fn summarise(
    mut body: Incoming,
    shared: &Shared,
    number: usize,
) -> Result<(u64, String), Gone> {
    let (mut length, mut digest) = (0, Digest::default());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Gone)?.into_data() else { continue };
        shared.was_read(number, data.len());
        length += data.len() as u64;
        digest.update(&data);
    }
    Ok((length, digest.finish()))
}

/// Reads a body to its end.
pub(super) async fn collect(mut body: Incoming, shared: &Shared, number: usize) -> Result<Vec<u8>, Gone> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Gone)?.into_data() else { continue };
        shared.was_read(number, data.len());
        all.extend_from_slice(&data);
    }
    Ok(all)
}

pub(super) fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What comes in, as it comes in.
pub(super) fn echo(body: Incoming, shared: Arc<Shared>, number: usize) -> ResponseBody {
    let counted = body.map_frame(move |frame| {
        shared.was_read(number, frame.data_ref().map_or(0, Bytes::len));
        frame
    });
    counted.map_err(|_| Gone).boxed_unsync()
}

/// The first half, and then the end of the connection.
pub(super) fn half(bytes: &Bytes) -> ResponseBody {
    let half = bytes.slice(..bytes.len() / 2);
    let frames = stream::unfold(Some(half), |rest| async {
        match rest {
            Some(half) => Some((Ok(Frame::data(half)), None)),
            None => {
                // hyper sends what it has when a body has nothing for it, and not when it fails at once.
                tokio::task::yield_now().await;
                Some((Err(Gone), None))
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Lines, each after the first of which waits for a permit.
pub(super) fn chunks(shared: Arc<Shared>, count: usize) -> ResponseBody {
    let frames = stream::unfold((shared, 0), move |(shared, number)| async move {
        if number == count {
            return None;
        }
        if number > 0 {
            shared.chunks.acquire().await.ok()?.forget();
        }
        shared.change(|state| state.stats.chunks += 1);
        let line = Bytes::from(format!("chunk {number}\n"));
        Some((Ok(Frame::data(line)), (shared, number + 1)))
    });
    StreamBody::new(frames).boxed_unsync()
}
