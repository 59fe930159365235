//! Re-entrancy: a part of a session that waits for the session itself, while that waits for it.
//!
//! Around each poll of a session's foreign parts (refresher, store) its number is on a stack of the thread. Where a wait
//! would begin under its own number it fails instead. Through a task of its own the wait is not seen; the flight's
//! deadline ends that.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

crate::sync::thread_local! {
    static INSIDE: RefCell<Vec<SessionId>> = const { RefCell::new(Vec::new()) };
}

/// A session's number in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId(pub(crate) u64);

impl SessionId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a part of this session is being polled on this thread just now.
    pub(crate) fn is_inside(self) -> bool {
        INSIDE.try_with(|inside| inside.borrow().contains(&self)).unwrap_or(false)
    }
}

pin_project_lite::pin_project! {
    /// A future that is polled as a part of a session.
    pub(crate) struct Inside<F> {
        session: SessionId,
        #[pin]
        future: F,
    }
}

pub(crate) fn inside<F: Future>(session: SessionId, future: F) -> Inside<F> {
    Inside { session, future }
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _mark = Mark::set(*this.session);
        this.future.poll(cx)
    }
}

/// Takes itself off the stack, a panic notwithstanding.
struct Mark;

impl Mark {
    fn set(session: SessionId) -> Self {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().push(session));
        Self
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
    }
}

#[cfg(test)]
#[cfg(not(auth_shuttle))]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn a_mark_ends_with_its_poll() {
        let (one, two) = (SessionId::next(), SessionId::next());

        let seen = inside(one, async move {
            let nested = inside(two, async move { one.is_inside() && two.is_inside() }).await;
            nested && one.is_inside() && !two.is_inside()
        });

        assert_eq!(seen.now_or_never(), Some(true));
        assert!(!one.is_inside());
    }

    #[test]
    fn a_mark_survives_no_panic() {
        let one = SessionId::next();
        let panicking = inside(one, async { panic!("inside") });

        let outcome = std::panic::AssertUnwindSafe(panicking).catch_unwind().now_or_never();

        assert!(matches!(outcome, Some(Err::<(), _>(_))));
        assert!(!one.is_inside());
    }
}
