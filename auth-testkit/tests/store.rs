//! Tests of `ScriptedStore`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use auth_core::{StoreError, StoreGuard, TokenStore, Tokens};
use auth_testkit::{
    Logged, ManualRuntime, Op, ScriptedStore, StoreHandle, numbered, other_sign_in, same_sign_in,
};
use futures::FutureExt as _;

fn lockable() -> (ScriptedStore, StoreHandle) {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    (store, handle)
}

fn locked(store: &ScriptedStore) -> Box<dyn StoreGuard> {
    let lock = store.lock().now_or_never().expect("the lock is free").expect("it is not scripted to fail");
    lock.expect("the store is lockable")
}

fn short(log: &[Logged]) -> Vec<(Op, bool, bool, Option<&str>)> {
    log.iter().map(|call| (call.op, call.guarded, call.ok, call.tokens.as_deref())).collect()
}

#[test]
fn clones_share_the_content() {
    let (store, handle) = ScriptedStore::new();
    let other = store.clone();

    store.save(&numbered(1)).now_or_never().unwrap().unwrap();
    assert!(other.load().now_or_never().unwrap().unwrap() == Some(numbered(1)));
    other.clear().now_or_never().unwrap().unwrap();

    assert!(handle.content().is_none());
}

#[test]
fn there_is_no_lock_until_the_test_wants_one() {
    let (store, handle) = ScriptedStore::new();
    assert!(store.lock().now_or_never().unwrap().unwrap().is_none());

    handle.lockable();

    assert!(store.lock().now_or_never().unwrap().unwrap().is_some());
    assert!(!handle.is_locked(), "the guard was dropped");
}

#[test]
fn every_call_is_logged_when_it_ends() {
    let (store, handle) = lockable();
    store.load().now_or_never().unwrap().unwrap();
    let mut guard = locked(&store);
    guard.save(&numbered(1)).now_or_never().unwrap().unwrap();
    guard.load().now_or_never().unwrap().unwrap();
    guard.clear().now_or_never().unwrap().unwrap();
    guard.release().now_or_never().unwrap();

    let expected = [
        (Op::Load, false, true, None),
        (Op::Lock, false, true, None),
        (Op::Save, true, true, Some("T1")),
        (Op::Load, true, true, Some("T1")),
        (Op::Clear, true, true, None),
        (Op::Release, true, true, None),
    ];
    assert_eq!(short(&handle.log()), expected);
    assert_eq!(handle.begun().len(), 6);
    assert_eq!(handle.ops(), [Op::Load, Op::Lock, Op::Save, Op::Load, Op::Clear, Op::Release]);
}

#[test]
fn the_lock_goes_down_the_line_past_those_who_left() {
    let (store, handle) = lockable();
    let first = locked(&store);
    let mut second = store.lock();
    let mut third = store.lock();
    assert!((&mut second).now_or_never().is_none());
    assert!((&mut third).now_or_never().is_none());
    assert_eq!(handle.waiting_for_lock(), 2);

    drop(second);
    first.release().now_or_never().unwrap();

    let third = third.now_or_never().unwrap().unwrap().unwrap();
    assert!(handle.is_locked());
    drop(third);
    assert!(!handle.is_locked());
}

#[test]
fn a_lock_granted_to_who_gave_up_is_handed_on() {
    let runtime = ManualRuntime::new();
    let (store, handle) = lockable();
    let first = locked(&store);
    let mut second = store.lock();
    assert!((&mut second).now_or_never().is_none());
    let other = store.clone();
    let third = runtime.start(async move { other.lock().await.map(|guard| guard.is_some()) });
    runtime.run_until_stalled();

    drop(first);
    drop(second);

    assert!(runtime.block_on(third).unwrap(), "it was woken");
    assert_eq!(handle.waiting_for_lock(), 0);
}

