//! Real processes that share one store and one rotating refresh token, against a real server that detects reuse.
//!
//! What only another process can show, [`conformance`](crate::conformance) cannot: whether a lock is freed when its holder is
//! killed, whether a holder that was stopped past its lease writes late, what a disk that fills up or a server that restarts does to
//! several programs at once. [`ProcessSuite`](crate::conformance::ProcessSuite) does that to a store of yours:
//!
//! ```no_run
//! # use auth_core::MemoryStore;
//! # use auth_testkit::conformance::ProcessSuite;
//! # use auth_testkit::processes::Opening;
//! # struct MyStore;
//! # impl MyStore { fn new(_: String) -> MemoryStore { MemoryStore::new() } }
//! # fn temporary_path() -> String { String::new() }
//! // In tests/processes.rs:
//! // #[test]
//! fn processes_that_share_a_store_refresh_once() {
//!     ProcessSuite::new(
//!         "processes_that_share_a_store_refresh_once", // which test a process is to be
//!         temporary_path,                              // a place that nobody has used
//!         String::clone,                               // what another process has to be told of it
//!         |opening: Opening| async { MyStore::new(opening.address) },
//!     )
//!     .run()
//!     .assert();
//! }
//! ```
//!
//! The processes are this test, started again: it finds out that it is not the first, and becomes a [`member`](fn@member). A program of your
//! own will do as well ([`Launch::program`]), whose `main` calls [`member`](fn@member) first. [`Crew`] is for scenes of your own.

mod crew;
mod launch;
mod member;
mod times;
mod watched;
mod wire;
mod words;

pub use crew::{Crew, Given};
pub use launch::Launch;
pub use member::{Opening, member};
pub use times::Times;
pub use words::{Heard, MemberId, Outcome, Said, Step};
