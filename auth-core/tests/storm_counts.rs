//! A storm's costs, counted: polls, wake-ups and allocations of a thousand waiters. Counts do not depend on the machine's mood. A
//! binary of its own, because `allocation_counter` brings the allocator that counts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use allocation_counter::measure;
use auth_core::{
    AuthClient, Body, Challenge, ChallengePolicy, Error, RefreshError, Session, Stamp, Transport,
    TransportError, Turn, async_trait,
};
use auth_testkit::{ManualRuntime, RefresherHandle, ScriptedRefresher, numbered};
use http::{Request, Response, response};

const N: usize = 1_000;

/// A waiter's waker: it notes its number.
struct Noting {
    number: usize,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Noting {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push(self.number);
    }
}

type Waiter<'a> = Pin<Box<dyn Future<Output = Result<Turn, Error>> + 'a>>;

/// Requests whose token was rejected, in the order in which they joined.
struct Storm<'a> {
    waiters: Vec<Waiter<'a>>,
    wakers: Vec<Waker>,
    woken: Arc<Mutex<Vec<usize>>>,
    polls: usize,
}

impl<'a> Storm<'a> {
    fn new(session: &'a Session, stamp: Stamp) -> Self {
        let woken = Arc::new(Mutex::new(Vec::with_capacity(N)));
        let waker = |number| {
            let noting = Noting { number, woken: Arc::clone(&woken) };
            Waker::from(Arc::new(noting))
        };
        let wakers = (0..N).map(waker).collect();
        let waiters = (0..N).map(|_| Box::pin(session.recover(stamp)) as _).collect();
        Self { waiters, wakers, woken, polls: 0 }
    }

    fn poll(&mut self, number: usize) -> Poll<Result<Turn, Error>> {
        self.polls += 1;
        self.waiters[number].as_mut().poll(&mut Context::from_waker(&self.wakers[number]))
    }

    fn join(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            assert!(self.poll(number).is_pending());
        }
    }

    /// Polls who was woken, in the order of that, until nobody is any more: what each got, in this order.
    fn drain(&mut self, mut each: impl FnMut(usize, Result<Turn, Error>)) -> usize {
        let mut at = 0;
        loop {
            let next = self.woken.lock().unwrap().get(at).copied();
            let Some(number) = next else { return at };
            at += 1;
            if let Poll::Ready(got) = self.poll(number) {
                each(number, got);
            }
        }
    }
}

/// A session whose token T0 has been rejected, and what answers its refresh.
fn signed_in() -> (ManualRuntime, RefresherHandle, Session, Stamp) {
    let runtime = ManualRuntime::new();
    let (refresher, handle) = ScriptedRefresher::new();
    let session = Session::builder(refresher).runtime(runtime.clone()).max_waiters(N).build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    let stamp = runtime.block_on(session.lease()).unwrap().stamp();
    (runtime, handle, session, stamp)
}

/// A12: joining a flight allocates nothing but the queue's own space, which doubles; two polls and one wake-up a waiter; no
/// allocation from the first start to the last.
#[test]
fn a_storm_costs_two_polls_and_one_wake_up_a_waiter_and_no_allocation() {
    let (runtime, refresher, session, stamp) = signed_in();
    let mut storm = Storm::new(&session, stamp);
    storm.join(0..1);
    runtime.run_until_stalled();

    let joined = measure(|| storm.join(1..N));

    assert!(joined.count_total <= 10, "{} allocations for {N} waiters", joined.count_total);
    assert!(storm.woken.lock().unwrap().is_empty());
    refresher.try_next().unwrap().answer(numbered(1));
    runtime.run_until_stalled();
    assert_eq!(*storm.woken.lock().unwrap(), [0], "the first has the baton");

    let (mut in_order, mut wake_ups) = (0, 0);
    let drained = measure(|| {
        wake_ups = storm.drain(|number, turn| {
            let turn = turn.unwrap();
            in_order += usize::from(in_order == number && turn.ticket() == Some(number as u64));
        });
    });

    assert_eq!((in_order, wake_ups, storm.polls), (N, N, 2 * N));
    assert_eq!(drained.count_total, 0);
    assert_eq!(refresher.calls(), 1);
}

/// A12: when the refresh fails, as well: each is woken once, and gets the one error without a copy of it.
#[test]
fn a_storm_that_fails_costs_two_polls_and_one_wake_up_a_waiter_and_no_allocation() {
    let (runtime, refresher, session, stamp) = signed_in();
    let mut storm = Storm::new(&session, stamp);
    storm.join(0..N);
    runtime.run_until_stalled();
    refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    runtime.run_until_stalled();

    let (mut failed, mut wake_ups) = (0, 0);
    let drained = measure(|| wake_ups = storm.drain(|_, turn| failed += usize::from(turn.is_err())));

    assert_eq!((failed, wake_ups, storm.polls), (N, N, 2 * N));
    assert_eq!(drained.count_total, 0);
}

/// As much of a body as is ever looked at.
static PAGE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Answers with a page, at the second poll.
struct Pages;

#[async_trait]
impl Transport for Pages {
    async fn send(&self, _: Request<Body>) -> Result<Response<Body>, TransportError> {
        futures::pending!();
        Ok(Response::new(Body::from(bytes::Bytes::from_static(&PAGE))))
    }
}

/// Looks at the whole page, which says that the token has expired.
struct Looking;

impl ChallengePolicy for Looking {
    fn peek(&self, _: &response::Parts) -> usize {
        PAGE.len()
    }

    fn challenge(&self, _: &response::Parts, peeked: &[u8]) -> Challenge {
        assert_eq!(peeked.len(), PAGE.len());
        Challenge::Expired
    }
}

/// B6: what was looked at in a body is not kept while its request waits.
#[test]
fn a_waiter_keeps_nothing_of_the_body_that_was_looked_at() {
    let runtime = ManualRuntime::new();
    let (refresher, _refresher) = ScriptedRefresher::new();
    let session = Session::builder(refresher).runtime(runtime.clone()).build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    let client = AuthClient::builder(Pages, session).origin("https://a").challenges(Looking).build().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut waiting = Vec::with_capacity(N);

    let counted = measure(|| {
        for _ in 0..N {
            let request = Request::get("/page").body(Body::empty()).unwrap();
            let mut sent = Box::pin(client.send(request));
            assert!(sent.as_mut().poll(&mut cx).is_pending());
            waiting.push(sent);
        }
        for sent in &mut waiting {
            assert!(sent.as_mut().poll(&mut cx).is_pending());
        }
    });

    let each = usize::try_from(counted.bytes_current).unwrap() / N;
    assert!(each < PAGE.len() / 8, "{each} bytes a waiter");
}
