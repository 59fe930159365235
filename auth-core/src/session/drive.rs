//! The driver: the task that makes a refresh, step by step, whoever waits for it or no longer does.
//!
//! 1. Ask for the store's lock. 2. Load, and see whether somebody else has rotated. 3. Call the refresher. 4. Save. 5. Publish.
//! 6. Give the lock back. The flight's deadline covers 1 to 3; each step looks whether the flight still counts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::attempts::{Unanswered, attempts};
use super::books::Reading;
use super::bounded::NoAnswer;
use super::core::Core;
use super::flight::Flight;
use super::ledger::{Locked, store_error};
use super::queue::{TICKS, Tick};
use super::state::{Candidate, Landing, Obtained, State};
use super::trace;
use crate::contain::contain;
use crate::event::{EndReason, Event};
use crate::planted::Fault;
use crate::sync::{AtomicBool, Ordering};
use crate::{BoxFuture, Error, ErrorKind, RefreshError, StoreError, Tokens};

/// The driver's task. Its guard answers for the flight from the moment the task is made, so a task that a runtime drops,
/// unpolled even, frees the waiters.
pub(crate) fn drive(core: &Arc<Core>, flight: &Arc<Flight>) -> BoxFuture<'static, ()> {
    let pilot = Pilot {
        core: Arc::clone(core),
        flight: Arc::clone(flight),
        aboard: true,
        answered: false,
        calling: AtomicBool::new(false),
    };
    let drive = async move {
        // Moved in whole: its fields alone would leave its destructor outside.
        let mut pilot = pilot;
        pilot.fly().await;
        pilot.aboard = false;
        pilot.core.ledger.unlock(&pilot.core, pilot.flight.id);
        // The identity changed while this flight presented its pair, and nothing came of it: the pair is nobody's.
        if let Some(orphan) = pilot.flight.take_orphan().filter(|_| !pilot.answered) {
            pilot.core.change(|_, after| after.revoke(orphan));
        }
    };
    Box::pin(trace::refresh(core.id, flight, drive))
}

struct Pilot {
    core: Arc<Core>,
    flight: Arc<Flight>,
    aboard: bool,
    /// The refresh token is spent, or dead.
    answered: bool,
    /// A call of the refresher is under way.
    calling: AtomicBool,
}

/// Why steps 1 to 3 brought no new tokens.
enum Stop {
    /// The flight is over, and everybody knows.
    Over,
    Failed(Error, Option<Duration>),
    Refused(RefreshError),
    /// The refresh token has expired by the clock, and the store has no newer one.
    Expired,
}

impl Pilot {
    async fn fly(&mut self) {
        let core = Arc::clone(&self.core);
        let obtained = core.within(core.policy.flight, self.obtain()).await;
        match obtained {
            Some(Ok(candidate)) => self.save_and_publish(candidate).await,
            Some(Err(Stop::Over)) => {}
            Some(Err(Stop::Failed(error, retry_after))) => self.fail(error, retry_after),
            Some(Err(Stop::Refused(error))) => self.refused(error),
            Some(Err(Stop::Expired)) => {
                let (now, reason) = (core.now(), EndReason::RefreshTokenExpired);
                self.land(|state| state.refused(&self.flight, reason, Error::ended(reason, None), now));
            }
            None => {
                let late = RefreshError::unavailable(NoAnswer::TimedOut);
                let late = if self.hangs_up() { late.outcome_unknown() } else { late };
                self.fail(Error::refresh(late), None);
            }
        }
    }

    /// The refresh token is dead; perhaps because the answer that replaced it was lost.
    fn refused(&self, error: RefreshError) {
        let now = self.core.now();
        let (reason, error) = if self.core.change(|state, _| state.is_answer_lost(&self.flight)) {
            (EndReason::AnswerLost, error.outcome_unknown())
        } else {
            (EndReason::Rejected, error)
        };
        let error = Error::ended(reason, Some(error.into()));
        let error = self.leaked().unwrap_or(error);
        self.land(|state| state.refused(&self.flight, reason, error, now));
    }

