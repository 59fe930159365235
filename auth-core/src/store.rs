//! The token store: where a session's tokens survive it, and how sessions that share one exclude each other.

mod memory;

pub use memory::MemoryStore;

use std::fmt;

use async_trait::async_trait;

use crate::maybe::forward;
use crate::{BoxError, MaybeSend, MaybeSync, Tokens};

/// One place that holds at most one [`Tokens`]: memory, a file, a keyring, a row in a database.
///
/// A store keeps what it is given and decides nothing: whether tokens are fresh, whose they are and when they are
/// refreshed is the session's work. It is written by one session at a time; a store that several sessions or
/// processes share also implements [`lock`](TokenStore::lock).
///
/// # Contract
///
/// - **Concurrency.** Calls made by one session never overlap. Calls of different sessions may.
/// - **Ordering.** A load that begins after a `save` or a `clear` has returned sees that change, or a later one, whichever
///   session made it.
/// - **Atomicity.** A pair is one unit: a load sees the whole of one save, never parts of two, whatever crashes.
/// - **Durability.** When `save` or `clear` returns `Ok`, the change survives what the store promises to survive.
///   When it returns an error, the store holds the old content or the new one.
/// - **Fidelity.** What is loaded equals what was saved, the sign-in id included: store
///   [`StoredTokens`](crate::StoredTokens) whole. Times are kept to the millisecond, and texts to the character, up to
///   32 KiB each.
/// - **Confidentiality.** Tokens are secrets at rest: private files, encrypted columns. Nothing of them is in errors or
///   in `Debug`.
///
/// `auth_testkit::conformance::token_store` tries each clause; `ProcessSuite`, beside it, those that take several processes.
///
/// # Errors
///
/// An empty store is `Ok(None)`. Content that cannot be read is an error, never `None`: `None` means that nobody is
/// signed in.
///
/// # Cancel safety
///
/// A call that takes too long is dropped. The store then holds the old content or the new one, and goes on working. A
/// write that was dropped never overtakes a later one.
///
/// # Deadlocks
///
/// A store must not wait for the session that uses it: such a wait fails as
/// [`Reentrant`](crate::ErrorKind::Reentrant).
///
/// # Panics
///
/// A panic is caught and counts as an error.
///
/// # Which call comes when
///
/// A session loads before its first request and before each refresh, and saves after each refresh; it saves at a sign-in and
/// clears at a sign-out. Where the store can be locked all of that goes through a guard; `save` and `clear` of the store itself
/// are called for a store without a lock, and at a sign-in or sign-out that could not get the lock in time. Another session on
/// the same store learns of a sign-out when it refreshes next: until then its access token is good.
///
/// Blocking is for the implementor to avoid (`spawn_blocking` or a thread of its own): a session's tasks share their runtime.
///
/// # Examples
///
/// ```
/// use auth_core::{async_trait, StoreError, TokenStore, Tokens};
/// use std::sync::Mutex;
///
/// /// A store that one session owns.
/// #[derive(Default)]
/// struct OneSlot(Mutex<Option<Tokens>>);
///
/// #[async_trait]
/// impl TokenStore for OneSlot {
///     async fn load(&self) -> Result<Option<Tokens>, StoreError> {
///         Ok(self.0.lock().map_err(|_| StoreError::new("poisoned"))?.clone())
///     }
///     async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
///         *self.0.lock().map_err(|_| StoreError::new("poisoned"))? = Some(tokens.clone());
///         Ok(())
///     }
///     async fn clear(&self) -> Result<(), StoreError> {
///         *self.0.lock().map_err(|_| StoreError::new("poisoned"))? = None;
///         Ok(())
///     }
/// }
/// ```
#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
pub trait TokenStore: MaybeSend + MaybeSync + 'static {
    /// The stored tokens, or `None` where there are none.
    async fn load(&self) -> Result<Option<Tokens>, StoreError>;

    /// Replaces what is stored.
    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError>;

    /// Removes what is stored. Clearing an empty store is no error.
    async fn clear(&self) -> Result<(), StoreError>;

    /// Excludes every other session on this store, in this process or another, until the guard is released.
    ///
    /// Only a store that one session owns needs none, and returns `None` always. The lock is held over load, refresh
    /// and save, so it has to outlive a flight's deadline and the save's (50 s by default), and has to be freed when
    /// its holder dies. Waiting for it is bounded by the session; dropping the wait leaves nothing locked, and holds up
    /// nobody who waits behind.
    ///
    /// It excludes locks, not calls: `load`, `save` and `clear` of the store itself do not wait for it.
    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        Ok(None)
    }
}

