//! Writes that were made, though the store said that they had failed; and pairs that come back late.

use auth_core::{Error, PersistFailure, StoreError, Tokens};
use auth_testkit::{HeldCall, Op, Running, ScriptedStore, numbered};

use super::{Neighbour, STORE_CALL, rotate, steps, steps_since};
use crate::world::{World, status};

/// A world on a store with a lock.
fn shared() -> (World, ScriptedStore) {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    (World::on(store.clone(), handle, |session| session, |client| client), store)
}

/// Somebody signs in, and the save of that is under way.
fn saving(world: &World, n: u64) -> (Running<Result<(), Error>>, HeldCall) {
    world.store.hold(Op::Save);
    let signed_in = world.runtime.start(world.session.sign_in(numbered(n)));
    world.settle();
    (signed_in, world.store.try_next_held().expect("it is saved"))
}

/// The save that is under way is made, and said to have failed.
fn lies(world: &World, save: HeldCall) {
    world.store.put(save.tokens().cloned());
    save.fail(StoreError::new("the answer was lost"));
    world.settle();
}

/// Another process refreshes what the store holds, under its lock, to the pair of this number.
fn refresh_elsewhere(world: &World, store: &ScriptedStore, n: u64) {
    let other = Neighbour::new(&world.runtime, store.clone());
    let request = other.get("/other");
    other.api_answers(401);
    other.refresher.try_next().expect("a refresh elsewhere").answer(numbered(n));
    world.settle();
    assert_eq!(other.api_answers(200), format!("T{n}"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.stored(), Some(format!("T{n}")));
}

/// A sign-in whose save was made, and said to have failed, in an outage in which nothing can be read either. Then another process
/// refreshes it: the store holds T1 and R1, and this session has T0 and R0.
fn made_and_refreshed_elsewhere() -> World {
    let (world, store) = shared();
    let (signed_in, save) = saving(&world, 0);
    world.store.fail_always(Op::Load, true);
    lies(&world, save);
    assert!(signed_in.take().expect("it was tried twice").is_err());
    assert!(world.store.try_next_held().is_none(), "who cannot look does not write");
    world.store.fail_always(Op::Load, false);
    world.store.release_holds();
    assert!(!world.store.is_locked());
    refresh_elsewhere(&world, &store, 1);
    world
}

/// The next request gets what the other process has made of it; R0 is not presented.
#[track_caller]
fn adopts(world: &World, token: &str) {
    let waiting = world.rejected("/notes");
    assert_eq!(world.api_answers(200).as_deref(), Some(token));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.stored().as_deref(), Some(token));
}

/// K2, K9, invariant 2: what another process has made of a sign-in whose save was made after all is adopted.
#[test]
fn what_was_made_of_it_elsewhere_is_adopted() {
    let world = made_and_refreshed_elsewhere();
    let before = world.store.log().len();

    adopts(&world, "T1");

    assert_eq!(world.refresher.calls(), 0);
    let steps = steps_since(&world, before);
    assert!(
        steps.iter().all(|step| !step.starts_with("load")),
        "each look is made under the lock: {steps:?}"
    );
}

/// K2, K9, invariant 2: where the store cannot be looked at before the further try, nothing is written: a look that fails is a try
/// that failed.
#[test]
fn who_cannot_look_does_not_write() {
    let world = made_and_refreshed_elsewhere();
    world.store.fail_next(Op::Load, 1);

    adopts(&world, "T1");

    assert_eq!(world.refresher.calls(), 0);
}

/// K2, K9, invariant 2: an outage that ends between the write before the flight's load and that load: what that finds is no less
/// the sign-in's own.
#[test]
fn an_outage_that_ends_within_the_flight_presents_nothing_spent() {
    let world = made_and_refreshed_elsewhere();
    world.store.fail_next(Op::Load, 2);
    world.store.fail_next(Op::Save, 2);

    adopts(&world, "T1");

    assert_eq!(world.refresher.calls(), 0);
}

