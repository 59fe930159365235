//! The members' transport: HTTP/1.1 with the server of a test, over a connection and on a thread for each request.
//!
//! It needs no HTTP library and no runtime, so that a member is what its store is, and nothing else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use auth_core::{Body, Transport, TransportError, async_trait};
use bytes::Bytes;
use futures::channel::oneshot;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Request, Response};

#[derive(Clone)]
pub(super) struct Wire;

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        let body = body.bytes().await.map_err(TransportError::new)?;
        let (done, answer) = oneshot::channel();
        let exchange = move || drop(done.send(exchange(&Request::from_parts(head, body))));
        thread::Builder::new().spawn(exchange).map_err(TransportError::new)?;
        answer.await.unwrap_or_else(|_| Err(TransportError::new("the exchange broke off").maybe_sent()))
    }
}

fn exchange(request: &Request<Bytes>) -> Result<Response<Body>, TransportError> {
    let host = request.uri().authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let mut stream = TcpStream::connect(host).map_err(|error| TransportError::new(error).connect())?;
    let lost = |error| TransportError::new(error).maybe_sent();
    stream.write_all(&written(request, host)).map_err(lost)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(lost)?;
    read(&answer).ok_or_else(|| TransportError::new("half an answer").maybe_sent())
}

fn written(request: &Request<Bytes>, host: &str) -> Vec<u8> {
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut text =
        format!("{} {path} HTTP/1.1\r\n{HOST}: {host}\r\n{CONNECTION}: close\r\n", request.method());
    text += &format!("{CONTENT_LENGTH}: {}\r\n", request.body().len());
    let mut text = text.into_bytes();
    for (name, value) in request.headers() {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend(b"\r\n");
    text.extend(request.body());
    text
}

/// `None`: it is not whole.
fn read(answer: &[u8]) -> Option<Response<Body>> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&answer[..end]).ok()?, &answer[end + 4..]);
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut response = Response::builder().status(status).body(()).ok()?;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::try_from(name).ok()?;
        response.headers_mut().append(name, HeaderValue::try_from(value.trim()).ok()?);
    }
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let whole = length.is_none_or(|length: usize| length == body.len());
    let plain = response.headers().get(TRANSFER_ENCODING).is_none();
    (whole && plain).then(|| response.map(|()| Body::from(Bytes::copy_from_slice(body))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_answer_is_none() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\na: b\r\n\r\nhi";

        let response = read(whole).unwrap();

        assert_eq!(response.headers()["a"], "b");
        assert_eq!(response.body().as_bytes(), Some(&b"hi"[..]));
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_none(), "{end}");
        }
    }
}
