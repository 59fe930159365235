//! A transport for the loopback, and deadlines for what could hang.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use auth_core::{Body, Transport, TransportError};
use auth_isahc::IsahcTransport;
use auth_isahc::isahc::HttpClientBuilder;
use auth_isahc::isahc::config::Configurable as _;
use auth_testkit::server::TestServer;
use bytes::Bytes;
use futures::channel::mpsc::UnboundedSender;
use http::{Request, Response};

pub(crate) const LONG: Duration = Duration::from_secs(30);

/// The default transport, whatever proxy the environment names.
pub(crate) fn transport() -> IsahcTransport {
    let single_use = IsahcTransport::single_use_builder().proxy(None).build().unwrap();
    made(IsahcTransport::client_builder()).with_single_use(single_use)
}

pub(crate) fn made(builder: HttpClientBuilder) -> IsahcTransport {
    IsahcTransport::new(builder.proxy(None).build().unwrap())
}

/// A request to a server that knows its token.
pub(crate) fn request(server: &TestServer, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(server.api(path))
        .header("authorization", format!("Bearer {}", server.issue().access_token().reveal()))
        .body(body.into())
        .unwrap()
}

pub(crate) fn plain(method: &str, url: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(url).body(body.into()).unwrap()
}

/// A body that is fed by the test.
pub(crate) fn fed() -> (UnboundedSender<Result<Bytes, std::io::Error>>, Body) {
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    (sender, Body::stream(receiver))
}

/// Sends, without any runtime, and fails if it has not ended in time.
pub(crate) fn sent(
    transport: &IsahcTransport,
    request: Request<Body>,
) -> Result<Response<Body>, TransportError> {
    let transport = transport.clone();
    waited(async move { transport.send(request).await })
}

/// Sends, and reads to the end.
pub(crate) fn exchanged(transport: &IsahcTransport, request: Request<Body>) -> Bytes {
    let response = sent(transport, request).unwrap();
    waited(response.into_body().bytes()).unwrap()
}

/// Waits for a future on a thread of its own.
pub(crate) fn waited<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(futures::executor::block_on(future)));
    ended.recv_timeout(LONG).expect("it hangs, or has panicked")
}

/// A server that answers each connection's first head with this, and reads no more of it.
pub(crate) fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(client);
                let mut line = String::new();
                while lines.read_line(&mut line).is_ok_and(|count| count > 2) {
                    line.clear();
                }
                let _ = lines.get_mut().write_all(answer.as_bytes());
                let _ = lines.get_mut().read_to_end(&mut Vec::new());
            });
        }
    });
    address
}
