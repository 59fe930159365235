//! The crowd: waiters of one session, what becomes of each of them, and what they saw.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn, ready};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use auth_core::{BoxFuture, Error, ErrorKind, FlightId, Session, Stamp, Turn};
use proptest::prelude::*;
use proptest::strategy::Union;

/// What becomes of a waiter, if nobody cancels it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Waits, starts, is done.
    Healthy,
    /// Is polled once, kept, and not polled again.
    Kept,
    /// The same, and its destructor does not run either.
    Leaked,
    /// Is woken, and dropped instead of polled.
    DroppedWhenWoken,
    /// Is woken, and polled after a pause.
    Late(u8),
    /// Has its turn, and starts after a pause.
    Hesitates(u8),
    DropsTurn,
    TakesLease,
    /// Drops its start unpolled.
    DropsStart,
    /// Its start panics in its first poll.
    Panics,
    /// Its start takes a pause after its first poll.
    Slow(u8),
    /// Its start is dropped after its first poll, before it is done.
    DropsSlow,
    /// Its start's first poll cancels another.
    Cancels(usize),
}

impl Fate {
    /// Whether it has a place in line for good.
    pub fn is_stuck(self) -> bool {
        matches!(self, Self::Kept | Self::Leaked)
    }

    pub fn pause(self) -> u8 {
        match self {
            Self::Late(pause) | Self::Hesitates(pause) => pause,
            _ => 0,
        }
    }
}

/// The fates of a crowd. Without anyone stuck, and without pauses, more can be promised.
pub fn fates(stuck: u32, pauses: u32) -> Union<BoxedStrategy<Fate>> {
    let all = [
        (8, Just(Fate::Healthy).boxed()),
        (stuck, Just(Fate::Kept).boxed()),
        (stuck, Just(Fate::Leaked).boxed()),
        (2, Just(Fate::DroppedWhenWoken).boxed()),
        (pauses, (1_u8..30).prop_map(Fate::Late).boxed()),
        (pauses, (1_u8..30).prop_map(Fate::Hesitates).boxed()),
        (1, Just(Fate::DropsTurn).boxed()),
        (1, Just(Fate::TakesLease).boxed()),
        (1, Just(Fate::DropsStart).boxed()),
        (1, Just(Fate::Panics).boxed()),
        (2, (1_u8..30).prop_map(Fate::Slow).boxed()),
        (1, Just(Fate::DropsSlow).boxed()),
        (2, any::<usize>().prop_map(Fate::Cancels).boxed()),
    ];
    Union::new_weighted(all.into_iter().filter(|(weight, _)| *weight > 0).collect())
}

pub type Waiting = Pin<Box<dyn Future<Output = Result<Turn, Error>> + Send>>;

/// Where they wait, and what differs between executors.
pub struct Stage {
    pub session: Session,
    pub stamp: Stamp,
    pub elapsed: Box<dyn Fn() -> Duration + Send + Sync>,
    pub pause: Box<dyn Fn(u8) -> BoxFuture<'static, ()> + Send + Sync>,
    pub cancel: Box<dyn Fn(usize) + Send + Sync>,
    /// Called when a waiter's first poll has left it in line.
    pub joined: Box<dyn Fn() + Send + Sync>,
    pub log: Mutex<Log>,
    pub shelf: Mutex<Vec<Waiting>>,
}

#[derive(Default)]
pub struct Log {
    /// In the order in which they were left in line by their first poll.
    pub joined: Vec<usize>,
    pub starts: Vec<Began>,
    pub members: BTreeMap<usize, Report>,
    /// How many first polls are under way, by flight.
    inside: BTreeMap<FlightId, u32>,
}

/// The first poll of a start that had a place.
#[derive(Clone, Copy, Debug)]
pub struct Began {
    pub member: usize,
    pub flight: FlightId,
    pub ticket: u64,
    pub at: Duration,
    pub alone: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How often its wait was polled.
    pub polls: u32,
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Turn(Option<(FlightId, u64)>),
    Failed(ErrorKind),
    Left,
}

