//! The session's runtime in the world, and its clock.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures::future::{abortable, poll_fn};

use super::World;
use crate::{BoxFuture, Runtime};

/// The session's runtime: its tasks are tasks of the world.
pub(in crate::session::schedules) struct Clockwork(pub(in crate::session::schedules) Arc<World>);

impl Runtime for Clockwork {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut facts = self.0.facts();
        if facts.shut_down {
            drop(facts);
            drop(task);
            return;
        }
        let (world, runtime) = (Arc::clone(&self.0), facts.runtime);
        let mut task = task;
        let (task, handle) = abortable(poll_fn(move |cx| {
            let mut facts = world.facts();
            if runtime < facts.driven {
                facts.parked.push(cx.waker().clone());
                return Poll::Pending;
            }
            drop(facts);
            task.as_mut().poll(cx)
        }));
        facts.tasks.push(handle);
        drop(facts);
        self.0.task(Box::pin(async move {
            let _ = task.await;
        }));
    }

    fn random(&self) -> u64 {
        self.0.number().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Ends when the world's time has come to it.
pub(super) struct Sleep {
    pub(super) world: Arc<World>,
    pub(super) key: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut facts = self.world.facts();
        if facts.now >= self.key.0 {
            return Poll::Ready(());
        }
        facts.timers.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let timer = self.world.facts().timers.remove(&self.key);
        drop(timer);
    }
}
