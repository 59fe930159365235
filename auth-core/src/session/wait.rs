//! Waiting: for a turn, for an outcome, for the store.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::channel::oneshot;

use super::books::Wrote;
use super::core::{Core, Granted};
use super::flight::{Flight, Promise};
use super::lease::{Lease, Stamp};
use super::ledger::store_error;
use super::policy::ReplayOrder;
use super::state::Ask;
use super::turn::{Place, Turn};
use crate::contain::quiet;
use crate::event::{Event, FlightId};
use crate::{BoxFuture, Error, ErrorKind};

/// Asks for a lease, and waits for a ticket's turn where there is none yet. Dropped, it gives up the place.
///
/// Written by hand, since a queue holds one of these for each of its waiters: what an `async fn` would keep for the roads that few
/// take is in a box, made when it is needed.
pub(crate) struct WaitTurn<'a> {
    core: &'a Arc<Core>,
    step: Step<'a>,
}

enum Step<'a> {
    /// Nothing has been looked at.
    Look,
    /// Nobody has been asked. With the stamp of a lease that was rejected.
    Ask(Option<Stamp>),
    Wait(Place),
    Boxed(BoxFuture<'a, Result<Turn, Error>>),
    Done,
}

impl<'a> WaitTurn<'a> {
    #[inline]
    pub(crate) fn new(core: &'a Arc<Core>, rejected: Option<Stamp>) -> Self {
        Self { core, step: Step::Ask(rejected) }
    }

    /// That looks for a fresh lease first, without a lock.
    #[inline]
    pub(crate) fn look(core: &'a Arc<Core>) -> Self {
        Self { core, step: Step::Look }
    }

    /// What the first poll finds: a turn at once, or the next step.
    fn ask(&self, rejected: Option<Stamp>) -> Result<Result<Turn, Step<'a>>, Error> {
        let core = self.core;
        let ask = rejected.map_or(Ask::New, Ask::Rejected);
        if core.policy.replay_order == ReplayOrder::Unordered {
            return Ok(Err(Step::Boxed(Box::pin(async move { core.outcome(ask).await.map(Turn::free) }))));
        }
        match core.ask(ask, true)? {
            Granted::Lease(lease) => Ok(Ok(Turn::free(lease))),
            Granted::Place(place) => Ok(Err(Step::Wait(place))),
            Granted::Load(promise) => Ok(Err(Step::Boxed(Box::pin(async move {
                core.wait(&promise, None).await?;
                // What was decided for nobody is decided anew.
                WaitTurn::new(core, None).await
            })))),
            Granted::Flight(_) | Granted::Nothing => Err(Error::new(ErrorKind::SessionChanged)),
        }
    }
}

impl Future for WaitTurn<'_> {
    type Output = Result<Turn, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.step, Step::Look) {
            if let Some(lease) = self.core.fast() {
                self.step = Step::Done;
                return Poll::Ready(Ok(Turn::free(lease)));
            }
            self.step = Step::Ask(None);
        } else if let Step::Wait(place) = &self.step
            && place.is_landed()
            && let Step::Wait(place) = std::mem::replace(&mut self.step, Step::Done)
        {
            return Poll::Ready(Ok(Turn::landed(place)));
        }
        self.wait(cx)
    }
}

impl WaitTurn<'_> {
    /// What is left where no fresh lease was there.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<Turn, Error>> {
        let core = self.core;
        if let Step::Ask(rejected) = self.step {
            match self.ask(rejected) {
                Ok(Err(next)) => self.step = next,
                Ok(Ok(turn)) => return self.done(Ok(turn)),
                Err(error) => return self.done(Err(error)),
            }
        }
        let outcome = match &mut self.step {
            Step::Boxed(future) => {
                let outcome = ready!(future.as_mut().poll(cx));
                return self.done(outcome);
            }
            Step::Wait(place) => ready!(core.look_at_turn(place, cx)),
            Step::Look | Step::Ask(_) | Step::Done => {
                return Poll::Ready(Err(Error::new(ErrorKind::SessionChanged)));
            }
        };
        // Where it goes no further, the place is given up.
        let Step::Wait(place) = std::mem::replace(&mut self.step, Step::Done) else {
            return Poll::Ready(Err(Error::new(ErrorKind::SessionChanged)));
        };
        // Rows 1 and 2 once more, then the newest lease whatever its age: a waiter does not spin.
        let lease = outcome.and_then(|()| core.at_turn(place.flight.from.epoch));
        Poll::Ready(lease.map(|lease| Turn::placed(lease, place)))
    }

    fn done(&mut self, outcome: Result<Turn, Error>) -> Poll<Result<Turn, Error>> {
        self.step = Step::Done;
        Poll::Ready(outcome)
    }
}

