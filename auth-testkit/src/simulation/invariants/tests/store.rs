//! What a session does with its store, and with pairs that are nobody's.

use auth_core::{Cause, EndReason, Event, SessionState};

use super::super::{locking, looking, order, revoking, saving, trying};
use super::story::{Story, store_error};
use super::{pair, token};
use crate::simulation::plan::Plan;
use crate::simulation::record::{Pair, Refusal, StoreOp, StoreOutcome, Token, What};

fn shared(plan: &mut Plan) {
    plan.session.shared = true;
}

const DONE: StoreOutcome = StoreOutcome::Done(None);

fn save() -> StoreOp {
    StoreOp::Save { pair: pair(3, 4) }
}

#[test]
fn a_shared_store_is_refreshed_from_and_written_under_its_lock() {
    let breaks = |story: Story| story.breaks(locking::UnderLock::new);
    let story = || Story::new().rules(shared);
    let locked = |outcome| story().ended(1, StoreOp::Lock, outcome);

    assert!(breaks(story().presented(2, 2)));
    assert!(!breaks(Story::new().presented(2, 2)), "that store has no lock");
    assert!(!breaks(locked(DONE).presented(2, 2)));
    assert!(breaks(locked(DONE).add(What::Unlocked).presented(2, 2)));
    assert!(!breaks(locked(DONE).began(2, save(), true)));
    assert!(breaks(locked(DONE).began(2, save(), false)), "past the lock that it has");
    assert!(breaks(story().began(2, save(), false)), "it has not asked");
    assert!(breaks(locked(StoreOutcome::Failed).began(2, save(), false)), "a refresh can wait");
    let signed_in = story().add(What::SignIn { token: token(3) });
    assert!(!breaks(signed_in.ended(1, StoreOp::Lock, StoreOutcome::Failed).began(2, save(), false)));
    let signed_out = || locked(DONE).presented(2, 2).add(What::SignOut);
    assert!(breaks(signed_out().add(What::Unlocked)), "nobody else may read what may be spent");
    assert!(!breaks(signed_out().began(3, StoreOp::Clear, true).add(What::Unlocked)));
}

#[test]
fn the_store_is_looked_at_before_a_refresh_token_is_presented() {
    let breaks = |story: Story| story.breaks(looking::LooksFirst::new);
    let flight = || Story::signed_in().starts(Cause::Rejected);

    assert!(breaks(flight().presented(1, 2)));
    assert!(!breaks(flight().found(Some(1)).presented(1, 2)));
    assert!(breaks(flight().found(Some(3)).presented(1, 2)), "another was there");
    let saved = StoreOp::Save { pair: pair(1, 2) };
    assert!(!breaks(flight().found(None).ended(2, saved, StoreOutcome::Failed).presented(1, 2)));
    let blind = || flight().ended(2, StoreOp::Load, StoreOutcome::Failed).presented(1, 2);
    assert!(!breaks(blind()), "nobody else writes it");
    assert!(breaks(blind().rules(shared)));
}

#[test]
fn a_refusal_is_the_end_only_after_another_look() {
    let ends = |story: Story| {
        let ended = What::State(SessionState::Ended(EndReason::Rejected));
        story.add(ended).breaks(looking::LooksFirst::new)
    };
    let refused = || {
        let story = Story::signed_in().starts(Cause::Rejected).found(Some(1)).presented(1, 2);
        story.add(What::Refused { call: 1, why: Refusal::Revoked })
    };

    assert!(ends(refused()));
    assert!(!ends(refused().found(Some(1))));
    assert!(ends(refused().found(Some(3))), "that was to be tried");
    let blind = || refused().ended(3, StoreOp::Load, StoreOutcome::Failed);
    assert!(!ends(blind()));
    assert!(ends(blind().rules(shared)), "others may have written it");
}

