//! The core: the state's lock, and what follows from each change once the lock has been given back.
//!
//! Invariant 11 is kept here: [`Core::change`] is the only place that locks the state to change it, the closure it runs is plain
//! code of this crate, and everything foreign (wakers, callbacks, spawning, dropping) is put into an [`After`] and happens when
//! the lock is free. [`Core::peek`] only reads: nothing follows from it.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use arc_swap::Guard;
use futures::future::AbortHandle;

use super::ahead;
use super::books::Told;
use super::drive;
use super::flight::{Flight, Outcome, Promise};
use super::lease::{Lease, Snapshot, Stamp};
use super::ledger::Ledger;
use super::listen::{self, Events};
use super::load;
use super::policy::{Policy, split_mix, unit};
use super::reentry::SessionId;
use super::state::{Ask, Candidate, Decision, Landing, Leftovers, State, Times};
use super::turn::Place;
use super::watch::Watched;
use crate::contain::{quietly, wake};
use crate::event::{EndReason, Event, FlightId, SessionEnded};
use crate::planted::Fault;
use crate::sync::{ArcSwapOption, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};
use crate::{
    BoxFuture, Counters, Error, ErrorKind, InvalidToken, MemoryStore, Refresher, Runtime, Scheme, SignInId,
    TokenStore, Tokens,
};

pub(crate) struct Core {
    pub(crate) id: SessionId,
    pub(crate) refresher: Arc<dyn Refresher>,
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) scheme: Arc<dyn Scheme>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) policy: Policy,
    /// Its builder named a store: what that holds outlives the session.
    pub(super) stored: bool,
    pub(crate) ledger: Ledger,
    pub(crate) events: Events,
    pub(crate) watched: Arc<Watched>,
    /// How this session's soft windows differ from those of others: 0 to 1.
    chance: f64,
    /// The runtime's random bits, stretched: jitter is wanted under the lock, where nothing foreign is called.
    seed: AtomicU64,
    /// What the fast path reads: the state's snapshot, as of the last change.
    published: ArcSwapOption<Snapshot>,
    state: Mutex<State>,
    /// Taken under the state's lock, and nothing under it.
    timer: Mutex<Timer>,
    replayed: AtomicU64,
}

/// What follows from a change. [`After::happen`] has the order: waiters first, then the ledger, tasks, listeners and watchers.
#[derive(Default)]
pub(crate) struct After {
    events: Vec<Event>,
    landed: Vec<(Arc<Flight>, Outcome)>,
    opened: Vec<Arc<Flight>>,
    loads: Vec<(Arc<Promise>, Outcome)>,
    told: Told,
    tasks: Vec<BoxFuture<'static, ()>>,
    revoke: Vec<Arc<Tokens>>,
    unlock: Vec<FlightId>,
    write: bool,
    /// Nobody drives the ledger's worker either.
    forsaken: bool,
    wakers: Vec<Waker>,
    /// The timer of a token that has been replaced.
    stopped: Option<AbortHandle>,
    /// By `elapsed`, where somebody listens.
    now: Duration,
    trash: Vec<Trash>,
    /// The same, of the state's. Not in there, since it is mostly empty, and a place in a `Vec` is an allocation.
    left: super::state::Trash,
}

/// The timer that refreshes while nobody asks.
#[derive(Default)]
struct Timer {
    stop: Option<AbortHandle>,
    /// Nobody uses the session any more: nothing is refreshed for nobody.
    closed: bool,
}

/// What is only kept to be dropped outside the lock.
#[expect(dead_code, reason = "held for its destructor")]
enum Trash {
    Snapshot(Option<Arc<Snapshot>>),
    Wrote(super::books::Wrote),
    Error(Error),
}

/// What a caller gets to wait for.
pub(crate) enum Granted {
    Lease(Lease),
    Place(Place),
    Flight(Arc<Flight>),
    Load(Arc<Promise>),
    Nothing,
}

