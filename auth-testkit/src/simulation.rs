//! A simulated world.

mod dice;
mod plan;
mod record;
mod run;
mod runtime;
mod secret;
mod timeline;

pub use plan::{
    Action, ApiFault, Elsewhere, Fate, InvalidPlan, Plan, RequestKind, ServerPlan, SessionPlan, Step,
    StoreFault, TokenFault,
};
pub use record::{Moment, Record, Refusal, StoreOp, StoreOutcome, Token, What};
pub use run::{Counts, Run, Violation};
pub use runtime::SimulatedRuntime;
pub use timeline::Timeline;
