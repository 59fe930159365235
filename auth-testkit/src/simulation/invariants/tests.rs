//! Each invariant against moments written by hand: what it lets pass, and what it does not.

use std::time::Duration;

use auth_core::{EndReason, SessionState};

mod decisions;
mod restraint;
mod store;
mod story;
mod telling;

use super::{Invariant, Watch, endings, identity, order, refreshing, saving, settling};
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, Pair, Refusal, StoreOp, StoreOutcome, Token, What};
use story::Story;

fn token(number: u32) -> Token {
    Token { number, sign_in: 1 }
}

fn pair(access: u32, refresh: u32) -> Pair {
    Pair { access: token(access), refresh: Some(token(refresh)) }
}

fn sent(request: u32, access: Token) -> What {
    What::Sent { request, attempt: 1, place: None, stamp: None, token: Some(access) }
}

fn began(call: u32, op: StoreOp) -> What {
    What::StoreBegan { call, op, locked: true }
}

fn ended(call: u32, op: StoreOp, outcome: StoreOutcome) -> What {
    What::StoreEnded { call, op, outcome }
}

/// Shows them these moments, of process 0, a millisecond apart; then they rest. The broken promise's name, or nothing.
fn judge(moments: Vec<What>) -> String {
    judge_all(moments.into_iter().map(|what| (0, what)).collect())
}

/// Those that ask for no more of a record than is about them.
fn watch() -> Watch {
    let plan = Story::new().plan;
    let all: Vec<Box<dyn Invariant>> = vec![
        Box::<refreshing::OneFlight>::default(),
        Box::new(refreshing::NoReuse::new(&plan)),
        Box::<saving::SavedFirst>::default(),
        Box::<saving::OneWriter>::default(),
        Box::<identity::OneIdentity>::default(),
        Box::<order::InOrder>::default(),
        Box::new(order::Patience::new(&plan)),
        Box::<settling::EverybodySettles>::default(),
        Box::<refreshing::Generation>::default(),
        Box::<endings::EndsOnce>::default(),
        Box::new(endings::NoFalseLogout::new(&plan)),
    ];
    Watch { all, must_succeed: Vec::new() }
}

fn judge_all(moments: Vec<(u32, What)>) -> String {
    let mut watch = watch();
    for (number, (process, what)) in moments.into_iter().enumerate() {
        let moment = Moment { at: Duration::from_millis(number as u64), process, what };
        if let Err(violation) = watch.see(&moment) {
            return violation.invariant;
        }
    }
    watch.at_rest(0).err().map(|(invariant, _)| invariant).unwrap_or_default()
}

#[test]
fn a_spent_token_is_not_presented_by_who_knows_and_a_lost_answer_is_no_knowledge() {
    let exchange = |call| {
        vec![
            What::Presented { call, refresh: token(2) },
            What::Exchanged { call, access: token(3), refresh: token(4) },
        ]
    };
    let again = |end: What| [exchange(1), vec![end], exchange(2)].concat();

    assert_eq!(judge(again(What::Delivered { call: 1 })), "no-reuse");
    assert_eq!(judge(again(What::Lost { call: 1 })), "");
    assert_eq!(judge([exchange(1), exchange(2)].concat()), "no-reuse", "two at a time");
}

#[test]
fn what_the_store_showed_is_knowledge() {
    let load =
        |found| vec![began(1, StoreOp::Load), ended(1, StoreOp::Load, StoreOutcome::Done(Some(found)))];
    let present = vec![What::Presented { call: 2, refresh: token(2) }];

    assert_eq!(judge([load(pair(3, 4)), present.clone()].concat()), "no-reuse");
    assert_eq!(judge([load(pair(1, 2)), present].concat()), "");
}

#[test]
fn a_token_is_used_once_its_save_was_answered_however() {
    let new = || {
        vec![
            What::SignIn { token: token(1) },
            What::Exchanged { call: 1, access: token(3), refresh: token(4) },
            What::Delivered { call: 1 },
        ]
    };
    let save = StoreOp::Save { pair: pair(3, 4) };
    let used = || vec![sent(9, token(3))];

    assert_eq!(judge([new(), used()].concat()), "saved-first");
    assert_eq!(judge([new(), vec![began(2, save)], used()].concat()), "saved-first");
    for outcome in [StoreOutcome::Done(None), StoreOutcome::Failed, StoreOutcome::Dropped] {
        assert_eq!(judge([new(), vec![began(2, save), ended(2, save, outcome)], used()].concat()), "");
    }
}