impl Stage {
    fn poll(&self, member: usize, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Result<Turn, Error>> {
        let polled = waiting.as_mut().poll(cx);
        let mut log = self.log.lock().unwrap();
        let report = log.members.entry(member).or_default();
        report.polls += 1;
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Ok(turn)) => report.outcome = Some(Outcome::Turn(turn.flight().zip(turn.ticket()))),
            Poll::Ready(Err(error)) => report.outcome = Some(Outcome::Failed(error.kind())),
        }
        polled
    }
}

/// A waiter's life.
pub async fn live(stage: Arc<Stage>, member: usize, fate: Fate) {
    let (session, stamp) = (stage.session.clone(), stage.stamp);
    let mut waiting: Waiting = Box::pin(async move { session.recover(stamp).await });
    let first = poll_fn(|cx| Poll::Ready(stage.poll(member, &mut waiting, cx))).await;
    let outcome = match first {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => {
            stage.log.lock().unwrap().joined.push(member);
            (stage.joined)();
            match fate {
                Fate::Kept => return stage.shelf.lock().unwrap().push(waiting),
                Fate::Leaked => return std::mem::forget(waiting),
                _ => woken().await,
            }
            match fate {
                Fate::DroppedWhenWoken => {
                    let mut log = stage.log.lock().unwrap();
                    log.members.entry(member).or_default().outcome = Some(Outcome::Left);
                    return;
                }
                Fate::Late(pause) => (stage.pause)(pause).await,
                _ => {}
            }
            poll_fn(|cx| stage.poll(member, &mut waiting, cx)).await
        }
    };
    let Ok(turn) = outcome else { return };
    match fate {
        Fate::DropsTurn => return,
        Fate::TakesLease => return assert!(turn.into_lease().stamp() > stamp),
        Fate::Hesitates(pause) => (stage.pause)(pause).await,
        _ => {}
    }
    let place = turn.flight().zip(turn.ticket());
    let mut start = Box::pin(turn.start(Replay { stage, member, fate, place, rest: None }));
    match fate {
        Fate::DropsStart => {}
        Fate::DropsSlow => {
            let first = poll_fn(|cx| Poll::Ready(start.as_mut().poll(cx))).await;
            assert!(first.is_pending());
        }
        _ => start.await,
    }
}

/// Waits for the task's next wake-up, which its first poll has asked for.
async fn woken() {
    let mut polled = false;
    poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

pub async fn yield_now() {
    let mut polled = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

struct Replay {
    stage: Arc<Stage>,
    member: usize,
    fate: Fate,
    place: Option<(FlightId, u64)>,
    /// What comes after the first poll.
    rest: Option<BoxFuture<'static, ()>>,
}

impl Future for Replay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let rest = this.rest.get_or_insert_with(|| {
            let _inside = this.place.map(|place| Inside::enter(&this.stage, this.member, place));
            // Time for another thread to get between.
            std::thread::yield_now();
            match this.fate {
                Fate::Panics => resume_unwind(Box::new("a scripted panic")),
                Fate::Cancels(other) => (this.stage.cancel)(other),
                _ => {}
            }
            match this.fate {
                Fate::Slow(pause) => (this.stage.pause)(pause),
                Fate::DropsSlow => Box::pin(pending()),
                _ => Box::pin(ready(())),
            }
        });
        rest.as_mut().poll(cx)
    }
}

/// A first poll under way.
struct Inside {
    stage: Arc<Stage>,
    flight: FlightId,
}

impl Inside {
    fn enter(stage: &Arc<Stage>, member: usize, (flight, ticket): (FlightId, u64)) -> Self {
        let at = (stage.elapsed)();
        let mut log = stage.log.lock().unwrap();
        let inside = log.inside.entry(flight).or_default();
        *inside += 1;
        let alone = *inside == 1;
        log.starts.push(Began { member, flight, ticket, at, alone });
        Self { stage: Arc::clone(stage), flight }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(inside) = self.stage.log.lock().unwrap().inside.get_mut(&self.flight) {
            *inside -= 1;
        }
    }
}
