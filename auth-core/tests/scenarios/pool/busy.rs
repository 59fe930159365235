//! Busy: sessions that nobody holds, and that are not evicted all the same.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use auth_core::{RefreshError, Session, SessionState, Sessions};
use auth_testkit::{ManualRuntime, Op, Running, ScriptedRefresher, numbered};

use super::tenants::{Tenants, pair};
use crate::apart::Switch;

/// It stays, however much it is in the way.
#[track_caller]
fn stays(tenants: &Tenants, tenant: u64) {
    assert!(!tenants.sessions.remove(&tenant));
    tenants.sessions.evict_idle();
    assert_eq!(tenants.there(), [tenant]);
}

/// It goes as soon as it may.
#[track_caller]
fn goes(tenants: &Tenants, tenant: u64) {
    assert!(tenants.sessions.remove(&tenant));
    assert!(tenants.sessions.is_empty());
}

/// M4, I1: A refresh that nobody waits for any more goes on, and its session is there until it is saved.
#[test]
fn one_with_a_flight_stays() {
    let tenants = Tenants::new();
    drop(tenants.signed_in(1));
    tenants.leave_refreshing(1);
    stays(&tenants, 1);
    let call = tenants.parts(1).refresher.try_next().expect("it goes on");
    tenants.parts(1).store.hold(Op::Save);
    call.answer(pair(1, 1));
    tenants.settle();
    stays(&tenants, 1);

    tenants.parts(1).store.release_holds();
    tenants.settle();

    goes(&tenants, 1);
    assert_eq!(tenants.parts(1).stored().as_deref(), Some("T1001"));
}

/// M4: The same for the first reading of the store.
#[test]
fn one_that_loads_stays() {
    let tenants = Tenants::new();
    tenants.parts(1).store.hold(Op::Load);
    let session = tenants.get(1);
    let first: Running<_> = tenants.runtime.start(async move { session.lease().await.map(drop) });
    tenants.settle();
    first.cancel();
    stays(&tenants, 1);

    tenants.parts(1).store.release_holds();
    tenants.settle();

    goes(&tenants, 1);
}

/// M4: Whoever waits for a refresh holds its session, and so does whoever has a turn that has not started.
#[test]
fn one_with_waiters_stays() {
    let tenants = Tenants::new();
    drop(tenants.signed_in(1));
    let session = tenants.get(1);
    let stamp = tenants.runtime.block_on(session.lease()).unwrap().stamp();
    let waiting = tenants.runtime.start(async move { session.recover(stamp).await });
    tenants.settle();
    stays(&tenants, 1);
    tenants.parts(1).refresher.try_next().unwrap().answer(pair(1, 1));
    tenants.settle();
    let turn = waiting.take().expect("it has its turn").unwrap();
    tenants.pass(Duration::from_secs(60));
    stays(&tenants, 1);

    drop(turn);

    goes(&tenants, 1);
}

/// M4, K2: What the store does not hold yet is lost with the session. It stays, and is saved when it has been idle.
#[test]
fn one_whose_pair_is_not_saved_stays_until_it_is() {
    let tenants = Tenants::new();
    drop(tenants.signed_in(1));
    tenants.leave_refreshing(1);
    tenants.parts(1).store.fail_always(Op::Save, true);
    tenants.parts(1).refresher.try_next().unwrap().answer(pair(1, 1));
    tenants.settle();
    tenants.pass_idle();
    assert_eq!(tenants.sessions.evict_idle(), 0);
    tenants.settle();
    stays(&tenants, 1);
    tenants.settle();
    assert_eq!(tenants.parts(1).stored().as_deref(), Some("T1000"));

    tenants.parts(1).store.fail_always(Op::Save, false);
    tenants.pass_idle();
    assert_eq!(tenants.sessions.evict_idle(), 0, "it is saved first");
    tenants.settle();
    assert_eq!(tenants.parts(1).stored().as_deref(), Some("T1001"));
    tenants.pass_idle();
    assert_eq!(tenants.sessions.evict_idle(), 1);

    let token = tenants.runtime.block_on(tenants.get(1).access_token(Duration::ZERO)).unwrap();
    assert_eq!(token.reveal(), "T1001");
}

