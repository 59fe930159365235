//! [`reqwest`] as a transport and tokio as a runtime for [`auth_core`].
//!
//! | part | stands in for | |
//! | --- | --- | --- |
//! | [`ReqwestTransport`] | [`auth_core::Transport`] | sends a client's requests, and a refresher's |
//! | [`TokioRuntime`] | [`auth_core::Runtime`] | runs a session's background tasks |
//!
//! Both are optional and independent of each other: the transport works under any runtime, and the runtime with any
//! transport. To swap the HTTP library, swap the one value:
//!
//! ```
//! use auth_core::{Body, Transport};
//! use auth_reqwest::ReqwestTransport;
//! use std::sync::Arc;
//!
//! /// Whatever sends requests. With another adapter's transport in its place, nothing else changes.
//! fn transport() -> Arc<dyn Transport> {
//!     Arc::new(ReqwestTransport::default())
//! }
//! # let _ = transport();
//! ```
//!
//! # Features
//!
//! `rustls` and `http2` are on by default. `native-tls` is the other TLS; `system-proxy` and `socks` are about proxies.
//! Each is reqwest's feature of that name. What else reqwest can do is had by depending on it beside this crate, and
//! giving [`ReqwestTransport::new`] a client.
//!
//! # Fidelity
//!
//! The adapter converts, and decides nothing: a 401 is a response like any other. reqwest itself adds `Accept: */*`
//! where there is no `Accept`, and writes a URL in its normal form (`/a/../b` becomes `/b`).
//!
//! # Platforms
//!
//! Everything tokio's network runs on. reqwest's browser backend is another API, and not covered.

mod entered;
mod error;
mod request_body;
mod runtime;
mod transport;
mod urls;

/// The version of reqwest that [`ReqwestTransport::new`] takes clients of.
pub use reqwest;
pub use runtime::TokioRuntime;
pub use transport::ReqwestTransport;