impl Core {
    pub(crate) fn new(
        refresher: Arc<dyn Refresher>,
        store: Option<Arc<dyn TokenStore>>,
        scheme: Arc<dyn Scheme>,
        runtime: Arc<dyn Runtime>,
        policy: Policy,
        events: Events,
    ) -> Self {
        let state = State::new();
        let stored = store.is_some();
        let (chance, seed) = (unit(runtime.random()), AtomicU64::new(runtime.random()));
        Self {
            id: SessionId::next(),
            refresher,
            store: store.unwrap_or_else(|| Arc::new(MemoryStore::new())),
            scheme,
            runtime,
            policy,
            stored,
            ledger: Ledger::new(),
            events,
            watched: Arc::new(Watched::new(state.session_state())),
            chance,
            seed,
            published: ArcSwapOption::empty(),
            state: Mutex::new(state),
            timer: Mutex::default(),
            replayed: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Duration {
        self.runtime.elapsed()
    }

    /// A new sign-in's id: from the runtime, since it has to differ between processes.
    pub(crate) fn sign_in_id(&self) -> SignInId {
        SignInId::from_random(self.runtime.random(), self.runtime.random())
    }

    /// The newest generation, if somebody is signed in.
    pub(crate) fn published(&self) -> Option<Arc<Snapshot>> {
        self.published.load_full()
    }

    /// The same, without counting a reference: for a look.
    pub(crate) fn newest(&self) -> Guard<Option<Arc<Snapshot>>> {
        self.published.load()
    }

    fn timer(&self) -> MutexGuard<'_, Timer> {
        self.timer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last handle of the session has been dropped.
    pub(crate) fn stop_timer(&self) {
        self.close_timer();
        let stop = self.timer().stop.take();
        if let Some(stop) = stop {
            let _ = quietly(|| stop.abort());
        }
    }

    /// From now on the timer starts nothing.
    pub(super) fn close_timer(&self) {
        self.timer().closed = true;
    }

    pub(super) fn is_timer_closed(&self) -> bool {
        self.timer().closed
    }

    pub(crate) fn replayed(self: &Arc<Self>, event: impl FnOnce() -> Event) {
        self.replayed.fetch_add(1, Ordering::Relaxed);
        self.tell(event);
    }

    pub(crate) fn counters(self: &Arc<Self>) -> Counters {
        self.change(|state, _| self.counted(state))
    }

    pub(super) fn counted(&self, state: &State) -> Counters {
        Counters { replayed: self.replayed.load(Ordering::Relaxed), ..state.counters }
    }

    /// An event that is not part of a change.
    pub(crate) fn tell(self: &Arc<Self>, event: impl FnOnce() -> Event) {
        if self.events.anyone_listens()
            && let Some(number) = self.events.push(&mut vec![event()], self.now())
        {
            self.runtime.spawn(listen::deliver(self, number));
        }
    }

    /// Random bits.
    pub(crate) fn roll(&self) -> u64 {
        split_mix(&self.seed)
    }

    /// The fast path: one load, one clock read. No lock, no allocation.
    #[inline]
    pub(crate) fn fast(&self) -> Option<Lease> {
        Lease::new(self.published.load(), |newest| newest.is_free(self.now()))
    }

    /// The newest lease of this epoch while it is valid, in its soft window too: for who would rather have had a newer one.
    pub(crate) fn valid(self: &Arc<Self>, epoch: u64) -> Option<Lease> {
        let now = self.now();
        self.change(|state, _| state.valid(epoch, now)).map(Lease::from)
    }

    /// The newest lease whatever its age, for a waiter at its turn: rows 1 and 2, then use it.
    pub(crate) fn at_turn(self: &Arc<Self>, epoch: u64) -> Result<Lease, Error> {
        let is_theirs =
            |newest: &Snapshot| newest.stamp.epoch == epoch || self.policy.planted.has(Fault::CrossIdentity);
        if let Some(lease) = Lease::new(self.published.load(), is_theirs) {
            return Ok(lease);
        }
        let refusal = self.change(|state, _| state.foreign(epoch));
        Err(refusal.unwrap_or_else(|| Error::new(ErrorKind::SessionChanged)))
    }

    /// Looks at the state: nothing foreign happens, so this may be called under a pool's lock.
    pub(super) fn peek<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One critical section, and then what follows from it.
    pub(crate) fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut State, &mut After) -> R) -> R {
        let listening = self.events.anyone_listens();
        let now = if listening { self.now() } else { Duration::ZERO };
        let mut after = After { now, ..After::default() };
        let (result, deliver) = {
            // Not poisoned by anything foreign: only plain code of this crate runs under it.
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let result = change(&mut state, &mut after);
            self.publish(&mut state, &mut after);
            // What is in use is not to be revoked, by whatever road it came to be nobody's.
            after.revoke.retain(|tokens| !state.uses(tokens));
            after.told.extend(state.books.settled());
            // Where nobody listens they stay where they are: their errors are not dropped under the lock.
            let deliver = if listening { self.events.push(&mut after.events, now) } else { None };
            (result, deliver)
        };
        after.happen(self, deliver);
        result
    }

