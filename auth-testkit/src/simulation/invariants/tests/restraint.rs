//! How often the token endpoint is asked.

use auth_core::{Cause, Event, SessionState};

use super::super::{idle, pace, storms};
use super::story::{Story, unavailable};
use super::token;
use crate::simulation::record::{Refusal, What};

#[test]
fn after_a_failure_the_token_endpoint_is_left_alone() {
    let again = |ms: u64, cause| {
        let failed = Story::signed_in().starts(Cause::Rejected).fails(Cause::Rejected);
        failed.at(10 + ms).starts(cause).breaks(storms::Restraint::new)
    };

    assert!(again(700, Cause::Rejected));
    assert!(again(700, Cause::Proactive));
    assert!(!again(700, Cause::Forced), "whoever forces it does not wait");
    assert!(!again(1_300, Cause::Rejected), "a fifth of it is chance");
}

#[test]
fn cooldowns_double() {
    let third = |ms: u64| {
        let failed = Story::signed_in().starts(Cause::Rejected).fails(Cause::Rejected);
        let twice = failed.at(2_000).starts(Cause::Rejected).fails(Cause::Rejected);
        twice.at(2_000 + ms).starts(Cause::Rejected).breaks(storms::Restraint::new)
    };

    assert!(third(1_400));
    assert!(!third(1_700));
}

#[test]
fn refreshes_that_do_not_help_are_not_repeated() {
    let again = |many, apart| {
        let mut story = Story::signed_in();
        for number in 0..many {
            let at = 10 + number * apart;
            story = story.at(at).starts(Cause::Rejected).publishes(Cause::Rejected, number + 1, 0);
        }
        story.at(10 + many * apart).starts(Cause::Rejected).breaks(storms::Restraint::new)
    };

    assert!(!again(4, 100));
    assert!(again(5, 100));
    assert!(!again(5, 6_100), "half a minute has passed since the first");
}

/// A refresh whose first call ended so.
fn called(end: What) -> Story {
    Story::signed_in().starts(Cause::Rejected).presented(1, 2).add(end)
}

#[test]
fn a_call_is_made_again_after_its_pause() {
    let again = |end: What, ms: u64| called(end).at(10 + ms).presented(2, 2).breaks(pace::Pace::new);
    let failed = |status| What::Failed { call: 1, status };

    assert!(again(failed(Some(503)), 200));
    assert!(!again(failed(Some(503)), 250));
    assert!(again(failed(Some(400)), 1_000), "the server said no");
    assert!(again(What::Refused { call: 1, why: Refusal::Revoked }, 1_000));
    assert!(!again(What::Lost { call: 1 }, 0));
    assert!(again(What::Lost { call: 1 }, 250), "a server grants a grace of seconds only");
}

#[test]
fn a_call_is_made_three_times_and_no_more() {
    let lost = |call| What::Lost { call };
    let twice = || called(lost(1)).presented(2, 2).add(lost(2));

    let thrice = twice().presented(3, 2);
    assert!(!thrice.breaks(pace::Pace::new));
    assert!(thrice.add(lost(3)).presented(4, 2).breaks(pace::Pace::new));
    assert!(twice().fails(Cause::Rejected).breaks(pace::Pace::new), "given up too early");
}

#[test]
fn who_asks_to_be_left_alone_is() {
    let (flight, error) = (Story::new().flight(), unavailable());
    let failed = called(What::Failed { call: 1, status: Some(429) });
    let told = failed.told(Event::AttemptFailed { flight, attempt: 1, error });

    assert!(told.clone().at(100).presented(2, 2).breaks(pace::Pace::new));
    assert!(!told.at(1_300).presented(2, 2).breaks(pace::Pace::new));
}

#[test]
fn an_idle_session_does_not_rest_with_a_token_that_has_expired() {
    let rests = |idle, ms| {
        let story = Story::signed_in().rules(|plan| plan.session.idle = idle);
        let counted = What::Counted(auth_core::Counters::default());
        story.add(What::Healed).at(ms).add(counted).breaks(idle::NeverStale::new)
    };

    assert!(rests(true, 96_000));
    assert!(!rests(true, 94_000));
    assert!(!rests(false, 96_000), "it was not asked to");
    let ended = Story::signed_in().rules(|plan| plan.session.idle = true).add(What::Healed);
    let ended = ended.add(What::State(SessionState::SignedOut)).at(96_000);
    let counted = What::Counted(auth_core::Counters::default());
    assert!(!ended.sent(1, 1, 0, token(1)).add(counted).breaks(idle::NeverStale::new));
}

#[test]
fn who_was_refused_first_tokens_does_not_ask_again_at_once() {
    let again = |ms: u64| {
        let refused = What::Failed { call: 1, status: Some(400) };
        let story = Story::new().add(What::Acquiring { call: 1 }).add(refused);
        story.at(ms).add(What::Acquiring { call: 2 }).breaks(storms::Restraint::new)
    };

    assert!(again(700));
    assert!(!again(900));
}
