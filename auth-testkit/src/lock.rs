//! Locking: every mutex here guards plain data for the length of a field access, so a poisoned one is still good.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The data. Nothing foreign runs while the guard lives: no poll, no wake-up, no drop of a future.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
