//! The SDK as its users see it: on scripted parts in virtual time, and once over a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod errors;
mod file_store;
mod real_server;
mod refreshes;
mod sign_out;
mod uploads;
mod world;
