//! A token server and the API it protects, on a loopback socket: real sockets, real HTTP, under a test's control.
//!
//! [`TestServer`] runs on a thread of its own, so that clients on any executor, or on none, can use it. It speaks
//! HTTP/1.1, and HTTP/2 to clients that begin with it, where what closes a connection below resets a stream.
//!
//! | address | answer |
//! | --- | --- |
//! | `/api/…` | with a valid token 200 and a JSON [description](#the-description) of the request, else 401 |
//! | `/api/echo` | the request's body, as it arrives |
//! | `/api/stream?chunks=N` | `chunk 0`, `chunk 1`, … a line each; every one after the first waits for [`TestServer::let_chunks_out`] |
//! | `/public/…` | the same as `/api/…`, without a token |
//! | `/redirect?to=…` | 302 to that address |
//! | `POST /token` | a refresh (RFC 6749 §6), or tokens for a client (§4.4), as [`Policy`] and [`TokenAnswer`] say |
//! | `POST /revoke` | revokes the family of a token (RFC 7009) |
//!
//! # The description
//!
//! `{"method", "path", "query", "bytes", "digest", "token"}`: `bytes` is the length of the body, `digest` is what
//! [`digest`] makes of it, and `token` the label of the access token that was presented (`T1`), never the token.
//!
//! # Order
//!
//! A request is logged and counted when its head arrives, and its token is judged then. Its body is read to the end
//! before anything is answered, except where it is echoed. So a request that is held ([`TestServer::hold_api`]) and was
//! sent with an expired token gets its 401 late, whatever was issued since.
//!
//! # Examples
//!
//! ```
//! use auth_testkit::server::TestServer;
//!
//! let server = TestServer::start()?;
//! let tokens = server.issue();
//!
//! assert!(server.api("/notes").starts_with("http://127.0.0.1:"));
//! assert!(tokens.refresh_token().is_some());
//! assert_eq!(server.stats().api_requests, 0);
//! # Ok::<(), std::io::Error>(())
//! ```

mod api;
mod authority;
mod body;
mod control;
mod form;
mod gate;
mod listen;
mod log;
mod policy;
mod script;
mod shared;
mod token_endpoint;
mod wait;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use auth_core::Tokens;

pub use body::digest;
pub use log::{Seen, Stats};
pub use policy::Policy;
pub use script::{ApiAnswer, TokenAnswer};
pub use wait::{StillWaiting, When};

use listen::Listening;
use shared::Shared;

/// A server that is running, and everything that can be done to it. It stops when it is dropped.
///
/// All methods act at once and from any thread.
pub struct TestServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _listening: Listening,
}

/// How a server is to start.
///
/// ```
/// use auth_testkit::server::TestServer;
/// use std::time::Duration;
///
/// let server = TestServer::builder()
///     .configure(|policy| {
///         policy.expires_in = Some(60.into());
///         policy.grace = Duration::from_secs(10);
///     })
///     .start()?;
/// assert_eq!(server.issue().expires_in(), Some(Duration::from_secs(60)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct TestServerBuilder {
    policy: Policy,
    port: u16,
}

impl TestServerBuilder {
    /// Changes what the authorization server does.
    pub fn configure(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// Listens on this port of 127.0.0.1, rather than on one that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Where the socket or the thread cannot be had.
    pub fn start(self) -> io::Result<TestServer> {
        let shared = Arc::new(Shared::new(self.policy));
        let listening = Listening::start(self.port, Arc::clone(&shared))?;
        Ok(TestServer { address: listening.address, shared, _listening: listening })
    }
}

impl TestServer {
    /// Starts a server on a free port, with the default [`Policy`].
    ///
    /// # Errors
    ///
    /// Where the socket or the thread cannot be had.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// For a server that is not the default one.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder::default()
    }

    /// `http://127.0.0.1:port`, which is the API's origin.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a protected resource: `api("/notes")` is `…/api/notes`.
    #[must_use]
    pub fn api(&self, path: &str) -> String {
        format!("http://{}/api/{}", self.address, path.trim_start_matches('/'))
    }

    /// The URL of a resource that needs no token.
    #[must_use]
    pub fn public(&self, path: &str) -> String {
        format!("http://{}/public/{}", self.address, path.trim_start_matches('/'))
    }

    /// The URL that redirects to another.
    #[must_use]
    pub fn redirect_to(&self, url: &str) -> String {
        format!("http://{}/redirect?to={}", self.address, form::encode(url))
    }

    /// The URL of the token endpoint.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The URL of the revocation endpoint.
    #[must_use]
    pub fn revocation_endpoint(&self) -> String {
        format!("http://{}/revoke", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A sign-in: the first tokens of a new family, whose texts begin with `T0.` and `R0.`.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "the texts are the server's own")]
    pub fn issue(&self) -> Tokens {
        let (issued, lifetime) = self.shared.change(|state| {
            let issued = state.authority.sign_in(&state.policy);
            (issued, state.policy.lifetime())
        });
        let tokens = Tokens::new(issued.access).expect("its tokens are letters, digits and dots");
        let tokens = tokens.with_refresh_token(issued.refresh).with_token_type("Bearer");
        match lifetime {
            Some(lifetime) => tokens.with_expires_in(lifetime, SystemTime::now()),
            None => tokens,
        }
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer")
            .field("address", &self.address)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
