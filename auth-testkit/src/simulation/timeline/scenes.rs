//! Records by hand, to draw: a storm that goes well, and a run in which a promise is broken.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{Cause, Error, ErrorKind, Event, FlightId, Session, SessionState, Stamp, StoreError};

use super::super::plan::{Action, Fate, Plan, RequestKind, Step};
use super::super::record::{Moment, Pair, Record, StoreOp, StoreOutcome, Token, What};
use super::super::run::{Run, Violation};
use crate::{ManualRuntime, ScriptedRefresher, numbered};

/// A record that is being written.
#[derive(Default)]
pub(super) struct Scene {
    record: Record,
    at: Duration,
    process: u32,
}

impl Scene {
    /// What is added next happens at this time, in microseconds.
    pub(super) fn at(&mut self, micros: u64) -> &mut Self {
        self.at = Duration::from_micros(micros);
        self
    }

    /// What is added next happens in this process.
    pub(super) fn process(&mut self, process: u32) -> &mut Self {
        self.process = process;
        self
    }

    pub(super) fn add(&mut self, what: What) -> &mut Self {
        self.record.moments.push(Moment { at: self.at, process: self.process, what });
        self
    }

    pub(super) fn submitted(&mut self, request: u32) -> &mut Self {
        self.add(What::Submitted { request })
    }

    pub(super) fn sent(&mut self, request: u32, token: u32) -> &mut Self {
        self.add(What::Sent {
            request,
            attempt: 1,
            place: None,
            stamp: Some(Stamp { epoch: 1, generation: 0 }),
            token: Some(token_of(token)),
        })
    }

    pub(super) fn replayed(&mut self, request: u32, token: u32, ticket: u64) -> &mut Self {
        self.add(What::Sent {
            request,
            attempt: 2,
            place: Some((1, ticket)),
            stamp: Some(Stamp { epoch: 1, generation: 1 }),
            token: Some(token_of(token)),
        })
    }

    pub(super) fn answered(&mut self, request: u32, status: u16) -> &mut Self {
        self.add(What::Answered { request, status: Some(status) })
    }

    pub(super) fn settled(&mut self, request: u32, outcome: Result<u16, ErrorKind>) -> &mut Self {
        self.add(What::Settled { request, outcome, instead_of: None })
    }

    pub(super) fn store(&mut self, call: u32, op: StoreOp) -> &mut Self {
        self.add(What::StoreBegan { call, op, locked: false })
    }

    pub(super) fn store_done(&mut self, call: u32, op: StoreOp, found: Option<u32>) -> &mut Self {
        self.add(What::StoreEnded { call, op, outcome: StoreOutcome::Done(found.map(pair_of)) })
    }

    pub(super) fn record(&mut self) -> Record {
        std::mem::take(&mut self.record)
    }
}

pub(super) fn token_of(number: u32) -> Token {
    Token { number, sign_in: 1 }
}

/// A pair whose refresh token has the next number.
pub(super) fn pair_of(number: u32) -> Pair {
    Pair { access: token_of(number), refresh: Some(token_of(number + 1)) }
}

/// The save of a pair.
pub(super) fn save(number: u32) -> StoreOp {
    StoreOp::Save { pair: pair_of(number) }
}

/// The first numbers of flights: a session gives them, and nobody else can.
pub(in crate::simulation) fn flights() -> [FlightId; 2] {
    let runtime = ManualRuntime::new();
    let (refresher, _handle) = ScriptedRefresher::rotating();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let session = Session::builder(refresher)
        .runtime(runtime.clone())
        .on_event({
            let seen = Arc::clone(&seen);
            move |event| {
                if let Event::RefreshStarted { flight, .. } = event {
                    seen.lock().unwrap().push(*flight);
                }
            }
        })
        .build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    for _ in 0..2 {
        runtime.block_on(session.refresh(None)).unwrap();
    }
    let seen = seen.lock().unwrap().clone();
    seen.try_into().unwrap()
}

pub(super) fn started(flight: FlightId) -> What {
    What::Told(Event::RefreshStarted { flight, cause: Cause::Rejected })
}

pub(super) fn refreshed(flight: FlightId, waiters: usize) -> What {
    let stamp = Stamp { epoch: 1, generation: 1 };
    let (cause, took) = (Cause::Rejected, Duration::from_millis(30));
    What::Told(Event::Refreshed { flight, stamp, adopted: false, unchanged: false, cause, waiters, took })
}

pub(super) fn failed(flight: FlightId) -> What {
    let (cause, took) = (Cause::Rejected, Duration::from_millis(30));
    let error = Error::from(StoreError::new("full"));
    What::Told(Event::RefreshFailed { flight, error, cause, waiters: 0, took })
}

