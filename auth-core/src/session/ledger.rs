//! The ledger: the one writer of a session's store (invariant 9).
//!
//! A worker task does one thing at a time: jobs (lock, load, unlock) in their order, and between them the write that is due,
//! always of the newest desired content. It ends when there is nothing to do. The store's guard is the ledger's: flights ask
//! for the lock, and every write that is made meanwhile uses it, so a sign-out never waits for its own session's flight.
//!
//! A worker whose runtime was dropped tells everybody; one that is not driven any more is replaced by whoever comes next
//! after its deadline, and does nothing more if it is ever driven again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::channel::oneshot;

use super::books::{Content, Order, Origin, Wrote};
use super::bounded::NoAnswer;
use super::core::Core;
use crate::event::{Event, FlightId};
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::{BoxFuture, Error, ErrorKind, StoreError, StoreGuard, Tokens};

/// What a flight's wish for the store's lock came to.
pub(crate) enum Locked {
    /// Nobody else writes until it is given back.
    Held,
    /// The store has no lock: this session owns it.
    Unshared,
    Failed(StoreError),
}

pub(crate) struct Ledger {
    desk: Mutex<Desk>,
}

#[derive(Default)]
struct Desk {
    jobs: VecDeque<Job>,
    /// A write may be due.
    write: bool,
    worker: Option<Alive>,
    workers: u64,
    guard: Option<Box<dyn StoreGuard>>,
    /// Flights that asked for the lock and have not given it back.
    holders: Vec<FlightId>,
}

/// A worker that has not been polled by then was spawned on a runtime that nobody drives.
const FIRST_POLL: Duration = Duration::from_secs(1);

/// The worker's number, and when it is taken for dead.
#[derive(Clone, Copy)]
struct Alive {
    number: u64,
    until: Duration,
}

enum Job {
    Lock(FlightId, oneshot::Sender<Locked>),
    Load(oneshot::Sender<Result<Option<Tokens>, StoreError>>),
    Unlock(FlightId),
}

