//! Building a client: which parts it is made of.

use std::fmt;
use std::sync::Arc;

use auth_core::{
    AuthClient, Runtime, Session, SessionBuilder, SessionEnded, StandaloneRuntime, TokenStore, Transport,
};
use http::Uri;

use crate::login::Login;
use crate::{Error, Notes, log};

/// The parts of a [`Notes`] client. Only the transport has no default.
#[must_use = "a builder does nothing until it builds"]
pub struct NotesBuilder<T> {
    transport: T,
    login_transport: Option<Arc<dyn Transport>>,
    runtime: Option<Arc<dyn Runtime>>,
    service: String,
    login: String,
    client_id: String,
    session: Vec<SessionChange>,
}

type SessionChange = Box<dyn FnOnce(SessionBuilder) -> SessionBuilder + Send>;

impl<T: Transport> NotesBuilder<T> {
    pub(crate) fn new(transport: T) -> Self {
        Self {
            transport,
            login_transport: None,
            runtime: None,
            service: "https://api.notes.example/v1".to_owned(),
            login: "https://login.notes.example".to_owned(),
            client_id: "notes-sdk".to_owned(),
            session: Vec::new(),
        }
    }

    /// Where the API is, with the path that all of its resources begin with.
    pub fn service(mut self, url: impl Into<String>) -> Self {
        self.service = url.into();
        self
    }

    /// Where tokens are refreshed (`/token` below it) and revoked (`/revoke`).
    pub fn login(mut self, url: impl Into<String>) -> Self {
        self.login = url.into();
        self
    }

    /// As whom this program is registered.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = id.into();
        self
    }

    /// Sends refreshes with another transport than calls: one that goes through no proxy, or never uses a connection twice.
    pub fn login_transport(mut self, transport: impl Transport) -> Self {
        self.login_transport = Some(Arc::new(transport));
        self
    }

    /// Where the session's own tasks run. Default: a thread of its own.
    pub fn runtime(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Some(Arc::new(runtime));
        self
    }

    /// Where a sign-in survives the program: [`FileStore`](crate::FileStore), or a store of yours. Default: it does not.
    pub fn store(self, store: impl TokenStore) -> Self {
        self.session(|session| session.store(store))
    }

    /// Told once when a session ends by itself: go to the login page. Not told of a sign-out.
    pub fn on_session_ended(self, hook: impl Fn(&SessionEnded) + Send + Sync + 'static) -> Self {
        self.session(|session| session.on_session_ended(hook))
    }

    /// Whatever else can be said of a session: its deadlines, its limits, a listener.
    ///
    /// ```
    /// # use auth_core::Transport;
    /// # use notes_sdk::{Error, Notes};
    /// # use std::time::Duration;
    /// # fn example(transport: impl Transport) -> Result<(), Error> {
    /// let notes = Notes::builder(transport)
    ///     .session(|session| session.refresh_timeout(Duration::from_secs(10)))
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn session(mut self, change: impl FnOnce(SessionBuilder) -> SessionBuilder + Send + 'static) -> Self {
        self.session.push(Box::new(change));
        self
    }

    /// Builds the client. It does nothing until it is used.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`] where a URL is none.
    pub fn build(self) -> Result<Notes<T>, Error> {
        let transport = Arc::new(self.transport);
        let runtime = self.runtime.unwrap_or_else(|| Arc::new(StandaloneRuntime::new()));
        let login = Login {
            // The bare transport: a refresh through the client would wait for itself.
            transport: self.login_transport.unwrap_or_else(|| Arc::<T>::clone(&transport)),
            token_endpoint: below(&self.login, "token")?,
            revocation_endpoint: below(&self.login, "revoke")?,
            client_id: self.client_id,
            clock: Arc::clone(&runtime),
        };
        let session = Session::builder(login).runtime(runtime).on_event(log::event);
        let session = self.session.into_iter().fold(session, |session, change| change(session)).build();

        let service = below(&self.service, "")?;
        let origin = format!(
            "{}://{}",
            service.scheme_str().unwrap_or_default(),
            service.authority().map(http::uri::Authority::as_str).unwrap_or_default()
        );
        let client = AuthClient::builder(transport, session).origin(origin).build()?;
        Ok(Notes::new(client, service.path().trim_end_matches('/')))
    }
}

fn below(url: &str, path: &str) -> Result<Uri, Error> {
    let whole = format!("{}/{path}", url.trim_end_matches('/'));
    whole.parse().map_err(Error::misconfigured)
}

impl<T> fmt::Debug for NotesBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotesBuilder")
            .field("service", &self.service)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}
