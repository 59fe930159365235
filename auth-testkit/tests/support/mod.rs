//! A client for the test server, with a deadline on everything that could hang.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::time::Duration;

use auth_core::{Body, Tokens, Transport, TransportError};
use auth_reqwest::ReqwestTransport;
use auth_testkit::server::TestServer;
use http::{Request, Response, StatusCode};
use serde_json::Value;

pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn transport() -> ReqwestTransport {
    ReqwestTransport::new(ReqwestTransport::client_builder().no_proxy().build().unwrap())
}

pub(crate) async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("it hangs")
}

pub(crate) async fn send(request: Request<Body>) -> Result<Response<Body>, TransportError> {
    bounded(transport().send(request)).await
}

pub(crate) fn get_with(tokens: &Tokens, url: &str) -> Request<Body> {
    let bearer = format!("Bearer {}", tokens.access_token().reveal());
    Request::get(url).header("authorization", bearer).body(Body::empty()).unwrap()
}

/// The status of a protected resource for these tokens.
pub(crate) async fn status(server: &TestServer, tokens: &Tokens) -> StatusCode {
    send(get_with(tokens, &server.api("/notes"))).await.unwrap().status()
}

pub(crate) fn form(url: &str, form: &str) -> Request<Body> {
    let request = Request::post(url).header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(form.to_owned())).unwrap()
}

pub(crate) fn refresh_request(server: &TestServer, refresh_token: &str) -> Request<Body> {
    let text = format!("grant_type=refresh_token&refresh_token={refresh_token}&client_id=notes");
    form(&server.token_endpoint(), &text)
}

pub(crate) fn refresh_text(tokens: &Tokens) -> &str {
    tokens.refresh_token().unwrap().reveal()
}

/// Presents the refresh token: the status and the answer.
pub(crate) async fn refresh(server: &TestServer, tokens: &Tokens) -> (StatusCode, Value) {
    let response = send(refresh_request(server, refresh_text(tokens))).await.unwrap();
    (response.status(), bounded(response.into_body().json()).await.unwrap())
}

/// Presents the refresh token, and reads the answer as a client does.
pub(crate) async fn refreshed(server: &TestServer, tokens: &Tokens) -> Tokens {
    let response = send(refresh_request(server, refresh_text(tokens))).await.unwrap();
    let received = std::time::SystemTime::now();
    let body = bounded(response.into_body().bytes()).await.unwrap();
    auth_core::TokenResponse::parse(&body, received).unwrap()
}