    /// What a careless author would have said.
    fn leaked(&self) -> Option<Error> {
        let leaks = self.core.policy.planted.has(Fault::LeakSecret);
        let pair = self.core.change(|state, _| state.pair(&self.flight)).filter(|_| leaks)?;
        let text = format!("refresh token {} refused", pair.refresh_token()?.reveal());
        Some(Error::ended(EndReason::Rejected, Some(text.into())))
    }

    /// Steps 1 to 3.
    async fn obtain(&mut self) -> Result<Candidate, Stop> {
        let core = Arc::clone(&self.core);
        let locked = core.ledger.lock(&core, self.flight.id).await;
        let loaded = core.ledger.load(&core).await;
        let held = matches!(locked, Locked::Held);
        let shared = !matches!(locked, Locked::Unshared);
        match (locked, loaded) {
            (Locked::Failed(error), loaded) => {
                // Not to be refreshed without the lock; but another process may have done it.
                if let Ok(loaded) = loaded {
                    self.read(loaded).await?;
                }
                return Err(unavailable(error));
            }
            (Locked::Held, Err(error)) => return Err(unavailable(error)),
            // Nobody else writes it: memory knows.
            (Locked::Unshared, Err(_)) => {}
            (Locked::Held | Locked::Unshared, Ok(loaded)) => drop(self.read(loaded).await?),
        }
        let mut tried_another = false;
        loop {
            let now = core.now();
            if core.change(|state, _| state.is_past_refreshing(now)) {
                return Err(Stop::Expired);
            }
            if held && !core.ledger.holds(self.flight.id) {
                return Err(unavailable(StoreError::conflict()));
            }
            let (error, basis) = match self.call().await {
                (Some(basis), Ok(tokens)) => return self.keep(tokens, &basis),
                (Some(basis), Err(Unanswered::Failed { error, lost })) => {
                    if lost {
                        core.change(|state, _| state.answer_lost(&self.flight));
                    }
                    (error, basis)
                }
                (None, _) | (_, Err(Unanswered::Over)) => return Err(Stop::Over),
            };
            if !error.is_rejected() {
                let retry_after = error.retry_after_hint();
                return Err(Stop::Failed(Error::refresh(error), retry_after));
            }
            self.answered = true;
            if !tried_another {
                match core.ledger.load(&core).await {
                    Ok(loaded) => {
                        let there = self.read(loaded).await?;
                        if there.refresh_token() != basis.refresh_token() {
                            tried_another = true;
                            self.answered = false;
                            continue;
                        }
                    }
                    // Somebody else may have rotated: that is not known, and the session does not end on a guess.
                    Err(error) if shared => {
                        self.answered = false;
                        return Err(unavailable(error));
                    }
                    // Nobody else writes it: memory knows.
                    Err(_) => {}
                }
            }
            return Err(Stop::Refused(error));
        }
    }

    /// What the store holds beside memory: the pair to refresh, unless that settles the flight.
    async fn read(&mut self, loaded: Option<Tokens>) -> Result<Arc<Tokens>, Stop> {
        let core = Arc::clone(&self.core);
        let flight = Arc::clone(&self.flight);
        let reading = core.change(|state, _| {
            state.is_current(&flight).then(|| {
                let reading = state.books.read(loaded.as_ref());
                let number = (reading == Reading::SaveFirst).then(|| state.books.try_again());
                (reading, number.map(|number| state.books.wait(number)))
            })
        });
        match (reading, loaded) {
            (None, _) => Err(Stop::Over),
            (Some((Reading::Rotated, _)), Some(tokens)) => {
                let candidate = core.candidate(tokens, false);
                let tokens = Arc::clone(&candidate.tokens);
                let now = core.now();
                let adopted = core.change(|state, after| {
                    let landing = state.adopt(&flight, candidate, now, &core.policy)?;
                    core.landed(state, after, landing);
                    Some(())
                });
                if adopted.is_some() { Err(Stop::Over) } else { Ok(tokens) }
            }
            (Some((Reading::OtherSignIn, _)), Some(tokens)) => {
                let candidate = core.candidate(tokens, false);
                core.change(|state, after| {
                    let (landing, leftovers) = state.follow(&flight, candidate, &core.policy);
                    after.leave(leftovers, &Error::new(ErrorKind::SessionChanged));
                    core.landed(state, after, landing);
                });
                Err(Stop::Over)
            }
            (Some((Reading::Emptied, _)), _) => {
                self.land(|state| state.emptied(&flight));
                Err(Stop::Over)
            }
            (Some((_, saving)), _) => {
                if let Some(saving) = saving {
                    core.ledger.write_soon(&core);
                    // Where it fails again, the session goes on from memory as before.
                    let _ = core.ledger.wrote(&core, saving).await;
                }
                self.memory()
            }
        }
    }