    /// Shows the fast path and the watchers what the state has become. Under the state's lock, so that they see changes in
    /// their order.
    fn publish(self: &Arc<Self>, state: &mut State, after: &mut After) {
        let newest = state.snapshot();
        if let Some(snapshot) = newest {
            snapshot.held.store(state.holds(), Ordering::Release);
        }
        let shown = self.published.load();
        let same = match (newest, shown.as_ref()) {
            (Some(newest), Some(shown)) => Arc::ptr_eq(newest, shown),
            (None, None) => true,
            _ => false,
        };
        drop(shown);
        if !same {
            after.trash.push(Trash::Snapshot(self.published.swap(newest.cloned())));
            if self.policy.ahead {
                let (task, stop) = newest.map(|_| ahead::ahead(self)).unzip();
                // Where nobody uses the session any more the task sees that first, and ends.
                after.stopped = std::mem::replace(&mut self.timer().stop, stop);
                after.tasks.extend(task);
            }
        }
        after.wakers.extend(self.watched.set(state.session_state()));
        after.left = std::mem::take(&mut state.trash);
    }

    /// The one decision, and acting on it, under one lock.
    pub(crate) fn ask(self: &Arc<Self>, ask: Ask, placed: bool) -> Result<Granted, Error> {
        let now = self.now();
        self.change(|state, after| {
            self.look(state, after, now);
            let (flight, start) = match state.ask(ask, now, &self.policy) {
                Decision::Use(snapshot) => return Ok(Granted::Lease(Lease::from(snapshot))),
                Decision::UseAndStart(snapshot, flight) => {
                    self.start(after, &flight);
                    return Ok(Granted::Lease(Lease::from(snapshot)));
                }
                Decision::Load(promise) => return Ok(Granted::Load(promise)),
                Decision::StartLoad(id, promise) => {
                    after.tasks.push(load::load(self, id));
                    return Ok(Granted::Load(promise));
                }
                Decision::Nothing => return Ok(Granted::Nothing),
                Decision::Fail(error) => return Err(error),
                Decision::End(reason, error) => {
                    state.counters.ended += 1;
                    after.write = true;
                    after.events.push(Event::Ended(SessionEnded { reason, error: error.clone() }));
                    return Err(error);
                }
                Decision::Join(flight) => (flight, false),
                Decision::Start(flight) => (flight, true),
            };
            if start {
                self.start(after, &flight);
            }
            let granted = if placed {
                let Some(number) = flight.queue.join(self.policy.max_waiters) else {
                    state.counters.queue_full += 1;
                    return Err(Error::detailed(ErrorKind::QueueFull, "they wait for the refresh"));
                };
                Granted::Place(Place { flight, number })
            } else {
                Granted::Flight(flight)
            };
            state.counters.joined += u64::from(!start);
            Ok(granted)
        })
    }

    /// A flight that was put into its slot gets its driver, whose guard answers for it from now on.
    pub(super) fn start(self: &Arc<Self>, after: &mut After, flight: &Arc<Flight>) {
        after.events.push(Event::RefreshStarted { flight: flight.id, cause: flight.cause });
        after.tasks.push(drive::drive(self, flight));
    }

