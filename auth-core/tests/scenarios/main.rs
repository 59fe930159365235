//! What users of systems of this kind hit, as promises: each test's doc comment carries the number of its scenario.
//!
//! All of it in virtual time, on scripted parts, by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(unreachable_pub, reason = "these modules are one program")]

mod apart;
mod attaching;
mod bodies;
mod budget;
mod cancellation;
mod challenges;
mod cooldowns;
mod counters;
mod edges;
mod endings;
mod events;
mod executors;
mod flights;
mod identity;
mod idle;
mod lapses;
mod late;
mod persistence;
mod pool;
mod proactive;
mod responses;
mod secrets;
mod storms;
mod world;
