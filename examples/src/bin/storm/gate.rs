//! A gate: closed at first, opened once, for everybody.

use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::Shared;

pub(crate) struct Gate {
    key: Mutex<Option<oneshot::Sender<()>>>,
    way: Shared<oneshot::Receiver<()>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let (key, way) = oneshot::channel();
        Self { key: Mutex::new(Some(key)), way: way.shared() }
    }

    pub(crate) fn open(&self) {
        let key = self.key.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(key);
    }

    /// Ends when the gate is open.
    pub(crate) async fn pass(&self) {
        let _ = self.way.clone().await;
    }
}
