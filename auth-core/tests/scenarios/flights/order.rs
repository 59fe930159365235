//! The order of replays, whoever is cancelled, panics, or is never polled.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use auth_core::{Body, Error, Event, Runtime as _, Turn};
use auth_testkit::{Running, numbered, response};
use futures::task::noop_waker_ref;
use http::Request;

use super::paths;
use crate::world::{Answer, World, status};

/// SplitMix64: what a seed decides.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % below as u64).unwrap()
    }
}

/// A request's path, and the request unless it was cancelled.
type Member = (String, Option<Running<Answer>>);

/// Requests under way, each of which may be cancelled.
#[derive(Clone, Default)]
struct Crowd {
    requests: Arc<Mutex<Vec<Member>>>,
}

impl Crowd {
    fn add(&self, path: String, request: Running<Answer>) {
        self.requests.lock().unwrap().push((path, Some(request)));
    }

    fn cancel_one(&self, dice: &mut Dice) {
        let chosen = {
            let mut requests = self.requests.lock().unwrap();
            let chosen = dice.roll(requests.len());
            requests[chosen].1.take()
        };
        // Dropping a request wakes others: not under a lock of ours.
        chosen.into_iter().for_each(Running::cancel);
    }

    fn survivors(&self) -> Vec<(String, Running<Answer>)> {
        let requests = std::mem::take(&mut *self.requests.lock().unwrap());
        requests.into_iter().filter_map(|(path, request)| Some((path, request?))).collect()
    }
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// How many replays started though they were cancelled at some time, and how many never did.
fn cancelled_at_any_time(seed: u64) -> (usize, usize) {
    let dice = Arc::new(Mutex::new(Dice(seed)));
    let roll = |below| dice.lock().unwrap().roll(below);
    let world = World::signed_in();
    let crowd = Crowd::default();
    let mut joined = Vec::new();
    for n in 0..30 {
        crowd.add(format!("/{n}"), world.get(&format!("/{n}")));
    }
    let mut calls: Vec<_> = (0..30).map(|_| world.next_call()).collect();
    while !calls.is_empty() {
        let call = calls.swap_remove(roll(calls.len()));
        joined.push(call.request().uri().path().to_owned());
        call.respond(401);
        world.settle();
        if roll(3) == 0 {
            let path = format!("/new/{}", joined.len());
            crowd.add(path.clone(), world.get(&path));
            joined.push(path);
        }
        if roll(6) == 0 {
            crowd.cancel_one(&mut dice.lock().unwrap());
        }
    }

    // Some are cancelled while a replay starts, others between a wake-up and its poll, the woken one included.
    let draining = Arc::new(AtomicBool::new(false));
    let (shared, others, begun) = (Arc::clone(&dice), crowd.clone(), Arc::clone(&draining));
    world.api.answer_with(move |_| {
        begun.store(true, Ordering::Relaxed);
        let mut dice = shared.lock().unwrap();
        if dice.roll(5) == 0 {
            others.cancel_one(&mut dice);
        }
        response(200)
    });
    let (shared, others) = (Arc::clone(&dice), crowd.clone());
    world.refresher.try_next().unwrap().answer(numbered(1));
    let canceller = world.runtime.start(async move {
        while !draining.load(Ordering::Relaxed) {
            yield_now().await;
        }
        for _ in 0..8 {
            let pause = shared.lock().unwrap().roll(4);
            for _ in 0..pause {
                yield_now().await;
            }
            others.cancel_one(&mut shared.lock().unwrap());
        }
    });
    world.settle();

    let replayed = paths(&world, 30);
    let places: Vec<_> =
        replayed.iter().map(|path| joined.iter().position(|joined| joined == path).unwrap()).collect();
    assert!(places.is_sorted_by(|one, next| one < next), "seed {seed}: {replayed:?} of {joined:?}");
    let survivors = crowd.survivors();
    for (path, request) in &survivors {
        assert!(request.is_finished(), "seed {seed}: {path} waits for ever");
        assert_eq!(status(request), 200, "seed {seed}: {path}");
        assert!(replayed.contains(path));
    }
    assert!(canceller.is_finished());
    assert!(world.bearers()[30..].iter().all(|bearer| bearer == "T1"));
    assert_eq!(world.refresher.calls(), 1);
    world.pass(Duration::from_secs(1));
    assert!(!world.events().iter().any(|event| matches!(event, Event::QueueOpened { .. })), "seed {seed}");
    assert_eq!((world.runtime.tasks(), world.runtime.timers()), (0, 0), "seed {seed}");
    (replayed.len() - survivors.len(), joined.len() - replayed.len())
}

/// C4: Replays start in the order in which their requests joined, with any of them cancelled at any time: before the
/// refresh ends, while another replay starts, and between a wake-up and its poll. Who is left is served.
#[test]
fn replays_start_in_order_whoever_is_cancelled() {
    let (mut too_late, mut in_time) = (0, 0);

    for seed in 0..60 {
        let (replayed, gone) = cancelled_at_any_time(seed);
        too_late += replayed;
        in_time += gone;
    }

    assert!(too_late > 60 && in_time > 60, "{too_late} and {in_time}: that is not at any time");
}

/// Counts its wake-ups.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

type Waiting = Pin<Box<dyn Future<Output = Result<Turn, Error>> + Send>>;

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(noop_waker_ref()))
}

