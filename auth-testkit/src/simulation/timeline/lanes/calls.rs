//! The lanes of the store and of the token endpoint: one span for each call.

use super::super::super::record::{StoreOp, StoreOutcome, What};
use super::draft::{Draft, Here, Key};
use super::{Lane, Of, Phase, Sign};
use crate::simulation::timeline::say;

impl Draft {
    pub(super) fn call(&mut self, here: Here, what: &What) {
        match what {
            What::Presented { call, refresh } => {
                let label = say::refresh(*refresh);
                self.part_begins(here, (Of::Endpoint, *call), Phase::Asking, &label);
                self.lane(Of::Endpoint).begin(here, Key::Call(*call), Phase::Asking, label);
            }
            What::Acquiring { call } => {
                let label = "first tokens".to_owned();
                self.part_begins(here, (Of::Endpoint, *call), Phase::Asking, &label);
                self.lane(Of::Endpoint).begin(here, Key::Call(*call), Phase::Asking, label);
            }
            What::Exchanged { call, access, .. } => self.exchanged(here, *call, say::access(*access)),
            What::Refused { call, .. } => self.answered(here, *call, Sign::Failed),
            What::Failed { call, .. } => self.answered(here, *call, Sign::Failed),
            What::Delivered { call } => self.answered(here, *call, Sign::Ok),
            What::Lost { call } => self.answered(here, *call, Sign::Lost),
            What::Abandoned { call } => self.answered(here, *call, Sign::Cancelled),
            What::Revoked { .. } => self.lane(Of::Endpoint).mark(here, Sign::SignedOut, String::new()),
            _ => self.stored(here, what),
        }
    }

    fn exchanged(&mut self, here: Here, call: u32, label: String) {
        let lane = self.lane(Of::Endpoint);
        // A call that was given up may be exchanged all the same.
        let on = lane.latest(|key, _| key == Key::Call(call));
        lane.mark_on(on, here, Sign::Exchanged, label);
    }

    fn answered(&mut self, here: Here, call: u32, sign: Sign) {
        self.part_ends(here, (Of::Endpoint, call));
        let lane = self.lane(Of::Endpoint);
        let on = lane.finish(here, Key::Call(call));
        lane.mark_on(on, here, sign, String::new());
    }

    fn stored(&mut self, here: Here, what: &What) {
        match what {
            What::StoreBegan { call, op, .. } => {
                let (phase, label) = match op {
                    StoreOp::Load => (Phase::Loading, "load".to_owned()),
                    StoreOp::Save { pair } => (Phase::Saving, format!("save {}", say::pair(*pair))),
                    StoreOp::Clear => (Phase::Clearing, "clear".to_owned()),
                    StoreOp::Lock => (Phase::Locking, "lock".to_owned()),
                };
                self.part_begins(here, (Of::Store, *call), phase, &label);
                self.lane(Of::Store).begin(here, Key::Call(*call), phase, label);
            }
            What::StoreEnded { call, op, outcome } => {
                self.part_ends(here, (Of::Store, *call));
                self.lane(Of::Store).store_ended(here, *call, *op, *outcome);
            }
            What::Unlocked => {
                self.lane(Of::Store).finish(here, Key::Lock);
            }
            What::Stored { pair } => {
                let label = pair.map_or_else(|| "empty".to_owned(), say::pair);
                let lane = self.lane(Of::Store);
                let writes = |phase| matches!(phase, Phase::Saving | Phase::Clearing);
                let on = lane.latest(|_, span| span.process == here.process && writes(span.phase));
                lane.mark_on(on, here, Sign::Stored, label);
            }
            _ => {}
        }
    }
}

impl Lane {
    fn store_ended(&mut self, here: Here, call: u32, op: StoreOp, outcome: StoreOutcome) {
        let on = self.finish(here, Key::Call(call));
        match outcome {
            StoreOutcome::Done(_) if op == StoreOp::Lock => {
                // Whoever had it has lost it: there is one lock.
                self.finish(here, Key::Lock);
                self.begin(here, Key::Lock, Phase::Holding, "locked".to_owned());
            }
            StoreOutcome::Done(_) => {}
            StoreOutcome::Failed => self.mark_on(on, here, Sign::Failed, "failed".to_owned()),
            StoreOutcome::Conflict => self.mark_on(on, here, Sign::Failed, "lock lost".to_owned()),
            StoreOutcome::Dropped => self.mark_on(on, here, Sign::Cancelled, String::new()),
        }
    }
}
