//! The world of these tests: a session and a client on scripted parts, in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{AuthClient, Body, ClientBuilder, Error, ErrorKind, Event, Session, SessionBuilder, Tokens};
use auth_testkit::{
    ManualRuntime, RefresherHandle, Running, ScriptedRefresher, ScriptedStore, ScriptedTransport, SendCall,
    StoreHandle, TransportHandle, numbered,
};
use http::{Request, Response};

pub const ORIGIN: &str = "https://api.example.com";

pub type Answer = Result<Response<Body>, Error>;

pub struct World {
    pub runtime: ManualRuntime,
    pub refresher: RefresherHandle,
    pub store: StoreHandle,
    pub api: TransportHandle,
    pub session: Session,
    pub client: AuthClient<ScriptedTransport>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl World {
    /// A world in which nobody has signed in and the store is empty.
    pub fn new() -> Self {
        Self::with(|session| session, |client| client)
    }

    /// The same, with other settings.
    pub fn with(
        session: impl FnOnce(SessionBuilder) -> SessionBuilder,
        client: impl FnOnce(ClientBuilder<ScriptedTransport>) -> ClientBuilder<ScriptedTransport>,
    ) -> Self {
        let (store, store_handle) = ScriptedStore::new();
        Self::on(store, store_handle, session, client)
    }

    /// The same, on a store that others may share.
    pub fn on(
        store: ScriptedStore,
        store_handle: StoreHandle,
        session: impl FnOnce(SessionBuilder) -> SessionBuilder,
        client: impl FnOnce(ClientBuilder<ScriptedTransport>) -> ClientBuilder<ScriptedTransport>,
    ) -> Self {
        let runtime = ManualRuntime::new();
        let (refresher, refresher_handle) = ScriptedRefresher::new();
        let (transport, api) = ScriptedTransport::new();
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let builder = Session::builder(refresher)
            .store(store)
            .runtime(runtime.clone())
            .on_event(move |event| seen.lock().unwrap().push(event.clone()));
        let session = session(builder).build();
        let builder = AuthClient::builder(transport, session.clone()).origin(ORIGIN);
        let client = client(builder).build().unwrap();
        Self { runtime, refresher: refresher_handle, store: store_handle, api, session, client, events }
    }

    /// A world in which somebody is signed in with T0 and R0, and that is saved.
    pub fn signed_in() -> Self {
        let world = Self::new();
        world.sign_in(numbered(0));
        world
    }

    /// Signs in and waits for the store.
    pub fn sign_in(&self, tokens: Tokens) {
        self.runtime.block_on(self.session.sign_in(tokens)).unwrap();
    }

    /// Starts a GET of this path, and lets everything go on as far as it goes.
    pub fn get(&self, path: &str) -> Running<Answer> {
        self.send(Request::get(path).body(Body::empty()).unwrap())
    }

    /// Starts a request, and lets everything go on as far as it goes.
    pub fn send(&self, request: Request<Body>) -> Running<Answer> {
        let client = self.client.clone();
        let running = self.runtime.start(async move { client.send(request).await });
        self.settle();
        running
    }

    /// Lets everything go on as far as it goes without time passing.
    pub fn settle(&self) {
        self.runtime.run_until_stalled();
    }

    pub fn pass(&self, time: Duration) {
        self.runtime.advance(time);
    }

    /// The next request that has reached the API, answered with this status.
    pub fn api_answers(&self, status: u16) -> Option<String> {
        let call = self.next_call();
        let bearer = call.bearer().map(str::to_owned);
        call.respond(status);
        self.settle();
        bearer
    }

    pub fn next_call(&self) -> SendCall {
        self.api.try_next().expect("a request has reached the API")
    }

    /// The refresher's pending call, answered with this pair.
    pub fn refresh_answers(&self, tokens: Tokens) {
        self.refresher.try_next().expect("a refresh is under way").answer(tokens);
        self.settle();
    }

    /// A request that is rejected once and waits for the refresh that it has started or joined.
    pub fn rejected(&self, path: &str) -> Running<Answer> {
        let running = self.get(path);
        assert!(self.api_answers(401).is_some());
        assert!(!running.is_finished());
        running
    }

    /// The bearer tokens that the API has seen, in the order of the first polls.
    pub fn bearers(&self) -> Vec<String> {
        self.api.log().iter().map(|sent| sent.bearer().unwrap_or("none").to_owned()).collect()
    }

    pub fn events(&self) -> Vec<Event> {
        self.settle();
        self.events.lock().unwrap().clone()
    }

    /// The access token in the store.
    pub fn stored(&self) -> Option<String> {
        self.store.content().map(|tokens| tokens.access_token().reveal().to_owned())
    }
}

/// The status of a request that has ended with a response.
#[track_caller]
pub fn status(running: &Running<Answer>) -> u16 {
    running.take().expect("the request has ended").expect("with a response").status().as_u16()
}

/// The error of a request that has ended with one.
#[track_caller]
pub fn error(running: &Running<Answer>) -> Error {
    running.take().expect("the request has ended").expect_err("with an error")
}

#[track_caller]
pub fn kind(running: &Running<Answer>) -> ErrorKind {
    error(running).kind()
}
