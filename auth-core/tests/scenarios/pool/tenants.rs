//! Tenants: a pool whose sessions are on scripted parts, one set a tenant. The parts outlive the session, as a server and a
//! database do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{AuthClient, Body, Error, Session, SessionBuilder, Sessions, SessionsBuilder, Tokens};
use auth_testkit::{
    ManualRuntime, RefresherHandle, Running, ScriptedRefresher, ScriptedStore, ScriptedTransport,
    StoreHandle, TransportHandle, numbered,
};
use http::Request;

use crate::world::{Answer, ORIGIN};

pub struct Tenants {
    pub runtime: ManualRuntime,
    pub api: TransportHandle,
    pub sessions: Sessions<u64>,
    transport: ScriptedTransport,
    parts: Arc<Mutex<BTreeMap<u64, Parts>>>,
}

#[derive(Clone)]
pub struct Parts {
    pub refresher: RefresherHandle,
    pub store: StoreHandle,
    /// How often a session was made of them.
    pub made: usize,
    scripted: (ScriptedRefresher, ScriptedStore),
}

impl Parts {
    fn new() -> Self {
        let (refresher, refresher_handle) = ScriptedRefresher::new();
        let (store, store_handle) = ScriptedStore::new();
        Self { refresher: refresher_handle, store: store_handle, made: 0, scripted: (refresher, store) }
    }

    /// The access token in the store.
    pub fn stored(&self) -> Option<String> {
        self.store.content().map(|tokens| tokens.access_token().reveal().to_owned())
    }
}

/// A tenant's pair of this generation: whose it is can be told from the token.
pub fn pair(tenant: u64, generation: u64) -> Tokens {
    numbered(1_000 * tenant + generation)
}

impl Tenants {
    pub fn new() -> Self {
        Self::with(|pool| pool, |session| session)
    }

    /// At most so many.
    pub fn most(max: usize) -> Self {
        Self::with(|pool| pool.max(max), |session| session)
    }

    pub fn with(
        pool: impl FnOnce(SessionsBuilder<u64>) -> SessionsBuilder<u64>,
        session: impl Fn(SessionBuilder) -> SessionBuilder + Send + Sync + 'static,
    ) -> Self {
        let runtime = ManualRuntime::new();
        let parts: Arc<Mutex<BTreeMap<u64, Parts>>> = Arc::default();
        let made = Arc::clone(&parts);
        let builder = Sessions::builder(move |tenant: &u64| {
            let (refresher, store) = {
                let mut parts = made.lock().unwrap();
                let parts = parts.entry(*tenant).or_insert_with(Parts::new);
                parts.made += 1;
                parts.scripted.clone()
            };
            session(Session::builder(refresher).store(store))
        });
        let sessions = pool(builder.runtime(runtime.clone())).build();
        let (transport, api) = ScriptedTransport::new();
        Self { runtime, api, sessions, transport, parts }
    }

    /// A tenant's parts, used or not.
    pub fn parts(&self, tenant: u64) -> Parts {
        self.parts.lock().unwrap().entry(tenant).or_insert_with(Parts::new).clone()
    }

    pub fn made(&self, tenant: u64) -> usize {
        self.parts(tenant).made
    }

    #[track_caller]
    pub fn get(&self, tenant: u64) -> Session {
        self.sessions.get(&tenant).expect("there is room")
    }

    /// A session that is signed in with the tenant's first pair, and that is saved.
    #[track_caller]
    pub fn signed_in(&self, tenant: u64) -> Session {
        let session = self.get(tenant);
        self.runtime.block_on(session.sign_in(pair(tenant, 0))).unwrap();
        session
    }

    pub fn client(&self, tenant: u64) -> AuthClient<ScriptedTransport> {
        let builder = AuthClient::builder(self.transport.clone(), self.get(tenant));
        builder.origin(ORIGIN).build().unwrap()
    }

    /// Starts a GET as this tenant, who is known until it ends. The path says who it is.
    pub fn request(&self, tenant: u64) -> Running<Answer> {
        let client = self.client(tenant);
        let request = Request::get(format!("/{tenant}")).body(Body::empty()).unwrap();
        let running = self.runtime.start(async move { client.send(request).await });
        self.settle();
        running
    }

    /// The request that has reached the API, answered with this status. Returns its path and token.
    #[track_caller]
    pub fn api_answers(&self, status: u16) -> (String, String) {
        let call = self.api.try_next().expect("a request has reached the API");
        let seen = (call.request().uri().path().to_owned(), call.bearer().unwrap_or("none").to_owned());
        call.respond(status);
        self.settle();
        seen
    }

    /// Starts a forced refresh, as far as it goes.
    pub fn refresh(&self, session: &Session) -> Running<Result<(), Error>> {
        let session = session.clone();
        let running = self.runtime.start(async move { session.refresh(None).await.map(drop) });
        self.settle();
        running
    }

    /// Starts a refresh that nobody waits for.
    pub fn leave_refreshing(&self, tenant: u64) {
        self.refresh(&self.get(tenant)).cancel();
        self.settle();
    }

    pub fn settle(&self) {
        self.runtime.run_until_stalled();
    }

    pub fn pass(&self, time: Duration) {
        self.runtime.advance(time);
    }

    /// Longer than any session may be idle.
    pub fn pass_idle(&self) {
        self.pass(Duration::from_secs(15 * 60));
    }

    /// Whose sessions there are.
    pub fn there(&self) -> Vec<u64> {
        let mut keys = Vec::new();
        self.sessions.for_each(|tenant, _| keys.push(*tenant));
        keys.sort_unstable();
        keys
    }
}
