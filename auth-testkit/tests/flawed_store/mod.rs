//! A store with one flaw: a place, the handles on it, and what is wrong with them.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod content;
mod guard;
mod line;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use auth_core::{StoreError, StoreGuard, StoredTokens, TokenStore, Tokens, async_trait};

use line::Ticket;

const PATIENCE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Flaw {
    None,
    /// Changes what is saved.
    Saves(fn(&mut StoredTokens)),
    /// Changes what the guard saves.
    GuardSaves(fn(&mut StoredTokens)),
    /// Changes what is loaded.
    Loads(fn(Option<Tokens>) -> Result<Option<Tokens>, StoreError>),
    RefusesLongTokens,
    TakesSameSecretsForTheSame,
    KeepsTheOldRefreshToken,
    ClearDoesNothing,
    ClearsItsCopyOnly,
    RefusesToClearNothing,
    WritesBehindInTheWrongOrder,
    ReadsOnce,
    /// The content is away while a load is under way.
    TakesOutToRead,
    /// In two steps.
    SavesByHalves,
    ClearsBeforeItSaves,
    ClearsByHalves,
    LosesItsConnectionWhenDropped,
    FinishesDroppedSavesLate,
    FinishesDroppedClearsLate,
    /// Two saves use the same temporary place.
    OneTemporaryName,
    LocksOnlyOnce,
    LocksNotAtAll,
    NoExclusion,
    ExcludesByHandle,
    Reentrant,
    LooksBeforeItLocks,
    CallsWaitForTheLock,
    CallsFailWhileLocked,
    TriesToLock,
    KeepsReleased,
    NeverWakes,
    WakesTheFirstTask,
    KeepsDropped,
    WakesNobodyWhenDropped,
    StaysLockedWhenDroppedEarly,
    KeepsAPlaceForTheGone,
    LosesWhatItHandsOver,
    GuardCommitsWhenReleased,
    GuardReadsOnce,
    GuardClearsNothing,
    GuardLosesTheLockWhenDroppedFrom,
    WritesWithoutTheLock,
    ClearsWithoutTheLock,
    WritesAndSaysConflict,
    SaysOnlyError,
    ReleasesForOthers,
    DropsForOthers,
    ShowsEverything,
    DeletesBeforeItFails,
    FailsWithTheToken,
    FailsWithTheBytes,
    TakesGarbageForNothing,
    QuotesGarbage,
}

/// What handles share.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) flaw: Flaw,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Somebody was here.
    visited: Condvar,
    handles: AtomicU64,
}

#[derive(Default)]
struct State {
    content: Option<Tokens>,
    visits: u64,
    looking: u64,
    failing: bool,
    garbled: bool,
    behind: Vec<Tokens>,
    /// What will be there by the next load.
    late: Option<Option<Tokens>>,
    temporary: Option<Tokens>,
    broken: bool,
    locked_once: bool,
    holder: Option<u64>,
    line: VecDeque<(u64, Option<Waker>)>,
    tickets: u64,
}

/// A handle.
pub(crate) struct Flawed {
    place: Place,
    number: u64,
    copy: Arc<Mutex<Option<Option<Tokens>>>>,
    /// Of a store whose lock is its handle's own.
    own_line: Arc<Shared>,
}

