//! What all parts of one simulated world share: the clock, the servers, the store's place, the faults to come, the record.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use auth_core::{BoxFuture, Runtime, SignInId, Tokens};

use super::authority::{Authority, Grant};
use super::dice::Dice;
use super::plan::{ApiFault, Plan, ServerPlan, StoreCall, StoreFault, TokenFault};
use super::record::{Moment, Pair, What};
use super::runtime::SimulatedRuntime;
use super::secret;
use super::store::Place;
use crate::lock::lock;
use crate::tokens::with_sign_in_id;

/// Who is no process of the plan's.
pub(crate) const OUTSIDE: u32 = u32::MAX;

/// Who does something: a place in the plan, and the process that has it just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) slot: usize,
    pub(crate) process: u32,
}

pub(crate) struct Universe {
    /// The world's own tasks, which no kill ends.
    pub(crate) runtime: SimulatedRuntime,
    pub(crate) server: ServerPlan,
    pub(crate) authority: Mutex<Authority>,
    pub(crate) place: Place,
    began: Duration,
    dice: Mutex<Dice>,
    fresh: Mutex<Vec<Moment>>,
    faults: Mutex<Vec<Faults>>,
    trouble: Mutex<Trouble>,
}

/// What is to go wrong for one slot.
#[derive(Default)]
struct Faults {
    token: VecDeque<TokenFault>,
    store: Vec<(StoreCall, StoreFault)>,
    api: VecDeque<ApiFault>,
}

#[derive(Default)]
struct Trouble {
    outage_until: Duration,
    full_until: Duration,
    kills: Vec<Who>,
    calls: u32,
}

impl Universe {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut dice = Dice::new(plan.seed);
        let runtime = SimulatedRuntime::new(dice.roll());
        let began = runtime.elapsed();
        Self {
            runtime,
            server: plan.server.clone(),
            authority: Mutex::new(Authority::new(plan.server.clone())),
            place: Place::default(),
            began,
            dice: Mutex::new(dice),
            fresh: Mutex::default(),
            faults: Mutex::new((0..plan.session.processes.max(1)).map(|_| Faults::default()).collect()),
            trouble: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.runtime.elapsed()
    }

    /// Since the run began.
    pub(crate) fn since(&self) -> Duration {
        self.now().saturating_sub(self.began)
    }

    pub(crate) fn at(&self, ms: u64) -> Duration {
        self.began + Duration::from_millis(ms)
    }

    pub(crate) fn sleep(&self, ms: u64) -> BoxFuture<'static, ()> {
        self.runtime.sleep(Duration::from_millis(ms))
    }

    /// A way there and back takes a while: half of it, in microseconds.
    pub(crate) fn latency(&self) -> BoxFuture<'static, ()> {
        let longest = self.server.latency_ms * 500;
        let took = lock(&self.dice).between(longest / 10 + 1, longest + 1);
        self.runtime.sleep(Duration::from_micros(took))
    }

    pub(crate) fn below(&self, end: u64) -> u64 {
        lock(&self.dice).below(end)
    }

    pub(crate) fn record(&self, process: u32, what: What) {
        let moment = Moment { at: self.since(), process, what };
        lock(&self.fresh).push(moment);
    }

    /// Somebody has this pair.
    pub(crate) fn granted(&self, process: u32, grant: &Grant) {
        let pair = Pair { access: grant.access, refresh: Some(grant.refresh) };
        let Grant { lifetime: lives_s, refresh_lifetime: refresh_lives_s, .. } = *grant;
        self.record(process, What::Granted { pair, lives_s, refresh_lives_s });
    }

    /// What was recorded since this was last asked.
    pub(crate) fn fresh(&self) -> Vec<Moment> {
        std::mem::take(&mut *lock(&self.fresh))
    }

    pub(crate) fn call(&self) -> u32 {
        let mut trouble = lock(&self.trouble);
        trouble.calls += 1;
        trouble.calls
    }

    pub(crate) fn outage(&self, ms: u64) {
        lock(&self.trouble).outage_until = self.now() + Duration::from_millis(ms);
    }

    pub(crate) fn is_out(&self) -> bool {
        self.now() < lock(&self.trouble).outage_until
    }

    pub(crate) fn disk_full(&self, ms: u64) {
        lock(&self.trouble).full_until = self.now() + Duration::from_millis(ms);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.now() < lock(&self.trouble).full_until
    }

    /// The process is to be killed as soon as the step is over.
    pub(crate) fn kill_soon(&self, who: Who) {
        lock(&self.trouble).kills.push(who);
    }

    pub(crate) fn kills(&self) -> Vec<Who> {
        std::mem::take(&mut lock(&self.trouble).kills)
    }

    pub(crate) fn plan_token(&self, slot: usize, fault: TokenFault) {
        lock(&self.faults)[slot].token.push_back(fault);
    }

    pub(crate) fn plan_store(&self, slot: usize, on: StoreCall, fault: StoreFault) {
        lock(&self.faults)[slot].store.push((on, fault));
    }

    pub(crate) fn plan_api(&self, slot: usize, fault: ApiFault) {
        lock(&self.faults)[slot].api.push_back(fault);
    }

    pub(crate) fn next_token(&self, slot: usize) -> Option<TokenFault> {
        lock(&self.faults)[slot].token.pop_front()
    }

    pub(crate) fn next_store(&self, slot: usize, call: StoreCall) -> Option<StoreFault> {
        let mut faults = lock(&self.faults);
        let waiting = &mut faults[slot].store;
        let at = waiting.iter().position(|(on, _)| *on == call || *on == StoreCall::Any)?;
        Some(waiting.remove(at).1)
    }

    pub(crate) fn next_api(&self, slot: usize) -> Option<ApiFault> {
        lock(&self.faults)[slot].api.pop_front()
    }

    /// From here on nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        lock(&self.faults).iter_mut().for_each(|faults| *faults = Faults::default());
        let mut trouble = lock(&self.trouble);
        trouble.outage_until = Duration::ZERO;
        trouble.full_until = Duration::ZERO;
        trouble.kills.clear();
        drop(trouble);
        self.record(OUTSIDE, What::Healed);
    }

    /// These tokens as a client makes them of an answer.
    pub(crate) fn tokens(&self, grant: &Grant) -> Tokens {
        let received: SystemTime = self.runtime.now();
        let Ok(tokens) = Tokens::new(secret::access_text(grant.access)) else {
            unreachable!("the world's own texts are tokens")
        };
        let mut tokens = tokens.with_refresh_token(secret::refresh_text(grant.refresh));
        if let Some(seconds) = grant.lifetime.filter(|seconds| *seconds > 0) {
            tokens = tokens.with_expires_in(Duration::from_secs(seconds), received);
        }
        if let Some(seconds) = grant.refresh_lifetime {
            tokens = tokens.with_refresh_expires_in(Duration::from_secs(seconds), received);
        }
        tokens
    }

    /// The same as another program stores them.
    pub(crate) fn stored(&self, grant: &Grant, sign_in: Option<SignInId>) -> Tokens {
        let id = sign_in.map_or_else(|| format!("07e5{:028x}", grant.access.number), |id| id.to_string());
        with_sign_in_id(&self.tokens(grant), Some(id))
    }
}