#[test]
fn a_guard_that_lost_its_lock_changes_nothing() {
    let (store, handle) = lockable();
    let mut old = locked(&store);
    old.save(&numbered(1)).now_or_never().unwrap().unwrap();

    handle.lose_lock();
    let mut new = locked(&store);
    new.save(&numbered(2)).now_or_never().unwrap().unwrap();

    assert!(old.save(&numbered(3)).now_or_never().unwrap().unwrap_err().is_conflict());
    assert!(old.clear().now_or_never().unwrap().unwrap_err().is_conflict());
    assert!(old.load().now_or_never().unwrap().unwrap() == Some(numbered(2)));
    old.release().now_or_never().unwrap();
    assert!(handle.is_locked(), "it is the new holder's");
    assert!(handle.content() == Some(numbered(2)));
}

#[test]
fn losing_the_lock_hands_it_to_the_next_in_line() {
    let runtime = ManualRuntime::new();
    let (store, handle) = lockable();
    let old = locked(&store);
    let next = runtime.start(async move { store.lock().await });
    runtime.run_until_stalled();
    assert!(!next.is_finished());

    handle.lose_lock();

    let mut guard = runtime.block_on(next).unwrap().unwrap();
    drop(old);
    assert!(guard.save(&numbered(1)).now_or_never().unwrap().is_ok());
}

#[test]
fn a_held_call_waits_for_the_test_and_does_nothing_before() {
    let runtime = ManualRuntime::new();
    let (store, handle) = ScriptedStore::new();
    handle.hold(Op::Save);
    let saving = runtime.start(async move { store.save(&numbered(1)).await });

    let held = runtime.block_on(handle.next_held());
    assert_eq!((held.op(), held.guarded()), (Op::Save, false));
    assert!(held.tokens() == Some(&numbered(1)));
    assert_eq!((handle.begun().len(), handle.log().len()), (1, 0));
    assert!(handle.content().is_none());
    held.proceed();

    assert!(runtime.block_on(saving).is_ok());
    assert!(handle.content() == Some(numbered(1)));
}

#[test]
fn a_held_call_can_fail_panic_or_be_abandoned() {
    let (store, handle) = ScriptedStore::new();
    handle.hold(Op::Clear);
    handle.put(Some(numbered(0)));

    let mut failing = store.clear();
    assert!((&mut failing).now_or_never().is_none());
    handle.try_next_held().unwrap().fail(StoreError::new("disk full"));
    assert!(failing.now_or_never().unwrap().is_err());

    let mut panicking = store.clear();
    assert!((&mut panicking).now_or_never().is_none());
    handle.try_next_held().unwrap().panics("in the driver");
    assert!(catch_unwind(AssertUnwindSafe(|| panicking.now_or_never())).is_err());

    let mut abandoned = store.clear();
    assert!((&mut abandoned).now_or_never().is_none());
    let held = handle.try_next_held().unwrap();
    assert!(!held.is_abandoned());
    drop(abandoned);
    assert!(held.is_abandoned());

    assert!(handle.content() == Some(numbered(0)));
    assert_eq!(short(&handle.log()), [(Op::Clear, false, false, None)]);
    assert_eq!(handle.most_at_once(), 1);
}

#[test]
fn a_held_lock_gets_in_line_when_it_may_proceed() {
    let (store, handle) = lockable();
    handle.hold(Op::Lock);
    let mut first = store.lock();
    assert!((&mut first).now_or_never().is_none());
    let first_held = handle.try_next_held().unwrap();
    let mut second = store.lock();
    assert!((&mut second).now_or_never().is_none());

    handle.try_next_held().unwrap().proceed();
    let second = second.now_or_never().unwrap().unwrap().unwrap();
    first_held.proceed();

    assert!((&mut first).now_or_never().is_none(), "the second has it");
    drop(second);
    assert!(first.now_or_never().is_some());
}

