//! `IsahcTransport`: isahc as a transport.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use auth_core::{Body, FinalUri, Transport, TransportError, async_trait};
use futures::FutureExt as _;
use http::{Extensions, Method, Request, Response};
use isahc::config::{Configurable as _, ExpectContinue, RedirectPolicy, VersionNegotiation};
use isahc::{AsyncBody, HttpClient, HttpClientBuilder, ResponseExt as _};

use crate::error;
use crate::request_body::Upload;
use crate::response_body::Download;

/// With a server in the same process, twice as many descriptors, and room for others.
const MOST_CONNECTIONS: usize = 400;

/// A peer that has gone without a word is noticed, and its connection closed.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Sends requests with [`isahc`].
///
/// [`IsahcTransport::default`] makes a client that keeps the contract of [`Transport`] as far as isahc can (see
/// [the crate](crate#sent-once)): it follows no redirects, waits for no `100 Continue`, and leaves responses compressed
/// as they came. [`IsahcTransport::new`] takes a client as it is; one that starts from
/// [`client_builder`](Self::client_builder) keeps the contract and has its own timeouts, certificates or proxies.
///
/// # Runtime
///
/// None. Each client has a thread of its own, and its futures can be polled by any executor.
///
/// # Cancel safety
///
/// Dropping the future, or the response's body, gives up the request and releases the request's body. Its connection is
/// closed at once while the request is being sent, and else when the server sends next.
///
/// # Examples
///
/// ```no_run
/// use auth_core::{Body, Transport};
/// use auth_isahc::IsahcTransport;
///
/// # futures::executor::block_on(async {
/// let transport = IsahcTransport::default();
/// let request = http::Request::get("https://api.example.com/notes").body(Body::empty())?;
///
/// let response = transport.send(request).await?;
///
/// println!("{}: {}", response.status(), response.into_body().text().await?);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// With a client of one's own:
///
/// ```
/// use auth_isahc::IsahcTransport;
/// use auth_isahc::isahc::config::Configurable as _;
/// use std::time::Duration;
///
/// let client = IsahcTransport::client_builder()
///     .connect_timeout(Duration::from_secs(5))
///     .default_header("user-agent", "notes/1.0")
///     .build()?;
/// let transport = IsahcTransport::new(client);
/// # Ok::<(), auth_isahc::isahc::Error>(())
/// ```
#[derive(Clone)]
pub struct IsahcTransport {
    pooled: Client,
    /// For what libcurl could send again, and must not.
    single_use: Client,
}

impl IsahcTransport {
    /// A transport over this client, used as it is: whatever it does about redirects, cookies and compression it goes
    /// on doing. It sends everything; a request without a body on a connection that was used before may go out again,
    /// whatever its method, unless there is [another client](Self::with_single_use) for those or this one keeps no
    /// connections ([`connection_cache_size(0)`](HttpClientBuilder::connection_cache_size)).
    ///
    /// With a client that follows redirects, a request with a body that is redirected fails: it is not sent twice.
    #[must_use]
    pub fn new(client: HttpClient) -> Self {
        let client = Client::Given(client);
        Self { pooled: client.clone(), single_use: client }
    }

    /// With a client for the requests without a body whose method is not safe. It should start from
    /// [`single_use_builder`](Self::single_use_builder).
    #[must_use]
    pub fn with_single_use(mut self, client: HttpClient) -> Self {
        self.single_use = Client::Given(client);
        self
    }

    /// A transport that makes a new connection for each request, and so puts nothing on the wire twice: for a
    /// [`Refresher`](auth_core::Refresher), and for proofs that may be used once. It speaks HTTP/1.1: on HTTP/2 requests
    /// share their connections.
    ///
    /// ```
    /// use auth_isahc::IsahcTransport;
    ///
    /// let (api, login) = (IsahcTransport::default(), IsahcTransport::single_use());
    /// # let _ = (api, login);
    /// ```
    #[must_use]
    pub fn single_use() -> Self {
        let client = Client::lazy(Self::single_use_builder);
        Self { pooled: client.clone(), single_use: client }
    }

    /// The settings of the default client, for a client of one's own: no redirects, no waiting for `100 Continue`,
    /// responses as they come, not decompressed, and at most 400 connections at a time (see
    /// [the crate](crate#descriptors)); requests beyond them wait for one.
    pub fn client_builder() -> HttpClientBuilder {
        HttpClient::builder()
            .redirect_policy(RedirectPolicy::None)
            .automatic_decompression(false)
            .expect_continue(ExpectContinue::disabled())
            .tcp_keepalive(KEEPALIVE)
            .tcp_nodelay()
            .max_connections(MOST_CONNECTIONS)
    }

