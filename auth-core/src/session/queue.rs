//! The queue: a flight's tickets and baton, so that replays start in the order in which requests joined.
//!
//! A request that waits for a flight holds a ticket. While the flight runs the queue is *closed*. When new tokens are
//! published it *drains*: the baton goes to the lowest ticket in line, its holder starts its replay and leaves, and
//! leaving passes the baton on. When the flight fails, everyone gets the error.
//!
//! 1. Tickets are given in the order of joining, and never twice.
//! 2. While the queue drains, exactly one ticket in line has the baton: the lowest.
//! 3. Whoever leaves, at whatever time and for whatever reason, leaves the line whole (1, 2 hold).
//! 4. A waiter is woken once: with the baton, with the error, or when the queue opens.
//! 5. A holder that is never polled cannot stop the others: each tick in which the baton has not moved is charged, and
//!    before the charges exceed the queue's patience the queue *opens*: everybody goes, in ticket order as far as that can be
//!    had. Where nobody drives the timer, a waiter that is polled opens it (`look`).
//!
//! Wakers are cloned before the lock is taken, collected under it, and woken and dropped after it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::Error;
use crate::contain::wake;

/// How often the timer looks within one patience.
pub(crate) const TICKS: u32 = 10;

pub(crate) struct Queue {
    line: Mutex<Line>,
}

struct Line {
    phase: Phase,
    /// In ascending order of number; those who left stay until they are at the front, or too many.
    slots: VecDeque<Slot>,
    next: u64,
    gone: usize,
    /// How often the baton has moved.
    moves: u64,
    /// What the last tick saw of that, and how many ticks saw no move.
    ticked: u64,
    charges: u32,
    /// What the last look saw of it, and when that was first seen.
    looked: Option<(u64, Duration)>,
}

enum Phase {
    Closed,
    Draining,
    Open,
    Failed(Error),
}

struct Slot {
    number: u64,
    place: Place,
}

enum Place {
    Waiting(Option<Waker>),
    Baton,
    Gone,
}

/// What a tick of the timer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Somebody is still in line.
    Going,
    /// The line is empty, or nobody waits for anybody any more.
    Done,
    /// Patience has just run out.
    Opened,
}

impl Queue {
    pub(crate) fn new() -> Self {
        let line = Line {
            phase: Phase::Closed,
            slots: VecDeque::new(),
            next: 0,
            gone: 0,
            moves: 0,
            ticked: 0,
            charges: 0,
            looked: None,
        };
        Self { line: Mutex::new(line) }
    }

    /// Poisoned or not: no foreign code runs under this lock, so what it protects is whole.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next ticket; `None` where `most` are in line already.
    pub(crate) fn join(&self, most: usize) -> Option<u64> {
        let mut line = self.line();
        if line.waiting() >= most {
            return None;
        }
        let number = line.next;
        line.next += 1;
        line.slots.push_back(Slot { number, place: Place::Waiting(None) });
        Some(number)
    }

    /// How many are in line.
    pub(crate) fn waiting(&self) -> usize {
        self.line().waiting()
    }

    /// Waits for the ticket's turn: `Ok` with the baton (or where nobody waits for it), `Err` where the flight failed.
    pub(crate) fn poll_turn(&self, number: u64, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let waker = cx.waker().clone();
        // Declared first, dropped last: after the lock has been given back.
        let _replaced: Option<Waker>;
        let mut line = self.line();
        match &line.phase {
            Phase::Open => return Poll::Ready(Ok(())),
            Phase::Failed(error) => return Poll::Ready(Err(error.clone())),
            Phase::Closed | Phase::Draining => {}
        }
        match line.slot(number).map(|slot| &mut slot.place) {
            Some(Place::Waiting(parked)) => {
                _replaced = parked.replace(waker);
                Poll::Pending
            }
            // A ticket that has left is not waited with; nobody may hang for it.
            Some(Place::Baton | Place::Gone) | None => Poll::Ready(Ok(())),
        }
    }

    /// Gives up the ticket, and with it the baton, if it has that.
    pub(crate) fn leave(&self, number: u64) {
        let (parked, next) = {
            let mut line = self.line();
            let Some(slot) = line.slot(number) else { return };
            let place = std::mem::replace(&mut slot.place, Place::Gone);
            let parked = match place {
                Place::Gone => return,
                Place::Baton => None,
                Place::Waiting(parked) => parked,
            };
            line.gone += 1;
            line.tidy();
            let next = if matches!(line.phase, Phase::Draining) { line.pass() } else { None };
            (parked, next)
        };
        drop(parked);
        if let Some(next) = next {
            wake(next);
        }
    }

    /// New tokens are there: the baton goes to the lowest ticket.
    pub(crate) fn release(&self) {
        let first = {
            let mut line = self.line();
            if !matches!(line.phase, Phase::Closed) {
                return;
            }
            line.phase = Phase::Draining;
            let first = line.pass();
            line.ticked = line.moves;
            first
        };
        if let Some(first) = first {
            wake(first);
        }
    }

