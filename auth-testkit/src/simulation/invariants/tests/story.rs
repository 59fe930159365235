//! A record by hand, for one invariant at a time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{Cause, Error, ErrorKind, Event, FlightId, SessionState, Stamp, StoreError};

use super::super::Invariant;
use super::{ended, pair, token};
use crate::simulation::plan::{Action, Plan, Step};
use crate::simulation::record::{Moment, StoreOp, StoreOutcome, Token, What};
use crate::simulation::timeline::scenes;

/// What happens in one process, moment by moment.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) plan: Plan,
    moments: Vec<Moment>,
    at: Duration,
    flight: FlightId,
}

impl Story {
    /// A world with one process, and nothing in its plan: every request is a plain one.
    pub(super) fn new() -> Self {
        let mut plan = Plan::from_seed(0);
        plan.steps.clear();
        plan.session = serde_json::from_str(
            r#"{"processes": 1, "shared": false, "patience_ms": 500, "fail_unsaved": false}"#,
        )
        .unwrap();
        plan.server.lifetime_s = Some(100);
        plan.server.refresh_lifetime_s = None;
        let [flight, _] = scenes::flights();
        Self { plan, moments: Vec::new(), at: Duration::ZERO, flight }
    }

    /// Somebody is signed in, with a token that lives for a hundred seconds: it is soft from 80 to 95.
    pub(super) fn signed_in() -> Self {
        let granted = What::Granted { pair: pair(1, 2), lives_s: Some(100), refresh_lives_s: None };
        Self::new()
            .add(What::Built)
            .add(What::SignIn { token: token(1) })
            .add(granted)
            .add(What::State(SessionState::Active))
            .at(1)
            .told(Event::SignedIn { epoch: 1 })
            .at(10)
    }

    /// The plan's requests and other calls, by their numbers from 1.
    pub(super) fn asks(mut self, calls: &[Action]) -> Self {
        let step = |what: &Action| Step { at_ms: 0, process: 0, what: what.clone() };
        self.plan.steps = calls.iter().map(step).collect();
        self
    }

    pub(super) fn rules(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.plan);
        self
    }

    /// What is added next happens then, in milliseconds.
    pub(super) fn at(mut self, ms: u64) -> Self {
        self.at = Duration::from_millis(ms);
        self
    }

    pub(super) fn add(mut self, what: What) -> Self {
        self.moments.push(Moment { at: self.at, process: 0, what });
        self
    }

    /// The same in another process.
    pub(super) fn by(mut self, process: u32, what: What) -> Self {
        self.moments.push(Moment { at: self.at, process, what });
        self
    }

    pub(super) fn told(self, event: Event) -> Self {
        self.add(What::Told(event))
    }

    pub(super) fn submitted(self, request: u32) -> Self {
        self.add(What::Submitted { request })
    }

    /// Sent with this generation's lease.
    pub(super) fn sent(self, request: u32, attempt: u8, generation: u64, token: Token) -> Self {
        let stamp = Some(Stamp { epoch: 1, generation });
        self.add(What::Sent { request, attempt, place: None, stamp, token: Some(token) })
    }

    pub(super) fn answered(self, request: u32, status: u16) -> Self {
        self.add(What::Answered { request, status: Some(status) })
    }

    pub(super) fn settled(self, request: u32, outcome: Result<u16, ErrorKind>) -> Self {
        self.add(What::Settled { request, outcome, instead_of: None })
    }

    /// A first attempt, and its answer.
    pub(super) fn rejected(self, request: u32, generation: u64, token: Token) -> Self {
        self.submitted(request).sent(request, 1, generation, token).answered(request, 401)
    }

    pub(super) fn starts(self, cause: Cause) -> Self {
        let flight = self.flight;
        self.add(What::State(SessionState::Refreshing)).told(Event::RefreshStarted { flight, cause })
    }

    /// It fails because the token endpoint cannot be reached.
    pub(super) fn fails(self, cause: Cause) -> Self {
        let (flight, took) = (self.flight, Duration::ZERO);
        let error = unavailable();
        self.add(What::State(SessionState::Active)).told(Event::RefreshFailed {
            flight,
            error,
            cause,
            waiters: 0,
            took,
        })
    }

    /// It brings the pair of these numbers, as this generation.
    pub(super) fn refreshes(self, cause: Cause, generation: u64, access: u32) -> Self {
        let granted = pair(access, access + 1);
        self.add(What::Granted { pair: granted, lives_s: Some(100), refresh_lives_s: None })
            .publishes(cause, generation, 0)
    }

    pub(super) fn publishes(self, cause: Cause, generation: u64, waiters: usize) -> Self {
        let (flight, stamp) = (self.flight, Stamp { epoch: 1, generation });
        let took = Duration::ZERO;
        let event =
            Event::Refreshed { flight, stamp, adopted: false, unchanged: false, cause, waiters, took };
        self.add(What::State(SessionState::Active)).told(event)
    }

    pub(super) fn began(self, call: u32, op: StoreOp, locked: bool) -> Self {
        self.add(What::StoreBegan { call, op, locked })
    }

    pub(super) fn ended(self, call: u32, op: StoreOp, outcome: StoreOutcome) -> Self {
        self.add(ended(call, op, outcome))
    }

    /// A load that found this.
    pub(super) fn found(self, access: Option<u32>) -> Self {
        let found = access.map(|access| pair(access, access + 1));
        self.ended(90, StoreOp::Load, StoreOutcome::Done(found))
    }

    pub(super) fn presented(self, call: u32, refresh: u32) -> Self {
        self.add(What::Presented { call, refresh: token(refresh) })
    }

    pub(super) fn flight(&self) -> FlightId {
        self.flight
    }

    /// Whether this invariant finds something in it; and time goes on for a second after the last moment.
    pub(super) fn breaks<I: Invariant>(&self, make: impl Fn(&Plan) -> I) -> bool {
        let mut invariant = make(&self.plan);
        let end = Moment { at: self.at + Duration::from_secs(1), process: 7, what: What::Started };
        self.moments.iter().chain([&end]).any(|moment| invariant.see(moment).is_err())
            || invariant.at_rest().is_err()
    }
}

/// What a session tells of a refresh that failed, which only a session can make.
pub(super) fn unavailable() -> Error {
    use crate::{ManualRuntime, ScriptedRefresher, numbered};
    use auth_core::{RefreshError, Session};

    let runtime = ManualRuntime::new();
    let (refresher, handle) = ScriptedRefresher::new();
    let told = Arc::new(Mutex::new(None));
    let session = Session::builder(refresher)
        .runtime(runtime.clone())
        .on_event({
            let told = Arc::clone(&told);
            move |event| {
                if let Event::RefreshFailed { error, .. } = event {
                    *told.lock().unwrap() = Some(error.clone());
                }
            }
        })
        .build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    let refreshing = runtime.start({
        let session = session.clone();
        async move { session.refresh(None).await.map(drop) }
    });
    for _ in 0..3 {
        runtime.block_on(handle.next()).fail(RefreshError::unavailable("503"));
        runtime.advance(Duration::from_secs(1));
    }
    runtime.block_on(refreshing).unwrap_err();
    told.lock().unwrap().take().unwrap()
}

pub(super) fn store_error() -> Error {
    Error::from(StoreError::new("full"))
}
