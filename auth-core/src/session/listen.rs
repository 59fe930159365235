//! Listening: events in the order in which they happened, delivered by a task of their own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::core::Core;
use crate::BoxFuture;
use crate::contain::quietly;
use crate::event::{Event, Listener};

/// Events that wait for their delivery. Its lock is taken under the state's, never the other way round; no listener runs
/// under either.
pub(crate) struct Events {
    listeners: Vec<Listener>,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    waiting: VecDeque<Event>,
    delivering: bool,
}

impl Events {
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        Self { listeners, inbox: Mutex::default() }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn anyone_listens(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Queues events in order. Returns whether a delivery has to be started. Where nobody listens the events are left to the
    /// caller: their errors are not dropped here, under the state's lock.
    pub(crate) fn push(&self, events: &mut Vec<Event>) -> bool {
        if self.listeners.is_empty() {
            return false;
        }
        let mut inbox = self.inbox();
        inbox.waiting.extend(events.drain(..));
        !inbox.waiting.is_empty() && !std::mem::replace(&mut inbox.delivering, true)
    }

    fn next(&self) -> Option<Event> {
        let mut inbox = self.inbox();
        let next = inbox.waiting.pop_front();
        inbox.delivering = next.is_some();
        next
    }
}

/// Delivers what is queued, one event a poll, so that a slow listener leaves room for others on its thread. A listener
/// that panics misses nothing of what follows.
pub(crate) fn deliver(core: &Arc<Core>) -> BoxFuture<'static, ()> {
    let delivery = Delivery { core: Arc::clone(core), underway: true };
    Box::pin(async move {
        // Moved in whole: its fields alone would leave its destructor outside.
        let mut delivery = delivery;
        while let Some(event) = delivery.core.events.next() {
            for listener in &delivery.core.events.listeners {
                let _ = quietly(|| listener(&event));
            }
            drop(event);
            yield_now().await;
        }
        // The inbox knows already, and another delivery may be under way by now.
        delivery.underway = false;
    })
}

/// A delivery that is dropped by its runtime leaves the rest to the next one.
struct Delivery {
    core: Arc<Core>,
    underway: bool,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.underway {
            self.core.events.inbox().delivering = false;
        }
    }
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
