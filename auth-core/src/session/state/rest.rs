//! Rest: whether a session that nobody holds may be given up, and nothing is lost.

use std::time::Duration;

use super::{Phase, State};
use crate::session::policy::Policy;

impl State {
    /// Whether nothing is under way, the store holds what it should, and no guard is up that a session made anew would not
    /// know of.
    pub(crate) fn is_at_rest(&self, now: Duration, policy: &Policy) -> bool {
        // One that has lapsed may still bring a pair; one of another epoch may still hold the store's lock.
        let under_way = self.flight.is_some()
            || self.lapsed.is_some()
            || self.load.is_some()
            || !self.orphans.is_empty()
            || self.landed.iter().any(|flight| flight.strong_count() > 0);
        let cools = self.cooldown.as_ref().is_some_and(|cooldown| now < cooldown.until);
        // Only counted where rejections are limited.
        let guards = self.window.back().is_some_and(|&at| now < at + policy.window);
        !under_way && !cools && !guards && !self.books.is_unsaved()
    }

    /// Whether somebody is signed in with tokens that only a person can bring again.
    pub(crate) fn is_irreplaceable(&self) -> bool {
        matches!(self.phase, Phase::Active(_)) && !self.acquires
    }

    /// Wants tried again what could not be saved. Flights and loads do that by themselves, when they have looked what is
    /// there. Whether there is anything.
    pub(crate) fn save_again(&mut self) -> bool {
        let unsaved = self.books.is_unsaved() && self.flight.is_none() && self.load.is_none();
        if unsaved {
            self.books.try_again();
        }
        unsaved
    }
}
