//! A task of the test's own, and how the test follows it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::ManualRuntime;
use crate::lock::lock;

/// A task begun with [`ManualRuntime::start`]: ask how it does, take its result, await it, or cancel it.
///
/// Dropping this does not cancel the task. A panic inside the task is raised again in whoever takes or awaits its
/// result.
///
/// ```
/// use auth_core::Runtime;
/// use auth_testkit::ManualRuntime;
/// use std::time::Duration;
///
/// let runtime = ManualRuntime::new();
/// let sleep = runtime.sleep(Duration::from_secs(5));
/// let running = runtime.start(async move { sleep.await; "rested" });
///
/// runtime.advance(Duration::from_secs(4));
/// assert!(!running.is_finished());
///
/// runtime.advance(Duration::from_secs(1));
/// assert_eq!(running.take(), Some("rested"));
/// assert_eq!(running.polls(), 2);
/// ```
pub struct Running<T> {
    progress: Arc<Progress<T>>,
    runtime: ManualRuntime,
    id: u64,
}

impl<T> Running<T> {
    pub(super) fn new(progress: Arc<Progress<T>>, runtime: ManualRuntime, id: u64) -> Self {
        Self { progress, runtime, id }
    }

    /// Whether the task is done, its result taken or not. A task that panicked is.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        lock(&self.progress.state).finished
    }

    /// The task's result, once, if it is done.
    ///
    /// # Panics
    ///
    /// With the task's panic, if it panicked.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        let result = lock(&self.progress.state).result.take();
        result.map(|result| result.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// How often the task was polled.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.progress.polls.load(Ordering::Relaxed)
    }

    /// Drops the task's future, now; one that is being polled this moment, right after that poll. A result that is
    /// there already is dropped as well.
    pub fn cancel(self) {
        let future = self.runtime.remove(self.id);
        drop(future);
    }
}

impl<T> Future for Running<T> {
    type Output = T;

    /// # Panics
    ///
    /// With the task's panic, if it panicked; and where the result was taken already.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let waker = cx.waker().clone();
        let before = {
            let mut state = lock(&self.progress.state);
            if state.finished { None } else { state.waiter.replace(waker) }
        };
        drop(before);
        if !self.is_finished() {
            return Poll::Pending;
        }
        match self.take() {
            Some(value) => Poll::Ready(value),
            None => panic!("the task's result was taken already"),
        }
    }
}

impl<T> fmt::Debug for Running<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("finished", &self.is_finished())
            .field("polls", &self.polls())
            .finish_non_exhaustive()
    }
}

pub(super) struct Progress<T> {
    state: Mutex<State<T>>,
    polls: AtomicU64,
}

struct State<T> {
    result: Option<Result<T, Box<dyn Any + Send>>>,
    finished: bool,
    waiter: Option<Waker>,
}

impl<T> Progress<T> {
    fn finish(&self, result: Result<T, Box<dyn Any + Send>>) {
        let waiter = {
            let mut state = lock(&self.state);
            state.result = Some(result);
            state.finished = true;
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

/// The future as the runtime polls it: the result, or the panic, goes to its [`Running`].
pub(super) struct Started<F: Future> {
    future: Option<Pin<Box<F>>>,
    progress: Arc<Progress<F::Output>>,
}

impl<F: Future> Started<F> {
    pub(super) fn new(future: F) -> (Self, Arc<Progress<F::Output>>) {
        let state = Mutex::new(State { result: None, finished: false, waiter: None });
        let progress = Arc::new(Progress { state, polls: AtomicU64::new(0) });
        (Self { future: Some(Box::pin(future)), progress: Arc::clone(&progress) }, progress)
    }
}

impl<F: Future> Future for Started<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.progress.polls.fetch_add(1, Ordering::Relaxed);
        let Some(future) = self.future.as_mut() else { return Poll::Ready(()) };
        // What panicked is dropped and not looked at again.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(panic) => Err(panic),
        };
        let future = self.future.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        // A test wants to hear of a panic, also of one in a destructor after the result.
        self.progress.finish(result.and_then(|value| dropped.map(|()| value)));
        Poll::Ready(())
    }
}
