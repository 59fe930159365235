//! What a clause has in hand: a transport, a server, and the ways to bring them together.

use std::io;
use std::sync::Arc;

use auth_core::{Body, Transport, TransportError};
use bytes::Bytes;
use futures::channel::mpsc::UnboundedSender;
use futures::stream;
use http::{Request, Response};

use crate::conformance::trial::Stage;
use crate::server::{Seen, Stats, TestServer};

pub(super) struct World {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) server: TestServer,
    bearer: String,
    stage: Stage,
}

impl World {
    pub(super) fn new(transport: Arc<dyn Transport>, stage: Stage) -> io::Result<Self> {
        let server = TestServer::start()?;
        let bearer = format!("Bearer {}", server.issue().access_token().reveal());
        Ok(Self { transport, server, bearer, stage })
    }

    /// What happens next, for whoever waits for it in vain.
    pub(super) fn stage(&self, what: impl Into<String>) {
        self.stage.set(what);
    }

    /// A request to a URL of the server's, with a token.
    pub(super) fn request(&self, method: &str, url: &str, body: impl Into<Body>) -> Request<Body> {
        let mut request = bare(method, url, body);
        if let Ok(bearer) = self.bearer.parse() {
            request.headers_mut().insert(http::header::AUTHORIZATION, bearer);
        }
        request
    }

    pub(super) fn notes(&self, method: &str, body: impl Into<Body>) -> Request<Body> {
        self.request(method, &self.server.api("/notes"), body)
    }

    /// Sends what has to be answered.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, String> {
        let what = format!("{} {}", request.method(), request.uri().path());
        self.stage(format!("waiting for the response to {what}"));
        self.transport.send(request).await.map_err(|error| format!("{what} failed: {error:?}"))
    }

    /// Sends what cannot be answered.
    pub(super) async fn fail(&self, request: Request<Body>) -> Result<TransportError, String> {
        let what = format!("{} {}", request.method(), request.uri().path());
        self.stage(format!("waiting for {what} to fail"));
        match self.transport.send(request).await {
            Ok(response) => Err(format!("{what} was answered with {}", response.status())),
            Err(error) => Ok(error),
        }
    }

    pub(super) async fn read(&self, response: Response<Body>) -> Result<Bytes, String> {
        self.stage("reading a response to its end");
        response.into_body().bytes().await.map_err(|error| format!("a response broke off: {error:?}"))
    }

    /// Sends, and reads the response to its end.
    pub(super) async fn exchange(&self, request: Request<Body>) -> Result<(Response<()>, Bytes), String> {
        let (head, body) = self.send(request).await?.into_parts();
        let body = self.read(Response::new(body)).await?;
        Ok((Response::from_parts(head, ()), body))
    }

    /// Waits for the counters.
    pub(super) async fn when(&self, what: &str, enough: impl Fn(&Stats) -> bool) -> Stats {
        self.stage(format!("waiting for the server to see {what}"));
        self.server.when(enough).await
    }

    /// The last request that arrived.
    pub(super) fn seen(&self) -> Result<Seen, String> {
        self.server.log().pop().ok_or_else(|| "no request arrived".to_owned())
    }
}

/// A request without a token.
pub(super) fn bare(method: &str, url: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::new(body.into());
    *request.method_mut() = method.parse().expect("the suite's own methods are valid");
    *request.uri_mut() = url.parse().expect("the server's own URLs are valid");
    request
}

/// A body that is fed by the clause.
pub(super) fn fed() -> (UnboundedSender<io::Result<Bytes>>, Body) {
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    (sender, Body::stream(receiver))
}

/// The same bytes in pieces.
pub(super) fn pieces(bytes: &Bytes) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + use<> {
    let bytes = bytes.clone();
    let starts = (0..bytes.len()).step_by(10_007);
    stream::iter(starts.map(move |start| Ok(bytes.slice(start..bytes.len().min(start + 10_007)))))
}

/// The next data that is not empty: HTTP/2 may end with a frame of none.
pub(super) async fn next(body: &mut Body) -> Result<Option<Bytes>, String> {
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| format!("a response broke off: {error:?}"))?.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            _ => {}
        }
    }
    Ok(None)
}
