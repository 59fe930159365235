//! The file store: by the contract of `TokenStore`, and by what files can be besides.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod conformance;
mod crashes;
mod denied;
mod disk;
mod locking;
mod privacy;
mod processes;
mod refusals;
mod room;
mod scenes;
mod sessions;
mod support;
