//! Token stores for [`auth_core`] that survive the process.

#[cfg(feature = "file")]
mod file_store;
#[cfg(any(feature = "file", feature = "redis"))]
mod strand;

#[cfg(feature = "file")]
pub use file_store::{FileStore, FileStoreError, FileStoreErrorKind};
#[cfg(feature = "redis")]
mod redis_store;
#[cfg(feature = "redis")]
pub use redis;
#[cfg(feature = "redis")]
pub use redis_store::{RedisStore, RedisStoreError, RedisStoreErrorKind};