#[track_caller]
fn turn(waiting: &mut Waiting) -> Turn {
    match poll(waiting) {
        Poll::Ready(turn) => turn.unwrap(),
        Poll::Pending => panic!("it is its turn"),
    }
}

/// Waiters with the tickets from 0 on, and a flight that has landed.
fn waiters<const N: usize>(world: &World) -> [Waiting; N] {
    let stamp = world.runtime.block_on(world.session.lease()).unwrap().stamp();
    let waiters = std::array::from_fn(|_| {
        let session = world.session.clone();
        let mut waiting: Waiting = Box::pin(async move { session.recover(stamp).await });
        assert!(poll(&mut waiting).is_pending());
        waiting
    });
    world.settle();
    world.refresh_answers(numbered(1));
    waiters
}

/// C4: The next in line is let go when the first poll of the replay has returned, and not a moment earlier: another
/// thread would overtake.
#[test]
fn the_baton_is_passed_after_the_first_poll() {
    let world = World::signed_in();
    let [mut first, mut second] = waiters(&world);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());

    let turn_of_first = turn(&mut first);
    assert_eq!((turn_of_first.ticket(), woken.count()), (Some(0), 0), "holding the turn passes nothing");
    let seen = Arc::clone(&woken);
    let mut replay = Box::pin(turn_of_first.start(poll_fn(move |_| {
        assert_eq!(seen.count(), 0, "the first poll has not returned yet");
        Poll::<()>::Pending
    })));
    assert_eq!(woken.count(), 0, "it has not started yet");
    assert!(poll(&mut replay).is_pending());

    assert_eq!(woken.count(), 1);
    assert_eq!(turn(&mut second).ticket(), Some(1));
}

/// C4, I5: Whatever becomes of a turn, the next in line goes on: it is dropped, given up for its lease, its start is
/// dropped unpolled, or the replay panics.
#[test]
fn however_a_turn_ends_the_next_goes_on() {
    let world = World::signed_in();
    let [mut a, mut b, mut c, mut d, mut e] = waiters(&world);

    drop(turn(&mut a));
    let lease = turn(&mut b).into_lease();
    assert_eq!(lease.header().1, "Bearer T1");
    drop(turn(&mut c).start(async { unreachable!("it is never polled") }));
    let mut panicking: Pin<Box<dyn Future<Output = ()>>> =
        Box::pin(turn(&mut d).start(poll_fn(|_| panic!("scripted"))));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut panicking)));

    assert!(panicked.is_err());
    assert_eq!(turn(&mut e).ticket(), Some(4));
}

/// A request that joins the queue, where there is one by its first poll, and is not polled again unless the test does.
fn stuck(world: &World, path: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    let client = world.client.clone();
    let request = Request::get(path).body(Body::empty()).unwrap();
    let mut stuck: Pin<Box<dyn Future<Output = Answer> + Send>> =
        Box::pin(async move { client.send(request).await });
    assert!(poll(&mut stuck).is_pending());
    if let Some(call) = world.api.try_next() {
        call.respond(401);
        assert!(poll(&mut stuck).is_pending());
        world.settle();
    }
    stuck
}

/// When each of the next replays starts, counted from now.
fn starts_of_replays(world: &World, count: usize) -> Vec<(String, Duration)> {
    let begin = world.runtime.elapsed();
    let mut starts = Vec::new();
    for _ in 0..count {
        let call = world.runtime.block_on(world.api.next());
        starts.push((call.request().uri().path().to_owned(), world.runtime.elapsed() - begin));
        call.respond(200);
        world.settle();
    }
    starts
}

