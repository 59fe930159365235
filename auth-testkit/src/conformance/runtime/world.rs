//! What a clause has in hand: a runtime, and the ways to give it work and to wait for it.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use auth_core::{BoxFuture, Runtime};
use futures::channel::oneshot;

use crate::conformance::clause::Verdict;
use crate::conformance::trial::Stage;

pub(super) type Act = Arc<dyn Fn() + Send + Sync>;

pub(super) struct World {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) drive: Option<Act>,
    pub(super) shut_down: Option<Act>,
    /// When nobody listens to this clause any more.
    pub(super) until: Instant,
    pub(super) stage: Stage,
}

impl World {
    /// What happens next, for whoever waits for it in vain.
    pub(super) fn stage(&self, what: impl Into<String>) {
        self.stage.set(what);
    }

    /// Waits, and drives a runtime that does not drive itself.
    pub(super) async fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        self.stage(format!("waiting for {what}"));
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            if let (Poll::Pending, Some(drive)) = (&polled, &self.drive)
                && Instant::now() < self.until
            {
                drive();
                std::thread::yield_now();
                cx.waker().wake_by_ref();
            }
            polled
        })
        .await
    }

    /// Spawns a task, and gives what it returns, or that it was dropped.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        spawn(&*self.runtime, task)
    }

    /// Waits for what a task returns.
    pub(super) async fn done<T>(&self, what: &str, task: oneshot::Receiver<T>) -> Result<T, String> {
        self.wait(what, task).await.map_err(|_| format!("it was dropped: {what}"))
    }

    /// Waits until a task was dropped. It must not return.
    pub(super) async fn dropped<T>(&self, what: &str, task: oneshot::Receiver<T>) -> Verdict {
        match self.wait(&format!("the end of {what}"), task).await {
            Ok(_) => Err(format!("it was run to its end: {what}")),
            Err(_) => Ok(()),
        }
    }

    /// Ends once everything that was there to do is likely to be done: a task spawned now has run, twice.
    pub(super) async fn settled(&self) -> Verdict {
        for _ in 0..2 {
            self.done("a task that has nothing to do", self.spawn(async {})).await?;
        }
        Ok(())
    }

    /// Ends the runtime, in a clause that asks for it.
    pub(super) fn shut_down(&self) {
        self.stage("ending the runtime");
        if let Some(shut_down) = &self.shut_down {
            shut_down();
        }
    }

    /// A sleep of the runtime's, polled here.
    pub(super) async fn sleep(&self, duration: Duration) {
        self.wait(&format!("a sleep of {duration:?}"), self.runtime.sleep(duration)).await;
    }

    /// Works on a thread that knows nothing of the runtime, and waits for it.
    pub(super) async fn on_a_thread<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce(&Arc<dyn Runtime>) -> T + Send + 'static,
    ) -> Result<T, String> {
        let (done, wait) = oneshot::channel();
        let runtime = Arc::clone(&self.runtime);
        let work = move || {
            let _ = done.send(work(&runtime));
        };
        thread(work)?;
        self.wait(what, wait).await.map_err(|_| format!("it panicked: {what}"))
    }
}

/// A thread that nobody joins.
pub(super) fn thread(work: impl FnOnce() + Send + 'static) -> Verdict {
    let started = std::thread::Builder::new().spawn(work);
    started.map(drop).map_err(|error| format!("no thread could be started: {error}"))
}

/// Spawns a task, and gives what it returns, or that it was dropped.
pub(super) fn spawn<T: Send + 'static>(
    runtime: &dyn Runtime,
    task: impl Future<Output = T> + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, wait) = oneshot::channel();
    runtime.spawn(Box::pin(async move {
        let _ = done.send(task.await);
    }));
    wait
}

/// Whether a future is done now. Otherwise it wakes the clause when it is.
pub(super) async fn is_done(future: &mut BoxFuture<'static, ()>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

/// Panics without a word on the standard error.
pub(super) fn panic_quietly() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

/// Calls this when it is dropped.
pub(super) struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(super) fn new(call: F) -> Self {
        Self(Some(call))
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

/// Ready at its first poll; what it holds stays until the future itself is dropped.
pub(super) struct Ready<G> {
    pub(super) _held: G,
}

impl<G> Unpin for Ready<G> {}

impl<G> Future for Ready<G> {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
