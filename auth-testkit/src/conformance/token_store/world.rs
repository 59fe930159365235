//! What a clause has in hand: new places, handles on them, and guards.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use auth_core::{BoxFuture, StoreGuard, TokenStore, Tokens};
use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::select;

use super::samples::{self, full};
use crate::conformance::choices::BlockOn;
use crate::conformance::clause::{KEPT, Verdict};
use crate::conformance::trial::Stage;

pub(super) type Places = Box<dyn Fn(&Stage) -> Place + Send + Sync>;
type Open = Box<dyn Fn() -> BoxFuture<'static, Handle> + Send + Sync>;
type Act = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

pub(super) struct World {
    places: Places,
    block_on: BlockOn,
    stage: Stage,
}

impl World {
    pub(super) fn new(places: Places, block_on: BlockOn, stage: Stage) -> Self {
        Self { places, block_on, stage }
    }

    /// One that nobody has used. It lasts at least as long as what is opened there.
    pub(super) fn place(&self) -> Place {
        self.stage.set("waiting for a place");
        (self.places)(&self.stage)
    }

    /// What happens next, for whoever waits for it in vain.
    pub(super) fn stage(&self, what: impl Into<String>) {
        self.stage.set(what);
    }

    /// Tried in a place of its own: a lock that is never given back is no concern of every clause.
    pub(super) async fn has_lock(&self) -> Result<bool, String> {
        let place = self.place();
        let handle = place.open().await;
        Ok(handle.try_lock().await?.is_some())
    }

    /// Runs it on a thread of its own.
    pub(super) fn aside(
        &self,
        work: impl Future<Output = Verdict> + Send + 'static,
    ) -> BoxFuture<'static, Verdict> {
        let (done, ended) = oneshot::channel();
        let block_on = Arc::clone(&self.block_on);
        let thread = std::thread::Builder::new().name("a clause's other session".to_owned());
        let thread = thread.spawn(move || {
            block_on(Box::pin(async move {
                let _ = done.send(work.await);
            }));
        });
        Box::pin(async move {
            thread.map_err(|error| format!("no thread could be started: {error}"))?;
            ended.await.unwrap_or_else(|_| Err("it panicked on another thread".to_owned()))
        })
    }
}

pub(super) struct Place {
    open: Open,
    steal: Act,
    failing: Act,
    garbled: Act,
    stage: Stage,
}

impl Place {
    pub(super) fn new(open: Open, acts: [Act; 3], stage: &Stage) -> Self {
        let [steal, failing, garbled] = acts;
        Self { open, steal, failing, garbled, stage: stage.clone() }
    }

    /// Another handle on what is there.
    pub(super) async fn open(&self) -> Handle {
        self.stage.set("waiting for a store to open");
        (self.open)().await
    }

    pub(super) async fn steal(&self) {
        self.stage.set("waiting for `steal`");
        (self.steal)().await;
    }

    pub(super) async fn fail(&self) {
        self.stage.set("waiting for `failing`");
        (self.failing)().await;
    }

    pub(super) async fn garble(&self) {
        self.stage.set("waiting for `garbled`");
        (self.garbled)().await;
    }
}

/// A store that was opened in a place.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) store: Arc<dyn TokenStore>,
    debug: Arc<dyn Fn() -> String + Send + Sync>,
    stage: Stage,
}

impl Handle {
    pub(super) fn new<S: TokenStore>(store: Arc<S>, debug: Option<fn(&S) -> String>, stage: Stage) -> Self {
        let shown = Arc::clone(&store);
        let debug = Arc::new(move || debug.map_or_else(String::new, |debug| debug(&shown)));
        Self { store, debug, stage }
    }

    pub(super) fn debug(&self) -> String {
        (self.debug)()
    }

    pub(super) async fn load(&self) -> Result<Option<Tokens>, String> {
        self.stage.set("waiting for a load");
        self.store.load().await.map_err(failed("a load"))
    }

