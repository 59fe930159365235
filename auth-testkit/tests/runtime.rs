//! Tests of `ManualRuntime`.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use auth_core::Runtime;
use auth_testkit::ManualRuntime;
use futures::channel::oneshot;

const SECOND: Duration = Duration::from_secs(1);

/// Notes that several tasks write.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn write(&self, note: impl Into<String>) {
        self.0.lock().expect("no test panics while it writes").push(note.into());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().expect("no test panics while it writes").clone()
    }
}

/// Panics when dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in a destructor");
        }
    }
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map(ToString::to_string).unwrap_or_default(),
    }
}

#[test]
fn both_clocks_start_at_a_fixed_time_and_move_together() {
    let runtime = ManualRuntime::new();
    assert_eq!(runtime.now(), UNIX_EPOCH + Duration::from_secs(1_767_225_600));
    assert!(!runtime.elapsed().is_zero());
    let (wall, elapsed) = (runtime.now(), runtime.elapsed());

    runtime.advance(90 * SECOND);

    assert_eq!(runtime.now(), wall + 90 * SECOND);
    assert_eq!(runtime.elapsed(), elapsed + 90 * SECOND);
}

#[test]
fn the_wall_clock_can_jump_alone_both_ways() {
    let runtime = ManualRuntime::new();
    let (wall, elapsed) = (runtime.now(), runtime.elapsed());

    runtime.set_wall(wall + 3600 * SECOND);
    assert_eq!(runtime.now(), wall + 3600 * SECOND);
    runtime.set_wall(wall - 3600 * SECOND);
    runtime.advance(SECOND);

    assert_eq!(runtime.now(), wall - 3599 * SECOND);
    assert_eq!(runtime.elapsed(), elapsed + SECOND);
}

#[test]
fn tasks_run_in_the_order_in_which_they_were_woken() {
    let runtime = ManualRuntime::new();
    let notes = Notes::default();
    for name in ["a", "b", "c"] {
        let notes = notes.clone();
        runtime.spawn(Box::pin(async move { notes.write(name) }));
    }

    runtime.run_until_stalled();

    assert_eq!(notes.read(), ["a", "b", "c"]);
    assert_eq!(runtime.tasks(), 0);
}

#[test]
fn a_task_woken_many_times_is_polled_once() {
    let runtime = ManualRuntime::new();
    let parked = Arc::new(Mutex::new(None));
    let park = Arc::clone(&parked);
    let running = runtime.start(poll_fn(move |cx: &mut Context<'_>| {
        *park.lock().unwrap() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }));
    runtime.run_until_stalled();
    let waker = parked.lock().unwrap().take().unwrap();

    waker.wake_by_ref();
    waker.wake_by_ref();
    runtime.run_until_stalled();

    assert_eq!(running.polls(), 2);
}

#[test]
fn timers_fire_by_deadline_then_by_age_and_woken_tasks_run_at_every_instant() {
    let runtime = ManualRuntime::new();
    let notes = Notes::default();
    let start = runtime.elapsed();
    for (name, seconds) in [("late", 3), ("first", 1), ("second", 1)] {
        let (clock, notes) = (runtime.clone(), notes.clone());
        let sleep = runtime.sleep(seconds * SECOND);
        runtime.spawn(Box::pin(async move {
            sleep.await;
            notes.write(format!("{name} at {}", (clock.elapsed() - start).as_secs()));
            // Set on the way, and due on the way.
            clock.sleep(SECOND).await;
            notes.write(format!("{name} again at {}", (clock.elapsed() - start).as_secs()));
        }));
    }

    runtime.advance(3 * SECOND);

    let expected = ["first at 1", "second at 1", "first again at 2", "second again at 2", "late at 3"];
    assert_eq!(notes.read(), expected);
    assert_eq!((runtime.tasks(), runtime.timers()), (1, 1));
}

#[test]
fn no_time_passes_while_tasks_run_until_stalled() {
    let runtime = ManualRuntime::new();
    let before = runtime.elapsed();
    let sleep = runtime.sleep(SECOND);
    let running = runtime.start(sleep);

    runtime.run_until_stalled();

    assert!(!running.is_finished());
    assert_eq!(runtime.elapsed(), before);
}