    /// The flight has failed: everyone gets the error.
    pub(crate) fn fail(&self, error: Error) {
        self.end(Phase::Failed(error));
    }

    /// Nobody waits for anybody any more: each looks at the session for itself.
    pub(crate) fn open(&self) {
        self.end(Phase::Open);
    }

    fn end(&self, phase: Phase) {
        let (woken, replaced) = {
            let mut line = self.line();
            // A flight's failure is final; a queue that drains or is open can no longer fail.
            let replaced = match (&line.phase, &phase) {
                (Phase::Closed, _) | (Phase::Draining, Phase::Open) => {
                    std::mem::replace(&mut line.phase, phase)
                }
                _ => return,
            };
            (line.wakers(), replaced)
        };
        drop(replaced);
        for waker in woken {
            wake(waker);
        }
    }

    /// The timer's look at a queue that drains.
    pub(crate) fn tick(&self) -> Tick {
        {
            let mut line = self.line();
            match line.phase {
                Phase::Closed => return Tick::Going,
                Phase::Draining if line.waiting() > 0 => {}
                Phase::Draining | Phase::Open | Phase::Failed(_) => return Tick::Done,
            }
            if line.ticked == line.moves {
                line.charges += 1;
            }
            line.ticked = line.moves;
            // One less than a whole patience: the baton may have stood still for almost a tick before the first.
            if line.charges + 1 < TICKS {
                return Tick::Going;
            }
        }
        self.open();
        Tick::Opened
    }
}

impl Queue {
    /// A waiter's look at a queue that drains: opens it where the baton has stood still for `patience` since it was first
    /// looked at.
    pub(crate) fn look(&self, now: Duration, patience: Duration) {
        {
            let mut line = self.line();
            if !matches!(line.phase, Phase::Draining) {
                return;
            }
            match line.looked {
                Some((moves, since)) if moves == line.moves => {
                    if now.saturating_sub(since) < patience {
                        return;
                    }
                }
                _ => {
                    line.looked = Some((line.moves, now));
                    return;
                }
            }
        }
        self.open();
    }
}

impl Line {
    fn waiting(&self) -> usize {
        self.slots.len() - self.gone
    }

    /// Mostly asked for the one at the front (its turn) or the one at the back (it has just joined).
    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let at = match (self.slots.front(), self.slots.back()) {
            (Some(front), _) if front.number == number => 0,
            (_, Some(back)) if back.number == number => self.slots.len() - 1,
            _ => self.slots.binary_search_by_key(&number, |slot| slot.number).ok()?,
        };
        self.slots.get_mut(at)
    }

    /// Gives the baton to the lowest ticket in line, unless it has it; returns whom to wake.
    fn pass(&mut self) -> Option<Waker> {
        let front = self.slots.front_mut()?;
        let Place::Waiting(parked) = &mut front.place else { return None };
        let waker = parked.take();
        front.place = Place::Baton;
        self.moves += 1;
        waker
    }

    /// Keeps the front in line, and the space bounded by twice the waiting.
    fn tidy(&mut self) {
        while self.slots.front().is_some_and(|slot| matches!(slot.place, Place::Gone)) {
            self.slots.pop_front();
            self.gone -= 1;
        }
        if self.gone > 32 && self.gone > self.slots.len() / 2 {
            self.slots.retain(|slot| !matches!(slot.place, Place::Gone));
            self.gone = 0;
        }
    }

    fn wakers(&mut self) -> Vec<Waker> {
        let parked = |slot: &mut Slot| match &mut slot.place {
            Place::Waiting(parked) => parked.take(),
            Place::Baton | Place::Gone => None,
        };
        self.slots.iter_mut().filter_map(parked).collect()
    }
}

#[cfg(test)]
mod tests {
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
        let queue = Queue::new();
        let waiters = parked(&queue, 3);

        queue.release();

        for (at, waiter) in waiters.iter().enumerate() {
            assert_eq!(waiter.woken(), 1);
            assert!(
                waiters[at + 1..].iter().all(|later| later.woken() == 0 && later.poll(&queue).is_pending())
            );
            assert_eq!(waiter.poll(&queue), Poll::Ready(Ok(())));
            queue.leave(waiter.0);
        }
        assert_eq!(queue.waiting(), 0);
        assert_eq!(queue.tick(), Tick::Done);
    }

    /// I5: a dropped waiter gives up its place.
    #[test]
    fn whoever_leaves_leaves_the_line_whole() {
        let queue = Queue::new();
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
        let queue = Queue::new();
        let waiter = Waiter::join(&queue);

        queue.release();

        assert_eq!(waiter.poll(&queue), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_failure_reaches_all_and_wakes_each_once() {
        let queue = Queue::new();
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
        let queue = Queue::new();
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
        let queue = Queue::new();
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

    struct Panics;

    impl ArcWake for Panics {
        fn wake_by_ref(_: &Arc<Self>) {
            panic!("a waker");
        }
    }

    #[test]
    fn a_waker_that_panics_keeps_nobody_from_being_woken() {
        for fails in [false, true] {
            let queue = Queue::new();
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
        let queue = Queue::new();
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
}
