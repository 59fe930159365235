//! The store of the simulated world: one place, and a handle on it for each process, whose calls may go wrong.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use auth_core::{StoreError, StoreGuard, TokenStore, Tokens, async_trait};
use futures::channel::oneshot;

use super::plan::{StoreCall, StoreFault};
use super::record::{Pair, StoreOp, StoreOutcome, Token, What};
use super::secret;
use super::universe::{OUTSIDE, Universe, Who};
use crate::lock::lock;

/// What all handles share.
#[derive(Default)]
pub(crate) struct Place {
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    content: Option<Tokens>,
    /// The lease that has the lock. Each has another number, in order: a fence.
    holder: Option<u64>,
    leases: u64,
    line: VecDeque<(Who, oneshot::Sender<Held>)>,
}

/// A [`TokenStore`] of the simulated world, as one process has it.
#[derive(Clone)]
pub struct SimulatedStore {
    universe: Arc<Universe>,
    who: Who,
    shared: bool,
}

/// The lock, held. Dropped, it goes to the next in line.
struct Held {
    store: SimulatedStore,
    lease: u64,
}

struct Guard {
    held: Held,
}

/// A call under way, which is dropped if it does not end.
struct Call<'a> {
    store: &'a SimulatedStore,
    number: u32,
    op: StoreOp,
    ended: bool,
}

impl SimulatedStore {
    pub(crate) fn new(universe: &Arc<Universe>, who: Who, shared: bool) -> Self {
        Self { universe: Arc::clone(universe), who, shared }
    }

    fn place(&self) -> &Mutex<Inside> {
        &self.universe.place.inside
    }

    fn begin(&self, op: StoreOp, lease: Option<&Held>) -> Call<'_> {
        let (number, locked) = (self.universe.call(), lease.is_some());
        self.universe.record(self.who.process, What::StoreBegan { call: number, op, locked });
        Call { store: self, number, op, ended: false }
    }

    /// One call, with whatever is to go wrong with it. `lease`: the lock that it is made under.
    async fn call(
        &self,
        op: StoreOp,
        lease: Option<&Held>,
        act: impl FnOnce(&mut Inside) -> Option<Tokens>,
    ) -> Result<Option<Tokens>, StoreError> {
        let mut call = self.begin(op, lease);
        let fault = self.fault(op).await;
        let full = op != StoreOp::Load && self.who.process != OUTSIDE && self.universe.is_full();
        if full || fault == Some(StoreFault::Fails) {
            return Err(call.end(StoreOutcome::Failed));
        }
        if fault == Some(StoreFault::KilledBefore) {
            self.universe.kill_soon(self.who);
            pending::<()>().await;
        }
        // What is lost is found out where the write is made.
        if lease.is_some_and(|held| !held.is_valid()) && op != StoreOp::Load {
            call.end(StoreOutcome::Conflict);
            return Err(StoreError::conflict());
        }
        let found = act(&mut lock(self.place()));
        if op != StoreOp::Load {
            self.universe.record(self.who.process, What::Stored { pair: found.as_ref().and_then(pair) });
        }
        match fault {
            Some(StoreFault::LiesAboutFailing) => return Err(call.end(StoreOutcome::Failed)),
            Some(StoreFault::KilledAfter) => {
                self.universe.kill_soon(self.who);
                pending::<()>().await;
            }
            _ => {}
        }
        call.end(StoreOutcome::Done(found.as_ref().and_then(pair)));
        Ok(found)
    }

    /// Waits as long as the call takes, and says what else is wrong with it.
    async fn fault(&self, op: StoreOp) -> Option<StoreFault> {
        if self.who.process == OUTSIDE {
            return None;
        }
        let fault = self.universe.next_store(self.who.slot, kind(op));
        match fault {
            Some(StoreFault::Slow(ms)) => self.universe.sleep(ms).await,
            Some(StoreFault::Hangs) => pending::<()>().await,
            _ if self.universe.below(3) == 0 => self.universe.sleep(1 + self.universe.below(8)).await,
            _ => {}
        }
        fault
    }

    async fn load_under(&self, lease: Option<&Held>) -> Result<Option<Tokens>, StoreError> {
        self.call(StoreOp::Load, lease, |inside| inside.content.clone()).await
    }

    async fn save_under(&self, tokens: &Tokens, lease: Option<&Held>) -> Result<(), StoreError> {
        let unknown = Pair { access: Token { number: 0, sign_in: 0 }, refresh: None };
        let pair = pair(tokens).unwrap_or(unknown);
        let save = |inside: &mut Inside| {
            inside.content = Some(tokens.clone());
            inside.content.clone()
        };
        self.call(StoreOp::Save { pair }, lease, save).await.map(drop)
    }

    async fn clear_under(&self, lease: Option<&Held>) -> Result<(), StoreError> {
        let clear = |inside: &mut Inside| {
            inside.content = None;
            None
        };
        self.call(StoreOp::Clear, lease, clear).await.map(drop)
    }

    /// Waits in line for the lock.
    async fn held(&self) -> Held {
        let waiting = {
            let mut inside = lock(self.place());
            if inside.holder.is_none() {
                inside.leases += 1;
                inside.holder = Some(inside.leases);
                return Held { store: self.clone(), lease: inside.leases };
            }
            let (sender, receiver) = oneshot::channel();
            inside.line.push_back((self.who, sender));
            receiver
        };
        match waiting.await {
            Ok(held) => held,
            // Nobody drops a place in line but who stands there.
            Err(_) => pending().await,
        }
    }
}

