//! The standalone runtime with other clocks, sleeps or random bits.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth_core::{BoxFuture, Runtime, StandaloneRuntime};

type Call<A, T> = Arc<dyn Fn(StandaloneRuntime, A) -> T + Send + Sync>;

pub(crate) struct Timed {
    now: Call<(), SystemTime>,
    elapsed: Call<(), Duration>,
    sleep: Call<Duration, BoxFuture<'static, ()>>,
    random: Call<(), u64>,
}

impl Timed {
    pub(crate) fn new() -> Self {
        Self {
            now: Arc::new(|good, ()| good.now()),
            elapsed: Arc::new(|good, ()| good.elapsed()),
            sleep: Arc::new(|good, duration| good.sleep(duration)),
            random: Arc::new(|good, ()| good.random()),
        }
    }

    pub(crate) fn now(now: impl Fn(StandaloneRuntime) -> SystemTime + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(move |good, ()| now(good)), ..Self::new() }
    }

    pub(crate) fn elapsed(elapsed: impl Fn(StandaloneRuntime) -> Duration + Send + Sync + 'static) -> Self {
        Self { elapsed: Arc::new(move |good, ()| elapsed(good)), ..Self::new() }
    }

    pub(crate) fn sleep<F>(sleep: impl Fn(StandaloneRuntime, Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { sleep: Arc::new(move |good, duration| Box::pin(sleep(good, duration))), ..Self::new() }
    }

    pub(crate) fn random(random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { random: Arc::new(move |_, ()| random()), ..Self::new() }
    }
}

impl Runtime for Timed {
    fn now(&self) -> SystemTime {
        (self.now)(StandaloneRuntime::new(), ())
    }

    fn elapsed(&self) -> Duration {
        (self.elapsed)(StandaloneRuntime::new(), ())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        (self.sleep)(StandaloneRuntime::new(), duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        StandaloneRuntime::new().spawn(task);
    }

    fn random(&self) -> u64 {
        (self.random)(StandaloneRuntime::new(), ())
    }
}
