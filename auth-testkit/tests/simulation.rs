//! The simulated world: it finds what is planted, finds nothing else, and is the same each time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use auth_core::{
    Fault, RefreshError, Runtime as _, Session, TokenResponse, Tokens, Transport as _, refresher_fn,
};
use auth_testkit::simulation::{
    Action, Fate, Invariant, Moment, Plan, RequestKind, Run, Simulation, Step, TOKEN_URL, What,
};
use http::Request;

fn broken(fault: Fault) -> Simulation {
    Simulation::new().session(move |parts| parts.builder(parts.refresher()).plant(fault))
}

/// The first run of these seeds that breaks a promise.
fn first_failure(simulation: &Simulation, seeds: std::ops::Range<u64>) -> Option<Run> {
    seeds.map(|seed| simulation.run(&simulation.plan(seed))).find(|run| run.violation.is_some())
}

#[test]
fn a_few_thousand_worlds_keep_every_promise() {
    let report = Simulation::new().seeds(0..3_000);

    report.assert();
    assert_eq!(report.counts.worlds, 3_000);
    // Worlds in which nothing happens keep every promise as well.
    assert!(report.counts.refreshes > 3_000, "{:?}", report.counts);
    assert!(report.counts.cancellations > 1_000, "{:?}", report.counts);
    assert!(report.counts.faults > 10_000, "{:?}", report.counts);
}

#[test]
fn every_planted_fault_is_found_as_what_it_is() {
    let found_as = |fault: Fault| -> &[&str] {
        match fault {
            Fault::DoubleRefresh => &["one-flight"],
            Fault::LoseRotation => &["no-reuse"],
            Fault::ReleaseBeforeSave => &["saved-first"],
            Fault::CrossIdentity => &["one-identity"],
            // What was resurrected is in use, and nobody had saved it.
            Fault::Resurrect => &["one-identity", "saved-first"],
            Fault::UnfairQueue => &["in-order"],
            Fault::LostWaiter | Fault::NoPatience => &["everybody-settles"],
            Fault::SkipGeneration => &["generation"],
            Fault::EndTwice => &["ends-once"],
            Fault::LeakSecret => &["no-secrets"],
            _ => &[],
        }
    };
    for fault in Fault::ALL {
        // What follows from it may show earlier: here it is to be found as what it is.
        let simulation = ["told-as-it-is", "no-needless-refresh", "nobody-waits"]
            .into_iter()
            .fold(broken(fault), Simulation::without);
        let run = first_failure(&simulation, 0..1_000).unwrap_or_else(|| panic!("{fault} was not found"));

        let violation = run.violation.unwrap();
        assert!(found_as(fault).contains(&&*violation.invariant), "{fault} was found as {violation}");
    }
}

#[test]
fn the_same_seed_prints_the_same_timeline_twice() {
    for seed in 0..50 {
        let simulation = Simulation::new();
        let (one, other) = (simulation.run(&Plan::from_seed(seed)), simulation.run(&Plan::from_seed(seed)));
        assert_eq!(format!("{:?}", one.record), format!("{:?}", other.record), "seed {seed}");
    }
}

#[test]
fn different_seeds_are_different_worlds() {
    let all: std::collections::BTreeSet<String> =
        (0..100).map(|seed| Plan::from_seed(seed).to_json()).collect();
    assert_eq!(all.len(), 100);
}

#[test]
fn a_failing_plan_is_shrunk_to_a_short_one_that_fails_alike() {
    let simulation = broken(Fault::DoubleRefresh);
    let run = first_failure(&simulation, 0..1_000).unwrap();

    let short = simulation.shrink(&run.plan);

    assert!(short.steps.len() <= 4, "{}", short.to_json());
    let again = simulation.run(&Plan::from_json(&short.to_json()).unwrap());
    assert_eq!(again.violation.unwrap().invariant, "one-flight");
}

#[test]
fn a_plan_that_keeps_every_promise_is_not_shrunk() {
    let plan = Plan::from_seed(3);
    assert_eq!(Simulation::new().shrink(&plan), plan);
}

#[test]
fn a_text_that_is_no_plan_says_where() {
    let error = Plan::from_json("{\"seed\": \"many\"}").unwrap_err();
    let source = std::error::Error::source(&error).expect("there is a cause");
    assert!(source.to_string().contains("line 1"), "{source}");
}

/// Plans that broke a promise once: each was a bug.
#[test]
fn plans_that_once_failed_keep_every_promise() {
    for (name, text) in [
        ("unsaved_sign_in", include_str!("plans/unsaved_sign_in.json")),
        ("stolen_lock", include_str!("plans/stolen_lock.json")),
        ("lost_lock_seen_by_a_write", include_str!("plans/lost_lock_seen_by_a_write.json")),
        ("late_by_rotations", include_str!("plans/late_by_rotations.json")),
    ] {
        let plan = Plan::from_json(text).unwrap();
        for seed in 0..200 {
            let run = Simulation::new().run(&Plan { seed, ..plan.clone() });
            assert!(run.violation.is_none(), "{name} with seed {seed}: {run}");
        }
    }
}

