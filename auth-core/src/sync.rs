//! Synchronization: where this crate takes its locks, its atomics and its thread-locals from.
//!
//! They are the standard library's, and `arc-swap`. In this crate's own tests under `--cfg auth_shuttle` they are those of the
//! model checker `shuttle`, which decides at each of them who goes on (`session/schedules`); they work in its models only, so
//! other tests that need them are left out there. What only numbers things is from the standard library in both.

#[cfg(not(all(test, auth_shuttle)))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
    pub(crate) use std::thread::{self, ThreadId};
    pub(crate) use std::thread_local;

    pub(crate) use arc_swap::ArcSwapOption;
}

#[cfg(all(test, auth_shuttle))]
mod model {
    use std::sync::Arc;

    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, PoisonError};
    pub(crate) use shuttle::thread::{self, ThreadId};
    pub(crate) use shuttle::thread_local;

    /// The real one, but the model checker may let others go on before each access. (What is inside needs no model: there is
    /// nothing of ours in it.)
    pub(crate) struct ArcSwapOption<T> {
        inner: arc_swap::ArcSwapOption<T>,
        accesses: AtomicU64,
    }

    impl<T> ArcSwapOption<T> {
        pub(crate) fn empty() -> Self {
            Self { inner: arc_swap::ArcSwapOption::empty(), accesses: AtomicU64::new(0) }
        }

        pub(crate) fn load(&self) -> arc_swap::Guard<Option<Arc<T>>> {
            self.others_may_go_on();
            self.inner.load()
        }

        pub(crate) fn load_full(&self) -> Option<Arc<T>> {
            self.others_may_go_on();
            self.inner.load_full()
        }

        pub(crate) fn swap(&self, new: Option<Arc<T>>) -> Option<Arc<T>> {
            self.others_may_go_on();
            self.inner.swap(new)
        }

        fn others_may_go_on(&self) {
            self.accesses.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(all(test, auth_shuttle))]
pub(crate) use model::*;
#[cfg(not(all(test, auth_shuttle)))]
pub(crate) use real::*;
