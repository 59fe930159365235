//! The world of these tests: the SDK on a scripted transport, in virtual time. The test plays both servers by hand.

use std::sync::{Arc, Mutex};

use auth_core::{Body, EndReason, TokenStore, Transport};
use auth_testkit::{ManualRuntime, Running, ScriptedTransport, SendCall, TransportHandle, numbered};
use http::Response;
use notes_sdk::testing::Shelf;
use notes_sdk::{Error, Notes, NotesBuilder};

pub(crate) type Client = Notes<Shelf<ScriptedTransport>>;

pub(crate) struct World {
    pub(crate) runtime: ManualRuntime,
    pub(crate) network: TransportHandle,
    pub(crate) notes: Client,
    ended: Arc<Mutex<Vec<EndReason>>>,
}

impl World {
    /// Somebody is signed in with T0 and R0.
    pub(crate) fn signed_in() -> Self {
        Self::with(|notes| notes)
    }

    /// The same, on this store.
    pub(crate) fn on(store: impl TokenStore) -> Self {
        Self::with(|notes| notes.store(store))
    }

    fn with<F>(change: F) -> Self
    where
        F: FnOnce(NotesBuilder<Shelf<ScriptedTransport>>) -> NotesBuilder<Shelf<ScriptedTransport>>,
    {
        let runtime = ManualRuntime::new();
        let (transport, network) = ScriptedTransport::new();
        let ended = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&ended);
        let notes = Notes::builder(Shelf::new(transport))
            .service("https://api.example.com/v1")
            .login("https://login.example.com")
            .runtime(runtime.clone())
            .on_session_ended(move |ended| hook.lock().unwrap().push(ended.reason));
        let notes = change(notes).build().unwrap();
        runtime.block_on(notes.sign_in(numbered(0))).unwrap();
        Self { runtime, network, notes, ended }
    }

    /// Starts a call, and lets everything go on as far as it goes.
    pub(crate) fn start<R, F>(&self, call: impl FnOnce(Client) -> F) -> Running<Result<R, Error>>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, Error>> + Send + 'static,
    {
        let running = self.runtime.start(call(self.notes.clone()));
        self.runtime.run_until_stalled();
        running
    }

    /// Starts a listing of the notes.
    pub(crate) fn list(&self) -> Running<Result<Vec<notes_sdk::Note>, Error>> {
        self.start(|notes| async move { notes.list().await })
    }

    /// The next request to the API.
    #[track_caller]
    pub(crate) fn api(&self) -> SendCall {
        let call = self.network.try_next().expect("a request is under way");
        assert_eq!(call.request().uri().host(), Some("api.example.com"));
        call
    }

    /// The next request to the login server, with its form.
    #[track_caller]
    pub(crate) fn login(&self, path: &str) -> (SendCall, String) {
        let call = self.network.try_next().expect("a request is under way");
        assert_eq!(call.request().uri().to_string(), format!("https://login.example.com{path}"));
        assert_eq!(call.bearer(), None);
        let form = String::from_utf8(call.request().body().as_bytes().unwrap().to_vec()).unwrap();
        (call, form)
    }

    /// Answers a call, and lets everything go on as far as it goes.
    pub(crate) fn answer(&self, call: SendCall, status: u16, body: impl Into<Body>) {
        call.answer(Response::builder().status(status).body(body.into()).unwrap());
        self.runtime.run_until_stalled();
    }

    /// The API answers its next request with this status; returns the token it came with.
    #[track_caller]
    pub(crate) fn api_answers(&self, status: u16) -> String {
        let call = self.api();
        let bearer = call.bearer().unwrap_or("none").to_owned();
        self.answer(call, status, ());
        bearer
    }

    /// The login server exchanges `R{n}` for the next pair.
    #[track_caller]
    pub(crate) fn refreshes(&self, n: u64) {
        let (call, form) = self.login("/token");
        assert_eq!(form, format!("grant_type=refresh_token&refresh_token=R{n}&client_id=notes-sdk"));
        self.answer(call, 200, granted(n + 1));
    }

    /// Why the session has ended, as often as the hook was told.
    pub(crate) fn ended(&self) -> Vec<EndReason> {
        self.runtime.run_until_stalled();
        self.ended.lock().unwrap().clone()
    }

    /// Which tokens the API was asked with.
    pub(crate) fn bearers(&self) -> Vec<String> {
        self.network.log().iter().filter_map(|sent| sent.bearer().map(str::to_owned)).collect()
    }
}

/// The login server's answer that grants the pair of generation `n`.
pub(crate) fn granted(n: u64) -> String {
    format!(
        r#"{{"access_token": "T{n}", "refresh_token": "R{n}", "token_type": "bearer", "expires_in": 3600}}"#
    )
}

/// The result of a call that has ended.
#[track_caller]
pub(crate) fn result<R>(running: &Running<Result<R, Error>>) -> Result<R, Error> {
    running.take().expect("the call has ended")
}

/// A transport that reaches nobody.
#[derive(Clone, Copy)]
pub(crate) struct Unreachable;

#[auth_core::async_trait]
impl Transport for Unreachable {
    async fn send(&self, _: http::Request<Body>) -> Result<Response<Body>, auth_core::TransportError> {
        Err(auth_core::TransportError::new("refused").connect())
    }
}
