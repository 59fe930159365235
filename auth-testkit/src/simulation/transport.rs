//! The transport of the simulated world: the way to its authorization server and its API.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use auth_core::{Attempt, Body, Stamp, Transport, TransportError, async_trait};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, Response, StatusCode};

use super::authority::{Grant, Special};
use super::plan::{ApiFault, TokenFault};
use super::record::{Token, What};
use super::request::{self, RequestId};
use super::secret;
use super::universe::{Universe, Who};
use crate::lock::lock;

/// Where the world's authorization server exchanges refresh tokens (a POST whose body has the refresh token in it).
pub const TOKEN_URL: &str = "https://login.test/token";
/// Where it revokes them.
pub const REVOKE_URL: &str = "https://login.test/revoke";
/// The origin of the world's API.
pub const API_ORIGIN: &str = "https://api.test";
/// In the body of a request for first tokens.
pub(crate) const FIRST_TOKENS: &str = "grant_type=client_credentials";

/// A [`Transport`] of the simulated world, as one process has it: everything under the host of [`TOKEN_URL`] is the
/// authorization server, everything else is the API.
#[derive(Clone)]
pub struct SimulatedTransport {
    universe: Arc<Universe>,
    who: Who,
}

impl SimulatedTransport {
    pub(crate) fn new(universe: &Arc<Universe>, who: Who) -> Self {
        Self { universe: Arc::clone(universe), who }
    }

    async fn api(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let universe = &self.universe;
        let (head, body) = request.into_parts();
        let id = head.extensions.get::<RequestId>().copied();
        let number = id.map_or(0, |id| id.number);
        let attempt = head.extensions.get::<Attempt>();
        let place = attempt.and_then(|attempt| Some((attempt.flight?.get(), attempt.ticket?)));
        let token = token_in(&head.headers);
        universe.record(
            self.who.process,
            What::Sent {
                request: number,
                attempt: attempt.map_or(1, |attempt| attempt.number),
                place,
                stamp: head.extensions.get::<Stamp>().copied(),
                token,
            },
        );
        let fault = universe.next_api(self.who.slot);
        universe.latency().await;
        if let Some(ApiFault::Slow(ms)) = fault {
            universe.sleep(ms).await;
        }
        // What cannot be read to its end is no request.
        let body = body.bytes().await.unwrap_or_default();
        if let Some(how) = id.and_then(|id| request::spoiled(id, &head, &body)) {
            universe.record(self.who.process, What::Spoiled { request: number, how: how.to_owned() });
        }
        let good = token.is_some_and(|token| lock(&universe.authority).accepts(token, universe.now()));
        let status = match fault {
            Some(ApiFault::Breaks) => None,
            Some(ApiFault::Unavailable) => Some(StatusCode::SERVICE_UNAVAILABLE),
            Some(ApiFault::Rejects) => Some(StatusCode::UNAUTHORIZED),
            Some(ApiFault::Forbids) => Some(StatusCode::FORBIDDEN),
            _ if good && id.is_none_or(|id| !request::is_always_rejected(id.kind)) => Some(StatusCode::OK),
            _ => Some(StatusCode::UNAUTHORIZED),
        };
        universe.latency().await;
        let answered = What::Answered { request: number, status: status.map(|status| status.as_u16()) };
        universe.record(self.who.process, answered);
        let Some(status) = status else {
            return Err(TransportError::new("the simulated connection broke").maybe_sent());
        };
        let mut response = Response::new(Body::from(Bytes::from_static(b"{}")));
        *response.status_mut() = status;
        let challenge = match status {
            StatusCode::UNAUTHORIZED => Some("Bearer error=\"invalid_token\""),
            StatusCode::FORBIDDEN => Some("Bearer error=\"insufficient_scope\", scope=\"admin\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, http::HeaderValue::from_static(challenge));
        }
        Ok(response)
    }

    async fn token(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let universe = &self.universe;
        let body = request.into_body().bytes().await.map_err(TransportError::new)?;
        let first = String::from_utf8_lossy(&body).contains(FIRST_TOKENS);
        let number = universe.call();
        let refresh = match find(&body) {
            Some(refresh) => {
                universe.record(self.who.process, What::Presented { call: number, refresh });
                Some(refresh)
            }
            None if first => {
                universe.record(self.who.process, What::Acquiring { call: number });
                None
            }
            None => return Ok(refused("invalid_request", 400)),
        };
        let mut call = Call { universe, process: self.who.process, number, granted: false, ended: false };
        let fault = universe.next_token(self.who.slot);
        universe.latency().await;
        if let Some(TokenFault::Slow(ms)) = fault {
            universe.sleep(ms).await;
        }
        if universe.is_out() || fault == Some(TokenFault::NoConnection) {
            call.failed(None);
            return Err(TransportError::new("the simulated connection was refused").connect());
        }
        if let Some(response) = refuses(fault) {
            universe.latency().await;
            call.failed(Some(response.status().as_u16()));
            return Ok(response);
        }
        let special = Special {
            same_access: fault == Some(TokenFault::SameAccess),
            keep_refresh: fault == Some(TokenFault::KeepRefresh),
            lifetime: if let Some(TokenFault::ShortLived(seconds)) = fault { Some(seconds) } else { None },
        };
        let answer = {
            let mut authority = lock(&universe.authority);
            match refresh {
                Some(refresh) => authority.exchange(refresh, special, universe.now()),
                None => Ok(authority.sign_in(universe.now())),
            }
        };
        let grant = match answer {
            Ok(grant) => grant,
            Err(why) => {
                universe.record(self.who.process, What::Refused { call: number, why });
                universe.latency().await;
                call.ended = true;
                return Ok(refused("invalid_grant", 400));
            }
        };
        let exchanged = What::Exchanged { call: number, access: grant.access, refresh: grant.refresh };
        universe.record(self.who.process, exchanged);
        call.granted = true;
        match fault {
            Some(TokenFault::LostAnswer) => {
                universe.latency().await;
                drop(call);
                Err(TransportError::new("the simulated connection broke").maybe_sent())
            }
            Some(TokenFault::Silent) => pending().await,
            Some(TokenFault::Garbage) => {
                universe.latency().await;
                drop(call);
                Ok(page(200))
            }
            _ => {
                universe.latency().await;
                universe.granted(self.who.process, &grant);
                call.delivered();
                Ok(granted(&grant))
            }
        }
    }

    async fn revoke(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let body = request.into_body().bytes().await.map_err(TransportError::new)?;
        self.universe.latency().await;
        if let Some(refresh) = find(&body) {
            lock(&self.universe.authority).revoke(refresh.sign_in);
            self.universe.record(self.who.process, What::Revoked { refresh });
        }
        Ok(Response::new(Body::empty()))
    }
}

/// A token request under way.
struct Call<'a> {
    universe: &'a Universe,
    process: u32,
    number: u32,
    granted: bool,
    ended: bool,
}