/// K2, K9, invariant 2: the same of the pair that a sign-in was refreshed to before anything of it was saved.
#[test]
fn a_refreshed_sign_in_is_looked_for_as_well() {
    let (world, store) = shared();
    world.store.fail_always(Op::Save, true);
    assert!(world.runtime.block_on(world.session.sign_in(numbered(0))).is_err());
    let waiting = world.rejected("/notes");
    world.store.fail_always(Op::Save, false);
    world.store.hold(Op::Save);
    world.refresh_answers(numbered(1));
    world.store.fail_next(Op::Load, 1);
    lies(&world, world.store.try_next_held().expect("the new pair is saved"));
    world.store.release_holds();
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    refresh_elsewhere(&world, &store, 2);

    adopts(&world, "T2");

    assert_eq!(world.refresher.presented(), ["R0"]);
}

/// K2: a store that nobody else writes is written even where it cannot be read: what it holds may be no pair at all.
#[test]
fn a_store_of_ones_own_is_written_unread() {
    let world = World::new();
    world.store.fail_next(Op::Save, 1);
    world.store.fail_always(Op::Load, true);

    world.runtime.block_on(world.session.sign_in(numbered(0))).unwrap();

    assert_eq!(world.stored().as_deref(), Some("T0"));
}

/// K14, I3: but one that does not answer at all is not asked twice for each try: the refresher keeps half of the flight's time.
#[test]
fn a_store_that_hangs_leaves_the_refresher_its_time() {
    let world = World::new();
    world.store.hold(Op::Load);
    world.store.hold(Op::Save);
    let signed_in = world.runtime.start(world.session.sign_in(numbered(0)));
    world.pass(STORE_CALL * 3);
    assert!(signed_in.take().unwrap().is_err());
    let _waiting = world.rejected("/notes");

    world.pass(STORE_CALL * 3);

    assert_eq!(world.refresher.presented(), ["R0"]);
}

/// K2, H4: a sign-in that came after a sign-out which could not be read for: what another process has made of it is nobody's to revoke.
#[test]
fn a_live_rotation_is_not_offered_for_revocation() {
    let world = World::new();
    world.store.fail_always(Op::Load, true);
    drop(world.session.sign_out());
    let (signed_in, save) = saving(&world, 0);
    world.store.put(save.tokens().cloned());
    world.store.put_rotated(numbered(1));
    world.store.fail_always(Op::Load, false);

    save.fail(StoreError::new("the answer was lost"));
    world.store.release_holds();
    world.settle();

    assert!(signed_in.take().unwrap().is_ok());
    assert!(world.refresher.revoked().is_empty());
    assert_eq!(world.stored().as_deref(), Some("T1"));
}

/// K7, H4: a sign-out whose clear was made, and said to have failed, is not made again over another process's sign-in.
#[test]
fn a_clear_that_was_made_does_not_wipe_who_came_then() {
    let (world, _store) = shared();
    world.sign_in(numbered(0));
    world.store.hold(Op::Clear);
    let out = world.runtime.start(world.session.sign_out());
    world.settle();
    let clear = world.store.try_next_held().unwrap();
    world.store.put_as_other_sign_in(numbered(7));

    clear.fail(StoreError::new("the answer was lost"));
    world.store.release_holds();
    world.settle();

    assert!(out.take().unwrap().is_ok());
    assert_eq!(world.stored().as_deref(), Some("T7"));
}

