//! A store whose steps are told: by the calls that a session makes of it, and in front of each a place to halt.

use std::sync::Arc;

use auth_core::{StoreError, StoreGuard, TokenStore, Tokens, async_trait};

use super::member::Voice;
use super::words::Step;

pub(super) struct Watched<S> {
    pub(super) store: S,
    pub(super) voice: Arc<Voice>,
}

struct WatchedGuard {
    guard: Box<dyn StoreGuard>,
    voice: Arc<Voice>,
}

/// `R1.0` of `R1.0.9f3c…`: which one it is, and no secret.
pub(super) fn label(tokens: &Tokens) -> String {
    let text = tokens.refresh_token().map_or("", |token| token.reveal());
    match text.split('.').collect::<Vec<_>>()[..] {
        [generation, family, _] => format!("{generation}.{family}"),
        _ => "-".to_owned(),
    }
}

async fn saved(voice: &Voice, saved: &Result<(), StoreError>, label: &str) {
    let step = match saved {
        Ok(()) => Step::Saved,
        Err(error) if error.is_conflict() => Step::Refused,
        Err(_) => Step::Failed,
    };
    voice.at(step, label).await;
}

#[async_trait]
impl<S: TokenStore> TokenStore for Watched<S> {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.store.load().await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        let label = label(tokens);
        self.voice.at(Step::Saving, &label).await;
        let result = self.store.save(tokens).await;
        saved(&self.voice, &result, &label).await;
        result
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.store.clear().await
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        let Some(guard) = self.store.lock().await? else { return Ok(None) };
        let guard = WatchedGuard { guard, voice: Arc::clone(&self.voice) };
        self.voice.at(Step::Locked, "-").await;
        Ok(Some(Box::new(guard)))
    }
}

#[async_trait]
impl StoreGuard for WatchedGuard {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        let loaded = self.guard.load().await?;
        self.voice.at(Step::Loaded, &loaded.as_ref().map_or_else(|| "-".to_owned(), label)).await;
        Ok(loaded)
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        let label = label(tokens);
        self.voice.at(Step::Saving, &label).await;
        let result = self.guard.save(tokens).await;
        saved(&self.voice, &result, &label).await;
        result
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.guard.clear().await
    }

    async fn release(self: Box<Self>) {
        self.voice.at(Step::Releasing, "-").await;
        self.guard.release().await;
        self.voice.at(Step::Released, "-").await;
    }
}
