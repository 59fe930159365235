//! Requests that are kept under way: so many at a time, each followed by the next.

use std::cell::Cell;

use futures::future::join_all;

use super::CONNECTIONS;

/// Sends until it is told to stop, and says how many were sent and how many of them had no 200.
pub(crate) async fn keep_busy(go_on: impl Fn(usize) -> bool, send: impl AsyncFn() -> bool) -> (usize, usize) {
    let (sent, failed) = (Cell::new(0), Cell::new(0));
    let line = async || {
        while go_on(sent.get()) {
            sent.set(sent.get() + 1);
            if !send().await {
                failed.set(failed.get() + 1);
            }
        }
    };
    join_all((0..CONNECTIONS).map(|_| line())).await;
    (sent.get(), failed.get())
}
