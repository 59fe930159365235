//! Waiting: for a turn, for an outcome, for the store.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::channel::oneshot;

use super::books::Wrote;
use super::core::Core;
use super::flight::{Flight, Promise};
use super::ledger::store_error;
use super::turn::{Place, Turn};
use crate::contain::quiet;
use crate::event::{Event, FlightId};
use crate::{BoxFuture, Error, ErrorKind};

/// Waits for a ticket's turn. Dropped, it gives up the place.
pub(crate) struct WaitTurn<'a> {
    core: &'a Arc<Core>,
    place: Option<Place>,
}

impl<'a> WaitTurn<'a> {
    pub(crate) fn new(core: &'a Arc<Core>, place: Place) -> Self {
        Self { core, place: Some(place) }
    }
}

impl Future for WaitTurn<'_> {
    type Output = Result<Turn, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(place) = &this.place else {
            return Poll::Ready(Err(Error::new(ErrorKind::SessionChanged)));
        };
        let flight = &place.flight;
        let mut turn = flight.queue.poll_turn(place.number, cx);
        if turn.is_pending() {
            if this.core.id.is_inside() {
                this.place = None;
                return Poll::Ready(Err(this.core.reentrant()));
            }
            let now = this.core.now();
            if flight.is_past_deadline(now) {
                this.core.look_now();
            }
            if flight.queue.look(now, this.core.policy.patience) {
                this.core.opened(flight.id);
            }
            turn = flight.queue.poll_turn(place.number, cx);
        }
        let outcome = ready!(turn);
        let Some(place) = this.place.take() else {
            return Poll::Ready(Err(Error::new(ErrorKind::SessionChanged)));
        };
        // Rows 1 and 2 once more, then the newest lease whatever its age: a waiter does not spin.
        Poll::Ready(match outcome.and_then(|()| this.core.at_turn(place.flight.from.epoch)) {
            Ok(lease) => Ok(Turn::placed(lease, place)),
            Err(error) => Err(error),
        })
    }
}

impl Core {
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