enum Work {
    Job(Job),
    Write,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { desk: Mutex::default() }
    }

    /// Under its lock no other is taken, and nothing foreign happens.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store's lock, for a flight.
    pub(crate) async fn lock(&self, core: &Arc<Core>, flight: FlightId) -> Locked {
        self.ask(core, |sender| Job::Lock(flight, sender)).await.unwrap_or_else(Locked::Failed)
    }

    /// Whether the lock that the flight was given is still there, as far as anybody has noticed: an older write may have
    /// found it lost.
    pub(crate) fn holds(&self, flight: FlightId) -> bool {
        self.desk().holders.contains(&flight)
    }

    /// What the store holds.
    pub(crate) async fn load(&self, core: &Arc<Core>) -> Result<Option<Tokens>, StoreError> {
        self.ask(core, Job::Load).await.unwrap_or_else(Err)
    }

    /// Puts a job on the desk and waits for its answer. A worker that takes longer than any one of its calls may is dead:
    /// it is replaced, and the job with it.
    async fn ask<T>(
        &self,
        core: &Arc<Core>,
        job: impl Fn(oneshot::Sender<T>) -> Job,
    ) -> Result<T, StoreError> {
        loop {
            let (sender, mut receiver) = oneshot::channel();
            self.submit(core, |desk| desk.jobs.push_back(job(sender)));
            let worker = self.worker();
            loop {
                if let Some(answer) = core.within(core.longest_call(), &mut receiver).await {
                    return answer.map_err(|_| StoreError::new(Dropped));
                }
                if self.is_dead(core) || self.worker() != worker {
                    break;
                }
            }
        }
    }

    fn worker(&self) -> Option<u64> {
        self.desk().worker.map(|worker| worker.number)
    }

    /// Waits for a write. A worker that is dead is replaced meanwhile.
    pub(crate) async fn wrote(&self, core: &Arc<Core>, mut receiver: oneshot::Receiver<Wrote>) -> Wrote {
        loop {
            match core.within(core.longest_call(), &mut receiver).await {
                Some(answer) => return answer.unwrap_or_else(|_| Err(Arc::new(StoreError::new(Dropped)))),
                None if self.is_dead(core) => self.replace_worker(core),
                None => {}
            }
        }
    }

    fn is_dead(&self, core: &Core) -> bool {
        let now = core.now();
        self.desk().worker.is_some_and(|worker| now >= worker.until)
    }

    /// Nobody drives the worker: another one takes over, and makes the write that it may have been about to make.
    pub(crate) fn replace_worker(&self, core: &Arc<Core>) {
        self.submit(core, |desk| {
            if let Some(worker) = &mut desk.worker {
                worker.until = Duration::ZERO;
            }
        });
    }

    /// Gives the lock back, soon. Never waited for.
    pub(crate) fn unlock(&self, core: &Arc<Core>, flight: FlightId) {
        let needless = {
            let desk = self.desk();
            desk.worker.is_none() && !desk.holders.contains(&flight)
        };
        if needless {
            return;
        }
        self.submit(core, |desk| desk.jobs.push_back(Job::Unlock(flight)));
    }

    /// The books want something written.
    pub(crate) fn write_soon(&self, core: &Arc<Core>) {
        self.submit(core, |desk| desk.write = true);
    }

    fn submit(&self, core: &Arc<Core>, add: impl FnOnce(&mut Desk)) {
        let now = core.now();
        let number = {
            let mut desk = self.desk();
            add(&mut desk);
            match desk.worker {
                Some(worker) if now < worker.until => return,
                None if desk.jobs.is_empty() && !desk.write => return,
                // One that is replaced may have been about to write.
                Some(_) => desk.write = true,
                None => {}
            }
            desk.workers += 1;
            desk.worker = Some(Alive { number: desk.workers, until: now + FIRST_POLL });
            desk.workers
        };
        core.runtime.spawn(work(core, number));
    }

    /// Nobody drives the worker any more, perhaps: then another one takes over.
    pub(crate) fn look(&self, core: &Arc<Core>) {
        self.submit(core, |_| {});
    }

    /// Whether nothing is left to do, and the store's lock is free of us. Asked under the state's lock.
    pub(crate) fn is_at_rest(&self) -> bool {
        let desk = self.desk();
        desk.worker.is_none() && desk.guard.is_none() && desk.jobs.is_empty() && !desk.write
    }

    /// The next thing to do; `None`: nothing, or another worker has taken over.
    fn next(&self, me: u64, until: Duration) -> Option<Work> {
        let mut desk = self.desk();
        if !desk.is_worker(me) {
            return None;
        }
        // What is to be written is written before the lock is given back: under it, and not after somebody else. And before it
        // is taken: under the next flight's lock it would come before that flight has looked at what is there.
        let turn = matches!(desk.jobs.front(), None | Some(Job::Lock(..) | Job::Unlock(_)));
        let work = if turn && std::mem::take(&mut desk.write) {
            Some(Work::Write)
        } else {
            desk.jobs.pop_front().map(Work::Job)
        };
        desk.worker = work.is_some().then_some(Alive { number: me, until });
        work
    }

    /// Another call begins.
    fn begins(&self, me: u64, until: Duration) {
        let mut desk = self.desk();
        if desk.is_worker(me) {
            desk.worker = Some(Alive { number: me, until });
        }
    }
}

impl Desk {
    fn is_worker(&self, me: u64) -> bool {
        self.worker.is_some_and(|worker| worker.number == me)
    }
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the runtime dropped the store's task")]
struct Dropped;

impl Core {
    /// Longer than any one call of the store may take.
    fn longest_call(&self) -> Duration {
        self.policy.store_lock.max(self.policy.store_call) + Duration::from_secs(1)
    }
}

fn work(core: &Arc<Core>, me: u64) -> BoxFuture<'static, ()> {
    let worker = Worker { core: Arc::clone(core), me };
    Box::pin(async move {
        let worker = worker;
        loop {
            let until = worker.core.now() + worker.core.longest_call();
            match worker.core.ledger.next(worker.me, until) {
                Some(Work::Job(job)) => worker.job(job).await,
                Some(Work::Write) => {
                    let due = worker.core.change(|state, _| state.books.due());
                    if let Some(order) = due {
                        worker.write(order).await;
                    }
                }
                None => return,
            }
        }
    })
}

