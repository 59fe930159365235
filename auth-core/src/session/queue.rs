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
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::Error;
use crate::contain::wake;
use crate::planted::{Fault, Planted};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// How often the timer looks within one patience.
pub(crate) const TICKS: u32 = 10;

pub(crate) struct Queue {
    line: Mutex<Line>,
    /// The number of the ticket that has the baton, for its holder to see without the lock. Written under it.
    baton: AtomicU64,
}

/// No ticket's number.
const NOBODY: u64 = u64::MAX;

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
    planted: Planted,
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
    pub(crate) fn new(planted: Planted) -> Self {
        let line = Line {
            phase: Phase::Closed,
            slots: VecDeque::new(),
            next: 0,
            gone: 0,
            moves: 0,
            ticked: 0,
            charges: 0,
            looked: None,
            planted,
        };
        Self { line: Mutex::new(line), baton: AtomicU64::new(NOBODY) }
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

    /// Whether it is the ticket's turn: `Ok` with the baton (or where nobody waits for it), `Err` where the flight failed.
    pub(crate) fn turn(&self, number: u64) -> Poll<Result<(), Error>> {
        if self.has_baton(number) {
            return Poll::Ready(Ok(()));
        }
        self.line().turn(number).map_or(Poll::Pending, Poll::Ready)
    }

    /// Without the lock: a ticket keeps the baton until it leaves.
    #[inline]
    pub(crate) fn has_baton(&self, number: u64) -> bool {
        self.baton.load(Ordering::Acquire) == number
    }

    /// Waits for that.
    pub(crate) fn poll_turn(&self, number: u64, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let waker = cx.waker().clone();
        // Declared first, dropped last: after the lock has been given back.
        let _replaced: Option<Waker>;
        let mut line = self.line();
        if let Some(turn) = line.turn(number) {
            return Poll::Ready(turn);
        }
        if let Some(Slot { place: Place::Waiting(parked), .. }) = line.slot(number) {
            _replaced = parked.replace(waker);
        }
        Poll::Pending
    }

    /// Gives up the ticket, and with it the baton, if it has that.
    pub(crate) fn leave(&self, number: u64) {
        let (parked, next) = {
            let mut line = self.line();
            let parked = match line.take(number) {
                None | Some(Place::Gone) => return,
                Some(Place::Baton) => None,
                Some(Place::Waiting(parked)) => parked,
            };
            let next = if matches!(line.phase, Phase::Draining) { line.pass(&self.baton) } else { None };
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
            let first = line.pass(&self.baton);
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

    /// Nobody waits for anybody any more: each looks at the session for itself. Whether that is new.
    pub(crate) fn open(&self) -> bool {
        self.end(Phase::Open)
    }

    fn end(&self, phase: Phase) -> bool {
        let (woken, replaced) = {
            let mut line = self.line();
            // A flight's failure is final; a queue that drains or is open can no longer fail.
            let replaced = match (&line.phase, &phase) {
                (Phase::Closed, _) | (Phase::Draining, Phase::Open) => {
                    std::mem::replace(&mut line.phase, phase)
                }
                _ => return false,
            };
            let mut woken = line.wakers();
            if line.planted.has(Fault::LostWaiter) && matches!(line.phase, Phase::Failed(_)) {
                woken.pop();
            }
            (woken, replaced)
        };
        drop(replaced);
        for waker in woken {
            wake(waker);
        }
        true
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
            if line.charges + 1 < TICKS || line.planted.has(Fault::NoPatience) {
                return Tick::Going;
            }
        }
        // A waiter's look may have come first: it tells of it then.
        if self.open() { Tick::Opened } else { Tick::Done }
    }
}

impl Queue {
    /// A waiter's look at a queue that drains: opens it where the baton has stood still for `patience` since it was first
    /// looked at. Whether it has done so.
    pub(crate) fn look(&self, now: Duration, patience: Duration) -> bool {
        {
            let mut line = self.line();
            if !matches!(line.phase, Phase::Draining) || line.planted.has(Fault::NoPatience) {
                return false;
            }
            match line.looked {
                Some((moves, since)) if moves == line.moves => {
                    if now.saturating_sub(since) < patience {
                        return false;
                    }
                }
                _ => {
                    line.looked = Some((line.moves, now));
                    return false;
                }
            }
        }
        self.open()
    }
}

impl Line {
    fn waiting(&self) -> usize {
        self.slots.len() - self.gone
    }

    /// What there is to say to this ticket, if there is anything.
    fn turn(&mut self, number: u64) -> Option<Result<(), Error>> {
        match &self.phase {
            Phase::Open => return Some(Ok(())),
            Phase::Failed(error) => return Some(Err(error.clone())),
            Phase::Closed | Phase::Draining => {}
        }
        match self.slot(number).map(|slot| &slot.place) {
            Some(Place::Waiting(_)) => None,
            // A ticket that has left is not waited with; nobody may hang for it.
            Some(Place::Baton | Place::Gone) | None => Some(Ok(())),
        }
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

    /// Takes a ticket out of the line.
    fn take(&mut self, number: u64) -> Option<Place> {
        if self.slots.front().is_some_and(|front| front.number == number) {
            let front = self.slots.pop_front()?;
            self.tidy();
            return Some(front.place);
        }
        let place = std::mem::replace(&mut self.slot(number)?.place, Place::Gone);
        self.gone += usize::from(!matches!(place, Place::Gone));
        self.tidy();
        Some(place)
    }

    /// Gives the baton to the lowest ticket in line, unless it has it; returns whom to wake.
    fn pass(&mut self, baton: &AtomicU64) -> Option<Waker> {
        let front =
            if self.planted.has(Fault::UnfairQueue) { self.unfair()? } else { self.slots.front_mut()? };
        let Place::Waiting(parked) = &mut front.place else { return None };
        let waker = parked.take();
        front.place = Place::Baton;
        baton.store(front.number, Ordering::Release);
        self.moves += 1;
        waker
    }

    /// The last who waits, where nobody has the baton.
    fn unfair(&mut self) -> Option<&mut Slot> {
        let taken = self.slots.iter().any(|slot| matches!(slot.place, Place::Baton));
        let waits = |slot: &&mut Slot| !taken && matches!(slot.place, Place::Waiting(_));
        self.slots.iter_mut().rev().find(waits)
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
#[cfg(not(auth_shuttle))]
mod tests;
