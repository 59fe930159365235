//! The fast path's costs, counted. A binary of its own, because `allocation_counter` brings the allocator that counts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use allocation_counter::measure;
use auth_core::{
    Bearer, BoxFuture, InvalidToken, Runtime, Scheme, Session, StandaloneRuntime, TokenHeader, Tokens, Turn,
};
use auth_testkit::{ScriptedRefresher, numbered};
use futures::executor::block_on;
use http::{HeaderName, HeaderValue};

/// A clock that stands still, on tasks that run; it counts how often it is asked for what.
#[derive(Clone, Default)]
struct Counting {
    clock_reads: Arc<AtomicUsize>,
    others: Arc<AtomicUsize>,
    spawned: Arc<AtomicUsize>,
}

impl Counting {
    fn clock_reads(&self) -> usize {
        self.clock_reads.load(Ordering::SeqCst)
    }

    /// Everything but the monotonic clock.
    fn others(&self) -> usize {
        self.others.load(Ordering::SeqCst)
    }
}

impl Runtime for Counting {
    fn now(&self) -> SystemTime {
        self.others.fetch_add(1, Ordering::SeqCst);
        SystemTime::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        self.clock_reads.fetch_add(1, Ordering::SeqCst);
        Duration::from_secs(1000)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.others.fetch_add(1, Ordering::SeqCst);
        StandaloneRuntime::new().sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.others.fetch_add(1, Ordering::SeqCst);
        self.spawned.fetch_add(1, Ordering::SeqCst);
        StandaloneRuntime::new().spawn(task);
    }

    fn random(&self) -> u64 {
        self.others.fetch_add(1, Ordering::SeqCst);
        4
    }
}

/// `Bearer`, counting how often the header's text is made.
#[derive(Clone, Default)]
struct Preparing(Arc<AtomicUsize>);

impl Scheme for Preparing {
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Bearer.prepare(tokens)
    }
}

/// The lease, which is there at the first poll.
fn lease_now(session: &Session) -> Turn {
    let mut lease = pin!(session.lease());
    match lease.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(lease) => lease.unwrap(),
        Poll::Pending => panic!("a fresh lease does not wait"),
    }
}

fn signed_in(runtime: Counting, scheme: impl Scheme, tokens: Tokens) -> Session {
    let (refresher, _) = ScriptedRefresher::new();
    let session = Session::builder(refresher).runtime(runtime).scheme(scheme).build();
    block_on(session.sign_in(tokens)).unwrap();
    session
}

/// A12: a fresh lease is had without a single allocation, however often, and given back without freeing anything.
#[test]
fn a_fresh_lease_allocates_nothing() {
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(3600);
    let session = signed_in(Counting::default(), Bearer, numbered(0).with_expires_at(expires));
    // The thread's copy of the header is made when it is first used.
    drop((lease_now(&session), lease_now(&session)));

    let mut matched = 0;
    let counted = measure(|| {
        for _ in 0..1000 {
            let turn = lease_now(&session);
            matched += usize::from(turn.header().1.as_bytes() == b"Bearer T0" && turn.ticket().is_none());
        }
    });

    assert_eq!(matched, 1000);
    assert_eq!((counted.count_total, counted.count_current, counted.bytes_total), (0, 0, 0));
}

/// A12: the same for a header of another name, which is no constant of the `http` crate.
#[test]
fn a_fresh_lease_in_another_header_allocates_nothing() {
    let scheme = TokenHeader::new(HeaderName::from_static("x-api-token")).with_prefix("Token ");
    let session = signed_in(Counting::default(), scheme, numbered(0));
    drop((lease_now(&session), lease_now(&session)));

    let mut matched = 0;
    let counted = measure(|| {
        for _ in 0..1000 {
            matched += usize::from(lease_now(&session).header().1.as_bytes() == b"Token T0");
        }
    });

    assert_eq!(matched, 1000);
    assert_eq!((counted.count_total, counted.count_current), (0, 0));
}

/// A12: a long token costs a lease nothing either: its text is never copied nor formatted, once a thread has it.
#[test]
fn the_length_of_a_token_does_not_matter() {
    let text = "t".repeat(32 * 1024);
    let session = signed_in(Counting::default(), Bearer, Tokens::new(text).unwrap());
    drop((lease_now(&session), lease_now(&session)));

    let mut length = 0;
    let counted = measure(|| length = lease_now(&session).header().1.len());

    assert_eq!(length, "Bearer ".len() + 32 * 1024);
    assert_eq!(counted.bytes_total, 0);
}

/// A12: the header is made once a generation, not once a request; a lease reads the clock once, and asks the runtime for
/// nothing else.
#[test]
fn a_fresh_lease_reads_the_clock_once_and_formats_nothing() {
    let (runtime, scheme) = (Counting::default(), Preparing::default());
    let session = signed_in(runtime.clone(), scheme.clone(), numbered(0));
    let (reads, others) = (runtime.clock_reads(), runtime.others());

    for _ in 0..100 {
        drop(lease_now(&session));
    }

    assert_eq!(runtime.clock_reads() - reads, 100);
    assert_eq!(runtime.others(), others);
    assert_eq!(scheme.0.load(Ordering::SeqCst), 1);
}

/// Where nobody listens no event is kept, and none delivered; with the feature `tracing` as well, as long as there is no
/// subscriber.
#[test]
fn nobody_listens_and_nothing_is_delivered() {
    let runtime = Counting::default();

    let session = signed_in(runtime.clone(), Bearer, numbered(0));

    assert_eq!(runtime.spawned.load(Ordering::SeqCst), 1, "the write of the store, and nothing else");
    drop(session);
}

/// A12: the counter counts. Without this, the tests above would pass with an allocator that nobody installed.
#[test]
fn an_allocation_is_seen() {
    let counted = measure(|| drop(std::hint::black_box(Box::new(1_u64))));

    assert_eq!((counted.count_total, counted.count_current), (1, 0));
}

/// A queue holds one of these for each of its waiters: with its slot of 32 bytes, at most 160 bytes a waiter.
#[test]
fn a_waiter_is_small() {
    let session = signed_in(Counting::default(), Bearer, numbered(0));
    let stamp = lease_now(&session).stamp();

    assert!(size_of_val(&session.recover(stamp)) <= 128, "{}", size_of_val(&session.recover(stamp)));
}
