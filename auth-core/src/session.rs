//! The session: one identity at a time, and the coordinator that keeps its tokens fresh.

mod lease;
mod policy;

pub use lease::{Lease, Stamp};
pub use policy::PersistFailure;
