//! Conformance suites: whether an implementation keeps the contract that its trait's documentation states.
//!
//! | suite | judges | with choices |
//! | --- | --- | --- |
//! | [`refresher`](fn@refresher) | a [`Refresher`](auth_core::Refresher), against a real server | [`RefresherSuite`] |
//! | [`token_store`](fn@token_store) | a [`TokenStore`](auth_core::TokenStore) | [`TokenStoreSuite`] |
//! | [`transport`](fn@transport) | a [`Transport`](auth_core::Transport), against a real server | [`TransportSuite`] |
//! | [`ProcessSuite`] (Unix; feature `processes`) | the same, shared by real processes that are killed, stopped and cut off | |
//! | [`runtime`](fn@runtime) | a [`Runtime`](auth_core::Runtime) | [`RuntimeSuite`] |
//!
//! Those with a server need the feature `server`. Each is a line of a test:
//!
//! ```
//! # use auth_core::{MemoryStore as MyStore, StandaloneRuntime as MyRuntime};
//! # use auth_core::{Body, Refresher, Transport, TransportError, async_trait};
//! # use http::{Request, Response};
//! # fn my_refresher(token_endpoint: String) -> impl Refresher { auth_testkit::ScriptedRefresher::new().0 }
//! # struct MyTransport;
//! # impl MyTransport { fn new() -> Self { Self } }
//! # #[async_trait]
//! # impl Transport for MyTransport {
//! #     async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
//! #         Err(TransportError::new("an example"))
//! #     }
//! # }
//! # let test = || {
//! use auth_testkit::conformance;
//!
//! conformance::refresher(|server| my_refresher(server.token_endpoint()));
//! conformance::token_store(MyStore::new, MyStore::clone);
//! conformance::transport(MyTransport::new);
//! conformance::runtime(MyRuntime::new);
//! # };
//! ```
//!
//! Choices are what a clause needs besides, an executor, gaps that are known, single clauses, a report.

mod choices;
mod clause;
#[cfg(all(feature = "processes", unix))]
mod processes;
#[cfg(feature = "server")]
mod refresher;
mod report;
mod runtime;
mod token_store;
#[cfg(feature = "server")]
mod transport;
mod trial;

#[cfg(all(feature = "processes", unix))]
pub use processes::ProcessSuite;
#[cfg(feature = "server")]
pub use refresher::{RefresherSuite, refresher};
pub use report::{Failure, Report};
pub use runtime::{RuntimeSuite, runtime};
pub use token_store::{TokenStoreSuite, token_store};
#[cfg(feature = "server")]
pub use transport::{TransportSuite, transport};