impl Core {
    /// Whether it is the place's turn.
    fn look_at_turn(self: &Arc<Self>, place: &Place, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let flight = &place.flight;
        // First without a waker: whoever has been woken need not clone another.
        let turn = flight.queue.turn(place.number);
        if turn.is_ready() {
            return turn;
        }
        if self.id.is_inside() {
            return Poll::Ready(Err(self.reentrant()));
        }
        let now = self.now();
        if flight.is_past_deadline(now) {
            self.look_now();
        }
        if flight.queue.look(now, self.policy.patience) {
            self.opened(flight.id);
        }
        flight.queue.poll_turn(place.number, cx)
    }

    fn reentrant(self: &Arc<Self>) -> Error {
        self.change(|state, _| state.counters.reentrant += 1);
        Error::new(ErrorKind::Reentrant)
    }

    /// A queue has opened.
    pub(super) fn opened(self: &Arc<Self>, flight: FlightId) {
        self.change(|state, after| {
            state.counters.opened += 1;
            after.event(Event::QueueOpened { flight });
        });
    }

    /// A lease for those who wait without a place.
    pub(super) async fn outcome(self: &Arc<Self>, ask: Ask) -> Result<Lease, Error> {
        loop {
            match self.ask(ask, false)? {
                Granted::Lease(lease) => return Ok(lease),
                Granted::Flight(flight) => {
                    self.wait(&flight.outcome, Some(&flight)).await?;
                    return self.at_turn(flight.from.epoch);
                }
                Granted::Load(promise) => self.wait(&promise, None).await?,
                Granted::Place(_) | Granted::Nothing => return Err(Error::new(ErrorKind::SessionChanged)),
            }
        }
    }

    /// Waits for a flight's or a load's outcome, without a place.
    pub(crate) async fn wait(
        self: &Arc<Self>,
        promise: &Promise,
        flight: Option<&Flight>,
    ) -> Result<(), Error> {
        let mut outcome = promise.wait();
        std::future::poll_fn(|cx| {
            // `Shared` wakes all who wait under its own lock: a waker that panics there would poison it for the others.
            let waker = quiet(cx.waker());
            let mut cx = Context::from_waker(&waker);
            let mut polled = Pin::new(&mut outcome).poll(&mut cx);
            if polled.is_pending() {
                if self.id.is_inside() {
                    return Poll::Ready(Err(self.reentrant()));
                }
                if flight.is_none_or(|flight| flight.is_past_deadline(self.now())) {
                    self.look_now();
                    polled = Pin::new(&mut outcome).poll(&mut cx);
                }
            }
            polled.map(|outcome| outcome.unwrap_or_else(|_| Err(Error::new(ErrorKind::SessionChanged))))
        })
        .await
    }
}

/// The store's answer to a sign-in or a sign-out, which is in force already (a wrapper that is an `async fn` acts only when it is
/// polled: return this instead). Awaiting it is optional, and so is what it says: an
/// error of kind [`Store`](ErrorKind::Store) takes nothing back.
pub struct Written {
    answer: BoxFuture<'static, Result<(), Error>>,
}

impl Written {
    pub(crate) fn failed(error: Error) -> Self {
        Self { answer: Box::pin(std::future::ready(Err(error))) }
    }

    pub(crate) fn waiting(core: &Arc<Core>, receiver: oneshot::Receiver<Wrote>) -> Self {
        let core = Arc::clone(core);
        let answer =
            async move { core.ledger.wrote(&core, receiver).await.map_err(|error| store_error(&error)) };
        Self { answer: Box::pin(answer) }
    }
}

impl Future for Written {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(cx)
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}
