//! Parts for testing what is built on [`auth_core`].
//!
//! | module | feature | what it is |
//! | --- | --- | --- |
//! | `server` | `server` (default) | an authorization server and a resource server in one, on a loopback socket |

#[cfg(feature = "server")]
pub mod server;
