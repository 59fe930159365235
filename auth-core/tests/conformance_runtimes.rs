//! The contract of `Runtime`, clause by clause: the runtime that comes with the crate, and the one of its documentation.
#![cfg(all(feature = "standalone", not(any(target_arch = "wasm32", auth_local))))]

use std::time::{Duration, Instant, SystemTime};

use auth_core::{BoxFuture, Runtime, StandaloneRuntime};
use auth_testkit::conformance;

#[test]
fn the_standalone_runtime_keeps_the_contract() {
    conformance::runtime(StandaloneRuntime::new);
}

#[test]
fn the_documentations_example_keeps_the_contract() {
    conformance::runtime(|| Smol { start: Instant::now() });
}

struct Smol {
    start: Instant,
}

impl Runtime for Smol {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            smol::Timer::after(duration).await;
        })
    }
    #[expect(clippy::redundant_async_block, reason = "the block is what contains a panic in a destructor")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        smol::spawn(async move { task.await }).detach();
    }
}
