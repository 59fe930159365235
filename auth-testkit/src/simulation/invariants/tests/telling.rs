//! What a session says of itself.

use std::time::Duration;

use auth_core::{Cause, Counters, Event, SessionState};

use super::super::telling;
use super::story::{Story, store_error};
use crate::simulation::record::What;

#[test]
fn events_states_and_counters_agree() {
    let counted = |refreshed| {
        let counters = What::Counted(counters(refreshed));
        let seen = What::Watched(SessionState::Active);
        let story = Story::signed_in().starts(Cause::Forced).publishes(Cause::Forced, 1, 0);
        story.add(seen).add(counters).breaks(telling::Told::new)
    };
    assert!(!counted(1));
    assert!(counted(0));

    let watched = |state| {
        let story = Story::signed_in().add(What::Watched(state));
        story.add(What::Counted(Counters::default())).breaks(telling::Told::new)
    };
    assert!(!watched(SessionState::Active));
    assert!(watched(SessionState::Unknown));
    let told = Story::signed_in().add(What::State(SessionState::SignedOut));
    let told = told.add(What::Watched(SessionState::SignedOut)).add(What::Counted(Counters::default()));
    assert!(told.breaks(telling::Told::new), "nobody was told of a sign-out");
}

/// What a session has counted that has made so many refreshes.
fn counters(refreshes: u64) -> Counters {
    use crate::{ManualRuntime, ScriptedRefresher, numbered};
    use auth_core::Session;

    let runtime = ManualRuntime::new();
    let session = Session::builder(ScriptedRefresher::rotating().0).runtime(runtime.clone()).build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    for _ in 0..refreshes {
        runtime.block_on(session.refresh(None)).unwrap();
    }
    session.counters()
}

#[test]
fn events_come_in_an_order_that_makes_sense() {
    let breaks = |story: Story| story.breaks(telling::Told::new);
    let rejected = || Story::signed_in().starts(Cause::Rejected);

    assert!(breaks(Story::signed_in().told(Event::SignedOut { epoch: 1 })), "that epoch has been");
    assert!(!breaks(Story::signed_in().told(Event::SignedOut { epoch: 2 })));
    assert!(breaks(rejected().told(Event::SignedOut { epoch: 2 })), "its refresh has not ended");
    assert!(breaks(rejected().fails(Cause::Rejected).told(Event::Draining)), "that token was rejected");
    assert!(!breaks(rejected().fails(Cause::Proactive).told(Event::Draining)));
    let crowded = rejected().publishes(Cause::Rejected, 1, 3);
    assert!(!breaks(crowded.clone()));
    assert!(breaks(crowded.rules(|plan| plan.session.max_waiters = Some(2))));
    let (flight, took) = (Story::new().flight(), Duration::ZERO);
    let unsaved =
        Event::RefreshFailed { flight, error: store_error(), cause: Cause::Forced, waiters: 0, took };
    assert!(breaks(Story::signed_in().starts(Cause::Forced).told(unsaved.clone())));
    let strict = Story::signed_in().starts(Cause::Forced).told(unsaved);
    assert!(!breaks(strict.rules(|plan| plan.session.fail_unsaved = true)));
}