    /// Ends what is past its deadline, on a runtime that nobody drives, say.
    pub(super) fn look(&self, state: &mut State, after: &mut After, now: Duration) {
        let expired = state.expire(now, self.roll(), &self.policy);
        after.forsaken |= expired.forsaken;
        after.unlock.extend(expired.holders);
        if let Some(landing) = expired.landing {
            self.landed(state, after, landing);
        }
        if let Some((promise, error)) = expired.load {
            after.load_failed(promise, error);
        }
    }

    /// The same look, by a waiter.
    pub(crate) fn look_now(self: &Arc<Self>) {
        let now = self.now();
        self.change(|state, after| self.look(state, after, now));
    }

    /// Tells everybody how a flight ended.
    pub(crate) fn landed(&self, state: &mut State, after: &mut After, landing: Landing) {
        let counters = &mut state.counters;
        match landing {
            Landing::Published { flight, stamp, unchanged, adopted } => {
                let counter = if adopted { &mut counters.adopted } else { &mut counters.refreshed };
                *counter += 1;
                after.refreshed(&flight, stamp, adopted, unchanged);
                after.landed.push((flight, Ok(())));
            }
            Landing::Failed { flight, error } => {
                counters.failed += 1;
                after.failed(&flight, &error);
                after.landed.push((flight, Err(error)));
            }
            Landing::Draining { flight, error } => {
                counters.refused += 1;
                after.failed(&flight, &error);
                after.events.push(Event::Draining);
                after.landed.push((flight, Err(error)));
            }
            Landing::Ended { flight, reason, error } => {
                let elsewhere = reason == EndReason::EndedElsewhere;
                let counter = if elsewhere { &mut counters.overtaken } else { &mut counters.refused };
                *counter += 1;
                counters.ended += 1;
                after.write = true;
                if self.policy.planted.has(Fault::EndTwice) {
                    after.events.push(Event::Ended(SessionEnded { reason, error: error.clone() }));
                }
                after.failed(&flight, &error);
                after.events.push(Event::Ended(SessionEnded { reason, error: error.clone() }));
                after.landed.push((flight, Err(error)));
            }
            Landing::Followed { flight, epoch } => {
                after.events.push(Event::IdentityChanged { epoch });
                after.landed.push((flight, Err(Error::new(ErrorKind::SessionChanged))));
            }
            Landing::Over => {}
        }
    }

    /// Tokens with what foreign code and clocks say of them. Not under the lock.
    ///
    /// `born` now, of a refresher, they are never taken for expired: a clock that disagrees with the server's would make
    /// every request refresh. Their lifetime counts as unknown instead, and the server's 401 decides.
    pub(crate) fn candidate(&self, tokens: Tokens, born: bool) -> Candidate {
        let (now, wall) = (self.now(), self.runtime.now());
        let tokens = tokens.anchored(wall);
        let header = quietly(|| self.scheme.prepare(&tokens))
            .unwrap_or(Err(InvalidToken::new("the scheme panicked")))
            // Copied, so that dropping it never runs foreign code.
            .and_then(|(name, value)| {
                let copied = http::HeaderValue::from_bytes(value.as_bytes());
                copied.map(|copy| (name, copy)).map_err(|_| InvalidToken::new("it cannot stand in a header"))
            });
        let refreshable = quietly(|| self.refresher.can_refresh(&tokens)).unwrap_or(false);
        let mut times = Times::default();
        if let Some(left) = tokens.remaining(wall).filter(|left| !born || !left.is_zero()) {
            // A token that is new here may have been issued a while ago: what is left of it is all that a refresh can have.
            let lifetime = tokens.expires_in().filter(|_| !born).unwrap_or(left);
            times.expires = Some(now + left.saturating_sub(self.policy.early_for(lifetime)));
            times.granted = born.then(|| lifetime.saturating_sub(self.policy.early_for(lifetime)));
            let soft = self.policy.soft_for(lifetime, self.chance);
            times.soft = soft.map(|soft| now + left.saturating_sub(soft));
        }
        let refresh_expires = tokens.refresh_remaining(wall).map(|left| now + left);
        Candidate { tokens: Arc::new(tokens), header, refreshable, times, refresh_expires }
    }
}

