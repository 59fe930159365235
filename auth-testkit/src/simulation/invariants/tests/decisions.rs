//! What a session decides: whom it lets pass, whom it keeps waiting, whom it fails, and when it refreshes.

use std::time::Duration;

use auth_core::{Cause, EndReason, ErrorKind, Event, SessionState, Stamp};

use super::super::{answers, endings, forced, needless, road, valid};
use super::story::Story;
use super::{pair, token};
use crate::simulation::plan::{Action, Fate, Knows, RequestKind};
use crate::simulation::record::{Pair, Refusal, StoreOp, StoreOutcome, What};

const PLAIN: Action = Action::Request { kind: RequestKind::Plain, fate: Fate::Polled };
const ONCE: Action = Action::Request { kind: RequestKind::NoReplay, fate: Fate::Polled };
const REFRESH: Action = Action::Refresh { fate: Fate::Polled, knows: Knows::Nothing };
const REFRESH_OLD: Action = Action::Refresh { fate: Fate::Polled, knows: Knows::Oldest };

fn lasting(min_s: u64) -> Action {
    Action::AccessToken { min_s, fate: Fate::Polled }
}

#[test]
fn a_request_is_sent_again_once_and_its_caller_gets_the_last_answer() {
    let breaks = |story: Story| story.asks(&[PLAIN, ONCE]).breaks(road::Road::new);
    let rejected = |request| Story::signed_in().rejected(request, 0, token(1));

    assert!(!breaks(rejected(1).sent(1, 2, 1, token(3)).answered(1, 401).settled(1, Ok(401))));
    assert!(!breaks(rejected(2).settled(2, Ok(401))));
    assert!(breaks(rejected(1).settled(1, Ok(401))), "it was to be sent again");
    assert!(breaks(rejected(2).sent(2, 2, 1, token(3))), "it was not");
    assert!(breaks(rejected(1).sent(1, 2, 1, token(3)).answered(1, 401).sent(1, 3, 2, token(5))));
    let answered = || Story::signed_in().submitted(1).sent(1, 1, 0, token(1)).answered(1, 200);
    assert!(breaks(answered().sent(1, 2, 0, token(1))), "nobody had rejected it");
    assert!(breaks(answered().settled(1, Ok(503))), "that is another's answer");
    assert!(breaks(answered().settled(1, Err(ErrorKind::RefreshUnavailable))));
    assert!(breaks(answered().add(What::Spoiled { request: 1, how: "its body is another".to_owned() })));
}

#[test]
fn an_error_has_the_answer_that_it_stands_in_for() {
    let fails = |instead_of| {
        let outcome = Err(ErrorKind::RefreshUnavailable);
        let settled = What::Settled { request: 1, outcome, instead_of };
        Story::signed_in().rejected(1, 0, token(1)).add(settled).breaks(road::Road::new)
    };

    assert!(!fails(Some(401)));
    assert!(fails(None));
}

#[test]
fn no_token_goes_out_that_is_known_to_be_bad() {
    let breaks = |story: Story| story.breaks(valid::GoodTokens::new);
    let sent = |ms| Story::signed_in().at(ms).submitted(1).sent(1, 1, 0, token(1));

    assert!(!breaks(sent(94_900)));
    assert!(breaks(sent(95_100)), "five seconds before its end it counts as expired");
    let refreshing = || Story::signed_in().rejected(1, 0, token(1)).starts(Cause::Rejected);
    assert!(breaks(refreshing().submitted(2).sent(2, 1, 0, token(1))), "it is being refreshed");
    assert!(!breaks(refreshing().submitted(2).sent(2, 1, 1, token(3))));
    let newer = Story::signed_in().submitted(1).sent(1, 1, 1, token(3));
    assert!(breaks(newer.submitted(2).sent(2, 1, 0, token(1))), "a newer one is in use");
}

