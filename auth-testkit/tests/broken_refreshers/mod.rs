//! A good refresher with one thing broken.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use auth_core::{Body, RefreshError, Refresher, TokenResponse, Tokens, Transport, async_trait};
use auth_reqwest::ReqwestTransport;
use auth_testkit::server::TestServer;
use http::{Request, Response};

type Refreshed = Result<Tokens, RefreshError>;
type Form = Box<dyn Fn(&Tokens) -> Vec<(String, String)> + Send + Sync>;
type Change = Box<dyn Fn(&mut Request<Body>, &Tokens) + Send + Sync>;
type Judge = Box<dyn Fn(&Answer, Refreshed) -> Refreshed + Send + Sync>;
type Again = Box<dyn Fn(&Answer) -> bool + Send + Sync>;

/// What came, for whoever judges it wrongly.
pub(crate) struct Answer {
    /// None where there was no whole response.
    pub(crate) status: Option<u16>,
    pub(crate) text: String,
    pub(crate) current: Tokens,
}

pub(crate) struct Broken {
    transport: ReqwestTransport,
    token_endpoint: String,
    revocation_endpoint: String,
    acquiring: bool,
    form: Form,
    encode: fn(&str) -> String,
    change: Change,
    judge: Judge,
    again: Again,
    can_refresh: Option<bool>,
    one_at_a_time: Option<tokio::sync::Mutex<()>>,
    busy: Option<AtomicBool>,
    current: Option<Mutex<Option<Tokens>>>,
    revoke: fn(Result<Response<Body>, auth_core::TransportError>),
}

impl Broken {
    pub(crate) fn new(server: &TestServer, transport: ReqwestTransport) -> Self {
        Self {
            transport,
            token_endpoint: server.token_endpoint(),
            revocation_endpoint: server.revocation_endpoint(),
            acquiring: false,
            form: Box::new(|current| {
                vec![
                    ("grant_type".to_owned(), "refresh_token".to_owned()),
                    ("refresh_token".to_owned(), refresh_text(current).to_owned()),
                ]
            }),
            encode: percent,
            change: Box::new(|_, _| ()),
            judge: Box::new(|_, answer| answer),
            again: Box::new(|_| false),
            can_refresh: None,
            one_at_a_time: None,
            busy: None,
            current: None,
            revoke: drop,
        }
    }

    /// Needs no refresh token.
    pub(crate) fn acquiring(mut self) -> Self {
        self.acquiring = true;
        self.can_refresh = Some(true);
        self.form = Box::new(|_| vec![("grant_type".to_owned(), "client_credentials".to_owned())]);
        self
    }

    pub(crate) fn presenting(mut self, text: impl Fn(&Tokens) -> &str + Send + Sync + 'static) -> Self {
        self.form = Box::new(move |current| {
            vec![
                ("grant_type".to_owned(), "refresh_token".to_owned()),
                ("refresh_token".to_owned(), text(current).to_owned()),
            ]
        });
        self
    }

    pub(crate) fn encoding(mut self, encode: fn(&str) -> String) -> Self {
        self.encode = encode;
        self
    }

    pub(crate) fn changing(
        mut self,
        change: impl Fn(&mut Request<Body>, &Tokens) + Send + Sync + 'static,
    ) -> Self {
        self.change = Box::new(change);
        self
    }

    pub(crate) fn judging(
        mut self,
        judge: impl Fn(&Answer, Refreshed) -> Refreshed + Send + Sync + 'static,
    ) -> Self {
        self.judge = Box::new(judge);
        self
    }

    /// Once more, where this says so of the first answer.
    pub(crate) fn again(mut self, again: impl Fn(&Answer) -> bool + Send + Sync + 'static) -> Self {
        self.again = Box::new(again);
        self
    }

    pub(crate) fn can_refresh(mut self, can: bool) -> Self {
        self.can_refresh = Some(can);
        self
    }

    pub(crate) fn one_at_a_time(mut self) -> Self {
        self.one_at_a_time = Some(tokio::sync::Mutex::new(()));
        self
    }

    /// Refuses while a call is under way, and does not notice when that is dropped.
    pub(crate) fn busy(mut self) -> Self {
        self.busy = Some(AtomicBool::new(false));
        self
    }

    /// Keeps the first tokens that it is given.
    pub(crate) fn remembering(mut self) -> Self {
        self.current = Some(Mutex::new(None));
        self
    }

    pub(crate) fn after_revoking(
        mut self,
        then: fn(Result<Response<Body>, auth_core::TransportError>),
    ) -> Self {
        self.revoke = then;
        self
    }

    fn request(&self, to: &str, fields: &[(String, String)], current: Option<&Tokens>) -> Request<Body> {
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", (self.encode)(value)));
        let form = pairs.collect::<Vec<_>>().join("&");
        let mut request = Request::post(to)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        if let Some(current) = current {
            (self.change)(&mut request, current);
        }
        request
    }

    async fn ask(&self, current: &Tokens) -> (Answer, Refreshed) {
        let request = self.request(&self.token_endpoint, &(self.form)(current), Some(current));
        let mut answer = Answer { status: None, text: String::new(), current: current.clone() };
        let response = match self.transport.send(request).await {
            Ok(response) => response,
            Err(error) => return (answer, Err(error.into())),
        };
        let (head, body) = response.into_parts();
        let bytes = match body.bytes().await {
            Ok(bytes) => bytes,
            Err(error) => return (answer, Err(RefreshError::unavailable(error).outcome_unknown())),
        };
        answer.status = Some(head.status.as_u16());
        answer.text = String::from_utf8_lossy(&bytes).into_owned();
        let read = TokenResponse::read(Response::from_parts(head, bytes.into()), SystemTime::now()).await;
        (answer, read)
    }

    async fn exchange(&self, current: &Tokens) -> Refreshed {
        let (mut answer, mut result) = self.ask(current).await;
        if (self.again)(&answer) {
            (answer, result) = self.ask(current).await;
        }
        (self.judge)(&answer, result)
    }
}

#[async_trait]
impl Refresher for Broken {
    async fn refresh(&self, current: &Tokens) -> Refreshed {
        let current = match &self.current {
            Some(kept) => kept.lock().unwrap().get_or_insert_with(|| current.clone()).clone(),
            None => current.clone(),
        };
        let _one = match &self.one_at_a_time {
            Some(one) => Some(one.lock().await),
            None => None,
        };
        if self.busy.as_ref().is_some_and(|busy| busy.swap(true, Ordering::SeqCst)) {
            return Err(RefreshError::unavailable("a refresh is under way"));
        }
        let result = self.exchange(&current).await;
        if let Some(busy) = &self.busy {
            busy.store(false, Ordering::SeqCst);
        }
        result
    }

    fn can_refresh(&self, current: &Tokens) -> bool {
        self.can_refresh.unwrap_or(current.refresh_token().is_some())
    }

    async fn acquire(&self) -> Result<Option<Tokens>, RefreshError> {
        if !self.acquiring {
            return Ok(None);
        }
        self.exchange(&Tokens::new("none").unwrap()).await.map(Some)
    }

    async fn revoke(&self, tokens: &Tokens) {
        let Some(token) = tokens.refresh_token() else { return };
        let form = [("token".to_owned(), token.reveal().to_owned())];
        (self.revoke)(self.transport.send(self.request(&self.revocation_endpoint, &form, None)).await);
    }
}

pub(crate) fn refresh_text(tokens: &Tokens) -> &str {
    tokens.refresh_token().map_or("", |token| token.reveal())
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
