//! The shelf: a store that takes its time, and says when two of one session's calls overlap.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::server::Token;
use super::world::{World, a_while};
use crate::{MemoryStore, StoreError, StoreGuard, TokenStore, Tokens};

/// A store: a `MemoryStore` that takes its time.
#[derive(Clone)]
pub(super) struct Shelf {
    world: Arc<World>,
    memory: MemoryStore,
    /// Whether its lock is one: others use it too.
    shared: bool,
    facts: Arc<Mutex<Facts>>,
}

#[derive(Default)]
struct Facts {
    calls: usize,
    /// Whose save was tried and answered.
    answered: BTreeSet<Token>,
    /// How many saves fail.
    fails: usize,
}

impl Shelf {
    /// For one session.
    pub(super) fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), memory: MemoryStore::new(), shared: false, facts: Arc::default() }
    }

    /// For several, with these tokens in it.
    pub(super) fn shared(world: &Arc<World>, tokens: Tokens) -> Self {
        Self { memory: MemoryStore::with(tokens), shared: true, ..Self::new(world) }
    }

    /// For one, with these tokens in it.
    pub(super) fn with(world: &Arc<World>, tokens: Tokens) -> Self {
        Self { memory: MemoryStore::with(tokens), ..Self::new(world) }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next saves fail.
    pub(super) fn fail(&self, times: usize) {
        self.facts().fails = times;
    }

    /// Invariant 3: what a waiter is released with.
    pub(super) fn has_answered(&self, token: Token) -> bool {
        self.facts().answered.contains(&token)
    }

    /// What it holds at the end.
    pub(super) fn content(&self) -> Option<Token> {
        let tokens = shuttle::future::block_on(self.memory.load()).unwrap();
        tokens.as_ref().map(Token::of)
    }

    /// One call: invariant 9, one at a time for each session.
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let _calling = Calling::new(self);
        a_while().await;
        let result = call.await;
        a_while().await;
        result
    }

    async fn write(&self, tokens: Option<&Tokens>) -> Result<(), StoreError> {
        let _tried = Tried { shelf: self, token: tokens.map(Token::of) };
        self.call(async {
            let fails = {
                let mut facts = self.facts();
                let fails = facts.fails > 0;
                facts.fails -= usize::from(fails);
                fails
            };
            match tokens {
                _ if fails => Err(StoreError::new("full")),
                Some(tokens) => self.memory.save(tokens).await,
                None => self.memory.clear().await,
            }
        })
        .await
    }
}

/// A write that was answered, or dropped: that is an answer too.
struct Tried<'a> {
    shelf: &'a Shelf,
    token: Option<Token>,
}

impl Drop for Tried<'_> {
    fn drop(&mut self) {
        self.shelf.facts().answered.extend(self.token);
    }
}

struct Calling<'a>(&'a Shelf);

impl<'a> Calling<'a> {
    fn new(shelf: &'a Shelf) -> Self {
        let others = {
            let mut facts = shelf.facts();
            facts.calls += 1;
            facts.calls - 1
        };
        // One that hangs on a runtime that is not driven does not keep others from writing.
        let excused = shelf.shared || shelf.world.has_changed_runtime();
        shelf.world.claim(excused || others == 0, || "two calls of the store at once".to_owned());
        Self(shelf)
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.0.facts().calls -= 1;
    }
}

#[async_trait]
impl TokenStore for Shelf {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.call(self.memory.load()).await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.write(Some(tokens)).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.write(None).await
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        if !self.shared {
            return Ok(None);
        }
        let guard = self.memory.lock().await?;
        Ok(guard.map(|guard| Box::new(Locked { shelf: self.clone(), guard }) as Box<dyn StoreGuard>))
    }
}

struct Locked {
    shelf: Shelf,
    guard: Box<dyn StoreGuard>,
}

#[async_trait]
impl StoreGuard for Locked {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        self.shelf.load().await
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        self.shelf.save(tokens).await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.shelf.clear().await
    }

    async fn release(self: Box<Self>) {
        a_while().await;
        self.guard.release().await;
    }
}
