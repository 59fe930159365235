//! A transport for the loopback, and deadlines for what could hang.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::sync::mpsc;
use std::time::Duration;

use auth_core::{Body, BodyError, Transport, TransportError};
use auth_reqwest::ReqwestTransport;
use auth_testkit::server::TestServer;
use bytes::Bytes;
use futures::channel::mpsc::UnboundedSender;
use futures::{FutureExt as _, StreamExt as _};
use http::{Request, Response};

pub(crate) const LONG: Duration = Duration::from_secs(30);

/// The default transport, whatever proxy the environment names.
pub(crate) fn transport() -> ReqwestTransport {
    ReqwestTransport::new(ReqwestTransport::client_builder().no_proxy().build().unwrap())
}

/// The same over HTTP/2.
pub(crate) fn http2_transport() -> ReqwestTransport {
    let builder = ReqwestTransport::client_builder().no_proxy().http2_prior_knowledge();
    ReqwestTransport::new(builder.build().unwrap())
}

/// A request to a server that knows its token.
pub(crate) fn request(
    server: &TestServer,
    method: &str,
    url: String,
    body: impl Into<Body>,
) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {}", server.issue().access_token().reveal()))
        .body(body.into())
        .unwrap()
}

pub(crate) fn get(server: &TestServer, path: &str) -> Request<Body> {
    request(server, "GET", server.api(path), ())
}

/// A body that is fed by the test.
pub(crate) fn fed() -> (UnboundedSender<Result<Bytes, std::io::Error>>, Body) {
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    (sender, Body::stream(receiver.boxed()))
}

/// The next data that is not empty: HTTP/2 may end with a frame of none.
pub(crate) async fn next(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
    loop {
        match body.frame().await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                data => return Some(Ok(data.unwrap())),
            },
            Err(error) => return Some(Err(error)),
        }
    }
}

pub(crate) async fn sent(request: Request<Body>) -> Result<Response<Body>, TransportError> {
    transport().send(request).await
}

/// Fails a future that has not ended in time.
pub(crate) async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("it hangs")
}

/// Runs what is not asynchronous on a thread, and fails if it has not ended in time.
pub(crate) fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(work());
    });
    match receiver.recv_timeout(LONG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it sent nothing"))
        }
    }
}

/// Polls a future once, and drops it.
pub(crate) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    future.now_or_never()
}