#[test]
fn dropping_a_sleep_removes_its_timer() {
    let runtime = ManualRuntime::new();
    let sleep = runtime.sleep(SECOND);
    let running = runtime.start(sleep);
    runtime.run_until_stalled();
    assert_eq!(runtime.timers(), 1);

    running.cancel();

    assert_eq!(runtime.timers(), 0);
}

#[test]
fn a_sleep_for_ever_does_not_panic_and_is_no_time_to_jump_to() {
    let runtime = ManualRuntime::new();
    let running = runtime.start(runtime.sleep(Duration::MAX));

    runtime.advance(SECOND);

    assert!(!running.is_finished());
    let stuck = catch_unwind(AssertUnwindSafe(|| runtime.block_on(running))).unwrap_err();
    assert!(message(stuck).starts_with("nothing can go on"));
}

#[test]
fn block_on_takes_futures_that_borrow_and_jumps_from_timer_to_timer() {
    let runtime = ManualRuntime::new();
    let before = runtime.elapsed();
    let count = std::rc::Rc::new(std::cell::Cell::new(0));

    let answer = runtime.block_on(async {
        for _ in 0..1000 {
            runtime.sleep(3600 * SECOND).await;
            count.set(count.get() + 1);
        }
        "done"
    });

    assert_eq!((answer, count.get()), ("done", 1000));
    assert_eq!(runtime.elapsed() - before, 3_600_000 * SECOND);
}

#[test]
fn block_on_reports_a_deadlock_instead_of_hanging() {
    let runtime = ManualRuntime::new();
    runtime.spawn(Box::pin(pending()));

    let stuck = catch_unwind(AssertUnwindSafe(|| runtime.block_on(pending::<()>()))).unwrap_err();

    let message = message(stuck);
    assert!(message.starts_with("nothing can go on") && message.contains("1 spawned"), "{message}");
}

#[test]
fn a_task_that_wakes_itself_for_ever_fails_its_test() {
    let runtime = ManualRuntime::new();
    runtime.spawn(Box::pin(poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    })));

    let endless = catch_unwind(AssertUnwindSafe(|| runtime.run_until_stalled())).unwrap_err();

    assert!(message(endless).starts_with("this goes on for ever"));
}

#[test]
fn block_on_works_inside_block_on_and_loses_no_wake_up() {
    let runtime = ManualRuntime::new();
    let (sender, receiver) = oneshot::channel();

    let answer = runtime.block_on(async {
        sender.send(7).unwrap();
        // Wakes this very future while an inner call drives.
        let mut yielded = false;
        poll_fn(|cx| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            cx.waker().wake_by_ref();
            runtime.block_on(runtime.sleep(SECOND));
            Poll::Pending
        })
        .await;
        receiver.await
    });

    assert_eq!(answer, Ok(7));
}

#[test]
fn a_task_met_by_a_driver_within_itself_is_polled_again_afterwards() {
    let runtime = ManualRuntime::new();
    let inner = runtime.clone();
    let mut polls = 0;
    let running = runtime.start(poll_fn(move |cx| {
        polls += 1;
        if polls == 2 {
            return Poll::Ready("again");
        }
        cx.waker().wake_by_ref();
        inner.run_until_stalled();
        Poll::Pending
    }));

    assert_eq!(runtime.block_on(running), "again");
}

#[test]
fn a_task_woken_from_another_thread_runs() {
    let runtime = ManualRuntime::new();
    let (sender, receiver) = oneshot::channel();
    let running = runtime.start(receiver);
    runtime.run_until_stalled();
    assert!(!running.is_finished());

    std::thread::spawn(move || sender.send("from afar")).join().unwrap().unwrap();

    runtime.run_until_stalled();
    assert_eq!(running.take(), Some(Ok("from afar")));
}

#[test]
fn a_panicking_task_harms_no_other() {
    let runtime = ManualRuntime::new();
    let notes = Notes::default();
    let survivor = notes.clone();
    runtime.spawn(Box::pin(async { panic!("while polled") }));
    runtime.spawn(Box::pin(async {
        let _bomb = Bomb;
        pending::<()>().await;
    }));
    runtime.spawn(Box::pin(async move { survivor.write("ran") }));

    runtime.run_until_stalled();
    assert_eq!(notes.read(), ["ran"]);
    assert_eq!((runtime.tasks(), runtime.panicked()), (1, 1));

    runtime.shutdown();
    assert_eq!((runtime.tasks(), runtime.panicked()), (0, 2));
}