    fn memory(&self) -> Result<Arc<Tokens>, Stop> {
        self.core.change(|state, _| state.pair(&self.flight)).ok_or(Stop::Over)
    }

    /// Step 3: the refresher, up to three times, with memory's pair. Returns the pair with what came of it.
    async fn call(&self) -> (Option<Arc<Tokens>>, Result<Tokens, Unanswered>) {
        let core = &self.core;
        let flight = &*self.flight;
        let mut presented = None;
        let call = || {
            // Looked at before each call: after a pause the identity may have changed, and the flight's time be over. So it may be
            // where the whole process was stopped, and the timers come later than this.
            core.look_now();
            let pair = core.change(|state, _| state.present(flight));
            presented.clone_from(&pair);
            async move {
                let pair = pair?;
                // The refresher itself and not its `Arc`, whose own future would be around the refresher's: a panic in the
                // destructor of an answered one is contained only where that one is polled directly.
                let refresh = core.call(core.policy.attempt, (*core.refresher).refresh(&pair));
                self.calling.store(true, Ordering::Relaxed);
                let answer = Unless { flight, future: refresh }.await;
                self.calling.store(false, Ordering::Relaxed);
                answer
            }
        };
        let failed = |attempt, lost, error| {
            core.change(|state, after| {
                if lost {
                    state.answer_lost(flight);
                }
                if state.is_current(flight) {
                    after.event(Event::AttemptFailed { flight: flight.id, attempt, error });
                } else {
                    after.discard(error);
                }
            });
        };
        let answer = attempts(core, flight.deadline(), call, failed).await;
        (presented, answer)
    }

    /// The refresher has answered: from here on the old refresh token is spent, and memory has the new one.
    fn keep(&mut self, tokens: Tokens, basis: &Tokens) -> Result<Candidate, Stop> {
        self.answered = true;
        let core = Arc::clone(&self.core);
        let candidate = core.candidate(tokens.succeed(basis), true);
        let now = core.now();
        core.change(|state, after| match state.obtained(&self.flight, &candidate, now, &core.policy) {
            Obtained::Save => {
                after.write();
                Ok(())
            }
            Obtained::Orphaned => {
                after.revoke(Arc::clone(&candidate.tokens));
                Err(Stop::Over)
            }
            Obtained::Overtaken => Err(Stop::Over),
        })?;
        Ok(candidate)
    }

    /// Steps 4 and 5. Nothing is released before its save was tried and answered (invariant 3).
    async fn save_and_publish(&mut self, candidate: Candidate) {
        let core = Arc::clone(&self.core);
        let flight = Arc::clone(&self.flight);
        if core.policy.planted.has(Fault::ReleaseBeforeSave) {
            let (candidate, now) = (candidate.clone(), core.now());
            self.land(|state| state.land(&flight, candidate, Ok(()), now, 0, &core.policy));
        }
        let mut saved = self.saved(&candidate).await;
        if matches!(&saved, Err(error) if error.is_conflict()) {
            // The lock was lost on the way: what another process wrote since is newer, and counts.
            let locked = core.ledger.lock(&core, flight.id).await;
            match (locked, core.ledger.load(&core).await) {
                (_, Err(_)) => {}
                (_, Ok(loaded)) => {
                    // Ours is saved here, if nobody else's is there.
                    let Ok(pair) = self.read(loaded).await else {
                        return core.change(|state, after| {
                            if state.has_ended() {
                                // Ended elsewhere: what was obtained here meanwhile is nobody's.
                                after.revoke(candidate.tokens);
                            }
                        });
                    };
                    if pair.same_pair(&candidate.tokens) {
                        saved = self.saved(&candidate).await;
                    } else {
                        return self.fail(
                            Error::detailed(ErrorKind::RefreshUnavailable, "another pair was adopted"),
                            None,
                        );
                    }
                }
            }
        }
        let saved = saved.map_err(|error| store_error(&error));
        let (now, random) = (core.now(), core.roll());
        self.land(|state| state.land(&flight, candidate, saved, now, random, &core.policy));
    }

