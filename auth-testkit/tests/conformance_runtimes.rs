//! The suite for runtimes catches runtimes that break the contract, each by the clause that is broken.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod broken_runtimes;
mod quotes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use auth_core::{Runtime, StandaloneRuntime};
use auth_testkit::ManualRuntime;
use auth_testkit::conformance::{Report, RuntimeSuite};
use auth_testkit::simulation::SimulatedRuntime;
use futures::future::pending;

use broken_runtimes::{Fault, Own, Timed};

/// Fails only the clause, and says which promise was broken and how.
#[track_caller]
fn caught(clause: &str, seen: &str, report: &Report) {
    let promise = RuntimeSuite::clauses().find(|(name, _)| *name == clause).expect("the clause exists").1;
    let text = report.to_string();
    assert!(!report.is_ok(), "{clause} lets it pass");
    assert!(text.contains(&format!("runtime: {promise:?}: {clause}: ")), "{text}");
    assert!(text.contains(seen), "{text}");
}

#[track_caller]
fn own(clause: &str, seen: &str, fault: Fault) {
    let suite = RuntimeSuite::new(move || Own::new(fault)).shut_down(Own::shut_down);
    // What a broken runtime does not do, it does not do for any length of time.
    caught(clause, seen, &suite.only([clause]).deadline(Duration::from_secs(2)).run());
}

/// All at a time: each waits for its deadline.
fn each(cases: &[(&'static str, &'static str, Fault)]) {
    std::thread::scope(|scope| {
        for (clause, seen, fault) in cases {
            scope.spawn(|| own(clause, seen, *fault));
        }
    });
}

#[track_caller]
fn timed(clause: &str, seen: &str, make: impl Fn() -> Timed + Send + Sync + 'static) {
    caught(clause, seen, &RuntimeSuite::new(make).only([clause]).deadline(Duration::from_secs(2)).run());
}

#[test]
fn a_runtime_that_runs_nothing() {
    own("task", "it was dropped: a task that returns at once", Fault::DropsTasks);
}

#[test]
fn a_runtime_that_waits_for_what_it_spawns() {
    own("background", "still within spawn", Fault::RunsThemAtOnce);
}

#[test]
fn a_runtime_that_loses_wake_ups() {
    each(&[
        ("own_wake_ups", "still waiting for a task that wakes itself", Fault::IgnoresOwnWakeUps),
        ("wake_ups_from_threads", "that another thread wakes again and again", Fault::IgnoresOtherThreads),
    ]);
}

#[test]
fn a_runtime_that_runs_one_after_another() {
    own("beside_waiting_ones", "still waiting for a task behind a hundred", Fault::OneAfterAnother);
}

#[test]
fn a_runtime_with_room_for_few() {
    own("many", "of 1000 tasks 10 ran to their end", Fault::RoomForTen);
}

#[test]
fn a_runtime_that_does_not_let_go_of_what_is_done() {
    each(&[
        ("done_is_dropped", "a task that is done to be dropped", Fault::KeepsWhatIsDone),
        ("done_is_dropped", "was polled 2 times", Fault::PollsWhatIsDone),
        ("done_is_dropped", "one that was woken when it was done", Fault::DiesOfStaleWakeUps),
    ]);
}

#[test]
fn a_runtime_that_dies_of_a_panic() {
    each(&[
        ("panics", "a task after some that panic while they are polled", Fault::DiesOfPanics),
        ("late_panics", "some that panic when they are polled again", Fault::DiesOfLatePanics),
        (
            "panicking_destructors",
            "a task after some that panic when they are dropped",
            Fault::DiesOfDestructors,
        ),
    ]);
}

#[test]
fn a_runtime_that_drops_others_for_a_panic() {
    own("panics", "of 64 beside them 64 are lost", Fault::DropsOthersAtAPanic);
    own(
        "panics",
        "it was dropped: a task after some that panic while they are polled",
        Fault::DropsLaterOnesAfterAPanic,
    );
}

#[test]
fn a_runtime_that_does_not_let_go_of_what_panicked() {
    own("panicked_is_dropped", "still waiting for a task that panicked", Fault::KeepsWhatPanicked);
}

