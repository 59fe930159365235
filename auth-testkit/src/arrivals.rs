//! Calls on their way from the scripted part to the test, first come, first served.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Mutex;
use std::task::{Poll, Waker};

use crate::lock::lock;

pub(crate) struct Arrivals<C> {
    state: Mutex<State<C>>,
}

struct State<C> {
    calls: VecDeque<C>,
    waiting: Vec<Waker>,
}

impl<C> Arrivals<C> {
    pub(crate) fn push(&self, call: C) {
        let waiting = {
            let mut state = lock(&self.state);
            state.calls.push_back(call);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn try_next(&self) -> Option<C> {
        lock(&self.state).calls.pop_front()
    }

    pub(crate) async fn next(&self) -> C {
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let mut state = lock(&self.state);
            if let Some(call) = state.calls.pop_front() {
                return Poll::Ready(call);
            }
            if !state.waiting.iter().any(|known| known.will_wake(&waker)) {
                state.waiting.push(waker);
            }
            Poll::Pending
        })
        .await
    }
}

impl<C> Default for Arrivals<C> {
    fn default() -> Self {
        Self { state: Mutex::new(State { calls: VecDeque::new(), waiting: Vec::new() }) }
    }
}
