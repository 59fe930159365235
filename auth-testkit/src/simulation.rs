//! A simulated world: seeded schedules, faults at every step, invariants, timelines.
//!
//! A run has an authorization server, an API, a store, and one to three processes with a session and a client each, all on one
//! thread in virtual time. A [`Plan`] says what happens, and a seed makes a plan: requests that are dropped at any await or never
//! polled again, sign-ins, sign-outs, forced refreshes, lost and unreadable answers, outages, full disks, stores that hang or
//! lie, locks that are lost, processes that are killed between two steps or stand still, other programs that write.
//!
//! After every step each [`Invariant`] looks at what happened, as somebody who sees everything; none looks into the library:
//!
//! | of | by name |
//! | --- | --- |
//! | refreshes | `one-flight`, `no-reuse`, `generation`, `no-needless-refresh`, `no-storm`, `calls-in-measure`, `never-stale` |
//! | requests | `everybody-settles`, `replayed-once`, `in-order`, `patience`, `good-tokens`, `nobody-waits`, `no-false-failure`, `as-asked` |
//! | identities | `one-identity`, `ends-once`, `no-false-logout`, `revoked` |
//! | the store | `saved-first`, `one-writer`, `under-lock`, `looks-first`, `tried-again` |
//! | what is told | `told-as-it-is`, `no-secrets` |
//!
//! And at the end: `life-goes-on`, `stored-at-last`, `lock-given-back`, `nothing-left`, `no-panic`. The first that is broken
//! ends the run. [`Simulation::shrink`] makes the plan short, [`Run::timeline`] and [`Run::html`] show
//! what happened.
//!
//! ```
//! use auth_testkit::simulation::Simulation;
//!
//! Simulation::new().seeds(0..20).assert();
//! ```
//!
//! The program `simulate` (`cargo run --release -p auth-testkit --example simulate -- --help`) runs as many as there is time
//! for.

mod asked;
mod authority;
mod dice;
mod elsewhere;
mod guest;
mod invariants;
mod parts;
mod plan;
mod record;
mod report;
mod request;
mod run;
mod runtime;
mod secret;
mod shrink;
mod store;
mod timeline;
mod transport;
mod universe;
mod world;

pub use invariants::Invariant;
pub use parts::Parts;
pub use plan::{
    Action, ApiFault, Elsewhere, Fate, InvalidPlan, Knows, Plan, RequestKind, ServerPlan, SessionPlan, Step,
    StoreCall, StoreFault, TokenFault,
};
pub use record::{Moment, Pair, Record, Refusal, StoreOp, StoreOutcome, Token, What};
pub use report::Report;
pub use run::{Counts, Run, Violation};
pub use runtime::SimulatedRuntime;
pub use store::SimulatedStore;
pub use timeline::Timeline;
pub use transport::{API_ORIGIN, REVOKE_URL, SimulatedTransport, TOKEN_URL};

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use auth_core::{ClientBuilder, SessionBuilder};

use invariants::Watch;
use world::World;

type MakeSession = Arc<dyn Fn(&Parts) -> SessionBuilder + Send + Sync>;
type MakeClient =
    Arc<dyn Fn(ClientBuilder<SimulatedTransport>) -> ClientBuilder<SimulatedTransport> + Send + Sync>;
type MakeInvariant = Arc<dyn Fn(&Plan) -> Box<dyn Invariant> + Send + Sync>;
type MakePlan = Arc<dyn Fn(u64) -> Plan + Send + Sync>;

/// Runs of simulated worlds, with what is to be tested in them.
///
/// ```
/// use auth_testkit::simulation::Simulation;
///
/// // This framework's own parts:
/// Simulation::new().seeds(0..20).assert();
///
/// // And with yours:
/// Simulation::new()
///     .session(|parts| parts.builder(parts.refresher()))
///     .client(|client| client)
///     .seeds(0..20)
///     .assert();
/// ```
#[derive(Clone)]
#[must_use = "a simulation does nothing until it is given seeds or a plan"]
pub struct Simulation {
    session: MakeSession,
    client: MakeClient,
    invariants: Vec<MakeInvariant>,
    without: Vec<String>,
    plans: MakePlan,
}

impl Simulation {
    /// Worlds with this framework's own parts.
    pub fn new() -> Self {
        Self {
            session: Arc::new(|parts| parts.builder(parts.refresher())),
            client: Arc::new(|client| client),
            invariants: Vec::new(),
            without: Vec::new(),
            plans: Arc::new(Plan::from_seed),
        }
    }

    /// How each process builds its session. The world adds its runtime and a listener.
    pub fn session(mut self, make: impl Fn(&Parts) -> SessionBuilder + Send + Sync + 'static) -> Self {
        self.session = Arc::new(make);
        self
    }

    /// What each process adds to its client: challenges, say. The world's origin is named already.
    pub fn client(
        mut self,
        make: impl Fn(ClientBuilder<SimulatedTransport>) -> ClientBuilder<SimulatedTransport>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.client = Arc::new(make);
        self
    }

    /// Something more that must hold.
    pub fn invariant<I: Invariant + 'static>(
        mut self,
        make: impl Fn(&Plan) -> I + Send + Sync + 'static,
    ) -> Self {
        self.invariants.push(Arc::new(move |plan| Box::new(make(plan))));
        self
    }

    /// Leaves the invariant of this name out. Those that judge how long a token lasts, or how often the token endpoint is asked,
    /// go by the [`SessionPlan`]: for sessions that are set up otherwise.
    pub fn without(mut self, invariant: &str) -> Self {
        self.without.push(invariant.to_owned());
        self
    }

    /// Another way from a seed to a plan. Default: [`Plan::from_seed`].
    pub fn plans(mut self, make: impl Fn(u64) -> Plan + Send + Sync + 'static) -> Self {
        self.plans = Arc::new(make);
        self
    }

    /// Runs one plan.
    #[must_use]
    pub fn run(&self, plan: &Plan) -> Run {
        World::new(self, plan).run()
    }

    /// Runs the plan of each of these seeds, on as many threads as the machine has, and shrinks the first that fails.
    #[must_use]
    pub fn seeds(&self, seeds: Range<u64>) -> Report {
        report::seeds(self, seeds)
    }

    /// The plan that this seed makes.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        (self.plans)(seed)
    }

    /// A plan as short as can be found that breaks the same promise as this one. A plan that breaks none comes back as it is.
    #[must_use]
    pub fn shrink(&self, plan: &Plan) -> Plan {
        shrink::shrink(self, plan)
    }

    fn watch(&self, plan: &Plan) -> Watch {
        Watch::new(plan, &self.without, self.invariants.iter().map(|make| make(plan)))
    }
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("invariants", &self.invariants.len()).finish_non_exhaustive()
    }
}
