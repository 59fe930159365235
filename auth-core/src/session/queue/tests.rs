//! Tests of the queue.

use super::*;
use crate::ErrorKind;
use futures::task::{ArcWake, waker};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
struct Woken(AtomicUsize);

impl ArcWake for Woken {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Waiter(u64, Arc<Woken>);

impl Waiter {
    fn join(queue: &Queue) -> Self {
        Self(queue.join(usize::MAX).unwrap(), Arc::default())
    }

    fn poll(&self, queue: &Queue) -> Poll<Result<(), ErrorKind>> {
        let waker = waker(Arc::clone(&self.1));
        queue.poll_turn(self.0, &mut Context::from_waker(&waker)).map_err(|error| error.kind())
    }

    fn woken(&self) -> usize {
        self.1.0.load(Ordering::Relaxed)
    }
}

fn parked(queue: &Queue, count: usize) -> Vec<Waiter> {
    let waiters: Vec<_> = (0..count).map(|_| Waiter::join(queue)).collect();
    assert!(waiters.iter().all(|waiter| waiter.poll(queue).is_pending()));
    waiters
}

#[test]
fn the_baton_goes_down_the_line_one_by_one() {
    let queue = Queue::new(Planted::default());
    let waiters = parked(&queue, 3);

    queue.release();

    for (at, waiter) in waiters.iter().enumerate() {
        assert_eq!(waiter.woken(), 1);
        assert!(waiters[at + 1..].iter().all(|later| later.woken() == 0 && later.poll(&queue).is_pending()));
        assert_eq!(waiter.poll(&queue), Poll::Ready(Ok(())));
        queue.leave(waiter.0);
    }
    assert_eq!(queue.waiting(), 0);
    assert_eq!(queue.tick(), Tick::Done);
}

/// I5: a dropped waiter gives up its place.
#[test]
fn whoever_leaves_leaves_the_line_whole() {
    let queue = Queue::new(Planted::default());
    let waiters = parked(&queue, 4);

    queue.leave(waiters[0].0);
    queue.release();
    assert_eq!(waiters[1].woken(), 1);
    queue.leave(waiters[2].0);
    queue.leave(waiters[2].0);
    queue.leave(waiters[1].0);

    assert_eq!(waiters[3].woken(), 1);
    assert_eq!(waiters[3].poll(&queue), Poll::Ready(Ok(())));
    assert_eq!(queue.waiting(), 1);
}

#[test]
fn a_holder_that_was_never_polled_finds_its_baton() {
    let queue = Queue::new(Planted::default());
    let waiter = Waiter::join(&queue);

    queue.release();

    assert_eq!(waiter.poll(&queue), Poll::Ready(Ok(())));
}

#[test]
fn a_failure_reaches_all_and_wakes_each_once() {
    let queue = Queue::new(Planted::default());
    let waiters = parked(&queue, 3);

    queue.fail(Error::new(ErrorKind::SignedOut));
    queue.fail(Error::new(ErrorKind::SessionEnded));
    queue.release();

    for waiter in &waiters {
        assert_eq!(waiter.woken(), 1);
        assert_eq!(waiter.poll(&queue), Poll::Ready(Err(ErrorKind::SignedOut)));
    }
}

/// C4b: the patience is one for the whole queue: ticks in which the baton moved are free, the others add up.
#[test]
fn charges_add_up_to_the_patience() {
    let queue = Queue::new(Planted::default());
    let waiters = parked(&queue, 3);
    assert_eq!(queue.tick(), Tick::Going, "nobody has the baton yet");
    queue.release();

    for _ in 0..TICKS / 2 {
        assert_eq!(queue.tick(), Tick::Going);
    }
    queue.leave(waiters[0].0);
    assert_eq!(queue.tick(), Tick::Going, "the baton has moved: not charged");
    for _ in TICKS / 2 + 1..TICKS - 1 {
        assert_eq!(queue.tick(), Tick::Going);
    }
    assert_eq!(queue.tick(), Tick::Opened);

    assert_eq!(waiters[2].woken(), 1);
    assert_eq!(waiters[2].poll(&queue), Poll::Ready(Ok(())));
    assert_eq!(queue.tick(), Tick::Done);
}

/// Q2: where nobody drives the timer, those who are polled are not held up for longer than patience.
#[test]
fn a_look_opens_a_queue_that_stands_still() {
    let queue = Queue::new(Planted::default());
    let waiters = parked(&queue, 2);
    let (patience, at) = (Duration::from_millis(500), Duration::from_millis);
    queue.look(at(0), patience);
    queue.release();

    queue.look(at(1000), patience);
    queue.look(at(1499), patience);
    assert!(waiters[1].poll(&queue).is_pending());
    queue.look(at(1500), patience);

    assert_eq!(waiters[1].poll(&queue), Poll::Ready(Ok(())));
}

#[test]
fn a_look_that_sees_the_baton_moved_counts_from_there() {
    let queue = Queue::new(Planted::default());
    let waiters = parked(&queue, 3);
    let (patience, at) = (Duration::from_millis(500), Duration::from_millis);
    queue.release();
    queue.look(at(0), patience);

    queue.leave(waiters[0].0);
    queue.look(at(499), patience);
    queue.look(at(998), patience);
    assert!(waiters[2].poll(&queue).is_pending());
    queue.look(at(999), patience);

    assert_eq!(waiters[2].poll(&queue), Poll::Ready(Ok(())));
}

struct Panics;

impl ArcWake for Panics {
    fn wake_by_ref(_: &Arc<Self>) {
        panic!("a waker");
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken() {
    for fails in [false, true] {
        let queue = Queue::new(Planted::default());
        let bad = queue.join(9).unwrap();
        let waker = waker(Arc::new(Panics));
        assert!(queue.poll_turn(bad, &mut Context::from_waker(&waker)).is_pending());
        let good = parked(&queue, 1).remove(0);

        if fails {
            queue.fail(Error::new(ErrorKind::SignedOut));
        } else {
            queue.release();
            queue.leave(bad);
        }

        assert_eq!(good.woken(), 1);
    }
}

/// C16: the queue is bounded by those who are in line, not by those who left.
#[test]
fn those_who_left_take_no_room() {
    let queue = Queue::new(Planted::default());
    let first = queue.join(2).unwrap();
    let _second = queue.join(2).unwrap();
    assert_eq!(queue.join(2), None);

    queue.leave(first);
    assert_eq!(queue.join(2), Some(2));

    for _ in 0..1000 {
        let number = queue.join(3).unwrap();
        queue.leave(number);
    }
    assert!(queue.line().slots.len() < 100, "places given up are given back");
}

/// C16: nor do they in a long line, whose front stays.
#[test]
fn those_who_left_a_long_line_take_no_room() {
    let queue = Queue::new(Planted::default());
    let staying: Vec<_> = (0..100).map(|_| queue.join(usize::MAX).unwrap()).collect();

    for _ in 0..10_000 {
        let number = queue.join(usize::MAX).unwrap();
        queue.leave(number);
        let line = queue.line();
        assert!(line.slots.len() <= 2 * line.waiting() + 2, "{} slots", line.slots.len());
    }

    assert_eq!(queue.waiting(), staying.len());
}

/// O6: the timer and the waiters may find at the same time that nothing moves: one of them has opened the queue, and tells
/// of it.
#[test]
fn a_queue_is_opened_once() {
    let queue = Queue::new(Planted::default());
    let _waiters = parked(&queue, 2);
    queue.release();

    assert_eq!((queue.open(), queue.open()), (true, false));
    assert!(!queue.look(Duration::MAX, Duration::ZERO));
    assert_eq!(queue.tick(), Tick::Done);
}
