//! Of restraint: the token endpoint is left alone after a failure, and where refreshes do not help.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use auth_core::{Cause, Event};

use super::Invariant;
use super::cooling::Cooling;
use super::known::{LAG, STEP};
use crate::simulation::plan::{Plan, SessionPlan};
use crate::simulation::record::{Moment, What};

/// After a refresh that failed none is started for the policy's time, or for as long as the server asks; and none after a
/// rejection, once so many new tokens have been rejected within half a minute.
pub(super) struct Restraint {
    rules: SessionPlan,
    cooling: Cooling,
    disturbed: Vec<u32>,
    /// When the refreshes were told that a rejection had started, in each session's epoch.
    rejected: HashMap<u32, VecDeque<Duration>>,
    /// Calls for first tokens; and when one was answered with a no.
    first: HashMap<u32, u32>,
    refused: HashMap<u32, Duration>,
}

const WINDOW: Duration = Duration::from_secs(30);

impl Restraint {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            rules: plan.session.clone(),
            cooling: Cooling::new(plan),
            disturbed: Vec::new(),
            rejected: HashMap::new(),
            first: HashMap::new(),
            refused: HashMap::new(),
        }
    }

    fn started(&self, moment: &Moment, cause: Cause) -> Result<(), &'static str> {
        let (process, at) = (moment.process, moment.at);
        if cause == Cause::Forced || self.disturbed.contains(&process) {
            return Ok(());
        }
        if self.cooling.surely_runs(process, at) {
            return Err("the token endpoint was to be left alone");
        }
        let most = self.rules.most_rejections();
        let lately = self.rejected.get(&process).into_iter().flatten();
        let lately = lately.filter(|then| at + LAG < **then + WINDOW).count();
        if cause == Cause::Rejected && lately >= most {
            return Err("every new token had been rejected");
        }
        Ok(())
    }
}

impl Invariant for Restraint {
    fn name(&self) -> &'static str {
        "no-storm"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let process = moment.process;
        match &moment.what {
            What::Told(Event::RefreshStarted { flight, cause }) => self
                .started(moment, *cause)
                .map_err(|why| format!("flight {flight} ({cause:?}) began, and {why}"))?,
            What::Told(Event::Refreshed { cause: Cause::Rejected, .. }) => {
                self.rejected.entry(process).or_default().push_back(moment.at);
            }
            What::Told(Event::SignedIn { .. } | Event::SignedOut { .. } | Event::IdentityChanged { .. }) => {
                drop(self.rejected.remove(&process));
            }
            What::SignIn { .. } | What::SignOut => drop(self.refused.remove(&process)),
            What::Acquiring { call } => {
                self.first.insert(*call, process);
                let cooldown = self.rules.cooldown() * 8 / 10;
                let early =
                    self.refused.get(&process).is_some_and(|then| moment.at + STEP < *then + cooldown);
                if early && !self.disturbed.contains(&process) {
                    return Err(format!(
                        "call {call} asked for first tokens, and the last had just been refused"
                    ));
                }
            }
            What::Failed { call, status: Some(400) } if self.first.contains_key(call) => {
                self.refused.insert(process, moment.at);
            }
            What::Stopped { .. } => self.disturbed.push(process),
            _ => {}
        }
        self.cooling.see(moment);
        Ok(())
    }
}
