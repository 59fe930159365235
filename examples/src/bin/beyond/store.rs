//! The shared store: a row for each session, a lock for each row, and a network in between.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::{Runtime as _, StoreError, StoreGuard, StoredTokens, TokenStore, Tokens, async_trait};
use futures::channel::oneshot;

use crate::machine::Machine;

/// A call of the store, there and back. It acts when it is over.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(2);

/// Whether the store can be locked. One that is shared has to be: without, the run shows what becomes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    Rows,
    None,
}

pub(crate) struct Place {
    machine: Arc<Machine>,
    locking: Locking,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    rows: Vec<Row>,
    waits: Waits,
}

#[derive(Default)]
struct Row {
    /// As a database would have it: text, of which nobody else has a part.
    content: Option<Box<str>>,
    held: bool,
    line: VecDeque<oneshot::Sender<Held>>,
}

/// What locking has cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    /// Locks that were had.
    pub(crate) locks: u64,
    /// Of these, those that another process had at that time.
    pub(crate) waited: u64,
    /// What these have waited, in total.
    pub(crate) total: Duration,
    pub(crate) longest: Duration,
}

impl Place {
    pub(crate) fn new(machine: Arc<Machine>, rows: u32, locking: Locking) -> Self {
        let rows = (0..rows).map(|_| Row::default()).collect();
        Self { machine, locking, inside: Mutex::new(Inside { rows, waits: Waits::default() }) }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn waits(&self) -> Waits {
        self.inside().waits
    }

    /// Whether this session's tokens are there.
    pub(crate) fn holds(&self, row: u32) -> bool {
        self.inside().rows[row as usize].content.is_some()
    }
}

/// One session's row, as a process has it.
#[derive(Clone)]
pub(crate) struct SharedStore {
    pub(crate) place: Arc<Place>,
    pub(crate) row: u32,
}

/// The lock of a row, held. Dropped, it goes to the next in line.
struct Held(SharedStore);

impl SharedStore {
    async fn travel(&self) {
        self.place.machine.sleep(ROUND_TRIP).await;
    }

    fn row<T>(&self, act: impl FnOnce(&mut Row) -> T) -> T {
        act(&mut self.place.inside().rows[self.row as usize])
    }

    /// Waits in line.
    async fn held(&self) -> Result<Held, StoreError> {
        let began = self.place.machine.elapsed();
        let waiting = self.row(|row| {
            if !std::mem::replace(&mut row.held, true) {
                return None;
            }
            let (sender, receiver) = oneshot::channel();
            row.line.push_back(sender);
            Some(receiver)
        });
        let Some(waiting) = waiting else {
            self.place.inside().waits.locks += 1;
            return Ok(Held(self.clone()));
        };
        let held = waiting.await.map_err(|_| StoreError::new("the line was lost"))?;
        let took = self.place.machine.elapsed().saturating_sub(began);
        let waits = &mut self.place.inside().waits;
        waits.locks += 1;
        waits.waited += 1;
        waits.total += took;
        waits.longest = waits.longest.max(took);
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let next = self.0.row(|row| {
            // Whoever has gone since is passed over; who goes before the hand-over arrives drops it, and so passes it on.
            let next = std::iter::from_fn(|| row.line.pop_front()).find(|next| !next.is_canceled());
            row.held = next.is_some();
            if row.line.is_empty() {
                row.line = VecDeque::new();
            }
            next
        });
        if let Some(next) = next {
            let _ = next.send(Held(self.0.clone()));
        }
    }
}

#[async_trait]
impl TokenStore for SharedStore {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.travel().await;
        self.row(|row| row.content.as_deref().map(read).transpose())
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.travel().await;
        let text = serde_json::to_string(&tokens.to_stored()).map_err(StoreError::new)?;
        self.row(|row| row.content = Some(text.into()));
        Ok(())
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.travel().await;
        self.row(|row| row.content = None);
        Ok(())
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        if self.place.locking == Locking::None {
            return Ok(None);
        }
        self.travel().await;
        Ok(Some(Box::new(self.held().await?)))
    }
}

/// The lock is never lost here, so no write can be refused.
#[async_trait]
impl StoreGuard for Held {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        self.0.load().await
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        self.0.save(tokens).await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.0.clear().await
    }

    async fn release(self: Box<Self>) {
        self.0.travel().await;
    }
}

/// The deserialiser's error may quote what it read: it is not passed on.
fn read(text: &str) -> Result<Tokens, StoreError> {
    let stored: StoredTokens = serde_json::from_str(text).map_err(|_| StoreError::new("not a row"))?;
    Tokens::try_from(stored).map_err(StoreError::new)
}