/// Of a world with one process and so many requests.
fn plan(requests: u64) -> Plan {
    let what = Action::Request { kind: RequestKind::Plain, fate: Fate::Polled };
    let mut plan = Plan::from_seed(0);
    plan.session.processes = 1;
    plan.steps = (0..requests).map(|at_ms| Step { at_ms, process: 0, what: what.clone() }).collect();
    plan
}

/// Eight requests, one refresh: seven notice that the token is bad, the eighth's 401 comes when all is over.
pub(super) fn storm() -> Run {
    let [flight, _] = flights();
    let mut scene = Scene::default();
    scene.add(What::Started).add(What::State(SessionState::Unknown));
    scene.at(40).add(What::SignIn { token: token_of(1) }).add(What::State(SessionState::Active));
    scene.store(1, save(1));
    scene.at(2_040).add(What::Stored { pair: Some(pair_of(1)) });
    scene.store_done(1, save(1), Some(1)).add(What::Written { saved: true });
    scene.at(90_000_000).add(What::Meddled("the servers forget all access tokens".to_owned()));
    for request in 1..=8 {
        scene.at(90_000_099 + u64::from(request)).submitted(request).sent(request, 1);
    }
    for request in 1..=7 {
        scene.at(90_003_300 + u64::from(request) * 700).answered(request, 401);
        if request == 1 {
            scene.add(started(flight)).add(What::State(SessionState::Refreshing));
            scene.store(2, StoreOp::Lock).store_done(2, StoreOp::Lock, None).store(3, StoreOp::Load);
            scene.store_done(3, StoreOp::Load, Some(1));
            scene.add(What::Presented { call: 4, refresh: token_of(2) });
        }
    }
    scene.at(90_020_000).add(What::Exchanged { call: 4, access: token_of(3), refresh: token_of(4) });
    scene.at(90_031_000).add(What::Delivered { call: 4 }).store(5, save(3));
    scene.at(90_036_000).add(What::Stored { pair: Some(pair_of(3)) });
    scene.store_done(5, save(3), Some(3)).add(What::Told(Event::Saved));
    scene.at(90_036_001).add(refreshed(flight, 7)).add(What::State(SessionState::Active));
    for request in 1..=7 {
        scene.at(90_035_980 + u64::from(request) * 30).replayed(request, 3, u64::from(request) - 1);
    }
    scene.at(90_036_400).add(What::Unlocked);
    scene.at(90_039_000).answered(8, 401).add(What::Sent {
        request: 8,
        attempt: 2,
        place: None,
        stamp: Some(Stamp { epoch: 1, generation: 1 }),
        token: Some(token_of(3)),
    });
    for request in 1..=8 {
        let at = 90_040_600 + u64::from(request) * 400;
        scene.at(at).answered(request, 200).settled(request, Ok(200));
    }
    Run { plan: plan(8), record: scene.record(), violation: None }
}

/// The answer to the first presentation has arrived, and the token is presented again.
pub(super) fn broken() -> Run {
    let [first, second] = flights();
    let mut scene = Scene::default();
    scene.add(What::Started).add(What::SignIn { token: token_of(1) });
    scene.add(What::State(SessionState::Active));
    for request in 1..=3 {
        scene.at(99 + u64::from(request)).submitted(request).sent(request, 1);
    }
    scene.at(2_000).answered(1, 401).add(started(first));
    scene.add(What::Presented { call: 1, refresh: token_of(2) });
    scene.at(2_500).answered(2, 401);
    scene.at(3_000).add(What::Cancelled { request: 3 });
    scene.at(4_000).add(What::Exchanged { call: 1, access: token_of(3), refresh: token_of(4) });
    scene.at(6_000).add(What::Delivered { call: 1 }).store(2, save(3));
    scene.at(6_500).add(What::StoreEnded { call: 2, op: save(3), outcome: StoreOutcome::Failed });
    scene.add(failed(first)).settled(1, Err(ErrorKind::Store)).settled(2, Err(ErrorKind::Store));
    scene.at(7_000).submitted(4).sent(4, 1);
    scene.at(9_000).answered(4, 401).add(started(second));
    scene.at(9_002).add(What::Presented { call: 3, refresh: token_of(2) });
    let violation = Violation {
        invariant: "no-reuse".to_owned(),
        message: "r2 was presented again, though the answer to <call 1> & its tokens had arrived".to_owned(),
        at: Duration::from_micros(9_002),
        process: Some(0),
    };
    Run { plan: plan(4), record: scene.record(), violation: Some(violation) }
}
