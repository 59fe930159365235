//! Rest: what a pool asks of a session that nobody holds. Whatever is foreign comes first, without a lock; the answer itself
//! is plain data under the state's.

use std::time::Duration;

use super::Session;
use crate::Counters;

impl Session {
    /// Ends what is past its deadline, on a runtime that nobody drives, say. Returns the session's own time.
    pub(crate) fn look(&self) -> Duration {
        let core = self.core();
        let now = core.now();
        core.change(|state, after| core.look(state, after, now));
        core.ledger.look(core);
        now
    }

    /// The same, and saves again what could not be saved.
    pub(crate) fn settle(&self) -> Duration {
        let core = self.core();
        core.change(|state, after| {
            if state.save_again() {
                after.write();
            }
        });
        self.look()
    }

    /// Where it may be given up, what it has done in its life. From then on it does nothing by itself, so that another session
    /// may be made in its place although this one is not dropped yet. For a caller who knows that nobody holds it.
    ///
    /// Asked under the pool's lock: nothing foreign is called or dropped.
    pub(crate) fn retire(&self, now: Duration) -> Option<Counters> {
        let core = self.core();
        core.peek(|state| {
            let replaceable = core.stored || !state.is_irreplaceable();
            if !replaceable || !state.is_at_rest(now, &core.policy) || !core.ledger.is_at_rest() {
                return None;
            }
            core.close_timer();
            Some(core.counted(state))
        })
    }

    /// What it has done so far, for somebody who holds a lock.
    pub(crate) fn tally(&self) -> Counters {
        let core = self.core();
        core.peek(|state| core.counted(state))
    }
}
