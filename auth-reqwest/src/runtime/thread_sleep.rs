//! A sleep that needs no runtime: a thread that waits.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Waits on a thread of its own, which ends with the time or with the future. The last resort of a program that has no
/// tokio timer; a thread is dear, a sleep that never ends is dearer.
pub(super) struct ThreadSleep {
    shared: Arc<Shared>,
    start: Instant,
    duration: Duration,
    state: Thread,
}

enum Thread {
    NotStarted,
    Waits,
    /// The machine has no thread left: the future asks to be polled again until the time has come.
    Refused,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    given_up: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, start: Instant, duration: Duration) {
        let mut waiting = self.lock();
        loop {
            let left = duration.saturating_sub(start.elapsed());
            if waiting.given_up || left.is_zero() {
                break;
            }
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl ThreadSleep {
    pub(super) fn new(duration: Duration) -> Self {
        Self { shared: Arc::default(), start: Instant::now(), duration, state: Thread::NotStarted }
    }

    fn start_thread(&self) -> Thread {
        let (shared, start, duration) = (Arc::clone(&self.shared), self.start, self.duration);
        let thread = std::thread::Builder::new().name("auth-reqwest-sleep".to_owned());
        match thread.spawn(move || shared.wait(start, duration)) {
            Ok(_detached) => Thread::Waits,
            Err(_) => Thread::Refused,
        }
    }
}

impl Future for ThreadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Under the lock, so that a thread that is just waking takes the newest waker or the time has come here.
        self.shared.lock().waker = Some(cx.waker().clone());
        if self.start.elapsed() >= self.duration {
            return Poll::Ready(());
        }
        if matches!(self.state, Thread::NotStarted) {
            self.state = self.start_thread();
        }
        if matches!(self.state, Thread::Refused) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for ThreadSleep {
    fn drop(&mut self) {
        let mut waiting = self.shared.lock();
        waiting.given_up = true;
        let waker = waiting.waker.take();
        drop(waiting);
        drop(waker);
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use futures::executor::block_on;

    #[test]
    fn it_ends_when_its_time_has_come() {
        let start = Instant::now();

        block_on(ThreadSleep::new(Duration::from_millis(5)));

        assert!(start.elapsed() >= Duration::from_millis(5));
    }

    #[test]
    fn dropping_it_ends_its_thread() {
        let mut sleep = ThreadSleep::new(Duration::MAX);
        assert!((&mut sleep).now_or_never().is_none());
        let shared = Arc::downgrade(&sleep.shared);

        drop(sleep);

        let deadline = Instant::now() + Duration::from_secs(10);
        while shared.upgrade().is_some() {
            assert!(Instant::now() < deadline, "the thread still waits");
            std::thread::yield_now();
        }
    }
}