#[test]
fn released_holds_let_those_go_on_that_the_test_has_not_taken() {
    let (store, handle) = ScriptedStore::new();
    handle.hold(Op::Load);
    let mut waiting = store.load();
    assert!((&mut waiting).now_or_never().is_none());

    handle.release_holds();

    assert!(waiting.now_or_never().is_some());
    assert!(store.load().now_or_never().is_some());
}

#[test]
fn a_held_release_that_is_dropped_frees_the_lock_all_the_same() {
    let (store, handle) = lockable();
    handle.hold(Op::Release);
    let mut releasing = locked(&store).release();
    assert!((&mut releasing).now_or_never().is_none());
    assert!(handle.is_locked());

    drop(releasing);

    assert!(!handle.is_locked());
}

#[test]
fn a_release_that_fails_leaves_the_lock_taken() {
    let (store, handle) = lockable();
    handle.fail_next(Op::Release, 1);
    locked(&store).release().now_or_never().unwrap();
    assert!(handle.is_locked());

    handle.lose_lock();

    assert!(!handle.is_locked());
}

#[test]
fn calls_fail_as_often_as_the_test_says() {
    let (store, handle) = ScriptedStore::new();
    let load = || store.load().now_or_never().unwrap().is_ok();
    handle.fail_next(Op::Load, 2);
    assert_eq!([load(), load(), load()], [false, false, true]);

    handle.fail_always(Op::Load, true);
    assert_eq!([load(), load()], [false, false]);
    handle.fail_always(Op::Load, false);

    assert!(load());
    assert!(store.save(&numbered(0)).now_or_never().unwrap().is_ok(), "other calls never failed");
}

#[test]
fn the_next_call_can_panic() {
    let (store, handle) = ScriptedStore::new();
    handle.panic_next(Op::Save);
    let tokens = numbered(0);

    assert!(catch_unwind(AssertUnwindSafe(|| store.save(&tokens).now_or_never())).is_err());

    assert!(handle.content().is_none());
    assert!(store.save(&tokens).now_or_never().unwrap().is_ok());
    assert_eq!((handle.begun().len(), handle.log().len()), (2, 1));
}

#[test]
fn overlapping_calls_of_one_clone_are_noticed() {
    let (store, handle) = ScriptedStore::new();
    handle.hold(Op::Load);
    let other = store.clone();
    let mut calls = [store.load(), other.load()];
    for call in &mut calls {
        assert!(call.now_or_never().is_none());
    }
    assert_eq!(handle.most_at_once(), 1, "of different sessions they may overlap");

    assert!(store.load().now_or_never().is_none());

    assert_eq!(handle.most_at_once(), 2);
}

#[test]
fn other_processes_rotate_sign_in_and_sign_out() {
    let (store, handle) = ScriptedStore::new();
    let ours = other_sign_in(numbered(0));
    store.save(&ours).now_or_never().unwrap().unwrap();

    handle.put_rotated(numbered(1));
    let rotated = handle.content().unwrap();
    assert!(rotated == same_sign_in(&ours, numbered(1)));

    handle.put_as_other_sign_in(numbered(1));
    let theirs = handle.content().unwrap();
    assert_eq!(theirs.access_token(), rotated.access_token());
    assert!(theirs.sign_in_id().is_some() && theirs.sign_in_id() != ours.sign_in_id());

    handle.put(None);
    assert!(store.load().now_or_never().unwrap().unwrap().is_none());
    assert_eq!(handle.ops(), [Op::Save, Op::Load]);
}

#[test]
fn nothing_shows_a_token_when_printed() {
    let (store, handle) = ScriptedStore::new();
    handle.hold(Op::Save);
    let tokens = Tokens::new("secret-a").unwrap().with_refresh_token("secret-r");
    let mut saving = store.save(&tokens);
    assert!((&mut saving).now_or_never().is_none());
    let held = handle.try_next_held().unwrap();

    let text = format!("{store:?} {handle:?} {held:?} {:?}", handle.begun());

    assert!(!text.contains("secret"), "{text}");
}
