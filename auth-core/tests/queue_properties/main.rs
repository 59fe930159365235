//! The queue's promises as properties: whatever becomes of those in line, replays start in the order of the tickets, one
//! at a time, and nobody is lost or held up for longer than the patience.
//!
//! By hand in virtual time, where everything can be counted; and on real executors, where threads get between.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(unreachable_pub, reason = "these modules are one program")]
#![cfg(not(any(target_arch = "wasm32", auth_local)))]

mod by_hand;
mod crowd;
mod executors;
mod undriven;
