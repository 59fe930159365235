//! Good runtimes with one thing broken.

mod own;
mod timed;

pub(crate) use own::{Fault, Own};
pub(crate) use timed::Timed;