#[test]
fn a_store_is_not_set_back_and_cleared_only_of_what_is_ones_own() {
    let stored = |access: Option<u32>| What::Stored { pair: access.map(|access| pair(access, access + 1)) };
    let breaks = |story: Story| story.breaks(looking::LooksFirst::new);
    let saved = || {
        let own = StoreOp::Save { pair: pair(1, 2) };
        Story::signed_in().add(stored(Some(1))).ended(1, own, DONE)
    };

    assert!(!breaks(saved().add(stored(Some(3)))));
    assert!(breaks(saved().add(stored(Some(3))).add(stored(Some(1)))));
    assert!(!breaks(saved().add(stored(None))));
    let others = || saved().add(stored(Some(5)));
    assert!(breaks(others().add(stored(None))));
    assert!(!breaks(others().add(What::SignOut).add(stored(None))), "a sign-out wins");
}

#[test]
fn a_sign_in_that_is_not_saved_gives_way_to_nothing() {
    let follows =
        |story: Story| story.told(Event::IdentityChanged { epoch: 2 }).breaks(looking::LooksFirst::new);
    let own = StoreOp::Save { pair: pair(1, 2) };

    assert!(follows(Story::signed_in().at(100)));
    let stands_still = || What::Stopped { whole: true };
    assert!(!follows(Story::signed_in().add(stands_still()).at(100)), "it is told late");
    assert!(!follows(Story::signed_in().ended(1, own, DONE).at(100)));
    let ends = What::State(SessionState::Ended(EndReason::EndedElsewhere));
    assert!(Story::signed_in().add(ends.clone()).breaks(looking::LooksFirst::new));
    assert!(!Story::signed_in().add(stands_still()).add(ends).breaks(looking::LooksFirst::new));
}

#[test]
fn who_cannot_have_the_lock_looks_all_the_same() {
    let (flight, took) = (Story::new().flight(), std::time::Duration::ZERO);
    let (error, cause) = (super::story::unavailable(), Cause::Rejected);
    let failed = Event::RefreshFailed { flight, error, cause, waiters: 0, took };
    let unlocked = || Story::signed_in().starts(cause).ended(1, StoreOp::Lock, StoreOutcome::Failed);

    let over = |story: Story| story.add(What::State(SessionState::Active));

    assert!(over(unlocked()).told(failed.clone()).breaks(looking::LooksFirst::new));
    assert!(!over(unlocked().found(Some(1))).told(failed.clone()).breaks(looking::LooksFirst::new));
    let before = over(unlocked().found(Some(1))).starts(cause).ended(2, StoreOp::Lock, StoreOutcome::Failed);
    assert!(
        !before.told(failed).breaks(looking::LooksFirst::new),
        "told while the next one has not looked yet"
    );
}

#[test]
fn a_write_that_failed_is_made_once_more() {
    let breaks = |story: Story| story.breaks(trying::Tries::new);
    let failed = || Story::signed_in().began(1, save(), false).ended(1, save(), StoreOutcome::Failed);

    assert!(breaks(failed().at(500).told(Event::Saved)));
    assert!(!breaks(failed().began(2, save(), false).ended(2, save(), StoreOutcome::Failed).at(500)));
    // It was made after all. The next one that fails is another one's first.
    let made = |found| failed().began(2, StoreOp::Load, false).found(Some(found)).at(500);
    let next = |story: Story| story.began(3, save(), false).ended(3, save(), StoreOutcome::Failed).at(900);
    assert!(!breaks(made(3).add(What::SignOut)));
    assert!(breaks(next(made(3)).add(What::SignOut)));
    assert!(!breaks(next(made(1)).add(What::SignOut)), "that was the second try");
    let blind = failed().began(2, StoreOp::Load, false).ended(2, StoreOp::Load, StoreOutcome::Failed).at(500);
    assert!(!breaks(next(blind).add(What::SignOut)), "the look may have been a try");
    let out = failed().add(What::SignOut);
    assert!(!breaks(out.clone().at(500).told(Event::Saved)), "it is nobody's any more");
    let other = StoreOp::Save { pair: pair(5, 6) };
    let signed_in = out.add(What::SignIn { token: token(3) }).ended(2, save(), StoreOutcome::Failed);
    let first = signed_in.began(3, other, false).ended(3, other, StoreOutcome::Failed);
    assert!(breaks(first.at(500).told(Event::Saved)), "of another pair it is the first");
}