#[test]
fn a_runtime_that_is_locked_while_foreign_code_runs() {
    each(&[
        ("tasks_spawn", "still waiting for a task of a task", Fault::LockedWhilePolling),
        ("destructors_spawn", "that the destructor of one that is done spawns", Fault::LockedWhileDropping),
        ("shut_down_destructors", "still ending the runtime", Fault::LockedAtTheEnd),
    ]);
}

#[test]
fn a_runtime_that_belongs_to_a_thread() {
    own("threads_spawn", "of 64 tasks 0 ran", Fault::SpawnsOnOneThread);
}

#[test]
fn a_runtime_that_keeps_its_tasks_when_it_ends() {
    own("shut_down_drops", "the end of a task that waits when the runtime ends", Fault::KeepsTasksAtTheEnd);
    own("shut_down_destructors", "it panicked: on purpose", Fault::EndsAtAPanic);
}

#[test]
fn a_runtime_that_ended_badly() {
    own("spawn_afterwards", "the end of a task that is spawned after", Fault::KeepsLaterTasks);
    own("spawn_afterwards", "it panicked: this runtime has ended", Fault::PanicsAfterTheEnd);
    own("calls_afterwards", "it panicked: the clock has stopped", Fault::NoClockAfterTheEnd);
}

#[test]
fn a_clock_that_goes_back() {
    timed("elapsed", "it was", || {
        let reads = AtomicU64::new(0);
        Timed::elapsed(move |good| match reads.fetch_add(1, Ordering::Relaxed) {
            7 => good.elapsed() + Duration::from_secs(60),
            _ => good.elapsed(),
        })
    });
}

#[test]
fn a_clock_that_begins_on_each_thread() {
    thread_local!(static START: Instant = Instant::now());

    timed("elapsed", ", and then, on another thread, ", || Timed::elapsed(|_| START.with(Instant::elapsed)));
    timed("elapsed", "on another thread, and then, here,", || {
        let maker = std::thread::current().id();
        Timed::elapsed(move |good| {
            let ahead = std::thread::current().id() != maker;
            good.elapsed() + Duration::from_secs(60) * u32::from(ahead)
        })
    });
}

#[test]
fn clocks_that_disagree() {
    timed("clocks", "now advanced by 0ns", || Timed::now(|_| SystemTime::UNIX_EPOCH));
    timed("clocks", "now went back by", || {
        let start = SystemTime::now();
        Timed::now(move |good| start - good.elapsed())
    });
    // Microseconds for milliseconds.
    timed("clocks", "elapsed grew by", || Timed::elapsed(|good| good.elapsed() / 1_000));
}

#[test]
fn sleeps_that_are_too_short() {
    timed("sleep", "a sleep of 999ns ended when elapsed had grown by", || Timed::sleep(|_, _| async {}));
    timed("many_sleeps", "ended when elapsed had grown by", || {
        Timed::sleep(|good, duration| good.sleep(duration / 2))
    });
}

#[test]
fn a_sleep_that_never_ends() {
    timed("sleep", "still waiting for a sleep of 0ns", || {
        Timed::sleep(|good, duration| async move {
            if duration.is_zero() {
                pending::<()>().await;
            }
            good.sleep(duration).await;
        })
    });
}

#[test]
fn a_timer_for_one_sleep() {
    timed("many_sleeps", "still waiting for two hundred sleeps", || {
        let newest = Arc::new(AtomicU64::new(0));
        Timed::sleep(move |good, duration| {
            let newest = Arc::clone(&newest);
            async move {
                let number = newest.fetch_add(1, Ordering::SeqCst) + 1;
                good.sleep(duration).await;
                if newest.load(Ordering::SeqCst) != number {
                    pending::<()>().await;
                }
            }
        })
    });
}

#[test]
fn long_sleeps_that_are_not() {
    timed("long_sleeps", "it panicked: overflow", || {
        Timed::sleep(|good, duration| {
            let until = Instant::now() + duration;
            async move { good.sleep(until.saturating_duration_since(Instant::now())).await }
        })
    });
    timed("long_sleeps", "has ended", || {
        Timed::sleep(|good, duration| good.sleep(duration.min(Duration::from_millis(1))))
    });
    timed("long_sleeps", "a sleep of 4294967296s has ended", || {
        Timed::sleep(|good, duration| {
            let longest = Duration::from_secs(1 << 33);
            #[expect(clippy::cast_possible_truncation, reason = "the fault")]
            let wrapped = u64::from(duration.as_millis() as u32);
            good.sleep(if duration > longest { longest } else { Duration::from_millis(wrapped) })
        })
    });
}