impl Place {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { flaw, shared: Arc::default() }
    }

    pub(crate) fn open(&self) -> Flawed {
        Flawed {
            place: self.clone(),
            number: 1 + self.shared.handles.fetch_add(1, Ordering::Relaxed),
            copy: Arc::default(),
            own_line: Arc::default(),
        }
    }

    pub(crate) fn steal(&self) {
        let next = self.state().pass_on();
        next.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn fail(&self) {
        self.state().failing = true;
    }

    pub(crate) fn garble(&self) {
        self.state().garbled = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Waits for another call to come by, on another thread: this is when it happens. Not for ever, since there may be
    /// nobody else.
    fn let_others_in(&self) {
        let state = self.state();
        let before = state.visits;
        drop(
            self.shared.visited.wait_timeout_while(state, PATIENCE, |state| state.visits == before).unwrap(),
        );
    }

    /// Puts it into the temporary place, and takes out what is there once another has done the same.
    fn by_way_of_the_temporary(&self, tokens: &Tokens) -> Tokens {
        let mut state = self.state();
        state.temporary = Some(tokens.clone());
        self.shared.visited.notify_all();
        let mine = |state: &mut State| state.temporary.as_ref() == Some(tokens);
        let state = self.shared.visited.wait_timeout_while(state, PATIENCE, mine).unwrap().0;
        state.temporary.clone().unwrap()
    }

    /// Two who want the lock find it free.
    fn look(&self) {
        let mut state = self.state();
        state.looking += 1;
        self.shared.visited.notify_all();
        let mut state =
            self.shared.visited.wait_timeout_while(state, PATIENCE, |state| state.looking < 2).unwrap().0;
        state.looking = 0;
        state.holder = None;
    }

    fn visit(&self) {
        self.state().visits += 1;
        self.shared.visited.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[async_trait]
impl TokenStore for Flawed {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.wait_for_the_lock().await?;
        match (self.place.flaw, self.copy.lock().unwrap().clone()) {
            (Flaw::ReadsOnce, Some(copy)) => return Ok(copy),
            (Flaw::ClearsItsCopyOnly, Some(None)) => return Ok(None),
            _ => {}
        }
        let loaded = self.place.load().await?;
        *self.copy.lock().unwrap() = Some(loaded.clone());
        Ok(loaded)
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.wait_for_the_lock().await?;
        *self.copy.lock().unwrap() = Some(Some(tokens.clone()));
        self.place.save(tokens).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.wait_for_the_lock().await?;
        *self.copy.lock().unwrap() = Some(None);
        if matches!(self.place.flaw, Flaw::ClearsItsCopyOnly) {
            return Ok(());
        }
        self.place.clear().await
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        let flaw = self.place.flaw;
        match flaw {
            Flaw::LocksNotAtAll => return Ok(None),
            Flaw::LocksOnlyOnce if std::mem::replace(&mut self.place.state().locked_once, true) => {
                return Ok(None);
            }
            Flaw::TriesToLock if self.place.state().holder.is_some() => {
                return Err(StoreError::new("it is locked"));
            }
            Flaw::LooksBeforeItLocks => {
                while self.place.state().holder.is_some() {
                    yielded().await;
                }
                self.place.look();
            }
            _ => {}
        }
        let line = if matches!(flaw, Flaw::ExcludesByHandle) { &self.own_line } else { &self.place.shared };
        let ticket = Ticket::take(line, flaw, self.number).granted().await;
        if matches!(flaw, Flaw::StaysLockedWhenDroppedEarly) {
            let ticket = std::mem::ManuallyDrop::new(ticket);
            yielded().await;
            let ticket = std::mem::ManuallyDrop::into_inner(ticket);
            return Ok(Some(Box::new(guard::Guard::new(self.place.clone(), ticket))));
        }
        Ok(Some(Box::new(guard::Guard::new(self.place.clone(), ticket))))
    }
}

impl Flawed {
    async fn wait_for_the_lock(&self) -> Result<(), StoreError> {
        match self.place.flaw {
            Flaw::CallsFailWhileLocked if self.place.state().holder.is_some() => {
                Err(StoreError::new("it is locked"))
            }
            Flaw::CallsWaitForTheLock => {
                drop(Ticket::take(&self.place.shared, Flaw::None, self.number).granted().await);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Flawed");
        if let (Flaw::ShowsEverything, Some(tokens)) = (self.place.flaw, &self.place.state().content) {
            debug.field("access", &tokens.access_token().reveal());
        }
        debug.finish_non_exhaustive()
    }
}

/// Polled once more.
async fn yielded() {
    let mut again = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut again, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