#[test]
fn writes_of_one_session_do_not_overlap() {
    let save = StoreOp::Save { pair: pair(1, 2) };

    assert_eq!(judge(vec![began(1, save), began(2, StoreOp::Clear)]), "one-writer");
    assert_eq!(judge(vec![began(1, save), began(2, StoreOp::Load)]), "");
    assert_eq!(judge_all(vec![(0, began(1, save)), (1, began(2, save))]), "");
}

#[test]
fn nobody_goes_out_as_somebody_else() {
    let other = Token { number: 7, sign_in: 2 };
    let signed_in = || vec![What::SignIn { token: token(1) }];

    assert_eq!(judge([signed_in(), vec![sent(1, other)]].concat()), "one-identity");
    assert_eq!(judge([signed_in(), vec![What::SignOut, sent(1, token(1))]].concat()), "one-identity");
    let ended_session = What::State(SessionState::Ended(EndReason::NotRefreshable));
    let presented = What::Presented { call: 1, refresh: token(2) };
    let refused = What::Refused { call: 1, why: Refusal::Expired };
    let rejected = What::State(SessionState::Ended(EndReason::Rejected));
    assert_eq!(
        judge([signed_in(), vec![presented, refused, rejected, sent(1, token(1))]].concat()),
        "one-identity"
    );
    assert_eq!(judge([signed_in(), vec![ended_session]].concat()), "no-false-logout");

    // The store shows another sign-in: the session may follow, but not with a request that it had sent before.
    let found = StoreOutcome::Done(Some(Pair { access: other, refresh: None }));
    let follows = || vec![began(1, StoreOp::Load), ended(1, StoreOp::Load, found)];
    assert_eq!(judge([signed_in(), follows(), vec![sent(1, other)]].concat()), "");
    assert_eq!(
        judge([signed_in(), vec![sent(1, token(1))], follows(), vec![sent(1, other)]].concat()),
        "one-identity"
    );
}

#[test]
fn a_pair_in_use_is_not_revoked() {
    let signed_in = vec![What::SignIn { token: token(1) }, What::Offered { refresh: token(2) }];
    assert_eq!(judge(signed_in), "one-identity");
    assert_eq!(
        judge(vec![What::SignIn { token: token(1) }, What::SignOut, What::Offered { refresh: token(2) }]),
        ""
    );
}

#[test]
fn replays_overtake_nobody() {
    let replay = |request, ticket| What::Sent {
        request,
        attempt: 2,
        place: Some((1, ticket)),
        stamp: None,
        token: None,
    };

    assert_eq!(judge(vec![replay(1, 0), replay(2, 1), replay(3, 4)]), "");
    assert_eq!(judge(vec![replay(1, 1), replay(2, 0)]), "in-order");
}

#[test]
fn who_was_submitted_settles_unless_it_was_given_up() {
    let submitted = || What::Submitted { request: 1 };
    let settled = What::Settled { request: 1, outcome: Ok(200), instead_of: None };

    assert_eq!(judge(vec![submitted()]), "everybody-settles");
    assert_eq!(judge(vec![settled.clone()]), "everybody-settles");
    for end in [settled, What::Cancelled { request: 1 }, What::Parked { request: 1 }, What::Killed] {
        assert_eq!(judge(vec![submitted(), end]), "");
    }
}

#[test]
fn nobody_is_signed_out_without_a_reason() {
    let state = |reason| What::State(SessionState::Ended(reason));
    let refused = || {
        let presented = What::Presented { call: 1, refresh: token(2) };
        vec![presented, What::Refused { call: 1, why: Refusal::Revoked }]
    };

    assert_eq!(judge(vec![state(EndReason::Rejected)]), "no-false-logout");
    assert_eq!(judge(vec![state(EndReason::EndedElsewhere)]), "no-false-logout");
    assert_eq!(judge([refused(), vec![state(EndReason::Rejected)]].concat()), "ends-once", "it was not told");
    let emptied =
        vec![(1, What::Stored { pair: None }), (0, state(EndReason::EndedElsewhere)), (0, What::Killed)];
    assert_eq!(judge_all(emptied), "");
}

#[test]
fn panics_are_noticed() {
    let mut watch = Watch::new(&Plan::from_seed(0), &[], std::iter::empty());
    assert_eq!(watch.at_rest(1).unwrap_err().0, "no-panic");
    assert_eq!(watch.left_behind(1).unwrap_err().0, "nothing-left");
    assert!(watch.left_behind(0).is_ok());
}

#[test]
fn who_signs_in_anew_gets_an_answer() {
    let mut watch = Watch::new(&Plan::from_seed(0), &[], std::iter::empty());
    watch.must_succeed(1);
    let what = What::Settled { request: 1, outcome: Ok(401), instead_of: None };
    let violation = watch.see(&Moment { at: Duration::ZERO, process: 0, what }).unwrap_err();
    assert_eq!(violation.invariant, "life-goes-on");
}
