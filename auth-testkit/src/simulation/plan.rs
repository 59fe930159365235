//! The plan of a run: what the world is like, and what happens in it. Data, to be kept and run again.

mod action;
mod generate;
mod rules;

pub use action::{Action, ApiFault, Elsewhere, Fate, Knows, RequestKind, StoreCall, StoreFault, TokenFault};

use serde::{Deserialize, Serialize};

/// What happens in a run. A seed makes one ([`from_seed`](Self::from_seed)); as JSON it can be kept, changed by hand and run
/// again. The same plan gives the same run.
///
/// ```
/// use auth_testkit::simulation::Plan;
///
/// let plan = Plan::from_seed(42);
/// let text = plan.to_json();
///
/// assert_eq!(Plan::from_json(&text)?, plan);
/// assert_eq!(Plan::from_seed(42), plan);
/// # Ok::<(), auth_testkit::simulation::InvalidPlan>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Decides what the steps leave open: who runs next, how long everything takes, jitter.
    pub seed: u64,
    /// The authorization server.
    pub server: ServerPlan,
    /// The sessions.
    pub session: SessionPlan,
    /// What happens. They need not be sorted.
    pub steps: Vec<Step>,
}

/// What kind of authorization server it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPlan {
    /// The lifetime of an access token, in seconds, as the server says it. `None`: it does not say, and means an hour.
    pub lifetime_s: Option<u64>,
    /// The lifetime of a refresh token, in seconds.
    pub refresh_lifetime_s: Option<u64>,
    /// Whether each refresh gives a new refresh token and spends the old one.
    pub rotates: bool,
    /// Whether a spent refresh token that is presented again revokes its whole family (RFC 9700 §4.14).
    pub detects_reuse: bool,
    /// For how long a spent refresh token still gives what it gave before, in milliseconds.
    pub grace_ms: u64,
    /// The longest way to a server and back, in milliseconds.
    pub latency_ms: u64,
}

/// What the sessions are like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPlan {
    /// How many processes share the store, each with a session. With one, the store has no lock unless it is `shared`.
    pub processes: u8,
    /// Whether the store has a lock.
    pub shared: bool,
    /// The queue's patience, in milliseconds.
    pub patience_ms: u64,
    /// Whether a pair that cannot be saved fails its flight's waiters (`PersistFailure::Fail`).
    pub fail_unsaved: bool,
    /// How many requests may wait for one refresh; `None`: as many as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_waiters: Option<u8>,
    /// Whether tokens are refreshed though nobody asks (`SessionBuilder::refresh_while_idle`).
    #[serde(default, skip_serializing_if = "is_off")]
    pub idle: bool,
    /// Whether replays start in any order (`ReplayOrder::Unordered`).
    #[serde(default, skip_serializing_if = "is_off")]
    pub unordered: bool,
    /// Whether first tokens can be had without a sign-in (`Refresher::acquire`).
    #[serde(default, skip_serializing_if = "is_off")]
    pub acquires: bool,
    /// How long before its end, at most, a token is refreshed ahead of time, in seconds (`SessionBuilder::soft_window`);
    /// 0: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft_window_s: Option<u64>,
    /// How much before its end, at most, a token counts as expired, in seconds (`SessionBuilder::expiry_margin`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_s: Option<u64>,
    /// For how long none is started after a refresh that failed, in milliseconds; at most sixty times that
    /// (`SessionBuilder::cooldown`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_ms: Option<u64>,
    /// How long a `Retry-After` is honoured, in seconds (`SessionBuilder::longest_retry_after`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_retry_after_s: Option<u64>,
    /// How many tokens may be rejected as soon as they were issued (`SessionBuilder::max_rejections`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rejections: Option<u8>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_off(on: &bool) -> bool {
    !on
}

/// Something happens at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, in milliseconds since the run began.
    pub at_ms: u64,
    /// To which process; those that the plan does not have are counted round.
    pub process: u8,
    /// What.
    pub what: Action,
}

/// A text that is not a plan.
#[derive(Debug, thiserror::Error)]
#[error("this is not a plan")]
pub struct InvalidPlan(#[from] serde_json::Error);

impl Plan {
    /// The plan that this seed makes.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        generate::plan(seed)
    }

    /// The plan as JSON, to be kept.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// A plan from its JSON.
    ///
    /// # Errors
    ///
    /// [`InvalidPlan`], with where and why as its source.
    pub fn from_json(text: &str) -> Result<Self, InvalidPlan> {
        Ok(serde_json::from_str(text)?)
    }

    /// When the last step happens, in milliseconds.
    #[must_use]
    pub fn ends_at_ms(&self) -> u64 {
        self.steps.iter().map(|step| step.at_ms).max().unwrap_or(0)
    }
}
