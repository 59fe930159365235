//! Executors: the same promises without a runtime, on one thread and on several.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use auth_core::{Attempt, AuthClient, Body, BoxFuture, Error, Runtime, Session, StandaloneRuntime};
use auth_testkit::{
    RefresherHandle, ScriptedRefresher, ScriptedTransport, TransportHandle, numbered, response,
};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::{AbortHandle, Aborted, abortable, join_all};
use futures::task::noop_waker_ref;
use futures::{FutureExt as _, StreamExt as _};
use http::{Request, Response};

use crate::world::ORIGIN;

/// Runs a test that waits for real threads: one that hangs fails, long after any that works has ended.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // Told by being dropped, also where it panics.
        let _done = done;
        test();
    });
    let hangs = wait.recv_timeout(Duration::from_secs(120)) == Err::<(), _>(mpsc::RecvTimeoutError::Timeout);
    assert!(!hangs, "it hangs");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

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

fn fresh_only(request: &Request<Body>) -> Response<Body> {
    let fresh = request.headers().get("authorization").is_some_and(|value| value == "Bearer T1");
    response(if fresh { 200 } else { 401 })
}

/// A session and a client on an executor; the API takes T1 and rejects everything else.
#[derive(Clone)]
struct Rig {
    session: Session,
    client: AuthClient<ScriptedTransport>,
    refresher: RefresherHandle,
    api: TransportHandle,
}

impl Rig {
    /// A patience that a busy machine does not use up: order is what is looked at, or is not.
    fn new(runtime: impl Runtime, patience: Duration) -> Self {
        let (refresher, refresher_handle) = ScriptedRefresher::new();
        let (transport, api) = ScriptedTransport::new();
        api.answer_with(fresh_only);
        let session = Session::builder(refresher).runtime(runtime).patience(patience).build();
        let client = AuthClient::builder(transport, session.clone()).origin(ORIGIN).build().unwrap();
        Self { session, client, refresher: refresher_handle, api }
    }

