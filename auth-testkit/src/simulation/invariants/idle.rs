//! Of idling: where tokens are to be refreshed though nobody asks, none is left to expire.

use super::Invariant;
use super::cooling::Cooling;
use super::known::Known;
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, What};
use auth_core::SessionState;

/// A session that refreshes while idle never rests with a token that has expired, once the world is well.
pub(super) struct NeverStale {
    known: Known,
    cooling: Cooling,
    healed: bool,
    stale: Option<String>,
}

impl NeverStale {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { known: Known::new(plan), cooling: Cooling::new(plan), healed: false, stale: None }
    }

    fn is_stale(&self, moment: &Moment) -> bool {
        let (process, at) = (moment.process, moment.at);
        let active = self.known.session(process).is_some_and(|session| session.state == SessionState::Active);
        let expired = self.known.newest_life(process).is_some_and(|life| life.is_surely_expired(at));
        let alive = self.known.is_refresh_surely_good(process, at);
        active && expired && alive && self.cooling.is_surely_over(process, at)
    }
}

impl Invariant for NeverStale {
    fn name(&self) -> &'static str {
        "never-stale"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        if !self.known.rules.idle {
            return Ok(());
        }
        self.known.see(moment);
        self.cooling.see(moment);
        match &moment.what {
            What::Healed => self.healed = true,
            What::Counted(_) if self.healed && self.is_stale(moment) => {
                self.stale = Some(format!(
                    "the token of process {} has expired, and nobody refreshes it",
                    moment.process
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self) -> Result<(), String> {
        self.stale.take().map_or(Ok(()), Err)
    }
}
