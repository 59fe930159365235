//! Of wishes: a forced refresh refreshes, a token that is to last lasts, and first tokens are asked for where there are none.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use auth_core::{ErrorKind, Event, SessionState};

use super::Invariant;
use super::cooling::Cooling;
use super::known::{Known, LAG};
use crate::simulation::asked::Call;
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, StoreOp, StoreOutcome, Token, What};

/// `Session::refresh` brings a new token to whoever knows no older one; `Session::access_token` gives one that lasts as long as
/// is asked, where a refresh can do that.
pub(super) struct Wishes {
    known: Known,
    cooling: Cooling,
    lifetime: Option<Duration>,
    /// When a refresh was told of, or a failure of one.
    refreshed: HashMap<u32, Duration>,
    flown: HashMap<u32, Duration>,
    /// Forced refreshes that succeeded, and that no refresh has been told of for.
    open: Vec<(Duration, u32, u32)>,
    /// Tokens that were given and do not last, unless a refresh that failed is told of by then.
    short: Vec<(Duration, u32, u32, Token)>,
    loaded: HashMap<u32, bool>,
    /// Who has ever found the store empty: that may be told when it no longer is.
    found_empty: HashSet<u32>,
    /// Who has a pair that could not be saved: that is written before another's is adopted.
    unsaved: HashSet<u32>,
    /// All access tokens that a process was granted.
    granted: HashSet<(u32, Token)>,
}

impl Wishes {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            known: Known::new(plan),
            cooling: Cooling::new(plan),
            lifetime: plan.server.lifetime_s.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            refreshed: HashMap::new(),
            flown: HashMap::new(),
            open: Vec::new(),
            short: Vec::new(),
            loaded: HashMap::new(),
            found_empty: HashSet::new(),
            unsaved: HashSet::new(),
            granted: HashSet::new(),
        }
    }

    /// Whether a token that is given must last as long as was asked: nothing has stood in the way.
    fn is_short(&self, process: u32, number: u32, token: Token, at: Duration) -> bool {
        let (Some(request), Some(session)) = (self.known.request(number), self.known.session(process)) else {
            return false;
        };
        let Call::AccessToken(least) = request.call else { return false };
        let least = Duration::from_secs(least);
        let margin = |lives: Duration| self.known.rules.margin().min(lives / 10);
        let helps = self.lifetime.is_none_or(|lives| lives - margin(lives) >= least + LAG);
        let born = session.is_born()
            && self
                .known
                .life(process, token)
                .is_some_and(|life| life.good.is_some_and(|good| good < least + LAG));
        let lasts = self
            .known
            .life(process, token)
            .is_none_or(|life| life.expires.is_none_or(|(_, latest)| latest >= request.began + least));
        let flew = self.flown.get(&process).is_some_and(|then| *then >= request.began);
        let can = session.state == SessionState::Active
            && !session.doubtful
            && !session.disturbed
            && self.cooling.is_surely_over(process, at)
            && self.known.is_refresh_surely_good(process, at);
        helps && !born && !lasts && !flew && can
    }

    /// Whether the session has found a newer pair of its sign-in that it does not use.
    fn had_better(&self, moment: &Moment) -> bool {
        let process = moment.process;
        let Some(session) = self.known.session(process).filter(|session| !session.disturbed) else {
            return false;
        };
        let (Some(token), Some(found), false) = (session.token, session.found(), session.doubtful) else {
            return false;
        };
        let good = self.known.life(process, found).is_some_and(|life| life.is_surely_good(moment.at))
            && !self.unsaved.contains(&process);
        // Its own may not be used: where it could not be saved.
        let others = !self.granted.contains(&(process, found));
        others && good && found.sign_in == token.sign_in && found.number > token.number
    }

    fn settled(&mut self, moment: &Moment, number: u32) {
        let (Some(request), Some(session)) = (self.known.request(number), self.known.session(moment.process))
        else {
            return;
        };
        if request.is_forced(session.newest) && !session.disturbed {
            self.open.push((moment.at + LAG, moment.process, number));
        }
    }

    fn look(&mut self, at: Duration) -> Result<(), String> {
        let (known, refreshed) = (&self.known, &self.refreshed);
        self.open.retain(|(_, process, number)| {
            let began = known.request(*number).map_or(at, |request| request.began);
            known.session(*process).is_some_and(|session| !session.disturbed)
                && refreshed.get(process).is_none_or(|then| *then < began)
        });
        let flown = &self.flown;
        self.short.retain(|(_, process, number, _)| {
            let began = known.request(*number).map_or(at, |request| request.began);
            flown.get(process).is_none_or(|then| *then < began)
        });
        if let Some((_, _, number, token)) = self.short.iter().find(|(until, ..)| at > *until) {
            return Err(format!(
                "call {number} was given access token {}, which does not last",
                token.number
            ));
        }
        match self.open.iter().find(|(until, ..)| at > *until) {
            Some((_, _, number)) => Err(format!("call {number} asked for a refresh, and none was made")),
            None => Ok(()),
        }
    }

    fn judge(&mut self, moment: &Moment) -> Result<(), String> {
        let process = moment.process;
        match &moment.what {
            What::Handed { request, token } if self.is_short(process, *request, *token, moment.at) => {
                self.short.push((moment.at + LAG, process, *request, *token));
                Ok(())
            }
            What::Told(Event::RefreshFailed { flight, error, .. })
                if error.kind() == ErrorKind::RefreshUnavailable && self.had_better(moment) =>
            {
                Err(format!("flight {flight} failed though it had found a good pair in the store"))
            }
            What::Told(Event::Loaded { signed_in: false }) if !self.found_empty.contains(&process) => {
                Err("the store was told to be empty, and nobody had seen that".to_owned())
            }
            What::Acquiring { .. } if self.loaded.get(&process) != Some(&true) => {
                Err("first tokens were asked for, and nobody had seen the store empty".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl Invariant for Wishes {
    fn name(&self) -> &'static str {
        "as-asked"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let (process, at) = (moment.process, moment.at);
        self.judge(moment)?;
        self.known.see(moment);
        self.cooling.see(moment);
        match &moment.what {
            // One that was dropped says nothing, and another may have been made meanwhile.
            What::StoreEnded { op: StoreOp::Load, outcome, .. } if *outcome != StoreOutcome::Dropped => {
                let is_empty = *outcome == StoreOutcome::Done(None);
                self.loaded.insert(process, is_empty);
                if is_empty {
                    self.found_empty.insert(process);
                }
            }
            // Under the lock it is to be read once more.
            What::StoreEnded { op: StoreOp::Lock, outcome: StoreOutcome::Done(_), .. } => {
                self.loaded.remove(&process);
            }
            What::Granted { pair, .. } => drop(self.granted.insert((process, pair.access))),
            What::Told(Event::SaveFailed { .. }) => drop(self.unsaved.insert(process)),
            What::Told(Event::Saved) => drop(self.unsaved.remove(&process)),
            What::Told(Event::Refreshed { .. }) => {
                self.refreshed.insert(process, at);
                self.flown.insert(process, at);
            }
            What::Told(Event::RefreshFailed { .. } | Event::RefreshStarted { .. }) => {
                self.flown.insert(process, at);
            }
            What::Settled { request, outcome: Ok(_), .. } => self.settled(moment, *request),
            // It tells nothing any more.
            What::Killed => {
                self.open.retain(|(_, killed, _)| *killed != process);
                self.short.retain(|(_, killed, ..)| *killed != process);
            }
            _ => {}
        }
        self.look(at)
    }
}
