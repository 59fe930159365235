//! The fast path: a fresh lease, and its header on a request.

use std::hint::black_box;
use std::pin::pin;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use auth_core::{Session, StandaloneRuntime, Tokens};
use auth_testkit::ScriptedRefresher;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::best;

/// Nanoseconds each, the best of the rounds.
pub struct Fast {
    pub one: f64,
    pub two: f64,
    pub floor: f64,
    pub clock: f64,
    pub mutex_and_format: f64,
    pub allocations: u64,
}

pub fn measure(rounds: usize, each: u32) -> Fast {
    let session = session();
    let local = HeaderValue::try_from(format!("Bearer {}", text())).unwrap();
    let start = Instant::now();
    let mutex = Mutex::new(Some(text()));
    let mut headers = HeaderMap::with_capacity(8);
    let mut fast = Fast {
        one: f64::MAX,
        two: f64::MAX,
        floor: f64::MAX,
        clock: f64::MAX,
        mutex_and_format: f64::MAX,
        allocations: 0,
    };
    take(&session, &mut headers);
    for _ in 0..rounds {
        fast.one = best(fast.one, time(each, || take(&session, &mut headers)));
        let floor = || {
            black_box(start.elapsed());
            headers.insert(AUTHORIZATION, local.clone());
        };
        fast.floor = best(fast.floor, time(each, floor));
        fast.clock = best(fast.clock, time(each, || _ = black_box(start.elapsed())));
        let by_hand = || {
            let token = mutex.lock().unwrap();
            let value = HeaderValue::try_from(format!("Bearer {}", token.as_deref().unwrap())).unwrap();
            headers.insert(AUTHORIZATION, value);
        };
        fast.mutex_and_format = best(fast.mutex_and_format, time(each, by_hand));
        fast.two = best(fast.two, on_two_threads(&session, each));
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            take(&session, &mut headers);
        }
    });
    fast.allocations = counted.count_total;
    fast
}

fn text() -> String {
    "t".repeat(1024 - "Bearer ".len())
}

/// A session whose token expires in an hour: its expiry is judged each time.
fn session() -> Session {
    let session = Session::builder(ScriptedRefresher::new().0).runtime(StandaloneRuntime::new()).build();
    let tokens = Tokens::new(text()).unwrap().with_refresh_token("R0");
    let tokens = tokens.with_expires_in(Duration::from_secs(3600), SystemTime::now());
    futures::executor::block_on(session.sign_in(tokens)).unwrap();
    session
}

/// What a client does with a fresh lease.
fn take(session: &Session, headers: &mut HeaderMap) {
    let mut lease = pin!(session.lease());
    let Poll::Ready(Ok(turn)) = lease.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("a fresh lease does not wait");
    };
    let (name, value) = turn.header();
    headers.insert(name, value.clone());
}

pub fn time(each: u32, mut what: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..each {
        what();
    }
    start.elapsed().as_nanos() as f64 / f64::from(each)
}

/// Both warmed up, and behind a barrier: the slower of the two.
fn on_two_threads(session: &Session, each: u32) -> f64 {
    let barrier = Arc::new(Barrier::new(2));
    let work = move |session: Session, barrier: Arc<Barrier>| {
        let mut headers = HeaderMap::with_capacity(8);
        time(each / 10 + 1, || take(&session, &mut headers));
        barrier.wait();
        let took = time(each, || take(&session, &mut headers));
        // Until both are done neither has the machine to itself.
        barrier.wait();
        took
    };
    let other = thread::spawn({
        let (session, barrier) = (session.clone(), Arc::clone(&barrier));
        move || work(session, barrier)
    });
    let mine = work(session.clone(), barrier);
    mine.max(other.join().unwrap())
}
