//! The runtime: where tasks run and what the time is. Four methods, so that the core needs no async runtime.

#[cfg(all(feature = "standalone", not(any(target_arch = "wasm32", auth_local))))]
mod standalone;

#[cfg(all(feature = "standalone", not(any(target_arch = "wasm32", auth_local))))]
pub use standalone::StandaloneRuntime;

use std::time::{Duration, SystemTime};

use crate::maybe::forward;
use crate::{BoxFuture, MaybeSend, MaybeSync};

/// Where a session's own tasks run, and its clocks.
///
/// A session spawns a few short tasks: a flight, a store write, event delivery, a queue's timer. None of them blocks.
///
/// # Contract
///
/// - **Progress.** A spawned task is polled whenever it is woken, from whatever thread and whoever else waits, until it is
///   done; then it is dropped.
/// - **Isolation.** A task that panics, while it is polled or while it is dropped, harms no other task, and not the
///   runtime. It is dropped.
/// - **Reentry.** Tasks spawn tasks, and so do their destructors.
/// - **Shutdown.** A runtime that can no longer run a task drops it: the session learns of that and frees its waiters.
/// - **Time.** `elapsed` never goes back, on whatever thread it is read. Between its jumps `now` advances as `elapsed`
///   does. A `sleep` ends, and no earlier than `elapsed` has grown by its duration; however long the duration, it does not
///   panic. One that is dropped leaves the others as they were.
/// - **Executors.** Every method is called on any thread, and a sleep is polled by any executor, from any thread.
///
/// `auth_testkit::conformance::runtime` tries each clause.
///
/// # Panics
///
/// No method panics; `spawn` in particular drops a task it cannot run.
///
/// # Examples
///
/// `auth-reqwest` has one for tokio, the feature `standalone` one for everything else. Another:
///
/// ```
/// use auth_core::{BoxFuture, Runtime};
/// use std::time::{Duration, Instant, SystemTime};
///
/// struct Smol {
///     start: Instant,
/// }
///
/// impl Runtime for Smol {
///     fn now(&self) -> SystemTime {
///         SystemTime::now()
///     }
///     fn elapsed(&self) -> Duration {
///         self.start.elapsed()
///     }
///     fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
///         Box::pin(async move {
///             smol::Timer::after(duration).await;
///         })
///     }
///     fn spawn(&self, task: BoxFuture<'static, ()>) {
///         // In a block, which drops the task before it ends: smol aborts the process where a task panics later.
///         smol::spawn(async move { task.await }).detach();
///     }
/// }
/// ```
pub trait Runtime: MaybeSend + MaybeSync + 'static {
    /// The wall clock: for storing and loading expiries only. It may jump.
    fn now(&self) -> SystemTime;

    /// The monotonic clock, since an arbitrary start: for judging expiries.
    fn elapsed(&self) -> Duration;

    /// Ends after this long.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Runs a task in the background. A panicking task harms no other.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Random bits, for sign-in ids and jitter: others at each call. From the operating system, unless a test wants to
    /// choose them.
    fn random(&self) -> u64 {
        // Without entropy ids must still differ: the clock's noise is better than a constant.
        getrandom::u64().unwrap_or_else(|_| self.elapsed().as_nanos() as u64)
    }
}

forward! {
    impl Runtime {
        fn now(&self) -> SystemTime {
            (**self).now()
        }
        fn elapsed(&self) -> Duration {
            (**self).elapsed()
        }
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            (**self).sleep(duration)
        }
        fn spawn(&self, task: BoxFuture<'static, ()>) {
            (**self).spawn(task);
        }
        fn random(&self) -> u64 {
            (**self).random()
        }
    }
}
