//! `ScriptedStore`: a token store whose calls the test watches, holds, fails, and whose content it changes behind the
//! session's back.

mod call;
mod line;

pub use call::{HeldCall, Logged, Op};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use async_trait::async_trait;
use auth_core::{StoreError, StoreGuard, TokenStore, Tokens};

use crate::arrivals::Arrivals;
use crate::lock::lock;
use crate::overlap::Overlap;
use crate::tokens::{other_sign_in, same_sign_in};
use line::{Guard, Place};

/// A [`TokenStore`] in memory that does what its [`StoreHandle`] says.
///
/// Clones share the content, the lock and the handle: give a clone to each of several sessions, as if they were
/// processes on one store. By itself every call is answered at once, and there is no lock (`lock` is `Ok(None)`), as in a
/// store that one session owns; [`lockable`](StoreHandle::lockable) changes that.
///
/// ```
/// use auth_core::TokenStore;
/// use auth_testkit::{ManualRuntime, Op, ScriptedStore, numbered};
///
/// let runtime = ManualRuntime::new();
/// let (store, handle) = ScriptedStore::new();
/// handle.hold(Op::Save);
/// let saving = runtime.start(async move { store.save(&numbered(1)).await });
///
/// let held = runtime.block_on(handle.next_held());
/// assert_eq!(held.op(), Op::Save);
/// assert!(handle.content().is_none(), "not yet");
/// held.proceed();
///
/// assert!(runtime.block_on(saving).is_ok());
/// assert!(handle.content() == Some(numbered(1)));
/// assert_eq!(handle.log()[0].tokens.as_deref(), Some("T1"));
/// ```
pub struct ScriptedStore {
    shared: Arc<Shared>,
    /// This clone's calls under way; the high-water mark is everybody's.
    overlap: Overlap,
}

/// The test's side of a [`ScriptedStore`]. Clones are the same handle.
#[derive(Clone)]
pub struct StoreHandle {
    shared: Arc<Shared>,
    overlap: Overlap,
}

#[derive(Default)]
struct Shared {
    held: Arrivals<HeldCall>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    content: Option<Tokens>,
    lockable: bool,
    /// The place in line that has the lock.
    holder: Option<u64>,
    /// Who waits for it, by place.
    line: VecDeque<(u64, Option<Waker>)>,
    places: u64,
    holds: BTreeSet<Op>,
    failing: BTreeSet<Op>,
    fail_next: BTreeMap<Op, usize>,
    panic_next: BTreeMap<Op, usize>,
    begun: Vec<Logged>,
    log: Vec<Logged>,
}

impl ScriptedStore {
    /// An empty store, and the handle that scripts it.
    #[must_use]
    pub fn new() -> (Self, StoreHandle) {
        let store = Self { shared: Arc::default(), overlap: Overlap::default() };
        let handle = StoreHandle { shared: Arc::clone(&store.shared), overlap: store.overlap.clone() };
        (store, handle)
    }
}

impl Clone for ScriptedStore {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), overlap: self.overlap.apart() }
    }
}

#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
impl TokenStore for ScriptedStore {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.shared.load(&self.overlap, None).await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.shared.save(&self.overlap, None, tokens).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.shared.clear(&self.overlap, None).await
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        let call = self.shared.begin(&self.overlap, Op::Lock, None, None).await?;
        if !lock(&self.shared.state).lockable {
            return call.end(|_| (Ok(None), None));
        }
        let place = Place::take(&self.shared).granted().await;
        let guard: Box<dyn StoreGuard> = Box::new(Guard::new(place, self.overlap.clone()));
        call.end(|_| (Ok(Some(guard)), None))
    }
}

impl StoreHandle {
    /// From now on `lock` hands out guards that exclude each other: first come, first served; releasing or dropping one
    /// hands the lock over.
    pub fn lockable(&self) {
        self.state(|state| state.lockable = true);
    }

