//! Executors: the same crowd on real ones, where threads get between. Nothing waits for time to pass to be right.

use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, SystemTime};

use auth_core::{BoxFuture, RefreshError, Runtime, Session, StandaloneRuntime};
use auth_testkit::{ScriptedRefresher, numbered};
use futures::channel::mpsc::unbounded;
use futures::future::{AbortHandle, abortable};
use futures::{FutureExt as _, StreamExt as _};
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use crate::crowd::{Fate, Outcome, Stage, fates, live, yield_now};

/// Tasks on whatever executor.
type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// A session's runtime that spawns there too; time and timers are the standalone one's.
struct On(Spawn);

impl Runtime for On {
    fn now(&self) -> SystemTime {
        StandaloneRuntime::new().now()
    }

    fn elapsed(&self) -> Duration {
        StandaloneRuntime::new().elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        StandaloneRuntime::new().sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        (self.0)(task);
    }
}

#[derive(Clone, Debug)]
struct Plan {
    fates: Vec<Fate>,
    /// Cancelled before the refresh is answered, and while the queue drains.
    early: Vec<usize>,
    late: Vec<usize>,
    fails: bool,
}

fn plan(stuck: u32) -> impl Strategy<Value = Plan> {
    let some = || prop::collection::vec(any::<usize>(), 0..8);
    let crowd = prop::collection::vec(fates(stuck, 1), 1..48);
    (crowd, some(), some(), prop::bool::weighted(0.1)).prop_map(|(fates, early, late, fails)| Plan {
        fates,
        early,
        late,
        fails,
    })
}

/// The waiters' handles, and who was cancelled.
#[derive(Default)]
struct Crowd {
    handles: OnceLock<Vec<AbortHandle>>,
    cancelled: Mutex<Vec<usize>>,
}

impl Crowd {
    fn cancel(&self, chosen: usize) {
        let Some(handles) = self.handles.get() else { return };
        let at = chosen % handles.len();
        self.cancelled.lock().unwrap().push(at);
        handles[at].abort();
    }
}

async fn play(spawn: Spawn, plan: Plan) {
    let stuck = plan.fates.iter().any(|fate| fate.is_stuck());
    // One that a busy machine does not use up: order is what is looked at, or is not.
    let patience = Duration::from_millis(if stuck { 10 } else { 3_600_000 });
    let (refresher, handle) = ScriptedRefresher::new();
    let session = Session::builder(refresher).runtime(On(Arc::clone(&spawn))).patience(patience).build();
    session.sign_in(numbered(0)).await.unwrap();
    let stamp = session.lease().await.unwrap().stamp();
    let crowd = Arc::new(Crowd::default());
    let (others, (announce, joined)) = (Arc::clone(&crowd), unbounded());
    let stage = Arc::new(Stage {
        session,
        stamp,
        elapsed: Box::new(|| Duration::ZERO),
        pause: Box::new(|pause| {
            Box::pin(async move {
                for _ in 0..pause {
                    yield_now().await;
                }
            })
        }),
        cancel: Box::new(move |chosen| others.cancel(chosen)),
        joined: Box::new(move || drop(announce.unbounded_send(()))),
        log: Mutex::default(),
        shelf: Mutex::default(),
    });

    let (alive, mut done) = unbounded::<()>();
    let mut handles = Vec::new();
    for (member, fate) in plan.fates.iter().enumerate() {
        let (life, abort) = abortable(live(Arc::clone(&stage), member, *fate));
        let alive = alive.clone();
        // A scripted panic ends here, and not in the executor.
        let life = std::panic::AssertUnwindSafe(life).catch_unwind().map(move |_| drop(alive));
        handles.push(abort);
        spawn(Box::pin(life));
    }
    drop(alive);
    assert!(crowd.handles.set(handles).is_ok());
    assert_eq!(joined.take(plan.fates.len()).count().await, plan.fates.len());
    plan.early.iter().for_each(|chosen| crowd.cancel(*chosen));
    let call = handle.next().await;
    if plan.fails {
        call.fail(RefreshError::misconfigured("scripted"));
    } else {
        call.answer(numbered(1));
    }
    plan.late.iter().for_each(|chosen| crowd.cancel(*chosen));
    assert_eq!(done.next().await, None);

    check(&plan, &stage, &crowd, stuck);
    assert_eq!(handle.calls(), 1);
}

