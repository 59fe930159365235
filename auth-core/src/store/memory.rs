//! `MemoryStore`: the default store. What it holds ends with the process; its clones share one slot and one lock.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::channel::oneshot;

use super::{StoreError, StoreGuard, TokenStore};
use crate::Tokens;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Tokens in memory. Clones share the same slot, and its lock is a real one: two sessions on clones of one store make
/// one refresh between them.
///
/// ```
/// use auth_core::{MemoryStore, TokenStore, Tokens};
///
/// let store = MemoryStore::with(Tokens::new("T0")?);
/// # futures::executor::block_on(async {
/// assert!(store.load().await?.is_some());
/// # Ok::<(), auth_core::StoreError>(()) }).unwrap();
/// # Ok::<(), auth_core::InvalidToken>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore {
    slot: Arc<Mutex<Slot>>,
}

/// Protected by its mutex for the length of a field access; wake-ups happen after it.
#[derive(Default)]
struct Slot {
    tokens: Option<Tokens>,
    /// The lock's holder, and those in line for it: it is handed over to the first still there.
    held: bool,
    waiting: VecDeque<oneshot::Sender<Held>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that holds these tokens already.
    #[must_use]
    pub fn with(tokens: Tokens) -> Self {
        let store = Self::default();
        store.slot().tokens = Some(tokens);
        store
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, tokens: Option<Tokens>) {
        let before = std::mem::replace(&mut self.slot().tokens, tokens);
        drop(before);
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

/// Holding the lock. Dropped, it hands the lock to the next in line; a hand-over that its receiver did not wait for is
/// dropped in turn, and so goes on down the line.
struct Held {
    store: MemoryStore,
    /// Cleared where the holding has been given on already.
    armed: bool,
}

impl Held {
    fn of(store: &MemoryStore) -> Self {
        Self { store: store.clone(), armed: true }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        loop {
            let next = {
                let mut slot = self.store.slot();
                let next = slot.waiting.pop_front();
                if next.is_none() {
                    slot.held = false;
                }
                next
            };
            let Some(next) = next else { return };
            // Outside the lock: sending wakes. A receiver that has gone gives the holding back, and we go on in this
            // loop rather than in a drop inside a drop, however long the line.
            match next.send(Held::of(&self.store)) {
                Ok(()) => return,
                Err(mut back) => back.armed = false,
            }
        }
    }
}

#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
impl TokenStore for MemoryStore {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        Ok(self.slot().tokens.clone())
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.replace(Some(tokens.clone()));
        Ok(())
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.replace(None);
        Ok(())
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        let waiting = {
            let mut slot = self.slot();
            if slot.held {
                let (sender, receiver) = oneshot::channel();
                slot.waiting.push_back(sender);
                Some(receiver)
            } else {
                slot.held = true;
                None
            }
        };
        let held = match waiting {
            None => Held::of(self),
            // Dropped here while the hand-over is on its way, the receiver drops it, and that passes it on.
            Some(receiver) => receiver.await.map_err(|_| StoreError::new("the lock's line was lost"))?,
        };
        Ok(Some(Box::new(held)))
    }
}

#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
impl StoreGuard for Held {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        self.store.load().await
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        self.store.save(tokens).await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.store.clear().await
    }

    async fn release(self: Box<Self>) {}
}

#[cfg(test)]
#[cfg(not(auth_shuttle))]
mod tests {
    use super::*;
    use crate::BoxFuture;
    use futures::FutureExt as _;

    #[test]
    fn the_lock_goes_down_the_line_past_those_who_left() {
        let store = MemoryStore::new();
        let first = store.lock().now_or_never().unwrap().unwrap().unwrap();
        let mut second = store.lock();
        let mut third = store.lock();
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());

        drop(second);
        first.release().now_or_never().unwrap();

        assert!(third.now_or_never().unwrap().unwrap().is_some());
        assert!(store.lock().now_or_never().is_some(), "the third guard was dropped, so the lock is free");
    }

    #[test]
    fn what_is_in_the_store_is_what_was_written_last_with_the_lock_or_without() {
        let tokens = |n: &str| Tokens::new(n).unwrap();
        let store = MemoryStore::with(tokens("T0"));
        let mut guard = store.lock().now_or_never().unwrap().unwrap().unwrap();
        let now = |done: BoxFuture<'_, Result<(), StoreError>>| done.now_or_never().unwrap().unwrap();
        let held = |guard: &mut Box<dyn StoreGuard>| {
            let with = guard.load().now_or_never().unwrap().unwrap();
            assert_eq!(with, store.load().now_or_never().unwrap().unwrap());
            with
        };

        assert_eq!(held(&mut guard), Some(tokens("T0")));
        now(store.clear());
        assert_eq!(held(&mut guard), None);
        now(store.save(&tokens("T1")));
        assert_eq!(held(&mut guard), Some(tokens("T1")));
        now(guard.clear());
        assert_eq!(held(&mut guard), None);
        now(guard.save(&tokens("T2")));
        assert_eq!(held(&mut guard), Some(tokens("T2")));
    }

    #[test]
    fn a_hand_over_nobody_takes_frees_the_lock() {
        let store = MemoryStore::new();
        let first = store.lock().now_or_never().unwrap().unwrap().unwrap();
        let mut second = store.lock();
        assert!((&mut second).now_or_never().is_none());

        drop(first);
        drop(second);

        assert!(store.lock().now_or_never().is_some());
    }
}
