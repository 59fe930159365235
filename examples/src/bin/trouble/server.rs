//! The other side: a token endpoint and an API in virtual time, and what goes wrong with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::{Body, Runtime as _, Tokens, Transport, TransportError, async_trait};
use auth_testkit::{ManualRuntime, response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};

pub(crate) const API: &str = "https://api.example.com";
pub(crate) const TOKEN_ENDPOINT: &str = "https://login.example.com/token";
pub(crate) const REVOCATION: &str = "https://login.example.com/revoke";
/// The header in which a request says for whom it was made.
pub(crate) const MADE_FOR: &str = "x-made-for";

pub(crate) const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// A refresh token whose answer was lost may be presented again for this long.
const GRACE: Duration = Duration::from_secs(10);
const QUICK: Duration = Duration::from_millis(40);
/// An answer that takes its time: everything under `/reports`.
const LONG: Duration = Duration::from_secs(6);

/// How the token endpoint does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Endpoint {
    Up,
    /// 503s, some with `Retry-After`, and a proxy's page in between.
    Out,
    /// The next answer is lost on its way; then it is up.
    LosesAnAnswer,
    Slow(Duration),
}

/// What the server has seen.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) token_requests: usize,
    pub(crate) granted: usize,
    /// Those that failed in the outage.
    pub(crate) unavailable: usize,
    /// Those whose answer did not arrive.
    pub(crate) lost: usize,
    pub(crate) refused: usize,
    /// Refresh tokens presented again because their answer had been lost.
    pub(crate) asked_again: usize,
    /// Refresh tokens presented again for no good reason.
    pub(crate) replayed_grants: usize,
    pub(crate) most_at_once: usize,
    pub(crate) api_requests: usize,
    /// Requests that carried another user's token than the one that they were made for.
    pub(crate) crossed: usize,
    pub(crate) revoked: usize,
}

#[derive(Clone)]
pub(crate) struct Server {
    runtime: ManualRuntime,
    state: Arc<Mutex<State>>,
}

struct State {
    endpoint: Endpoint,
    rejects_everything: bool,
    issued: u32,
    /// When each expires.
    access: HashMap<String, Duration>,
    refresh: HashMap<String, Refresh>,
    under_way: usize,
    seen: Seen,
}

struct Refresh {
    user: &'static str,
    spent: Option<Spent>,
    dead: bool,
}

struct Spent {
    at: Duration,
    lost: bool,
    gave: Pair,
}

#[derive(Clone)]
struct Pair {
    access: String,
    refresh: String,
}

