//! Traces: what a subscriber of `tracing` sees of a session. A program of its own: `tracing` remembers for the whole process
//! which lines somebody wants, and here every test wants all of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(unreachable_pub, reason = "these modules are one program")]

mod events;
mod life;
mod recorder;
mod secrets;
mod spans;
#[path = "../scenarios/world.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod world;