    /// What became of the newest write.
    async fn saved(&self, candidate: &Candidate) -> Result<(), Arc<StoreError>> {
        let waiting = self.core.change(|state, _| state.books.wait_for(&candidate.tokens));
        match waiting {
            Some(waiting) => self.core.ledger.wrote(&self.core, waiting).await,
            // Something newer is to be written: a sign-in or a sign-out, which has ended this flight.
            None => Ok(()),
        }
    }

    fn fail(&self, error: Error, retry_after: Option<Duration>) {
        let (now, random) = (self.core.now(), self.core.roll());
        self.land(|state| state.failed(&self.flight, error, retry_after, now, random, &self.core.policy));
    }

    /// Nobody will hear what the call that is under way is answered. Whether there is one.
    fn hangs_up(&self) -> bool {
        let calling = self.calling.load(Ordering::Relaxed);
        if calling {
            self.core.change(|state, _| state.answer_lost(&self.flight));
        }
        calling
    }

    fn land(&self, land: impl FnOnce(&mut State) -> Landing) {
        self.core.change(|state, after| {
            let landing = land(state);
            self.core.landed(state, after, landing);
        });
    }
}

impl Drop for Pilot {
    /// The runtime dropped the task: the waiters must not wait for it.
    fn drop(&mut self) {
        if self.aboard {
            self.hangs_up();
            // An answer that was there is in memory, and is saved before the next refresh. Whether its save was made nobody
            // knows: it releases nobody.
            self.fail(
                Error::detailed(ErrorKind::RefreshUnavailable, "the runtime dropped the refresh"),
                None,
            );
            self.core.ledger.unlock(&self.core, self.flight.id);
        }
    }
}

fn unavailable(error: StoreError) -> Stop {
    Stop::Failed(Error::caused(ErrorKind::RefreshUnavailable, error), None)
}

pin_project_lite::pin_project! {
    /// A refresh, unless another flight has taken over: then it is not even polled, since two presentations of one refresh
    /// token must not overlap (invariant 2).
    struct Unless<'a, F> {
        flight: &'a Flight,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Unless<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.flight.is_overtaken() {
            return Poll::Ready(None);
        }
        this.future.poll(cx).map(Some)
    }
}

/// The timer of a queue that drains: none where nobody can be held up.
pub(crate) fn patience(core: &Arc<Core>, flight: &Arc<Flight>) -> Option<BoxFuture<'static, ()>> {
    if flight.queue.waiting() < 2 {
        return None;
    }
    let timer = Timer { core: Arc::clone(core), flight: Arc::clone(flight) };
    Some(Box::pin(async move {
        let timer = timer;
        let tick = timer.core.policy.patience / TICKS;
        loop {
            timer.core.runtime.sleep(tick).await;
            match timer.flight.queue.tick() {
                Tick::Going => {}
                Tick::Done => return,
                Tick::Opened => {
                    let flight = timer.flight.id;
                    timer.core.opened(flight);
                    return;
                }
            }
        }
    }))
}

/// A timer that a runtime drops can no longer watch over the queue: nobody may depend on it.
struct Timer {
    core: Arc<Core>,
    flight: Arc<Flight>,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.flight.queue.open();
    }
}

/// Offers a pair that is nobody's for revocation.
pub(crate) fn revoke(core: &Arc<Core>, tokens: Arc<Tokens>) -> BoxFuture<'static, ()> {
    let core = Arc::clone(core);
    Box::pin(async move {
        // Not marked as inside the session: nothing of it waits for this.
        let _ = core.within(core.policy.attempt, contain((*core.refresher).revoke(&tokens))).await;
    })
}