impl Server {
    pub(crate) fn new(runtime: &ManualRuntime) -> Self {
        let state = State {
            endpoint: Endpoint::Up,
            rejects_everything: false,
            issued: 0,
            access: HashMap::new(),
            refresh: HashMap::new(),
            under_way: 0,
            seen: Seen::default(),
        };
        Self { runtime: runtime.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// What a login page gives.
    pub(crate) fn issue(&self, user: &'static str) -> Result<Tokens, auth_core::InvalidToken> {
        let pair = self.state().issue(user, self.runtime.elapsed());
        let tokens = Tokens::new(pair.access)?.with_refresh_token(pair.refresh);
        Ok(tokens.with_expires_in(LIFETIME, self.runtime.now()))
    }

    pub(crate) fn token_endpoint_is(&self, endpoint: Endpoint) {
        self.state().endpoint = endpoint;
    }

    /// The API answers 401, whatever the token.
    pub(crate) fn rejects_everything(&self, rejects: bool) {
        self.state().rejects_everything = rejects;
    }

    /// No access token is good any more.
    pub(crate) fn forget_access_tokens(&self) {
        self.state().access.clear();
    }

    /// No refresh token is good any more; access tokens are.
    pub(crate) fn kill_refresh_tokens(&self) {
        self.state().refresh.values_mut().for_each(|token| token.dead = true);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.state().seen
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn api(&self, request: Request<Body>) -> Response<Body> {
        let status = self.state().judge(&request, self.runtime.elapsed());
        let long = request.uri().path().starts_with("/reports");
        self.runtime.sleep(if long { LONG } else { QUICK }).await;
        response(status)
    }

    async fn token(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let form = request.into_body().bytes().await.map_err(TransportError::new)?;
        let token = field(&form, "refresh_token");
        let (endpoint, takes) = self.state().begin();
        self.runtime.sleep(takes).await;
        let mut state = self.state();
        state.under_way -= 1;
        if endpoint == Endpoint::Out {
            let number = state.seen.unavailable;
            state.seen.unavailable += 1;
            return Ok(unavailable(number));
        }
        let Some(pair) = state.exchange(&token, endpoint == Endpoint::LosesAnAnswer, self.runtime.elapsed())
        else {
            state.seen.refused += 1;
            return Ok(json(StatusCode::BAD_REQUEST, r#"{"error": "invalid_grant"}"#.to_owned()));
        };
        if endpoint == Endpoint::LosesAnAnswer {
            state.endpoint = Endpoint::Up;
            state.seen.lost += 1;
            return Err(TransportError::new("the connection broke").maybe_sent());
        }
        state.seen.granted += 1;
        let Pair { access, refresh } = pair;
        let lifetime = LIFETIME.as_secs();
        Ok(json(
            StatusCode::OK,
            format!(
                r#"{{"access_token": "{access}", "refresh_token": "{refresh}", "expires_in": {lifetime}}}"#
            ),
        ))
    }

    async fn revoke(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let form = request.into_body().bytes().await.map_err(TransportError::new)?;
        let token = field(&form, "token");
        self.runtime.sleep(QUICK).await;
        let mut state = self.state();
        state.seen.revoked += 1;
        if let Some(refresh) = state.refresh.get_mut(&token) {
            refresh.dead = true;
        }
        Ok(response(StatusCode::OK))
    }
}

#[async_trait]
impl Transport for Server {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        match (request.uri().host(), request.uri().path()) {
            (Some("login.example.com"), "/token") => self.token(request).await,
            (Some("login.example.com"), _) => self.revoke(request).await,
            _ => Ok(self.api(request).await),
        }
    }
}

impl State {
    fn issue(&mut self, user: &'static str, now: Duration) -> Pair {
        self.issued += 1;
        let pair = Pair {
            access: format!("access-{user}-{}", self.issued),
            refresh: format!("refresh-{user}-{}", self.issued),
        };
        self.access.insert(pair.access.clone(), now + LIFETIME);
        self.refresh.insert(pair.refresh.clone(), Refresh { user, spent: None, dead: false });
        pair
    }

    /// A request has reached the API.
    fn judge(&mut self, request: &Request<Body>, now: Duration) -> StatusCode {
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let token = text(AUTHORIZATION.as_str()).and_then(|text| text.strip_prefix("Bearer ")).unwrap_or("");
        self.seen.api_requests += 1;
        // Its text says whose a token is, though it may be good no more.
        let owner = token.split('-').nth(1);
        self.seen.crossed += usize::from(owner != text(MADE_FOR));
        let good = self.access.get(token).is_some_and(|until| now < *until);
        let accepted = good && !self.rejects_everything;
        if accepted { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
    }

    /// A token request has arrived. How the endpoint does, and how long it takes for it.
    fn begin(&mut self) -> (Endpoint, Duration) {
        self.seen.token_requests += 1;
        self.under_way += 1;
        self.seen.most_at_once = self.seen.most_at_once.max(self.under_way);
        let takes = if let Endpoint::Slow(takes) = self.endpoint { takes } else { QUICK * 2 };
        (self.endpoint, takes)
    }

    /// A rotation, and what a good server makes of a token that was spent.
    fn exchange(&mut self, token: &str, lost: bool, now: Duration) -> Option<Pair> {
        let refresh = self.refresh.get(token).filter(|refresh| !refresh.dead)?;
        let user = refresh.user;
        if let Some(spent) = &refresh.spent {
            let good = spent.lost && now < spent.at + GRACE;
            let gave = spent.gave.clone();
            let counter = if good { &mut self.seen.asked_again } else { &mut self.seen.replayed_grants };
            *counter += 1;
            return good.then_some(gave);
        }
        let gave = self.issue(user, now);
        if let Some(refresh) = self.refresh.get_mut(token) {
            refresh.spent = Some(Spent { at: now, lost, gave: gave.clone() });
        }
        Some(gave)
    }
}

/// What an endpoint that is out answers, one after the other.
fn unavailable(number: usize) -> Response<Body> {
    let busy = |seconds: &'static str| {
        let mut busy = response(StatusCode::SERVICE_UNAVAILABLE);
        busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        busy
    };
    match number % 4 {
        0 => busy("120"),
        1 => {
            let mut page = response(StatusCode::OK);
            page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            *page.body_mut() = Body::from("<html><h1>We will be back soon</h1></html>");
            page
        }
        2 => response(StatusCode::SERVICE_UNAVAILABLE),
        _ => busy("60"),
    }
}

fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut json = response(status);
    json.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *json.body_mut() = Body::from(text);
    json
}

fn field(form: &[u8], name: &str) -> String {
    let found = form_urlencoded::parse(form).find(|(field, _)| field == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}
