//! `ReqwestTransport`: reqwest as a transport.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use auth_core::{Body, FinalUri, Transport, TransportError, async_trait};
use futures::FutureExt as _;
use http::{Request, Response, Uri};
use tokio::runtime::Handle;

use crate::entered::Entered;
use crate::error;
use crate::request_body::{self, Failure};
use crate::urls::{self, Urls};

/// Sends requests with [`reqwest`].
///
/// [`ReqwestTransport::default`] makes a client that keeps the contract of [`Transport`]: it follows no redirects, sends
/// nothing twice, and adds no `Referer`. [`ReqwestTransport::new`] takes a client as it is; one that starts from
/// [`client_builder`](Self::client_builder) keeps the contract and has its own timeouts, certificates or proxies.
///
/// # Runtime
///
/// reqwest needs a tokio runtime and panics without one; this does neither. Each request runs on the runtime it is sent
/// from, or else on the one the transport was made in or [was given](Self::with_handle), which it enters whenever it is
/// polled. So it works on any executor, as long as somebody drives that runtime: a multi-threaded one does so itself, a
/// current-thread one only within its `block_on`. Where there is none at all, every request fails with an error that
/// says so.
///
/// # Cancel safety
///
/// Dropping the future, or the response's body, gives up the request; HTTP/1 closes its connection.
///
/// # Examples
///
/// ```no_run
/// use auth_core::{Body, Transport};
/// use auth_reqwest::ReqwestTransport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = ReqwestTransport::default();
/// let request = http::Request::get("https://api.example.com/notes").body(Body::empty())?;
///
/// let response = transport.send(request).await?;
///
/// println!("{}: {}", response.status(), response.into_body().text().await?);
/// # Ok(()) }
/// ```
///
/// With a client of one's own:
///
/// ```
/// use auth_reqwest::ReqwestTransport;
/// use std::time::Duration;
///
/// let client = ReqwestTransport::client_builder()
///     .connect_timeout(Duration::from_secs(5))
///     .user_agent("notes/1.0")
///     .build()?;
/// let transport = ReqwestTransport::new(client);
/// # Ok::<(), auth_reqwest::reqwest::Error>(())
/// ```
#[derive(Clone)]
pub struct ReqwestTransport {
    /// A client that could not be made fails each request, since a constructor that cannot fail is worth more here.
    client: Result<reqwest::Client, Arc<reqwest::Error>>,
    captured: Option<Handle>,
    urls: Arc<Urls>,
}

impl ReqwestTransport {
    /// A transport over this client, used as it is: whatever it does about redirects, retries, cookies and compression
    /// it goes on doing.
    #[must_use]
    pub fn new(client: reqwest::Client) -> Self {
        Self::made(Ok(client))
    }

    /// The settings of the default client, for a client of one's own: no redirects, no retries, no `Referer`, and
    /// responses as they come, not decompressed.
    pub fn client_builder() -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
    }

    /// With the runtime that is used where a request is sent from outside of tokio. A transport made inside of a
    /// runtime knows that one already.
    ///
    /// ```
    /// use auth_reqwest::ReqwestTransport;
    ///
    /// let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    /// let transport = ReqwestTransport::default().with_handle(runtime.handle().clone());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_handle(mut self, handle: Handle) -> Self {
        self.captured = Some(handle);
        self
    }

    fn made(client: reqwest::Result<reqwest::Client>) -> Self {
        Self { client: client.map_err(Arc::new), captured: Handle::try_current().ok(), urls: Arc::default() }
    }
}

impl Default for ReqwestTransport {
    /// A transport over a client of its own. A client that cannot be made (a TLS library that does not start) fails
    /// each request.
    fn default() -> Self {
        Self::made(Self::client_builder().build())
    }
}

impl From<reqwest::Client> for ReqwestTransport {
    fn from(client: reqwest::Client) -> Self {
        Self::new(client)
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client would print its default headers, which may be credentials.
        f.debug_struct("ReqwestTransport").field("captured", &self.captured.is_some()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let sending = self.start(request)?;
        match AssertUnwindSafe(sending.pending).catch_unwind().await {
            Ok(Ok(response)) => Ok(convert_response(response, sending.uri, sending.handle)),
            Ok(Err(error)) => Err(sending
                .failure
                .and_then(|failure| failure.take())
                .map_or_else(|| error::classify(error), error::body_failed)),
            Err(_panic) => Err(error::panicked()),
        }
    }
}

/// A request that reqwest has.
struct Sending<F> {
    pending: Entered<F>,
    uri: Uri,
    failure: Option<Failure>,
    handle: Handle,
}

impl ReqwestTransport {
    /// Begins to execute, where polls will run: that starts the client's timers.
    ///
    /// No part of `send`'s future: what that boxes is small, since the request is moved on before the first wait.
    fn start(
        &self,
        request: Request<Body>,
    ) -> Result<Sending<impl Future<Output = reqwest::Result<reqwest::Response>> + use<>>, TransportError>
    {
        let client = self.client.as_ref().map_err(error::no_client)?;
        // The current runtime first: a captured one may have ended since.
        let current = Handle::try_current().ok();
        let is_outside = current.is_none();
        let handle = current.or_else(|| self.captured.clone()).ok_or_else(error::no_runtime)?;

        // Method, URI, headers, version and body as they are. The request's extensions are the client's notes to itself: none
        // of them is meant for reqwest, which would read its own timeouts from there.
        let (head, body) = request.into_parts();
        let Some(url) = self.urls.parse(&head.uri) else {
            return Err(unsendable(head.uri));
        };
        let mut request = reqwest::Request::new(head.method, url);
        *request.headers_mut() = head.headers;
        *request.version_mut() = head.version;
        let (body, failure) = request_body::convert(body);
        *request.body_mut() = body;

        let executed = {
            let _guard = is_outside.then(|| handle.enter());
            catch_unwind(AssertUnwindSafe(|| client.execute(request)))
        };
        let pending = executed.map_err(|_panic| error::panicked())?;
        Ok(Sending { pending: Entered::new(handle.clone(), pending), uri: head.uri, failure, handle })
    }
}

/// What reqwest itself says of such a URI.
fn unsendable(uri: Uri) -> TransportError {
    let mut request = Request::new("");
    *request.uri_mut() = uri;
    reqwest::Request::try_from(request)
        .map_or_else(error::classify, |_| TransportError::new("reqwest cannot read this URI").unsendable())
}

fn convert_response(response: reqwest::Response, sent_to: Uri, handle: Handle) -> Response<Body> {
    let url = response.url().as_str();
    // Where it is spelled otherwise it may still be the same.
    let final_uri =
        if urls::is_spelled(&sent_to, url) || sent_to == *url { Some(sent_to) } else { url.parse().ok() };
    let (mut head, body) = Response::<reqwest::Body>::from(response).into_parts();
    if let Some(uri) = final_uri {
        head.extensions.insert(FinalUri(uri));
    }
    Response::from_parts(head, Body::wrap(Entered::new(handle, body)))
}
