//! `TokioRuntime` keeps the contract of a runtime, inside of tokio and outside.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use auth_core::Runtime as _;
use auth_reqwest::TokioRuntime;
use auth_testkit::conformance::RuntimeSuite;
use futures::channel::oneshot;
use futures::executor::block_on;
use support::{bounded, on_a_thread, poll_once};
use tokio::runtime::{Builder, Handle, Runtime};

const SHORT: Duration = Duration::from_millis(5);

fn driven() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Clause by clause, on a runtime that is captured by those who are outside of it.
#[test]
fn it_keeps_the_contract_outside_of_tokio() {
    let running = Arc::new(Mutex::new(None));
    let ends = Arc::clone(&running);
    let make = move || {
        let runtime = driven();
        let captured = TokioRuntime::new(runtime.handle().clone());
        *running.lock().unwrap() = Some(runtime);
        captured
    };
    let shut_down = move |_: &TokioRuntime| ends.lock().unwrap().take().unwrap().shutdown_background();

    RuntimeSuite::new(make).shut_down(shut_down).run().assert();
}

/// A captured current-thread runtime is driven by a thread that knows nothing of the session, and ends with it.
#[test]
fn it_keeps_the_contract_where_a_current_thread_runtime_is_captured() {
    let running = Arc::new(Mutex::new(None));
    let ends = Arc::clone(&running);
    let make = move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let captured = TokioRuntime::new(runtime.handle().clone());
        let (end, ended) = oneshot::channel::<()>();
        let driver = std::thread::spawn(move || _ = runtime.block_on(ended));
        *running.lock().unwrap() = Some((end, driver));
        captured
    };
    let shut_down = move |_: &TokioRuntime| {
        let (end, driver) = ends.lock().unwrap().take().unwrap();
        drop(end);
        driver.join().unwrap();
    };

    RuntimeSuite::new(make).shut_down(shut_down).run().assert();
}

#[test]
fn it_keeps_the_contract_within_tokio() {
    let current_thread = || Builder::new_current_thread().enable_all().build().unwrap();
    let paused = || Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();

    RuntimeSuite::new(TokioRuntime::current).block_on(|clause| driven().block_on(clause)).run().assert();
    RuntimeSuite::new(TokioRuntime::current)
        .block_on(move |clause| current_thread().block_on(clause))
        .run()
        .assert();
    RuntimeSuite::new(TokioRuntime::current).block_on(move |clause| paused().block_on(clause)).run().assert();
}

/// Spawns a task, and tells on which runtime it ran, if on any.
fn spawned(runtime: &TokioRuntime) -> oneshot::Receiver<tokio::runtime::Id> {
    let (sender, receiver) = oneshot::channel();
    runtime.spawn(Box::pin(async move {
        let _ = sender.send(Handle::current().id());
    }));
    receiver
}

#[test]
fn a_task_runs_on_the_current_runtime_and_else_on_the_captured_one() {
    on_a_thread(|| {
        let (captured, current) = (driven(), driven());
        let runtime = TokioRuntime::new(captured.handle().clone());

        assert_eq!(block_on(spawned(&runtime)).unwrap(), captured.handle().id());
        assert_eq!(current.block_on(async { spawned(&runtime).await }).unwrap(), current.handle().id());
    });
}

#[test]
fn without_a_runtime_a_task_is_dropped() {
    on_a_thread(|| {
        assert!(block_on(spawned(&TokioRuntime::current())).is_err());
        let ended = TokioRuntime::new(driven().handle().clone());
        assert!(block_on(spawned(&ended)).is_err());
    });
}

#[tokio::test]
async fn a_panicking_task_harms_no_other() {
    let runtime = TokioRuntime::current();
    runtime.spawn(Box::pin(async { panic!("the task panics on purpose") }));

    assert!(bounded(spawned(&runtime)).await.is_ok());
}

/// Slept on tokio, off tokio, on a runtime without a timer, on one that has ended, and without any.
#[test]
fn a_sleep_ends_and_not_early_wherever_it_is_polled() {
    on_a_thread(|| {
        let (driven, bare) = (driven(), Builder::new_multi_thread().worker_threads(1).build().unwrap());
        let ended = self::driven().handle().clone();
        let runtimes = [
            TokioRuntime::current(),
            TokioRuntime::new(driven.handle().clone()),
            TokioRuntime::new(bare.handle().clone()),
            TokioRuntime::new(ended),
        ];
        for runtime in &runtimes {
            let start = runtime.elapsed();
            block_on(runtime.sleep(SHORT));
            assert!(runtime.elapsed() - start >= SHORT);
        }
        for inside in [&driven, &bare] {
            let start = Instant::now();
            inside.block_on(runtimes[0].sleep(SHORT));
            assert!(start.elapsed() >= SHORT);
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_makes_no_sleep_early() {
    let runtime = TokioRuntime::current();
    let start = runtime.elapsed();

    runtime.sleep(SHORT).await;

    assert!(runtime.elapsed() - start >= SHORT);
}

#[test]
fn a_sleep_outlives_the_runtime_it_began_on() {
    on_a_thread(|| {
        let driven = driven();
        let mut sleep = TokioRuntime::new(driven.handle().clone()).sleep(Duration::from_millis(50));
        assert!(poll_once(&mut sleep).is_none());

        drop(driven);

        block_on(sleep);
    });
}

#[test]
fn the_longest_sleep_is_no_panic_and_no_sleep_is_none() {
    let driven = driven();
    for runtime in [TokioRuntime::current(), TokioRuntime::new(driven.handle().clone())] {
        assert!(poll_once(runtime.sleep(Duration::MAX)).is_none());
        assert!(poll_once(runtime.sleep(Duration::ZERO)).is_some());
    }
}