#[test]
fn while_the_token_is_good_nobody_waits() {
    let breaks = |story: Story| story.breaks(valid::NobodyWaits::new);
    let waits = |story: Story| breaks(story.submitted(1).add(What::State(SessionState::Refreshing)));

    assert!(waits(Story::signed_in()));
    assert!(waits(Story::signed_in().at(90_000)), "in the soft window neither");
    assert!(!waits(Story::signed_in().at(95_100)), "it has expired");
    assert!(!waits(Story::signed_in().rejected(2, 0, token(1))), "it was rejected");
    assert!(!breaks(Story::signed_in().submitted(1).sent(1, 1, 0, token(1))));
}

#[test]
fn a_token_that_is_used_in_its_soft_window_is_refreshed() {
    let breaks = |story: Story| story.breaks(valid::NobodyWaits::new);
    let used = |ms| Story::signed_in().at(ms).submitted(1).sent(1, 1, 0, token(1));

    assert!(!breaks(used(81_000)), "chance makes the window shorter by up to a tenth");
    assert!(breaks(used(83_000)));
    assert!(!breaks(used(83_000).starts(Cause::Proactive)));
    assert!(!breaks(used(83_000).rules(|plan| plan.session.soft_window_s = Some(0))));
}

#[test]
fn a_refresh_has_a_reason() {
    let breaks = |story: Story| story.asks(&[PLAIN, REFRESH, REFRESH_OLD]).breaks(needless::Reasons::new);
    let renewed = || {
        Story::signed_in().rejected(1, 0, token(1)).starts(Cause::Rejected).refreshes(Cause::Rejected, 1, 3)
    };

    assert!(!breaks(renewed()));
    assert!(breaks(Story::signed_in().starts(Cause::Rejected)), "nobody has seen a 401");
    assert!(breaks(renewed().rejected(4, 0, token(1)).starts(Cause::Rejected)), "that 401 came late");
    assert!(!breaks(renewed().rejected(4, 1, token(3)).starts(Cause::Rejected)));
    assert!(breaks(Story::signed_in().starts(Cause::Forced)), "nobody asks");
    assert!(!breaks(Story::signed_in().submitted(2).starts(Cause::Forced)));
    let knows = |generation| What::Knew { request: 3, stamp: Stamp { epoch: 1, generation } };
    assert!(breaks(renewed().submitted(3).add(knows(0)).starts(Cause::Forced)), "it knows an older one");
    assert!(!breaks(renewed().submitted(3).add(knows(1)).starts(Cause::Forced)));
    let early = |ms| Story::signed_in().submitted(1).sent(1, 1, 0, token(1)).at(ms).starts(Cause::Proactive);
    assert!(breaks(early(79_000)), "it has time left");
    assert!(!breaks(early(80_100)));
    let asked = |least| {
        let story = Story::signed_in().submitted(1).sent(1, 1, 0, token(1)).submitted(2);
        story.starts(Cause::Proactive).asks(&[PLAIN, lasting(least)]).breaks(needless::Reasons::new)
    };
    assert!(asked(30), "it lasts for as long as is asked");
    assert!(!asked(98));
    let again = |story: Story| {
        let story = story.publishes(Cause::Rejected, 1, 0).submitted(2).starts(Cause::Proactive);
        story.asks(&[PLAIN, lasting(98)]).breaks(needless::Reasons::new)
    };
    let found = Pair { access: token(1), refresh: Some(token(4)) };
    let found = StoreOutcome::Done(Some(found));
    assert!(again(Story::signed_in()), "another will last no longer");
    assert!(!again(Story::signed_in().ended(1, StoreOp::Load, found)), "it is somebody else's");
    let dead = Story::signed_in().told(Event::Draining);
    assert!(breaks(dead.rejected(1, 0, token(1)).starts(Cause::Rejected)), "the refresh token is dead");
}

