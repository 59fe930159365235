//! Guests: how a pool learns that nobody holds a session any more.

use std::sync::Weak;

use super::shelf::Spot;
use crate::{MaybeSend, MaybeSync};

/// Shared by all handles of a session that are out at a time. The last one that is dropped brings the session back.
pub(crate) struct Guest {
    home: Weak<dyn Home>,
    spot: Spot,
    visit: u64,
}

/// A pool, whatever its keys are.
pub(super) trait Home: MaybeSend + MaybeSync {
    /// The last handle of this visit has been dropped.
    fn returned(&self, spot: Spot, visit: u64);
}

impl Guest {
    pub(super) fn new(home: Weak<dyn Home>, spot: Spot, visit: u64) -> Self {
        Self { home, spot, visit }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.returned(self.spot, self.visit);
        }
    }
}