    /// Whether somebody has the lock.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.state(|state| state.holder.is_some())
    }

    /// How many calls wait in line for the lock.
    #[must_use]
    pub fn waiting_for_lock(&self) -> usize {
        self.state(|state| state.line.len())
    }

    /// Takes the lock away from its holder, who does not notice: the next in line gets it, and every later `save` and
    /// `clear` of the old guard changes nothing and fails with [`StoreError::conflict`].
    pub fn lose_lock(&self) {
        let next = self.state(State::pass_on);
        if let Some(next) = next {
            next.wake();
        }
    }

    /// What is stored.
    #[must_use]
    pub fn content(&self) -> Option<Tokens> {
        self.state(|state| state.content.clone())
    }

    /// Another process writes, without asking for a lock. It is not logged.
    pub fn put(&self, content: Option<Tokens>) {
        self.state(|state| state.content = content);
    }

    /// Another process stores what it got by a refresh: tokens of the sign-in that is stored now.
    ///
    /// # Panics
    ///
    /// Where nothing is stored.
    pub fn put_rotated(&self, tokens: Tokens) {
        let current = self.content().expect("somebody is signed in, or there is nothing to rotate");
        self.put(Some(same_sign_in(&current, tokens)));
    }

    /// In another process somebody signs in: tokens with a sign-in id of their own.
    pub fn put_as_other_sign_in(&self, tokens: Tokens) {
        self.put(Some(other_sign_in(tokens)));
    }

    /// From now on calls of this kind wait for the test: see [`next_held`](Self::next_held).
    pub fn hold(&self, op: Op) {
        self.state(|state| state.holds.insert(op));
    }

    /// From now on no call waits, and those that the test has not taken yet proceed.
    pub fn release_holds(&self) {
        self.state(|state| state.holds.clear());
        while let Some(held) = self.try_next_held() {
            held.proceed();
        }
    }

    /// The next held call that nobody has taken yet, in the order in which they began.
    pub async fn next_held(&self) -> HeldCall {
        self.shared.held.next().await
    }

    /// As [`next_held`](Self::next_held), if there is one already.
    #[must_use]
    pub fn try_next_held(&self) -> Option<HeldCall> {
        self.shared.held.try_next()
    }

    /// The next `n` calls of this kind fail at once and change nothing. A release that fails leaves the lock taken, until
    /// [`lose_lock`](Self::lose_lock).
    pub fn fail_next(&self, op: Op, n: usize) {
        self.state(|state| state.fail_next.insert(op, n));
    }

    /// Whether calls of this kind fail at once, until this is called again.
    pub fn fail_always(&self, op: Op, fail: bool) {
        self.state(|state| if fail { state.failing.insert(op) } else { state.failing.remove(&op) });
    }

    /// The next call of this kind panics when it is first polled.
    pub fn panic_next(&self, op: Op) {
        self.state(|state| *state.panic_next.entry(op).or_default() += 1);
    }

    /// The calls that have ended, in the order in which they did. Those that were dropped or panicked have not; a guard
    /// that is dropped instead of released makes no call.
    #[must_use]
    pub fn log(&self) -> Vec<Logged> {
        self.state(|state| state.log.clone())
    }

    /// The calls that have begun, in the order in which they did. Their `ok` is false, and only saves have `tokens`.
    #[must_use]
    pub fn begun(&self) -> Vec<Logged> {
        self.state(|state| state.begun.clone())
    }

    /// The kinds of the calls that have ended well, in order: a short form of [`log`](Self::log).
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        self.state(|state| state.log.iter().filter(|call| call.ok).map(|call| call.op).collect())
    }

    /// The most calls that were under way at a time through one clone of the store, the guards it gave out included. Of
    /// one session never more than one.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.overlap.most()
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut lock(&self.shared.state))
    }
}

impl fmt::Debug for ScriptedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedStore").finish_non_exhaustive()
    }
}

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHandle")
            .field("locked", &self.is_locked())
            .field("ops", &self.ops())
            .finish_non_exhaustive()
    }
}
