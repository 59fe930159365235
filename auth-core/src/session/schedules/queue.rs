//! The queue on every schedule: joining, waiting, leaving, and the ends it can come to. Its invariants are numbered there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use futures::future::poll_fn;
use futures::task::{ArcWake, waker};

use super::check::check;
use super::world::{World, a_while, chance};
use crate::event::{Cause, FlightId};
use crate::planted::Planted;
use crate::session::flight::Flight;
use crate::session::lease::{Lease, Snapshot, Stamp};
use crate::session::queue::Tick;
use crate::session::turn::{Place, Turn};
use crate::sync::AtomicU64;
use crate::{Bearer, Error, ErrorKind, Scheme as _, Tokens};

/// When whoever has the baton passes it on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passes {
    /// With the first poll of its replay: what `Start` does.
    AfterStarting,
    /// A bug, to see that it would be found.
    BeforeStarting,
}

/// A flight's line, with what is seen of it.
struct Line {
    world: Arc<World>,
    flight: Arc<Flight>,
    lease: Lease,
    joined: AtomicUsize,
    starts: Mutex<Vec<u64>>,
    /// How many have the baton, or are starting. Shared memory of the model: a point where others may go on.
    starting: AtomicU64,
    answers: Mutex<Vec<Result<(), ErrorKind>>>,
}

impl Line {
    fn new(world: &Arc<World>) -> Arc<Self> {
        let tokens = Tokens::new("T1").unwrap();
        let header = Bearer.prepare(&tokens).unwrap();
        let stamp = Stamp::new(1, 1);
        Arc::new(Self {
            world: Arc::clone(world),
            flight: Arc::new(Flight::new(
                FlightId(1),
                Cause::Rejected,
                Stamp::new(1, 0),
                Duration::ZERO,
                Duration::MAX,
                Planted::default(),
            )),
            lease: Snapshot::new(stamp, Arc::new(tokens), header, None, 1).lease(),
            joined: AtomicUsize::new(0),
            starts: Mutex::default(),
            starting: AtomicU64::new(0),
            answers: Mutex::default(),
        })
    }

    fn join(&self) -> Place {
        let number = self.flight.queue.join(usize::MAX).expect("there is room");
        self.joined.fetch_add(1, Ordering::Relaxed);
        Place { flight: Arc::clone(&self.flight), number }
    }

    /// Waits for the turn, and is woken once at most (4).
    async fn turn(&self, place: &Place) -> Result<(), Error> {
        let woken = Arc::new(Woken::default());
        let turn = poll_fn(|cx| {
            *woken.waker.lock().unwrap() = Some(cx.waker().clone());
            let waker = waker(Arc::clone(&woken));
            self.flight.queue.poll_turn(place.number, &mut Context::from_waker(&waker))
        });
        let turn = turn.await;
        let times = woken.times.load(Ordering::Relaxed);
        self.world.claim(times <= 1, || format!("ticket {} was woken {times} times", place.number));
        turn
    }

    /// A waiter from its joining to its end.
    async fn wait_and_start(self: Arc<Self>, place: Place, passes: Passes) {
        let turn = self.turn(&place).await;
        self.answers.lock().unwrap().push(turn.as_ref().map(|&()| ()).map_err(Error::kind));
        if turn.is_err() {
            return;
        }
        let number = place.number;
        let turn = Turn::placed(self.lease.clone(), place);
        let line = Arc::clone(&self);
        let replay = async move {
            line.begin(number);
            shuttle::future::yield_now().await;
        };
        match passes {
            Passes::AfterStarting => turn.start(replay).await,
            Passes::BeforeStarting => {
                drop(turn.into_lease());
                replay.await;
            }
        }
    }

    /// The first poll of a replay.
    fn begin(&self, number: u64) {
        let others = self.starting.fetch_add(1, Ordering::SeqCst);
        self.world.claim(others == 0, || format!("ticket {number} starts while another does: two batons"));
        let mut starts = self.starts.lock().unwrap();
        let last = starts.last().copied();
        starts.push(number);
        drop(starts);
        self.world.claim(last.is_none_or(|last| last < number), || {
            format!("ticket {number} starts after ticket {last:?}")
        });
        self.starting.fetch_sub(1, Ordering::SeqCst);
    }

    fn starts(&self) -> Vec<u64> {
        self.starts.lock().unwrap().clone()
    }
}

