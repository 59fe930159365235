//! Containment: foreign futures and callbacks whose panics end with them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::task::{self, ArcWake};

/// A foreign future panicked: while it was polled, or while it was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it panicked")]
pub(crate) struct Panicked;

/// Polls a boxed foreign future, and drops it as soon as it is done; a panic in either is the outcome.
///
/// The drop is inside on purpose: a panic in the destructor of a finished future would otherwise unwind into whoever
/// owns it, and take the answers of everybody waiting with it. (`AssertUnwindSafe`: what panicked is dropped and not
/// looked at again.)
pub(crate) struct Contained<F> {
    future: Option<Pin<Box<F>>>,
}

pub(crate) fn contain<F: Future>(future: F) -> Contained<F> {
    Contained { future: Some(Box::pin(future)) }
}

impl<F: Future> Future for Contained<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.future.as_mut() else {
            return Poll::Ready(Err(Panicked));
        };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => {
                discard(payload);
                Err(Panicked)
            }
        };
        let future = self.future.take();
        match quietly(|| drop(future)) {
            // The answer is there: a destructor that panics afterwards does not take it back.
            Err(Panicked) | Ok(()) => Poll::Ready(outcome),
        }
    }
}

impl<F> Drop for Contained<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        let _ = quietly(|| drop(future));
    }
}

/// Calls a foreign function; its panic is an error.
pub(crate) fn quietly<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        discard(payload);
        Panicked
    })
}

/// Wakes, and keeps the waker's panic from whoever wakes: others wait to be woken after it.
pub(crate) fn wake(waker: Waker) {
    let _ = quietly(|| waker.wake());
}

/// A waker whose panics end with it, for those who are woken by code that cannot stand one.
pub(crate) fn quiet(waker: &Waker) -> Waker {
    struct Quiet(Waker);

    impl ArcWake for Quiet {
        fn wake_by_ref(this: &Arc<Self>) {
            let _ = quietly(|| this.0.wake_by_ref());
        }
    }

    task::waker(Arc::new(Quiet(waker.clone())))
}

/// Dropping a panic's payload runs foreign code once more.
fn discard(payload: Box<dyn std::any::Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    struct PanicsWhenDropped;

    impl Future for PanicsWhenDropped {
        type Output = u8;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
            Poll::Ready(7)
        }
    }

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }

    #[test]
    fn a_panic_in_a_destructor_keeps_the_answer() {
        assert_eq!(contain(PanicsWhenDropped).now_or_never(), Some(Ok(7)));
        drop(contain(PanicsWhenDropped));
    }

    #[test]
    fn a_panic_with_a_payload_that_panics_when_dropped_is_an_outcome() {
        let panics = contain(async { std::panic::panic_any(PanicsWhenDropped) });

        assert_eq!(panics.now_or_never(), Some(Err::<(), _>(Panicked)));
        assert_eq!(quietly(|| std::panic::panic_any(PanicsWhenDropped)), Err::<(), _>(Panicked));
    }

    #[test]
    fn a_panic_in_a_poll_is_an_outcome() {
        assert_eq!(contain(async { panic!("while polled") }).now_or_never(), Some(Err::<(), _>(Panicked)));
    }
}
