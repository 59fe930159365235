//! Watching: the session's state as a stream, current first.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::Stream;

use crate::event::SessionState;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// The newest state, and who wants to know. Its lock is taken under the state's, never the other way round; wakers are
/// woken and dropped outside both.
pub(crate) struct Watched {
    inner: Mutex<Inner>,
}

struct Inner {
    state: SessionState,
    /// Grows with each change.
    version: u64,
    closed: bool,
    parked: Vec<(u64, Waker)>,
    next_id: u64,
}

impl Watched {
    pub(crate) fn new(state: SessionState) -> Self {
        let inner = Inner { state, version: 1, closed: false, parked: Vec::new(), next_id: 0 };
        Self { inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the state; returns whom to wake.
    pub(crate) fn set(&self, state: SessionState) -> Vec<Waker> {
        let mut inner = self.inner();
        if inner.state == state {
            return Vec::new();
        }
        inner.state = state;
        inner.version += 1;
        inner.parked.drain(..).map(|(_, waker)| waker).collect()
    }

    /// There will be no more changes.
    pub(crate) fn close(&self) -> Vec<Waker> {
        let mut inner = self.inner();
        inner.closed = true;
        inner.parked.drain(..).map(|(_, waker)| waker).collect()
    }
}

/// A session's states: the current one first, then the newest whenever it has changed. A slow reader skips states in
/// between, and never misses the last. Ends when the last handle of the session has been dropped.
///
/// ```
/// # use auth_core::{Session, SessionState};
/// use futures::StreamExt as _;
///
/// async fn log(session: &Session) {
///     let mut states = session.watch();
///     while let Some(state) = states.next().await {
///         if let SessionState::Ended(reason) = state {
///             println!("signed out: {reason}");
///         }
///     }
/// }
/// ```
#[must_use = "a stream does nothing unless polled"]
pub struct Watch {
    watched: Arc<Watched>,
    id: u64,
    seen: u64,
}

impl Watch {
    pub(crate) fn new(watched: &Arc<Watched>) -> Self {
        let id = {
            let mut inner = watched.inner();
            inner.next_id += 1;
            inner.next_id
        };
        Self { watched: Arc::clone(watched), id, seen: 0 }
    }
}

impl Stream for Watch {
    type Item = SessionState;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SessionState>> {
        let waker = cx.waker().clone();
        let this = &mut *self;
        let _replaced: Option<Waker>;
        let mut inner = this.watched.inner();
        if inner.version > this.seen {
            this.seen = inner.version;
            return Poll::Ready(Some(inner.state));
        }
        if inner.closed {
            return Poll::Ready(None);
        }
        match inner.parked.iter_mut().find(|(id, _)| *id == this.id) {
            Some((_, parked)) => _replaced = Some(std::mem::replace(parked, waker)),
            None => inner.parked.push((this.id, waker)),
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let parked = {
            let mut inner = self.watched.inner();
            let at = inner.parked.iter().position(|(id, _)| *id == self.id);
            at.map(|at| inner.parked.swap_remove(at))
        };
        drop(parked);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