    async fn get(self, path: String) -> Result<Response<Body>, Error> {
        self.client.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// The tickets of the replays, in the order of the first polls of their transport's futures.
    fn tickets(&self) -> Vec<u64> {
        let ticket = |sent: &auth_testkit::Sent| sent.extensions.get::<Attempt>().unwrap().ticket;
        self.api.log().iter().filter_map(ticket).collect()
    }
}

const FOR_EVER: Duration = Duration::from_secs(3_600);
const WAITERS: usize = 600;

pin_project_lite::pin_project! {
    /// Says when its future's first and second poll have returned: by the first the request was sent, by the second it has
    /// its 401 and waits in line.
    struct Announced<F> {
        polls: u32,
        progress: UnboundedSender<()>,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Announced<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.future.poll(cx);
        *this.polls += 1;
        if *this.polls <= 2 {
            assert!(polled.is_pending(), "there is no T1 yet");
            let _ = this.progress.unbounded_send(());
        }
        polled
    }
}

type Outcome = Result<Result<Response<Body>, Error>, Aborted>;

/// Many requests in tasks of their own, all sent, rejected in some order, and in line for one refresh.
async fn storm(rig: &Rig, spawn: &Spawn, seed: usize) -> (Vec<AbortHandle>, Vec<UnboundedReceiver<Outcome>>) {
    let (progress, mut polls) = unbounded();
    let mut aborts = Vec::new();
    let mut outcomes = Vec::new();
    rig.api.answer_by_hand();
    for n in 0..WAITERS {
        let (request, abort) = abortable(rig.clone().get(format!("/{n}")));
        let (done, outcome) = unbounded();
        let announced = Announced { polls: 0, progress: progress.clone(), future: request };
        spawn(Box::pin(announced.map(move |outcome| drop(done.unbounded_send(outcome)))));
        aborts.push(abort);
        outcomes.push(outcome);
    }
    // Nobody is answered within the first poll of its request.
    assert_eq!(polls.by_ref().take(WAITERS).count().await, WAITERS);
    let mut sent: Vec<_> = std::iter::from_fn(|| rig.api.try_next()).collect();
    assert_eq!(sent.len(), WAITERS);
    rig.api.answer_with(fresh_only);
    while !sent.is_empty() {
        sent.swap_remove((sent.len() / 3 + seed * 17) % sent.len()).respond(401);
    }
    assert_eq!(polls.take(WAITERS).count().await, WAITERS);
    (aborts, outcomes)
}

/// Many hundred waiters, a part of which is cancelled before and while the queue drains.
async fn replays_in_order(spawn: Spawn, seed: usize) {
    let rig = Rig::new(On(Arc::clone(&spawn)), FOR_EVER);
    rig.session.sign_in(numbered(0)).await.unwrap();
    let (aborts, outcomes) = storm(&rig, &spawn, seed).await;
    let cancelled = |n: usize, every: usize| (n * 31 + seed).is_multiple_of(every);

    aborts.iter().enumerate().filter(|(n, _)| cancelled(*n, 7)).for_each(|(_, abort)| abort.abort());
    rig.refresher.next().await.answer(numbered(1));
    aborts.iter().enumerate().filter(|(n, _)| cancelled(*n, 11)).for_each(|(_, abort)| abort.abort());
    let outcomes =
        join_all(outcomes.into_iter().map(|mut outcome| async move { outcome.next().await })).await;

    let mut served = 0;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome.expect("it has settled") {
            Ok(answer) => {
                assert_eq!(answer.unwrap().status(), 200, "seed {seed}: request {n}");
                served += 1;
            }
            Err(Aborted) => assert!(cancelled(n, 7) || cancelled(n, 11), "seed {seed}: request {n}"),
        }
    }
    let tickets = rig.tickets();
    assert!(tickets.is_sorted_by(|one, next| one < next), "seed {seed}: {tickets:?}");
    assert_eq!(rig.api.calls(), WAITERS + tickets.len(), "seed {seed}: all waited in line");
    assert!(rig.api.log()[WAITERS..].iter().all(|sent| sent.bearer() == Some("T1")));
    assert!(served >= WAITERS / 2 && tickets.len() >= served, "{served} of {}", tickets.len());
    assert_eq!(rig.refresher.presented(), ["R0"]);
}

fn on_tokio(runtime: &tokio::runtime::Runtime) -> Spawn {
    let handle = runtime.handle().clone();
    Arc::new(move |task| drop(handle.spawn(task)))
}

/// C4: Replays start in ticket order on a runtime of one thread, with some of them cancelled.
#[test]
fn replays_start_in_order_on_a_current_thread_runtime() {
    in_time(|| {
        for seed in 0..5 {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(replays_in_order(on_tokio(&runtime), seed));
        }
    });
}

/// C4: And on one of several threads, where who is woken next runs at once, beside who woke it.
#[test]
fn replays_start_in_order_on_a_multi_thread_runtime() {
    in_time(|| {
        for seed in 0..10 {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
            runtime.block_on(replays_in_order(on_tokio(&runtime), seed));
        }
    });
}

/// C4: And on smol, driven by several threads.
#[test]
fn replays_start_in_order_on_smol() {
    in_time(|| {
        for seed in 0..5 {
            let executor = Arc::new(smol::Executor::new());
            let (stop, stopped) = smol::channel::unbounded::<()>();
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (executor, stopped) = (Arc::clone(&executor), stopped.clone());
                    std::thread::spawn(move || smol::block_on(executor.run(stopped.recv())))
                })
                .collect();
            let spawn: Spawn = {
                let executor = Arc::clone(&executor);
                Arc::new(move |task| executor.spawn(task).detach())
            };
            smol::block_on(replays_in_order(spawn, seed));
            drop(stop);
            for thread in threads {
                assert!(thread.join().unwrap().is_err(), "it was told to stop");
            }
        }
    });
}