struct Worker {
    core: Arc<Core>,
    me: u64,
}

impl Worker {
    /// A call of the store, for as long as this is the worker. Once replaced, it does not go on with a write that has been
    /// overtaken by then.
    async fn call<F: Future>(&self, limit: Duration, call: F) -> Result<F::Output, NoAnswer> {
        self.core.ledger.begins(self.me, self.core.now() + self.core.longest_call());
        let mut call = std::pin::pin!(self.core.call(limit, call));
        std::future::poll_fn(|cx| {
            if self.core.ledger.desk().is_worker(self.me) {
                call.as_mut().poll(cx)
            } else {
                Poll::Ready(Err(NoAnswer::TimedOut))
            }
        })
        .await
    }

    async fn job(&self, job: Job) {
        match job {
            Job::Lock(flight, reply) => {
                let locked = self.lock(flight).await;
                if let Err(Locked::Held) = reply.send(locked) {
                    self.unlock(flight).await;
                }
            }
            Job::Load(reply) => {
                if let Some(order) = self.core.change(|state, _| state.books.due_before_load()) {
                    self.write(order).await;
                }
                let loaded = self.load().await;
                let _ = reply.send(loaded);
            }
            Job::Unlock(flight) => {
                // The sign-out or sign-in that has just ended this flight may not have come to the desk yet. Nobody else may
                // have the lock before its write: the pair that is there may be spent.
                let due = self.core.change(|state, _| state.books.due());
                if let Some(order) = due.filter(|order| order.origin == Origin::Identity) {
                    self.write(order).await;
                }
                self.unlock(flight).await;
            }
        }
    }

    async fn lock(&self, flight: FlightId) -> Locked {
        let held = {
            let mut desk = self.core.ledger.desk();
            let held = desk.guard.is_some();
            if held {
                desk.holders.push(flight);
            }
            held
        };
        if held {
            return Locked::Held;
        }
        match self.take_lock().await {
            Ok(Some(guard)) => {
                let mine = {
                    let mut desk = self.core.ledger.desk();
                    let mine = desk.is_worker(self.me);
                    if mine {
                        desk.holders.push(flight);
                    }
                    mine
                };
                self.put_back(guard).await;
                if mine { Locked::Held } else { Locked::Failed(StoreError::new(Dropped)) }
            }
            Ok(None) => Locked::Unshared,
            Err(error) => Locked::Failed(error),
        }
    }

