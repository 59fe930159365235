//! The lanes of requests, and of the other calls that wait.

use super::super::super::record::What;
use super::draft::{Draft, Here, Key};
use super::{Of, Own, Phase, Sign};
use crate::simulation::timeline::say;

impl Draft {
    pub(super) fn request(&mut self, here: Here, request: u32, what: &What) {
        let lane = self.lane(Of::Process(here.process, Own::Request(request)));
        lane.finish(here, Key::Request);
        match what {
            // It waits until it is sent: for no time at all, where there is a good token.
            What::Submitted { .. } => lane.begin(here, Key::Request, Phase::Queued, String::new()),
            What::Sent { attempt, token, .. } => {
                let phase = if *attempt > 1 { Phase::Replayed } else { Phase::Sent };
                let label = token.map(say::access).unwrap_or_default();
                lane.begin(here, Key::Request, phase, label);
            }
            What::Answered { status: Some(401), .. } => {
                lane.mark(here, Sign::Rejected, "401".to_owned());
                // It waits for another token, or is settled in the same breath.
                lane.begin(here, Key::Request, Phase::Queued, String::new());
            }
            What::Settled { outcome, .. } => {
                let (sign, label) = match outcome {
                    Ok(status @ ..400) => (Sign::Ok, status.to_string()),
                    Ok(status) => (Sign::Refused, status.to_string()),
                    Err(kind) => (Sign::Failed, kind.as_str().to_owned()),
                };
                lane.mark(here, sign, label);
            }
            What::Cancelled { .. } => lane.mark(here, Sign::Cancelled, String::new()),
            What::Parked { .. } => {
                lane.mark(here, Sign::Parked, String::new());
                lane.begin(here, Key::Request, Phase::Parked, String::new());
            }
            _ => {}
        }
    }
}