/// The store while it is locked. Its writes carry whatever proves the lock is still held.
///
/// # Contract
///
/// - **Content.** It is the store's: what a guard writes, the store loads, and the other way round.
/// - **Exclusion.** While a guard lives, no other `lock` on the same store returns.
/// - **Fencing.** A write of a guard whose lock was lost (its lease ran out, its connection died) changes nothing and
///   fails with [`StoreError::conflict`]. Releasing it takes nothing from whoever has the lock by then.
/// - **Release.** After `release` has returned another `lock` can be had, also by one that has been waiting. Dropping a
///   guard releases it as soon as it can; a holder that died is released by itself.
///
/// # Cancel safety
///
/// As the store's. A call that failed or was dropped leaves the lock held and the guard usable.
#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
pub trait StoreGuard: MaybeSend {
    /// As [`TokenStore::load`].
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError>;

    /// As [`TokenStore::save`]; [`StoreError::conflict`] if the lock was lost.
    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError>;

    /// As [`TokenStore::clear`]; [`StoreError::conflict`] if the lock was lost.
    async fn clear(&mut self) -> Result<(), StoreError>;

    /// Gives the lock back.
    async fn release(self: Box<Self>);
}

forward! {
    #[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
    #[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
    impl TokenStore {
        async fn load(&self) -> Result<Option<Tokens>, StoreError> {
            (**self).load().await
        }
        async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
            (**self).save(tokens).await
        }
        async fn clear(&self) -> Result<(), StoreError> {
            (**self).clear().await
        }
        async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
            (**self).lock().await
        }
    }
}

/// `Box` only: a guard is held by one owner, and releasing consumes it.
#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
#[deny(clippy::missing_trait_methods)]
impl<T: StoreGuard + ?Sized> StoreGuard for Box<T> {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        (**self).load().await
    }
    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        (**self).save(tokens).await
    }
    async fn clear(&mut self) -> Result<(), StoreError> {
        (**self).clear().await
    }
    async fn release(self: Box<Self>) {
        (*self).release().await;
    }
}

/// Why a store could not do what it was asked to. Put no token into the cause.
pub struct StoreError {
    conflict: bool,
    cause: Option<BoxError>,
}

impl StoreError {
    /// The store failed, and this is why.
    #[must_use]
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self { conflict: false, cause: Some(cause.into()) }
    }

    /// The lock was lost: somebody else may have written since, so this write was not made.
    #[must_use]
    pub fn conflict() -> Self {
        Self { conflict: true, cause: None }
    }

    /// Whether the write was refused because the lock was lost.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.conflict
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.conflict { "the store's lock was lost" } else { "the store's call failed" })
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError").field("conflict", &self.conflict).field("cause", &self.cause).finish()
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
#[cfg(not(auth_local))]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::FutureExt as _;

    use super::*;

    type Asked = Arc<Mutex<Vec<&'static str>>>;

    struct Telling(Asked);

    #[async_trait]
    impl StoreGuard for Telling {
        async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
            self.0.lock().unwrap().push("load");
            Ok(None)
        }
        async fn save(&mut self, _: &Tokens) -> Result<(), StoreError> {
            self.0.lock().unwrap().push("save");
            Ok(())
        }
        async fn clear(&mut self) -> Result<(), StoreError> {
            self.0.lock().unwrap().push("clear");
            Ok(())
        }
        async fn release(self: Box<Self>) {
            self.0.lock().unwrap().push("release");
        }
    }

    #[test]
    fn a_guard_in_a_box_is_asked_and_released_as_it_would_be_without() {
        let asked = Asked::default();
        let inner: Box<dyn StoreGuard> = Box::new(Telling(Arc::clone(&asked)));
        let mut guard = Box::new(inner);

        let all = async move {
            StoreGuard::load(&mut *guard).await.unwrap();
            StoreGuard::save(&mut *guard, &Tokens::new("T0").unwrap()).await.unwrap();
            StoreGuard::clear(&mut *guard).await.unwrap();
            StoreGuard::release(guard).await;
        };

        all.now_or_never().unwrap();
        assert_eq!(*asked.lock().unwrap(), ["load", "save", "clear", "release"]);
    }
}