impl Call<'_> {
    fn failed(&mut self, status: Option<u16>) {
        self.ended = true;
        self.universe.record(self.process, What::Failed { call: self.number, status });
    }

    fn delivered(&mut self) {
        self.ended = true;
        self.universe.record(self.process, What::Delivered { call: self.number });
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let call = self.number;
            let what = if self.granted { What::Lost { call } } else { What::Abandoned { call } };
            self.universe.record(self.process, what);
        }
    }
}

#[async_trait]
impl Transport for SimulatedTransport {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        match (request.uri().host(), request.uri().path()) {
            (Some("login.test"), "/revoke") => self.revoke(request).await,
            (Some("login.test"), _) => self.token(request).await,
            _ => self.api(request).await,
        }
    }
}

/// The failure that a fault makes of a token request, where nothing is exchanged.
fn refuses(fault: Option<TokenFault>) -> Option<Response<Body>> {
    Some(match fault? {
        TokenFault::Html(status) => page(status),
        TokenFault::Unavailable => page(503),
        TokenFault::TooMany(seconds) => {
            let mut response = page(429);
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
            response
        }
        TokenFault::Echo => refused("invalid_grant", 503),
        TokenFault::InvalidClient => refused("invalid_client", 400),
        _ => return None,
    })
}

fn page(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::from("<html><body>it is not us</body></html>"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/html"));
    response
}

fn refused(code: &str, status: u16) -> Response<Body> {
    let mut response = json(&serde_json::json!({ "error": code }));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    response
}

fn granted(grant: &Grant) -> Response<Body> {
    let mut answer = serde_json::json!({
        "access_token": secret::access_text(grant.access),
        "token_type": "Bearer",
    });
    if grant.rotated {
        answer["refresh_token"] = secret::refresh_text(grant.refresh).into();
    }
    if let Some(seconds) = grant.lifetime {
        answer["expires_in"] = seconds.into();
    }
    if let Some(seconds) = grant.refresh_lifetime {
        answer["refresh_expires_in"] = seconds.into();
    }
    json(&answer)
}

fn json(value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

/// The access token that a request carries, in whatever header.
fn token_in(headers: &HeaderMap) -> Option<Token> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| find(value.as_bytes()));
    bearer.or_else(|| headers.values().find_map(|value| find(value.as_bytes())))
}

/// The token whose text is somewhere in there.
fn find(text: &[u8]) -> Option<Token> {
    std::str::from_utf8(text).ok().and_then(secret::find)
}

impl fmt::Debug for SimulatedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedTransport").field("process", &self.who.process).finish_non_exhaustive()
    }
}