fn opened(world: &World) -> usize {
    world.events().iter().filter(|event| matches!(event, Event::QueueOpened { .. })).count()
}

const PATIENCE: Duration = Duration::from_millis(500);

/// C4b: A queued request that is kept and never polled delays those behind it by at most the patience; those before it not
/// at all, and their order is kept.
#[test]
fn an_unpolled_waiter_delays_the_others_by_no_more_than_the_patience() {
    let world = World::signed_in();
    let before = world.rejected("/before");
    let unpolled = stuck(&world, "/unpolled");
    let behind: Vec<_> = (0..5).map(|n| world.get(&format!("/behind/{n}"))).collect();

    world.refresh_answers(numbered(1));
    let starts = starts_of_replays(&world, 6);

    assert_eq!(starts[0], ("/before".to_owned(), Duration::ZERO));
    let order: Vec<_> = starts[1..].iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(order, ["/behind/0", "/behind/1", "/behind/2", "/behind/3", "/behind/4"]);
    assert!(starts[1].1 > PATIENCE / 2, "{starts:?}: order is not given up lightly");
    assert!(starts.iter().all(|(_, after)| *after <= PATIENCE), "{starts:?}");
    assert!(behind.iter().chain([&before]).all(|request| status(request) == 200));
    assert_eq!(opened(&world), 1);
    drop(unpolled);
}

/// C4b: Any number of them, forgotten for good, cost the others one patience in total.
#[test]
fn many_forgotten_waiters_cost_one_patience_in_total() {
    let world = World::signed_in();
    let mut behind = Vec::new();
    for n in 0..10 {
        std::mem::forget(stuck(&world, &format!("/forgotten/{n}")));
        behind.push(world.get(&format!("/{n}")));
    }

    world.refresh_answers(numbered(1));
    let starts = starts_of_replays(&world, 10);

    assert!(starts.iter().all(|(_, after)| *after <= PATIENCE), "{starts:?}");
    let order: Vec<_> = starts.into_iter().map(|(path, _)| path).collect();
    assert_eq!(order, (0..10).map(|n| format!("/{n}")).collect::<Vec<_>>());
    assert!(behind.iter().all(|request| status(request) == 200));
    assert_eq!(opened(&world), 1);
    assert_eq!((world.runtime.tasks(), world.runtime.timers()), (0, 0));
}

/// C4b: Patience is one for the whole queue: what a slow request has used of it is not there for the next.
#[test]
fn delays_add_up_to_one_patience() {
    let world = World::signed_in();
    let mut slow = stuck(&world, "/slow");
    let between = world.get("/between");
    let unpolled = stuck(&world, "/unpolled");
    let behind = world.get("/behind");
    let begin = world.runtime.elapsed();

    world.refresh_answers(numbered(1));
    world.pass(Duration::from_millis(300));
    assert!(poll(&mut slow).is_pending());
    world.settle();
    assert_eq!(paths(&world, 1), ["/slow", "/between"]);
    let _slow = world.next_call();
    world.api_answers(200);
    let (path, _) = starts_of_replays(&world, 1).remove(0);

    assert_eq!(path, "/behind");
    let total = world.runtime.elapsed() - begin;
    // Looked at in tenths: one in which the slow one moved is not charged.
    assert!(total <= PATIENCE + PATIENCE / 10, "{total:?} is more than one patience");
    assert!([between, behind].iter().all(|request| status(request) == 200));
    drop(unpolled);
}

/// C4b: The patience can be chosen, and a queue in which everybody moves never pays it.
#[test]
fn patience_is_a_choice_and_costs_nothing_where_all_move() {
    let world = World::with(|session| session.patience(Duration::from_secs(10)), |client| client);
    world.sign_in(numbered(0));
    let unpolled = stuck(&world, "/unpolled");
    let behind = world.get("/behind");
    world.refresh_answers(numbered(1));
    let starts = starts_of_replays(&world, 1);
    assert!(starts[0].1 > Duration::from_secs(5) && starts[0].1 <= Duration::from_secs(10), "{starts:?}");
    assert_eq!(status(&behind), 200);
    drop(unpolled);

    let moving: Vec<_> = (0..200).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in &moving {
        world.api_answers(401);
    }
    world.refresh_answers(numbered(2));
    let starts = starts_of_replays(&world, 200);

    assert!(starts.iter().all(|(_, after)| after.is_zero()));
    assert!(moving.iter().all(|request| status(request) == 200));
    assert_eq!(opened(&world), 1, "the first queue's");
}
