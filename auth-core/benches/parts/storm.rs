//! The storm: N requests are rejected, wait for one refresh, and start again in order.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use auth_core::{RefreshError, Session, Stamp, Tokens, refresher_fn};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::{Tokio, best};

#[derive(Clone, Copy, Debug)]
pub enum Threads {
    One,
    Two,
}

/// Nanoseconds a waiter, the best of the rounds, from the end of the refresh to the last one's start; and what went wrong.
pub struct Storm {
    pub ours: f64,
    pub floor: f64,
    pub polls: f64,
    pub out_of_order: u64,
}

pub fn measure(threads: Threads, size: usize, rounds: usize) -> Storm {
    let runtime = runtime(threads);
    let mut storm = Storm { ours: f64::MAX, floor: f64::MAX, polls: 0.0, out_of_order: 0 };
    for _ in 0..rounds {
        let round = runtime.block_on(ours(size));
        storm.ours = best(storm.ours, round.ns);
        storm.polls = storm.polls.max(round.polls);
        storm.out_of_order += round.out_of_order;
        storm.floor = best(storm.floor, runtime.block_on(floor(size)));
    }
    storm
}

/// How much more a waiter of many costs than one of few, on one thread.
pub fn growth(few: usize, many: usize, rounds: usize) -> f64 {
    let runtime = runtime(Threads::One);
    let (mut of_few, mut of_many) = (f64::MAX, f64::MAX);
    for _ in 0..rounds {
        for _ in 0..(many / few).min(20) {
            of_few = best(of_few, runtime.block_on(ours(few)).ns);
        }
        of_many = best(of_many, runtime.block_on(ours(many)).ns);
    }
    of_many / of_few
}

/// What is alive for each waiter while they wait: the future and its slot in the queue.
pub fn bytes_per_waiter(size: usize) -> f64 {
    let runtime = runtime(Threads::One);
    runtime.block_on(async {
        let (session, stamp, _gate) = signed_in(Arc::default()).await;
        let session = &*Box::leak(Box::new(session));
        let mut all: Vec<Pin<Box<_>>> = Vec::with_capacity(size);
        let mut cx = Context::from_waker(Waker::noop());
        let counted = allocation_counter::measure(|| {
            for _ in 0..size {
                let mut waiter = Box::pin(session.recover(stamp));
                assert!(waiter.as_mut().poll(&mut cx).is_pending());
                all.push(waiter);
            }
        });
        counted.bytes_current as f64 / size as f64
    })
}

/// One storm.
pub struct Round {
    pub ns: f64,
    pub polls: f64,
    pub out_of_order: u64,
}

pub fn runtime(threads: Threads) -> Runtime {
    match threads {
        Threads::One => Builder::new_current_thread().enable_all().build().unwrap(),
        Threads::Two => Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    }
}

/// Opens the refresh, and says when it ended.
#[derive(Default)]
struct Gate {
    open: tokio::sync::Notify,
    ended: Mutex<Option<Instant>>,
}

/// A session, the stamp that all its requests carry, and the gate that its refresh waits behind.
async fn signed_in(gate: Arc<Gate>) -> (Session, Stamp, Arc<Gate>) {
    let refresher = {
        let gate = Arc::clone(&gate);
        refresher_fn(move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.open.notified().await;
                let tokens = Tokens::new("T1").map_err(RefreshError::unavailable)?.with_refresh_token("R1");
                *gate.ended.lock().unwrap() = Some(Instant::now());
                Ok(tokens)
            }
        })
    };
    let session = Session::builder(refresher).runtime(Tokio::new()).max_waiters(usize::MAX).build();
    session.sign_in(Tokens::new("T0").unwrap().with_refresh_token("R0")).await.unwrap();
    let stamp = session.lease().await.unwrap().stamp();
    (session, stamp, gate)
}