/// H4, invariant 4: its own pair is cleared as often as it takes, under whatever id it lies there, and whether or not it can be seen.
#[test]
fn a_clear_that_was_not_made_is_made_again() {
    let changes: [fn(&World); 5] = [
        |_| (),
        |world| world.store.put(Some(numbered(0))),
        |world| world.store.put_as_other_sign_in(numbered(0)),
        |world| world.store.fail_next(Op::Load, 1),
        |world| world.store.hold(Op::Load),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (world, _store) = shared();
        world.sign_in(numbered(0));
        change(&world);
        world.store.fail_next(Op::Clear, 1);

        let out = world.runtime.start(world.session.sign_out());
        world.pass(STORE_CALL);

        assert!(out.take().unwrap().is_ok(), "{number}");
        assert!(world.store.content().is_none(), "{number}");
    }
}

/// H4, invariant 4: the sign-out of somebody whose save may have been made: what is there then is nobody else's.
#[test]
fn a_sign_in_that_may_be_there_is_cleared() {
    for overtaken in [true, false] {
        let (world, _store) = shared();
        world.sign_in(numbered(0));
        let (_signed_in, save) = saving(&world, 5);
        world.store.fail_next(Op::Load, 1);
        let early = overtaken.then(|| world.runtime.start(world.session.sign_out()));
        world.settle();
        world.store.fail_next(Op::Clear, 1);
        lies(&world, save);
        let out = early.unwrap_or_else(|| world.runtime.start(world.session.sign_out()));
        world.store.release_holds();
        world.settle();

        assert!(out.take().unwrap().is_ok());
        assert!(world.store.content().is_none(), "{:?}", steps(&world));
    }
}

/// H4: a clear is tried again whoever has signed in meanwhile: their save may fail.
#[test]
fn a_clear_that_was_overtaken_is_made_all_the_same() {
    let (world, _store) = shared();
    world.sign_in(numbered(0));
    world.store.hold(Op::Clear);
    let _out = world.runtime.start(world.session.sign_out());
    world.settle();
    let clear = world.store.try_next_held().unwrap();
    let _signed_in = world.runtime.start(world.session.sign_in(numbered(5)));
    world.settle();
    world.store.fail_next(Op::Save, 2);

    clear.fail(StoreError::new("the answer was lost"));
    world.store.release_holds();
    world.settle();

    assert!(world.store.content().is_none(), "{:?}", steps(&world));
}

/// K2, K17, H4, invariant 4: a sign-in's save that failed is not made again once somebody has signed out: not after a failure, not
/// after a conflict, and not where the sign-out comes during the look.
#[test]
fn what_a_sign_out_has_overtaken_is_not_written_any_more() {
    for case in ["failed", "conflict", "looking"] {
        let (world, _store) = shared();
        let (_signed_in, save) = saving(&world, 0);
        let failed = StoreError::new("full");
        let out = if case == "looking" {
            world.store.hold(Op::Load);
            save.fail(failed);
            world.settle();
            world.runtime.start(world.session.sign_out())
        } else {
            let out = world.runtime.start(world.session.sign_out());
            world.settle();
            save.fail(if case == "conflict" { StoreError::conflict() } else { failed });
            out
        };
        world.store.fail_next(Op::Clear, 2);
        world.store.release_holds();
        world.settle();

        assert!(out.take().unwrap().is_err(), "{case}");
        assert!(world.store.content().is_none(), "{case}: {:?}", steps(&world));
    }
}

/// K2: who was overtaken by another sign-in is told what came of that.
#[test]
fn what_another_sign_in_has_overtaken_is_answered_with_it() {
    let (world, _store) = shared();
    let (first, save) = saving(&world, 0);
    let second = world.runtime.start(world.session.sign_in(numbered(5)));
    world.settle();

    save.fail(StoreError::new("the answer was lost"));
    world.store.release_holds();
    world.settle();

    assert!(first.take().unwrap().is_ok() && second.take().unwrap().is_ok());
    assert_eq!(world.stored().as_deref(), Some("T5"));
}

