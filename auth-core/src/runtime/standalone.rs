//! `StandaloneRuntime`: one driver thread and a timer, for programs without an async runtime, or with any.

use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, select_biased};
use futures_timer::Delay;

use super::Runtime;
use crate::BoxFuture;
use crate::contain::contain;

/// Runs a session's tasks on one thread of its own, whatever runtime the program has, or none.
///
/// The thread is started with the first task and shared by all sessions of the process. It does no I/O: a refresher
/// that needs an I/O driver brings it along (`ReqwestTransport` enters its own, isahc has a thread). A refresher, a
/// store or a listener that blocks would hold up every session on it.
///
/// ```
/// use auth_core::{Runtime, StandaloneRuntime};
/// use std::time::Duration;
///
/// let (done, wait) = futures::channel::oneshot::channel();
/// StandaloneRuntime::new().spawn(Box::pin(async move {
///     StandaloneRuntime::new().sleep(Duration::from_millis(1)).await;
///     let _ = done.send("ran");
/// }));
/// assert_eq!(futures::executor::block_on(wait), Ok("ran"));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct StandaloneRuntime;

impl StandaloneRuntime {
    /// The process's one.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

/// The timer's own arithmetic is on `Instant`: a longer sleep would overflow it, and is no shorter to anybody.
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Runtime for StandaloneRuntime {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut left = duration;
            while !left.is_zero() {
                let nap = left.min(LONGEST_SLEEP);
                Delay::new(nap).await;
                left -= nap;
            }
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        // A process that can start no thread drops the task, which tells the session.
        if let Some(driver) = driver() {
            let _ = driver.unbounded_send(task);
        }
    }
}

fn driver() -> Option<&'static UnboundedSender<BoxFuture<'static, ()>>> {
    static DRIVER: OnceLock<Option<UnboundedSender<BoxFuture<'static, ()>>>> = OnceLock::new();
    DRIVER
        .get_or_init(|| {
            let (sender, mut inbox) = unbounded::<BoxFuture<'static, ()>>();
            let drive = async move {
                let mut running = FuturesUnordered::new();
                loop {
                    select_biased! {
                        task = inbox.next() => match task {
                            // A panic of the task, or of its destructor, ends the task and not the thread.
                            Some(task) => running.push(contain(task)),
                            None => break,
                        },
                        _ended = running.select_next_some() => {}
                    }
                }
            };
            let thread = std::thread::Builder::new().name("auth-core".to_owned());
            thread.spawn(move || futures::executor::block_on(drive)).ok().map(|_| sender)
        })
        .as_ref()
}