    /// The settings of [`single_use`](Self::single_use), for a client of one's own: in addition, HTTP/1.1 and no
    /// connection that is used again.
    pub fn single_use_builder() -> HttpClientBuilder {
        Self::client_builder().connection_cache_size(0).version_negotiation(VersionNegotiation::http11())
    }

    /// Which client sends this: where there is nothing that libcurl would have to start over with, only a connection of
    /// its own keeps it from sending again.
    fn client_for(&self, request: &Request<AsyncBody>) -> Result<&HttpClient, TransportError> {
        let nothing_to_rewind = request.body().len() == Some(0);
        if nothing_to_rewind && !request.method().is_safe() { &self.single_use } else { &self.pooled }.get()
    }
}

impl Default for IsahcTransport {
    /// A transport over clients of its own, made when they are first used. A client that cannot be made fails each
    /// request.
    fn default() -> Self {
        Self {
            pooled: Client::lazy(Self::client_builder),
            single_use: Client::lazy(Self::single_use_builder),
        }
    }
}

impl From<HttpClient> for IsahcTransport {
    fn from(client: HttpClient) -> Self {
        Self::new(client)
    }
}

impl fmt::Debug for IsahcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsahcTransport").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for IsahcTransport {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        check(&request)?;
        let (request, upload) = convert_request(request);
        let client = self.client_for(&request)?;

        let sent = AssertUnwindSafe(client.send_async(request)).catch_unwind().await;

        match sent {
            Ok(Ok(response)) => Ok(convert_response(response, upload)),
            Ok(Err(error)) => {
                Err(upload.take_failure().map_or_else(|| error::classify(error), error::body_failed))
            }
            Err(_panic) => Err(error::panicked()),
        }
    }
}

/// What isahc would panic at, or libcurl would make something else of.
fn check(request: &Request<Body>) -> Result<(), TransportError> {
    let uri = request.uri();
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(error::unsendable("only absolute http and https URIs can be sent"));
    }
    if request.method() == Method::HEAD && !request.body().as_bytes().is_some_and(<[u8]>::is_empty) {
        // libcurl would wait for the body of the answer, for ever.
        return Err(error::unsendable("a HEAD request with a body cannot be sent by isahc"));
    }
    if request.headers().values().any(|value| value.to_str().is_err()) {
        return Err(error::unsendable("a header value that is not visible ASCII cannot be sent by isahc"));
    }
    Ok(())
}

/// Method, URI, headers and body as they are. The request's extensions are the client's notes to itself: none of them is
/// meant for isahc, which would read its own settings from there.
fn convert_request(request: Request<Body>) -> (Request<AsyncBody>, Upload) {
    let (mut head, body) = request.into_parts();
    head.extensions = Extensions::new();
    let (upload, body) = Upload::start(body);
    (Request::from_parts(head, body), upload)
}

/// isahc's own extensions hold addresses and the request's body: they are left behind.
fn convert_response(response: Response<AsyncBody>, upload: Upload) -> Response<Body> {
    let (final_uri, trailer) = (response.effective_uri().cloned(), response.trailer().clone());
    let (mut head, body) = response.into_parts();
    head.extensions = Extensions::new();
    if let Some(uri) = final_uri {
        head.extensions.insert(FinalUri(uri));
    }
    Response::from_parts(head, Body::wrap(Download::new(body, trailer, upload)))
}

/// A client, which is a thread: it is made when it is first needed.
#[derive(Clone)]
enum Client {
    Given(HttpClient),
    Lazy(Arc<Lazy>),
}

struct Lazy {
    builder: fn() -> HttpClientBuilder,
    /// A client that could not be made fails each request, since a constructor that cannot fail is worth more here.
    made: OnceLock<Result<HttpClient, isahc::Error>>,
}

impl Client {
    fn lazy(builder: fn() -> HttpClientBuilder) -> Self {
        Self::Lazy(Arc::new(Lazy { builder, made: OnceLock::new() }))
    }

    fn get(&self) -> Result<&HttpClient, TransportError> {
        match self {
            Self::Given(client) => Ok(client),
            Self::Lazy(lazy) => {
                let made = lazy.made.get_or_init(|| (lazy.builder)().build());
                made.as_ref().map_err(|error| error::no_client(error.clone()))
            }
        }
    }
}