/// What the tasks of a round share, on every side.
pub struct Tasks<T> {
    pub what: T,
    pub queued: AtomicUsize,
    started: AtomicU64,
    pub out_of_order: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl<T> Tasks<T> {
    pub fn new(what: T) -> Arc<Self> {
        Arc::new(Self {
            what,
            queued: AtomicUsize::new(0),
            started: AtomicU64::new(0),
            out_of_order: AtomicU64::new(0),
            last: Mutex::default(),
        })
    }

    /// The next of so many starts; its number.
    pub fn start(&self, size: usize) -> u64 {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        if number + 1 == size as u64 {
            *self.last.lock().unwrap() = Some(Instant::now());
        }
        number
    }

    pub async fn when_all_wait(&self, size: usize) {
        while self.queued.load(Ordering::Relaxed) < size {
            tokio::task::yield_now().await;
        }
    }

    /// From there to the last one's start.
    pub fn round(&self, ended: Instant, polls: u64, size: usize) -> Round {
        Round {
            ns: self.since(ended, size),
            polls: polls as f64 / size as f64,
            out_of_order: self.out_of_order.load(Ordering::Relaxed),
        }
    }

    /// Nanoseconds a waiter.
    fn since(&self, ended: Instant, size: usize) -> f64 {
        let last = self.last.lock().unwrap().unwrap();
        last.duration_since(ended).as_nanos() as f64 / size as f64
    }
}

/// How often they were polled, all together.
pub async fn join(tasks: Vec<JoinHandle<u32>>) -> u64 {
    let mut polls = 0;
    for task in tasks {
        polls += u64::from(task.await.unwrap());
    }
    polls
}

/// Counts the polls of it, and tells when it has begun to wait.
pub async fn counted<F: Future>(mut future: Pin<&mut F>, queued: &AtomicUsize) -> (F::Output, u32) {
    let mut polls = 0;
    let output = poll_fn(|cx| {
        polls += 1;
        let polled = future.as_mut().poll(cx);
        if polls == 1 {
            queued.fetch_add(1, Ordering::Relaxed);
        }
        polled
    });
    (output.await, polls)
}

/// This crate.
pub async fn ours(size: usize) -> Round {
    let (session, stamp, gate) = signed_in(Arc::default()).await;
    let all = Tasks::new(session);
    let mut tasks = Vec::with_capacity(size);
    for _ in 0..size {
        let all = Arc::clone(&all);
        tasks.push(tokio::spawn(async move {
            let (turn, polls) = counted(pin!(all.what.recover(stamp)), &all.queued).await;
            let turn = turn.unwrap();
            let ticket = turn.ticket().unwrap();
            let start = async {
                if all.start(size) != ticket {
                    all.out_of_order.fetch_add(1, Ordering::Relaxed);
                }
            };
            turn.start(start).await;
            polls
        }));
    }
    all.when_all_wait(size).await;
    gate.open.notify_one();
    let polls = join(tasks).await;
    let ended = gate.ended.lock().unwrap().unwrap();
    all.round(ended, polls, size)
}

/// What the machine can do: each waits on a slot of its own, and all are woken, in no order.
pub async fn floor(size: usize) -> f64 {
    let slots: Vec<Slot> = (0..size).map(|_| Slot::default()).collect();
    let all = Tasks::new(slots);
    let mut tasks = Vec::with_capacity(size);
    for at in 0..size {
        let all = Arc::clone(&all);
        tasks.push(tokio::spawn(async move {
            poll_fn(|cx| all.what[at].poll(cx, &all.queued)).await;
            all.start(size);
        }));
    }
    all.when_all_wait(size).await;
    // From a task of the runtime, as the refresh is.
    let waking = Arc::clone(&all);
    let ended = tokio::spawn(async move {
        let ended = Instant::now();
        waking.what.iter().for_each(Slot::wake);
        ended
    });
    let ended = ended.await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    all.since(ended, size)
}

#[derive(Default)]
struct Slot(Mutex<(bool, Option<Waker>)>);

impl Slot {
    fn poll(&self, cx: &Context<'_>, queued: &AtomicUsize) -> Poll<()> {
        let mut slot = self.0.lock().unwrap();
        if slot.0 {
            return Poll::Ready(());
        }
        slot.1 = Some(cx.waker().clone());
        queued.fetch_add(1, Ordering::Relaxed);
        Poll::Pending
    }

    fn wake(&self) {
        let waker = {
            let mut slot = self.0.lock().unwrap();
            slot.0 = true;
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
