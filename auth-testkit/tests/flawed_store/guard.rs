//! The guard, and what is wrong with it.

use auth_core::{StoreError, StoreGuard, Tokens, async_trait};

use super::content::made;
use super::line::Ticket;
use super::{Flaw, Place, yielded};

pub(super) struct Guard {
    place: Place,
    ticket: Ticket,
    /// What it has read, or will write.
    copy: Option<Option<Tokens>>,
}

impl Guard {
    pub(super) fn new(place: Place, ticket: Ticket) -> Self {
        Self { place, ticket, copy: None }
    }

    /// Whether to go on with a write.
    fn fence(&self) -> Result<(), StoreError> {
        let lost = self.ticket.shared.state().holder != Some(self.ticket.number);
        match self.place.flaw {
            // They have more than one holder, on purpose.
            Flaw::NoExclusion | Flaw::Reentrant | Flaw::LooksBeforeItLocks => Ok(()),
            Flaw::WritesWithoutTheLock | Flaw::WritesAndSaysConflict => Ok(()),
            Flaw::SaysOnlyError if lost => Err(StoreError::new("the lease is over")),
            _ if lost => Err(StoreError::conflict()),
            _ => Ok(()),
        }
    }

    fn wrote(&self) -> Result<(), StoreError> {
        let lost = self.ticket.shared.state().holder != Some(self.ticket.number);
        match self.place.flaw {
            Flaw::WritesAndSaysConflict if lost => Err(StoreError::conflict()),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl StoreGuard for Guard {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        if let (Flaw::GuardCommitsWhenReleased | Flaw::GuardReadsOnce, Some(copy)) =
            (self.place.flaw, &self.copy)
        {
            return Ok(copy.clone());
        }
        if matches!(self.place.flaw, Flaw::LooksBeforeItLocks) {
            self.place.let_others_in();
        }
        let loaded = self.place.load().await?;
        self.copy = Some(loaded.clone());
        Ok(loaded)
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        self.fence()?;
        self.copy = Some(Some(tokens.clone()));
        match self.place.flaw {
            Flaw::GuardCommitsWhenReleased => return Ok(()),
            Flaw::GuardSaves(change) => {
                let mut stored = tokens.to_stored();
                change(&mut stored);
                return self.place.save(&made(stored)).await;
            }
            Flaw::GuardLosesTheLockWhenDroppedFrom => {
                let lost = Lost(&mut self.ticket);
                yielded().await;
                std::mem::forget(lost);
            }
            _ => {}
        }
        self.place.save(tokens).await?;
        self.wrote()
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        if !matches!(self.place.flaw, Flaw::ClearsWithoutTheLock) {
            self.fence()?;
        }
        self.copy = Some(None);
        if matches!(self.place.flaw, Flaw::GuardCommitsWhenReleased | Flaw::GuardClearsNothing) {
            return Ok(());
        }
        self.place.clear().await?;
        self.wrote()
    }

    async fn release(mut self: Box<Self>) {
        if let (Flaw::GuardCommitsWhenReleased, Some(copy)) = (self.place.flaw, &self.copy) {
            self.place.put(copy.clone());
        }
        self.ticket.give_back();
    }
}

/// The lock goes with a call that is dropped.
struct Lost<'a>(&'a mut Ticket);

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}
