//! Token stores for [`auth_core`] that survive the process, and that any number of processes may share.
//!
//! Two programs that share a rotating refresh token and refresh it at the same time sign the user out: a server that detects
//! reuse revokes everything when it sees a spent refresh token again. So does one program that crashes between the refresh and
//! the save. Both are a store's business: it has a lock that ends with its holder, and writes that are made whole or not at all.
//!
//! | store | feature | for | its lock |
//! | --- | --- | --- | --- |
//! | [`FileStore`] | `file`, on by default | command-line tools, desktop programs | the operating system's, until it is given back or its holder dies |
//! | [`RedisStore`] | `redis`; on smol `redis-smol` | fleets of servers | a lease on the server, until it is given back or its time is over |
//!
//! ```
//! use auth_core::{Session, refresher_fn};
//! use auth_stores::FileStore;
//! # use auth_core::{RefreshError, Tokens};
//!
//! # let refresher = refresher_fn(|_: Tokens| async { Err::<Tokens, _>(RefreshError::unavailable("not here")) });
//! # let directory = std::path::PathBuf::from("unused");
//! let store = FileStore::new(directory.join("tokens.json")).create_directory();
//! let session = Session::builder(refresher).store(store).build();
//! ```
//!
//! # What no store can promise
//!
//! **An answer that dies with its process.** Between the moment in which the server spends a refresh token and the moment in
//! which its successor is saved, there is one copy of the successor, in the memory of one process. Where that is killed then, the
//! sign-in lives on only if the server grants a grace period, in which a spent refresh token is still answered.
//!
//! # Runtimes
//!
//! The calls of [`FileStore`] are done by threads, so any executor will do. Those of [`RedisStore`] are tasks of the
//! [`Runtime`](auth_core::Runtime) that it is given.
//!
//! # Secrets
//!
//! Tokens are kept in the clear, where the store says so. Nothing of them is in a `Debug`, in an error, or in an error's source.
//!
//! # Trying it out
//!
//! `auth_testkit::conformance::token_store` judges a store within one process, `auth_testkit::processes` by several that are killed,
//! stopped and cut off. Both judge the stores here, and will judge yours.

#[cfg(feature = "file")]
mod file_store;
#[cfg(feature = "redis")]
mod redis_store;
#[cfg(any(feature = "file", feature = "redis"))]
mod strand;

#[cfg(feature = "file")]
pub use file_store::{FileStore, FileStoreError, FileStoreErrorKind};
#[cfg(feature = "redis")]
pub use redis;
#[cfg(feature = "redis")]
pub use redis_store::{RedisStore, RedisStoreError, RedisStoreErrorKind};