/// M4: A store that is down is not asked again by every call.
#[test]
fn what_cannot_be_saved_is_tried_again_now_and_then() {
    let tenants = Tenants::new();
    tenants.parts(1).store.fail_always(Op::Save, true);
    let _ = tenants.runtime.block_on(tenants.get(1).sign_in(pair(1, 0)));
    let saves = || tenants.parts(1).store.begun().into_iter().filter(|call| call.op == Op::Save).count();
    let before = saves();

    tenants.pass_idle();
    for _ in 0..100 {
        drop(tenants.get(2));
        tenants.settle();
    }

    assert_eq!(saves(), before + 2, "one write, which is tried twice");
    assert_eq!(tenants.there(), [1, 2]);
}

/// M4, H1: Nor is a sign-out: the store would sign in again whom it was told to forget.
#[test]
fn one_whose_sign_out_is_not_written_stays() {
    let tenants = Tenants::new();
    let session = tenants.signed_in(1);
    tenants.parts(1).store.hold(Op::Clear);
    drop(session.sign_out());
    drop(session);
    tenants.settle();
    stays(&tenants, 1);
    assert_eq!(tenants.get(1).state(), SessionState::SignedOut);

    tenants.parts(1).store.release_holds();
    tenants.settle();

    goes(&tenants, 1);
    assert_eq!(tenants.parts(1).stored(), None);
}

/// M4, F8: A session that cools down stays: made anew, it would ask the token endpoint again at once.
#[test]
fn one_that_cools_down_stays() {
    let tenants = Tenants::new();
    drop(tenants.signed_in(1));
    tenants.leave_refreshing(1);
    let down = RefreshError::unavailable("503").retry_after(Duration::from_secs(300));
    tenants.parts(1).refresher.try_next().unwrap().fail(down);
    tenants.settle();
    assert_eq!(tenants.get(1).state(), SessionState::Active);
    tenants.pass(Duration::from_secs(299));
    stays(&tenants, 1);

    tenants.pass(Duration::from_secs(1));

    goes(&tenants, 1);
}

/// M4: Without a store of its own making, a session is the only place where its tokens are.
#[test]
fn one_without_a_store_stays_while_somebody_is_signed_in() {
    let runtime = ManualRuntime::new();
    let (refresher, login) = ScriptedRefresher::new();
    let make = move |_: &u64| Session::builder(refresher.clone());
    let sessions = Sessions::builder(make).runtime(runtime.clone()).max(1).build();
    runtime.block_on(sessions.get(&1).unwrap().sign_in(numbered(0))).unwrap();
    assert!(!sessions.remove(&1));
    assert!(sessions.get(&2).is_err());

    runtime.block_on(sessions.get(&1).unwrap().sign_out()).unwrap();
    runtime.run_until_stalled();
    assert!(sessions.remove(&1), "nobody is");

    // What was acquired can be had again.
    login.script_acquire();
    let session = sessions.get(&2).unwrap();
    let first = runtime.start(async move { session.lease().await.map(drop) });
    runtime.run_until_stalled();
    login.try_next_acquire().unwrap().answer(Some(numbered(5)));
    runtime.run_until_stalled();
    first.take().unwrap().unwrap();
    drop(first);
    assert!(sessions.remove(&2));
}

/// M4: At the bound, those that are busy are passed over, and the next that is not makes room.
#[test]
fn busy_ones_do_not_make_room() {
    let tenants = Tenants::most(3);
    for tenant in 1..=3 {
        drop(tenants.signed_in(tenant));
    }
    tenants.leave_refreshing(1);
    drop(tenants.get(2));
    drop(tenants.get(3));

    drop(tenants.signed_in(4));
    assert_eq!(tenants.there(), [1, 3, 4]);
    tenants.leave_refreshing(3);
    tenants.leave_refreshing(4);
    assert!(tenants.sessions.get(&5).is_err(), "all refresh");

    tenants.parts(3).refresher.try_next().unwrap().answer(pair(3, 1));
    tenants.settle();
    assert!(tenants.sessions.get(&5).is_ok());
    assert_eq!(tenants.there(), [1, 4, 5]);
}