#[test]
fn whoever_fails_has_a_reason() {
    let breaks = |story: Story| story.asks(&[PLAIN, REFRESH]).breaks(answers::Grounds::new);
    let fails = |story: Story, request, kind| breaks(story.settled(request, Err(kind)));
    let rejected = || Story::signed_in().rejected(1, 0, token(1));
    let failed = || rejected().starts(Cause::Rejected).fails(Cause::Rejected);

    assert!(fails(rejected(), 1, ErrorKind::RefreshUnavailable), "no refresh has failed");
    assert!(!fails(failed(), 1, ErrorKind::RefreshUnavailable));
    assert!(fails(failed(), 1, ErrorKind::Misconfigured), "as something else");
    let later = |ms: u64| failed().at(10 + ms).rejected(3, 0, token(1));
    assert!(!fails(later(900), 3, ErrorKind::RefreshUnavailable), "it cools down");
    assert!(fails(later(1_400), 3, ErrorKind::RefreshUnavailable), "not any more");
    assert!(
        fails(failed().at(300).submitted(2), 2, ErrorKind::RefreshUnavailable),
        "that does not wait for cooldowns"
    );
    assert!(fails(rejected(), 1, ErrorKind::SignedOut));
    assert!(!fails(rejected().add(What::SignOut), 1, ErrorKind::SignedOut));
    assert!(fails(rejected(), 1, ErrorKind::SessionEnded));
    let over = What::State(SessionState::Ended(EndReason::Rejected));
    assert!(!fails(rejected().add(over), 1, ErrorKind::SessionEnded));
    assert!(fails(rejected(), 1, ErrorKind::SessionChanged));
    assert!(!fails(rejected().add(What::SignIn { token: token(7) }), 1, ErrorKind::SessionChanged));
    assert!(fails(rejected(), 1, ErrorKind::ExcessiveRefresh), "no token was rejected at once");
    assert!(fails(rejected(), 1, ErrorKind::QueueFull), "as many may wait as like");
    assert!(fails(rejected(), 1, ErrorKind::Reentrant));
}

#[test]
fn the_queue_is_full_of_those_who_wait() {
    let fails = |others: u32| {
        let mut story = Story::signed_in().rules(|plan| plan.session.max_waiters = Some(2));
        for number in 0..others {
            story = story.rejected(10 + number, 0, token(1));
        }
        let story = story.rejected(1, 0, token(1)).settled(1, Err(ErrorKind::QueueFull));
        story.breaks(answers::Grounds::new)
    };

    assert!(fails(1));
    assert!(!fails(2));
}

#[test]
fn nobody_is_signed_out_while_the_token_is_good() {
    let breaks = |story: Story| story.breaks(endings::NoFalseLogout::new);
    let refused = |why| Story::signed_in().presented(1, 2).add(What::Refused { call: 1, why });
    let ends = |story: Story, reason| breaks(story.add(What::State(SessionState::Ended(reason))));

    assert!(ends(refused(Refusal::Revoked), EndReason::Rejected));
    let rejected = |why| refused(why).rejected(1, 0, token(1));
    assert!(!ends(rejected(Refusal::Revoked), EndReason::Rejected));
    assert!(ends(rejected(Refusal::Revoked), EndReason::RefreshTokenExpired), "it has no lifetime");
    assert!(!ends(refused(Refusal::Revoked).at(96_000), EndReason::Rejected), "it has expired");
    let other = Story::signed_in().presented(1, 2).add(What::Refused { call: 1, why: Refusal::Revoked });
    let other = other.add(What::SignIn { token: crate::simulation::Token { number: 7, sign_in: 2 } });
    assert!(ends(other, EndReason::Rejected), "somebody else was refused");
}

#[test]
fn an_answer_that_was_lost_is_the_reason_that_is_told() {
    let ends = |reason| {
        let lost = Story::signed_in().rejected(1, 0, token(1)).presented(1, 2).add(What::Lost { call: 1 });
        let refused = lost.presented(2, 2).add(What::Refused { call: 2, why: Refusal::Reused });
        refused.add(What::State(SessionState::Ended(reason))).breaks(endings::NoFalseLogout::new)
    };

    assert!(ends(EndReason::Rejected));
    assert!(!ends(EndReason::AnswerLost));
}

#[test]
fn who_asks_for_a_refresh_gets_one() {
    let breaks = |story: Story| story.asks(&[REFRESH, REFRESH_OLD]).breaks(forced::Wishes::new);
    let refreshed = |request| Story::signed_in().submitted(request).starts(Cause::Forced);

    assert!(breaks(Story::signed_in().submitted(1).settled(1, Ok(200))));
    assert!(!breaks(refreshed(1).refreshes(Cause::Forced, 1, 3).settled(1, Ok(200))));
    let older = What::Knew { request: 2, stamp: Stamp { epoch: 1, generation: 0 } };
    let renewed = refreshed(1).refreshes(Cause::Forced, 1, 3).settled(1, Ok(200)).at(500);
    assert!(!breaks(renewed.submitted(2).add(older).settled(2, Ok(200))), "there is a newer one already");
}

