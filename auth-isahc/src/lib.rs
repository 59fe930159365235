//! [`isahc`] as a transport for [`auth_core`]: libcurl, on any executor and without tokio.
//!
//! [`IsahcTransport`] sends a client's requests, and a refresher's. To swap the HTTP library, swap the one value:
//!
//! ```
//! use auth_core::{Body, Transport};
//! use auth_isahc::IsahcTransport;
//! use std::sync::Arc;
//!
//! /// Whatever sends requests. With another adapter's transport in its place, nothing else changes.
//! fn transport() -> Arc<dyn Transport> {
//!     Arc::new(IsahcTransport::default())
//! }
//! # let _ = transport();
//! ```
//!
//! # Sent once
//!
//! libcurl sends a request again, on a new connection and without a word, where a connection that was used before ends
//! with no byte of an answer: the server may have acted, and acts twice. No setting of isahc turns that off for a
//! request, so the adapter takes from libcurl what it needs for it, the body to start over with, or the used connection:
//!
//! | request | connection | when its answer is lost |
//! | --- | --- | --- |
//! | with a body | used again | fails, [perhaps sent](auth_core::TransportError::is_maybe_sent) |
//! | without, GET, HEAD, OPTIONS or TRACE | used again | **libcurl sends it again**, up to five times |
//! | without, any other method | its own | fails, perhaps sent |
//! | any, through [`IsahcTransport::single_use`] | its own | fails, perhaps sent |
//!
//! Sending again what is safe by its method (RFC 9110 §9.2) harms nobody, unless each sending has to differ: for signed
//! proofs that may be used once, take [`single_use`](IsahcTransport::single_use). It is also the one for a
//! [`Refresher`](auth_core::Refresher): on an idle connection that has died a refresh fails, and nobody can say whether
//! it was acted on.
//!
//! # Descriptors
//!
//! The libcurl that is built in waits with `select`, and so cannot use a socket whose descriptor is 1,024 or above: to
//! connect fails. The default client makes no more than 400 connections, and lets further requests wait. A process that
//! has many files open for other reasons needs a libcurl that polls: set `CFLAGS=-DHAVE_POLL` where it is built, or link the
//! system's.
//!
//! # Features
//!
//! `rustls` and `http2` are on by default. `native-tls` is the other TLS. libcurl itself is always built in. What else
//! isahc can do is had by depending on it beside this crate, and giving [`IsahcTransport::new`] a client.
//!
//! # What isahc does differently
//!
//! The adapter converts, and decides nothing: a 401 is a response like any other. But:
//!
//! - A response is handed over with the first byte of its body, or its end, not with its head.
//! - Once the response has begun, the rest of the request's body is not sent, and a streamed one ends there as if it were
//!   whole. The response is returned, a 401 that came early like any other, and fails when it is read to its end. So there is
//!   no talking both ways at a time.
//! - A request that was given up while the server is silent keeps its connection until the server says something, or
//!   a time limit of the client's is up ([`low_speed_timeout`](isahc::config::Configurable::low_speed_timeout)). One that is
//!   still sending its body ends at once. What the request's body holds is released at once in either case.
//! - A request's body is polled on isahc's thread, so it makes progress whatever the caller does, and must neither
//!   block nor need a runtime to be polled: tokio's files and timers are fed through a channel.
//! - Values of request headers are visible ASCII and tabs; a request with another one fails unsent, and so
//!   does a HEAD with a body.
//! - Where they are missing, libcurl adds `Accept: */*`, isahc `User-Agent`, and libcurl to a POST with a body
//!   `Content-Type: application/x-www-form-urlencoded`. Dots in a path are resolved (`/a/../b` becomes `/b`).
//! - Trailers of responses are kept; those of requests cannot be sent, and are left out.
//! - isahc logs requests, their headers and so their tokens, at the level trace, target `isahc::wire`, and URLs at debug.

mod error;
mod request_body;
mod response_body;
mod transport;

/// The version of isahc that [`IsahcTransport::new`] takes clients of.
pub use isahc;
pub use transport::IsahcTransport;
