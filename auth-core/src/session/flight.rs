//! A flight, as those who wait for it see it: its queue, its outcome and its deadline.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::Shared;

use super::lease::{Lease, Snapshot, Stamp};
use super::queue::Queue;
use crate::contain::quietly;
use crate::event::{Cause, FlightId};
use crate::planted::Planted;
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, PoisonError};
use crate::{Error, Tokens};

/// What came of a flight or a load. The lease is taken from the session afterwards: it has the newest.
pub(crate) type Outcome = Result<(), Error>;

/// A oneshot that anyone may fill and everyone may wait for. The first answer counts.
pub(crate) struct Promise {
    sender: Mutex<Option<oneshot::Sender<Outcome>>>,
    shared: Shared<oneshot::Receiver<Outcome>>,
}

impl std::fmt::Debug for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Promise").finish_non_exhaustive()
    }
}

impl Promise {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = oneshot::channel();
        Self { sender: Mutex::new(Some(sender)), shared: receiver.shared() }
    }

    pub(crate) fn fill(&self, outcome: Outcome) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Waking a `Shared` runs its waiters' wakers; one that panics must not take the filler down with it.
            let _ = quietly(|| sender.send(outcome));
        }
    }

    pub(crate) fn wait(&self) -> Shared<oneshot::Receiver<Outcome>> {
        self.shared.clone()
    }
}

/// One refresh in progress. The driver that makes it is in [`drive`](super::drive); this is the side of the waiters.
pub(crate) struct Flight {
    pub(crate) id: FlightId,
    pub(crate) cause: Cause,
    /// The stamp of the token it replaces.
    pub(crate) from: Stamp,
    /// When, by `elapsed`.
    pub(crate) started: Duration,
    pub(crate) queue: Queue,
    pub(crate) outcome: Promise,
    /// What it brought. Those who wait with a place need no lease of their own then; like one, a place keeps these tokens in
    /// memory for as long as it is held.
    brought: OnceLock<Lease>,
    /// By `elapsed`, in nanoseconds: whoever looks at the flight after it, ends it.
    deadline: AtomicU64,
    /// Another flight presents the refresh token now: this one must not go on.
    overtaken: AtomicBool,
    /// The pair of a session that was signed out meanwhile: for revocation, unless the flight replaces it.
    orphan: Mutex<Option<Arc<Tokens>>>,
}

impl Flight {
    pub(crate) fn new(
        id: FlightId,
        cause: Cause,
        from: Stamp,
        started: Duration,
        deadline: Duration,
        planted: Planted,
    ) -> Self {
        Self {
            id,
            cause,
            from,
            started,
            queue: Queue::new(planted),
            outcome: Promise::new(),
            brought: OnceLock::new(),
            deadline: AtomicU64::new(nanos(deadline)),
            overtaken: AtomicBool::new(false),
            orphan: Mutex::new(None),
        }
    }

    pub(crate) fn is_past_deadline(&self, now: Duration) -> bool {
        nanos(now) >= self.deadline.load(Ordering::Relaxed)
    }

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_nanos(self.deadline.load(Ordering::Relaxed))
    }

    pub(crate) fn set_deadline(&self, deadline: Duration) {
        self.deadline.store(nanos(deadline), Ordering::Relaxed);
    }

    pub(crate) fn overtake(&self) {
        self.overtaken.store(true, Ordering::Release);
    }

    pub(crate) fn is_overtaken(&self) -> bool {
        self.overtaken.load(Ordering::Acquire)
    }

    pub(crate) fn orphan(&self, pair: Arc<Tokens>) {
        *self.orphan.lock().unwrap_or_else(PoisonError::into_inner) = Some(pair);
    }

    pub(crate) fn take_orphan(&self) -> Option<Arc<Tokens>> {
        self.orphan.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Under the state's lock, before it lands.
    pub(crate) fn brings(&self, snapshot: &Arc<Snapshot>) {
        // A flight lands once.
        let _ = self.brought.set(Lease::from(Arc::clone(snapshot)));
    }

    /// What it brought, though there may be newer.
    #[inline]
    pub(crate) fn brought(&self) -> Option<&Lease> {
        self.brought.get()
    }

    /// Frees all who wait, with the error.
    pub(crate) fn fail(&self, error: &Error) {
        self.queue.fail(error.clone());
        self.outcome.fill(Err(error.clone()));
    }

    /// Frees all who wait: those with a place one after the other.
    pub(crate) fn land(&self) {
        self.queue.release();
        self.outcome.fill(Ok(()));
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight").field("id", &self.id).field("cause", &self.cause).finish_non_exhaustive()
    }
}
