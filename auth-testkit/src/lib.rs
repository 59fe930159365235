//! Scripted parts, virtual time and a real token server, to test what refreshes tokens: your own parts, or an SDK as a
//! whole.
//!
//! A test of token refresh is about timing: a 401 that comes late, a sign-out in the middle of a refresh, a waiter that
//! gives up. With the parts here the test decides every such moment by hand. Nothing sleeps in real time, and nothing
//! depends on luck.
//!
//! | instead of | use | and hold |
//! | --- | --- | --- |
//! | a [`Runtime`](auth_core::Runtime) | [`ManualRuntime`]: virtual time, driven by the test | a clone of it |
//! | a [`Refresher`](auth_core::Refresher) | [`ScriptedRefresher`] | [`RefresherHandle`] |
//! | a [`Transport`](auth_core::Transport) | [`ScriptedTransport`] | [`TransportHandle`] |
//! | a [`TokenStore`](auth_core::TokenStore) | [`ScriptedStore`], shared, locked, failing | [`StoreHandle`] |
//! | tokens | [`numbered`], [`rotating`](rotating()), [`same_sign_in`], [`other_sign_in`] | |
//!
//! And over a real socket: [`server::TestServer`] (feature `server`, on by default), an authorization server and a resource
//! server in one, with rotation, reuse detection and every kind of bad answer.
//!
//! Whether a part of your own keeps the contract of its trait: [`conformance`], a suite each for refreshers, stores,
//! transports and runtimes.
//!
//! Whether several programs can share one sign-in through a store: [`processes`] (feature `processes`, Unix), real ones, that are killed,
//! stopped and cut off.
//!
//! What happens in the moments that nobody has in mind: [`simulation`], a world with seeded schedules and faults at every step,
//! whose invariants are checked after each.
//!
//! A scripted part and its handle come as a pair. The part goes into what is tested; each call that arrives at it
//! becomes a value, which the test takes from the handle, looks at, and answers when it likes.
//!
//! ```
//! use auth_core::{RefreshError, Refresher, Runtime};
//! use auth_testkit::{ManualRuntime, ScriptedRefresher, numbered};
//! use std::time::Duration;
//!
//! let runtime = ManualRuntime::new();
//! let (refresher, handle) = ScriptedRefresher::new();
//!
//! // What is tested: it asks once more after a pause.
//! let clock = runtime.clone();
//! let refreshing = runtime.start(async move {
//!     match refresher.refresh(&numbered(0)).await {
//!         Err(error) if error.is_unavailable() => {
//!             clock.sleep(Duration::from_millis(250)).await;
//!             refresher.refresh(&numbered(0)).await
//!         }
//!         answer => answer,
//!     }
//! });
//!
//! runtime.block_on(handle.next()).fail(RefreshError::unavailable("503"));
//! runtime.advance(Duration::from_millis(249));
//! assert!(handle.try_next().is_none(), "the pause is not over");
//!
//! runtime.advance(Duration::from_millis(1));
//! handle.try_next().expect("it asks again").answer(numbered(1));
//!
//! assert!(runtime.block_on(refreshing).unwrap() == numbered(1));
//! assert_eq!(handle.presented(), ["R0", "R0"]);
//! assert_eq!(runtime.timers(), 0);
//! ```
//!
//! # Executors
//!
//! Only [`ManualRuntime`] drives itself. The scripted parts work on any executor: their futures are woken when the test
//! answers, from whatever thread.
//!
//! # Secrets
//!
//! As everywhere in this framework, no `Debug` shows the text of a token. To compare texts, ask for them.

mod arrivals;
// Its clauses run on threads of their own.
#[cfg(not(any(target_arch = "wasm32", auth_local)))]
pub mod conformance;
mod lock;
mod overlap;
#[cfg(all(feature = "processes", unix, not(auth_local)))]
pub mod processes;
mod refresher;
mod reply;
mod runtime;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "simulation")]
pub mod simulation;
mod store;
mod tokens;
mod transport;

pub use refresher::{AcquireCall, RefreshCall, RefresherHandle, ScriptedRefresher};
pub use runtime::{ManualRuntime, Running};
pub use store::{HeldCall, Logged, Op, ScriptedStore, StoreHandle};
pub use tokens::{numbered, other_sign_in, rotating, same_sign_in};
pub use transport::{ScriptedTransport, SendCall, SendReply, Sent, TransportHandle, response};