#[test]
fn a_token_lasts_as_long_as_was_asked_where_it_can() {
    let short = |least, ms| {
        let given = What::Handed { request: 1, token: token(1) };
        let story = Story::signed_in().asks(&[lasting(least)]).at(ms).submitted(1).add(given);
        story.breaks(forced::Wishes::new)
    };

    assert!(short(30, 70_000));
    assert!(!short(30, 10_000));
    assert!(!short(200, 70_000), "no refresh can do that");
}

#[test]
fn a_store_is_empty_if_somebody_has_seen_it_empty() {
    let breaks = |story: Story| story.told(Event::Loaded { signed_in: false }).breaks(forced::Wishes::new);
    let asks = |story: Story| story.add(What::Acquiring { call: 1 }).breaks(forced::Wishes::new);

    assert!(breaks(Story::new()));
    assert!(breaks(Story::new().found(Some(1))));
    assert!(!breaks(Story::new().found(None)));
    assert!(asks(Story::new()));
    assert!(!asks(Story::new().found(None)));
}

/// A refresh of another's, taken over from the store.
fn adopted(story: Story) -> Story {
    let (flight, stamp) = (story.flight(), Stamp { epoch: 1, generation: 1 });
    let (cause, took) = (Cause::Rejected, Duration::ZERO);
    let event = Event::Refreshed { flight, stamp, adopted: true, unchanged: false, cause, waiters: 0, took };
    story.add(What::State(SessionState::Active)).told(event)
}

#[test]
fn what_has_expired_is_not_taken_over_nor_kept() {
    let breaks = |story: Story| story.breaks(valid::GoodTokens::new);
    let takes = |ms| breaks(adopted(Story::signed_in().starts(Cause::Rejected).at(ms).found(Some(1))));
    let drains = |ms| breaks(Story::signed_in().at(ms).add(What::State(SessionState::Draining)));

    assert!(takes(96_000));
    assert!(!takes(90_000));
    assert!(drains(96_000));
    assert!(!drains(90_000));
}

#[test]
fn nobody_fails_where_the_store_holds_a_good_pair() {
    let fails = |given| {
        let granted = |access| {
            let pair = pair(access, access + 1);
            What::Granted { pair, lives_s: Some(100), refresh_lives_s: None }
        };
        let story = Story::signed_in().starts(Cause::Rejected).by(if given { 0 } else { 1 }, granted(3));
        story.add(granted(5)).found(Some(3)).fails(Cause::Rejected).breaks(forced::Wishes::new)
    };

    assert!(fails(false));
    assert!(!fails(true), "its own, which could not be saved");
    assert!(
        !Story::signed_in()
            .starts(Cause::Rejected)
            .found(Some(1))
            .fails(Cause::Rejected)
            .breaks(forced::Wishes::new)
    );
}

#[test]
fn a_refresh_token_that_has_expired_is_not_presented() {
    let signed_in = || {
        let granted = What::Granted { pair: pair(3, 4), lives_s: Some(100), refresh_lives_s: Some(50) };
        let story = Story::signed_in().add(granted).publishes(Cause::Rejected, 1, 0);
        story.submitted(1).sent(1, 1, 1, token(3))
    };
    let presents = |ms| signed_in().at(ms).presented(1, 4).breaks(needless::Reasons::new);
    let starts = |ms| signed_in().at(ms).submitted(2).starts(Cause::Forced).asks(&[PLAIN, REFRESH]);

    assert!(!presents(79_000), "it may have been good when the refresh began");
    assert!(presents(82_000));
    assert!(starts(51_000).breaks(needless::Reasons::new), "the access token is good");
    assert!(!starts(96_000).breaks(needless::Reasons::new), "the store may hold a newer one");
}
