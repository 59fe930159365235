//! Tasks that tell the world whether they can go on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::task::{ArcWake, waker};

use super::World;
use crate::BoxFuture;

/// One task of the world.
pub(super) struct Task {
    future: Option<BoxFuture<'static, ()>>,
    life: Arc<Life>,
}

/// Whether a task can go on.
struct Life {
    world: Arc<World>,
    mood: Mutex<Mood>,
}

enum Mood {
    /// Being polled; whether it was woken meanwhile.
    Polled(Waker, bool),
    Quiet(Waker),
    /// About to be polled.
    Woken(Option<Waker>),
}

impl Life {
    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One less can go on, or is there at all.
    fn calm(&self, ended: bool) {
        let quiet = ended && matches!(*self.mood(), Mood::Quiet(_));
        let watching = {
            let mut facts = self.world.facts();
            facts.busy -= usize::from(!quiet);
            facts.alive -= usize::from(ended);
            if facts.busy == 0 { facts.watching.take() } else { None }
        };
        if let Some(watching) = watching {
            watching.wake();
        }
    }
}

impl ArcWake for Life {
    fn wake_by_ref(this: &Arc<Self>) {
        let mut mood = this.mood();
        let waker = match &mut *mood {
            Mood::Polled(waker, woken) => {
                *woken = true;
                waker.clone()
            }
            Mood::Quiet(waker) => {
                let waker = waker.clone();
                this.world.facts().busy += 1;
                *mood = Mood::Woken(Some(waker.clone()));
                waker
            }
            Mood::Woken(waker) => match waker {
                Some(waker) => waker.clone(),
                None => return,
            },
        };
        drop(mood);
        waker.wake();
    }
}

impl Task {
    pub(super) fn new(world: &Arc<World>, future: BoxFuture<'static, ()>) -> Self {
        let life = Life { world: Arc::clone(world), mood: Mutex::new(Mood::Woken(None)) };
        Self { future: Some(future), life: Arc::new(life) }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(future) = &mut this.future else { return Poll::Ready(()) };
        {
            let mut mood = this.life.mood();
            if matches!(*mood, Mood::Quiet(_)) {
                // Shuttle polls once more after each wake-up. That would hide a wake-up that is missing.
                return Poll::Pending;
            }
            *mood = Mood::Polled(cx.waker().clone(), false);
        }
        let waker = waker(Arc::clone(&this.life));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            // Its destructors are still its own: it is busy until they are done.
            this.future = None;
            return Poll::Ready(());
        }
        let mut mood = this.life.mood();
        if matches!(*mood, Mood::Polled(_, true)) {
            *mood = Mood::Woken(Some(cx.waker().clone()));
            // Once more: waiting for a mutex meanwhile takes a task's wake-up away.
            cx.waker().wake_by_ref();
        } else {
            *mood = Mood::Quiet(cx.waker().clone());
            drop(mood);
            this.life.calm(false);
        }
        Poll::Pending
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.future = None;
        self.life.calm(true);
    }
}