#[test]
fn a_sign_out_is_not_given_up_for_want_of_a_lock() {
    let gives_up =
        |story: Story| story.told(Event::SaveFailed { error: store_error() }).breaks(trying::Tries::new);
    let unlocked = || {
        let story = Story::signed_in().add(What::SignOut).began(1, StoreOp::Lock, false);
        story.ended(1, StoreOp::Lock, StoreOutcome::Failed)
    };

    assert!(gives_up(unlocked()));
    assert!(!gives_up(unlocked().began(2, StoreOp::Clear, false)));
}

#[test]
fn what_has_ended_is_cleared_away() {
    let ends = |reason| Story::signed_in().add(What::State(SessionState::Ended(reason)));

    assert!(ends(EndReason::Rejected).breaks(trying::Tries::new));
    assert!(!ends(EndReason::Rejected).began(1, StoreOp::Load, false).breaks(trying::Tries::new));
    assert!(!ends(EndReason::EndedElsewhere).breaks(trying::Tries::new), "somebody else has");
}

#[test]
fn what_must_be_saved_is_not_used_unsaved() {
    let used = |strict, outcome| {
        let story = Story::signed_in().rules(|plan| plan.session.fail_unsaved = strict);
        let granted = What::Granted { pair: pair(3, 4), lives_s: None, refresh_lives_s: None };
        let saved = story.starts(Cause::Forced).add(granted).ended(1, save(), outcome);
        let again = saved.ended(2, save(), outcome);
        again.publishes(Cause::Forced, 1, 0).breaks(trying::Tries::new)
    };

    assert!(used(true, StoreOutcome::Failed));
    assert!(!used(true, DONE));
    assert!(!used(false, StoreOutcome::Failed));
    let late = |sign_in, followed: Option<u32>| {
        let story = Story::signed_in().rules(|plan| plan.session.fail_unsaved = true);
        let other = Pair { access: Token { number: 7, sign_in }, refresh: None };
        let own = StoreOp::Save { pair: other };
        let story = story.add(What::SignIn { token: other.access }).starts(Cause::Forced).ended(1, own, DONE);
        let story = if followed.is_some() { story.found(followed) } else { story };
        let late = What::Granted { pair: pair(3, 4), lives_s: None, refresh_lives_s: None };
        story.add(late).publishes(Cause::Forced, 1, 0).breaks(trying::Tries::new)
    };
    assert!(!late(2, None), "it came for somebody who had gone");
    assert!(late(2, Some(1)), "who has come back");
    assert!(late(1, None));
}

#[test]
fn a_pair_that_is_nobodys_is_offered_for_revocation() {
    let breaks = |story: Story| story.breaks(revoking::Revoked::new);
    let revoked = |number, sign_in| What::Offered { refresh: Token { number, sign_in } };

    let signed_out = || Story::signed_in().add(What::SignOut);
    assert!(breaks(signed_out()));
    assert!(!breaks(signed_out().add(revoked(2, 1))));
    assert!(!breaks(signed_out().add(What::Killed)));
    let late = || {
        let story = Story::signed_in().starts(Cause::Rejected).presented(1, 2);
        let story = story.add(What::SignIn { token: Token { number: 7, sign_in: 2 } });
        let exchanged = What::Exchanged { call: 1, access: token(3), refresh: token(4) };
        story.add(exchanged).add(What::Delivered { call: 1 })
    };
    assert!(breaks(late()), "it came when somebody else was signed in");
    assert!(!breaks(late().add(revoked(4, 1))));
}