/// A whole flow, on whatever polls it: rejected, refreshed, replayed, and a forced refresh beside it.
async fn whole_flow(rig: Rig) {
    rig.session.sign_in(numbered(0)).await.unwrap();
    let requests = join_all((0..3).map(|n| rig.clone().get(format!("/{n}"))));
    let forced = rig.session.refresh(None);
    let endpoint = async { rig.refresher.next().await.answer(numbered(1)) };

    let (answers, forced, ()) = futures::join!(requests, forced, endpoint);

    assert!(answers.into_iter().all(|answer| answer.unwrap().status() == 200));
    assert_eq!(forced.unwrap().header().1, "Bearer T1");
    let bearers: Vec<_> = rig.api.log().iter().map(|sent| sent.bearer().unwrap().to_owned()).collect();
    assert_eq!(bearers, ["T0", "T1", "T1", "T1"], "the others waited before they were sent");
    assert_eq!(rig.tickets(), [0, 1, 2]);
    assert_eq!(rig.refresher.presented(), ["R0"]);
    assert_eq!(rig.session.access_token(Duration::ZERO).await.unwrap().reveal(), "T1");
    rig.session.sign_out().await.unwrap();
}

/// Q1: No async runtime anywhere: the whole flow under a bare `block_on`.
#[test]
fn a_whole_flow_without_a_runtime() {
    in_time(|| futures::executor::block_on(whole_flow(Rig::new(StandaloneRuntime::new(), FOR_EVER))));
}

/// Q1: The whole flow on smol, with the session's tasks on the runtime that it has by default.
#[test]
fn a_whole_flow_on_smol() {
    in_time(|| smol::block_on(whole_flow(Rig::new(StandaloneRuntime::new(), FOR_EVER))));
}

/// Q1: The whole flow on smol, with the session's tasks there too.
#[test]
fn a_whole_flow_with_its_tasks_on_smol() {
    in_time(|| {
        let spawn: Spawn = Arc::new(|task| smol::spawn(task).detach());
        smol::block_on(whole_flow(Rig::new(On(spawn), FOR_EVER)));
    });
}

/// Q1: Requests on threads of their own, each under its own `block_on`.
#[test]
fn threads_that_share_nothing_but_the_session() {
    in_time(|| {
        let rig = Rig::new(StandaloneRuntime::new(), FOR_EVER);
        futures::executor::block_on(rig.session.sign_in(numbered(0))).unwrap();
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let request = rig.clone().get(format!("/{n}"));
                std::thread::spawn(move || futures::executor::block_on(request).unwrap().status())
            })
            .collect();

        futures::executor::block_on(rig.refresher.next()).answer(numbered(1));

        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 200));
        assert_eq!(rig.refresher.presented(), ["R0"]);
        assert!(rig.tickets().is_sorted_by(|one, next| one < next));
    });
}

/// Q2: A waiter that was polled once and then leaked does not stop the others, whatever runs them.
#[test]
fn a_forgotten_waiter_stops_nobody() {
    in_time(|| {
        let spawn: Spawn = Arc::new(|task| smol::spawn(task).detach());
        for (name, runtime) in [
            ("standalone", Arc::new(StandaloneRuntime::new()) as Arc<dyn Runtime>),
            ("smol", Arc::new(On(spawn))),
        ] {
            let rig = Rig::new(runtime, Duration::from_millis(20));
            futures::executor::block_on(rig.session.sign_in(numbered(0))).unwrap();
            let mut forgotten = Box::pin(rig.clone().get("/forgotten".to_owned()));
            assert!(forgotten.as_mut().poll(&mut Context::from_waker(noop_waker_ref())).is_pending());
            std::mem::forget(forgotten);
            let requests = join_all((0..20).map(|n| rig.clone().get(format!("/{n}"))));
            let endpoint = async { rig.refresher.next().await.answer(numbered(1)) };
            let begin = Instant::now();

            let (answers, ()) = futures::executor::block_on(async { futures::join!(requests, endpoint) });

            assert!(answers.into_iter().all(|answer| answer.unwrap().status() == 200), "{name}");
            assert!(
                begin.elapsed() >= Duration::from_millis(10),
                "{name}: it was ahead of them, and waited for"
            );
            assert!(
                rig.api.log().iter().filter(|sent| sent.uri.path() == "/forgotten").count() == 1,
                "{name}"
            );
            assert_eq!(rig.refresher.presented(), ["R0"], "{name}");
        }
    });
}
