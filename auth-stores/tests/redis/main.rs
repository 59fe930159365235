//! The Redis store: by the contract of `TokenStore`, and by what servers and connections do besides. On real servers, each of
//! a test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod conformance;
mod faulty;
mod keys;
mod leases;
mod processes;
mod sessions;
mod support;
mod trouble;
