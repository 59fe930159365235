//! Listening: events in the order in which they happened, delivered by a task of their own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::trace;
use crate::BoxFuture;
use crate::contain::quietly;
use crate::event::{Event, Observer};
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// Events that wait for their delivery. Its lock is taken under the state's, never the other way round; no listener runs
/// under either.
pub(crate) struct Events {
    observers: Vec<Arc<dyn Observer>>,
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    waiting: VecDeque<Event>,
    /// The delivery under way: its number, and when it is taken for dead.
    delivery: Option<(u64, Duration)>,
    deliveries: u64,
}

/// A delivery that has not been polled by then was spawned on a runtime that nobody drives.
const FIRST_POLL: Duration = Duration::from_secs(1);
/// One listener's call takes no longer; one that does may see the next event before it is done with this one.
const ONE_EVENT: Duration = Duration::from_secs(30);

impl Events {
    pub(crate) fn new(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self { observers, inbox: Mutex::default() }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn anyone_listens(&self) -> bool {
        !self.observers.is_empty() || trace::anyone_listens()
    }

    /// Queues events in order. Returns the number of the delivery that has to be started, if one has.
    pub(crate) fn push(&self, events: &mut Vec<Event>, now: Duration) -> Option<u64> {
        let mut inbox = self.inbox();
        inbox.waiting.extend(events.drain(..));
        if inbox.waiting.is_empty() || inbox.delivery.is_some_and(|(_, until)| now < until) {
            return None;
        }
        inbox.deliveries += 1;
        inbox.delivery = Some((inbox.deliveries, now + FIRST_POLL));
        Some(inbox.deliveries)
    }

    /// The next event for this delivery; `None`: there is none, or another delivery has taken over.
    fn next(&self, number: u64, now: Duration) -> Option<Event> {
        let mut inbox = self.inbox();
        if inbox.delivery.is_none_or(|(current, _)| current != number) {
            return None;
        }
        let next = inbox.waiting.pop_front();
        inbox.delivery = next.is_some().then_some((number, now + ONE_EVENT));
        next
    }
}

/// Delivers what is queued, one event a poll, so that a slow listener leaves room for others on its thread. A listener
/// that panics misses nothing of what follows.
pub(crate) fn deliver(core: &Arc<Core>, number: u64) -> BoxFuture<'static, ()> {
    let delivery = Delivery { core: Arc::clone(core), number };
    Box::pin(async move {
        let delivery = delivery;
        let core = &delivery.core;
        while let Some(event) = core.events.next(delivery.number, core.now()) {
            trace::event(core.id, &event);
            for observer in &core.events.observers {
                let _ = quietly(|| observer.event(&event));
            }
            drop(event);
            yield_now().await;
        }
    })
}

/// A delivery that is dropped by its runtime leaves the rest to the next one.
struct Delivery {
    core: Arc<Core>,
    number: u64,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let mut inbox = self.core.events.inbox();
        if inbox.delivery.is_some_and(|(current, _)| current == self.number) {
            inbox.delivery = None;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ObserverFn;

    const INSTANT: Duration = Duration::from_nanos(1);

    fn push(events: &Events, event: Event, now: Duration) -> Option<u64> {
        events.push(&mut vec![event], now)
    }

    #[test]
    fn a_delivery_that_nobody_drives_is_replaced_in_time_and_delivers_nothing_more() {
        let events = Events::new(vec![Arc::new(ObserverFn(|_: &Event| {}))]);
        let first = push(&events, Event::Saved, Duration::ZERO).unwrap();
        assert!(push(&events, Event::Draining, FIRST_POLL - INSTANT).is_none(), "it may still be polled");

        let second = push(&events, Event::WrittenUnlocked, FIRST_POLL).unwrap();

        assert!(events.next(first, FIRST_POLL).is_none());
        assert!(matches!(events.next(second, FIRST_POLL), Some(Event::Saved)));
        assert!(matches!(events.next(second, FIRST_POLL), Some(Event::Draining)));
    }

    #[test]
    fn a_listener_that_never_returns_is_given_up_in_time() {
        let events = Events::new(vec![Arc::new(ObserverFn(|_: &Event| {}))]);
        let first = push(&events, Event::Saved, Duration::ZERO).unwrap();
        assert!(events.next(first, FIRST_POLL).is_some());
        let over = FIRST_POLL + ONE_EVENT;
        assert!(push(&events, Event::Draining, over - INSTANT).is_none(), "it may still return");

        let second = push(&events, Event::WrittenUnlocked, over).unwrap();

        assert!(events.next(first, over).is_none());
        assert!(matches!(events.next(second, over), Some(Event::Draining)));
    }
}
