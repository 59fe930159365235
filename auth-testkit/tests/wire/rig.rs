//! The rig: a real server, and a client of it whose attempts are noted.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auth_core::{
    Attempt, AuthClient, Body, Error, RefreshError, Refresher, Runtime, Session, TokenResponse, Tokens,
    Transport, TransportError, async_trait,
};
use auth_testkit::server::TestServer;
use http::{Request, Response};

use crate::backend::Backend;

pub struct Rig<B: Backend> {
    pub server: TestServer,
    pub session: Session,
    pub client: AuthClient<Noted<B::Transport>>,
    attempts: Arc<Mutex<Vec<Attempt>>>,
}

/// A transport that notes each attempt at its first poll.
pub struct Noted<T> {
    transport: T,
    attempts: Arc<Mutex<Vec<Attempt>>>,
}

#[async_trait]
impl<T: Transport> Transport for Noted<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let attempt = request.extensions().get::<Attempt>().copied();
        self.attempts.lock().unwrap().extend(attempt);
        self.transport.send(request).await
    }
}

/// A public client's refresher: a form in, JSON out.
pub struct Form<T> {
    pub transport: T,
    pub endpoint: String,
}

#[async_trait]
impl<T: Transport> Refresher for Form<T> {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        let token = current.refresh_token().expect("there is one").reveal();
        let request = Request::post(&self.endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(format!("grant_type=refresh_token&client_id=rig&refresh_token={token}")))
            .map_err(RefreshError::misconfigured)?;
        let response = self.transport.send(request).await?;
        TokenResponse::read(response, SystemTime::now()).await
    }
}

impl<B: Backend> Rig<B> {
    /// Signed in, with a token that the server has just let expire.
    pub fn expired() -> Self {
        Self::with(B::transport(), TestServer::token_endpoint, B::runtime())
    }

    pub fn with(
        transport: B::Transport,
        endpoint: impl FnOnce(&TestServer) -> String,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let server = TestServer::start().unwrap();
        let refresher = Form { transport: B::transport(), endpoint: endpoint(&server) };
        let session =
            Session::builder(refresher).runtime(runtime).patience(Duration::from_millis(50)).build();
        let attempts = Arc::<Mutex<Vec<Attempt>>>::default();
        let noted = Noted { transport, attempts: Arc::clone(&attempts) };
        let client = AuthClient::builder(noted, session.clone()).origin(server.base_url()).build().unwrap();
        B::wait(session.sign_in(server.issue())).unwrap();
        server.expire_access_tokens();
        Self { server, session, client, attempts }
    }

    pub fn get(&self, path: &str) -> Request<Body> {
        Request::get(self.server.api(path)).body(Body::empty()).unwrap()
    }

    pub fn post(&self, path: &str, body: Body) -> Request<Body> {
        Request::post(self.server.api(path)).body(body).unwrap()
    }

    pub fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        B::wait(self.client.send(request))
    }

    /// The tickets of the replays, in the order of their first polls.
    pub fn tickets(&self) -> Vec<u64> {
        self.attempts
            .lock()
            .unwrap()
            .iter()
            .filter(|attempt| attempt.number == 2)
            .filter_map(|attempt| attempt.ticket)
            .collect()
    }

    pub fn attempts(&self) -> usize {
        self.attempts.lock().unwrap().len()
    }
}
