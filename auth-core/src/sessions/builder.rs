//! Building a pool: its factory and its numbers.

use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use super::shelf::Shelf;
use super::{Sessions, Shared};
use crate::session::standalone;
use crate::sync::{Condvar, Mutex};
use crate::{MaybeSend, MaybeSync, Runtime, SessionBuilder};

/// What makes sessions. (`dyn Fn` takes no `MaybeSend`.)
pub(super) trait Factory<K>: MaybeSend + MaybeSync {
    fn make(&self, key: &K) -> SessionBuilder;
}

impl<K, F: Fn(&K) -> SessionBuilder + MaybeSend + MaybeSync> Factory<K> for F {
    fn make(&self, key: &K) -> SessionBuilder {
        self(key)
    }
}

/// The numbers of a pool of [`Sessions`].
#[must_use = "a builder does nothing until it builds"]
pub struct SessionsBuilder<K> {
    factory: Box<dyn Factory<K>>,
    runtime: Option<Arc<dyn Runtime>>,
    max: usize,
    idle: Duration,
}

impl<K> SessionsBuilder<K> {
    pub(super) fn new(factory: Box<dyn Factory<K>>) -> Self {
        Self { factory, runtime: None, max: 10_000, idle: Duration::from_secs(15 * 60) }
    }

    /// Its clock says what is idle, and sessions whose builder names no runtime run on it. Default: `StandaloneRuntime`
    /// (feature `standalone`).
    pub fn runtime(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Some(Arc::new(runtime));
        self
    }

    /// How many sessions there may be, before more fail as [`QueueFull`](crate::ErrorKind::QueueFull). Default: 10,000.
    pub fn max(mut self, most: usize) -> Self {
        self.max = most;
        self
    }

    /// How long after its last handle was dropped, or it was seen busy, a session may be evicted though there is room. Default:
    /// 15 min: whoever comes back after that can wait for the store, once.
    pub fn idle(mut self, after: Duration) -> Self {
        self.idle = after;
        self
    }

    /// Builds the pool. It makes no session until one is asked for.
    ///
    /// # Panics
    ///
    /// Without a [`runtime`](Self::runtime), in a build without the feature `standalone` (or on wasm32).
    #[must_use]
    pub fn build(self) -> Sessions<K> {
        let runtime = self.runtime.or_else(standalone);
        let shared = Shared {
            factory: self.factory,
            max: self.max,
            idle: self.idle,
            runtime: runtime.expect("a pool needs a runtime: name one, or enable `standalone`"),
            hasher: RandomState::new(),
            shelf: Mutex::new(Shelf::new()),
            made: Condvar::new(),
        };
        Sessions { shared: Arc::new(shared) }
    }
}

impl<K> fmt::Debug for SessionsBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max, idle, .. } = self;
        f.debug_struct("SessionsBuilder").field("max", max).field("idle", idle).finish_non_exhaustive()
    }
}