impl Universe {
    /// Takes the lock from whoever has it, and gives it to the next in line.
    pub(crate) fn pass_lock(self: &Arc<Self>) {
        loop {
            let (who, sender, lease) = {
                let mut inside = lock(&self.place.inside);
                inside.holder = None;
                let Some((who, sender)) = inside.line.pop_front() else { return };
                if sender.is_canceled() {
                    continue;
                }
                inside.leases += 1;
                inside.holder = Some(inside.leases);
                (who, sender, inside.leases)
            };
            let store = SimulatedStore::new(self, who, true);
            // Whoever goes before receiving it drops it, and that passes it on.
            let _ = sender.send(Held { store, lease });
            return;
        }
    }

    pub(crate) fn is_locked(&self) -> bool {
        lock(&self.place.inside).holder.is_some()
    }

    /// What the store holds.
    pub(crate) fn stored_pair(&self) -> Option<Tokens> {
        lock(&self.place.inside).content.clone()
    }
}

impl Held {
    fn is_valid(&self) -> bool {
        lock(self.store.place()).holder == Some(self.lease)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_valid() {
            self.store.universe.record(self.store.who.process, What::Unlocked);
            self.store.universe.pass_lock();
        }
    }
}

impl Call<'_> {
    fn end(&mut self, outcome: StoreOutcome) -> StoreError {
        self.ended = true;
        let ended = What::StoreEnded { call: self.number, op: self.op, outcome };
        self.store.universe.record(self.store.who.process, ended);
        StoreError::new("the simulated store failed")
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.end(StoreOutcome::Dropped);
        }
    }
}

fn kind(op: StoreOp) -> StoreCall {
    match op {
        StoreOp::Load => StoreCall::Load,
        StoreOp::Save { .. } | StoreOp::Clear => StoreCall::Write,
        StoreOp::Lock => StoreCall::Lock,
    }
}

fn pair(tokens: &Tokens) -> Option<Pair> {
    let refresh = tokens.refresh_token().and_then(|token| secret::find(token.reveal()));
    Some(Pair { access: secret::find(tokens.access_token().reveal())?, refresh })
}

#[async_trait]
impl TokenStore for SimulatedStore {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.load_under(None).await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.save_under(tokens, None).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.clear_under(None).await
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        if !self.shared {
            return Ok(None);
        }
        let mut call = self.begin(StoreOp::Lock, None);
        match self.fault(StoreOp::Lock).await {
            Some(StoreFault::Fails) => return Err(call.end(StoreOutcome::Failed)),
            Some(StoreFault::KilledBefore) => {
                self.universe.kill_soon(self.who);
                pending::<()>().await;
            }
            _ => {}
        }
        let held = self.held().await;
        call.end(StoreOutcome::Done(None));
        Ok(Some(Box::new(Guard { held })))
    }
}

#[async_trait]
impl StoreGuard for Guard {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        self.held.store.load_under(Some(&self.held)).await
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        self.held.store.save_under(tokens, Some(&self.held)).await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.held.store.clear_under(Some(&self.held)).await
    }

    async fn release(self: Box<Self>) {}
}

impl fmt::Debug for SimulatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedStore").field("process", &self.who.process).finish_non_exhaustive()
    }
}
