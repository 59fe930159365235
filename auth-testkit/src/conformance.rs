//! Conformance suites: whether an implementation keeps the contract that its trait's documentation states.
//!
//! [`token_store`](fn@token_store) judges a [`TokenStore`](auth_core::TokenStore), [`transport`](fn@transport) a
//! [`Transport`](auth_core::Transport) against a real server (feature `server`), each in a line of a test:
//!
//! ```
//! # use auth_core::{MemoryStore as MyStore, Body, Transport, TransportError, async_trait};
//! # use http::{Request, Response};
//! # struct MyTransport;
//! # impl MyTransport { fn new() -> Self { Self } }
//! # #[async_trait]
//! # impl Transport for MyTransport {
//! #     async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
//! #         Err(TransportError::new("an example"))
//! #     }
//! # }
//! # let test = || {
//! auth_testkit::conformance::token_store(MyStore::new, MyStore::clone);
//! auth_testkit::conformance::transport(MyTransport::new);
//! # };
//! ```
//!
//! [`TokenStoreSuite`] and [`TransportSuite`] are the same with choices: what a clause needs besides, an executor, gaps
//! that are known, single clauses, a report.

mod choices;
mod clause;
mod report;
mod token_store;
#[cfg(feature = "server")]
mod transport;
mod trial;

pub use report::{Failure, Report};
pub use token_store::{TokenStoreSuite, token_store};
#[cfg(feature = "server")]
pub use transport::{TransportSuite, transport};
