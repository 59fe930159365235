//! The store's lock: a line of places, and the guard of the one that has it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use async_trait::async_trait;
use auth_core::{StoreError, StoreGuard, Tokens};

use super::{Op, Shared, State};
use crate::lock::lock;
use crate::overlap::Overlap;

/// A place in line for the lock, then the lock. Dropped, it leaves the line or hands the lock over.
pub(super) struct Place {
    shared: Arc<Shared>,
    number: u64,
}

impl Place {
    pub(super) fn take(shared: &Arc<Shared>) -> Self {
        let mut state = lock(&shared.state);
        state.places += 1;
        let number = state.places;
        if state.holder.is_none() {
            state.holder = Some(number);
        } else {
            state.line.push_back((number, None));
        }
        drop(state);
        Self { shared: Arc::clone(shared), number }
    }

    /// Waits until the lock is this place's. It may be lost again by then: writes find that out.
    pub(super) async fn granted(self) -> Self {
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let mut state = lock(&self.shared.state);
            let Some((_, waiting)) = state.line.iter_mut().find(|(number, _)| *number == self.number) else {
                return Poll::Ready(());
            };
            let before = waiting.replace(waker);
            drop(state);
            drop(before);
            Poll::Pending
        })
        .await;
        self
    }

    /// Nobody hears that its holder is done with the lock.
    fn leave_taken(mut self) {
        // Places are numbered from one: the drop finds neither holder nor line.
        self.number = 0;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (next, left) = {
            let mut state = lock(&self.shared.state);
            if state.holder == Some(self.number) {
                (state.pass_on(), None)
            } else {
                let at = state.line.iter().position(|(number, _)| *number == self.number);
                (None, at.and_then(|at| state.line.remove(at)))
            }
        };
        drop(left);
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl State {
    /// The first in line gets the lock; who is to be woken for that, outside the store's own mutex.
    pub(super) fn pass_on(&mut self) -> Option<Waker> {
        let next = self.line.pop_front();
        self.holder = next.as_ref().map(|(number, _)| *number);
        next?.1
    }
}

/// The store while it is locked, or believed to be.
pub(super) struct Guard {
    place: Place,
    overlap: Overlap,
}

impl Guard {
    pub(super) fn new(place: Place, overlap: Overlap) -> Self {
        Self { place, overlap }
    }
}

#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
impl StoreGuard for Guard {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        self.place.shared.load(&self.overlap, Some(self.place.number)).await
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        self.place.shared.save(&self.overlap, Some(self.place.number), tokens).await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.place.shared.clear(&self.overlap, Some(self.place.number)).await
    }

    async fn release(self: Box<Self>) {
        let Self { place, overlap } = *self;
        let shared = Arc::clone(&place.shared);
        let Ok(call) = shared.begin(&overlap, Op::Release, Some(place.number), None).await else {
            return place.leave_taken();
        };
        drop(place);
        let _ = call.end(|_| (Ok(()), None));
    }
}
