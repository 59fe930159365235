//! Conformance suites: whether an implementation keeps the contract that its trait's documentation states.
//!
//! [`transport`](fn@transport) judges a [`Transport`](auth_core::Transport) against a real server, in a line of a test:
//!
//! ```
//! # use auth_core::{Body, Transport, TransportError, async_trait};
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
//! auth_testkit::conformance::transport(MyTransport::new);
//! # };
//! ```
//!
//! [`TransportSuite`] is the same with choices: HTTP/2, an executor, gaps that are known, single clauses, a report.

mod choices;
mod clause;
#[cfg(feature = "server")]
mod refresher;
mod report;
mod runtime;
#[cfg(feature = "server")]
mod transport;
mod trial;

#[cfg(feature = "server")]
pub use refresher::{RefresherSuite, refresher};
pub use report::{Failure, Report};
pub use runtime::{RuntimeSuite, runtime};
#[cfg(feature = "server")]
pub use transport::{TransportSuite, transport};