/// M4, I14: A refresh on a runtime that nobody drives ends at its deadline, also where only the pool looks.
#[test]
fn one_whose_load_ran_out_of_time_goes() {
    let tenants = Tenants::most(1);
    tenants.parts(1).store.hold(Op::Load);
    let session = tenants.get(1);
    let first: Running<_> = tenants.runtime.start(async move { session.lease().await.map(drop) });
    tenants.settle();
    first.cancel();
    assert!(tenants.sessions.get(&2).is_err());

    tenants.pass(Duration::from_secs(60));

    assert!(tenants.sessions.get(&2).is_ok());
}

/// M4: However many busy ones are passed over, each call looks further.
#[test]
fn a_free_one_behind_many_busy_ones_is_found() {
    const MOST: u64 = 150;
    let tenants = Tenants::most(MOST as usize);
    for tenant in 1..MOST {
        drop(tenants.signed_in(tenant));
        tenants.leave_refreshing(tenant);
    }
    drop(tenants.get(MOST));

    let answers: Vec<bool> = (0..3).map(|_| tenants.sessions.get(&1_000).is_ok()).collect();

    assert_eq!(answers, [false, false, true]);
    assert!(!tenants.there().contains(&MOST));
}

/// M4, K14: One that has not given the store's lock back stays: another in its place would wait for it.
#[test]
fn one_that_holds_the_stores_lock_stays() {
    let tenants = Tenants::new();
    tenants.parts(1).store.lockable();
    drop(tenants.signed_in(1));
    tenants.leave_refreshing(1);
    tenants.parts(1).store.hold(Op::Release);
    tenants.parts(1).refresher.try_next().unwrap().answer(pair(1, 1));
    tenants.settle();
    assert_eq!(
        (tenants.parts(1).stored().as_deref(), tenants.get(1).state()),
        (Some("T1001"), SessionState::Active)
    );
    stays(&tenants, 1);

    tenants.parts(1).store.release_holds();
    tenants.settle();

    goes(&tenants, 1);
    assert!(!tenants.parts(1).store.is_locked());
}

/// M4, H4: A sign-in in the middle of a refresh: the session stays until that flight can hold nothing any more, and goes then.
#[test]
fn one_whose_refresh_was_overtaken_goes_after_its_deadline() {
    let tenants = Tenants::most(1);
    drop(tenants.signed_in(1));
    tenants.leave_refreshing(1);
    drop(tenants.signed_in(1));
    assert!(tenants.sessions.get(&2).is_err());

    tenants.pass(Duration::from_secs(60));

    assert!(tenants.sessions.get(&2).is_ok());
}

/// M4, I14: Nor does it stay for ever for a lock that is being given back by a runtime that nobody drives.
#[test]
fn one_whose_store_is_driven_by_nobody_goes_when_another_runtime_drives_it() {
    let switch = Arc::new(OnceLock::<Switch>::new());
    let of_sessions = Arc::clone(&switch);
    let tenants =
        Tenants::with(|pool| pool, move |session| session.runtime(of_sessions.get().unwrap().clone()));
    let switch = switch.get_or_init(|| Switch::new(&tenants.runtime));
    tenants.parts(1).store.lockable();
    drop(tenants.signed_in(1));
    let left_alone = ManualRuntime::new();
    switch.to(&left_alone);
    tenants.leave_refreshing(1);
    left_alone.run_until_stalled();
    tenants.parts(1).store.hold(Op::Release);
    tenants.parts(1).refresher.try_next().unwrap().answer(pair(1, 1));
    left_alone.run_until_stalled();
    assert_eq!(tenants.parts(1).stored().as_deref(), Some("T1001"));

    switch.to(&tenants.runtime);
    tenants.pass_idle();
    stays(&tenants, 1);
    tenants.settle();

    goes(&tenants, 1);
}