impl After {
    pub(crate) fn event(&mut self, event: Event) {
        self.events.push(event);
    }

    fn refreshed(&mut self, flight: &Flight, stamp: Stamp, adopted: bool, unchanged: bool) {
        let (waiters, took, cause) = (flight.queue.waiting(), self.took(flight), flight.cause);
        let flight = flight.id;
        self.events.push(Event::Refreshed { flight, stamp, adopted, unchanged, cause, waiters, took });
    }

    fn failed(&mut self, flight: &Flight, error: &Error) {
        let (waiters, took) = (flight.queue.waiting(), self.took(flight));
        let (error, cause) = (error.clone(), flight.cause);
        self.events.push(Event::RefreshFailed { flight: flight.id, error, cause, waiters, took });
    }

    fn took(&self, flight: &Flight) -> Duration {
        self.now.saturating_sub(flight.started)
    }

    /// The books want something written.
    pub(crate) fn write(&mut self) {
        self.write = true;
    }

    pub(crate) fn answer_load(&mut self, promise: Option<Arc<Promise>>, outcome: Outcome) {
        self.loads.extend(promise.map(|promise| (promise, outcome)));
    }

    pub(crate) fn load_failed(&mut self, promise: Arc<Promise>, error: Error) {
        self.events.push(Event::LoadFailed { error: error.clone() });
        self.loads.push((promise, Err(error)));
    }

    /// Dropped when the lock is free: its cause is foreign.
    pub(crate) fn discard(&mut self, error: Error) {
        self.trash.push(Trash::Error(error));
    }

    pub(crate) fn tell(&mut self, (told, before): (Told, super::books::Wrote)) {
        self.told.extend(told);
        self.trash.push(Trash::Wrote(before));
    }

    pub(crate) fn revoke(&mut self, tokens: Arc<Tokens>) {
        self.revoke.push(tokens);
    }

    /// What an epoch leaves behind: its waiters fail at once, those of a queue that drains look for themselves, and those
    /// of a load decide again.
    pub(crate) fn leave(&mut self, leftovers: Leftovers, error: &Error) {
        if let Some(flight) = leftovers.flight {
            self.failed(&flight, error);
            self.landed.push((flight, Err(error.clone())));
        }
        self.opened.extend(leftovers.landed);
        self.loads.extend(leftovers.load.map(|load| (load, Ok(()))));
        self.revoke.extend(leftovers.pair);
    }

    fn happen(self, core: &Arc<Core>, deliver: Option<u64>) {
        for flight in self.opened {
            flight.queue.open();
        }
        for (flight, outcome) in self.landed {
            match outcome {
                Ok(()) => {
                    let timer = drive::patience(core, &flight);
                    flight.land();
                    // Only now: a timer that ticks, or is dropped, before the queue drains could open it.
                    if let Some(timer) = timer {
                        core.runtime.spawn(timer);
                    }
                }
                Err(error) => flight.fail(&error),
            }
        }
        for (promise, outcome) in self.loads {
            promise.fill(outcome);
        }
        for (sender, wrote) in self.told {
            let _ = sender.send(wrote);
        }
        if self.forsaken {
            core.ledger.replace_worker(core);
        }
        if self.write {
            core.ledger.write_soon(core);
        }
        for id in self.unlock {
            core.ledger.unlock(core, id);
        }
        for task in self.tasks {
            core.runtime.spawn(task);
        }
        for tokens in self.revoke {
            core.runtime.spawn(drive::revoke(core, tokens));
        }
        if let Some(number) = deliver {
            core.runtime.spawn(listen::deliver(core, number));
        }
        for waker in self.wakers {
            wake(waker);
        }
        if let Some(timer) = self.stopped {
            let _ = quietly(|| timer.abort());
        }
        drop((self.trash, self.left));
    }
}

#[cfg(test)]
#[cfg(not(auth_shuttle))]
mod tests;