#[test]
fn a_runtime_shut_down_drops_its_tasks_and_every_later_one() {
    let runtime = ManualRuntime::new();
    let (sender, mut receiver) = oneshot::channel::<()>();
    let (later, mut lost) = oneshot::channel::<()>();
    let clock = runtime.clone();
    runtime.spawn(Box::pin(async move {
        clock.sleep(SECOND).await;
        drop(sender);
    }));
    let waiting = runtime.start(pending::<()>());
    runtime.run_until_stalled();

    runtime.shutdown();
    runtime.spawn(Box::pin(async move { drop(later) }));

    assert!(receiver.try_recv().is_err(), "the sender was dropped with its task");
    assert!(lost.try_recv().is_err(), "a later task is dropped at once");
    assert_eq!((runtime.tasks(), runtime.timers()), (0, 0));
    assert!(!waiting.is_finished());
    assert_eq!(runtime.block_on(runtime.start(async { 1 })), 1, "the test's own tasks go on");
}

#[test]
fn a_task_that_shuts_its_runtime_down_is_dropped_after_that_poll() {
    let runtime = ManualRuntime::new();
    let inner = runtime.clone();
    let (sender, mut receiver) = oneshot::channel::<()>();
    runtime.spawn(Box::pin(async move {
        let _sender = sender;
        inner.shutdown();
        pending::<()>().await;
    }));

    runtime.run_until_stalled();

    assert!(receiver.try_recv().is_err());
    assert_eq!(runtime.tasks(), 0);
}

#[test]
fn a_started_task_is_followed_to_its_result() {
    let runtime = ManualRuntime::new();
    let running = runtime.start(async { 7 });
    assert!(!running.is_finished());
    assert_eq!((running.polls(), runtime.tasks()), (0, 0));

    runtime.run_until_stalled();

    assert!(running.is_finished());
    assert_eq!(running.take(), Some(7));
    assert_eq!(running.take(), None, "a result is taken once");
    assert_eq!(running.polls(), 1);
}

#[test]
fn dropping_a_running_does_not_cancel_it_and_cancelling_drops_it_at_once() {
    let runtime = ManualRuntime::new();
    let drops = Arc::new(AtomicUsize::new(0));
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let waiting = |drops: &Arc<AtomicUsize>| {
        let counts = Counts(Arc::clone(drops));
        async move {
            let _counts = counts;
            pending::<()>().await;
        }
    };
    drop(runtime.start(waiting(&drops)));
    let cancelled = runtime.start(waiting(&drops));
    runtime.run_until_stalled();
    assert_eq!(drops.load(Ordering::SeqCst), 0);

    cancelled.cancel();

    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn a_panic_in_a_started_task_reaches_who_takes_or_awaits_it() {
    let runtime = ManualRuntime::new();
    let taken = runtime.start(async { panic!("mine") });
    let awaited = runtime.start(async { panic!("mine, too") });
    let dropped = runtime.start(std::future::ready(Some(Bomb)));
    runtime.run_until_stalled();

    let panic = catch_unwind(AssertUnwindSafe(|| taken.take().unwrap_or(()))).unwrap_err();
    assert_eq!(message(panic), "mine");
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(awaited))).unwrap_err();
    assert_eq!(message(panic), "mine, too");
    std::mem::forget(dropped.take());
    assert_eq!(runtime.panicked(), 0, "these are the test's, not contained");
}

#[test]
fn random_numbers_are_the_same_for_the_same_seed() {
    let draw = |runtime: ManualRuntime| -> Vec<u64> { (0..8).map(|_| runtime.random()).collect() };

    let numbers = draw(ManualRuntime::with_seed(42));

    assert_eq!(numbers, draw(ManualRuntime::with_seed(42)));
    assert_ne!(numbers, draw(ManualRuntime::with_seed(43)));
    // The first value of SplitMix64 for the seed 0.
    assert_eq!(ManualRuntime::new().random(), 0xe220_a839_7b1d_cdaf);
}
