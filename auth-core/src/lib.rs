//! Single-flight token refresh and ordered replay for API clients: the traits, and the coordinator that is tested harder
//! than any client could test its own.
//!
//! Every API client attaches an access token, sees a 401 one day, refreshes once while other requests wait, and sends them
//! again in order, or ends the session. This crate is that, once, for any HTTP library, token store and token
//! endpoint:
//!
//! | to plug in | implement | or take |
//! | --- | --- | --- |
//! | an HTTP library | [`Transport`] | `auth-reqwest` |
//! | a token endpoint | [`Refresher`] | [`refresher_fn`], `TokenResponse` for its answers |
//! | where tokens survive | [`TokenStore`] | [`MemoryStore`] |
//! | another header, a proof of possession | [`Scheme`] | [`Bearer`], [`TokenHeader`] |
//! | what "your token is no good" looks like | [`ChallengePolicy`] | [`StandardChallenge`], [`challenge_fn`] |
//! | an async runtime | [`Runtime`] | `StandaloneRuntime`, `TokioRuntime` of `auth-reqwest` |
//!
//! A trait with async functions is implemented under [`#[async_trait]`](macro@async_trait), which is exported here. (Where that was
//! forgotten, rustc finds that lifetimes do not match: E0195.)
//!
//! [`Session`] keeps one identity's tokens fresh, [`Sessions`] those of many, and [`AuthClient`] sends requests with them:
//!
#![cfg_attr(all(feature = "standalone", not(auth_local)), doc = "```")]
#![cfg_attr(not(all(feature = "standalone", not(auth_local))), doc = "```ignore")]
//! use auth_core::{AuthClient, Body, Session, Tokens, Transport, refresher_fn};
//! use http::Request;
//!
//! async fn first_note(transport: impl Transport) -> Result<String, Box<dyn std::error::Error>> {
//!     let refresher = refresher_fn(|current: Tokens| async move {
//!         // Call your token endpoint with `current.refresh_token()` here.
//!         Ok(Tokens::new("T1")?.with_refresh_token("R1"))
//!     });
//!     let session = Session::builder(refresher).on_session_ended(|ended| println!("{ended:?}")).build();
//!     let client = AuthClient::builder(transport, session.clone()).origin("https://api.example.com").build()?;
//!
//!     session.sign_in(Tokens::new("T0")?.with_refresh_token("R0")).await?;
//!     let response = client.send(Request::get("/notes/1").body(Body::empty())?).await?;
//!     Ok(response.into_body().text().await?)
//! }
//! ```
//!
//! # Words
//!
//! A *lease* is what a request may carry: the prepared header with its *stamp*, which says whose token it is (the *epoch*: which
//! sign-in) and how new (the *generation*: which refresh). A *flight* is one refresh. Requests that wait for it hold a *ticket*
//! of its queue; at their *turn* they have the *baton*, start, and pass it on.
//!
//! # Promises
//!
//! - **One refresh.** However many requests are rejected at once or late, one refresh token is presented once, and its
//!   successor is saved before anybody goes on with it.
//! - **In order.** Requests that waited for one refresh start again in the order in which they joined, on every executor.
//! - **Nobody hangs.** Whatever is dropped, panics, never answers or is never polled: every request that is polled settles.
//! - **One identity.** No request is sent or replayed as somebody else than it was made for.
//!
//! # Runtimes
//!
//! No HTTP library and no async runtime is inside: every future of this crate runs on any executor. A session spawns its own
//! tasks on a [`Runtime`]; with the feature `standalone` (on by default) that is one thread and a timer, and nothing has to
//! be chosen.
//!
//! # Cancel safety
//!
//! Every future may be dropped at any time. A refresh does not belong to whoever started it: it goes on, and is saved.
//!
//! # Features
//!
//! `standalone`: a runtime of its own. `json`: `TokenResponse`, and bodies as JSON. Both are on by default. On wasm32, and
//! under `--cfg auth_local`, nothing has to be `Send`. `planted-faults`: known bugs for tests to find; never for use.
//!
//! `tracing`: a refresh is a span `auth.refresh` (`session`, `flight`, `cause` and, at its end, `outcome`), with what the
//! refresher does inside, the first reading of the store is a span `auth.load`, and every [`Event`] is an event as well: at
//! debug, at info where the tokens or the identity change, at warn where something fails. Their target is `auth_core`.

mod body;
mod challenge;
mod client;
mod contain;
mod counters;
mod error;
mod event;
mod maybe;
mod planted;
mod refresher;
mod runtime;
mod scheme;
mod session;
mod sessions;
mod store;
mod sync;
#[cfg(feature = "json")]
mod token_response;
mod tokens;
mod transport;

pub use async_trait::async_trait;
pub use body::{Body, BodyError};
pub use challenge::{
    AuthChallenge, Challenge, ChallengeFn, ChallengePolicy, StandardChallenge, auth_challenges, challenge_fn,
};
pub use client::{
    Anonymous, Attempt, AuthClient, ClientBuilder, NoReplay, NotAttached, NotReplayed, NotReplayedReason,
    Unchanged,
};
pub use counters::{Counters, Metric};
pub use error::{Advice, BoxError, Error, ErrorKind};
pub use event::{Cause, EndReason, Event, FlightId, Observer, SessionEnded, SessionState};
pub use maybe::{BoxFuture, MaybeSend, MaybeSync};
#[cfg(feature = "planted-faults")]
pub use planted::{Fault, UnknownFault};
pub use refresher::{RefreshError, Refresher, RefresherFn, refresher_fn};
pub use runtime::Runtime;
#[cfg(all(feature = "standalone", not(any(target_arch = "wasm32", auth_local))))]
pub use runtime::StandaloneRuntime;
pub use scheme::{Bearer, Observed, Scheme, SchemeError, TokenHeader};
pub use session::{
    Lease, PersistFailure, ReplayOrder, Session, SessionBuilder, Stamp, Start, Turn, Watch, Written,
};
pub use sessions::{Sessions, SessionsBuilder};
pub use store::{MemoryStore, StoreError, StoreGuard, TokenStore};
#[cfg(feature = "json")]
pub use token_response::{InvalidResponse, TokenEndpointError, TokenResponse};
pub use tokens::{AccessToken, InvalidToken, RefreshToken, SignInId, StoredTokens, Tokens};
pub use transport::{FinalUri, Transport, TransportError};
