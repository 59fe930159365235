//! The line for the lock, and what is wrong with that.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::{Flaw, Shared, State};

/// A place in line for the lock, then the lock.
pub(super) struct Ticket {
    pub(super) shared: Arc<Shared>,
    flaw: Flaw,
    pub(super) number: u64,
    taken: bool,
}

impl Ticket {
    pub(super) fn take(shared: &Arc<Shared>, flaw: Flaw, handle: u64) -> Self {
        let mut state = shared.state();
        state.tickets += 1;
        // The handle that has it can be told by its number.
        let number = state.tickets * 100 + handle;
        let mine = state.holder.is_some_and(|holder| holder % 100 == handle);
        match flaw {
            Flaw::NoExclusion => state.holder = Some(number),
            Flaw::Reentrant if mine => state.holder = Some(number),
            _ if state.holder.is_none() => state.holder = Some(number),
            _ => state.line.push_back((number, None)),
        }
        drop(state);
        Self { shared: Arc::clone(shared), flaw, number, taken: false }
    }

    pub(super) async fn granted(mut self) -> Self {
        // One that waits is not granted at once, so that it can be given up then.
        poll_fn(|cx| {
            let mut state = self.shared.state();
            let Some((_, waker)) = state.line.iter_mut().find(|(number, _)| *number == self.number) else {
                return Poll::Ready(());
            };
            match self.flaw {
                Flaw::NeverWakes => {}
                Flaw::WakesTheFirstTask if waker.is_some() => {}
                _ => *waker = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await;
        self.taken = true;
        self
    }

    /// As its drop, by a guard that is released.
    pub(super) fn give_back(&mut self) {
        self.taken = false;
        let mut state = self.shared.state();
        let next = match self.flaw {
            Flaw::KeepsReleased => return,
            Flaw::ReleasesForOthers => state.pass_on(),
            _ if state.holder == Some(self.number) => state.pass_on(),
            _ => None,
        };
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.taken {
            match self.flaw {
                Flaw::KeepsDropped => {}
                Flaw::WakesNobodyWhenDropped => drop(self.shared.state().pass_on()),
                Flaw::DropsForOthers => {
                    let next = self.shared.state().pass_on();
                    next.into_iter().for_each(Waker::wake);
                }
                _ => self.give_back(),
            }
            return;
        }
        let holds = self.shared.state().holder == Some(self.number);
        match self.flaw {
            Flaw::KeepsAPlaceForTheGone => {}
            Flaw::LosesWhatItHandsOver if holds => {}
            _ if holds => self.give_back(),
            _ => self.shared.state().line.retain(|(number, _)| *number != self.number),
        }
    }
}

impl State {
    /// The first in line gets the lock; who is to be woken for that.
    pub(super) fn pass_on(&mut self) -> Option<Waker> {
        let next = self.line.pop_front();
        self.holder = next.as_ref().map(|(number, _)| *number);
        next?.1
    }
}
