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
use crate::{Error, ErrorKind};

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
                return Poll::Ready(Err(Error::new(ErrorKind::Reentrant)));
            }
            if flight.is_past_deadline(this.core.now()) {
                this.core.look_now();
                turn = flight.queue.poll_turn(place.number, cx);
            }
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
    /// Waits for a flight's or a load's outcome, without a place.
    pub(crate) async fn wait(
        self: &Arc<Self>,
        promise: &Promise,
        flight: Option<&Flight>,
    ) -> Result<(), Error> {
        let mut outcome = promise.wait();
        std::future::poll_fn(|cx| {
            let mut polled = Pin::new(&mut outcome).poll(cx);
            if polled.is_pending() {
                if self.id.is_inside() {
                    return Poll::Ready(Err(Error::new(ErrorKind::Reentrant)));
                }
                if flight.is_none_or(|flight| flight.is_past_deadline(self.now())) {
                    self.look_now();
                    polled = Pin::new(&mut outcome).poll(cx);
                }
            }
            polled.map(|outcome| outcome.unwrap_or_else(|_| Err(Error::new(ErrorKind::SessionChanged))))
        })
        .await
    }
}

/// The store's answer to a sign-in or a sign-out, which is in force already. Awaiting it is optional.
pub struct Written {
    inner: Inner,
}

enum Inner {
    Failed(Option<Error>),
    Waiting(oneshot::Receiver<Wrote>),
}

impl Written {
    pub(crate) fn failed(error: Error) -> Self {
        Self { inner: Inner::Failed(Some(error)) }
    }

    pub(crate) fn waiting(receiver: oneshot::Receiver<Wrote>) -> Self {
        Self { inner: Inner::Waiting(receiver) }
    }
}

impl Future for Written {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.inner {
            Inner::Failed(error) => Poll::Ready(error.take().map_or(Ok(()), Err)),
            Inner::Waiting(receiver) => Poll::Ready(match ready!(Pin::new(receiver).poll(cx)) {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(store_error(&error)),
                Err(_) => Err(Error::detailed(ErrorKind::Store, "the session has gone")),
            }),
        }
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}