    pub(super) async fn save(&self, tokens: &Tokens) -> Verdict {
        self.stage.set("waiting for a save");
        self.store.save(tokens).await.map_err(failed("a save"))
    }

    pub(super) async fn clear(&self) -> Verdict {
        self.stage.set("waiting for a clear");
        self.store.clear().await.map_err(failed("a clear"))
    }

    /// `None`: there is none.
    pub(super) async fn try_lock(&self) -> Result<Option<Guard>, String> {
        self.try_lock_after("").await
    }

    /// What was done before completes the sentence of what is waited for in vain.
    async fn try_lock_after(&self, what: &str) -> Result<Option<Guard>, String> {
        self.stage.set(format!("waiting for the lock{what}"));
        let guard = self.store.lock().await.map_err(failed("a lock"))?;
        Ok(guard.map(|guard| Guard { guard, stage: self.stage.clone() }))
    }

    pub(super) async fn lock(&self) -> Result<Guard, String> {
        self.lock_after("").await
    }

    pub(super) async fn lock_after(&self, what: &str) -> Result<Guard, String> {
        let guard = self.try_lock_after(what).await?;
        guard.ok_or_else(|| "a lock is `None`, where there was one before".to_owned())
    }

    /// In a box, so that it can be waited for, kept and given up.
    pub(super) fn locking(&self) -> BoxFuture<'_, Result<Guard, String>> {
        self.lock().boxed()
    }

    /// `when` completes the sentence of what is seen instead.
    pub(super) async fn holds(&self, tokens: Option<&Tokens>, when: &str) -> Verdict {
        samples::same(tokens, self.load().await?.as_ref(), when)
    }
}

/// The store while a clause has locked it.
pub(super) struct Guard {
    pub(super) guard: Box<dyn StoreGuard>,
    stage: Stage,
}

impl Guard {
    pub(super) async fn load(&mut self) -> Result<Option<Tokens>, String> {
        self.stage.set("waiting for a guard's load");
        self.guard.load().await.map_err(failed("a guard's load"))
    }

    pub(super) async fn save(&mut self, tokens: &Tokens) -> Verdict {
        self.stage.set("waiting for a guard's save");
        self.guard.save(tokens).await.map_err(failed("a guard's save"))
    }

    pub(super) async fn clear(&mut self) -> Verdict {
        self.stage.set("waiting for a guard's clear");
        self.guard.clear().await.map_err(failed("a guard's clear"))
    }

    pub(super) async fn release(self) {
        self.stage.set("waiting for a release");
        self.guard.release().await;
    }

    pub(super) async fn holds(&mut self, tokens: Option<&Tokens>, when: &str) -> Verdict {
        samples::same(tokens, self.load().await?.as_ref(), when)
    }

    /// Works for a while, in which nobody else may get the lock: not the one who waits for it.
    pub(super) async fn excludes(
        &mut self,
        waiting: &mut BoxFuture<'_, Result<Guard, String>>,
        who: &str,
    ) -> Verdict {
        for n in 0..10 {
            let tokens = full(n);
            let work = async {
                self.save(&tokens).await?;
                self.holds(Some(&tokens), "after a guard's save").await
            };
            let got = async {
                match (&mut *waiting).await {
                    Ok(_) => Err(format!("{who} has the lock too")),
                    Err(seen) => Err(seen),
                }
            };
            select(pin!(got), pin!(work)).await.factor_first().0?;
        }
        KEPT
    }
}

/// Polls it when it is woken, `times` times at most. `None`: it had not ended by then, and is dropped.
pub(super) async fn polled<T>(mut future: BoxFuture<'_, T>, times: usize) -> Option<T> {
    let mut left = times;
    poll_fn(|cx| {
        if left > 0 {
            left -= 1;
            if let Poll::Ready(done) = future.poll_unpin(cx) {
                return Poll::Ready(Some(done));
            }
        }
        if left > 0 { Poll::Pending } else { Poll::Ready(None) }
    })
    .await
}

fn failed<E: fmt::Debug>(what: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{what} failed: {error:?}")
}
