//! Turns: a lease with a place in a flight's queue, and the start that gives the place up.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::flight::Flight;
use super::lease::Lease;
use crate::event::FlightId;

/// A lease, and the right to start with it: who holds the baton of a queue holds up those behind.
///
/// [`start`](Turn::start) the request with it, or take the [lease](Turn::into_lease) and give up the place. A turn that
/// came at once has no place, and holds up nobody.
///
/// ```
/// # use auth_core::{Error, Lease, Session, Turn};
/// async fn call(session: &Session) -> Result<u16, Error> {
///     let turn: Turn = session.lease().await?;
///     let (name, value) = turn.header();
///     let request = http::Request::get("https://api.example.com/").header(name, value).body(());
///     let send = async { if request.is_ok() { 200 } else { 400 } };
///     Ok(turn.start(send).await)
/// }
/// ```
#[must_use = "a turn that is dropped gives up its place"]
pub struct Turn {
    /// [`Lease::nothing`] where it is the one that the place's flight brought: those who start one after the other then count no
    /// reference that is everybody's.
    lease: Lease,
    place: Option<Place>,
}

impl Turn {
    #[inline]
    pub(crate) fn free(lease: Lease) -> Self {
        Self { lease, place: None }
    }

    pub(crate) fn placed(lease: Lease, place: Place) -> Self {
        Self { lease, place: Some(place) }
    }

    /// With what the place's flight brought.
    #[inline]
    pub(crate) fn landed(place: Place) -> Self {
        Self { lease: Lease::nothing(), place: Some(place) }
    }

    /// Starts a future in its turn: the first poll polls `future` once, then passes the baton, so that those behind start
    /// after it. Dropping the start before that passes the baton too, and so does a panic in the first poll.
    #[inline]
    pub fn start<F: Future>(self, future: F) -> Start<F> {
        Start { future, place: self.place }
    }

    /// Gives up the place, if there is one: passes the baton.
    #[must_use]
    pub fn into_lease(self) -> Lease {
        if self.lease.is_nothing() { Lease::clone(&self) } else { self.lease }
    }

    /// The place in the queue: tickets count from 0 in the order in which requests joined the flight.
    #[must_use]
    #[inline]
    pub fn ticket(&self) -> Option<u64> {
        self.place.as_ref().map(|place| place.number)
    }

    /// The flight that was waited for.
    #[must_use]
    pub fn flight(&self) -> Option<FlightId> {
        self.place.as_ref().map(|place| place.flight.id)
    }
}

impl Deref for Turn {
    type Target = Lease;

    #[inline]
    fn deref(&self) -> &Lease {
        match &self.place {
            Some(place) if self.lease.is_nothing() => place.flight.brought().unwrap_or(&self.lease),
            _ => &self.lease,
        }
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("lease", &**self).field("ticket", &self.ticket()).finish()
    }
}

pin_project_lite::pin_project! {
    /// What [`Turn::start`] makes.
    #[must_use = "futures do nothing unless polled"]
    pub struct Start<F> {
        #[pin]
        future: F,
        place: Option<Place>,
    }
}

impl<F: Future> Future for Start<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // Invariant 5: passed only after the first poll has returned, or unwound. Earlier, the next in line could
        // overtake us on another thread.
        let _pass = this.place.take();
        this.future.poll(cx)
    }
}

impl<F> fmt::Debug for Start<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("waits", &self.place.is_some()).finish_non_exhaustive()
    }
}

/// A ticket. Dropped, it is given up, with the baton if it has that (invariant 6: cancelling a wait frees the line).
pub(crate) struct Place {
    pub(crate) flight: Arc<Flight>,
    pub(crate) number: u64,
}

impl Place {
    /// Whether its turn has come with what its flight brought, and there is nothing newer: what almost every waiter finds.
    #[inline]
    pub(crate) fn is_landed(&self) -> bool {
        self.flight.queue.has_baton(self.number) && self.flight.brought().is_some_and(Lease::is_newest)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.flight.queue.leave(self.number);
    }
}