    async fn take_lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        let locked = self.call(self.core.policy.store_lock, (*self.core.store).lock()).await;
        locked.unwrap_or_else(|none| Err(StoreError::new(none)))
    }

    /// Keeps the guard for as long as a flight holds it. A worker that was replaced has nothing to keep it for.
    async fn put_back(&self, guard: Box<dyn StoreGuard>) {
        let spare = {
            let mut desk = self.core.ledger.desk();
            let mine = desk.is_worker(self.me);
            if mine && !desk.holders.is_empty() && desk.guard.is_none() {
                desk.guard = Some(guard);
                None
            } else {
                Some(guard)
            }
        };
        if let Some(guard) = spare {
            self.release(guard).await;
        }
    }

    /// The lock was lost, and there is no other: nobody holds it any more.
    fn lose(&self) {
        let mut desk = self.core.ledger.desk();
        if desk.is_worker(self.me) && desk.guard.is_none() {
            desk.holders.clear();
        }
    }

    async fn release(&self, guard: Box<dyn StoreGuard>) {
        let _ = self.call(self.core.policy.store_call, guard.release()).await;
    }

    async fn unlock(&self, flight: FlightId) {
        let last = {
            let mut desk = self.core.ledger.desk();
            desk.holders.retain(|holder| *holder != flight);
            if desk.holders.is_empty() { desk.guard.take() } else { None }
        };
        if let Some(guard) = last {
            self.release(guard).await;
        }
    }

    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        let mut guard = self.core.ledger.desk().guard.take();
        let loaded = self.read(guard.as_mut()).await;
        if let Some(guard) = guard {
            self.put_back(guard).await;
        }
        loaded
    }

    /// What the store holds, read under this guard or without one.
    async fn read(&self, guard: Option<&mut Box<dyn StoreGuard>>) -> Result<Option<Tokens>, StoreError> {
        let limit = self.core.policy.store_call;
        let loaded = match guard {
            Some(guard) => self.call(limit, guard.load()).await,
            None => self.call(limit, (*self.core.store).load()).await,
        };
        loaded.unwrap_or_else(|none| Err(StoreError::new(none)))
    }

    /// Makes one write, and tells those who wait for it.
    async fn write(&self, order: Order) {
        let guard = self.core.ledger.desk().guard.take();
        let (mut wrote, guard) = self.write_with(&order, guard).await;
        if matches!(&wrote, Err(error) if error.is_conflict()) {
            // The lock was lost; whoever holds it now may have written. A flight has to look at that first. A sign-in or a
            // sign-out wins over it, under a lock taken anew.
            if let Some(guard) = guard {
                self.release(guard).await;
            }
            let mut regained = None;
            if order.origin == Origin::Identity {
                (wrote, regained) = self.write_with(&order, None).await;
            }
            match regained {
                Some(guard) => self.put_back(guard).await,
                None => self.lose(),
            }
        } else if let Some(guard) = guard {
            self.put_back(guard).await;
        }
        self.answer(&order, wrote.map_err(Arc::new));
    }

    fn answer(&self, order: &Order, wrote: Wrote) {
        if !self.core.ledger.desk().is_worker(self.me) {
            return;
        }
        self.core.change(|state, after| {
            state.counters.save_failed += u64::from(wrote.is_err());
            after.event(match &wrote {
                Ok(()) => Event::Saved,
                Err(error) => Event::SaveFailed { error: store_error(error) },
            });
            // What has been overtaken is answered by what overtook it.
            if wrote.is_ok() || state.books.is_newest(order) {
                after.tell(state.books.answered(order, wrote));
            } else {
                after.tell((Vec::new(), wrote));
            }
        });
    }

    /// Whether one more try is worth it: of a pair, as long as nothing newer is wanted in its place.
    fn is_wanted(&self, order: &Order) -> bool {
        !matches!(order.content, Content::Pair(_))
            || self.core.change(|state, _| state.books.is_newest(order))
    }

    /// Writes under this guard, or under one of its own. Gives back the guard it ends with.
    async fn write_with(
        &self,
        order: &Order,
        guard: Option<Box<dyn StoreGuard>>,
    ) -> (Result<(), StoreError>, Option<Box<dyn StoreGuard>>) {
        let mut alone = false;
        let mut guard = match guard {
            Some(guard) => Some(guard),
            None => match self.take_lock().await {
                Ok(Some(mut taken)) => {
                    // Nobody held the lock since the flight's load: what another process wrote meanwhile comes first.
                    if !self.is_known(order, &mut taken).await {
                        return (Err(StoreError::conflict()), Some(taken));
                    }
                    Some(taken)
                }
                Ok(None) => {
                    alone = true;
                    None
                }
                Err(error) if order.origin != Origin::Identity => return (Err(error), None),
                Err(_) => {
                    self.core.change(|_, after| after.event(Event::WrittenUnlocked));
                    None
                }
            },
        };
        let mut wrote = self.write_once(order, guard.as_mut(), alone).await;
        if matches!(&wrote, Err(error) if !error.is_conflict()) && self.is_wanted(order) {
            wrote = self.write_once(order, guard.as_mut(), alone).await;
        }
        (wrote, guard)
    }

    /// Whether a flight's pair may go there: the store holds what this session knows of, or that pair already. Other writes
    /// look for themselves, or overrule what is there.
    async fn is_known(&self, order: &Order, guard: &mut Box<dyn StoreGuard>) -> bool {
        let (Origin::Flight, Content::Pair(pair)) = (order.origin, &order.content) else { return true };
        match self.read(Some(guard)).await {
            Ok(loaded) => self.core.change(|state, _| state.books.knows(loaded.as_ref(), pair)),
            Err(_) => false,
        }
    }

    /// What the store holds, before a further try: the ones before may have been made. Whoever cannot see that must not write a pair
    /// over it. A store that nobody else writes is another matter, as long as it answers: what it holds may be what it cannot read.
    /// And a sign-out is made however little can be seen.
    async fn look(
        &self,
        order: &Order,
        guard: Option<&mut Box<dyn StoreGuard>>,
        alone: bool,
    ) -> Result<Option<Tokens>, StoreError> {
        match self.read(guard).await {
            Err(_) if matches!(order.content, Content::Nothing) => Ok(None),
            Err(error) if alone && !is_late(&error) => Ok(None),
            looked => looked,
        }
    }

    async fn write_once(
        &self,
        order: &Order,
        mut guard: Option<&mut Box<dyn StoreGuard>>,
        alone: bool,
    ) -> Result<(), StoreError> {
        if self.core.change(|state, _| state.books.begins(order)) {
            let there = self.look(order, guard.as_deref_mut(), alone).await?;
            if there.is_some_and(|there| self.core.change(|state, _| state.books.is_done(order, &there))) {
                // What another process has made of it since, the next flight adopts.
                return Ok(());
            }
            if !self.is_wanted(order) {
                return Err(StoreError::new("something newer is wanted there"));
            }
        }
        if self.core.change(|state, _| state.books.is_unread())
            && let Ok(Some(there)) = self.read(guard.as_deref_mut()).await
        {
            self.core.change(|state, after| {
                if state.books.take_unread() {
                    after.revoke(Arc::new(there));
                }
            });
        }
        if let Content::NothingFor(pair) = &order.content {
            let there = self.read(guard.as_deref_mut()).await?;
            if !there.is_some_and(|there| there.same_pair(pair)) {
                return Ok(());
            }
        }
        let limit = self.core.policy.store_call;
        // The store itself and not its `Arc`: one box less a call.
        let store = &*self.core.store;
        let wrote = match (&order.content, guard) {
            (Content::Pair(tokens), Some(guard)) => self.call(limit, guard.save(tokens)).await,
            (Content::Pair(tokens), None) => self.call(limit, store.save(tokens)).await,
            (Content::Nothing | Content::NothingFor(_), Some(guard)) => self.call(limit, guard.clear()).await,
            (Content::Nothing | Content::NothingFor(_), None) => self.call(limit, store.clear()).await,
        };
        wrote.unwrap_or_else(|none| Err(StoreError::new(none)))
    }
}

impl Drop for Worker {
    /// Dropped before it was done: nobody will do what is left, and those who wait for it have to know.
    fn drop(&mut self) {
        let abandoned = {
            let mut desk = self.core.ledger.desk();
            if !desk.is_worker(self.me) {
                return;
            }
            desk.worker = None;
            desk.write = false;
            let guard = desk.guard.take();
            desk.holders.clear();
            (std::mem::take(&mut desk.jobs), guard)
        };
        drop(abandoned);
        let why = Arc::new(StoreError::new(Dropped));
        self.core.change(|state, after| after.tell(state.books.abandoned(&why)));
    }
}

fn is_late(error: &StoreError) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(NoAnswer::TimedOut))
}

/// A store's failure that several share.
pub(crate) fn store_error(error: &Arc<StoreError>) -> Error {
    Error::caused(ErrorKind::Store, Arc::clone(error))
}
