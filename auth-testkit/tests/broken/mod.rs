//! A good transport with one thing broken.
#![allow(dead_code, clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::sync::{Arc, Mutex};

use auth_core::{Body, FinalUri, Transport, TransportError, async_trait};
use auth_reqwest::ReqwestTransport;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::header::{AUTHORIZATION, COOKIE, LOCATION};
use http::{Request, Response};
use tokio::runtime::Handle;

type Answer = Result<Response<Body>, TransportError>;
type Before = Arc<dyn Fn(&mut Request<Body>) + Send + Sync>;
type After = Arc<dyn Fn(Answer) -> Answer + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Broken {
    inner: ReqwestTransport,
    before: Before,
    after: After,
    how: How,
}

#[derive(Clone)]
enum How {
    AsItShould,
    Again,
    BufferedResponse,
    BufferedRequest,
    TruncatedRequest(usize),
    TruncatedResponse(usize),
    Background(Handle),
    Keeping(Arc<Mutex<Vec<Body>>>),
    OneAtATime(Arc<tokio::sync::Mutex<()>>),
    FollowingWithCredentials,
}

impl Broken {
    pub(crate) fn new(inner: ReqwestTransport) -> Self {
        Self { inner, before: Arc::new(|_| ()), after: Arc::new(|answer| answer), how: How::AsItShould }
    }

    pub(crate) fn before(mut self, change: impl Fn(&mut Request<Body>) + Send + Sync + 'static) -> Self {
        self.before = Arc::new(change);
        self
    }

    pub(crate) fn after(mut self, change: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Self {
        self.after = Arc::new(change);
        self
    }

    fn how(mut self, how: How) -> Self {
        self.how = how;
        self
    }

    pub(crate) fn sending_again(self) -> Self {
        self.how(How::Again)
    }

    pub(crate) fn buffering_the_response(self) -> Self {
        self.how(How::BufferedResponse)
    }

    pub(crate) fn buffering_the_request(self) -> Self {
        self.how(How::BufferedRequest)
    }

    pub(crate) fn truncating_the_request(self, most: usize) -> Self {
        self.how(How::TruncatedRequest(most))
    }

    pub(crate) fn truncating_the_response(self, most: usize) -> Self {
        self.how(How::TruncatedResponse(most))
    }

    pub(crate) fn in_the_background(self, handle: Handle) -> Self {
        self.how(How::Background(handle))
    }

    pub(crate) fn keeping_responses(self) -> Self {
        self.how(How::Keeping(Arc::default()))
    }

    pub(crate) fn one_at_a_time(self) -> Self {
        self.how(How::OneAtATime(Arc::default()))
    }

    pub(crate) fn following_with_credentials(self) -> Self {
        self.how(How::FollowingWithCredentials)
    }

    async fn sent(&self, mut request: Request<Body>) -> Answer {
        (self.before)(&mut request);
        (self.after)(self.inner.send(request).await)
    }
}

#[async_trait]
impl Transport for Broken {
    async fn send(&self, mut request: Request<Body>) -> Answer {
        match &self.how {
            How::AsItShould => self.sent(request).await,
            How::Again => {
                let again = copied(&mut request).await;
                match self.sent(request).await {
                    Err(error) if error.is_maybe_sent() => self.sent(again).await,
                    answer => answer,
                }
            }
            How::BufferedResponse => {
                let (head, body) = self.sent(request).await?.into_parts();
                let body = body.bytes().await.map_err(TransportError::new)?;
                Ok(Response::from_parts(head, body.into()))
            }
            How::BufferedRequest => {
                copied(&mut request).await;
                self.sent(request).await
            }
            How::TruncatedRequest(most) => {
                let mut request = copied(&mut request).await;
                let short = Bytes::copy_from_slice(request.body().as_bytes().unwrap());
                *request.body_mut() = short.slice(..short.len().min(*most)).into();
                self.sent(request).await
            }
            How::TruncatedResponse(most) => {
                let (head, body) = self.sent(request).await?.into_parts();
                Ok(Response::from_parts(head, first(body, *most).await))
            }
            How::Background(handle) => {
                let inner = self.clone();
                handle.spawn(async move { inner.sent(request).await }).await.unwrap()
            }
            How::Keeping(kept) => {
                let (head, body) = self.sent(request).await?.into_parts();
                kept.lock().unwrap().push(body);
                // For as long as the process runs.
                std::mem::forget(Arc::clone(kept));
                Ok(Response::from_parts(head, Body::empty()))
            }
            How::OneAtATime(one) => {
                let _one = one.lock().await;
                self.sent(request).await
            }
            How::FollowingWithCredentials => self.follow(request).await,
        }
    }
}

impl Broken {
    async fn follow(&self, request: Request<Body>) -> Answer {
        let credentials: Vec<_> = [AUTHORIZATION, COOKIE]
            .into_iter()
            .filter_map(|name| Some((name.clone(), request.headers().get(&name)?.clone())))
            .collect();
        let uri = request.uri().clone();
        let plain = ReqwestTransport::client_builder().no_proxy().build().unwrap();
        let plain = ReqwestTransport::new(plain).with_handle(super::RUNTIME.handle().clone());
        let response = plain.send(request).await?;
        let Some(location) = response.headers().get(LOCATION) else { return Ok(response) };
        let mut next = Request::new(Body::empty());
        *next.uri_mut() = location.to_str().unwrap().parse().unwrap();
        next.headers_mut().extend(credentials);
        let mut response = plain.send(next).await?;
        assert_ne!(response.extensions_mut().get(), Some(&FinalUri(uri)));
        Ok(response)
    }
}

/// Reads the body, puts it back, and copies the request.
async fn copied(request: &mut Request<Body>) -> Request<Body> {
    let bytes = std::mem::take(request.body_mut()).bytes().await.unwrap();
    *request.body_mut() = bytes.clone().into();
    let mut copy = Request::new(bytes.into());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// The first bytes, and no failure.
async fn first(mut body: Body, most: usize) -> Body {
    let mut left = most;
    let mut chunks = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        let data = data.slice(..data.len().min(left));
        left -= data.len();
        chunks.push(Ok::<_, std::io::Error>(data));
    }
    Body::stream(stream::iter(chunks).boxed())
}