#[derive(Default)]
struct Woken {
    times: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl ArcWake for Woken {
    fn wake_by_ref(this: &Arc<Self>) {
        this.times.fetch_add(1, Ordering::Relaxed);
        let waker = this.waker.lock().unwrap().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Everybody joins from a thread of its own; whoever is last lets the flight land, since nobody joins one that has landed.
fn in_order(world: &Arc<World>, passes: Passes) {
    const WAITERS: usize = 4;
    let line = Line::new(world);
    for name in 0..WAITERS {
        let line = Arc::clone(&line);
        world.caller(format!("waiter {name}"), async move {
            let place = line.join();
            if line.joined.load(Ordering::Relaxed) == WAITERS {
                let flight = Arc::clone(&line.flight);
                line.world.task(Box::pin(async move { flight.land() }));
            }
            line.wait_and_start(place, passes).await;
        });
    }

    world.settle();

    assert_eq!(line.starts(), (0..WAITERS as u64).collect::<Vec<_>>(), "all start, in ticket order");
    assert_eq!(line.flight.queue.waiting(), 0);
}

/// C4, invariant 5, and 1 and 2 of the queue.
#[test]
fn replays_start_in_ticket_order() {
    check(1_500, |world| in_order(world, Passes::AfterStarting));
}

/// The test before this one is worth something.
#[test]
#[should_panic(expected = "starts")]
fn a_baton_that_is_passed_too_early_is_found() {
    check(1_500, |world| in_order(world, Passes::BeforeStarting));
}

/// C4, I5, invariant 6, and 3 of the queue: whoever leaves, at whatever time, leaves the line whole.
#[test]
fn whoever_leaves_leaves_the_line_whole() {
    check(2_000, |world| {
        let line = Line::new(world);
        let mut stay = Vec::new();
        for _ in 0..5 {
            let place = line.join();
            let (name, number) = (format!("ticket {}", place.number), place.number);
            let waiter = Arc::clone(&line).wait_and_start(place, Passes::AfterStarting);
            if chance(2) == 0 {
                world.passer_by(name, waiter);
            } else {
                stay.push(number);
                world.caller(name, waiter);
            }
        }
        let flight = Arc::clone(&line.flight);
        world.task(Box::pin(async move {
            a_while().await;
            flight.land();
        }));

        world.settle();

        let starts = line.starts();
        assert!(stay.iter().all(|number| starts.contains(number)), "{stay:?} stayed, {starts:?} started");
        assert_eq!(line.flight.queue.waiting(), 0);
    });
}

/// C5, C6: two ends at once, a failure being one of them, are one end for everybody, and all are woken.
#[test]
fn a_failure_reaches_all_or_nobody() {
    check(1_500, |world| {
        let line = Line::new(world);
        for _ in 0..4 {
            let place = line.join();
            let name = format!("ticket {}", place.number);
            let waiter = Arc::clone(&line).wait_and_start(place, Passes::AfterStarting);
            if chance(4) == 0 { world.passer_by(name, waiter) } else { world.caller(name, waiter) }
        }
        let other = chance(3);
        for end in [0, other] {
            let flight = Arc::clone(&line.flight);
            world.task(Box::pin(async move {
                a_while().await;
                match end {
                    0 => flight.fail(&Error::new(ErrorKind::RefreshUnavailable)),
                    1 => flight.fail(&Error::new(ErrorKind::SignedOut)),
                    _ => flight.land(),
                }
            }));
        }

        world.settle();

        let mut answers = line.answers.lock().unwrap().clone();
        answers.dedup();
        assert!(answers.len() <= 1, "one end for all: {answers:?}");
    });
}

/// C4b, Q2, and 5 of the queue: one that is never polled stops nobody, where the timer is driven or where waiters look. Nobody
/// is forgotten when the queue opens, whatever leaves or passes at that moment.
#[test]
fn a_queue_that_opens_wakes_everybody() {
    check(1_500, |world| {
        let line = Line::new(world);
        let waiters: Vec<_> = (0..5).map(|_| line.join()).collect();
        let idle = chance(5);
        let mut unpolled = None;
        for place in waiters {
            if place.number == idle {
                unpolled = Some(place);
                continue;
            }
            let line = Arc::clone(&line);
            world.caller(format!("ticket {}", place.number), async move {
                let turn = line.turn(&place).await;
                line.world.claim(turn.is_ok(), || "nothing has failed".to_owned());
            });
        }
        let (timer, eye) = (Arc::clone(&line.flight), Arc::clone(&line.flight));
        world.task(Box::pin(async move {
            timer.land();
            while timer.queue.tick() == Tick::Going {
                shuttle::future::yield_now().await;
            }
        }));
        world.task(Box::pin(async move {
            let patience = Duration::from_millis(500);
            for look in 0..chance(4) {
                eye.queue.look(patience * look as u32, patience);
                shuttle::future::yield_now().await;
            }
        }));

        world.settle();

        assert!(line.flight.queue.waiting() <= 1);
        drop(unpolled);
        assert_eq!(line.flight.queue.waiting(), 0);
    });
}

/// C16: however many come and go at once, no more than allowed are in line.
#[test]
fn the_line_is_never_longer_than_allowed() {
    check(500, |world| {
        const MOST: usize = 2;
        let line = Line::new(world);
        let inside = Arc::new(AtomicUsize::new(0));
        for name in 0..5 {
            let (line, inside) = (Arc::clone(&line), Arc::clone(&inside));
            world.caller(format!("visitor {name}"), async move {
                let Some(number) = line.flight.queue.join(MOST) else { return };
                let place = Place { flight: Arc::clone(&line.flight), number };
                let others = inside.fetch_add(1, Ordering::Relaxed);
                line.world.claim(others < MOST, || format!("{others} were in line before"));
                a_while().await;
                inside.fetch_sub(1, Ordering::Relaxed);
                drop(place);
            });
        }

        world.settle();
    });
}