#[test]
fn first_tokens_that_nobody_wants_any_more_are_offered_too() {
    let acquired = |meanwhile: &[What]| {
        let mut story = Story::new().add(What::Built).add(What::Acquiring { call: 1 });
        let exchanged = What::Exchanged { call: 1, access: token(1), refresh: token(2) };
        story = story.add(exchanged).add(What::Delivered { call: 1 });
        for what in meanwhile {
            story = story.add(what.clone());
        }
        story.breaks(revoking::Revoked::new)
    };

    assert!(!acquired(&[What::State(SessionState::Active)]));
    assert!(acquired(&[What::SignIn { token: Token { number: 7, sign_in: 2 } }]));
}

#[test]
fn who_has_ended_clears_what_it_had_and_nothing_else() {
    let clears = |there| {
        let stored = |access: u32| What::Stored { pair: Some(pair(access, access + 1)) };
        let own = StoreOp::Save { pair: pair(1, 2) };
        let story = Story::signed_in().add(stored(1)).ended(1, own, DONE).by(1, stored(there));
        let ended = story.add(What::State(SessionState::Ended(EndReason::RefreshTokenExpired)));
        ended.found(Some(there)).add(What::Stored { pair: None }).breaks(looking::LooksFirst::new)
    };

    assert!(!clears(1));
    assert!(clears(3), "another's, which it has only read");
}

#[test]
fn nobody_follows_the_sign_in_that_it_has() {
    let follows = |found: Option<u32>| {
        let own = StoreOp::Save { pair: pair(1, 2) };
        let other = Token { number: 7, sign_in: 2 };
        let there = found.map_or(pair(1, 2), |_| Pair { access: other, refresh: None });
        let story = Story::signed_in().ended(1, own, DONE).at(500);
        let story = story.ended(2, StoreOp::Load, StoreOutcome::Done(Some(there)));
        story.told(Event::IdentityChanged { epoch: 2 }).breaks(looking::LooksFirst::new)
    };

    assert!(follows(None));
    assert!(!follows(Some(7)));
    let late = |other| {
        let there = Pair { access: Token { number: 7, sign_in: other }, refresh: None };
        let story = Story::new().add(What::Built).found(Some(1)).add(What::State(SessionState::Active));
        let story = story.at(500).ended(2, StoreOp::Load, StoreOutcome::Done(Some(there)));
        let told = story.told(Event::Loaded { signed_in: true });
        told.told(Event::IdentityChanged { epoch: 1 }).breaks(looking::LooksFirst::new)
    };
    assert!(!late(2), "what was read first is told when another has been found there");
    assert!(late(1));
}

#[test]
fn the_lock_is_kept_until_the_new_pair_is_saved() {
    let breaks = |story: Story| story.breaks(|_| saving::SavedFirst::default());
    let delivered = || {
        let exchanged = What::Exchanged { call: 1, access: token(3), refresh: token(4) };
        Story::signed_in().add(exchanged).add(What::Delivered { call: 1 })
    };

    assert!(breaks(delivered().add(What::Unlocked)));
    assert!(!breaks(delivered().add(What::Killed).add(What::Unlocked)), "with its process");
    assert!(!breaks(delivered().ended(2, save(), StoreOutcome::Failed).add(What::Unlocked)));
    assert!(!breaks(delivered().add(What::SignOut).add(What::Unlocked)), "it is nobody's");
}

#[test]
fn a_queue_waits_for_as_long_as_its_patience_is() {
    let opens = |ms: u64| {
        let story = Story::signed_in().starts(Cause::Rejected).publishes(Cause::Rejected, 1, 2);
        let event = Event::QueueOpened { flight: story.flight() };
        story.at(10 + ms).told(event).breaks(order::Patience::new)
    };

    assert!(opens(300));
    assert!(!opens(460));
}
