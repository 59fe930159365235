//! Who is to be polled next: the queue that wakers write to, from whatever thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Wake;

use crate::lock::lock;

/// First woken, first polled. It holds no future, so that wakers may cross threads even where futures may not.
#[derive(Debug, Default)]
pub(super) struct Ready {
    queue: Mutex<VecDeque<Arc<Wakeup>>>,
}

impl Ready {
    /// The next to poll. A future given to `block_on` is polled only by its own call, which passes its `root`.
    pub(super) fn pop(&self, root: Option<&Arc<Wakeup>>) -> Option<Arc<Wakeup>> {
        let mut queue = lock(&self.queue);
        let at = queue.iter().position(|next| {
            matches!(next.what, What::Task(_)) || root.is_some_and(|root| Arc::ptr_eq(root, next))
        })?;
        let next = queue.remove(at)?;
        next.queued.store(false, Ordering::Relaxed);
        Some(next)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Task(u64),
    /// A future given to `block_on`.
    Root,
}

/// What a waker points to.
#[derive(Debug)]
pub(super) struct Wakeup {
    pub(super) what: What,
    ready: Weak<Ready>,
    /// In the queue, or closed. Changed under the queue's lock only.
    queued: AtomicBool,
}

impl Wakeup {
    pub(super) fn new(what: What, ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { what, ready: Arc::downgrade(ready), queued: AtomicBool::new(false) })
    }

    /// Takes it out of the queue, for good: a waker that outlives its future wakes nothing.
    pub(super) fn close(self: &Arc<Self>) {
        let Some(ready) = self.ready.upgrade() else { return };
        let mut queue = lock(&ready.queue);
        if self.queued.swap(true, Ordering::Relaxed) {
            queue.retain(|next| !Arc::ptr_eq(next, self));
        }
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        let Some(ready) = self.ready.upgrade() else { return };
        let mut queue = lock(&ready.queue);
        if !self.queued.swap(true, Ordering::Relaxed) {
            queue.push_back(self);
        }
    }
}