/// Counts requests; more than two are too many.
struct AtMostTwo(u32);

impl Invariant for AtMostTwo {
    fn name(&self) -> &'static str {
        "at-most-two"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        self.0 += u32::from(matches!(moment.what, What::Submitted { .. }));
        if self.0 > 2 { Err(format!("{} requests", self.0)) } else { Ok(()) }
    }
}

#[test]
fn users_add_invariants_of_their_own() {
    let simulation = Simulation::new().invariant(|_| AtMostTwo(0));
    let report = simulation.seeds(0..20);

    let (seed, run) = report.first_failure.as_ref().unwrap();
    assert_eq!(run.violation.as_ref().unwrap().invariant, "at-most-two");
    assert_eq!(*seed, 0);
    let panic = std::panic::catch_unwind(AssertUnwindSafe(|| report.assert())).unwrap_err();
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(said.contains("at-most-two") && said.contains("\"steps\""), "{said}");
}

#[test]
fn an_invariant_can_be_left_out() {
    let impatient = Simulation::new()
        .session(|parts| parts.builder(parts.refresher()).cooldown(Duration::ZERO, Duration::ZERO));

    let found = first_failure(&impatient, 0..1_000).unwrap().violation.unwrap();
    assert_eq!(found.invariant, "no-storm");
    assert!(first_failure(&impatient.without("no-storm"), 0..200).is_none());
}

/// What a world does is what its plan says: one sign-in, one expired token, three requests, one refresh.
#[test]
fn a_plan_written_by_hand_does_what_it_says() {
    let request = Action::Request { kind: RequestKind::Plain, fate: Fate::Polled };
    let step = |at_ms, what: &Action| Step { at_ms, process: 0, what: what.clone() };
    let mut plan = Plan::from_seed(0);
    plan.session.processes = 1;
    plan.server.lifetime_s = Some(3600);
    plan.server.refresh_lifetime_s = None;
    plan.steps = vec![
        step(0, &Action::SignIn),
        step(10, &Action::ExpireAccess),
        step(20, &request),
        step(20, &request),
        step(20, &request),
    ];

    let run = Simulation::new().run(&plan);

    assert!(run.violation.is_none(), "{run}");
    let replays = run.record.count(|what| matches!(what, What::Sent { attempt: 2, .. }));
    assert_eq!(replays, 3);
    // One for the storm; the session lives on with another after it was left alone.
    let before_end = run.record.moments.iter().take_while(|moment| !matches!(moment.what, What::Healed));
    let exchanged = before_end.filter(|moment| matches!(moment.what, What::Exchanged { .. })).count();
    assert_eq!(exchanged, 1);
}

/// A refresher that an SDK brings: it neither acquires nor revokes.
#[test]
fn an_sdk_with_a_refresher_of_its_own_keeps_every_promise() {
    let simulation = Simulation::new().session(|parts| {
        let (transport, clock) = (parts.transport(), parts.runtime());
        parts.builder(refresher_fn(move |current: Tokens| {
            let (transport, clock) = (transport.clone(), clock.clone());
            async move {
                let token =
                    current.refresh_token().ok_or_else(|| RefreshError::rejected("no refresh token"))?;
                let form = format!("grant_type=refresh_token&refresh_token={}", token.reveal());
                let request =
                    Request::post(TOKEN_URL).body(form.into()).map_err(RefreshError::misconfigured)?;
                TokenResponse::read(transport.send(request).await?, clock.now()).await
            }
        }))
    });

    simulation.seeds(0..1_000).assert();
}

/// A client whose store forgets is found out: its processes do not share what they should.
#[test]
fn an_sdk_that_forgets_its_store_is_caught() {
    let simulation = Simulation::new().session(|parts| {
        // Every process has a store of its own: a restart is a sign-out that nobody asked for, and siblings do not hear
        // of a rotation.
        Session::builder(parts.refresher()).store(auth_core::MemoryStore::new())
    });
    let run = first_failure(&simulation.invariant(|_| RestartsSignedIn::default()), 0..1_000);
    assert!(run.is_some(), "nobody noticed");
}

/// Whoever was signed in before a process was killed still is after it, unless something else happened.
#[derive(Default)]
struct RestartsSignedIn {
    saved: bool,
}

impl Invariant for RestartsSignedIn {
    fn name(&self) -> &'static str {
        "restarts-signed-in"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        match &moment.what {
            What::Stored { .. } => self.saved = true,
            What::Written { saved: true } if !self.saved => {
                return Err("a sign-in was said to be saved, and the store was not told".to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}
