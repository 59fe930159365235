//! Deadlines: a future, or the end of the time it was given.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::core::Core;
use super::reentry::{Inside, inside};
use crate::contain::{Contained, Panicked, contain};
use crate::{BoxFuture, Runtime};

/// Why a foreign call gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("it gave no answer in time")]
    TimedOut,
    #[error("it panicked")]
    Panicked,
}

impl Core {
    /// A foreign call, marked as inside this session, its panics contained, and dropped when its time is over. An answer
    /// that is there counts, however late it is looked at.
    pub(crate) async fn call<F: Future>(
        self: &Arc<Self>,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, NoAnswer> {
        Call { future: Some(contain(inside(self.id, future))), sleep: self.runtime.sleep(limit) }.await
    }

    /// A future of our own with a deadline.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        within(&*self.runtime, limit, future).await
    }
}

/// The future's output, if it comes in time. The timer is not even made where the output is there at once.
pub(crate) async fn within<F: Future>(
    runtime: &dyn Runtime,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut sleep: Option<BoxFuture<'static, ()>> = None;
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.get_or_insert_with(|| runtime.sleep(limit)).as_mut().poll(cx).map(|()| None),
    })
    .await
}

struct Call<F> {
    future: Option<Contained<Inside<F>>>,
    sleep: BoxFuture<'static, ()>,
}

impl<F: Future> Future for Call<F> {
    type Output = Result<F::Output, NoAnswer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else { return Poll::Ready(Err(NoAnswer::TimedOut)) };
        if let Poll::Ready(output) = Pin::new(future).poll(cx) {
            return Poll::Ready(output.map_err(|Panicked| NoAnswer::Panicked));
        }
        if this.sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Dropped now, not when the answer to this is: what it holds is wanted by others.
        this.future = None;
        Poll::Ready(Err(NoAnswer::TimedOut))
    }
}
