//! `TokioRuntime`: a session's tasks and sleeps on tokio.

mod thread_sleep;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use auth_core::{BoxFuture, Runtime};
use futures::FutureExt as _;
use tokio::runtime::Handle;

use thread_sleep::ThreadSleep;

/// Runs a session's tasks on tokio.
///
/// A task is spawned on the runtime that is current when it is spawned, or else on the one this was made in or was
/// given; where there is neither, it is dropped, which fails the requests that wait for it. A captured runtime has to
/// be driven by somebody: a multi-threaded one does so itself, a current-thread one only within its `block_on`.
///
/// # Time
///
/// Both clocks are the machine's, wherever they are read, and `sleep` keeps real time even where tokio's clock is paused
/// or where there is no runtime with a timer: it then costs a thread until it ends or is dropped. Tests that want
/// virtual time want a virtual runtime, not this one.
///
/// # Examples
///
/// ```
/// use auth_core::Runtime;
/// use auth_reqwest::TokioRuntime;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (done, wait) = futures::channel::oneshot::channel();
/// TokioRuntime::current().spawn(Box::pin(async move {
///     let _ = done.send("ran");
/// }));
/// assert_eq!(wait.await, Ok("ran"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TokioRuntime {
    captured: Option<Handle>,
}

impl TokioRuntime {
    /// The current runtime, or, outside of tokio, whichever is current when a task is spawned.
    #[must_use]
    pub fn current() -> Self {
        Self { captured: Handle::try_current().ok() }
    }

    /// This runtime, for tasks that are spawned from outside of tokio.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self { captured: Some(handle) }
    }
}

impl Default for TokioRuntime {
    /// [`TokioRuntime::current`].
    fn default() -> Self {
        Self::current()
    }
}

impl From<Handle> for TokioRuntime {
    fn from(handle: Handle) -> Self {
        Self::new(handle)
    }
}

impl Runtime for TokioRuntime {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Not tokio's clock: that one differs from runtime to runtime when it is paused, and a clock may not go back.
    fn elapsed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let captured = self.captured.clone();
        let start = Instant::now();
        let left = move || duration.saturating_sub(start.elapsed());
        Box::pin(async move {
            if left().is_zero() {
                return;
            }
            if let Some(handle) = current_or(captured) {
                tokio_sleep(&handle, left()).await;
            }
            // No timer could be had, or it belonged to a paused clock and ended early.
            while !left().is_zero() {
                ThreadSleep::new(left()).await;
            }
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        if let Some(handle) = current_or(self.captured.clone()) {
            // A runtime that has ended drops the task; one that runs contains its panic.
            handle.spawn(task);
        }
    }
}

/// The current runtime first: a captured one may have ended since.
fn current_or(captured: Option<Handle>) -> Option<Handle> {
    Handle::try_current().ok().or(captured)
}

/// Sleeps on a runtime's timer. Returns early where that has none or has ended: tokio panics then, and a sleep must not.
async fn tokio_sleep(handle: &Handle, duration: Duration) {
    let made = {
        let _guard = handle.enter();
        catch_unwind(|| tokio::time::sleep(duration))
    };
    if let Ok(sleep) = made {
        let _ended = AssertUnwindSafe(sleep).catch_unwind().await;
    }
}
