//! The guard: the store while it is locked.

use std::sync::{Arc, Mutex, PoisonError};

use auth_core::{StoreError, StoreGuard, Tokens, async_trait};

use super::FileStore;
use super::error::{FileStoreError, NotWritten};
use super::lock::Held;
use super::new_file::{NewFile, sweep};

/// Room for a pair that is usual. A larger one has to be there already to be expected again.
const ROOM: u64 = 16 * 1024;

pub(super) struct FileGuard {
    store: FileStore,
    /// Touched by the store's thread only, and given up by it: nothing that this guard has asked for is done after the
    /// lock was given back.
    holding: Option<Arc<Mutex<Holding>>>,
}

/// What goes with the lock. In this order it is given back.
struct Holding {
    /// Room on the disk for the next save.
    prepared: Option<NewFile>,
    /// What this guard last read, unless it has written since.
    seen: Option<Option<Vec<u8>>>,
    held: Held,
}

impl FileGuard {
    pub(super) fn new(store: &FileStore, held: Held) -> Self {
        let holding = Holding { prepared: None, seen: None, held };
        Self { store: store.clone(), holding: Some(Arc::new(Mutex::new(holding))) }
    }

    /// Takes the room for a save. What cannot be saved must not be refreshed: for the others the old refresh token would go on
    /// being the newest.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        let sweeps = self.store.sweeps();
        self.with(move |store, holding| {
            if sweeps {
                sweep(&store.place);
            }
            let there = store.place.length();
            let mut new = NewFile::create(&store.place)?;
            new.reserve(ROOM.max(there.saturating_mul(2)))
                .map_err(|error| FileStoreError::io(error, &store.place.path))?;
            holding.prepared = Some(new);
            Ok(())
        })
        .await
    }

    /// Removes what cannot be read.
    pub(super) async fn discard(&self) -> Result<bool, StoreError> {
        self.with(|store, _| store.place.discard()).await
    }

    async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&FileStore, &mut Holding) -> Result<T, NotWritten> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, holding) = (self.store.clone(), self.holding.clone());
        let call = move || {
            let holding = holding.as_ref().expect("it is taken where the guard ends");
            call(&store, &mut holding.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.store.run(call).await
    }
}

impl Holding {
    /// Whether this guard may write over that: it has the lock, and has read nothing else.
    fn covers(&self, there: Option<&[u8]>) -> bool {
        self.held.is_current() && self.seen.as_ref().is_none_or(|seen| seen.as_deref() == there)
    }

    /// After its own write it has not read what is there. That includes one which has failed after it was made: it may be made
    /// again.
    fn written(&mut self, written: Result<(), NotWritten>) -> Result<(), NotWritten> {
        if matches!(written, Ok(()) | Err(NotWritten::Unsynced(_))) {
            self.seen = None;
        }
        written
    }
}

#[async_trait]
impl StoreGuard for FileGuard {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        self.with(|store, holding| {
            let (tokens, text) = store.place.load()?;
            holding.seen = Some(text);
            Ok(tokens)
        })
        .await
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        let tokens = tokens.clone();
        self.with(move |store, holding| {
            let mut prepared = holding.prepared.take();
            let saved = store.place.replace(&tokens, &mut prepared, |there| holding.covers(there));
            holding.prepared = prepared;
            holding.written(saved)
        })
        .await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.with(|store, holding| {
            let cleared = store.place.remove(|there| holding.covers(there));
            holding.written(cleared)
        })
        .await
    }

    async fn release(mut self: Box<Self>) {
        let holding = self.holding.take();
        // Where no thread can be had it is dropped here.
        let given_back = self.store.run(move || {
            drop(holding);
            Ok::<_, NotWritten>(())
        });
        drop(given_back.await);
    }
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        if let Some(holding) = self.holding.take() {
            self.store.run_unattended(move || drop(holding));
        }
    }
}