#[test]
fn a_sleep_that_takes_others_with_it() {
    timed("dropped_sleeps", "still waiting for a sleep beside some that were dropped", || {
        let dropped = Arc::new(AtomicU64::new(0));
        Timed::sleep(move |good, duration| {
            struct Dropped(Arc<AtomicU64>);
            impl Drop for Dropped {
                fn drop(&mut self) {
                    self.0.fetch_add(1, Ordering::SeqCst);
                }
            }

            let (then, dropped) = (dropped.load(Ordering::SeqCst), Arc::clone(&dropped));
            let guard = Dropped(Arc::clone(&dropped));
            async move {
                let _guard = guard;
                good.sleep(duration).await;
                if dropped.load(Ordering::SeqCst) != then {
                    pending::<()>().await;
                }
            }
        })
    });
}

#[test]
fn a_sleep_that_belongs_to_a_thread() {
    timed("sleeps_anywhere", "outside, a sleep of 5ms ended when elapsed had grown by", || {
        let maker = std::thread::current().id();
        Timed::sleep(move |good, duration| async move {
            if std::thread::current().id() == maker {
                good.sleep(duration).await;
            }
        })
    });
    timed("sleeps_anywhere", "it panicked: a sleep on a thread outside of the runtime", || {
        let maker = std::thread::current().id();
        Timed::sleep(move |good, duration| async move {
            assert_eq!(std::thread::current().id(), maker, "there is no timer on this thread");
            good.sleep(duration).await;
        })
    });
}

#[test]
fn a_sleep_that_wakes_whoever_polled_it_first() {
    timed("sleeps_anywhere", "still waiting for a sleep that was polled before on another thread", || {
        Timed::sleep(|good, duration| {
            let (mut sleep, mut first) = (good.sleep(duration), None);
            std::future::poll_fn(move |cx| {
                let here = std::thread::current().id();
                // The others are never told.
                if *first.get_or_insert(here) == here { sleep.as_mut().poll(cx) } else { Poll::Pending }
            })
        })
    });
}

#[test]
fn random_bits_that_are_not() {
    timed("random", "of 64 numbers 63 were alike", || Timed::random(|| 4));
}

#[test]
fn virtual_time_keeps_the_contract() {
    RuntimeSuite::new(ManualRuntime::new)
        .drive(|runtime| runtime.advance(Duration::from_millis(1)))
        .shut_down(ManualRuntime::shutdown)
        .run()
        .assert();
}

#[test]
fn simulated_time_keeps_the_contract_with_any_seed() {
    for seed in 0..8 {
        RuntimeSuite::new(move || SimulatedRuntime::new(seed))
            .drive(|runtime| runtime.advance(Duration::from_millis(1)))
            .shut_down(SimulatedRuntime::kill)
            .run()
            .assert();
    }
}

#[test]
fn virtual_time_that_nobody_drives_stands_still() {
    let suite = RuntimeSuite::new(ManualRuntime::new).only(["task"]).deadline(Duration::from_secs(2));

    caught("task", "still waiting for a task that returns at once", &suite.run());
}

#[test]
fn what_is_not_broken_passes() {
    RuntimeSuite::new(|| Own::new(Fault::None)).shut_down(Own::shut_down).run().assert();
    RuntimeSuite::new(Timed::new).run().assert();
}

#[test]
#[should_panic(expected = "it was dropped: a task that returns at once")]
fn the_one_line_form_panics_with_what_was_seen() {
    auth_testkit::conformance::runtime(|| Own::new(Fault::DropsTasks));
}

#[test]
fn a_runtime_that_cannot_be_shut_down_skips_what_asks_for_it() {
    let report = RuntimeSuite::new(StandaloneRuntime::new).only(["random", "shut_down_drops"]).run();

    assert_eq!(report.passed, ["random"]);
    assert_eq!(report.skipped, [("shut_down_drops".to_owned(), "without `shut_down`".to_owned())]);
}

#[test]
fn every_clause_quotes_the_documentation() {
    quotes::assert_quoted(include_str!("../../auth-core/src/runtime.rs"), RuntimeSuite::clauses());
}