fn check(plan: &Plan, stage: &Stage, crowd: &Crowd, stuck: bool) {
    let log = stage.log.lock().unwrap();
    let cancelled = crowd.cancelled.lock().unwrap();
    for (member, fate) in plan.fates.iter().enumerate() {
        let report = &log.members[&member];
        let gone = cancelled.contains(&member) || fate.is_stuck();
        match report.outcome {
            None => assert!(gone, "{member}, {fate:?}, has not settled"),
            Some(Outcome::Left) => assert_eq!(*fate, Fate::DroppedWhenWoken),
            Some(Outcome::Turn(place)) => assert!(!plan.fails && place.is_some(), "{report:?}"),
            Some(Outcome::Failed(_)) => assert!(plan.fails, "{report:?}"),
        }
        assert!(report.polls <= 2, "{member}, {fate:?}: {report:?}");
    }
    if !stuck {
        let starts = &log.starts;
        assert!(starts.iter().all(|start| start.alone), "one start at a time: {starts:?}");
        assert!(starts.is_sorted_by(|one, next| one.ticket < next.ticket), "out of order: {starts:?}");
    }
}

/// Runs what waits for real threads: a case that hangs fails, long after any that works has ended.
fn in_time(test: impl FnOnce(&dyn Fn(&Plan)) + Send + 'static) {
    let at = Arc::new(Mutex::new(None));
    let (done, wait) = mpsc::channel();
    let case = Arc::clone(&at);
    let thread = std::thread::spawn(move || {
        // Told by being dropped, also where it panics.
        let _done = done;
        test(&|plan| *case.lock().unwrap() = Some(plan.clone()));
    });
    let hangs = wait.recv_timeout(Duration::from_secs(120)) == Err::<(), _>(mpsc::RecvTimeoutError::Timeout);
    assert!(!hangs, "this hangs: {:?}", at.lock().unwrap());
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run(cases: u32, begin: &dyn Fn(&Plan), block_on: &dyn Fn(BoxFuture<'_, ()>), spawn: &Spawn) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    for stuck in [0, 1] {
        let outcome = TestRunner::new(config.clone()).run(&plan(stuck), |plan| {
            begin(&plan);
            block_on(Box::pin(play(Arc::clone(spawn), plan)));
            Ok(())
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(why, plan)) => panic!("{why}: {plan:?}"),
            Err(TestError::Abort(why)) => panic!("{why}"),
        }
    }
}

fn on_tokio(runtime: &tokio::runtime::Runtime) -> Spawn {
    let handle = runtime.handle().clone();
    Arc::new(move |task| drop(handle.spawn(task)))
}

#[test]
fn the_promises_hold_on_a_current_thread_runtime() {
    in_time(|begin| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        run(60, begin, &|case| runtime.block_on(case), &on_tokio(&runtime));
    });
}

#[test]
fn the_promises_hold_on_a_multi_thread_runtime() {
    in_time(|begin| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        run(80, begin, &|case| runtime.block_on(case), &on_tokio(&runtime));
    });
}

#[test]
fn the_promises_hold_on_smol() {
    in_time(|begin| {
        let executor = Arc::new(smol::Executor::new());
        let (stop, stopped) = smol::channel::unbounded::<()>();
        std::thread::scope(|scope| {
            // Moved in: dropped where a case fails, so that the threads end.
            let _stop = stop;
            for _ in 0..3 {
                scope.spawn(|| smol::block_on(executor.run(stopped.recv())));
            }
            let spawn: Spawn = {
                let executor = Arc::clone(&executor);
                Arc::new(move |task| executor.spawn(task).detach())
            };
            run(60, begin, &|case| smol::block_on(case), &spawn);
        });
    });
}