/// J1, K2: where the refresh token stays, the pair before the refresh is not taken for the one after it.
#[test]
fn an_older_pair_with_the_same_refresh_token_is_saved_over() {
    let stays = |n| Tokens::new(format!("T{n}")).unwrap().with_refresh_token("R");
    for policy in [PersistFailure::Continue, PersistFailure::Fail] {
        let (store, handle) = ScriptedStore::new();
        handle.lockable();
        let world = World::on(store, handle, |session| session.persist_failure(policy), |client| client);
        world.store.fail_always(Op::Save, true);
        assert!(world.runtime.block_on(world.session.sign_in(stays(0))).is_err());
        world.store.fail_always(Op::Save, false);
        world.store.hold(Op::Save);
        let waiting = world.rejected("/notes");
        for _ in 0..3 {
            world.store.try_next_held().unwrap().fail(StoreError::new("down"));
            world.settle();
        }
        lies(&world, world.store.try_next_held().unwrap());
        world.refresh_answers(stays(1));
        world.store.try_next_held().unwrap().fail(StoreError::new("down"));
        world.store.release_holds();
        world.settle();

        assert_eq!(world.stored().as_deref(), Some("T1"));
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        assert_eq!(status(&waiting), 200);
    }
}

/// K9, invariant 2: a pair of its own that another process has exchanged comes back late, when what it was exchanged for has
/// proved to be live. It is as spent as one that was exchanged here.
#[test]
fn a_pair_that_was_exchanged_elsewhere_is_not_adopted_again() {
    let world = World::signed_in();
    let first = world.store.content();
    world.store.put_rotated(numbered(1));
    adopts(&world, "T1");
    rotate(&world, 2);
    world.store.put(first);

    let _waiting = world.rejected("/notes");

    assert_eq!(world.refresher.presented(), ["R1", "R2"]);
    assert_eq!(world.stored().as_deref(), Some("T2"));
}

/// K9: until then nobody can say which of the two is older. What came late may have been adopted, and what comes back then may be
/// the live pair: it is not overwritten.
#[test]
fn a_live_pair_that_was_adopted_over_is_adopted_again() {
    let (world, store) = shared();
    world.sign_in(numbered(0));
    refresh_elsewhere(&world, &store, 1);
    let late = world.store.content();
    refresh_elsewhere(&world, &store, 2);
    let live = world.store.content();
    adopts(&world, "T2");
    world.store.put(late);
    adopts(&world, "T1");
    world.store.put(live);

    adopts(&world, "T2");

    assert_eq!(world.refresher.calls(), 0);
}

/// J2, K9: a server may give an old refresh token once more, to another process as well.
#[test]
fn a_refresh_token_that_is_given_again_elsewhere_is_adopted() {
    let world = World::signed_in();

    for (token, refresh_token) in [("T1", "R1"), ("T2", "R0")] {
        world.store.put_rotated(Tokens::new(token).unwrap().with_refresh_token(refresh_token));
        adopts(&world, token);
    }

    assert_eq!(world.refresher.calls(), 0);
}

/// J1, K9: where the refresh token stays as it is, nothing is spent when another process's pair is adopted.
#[test]
fn a_refresh_token_that_stays_is_not_spent() {
    let world = World::signed_in();

    for token in ["T1", "T2"] {
        world.store.put_rotated(Tokens::new(token).unwrap().with_refresh_token("R0"));
        adopts(&world, token);
    }

    assert_eq!(world.refresher.calls(), 0);
}

/// J1, K9: an older pair of its own that comes back late is not adopted either where the refresh token stays.
#[test]
fn an_older_pair_with_the_same_refresh_token_is_not_adopted() {
    let stays = |n| Tokens::new(format!("T{n}")).unwrap().with_refresh_token("R");
    let world = World::new();
    world.sign_in(stays(0));
    let first = world.store.content();
    let waiting = world.rejected("/notes");
    world.refresh_answers(stays(1));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    world.store.put(first);

    let _waiting = world.rejected("/notes");

    assert_eq!(world.refresher.presented(), ["R", "R"]);
    assert_eq!(world.stored().as_deref(), Some("T1"));
}
