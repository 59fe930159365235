//! J14 where other processes share the store: what this one knows of its refresh token may be old.

use std::time::Duration;

use auth_core::{EndReason, ErrorKind, Event, Runtime as _, SessionState, Tokens};
use auth_testkit::{Op, numbered};

use super::s;
use crate::world::{World, error, kind, status};

/// How long an access token is good, and a refresh token that nobody uses.
const ACCESS: Duration = s(300);
const REFRESH: Duration = s(1_800);

/// A pair as this server grants them.
fn granted(world: &World, name: u64) -> Tokens {
    let now = world.runtime.now();
    numbered(name).with_expires_in(ACCESS, now).with_refresh_expires_in(REFRESH, now)
}

/// Nobody has used this process for longer than its refresh token lives.
fn idled() -> World {
    let world = World::new();
    world.store.lockable();
    world.sign_in(granted(&world, 0));
    world.pass(REFRESH + ACCESS);
    world
}

fn ends(world: &World) -> Vec<EndReason> {
    let reason = |event: &Event| match event {
        Event::Ended(ended) => Some(ended.reason),
        _ => None,
    };
    world.events().iter().filter_map(reason).collect()
}

/// J14, K9: Another process has kept the session alive meanwhile. This one does not end it because of what it knows itself: it
/// looks, and goes on with what is there.
#[test]
fn a_process_that_idled_goes_on_with_what_others_have_refreshed() {
    let world = idled();
    world.store.put_rotated(granted(&world, 7));

    let requests = [world.get("/1"), world.get("/2")];

    for request in &requests {
        assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
        assert_eq!(status(request), 200);
    }
    assert_eq!((world.refresher.calls(), ends(&world)), (0, vec![]));
    assert_eq!(world.session.counters().adopted, 1);
}

/// J14, K9: The same where the server rejects the access token, of whose lifetime it says nothing; and where somebody insists.
#[test]
fn so_does_one_whose_token_is_rejected() {
    for forced in [false, true] {
        let world = World::new();
        world.store.lockable();
        world.sign_in(numbered(0).with_refresh_expires_in(REFRESH, world.runtime.now()));
        let under_way = world.get("/");
        world.pass(REFRESH);
        world.store.hold(Op::Load);

        world.api_answers(401);
        let session = world.session.clone();
        let insists =
            forced.then(|| world.runtime.start(async move { session.refresh(None).await.map(|_| ()) }));
        world.settle();
        world.store.put_rotated(granted(&world, 7));
        world.store.release_holds();
        world.settle();

        assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
        assert_eq!(status(&under_way), 200);
        assert!(insists.is_none_or(|insists| matches!(insists.take(), Some(Ok(())))));
        assert_eq!((world.refresher.calls(), ends(&world)), (0, vec![]));
    }
}

/// J14, F9: And where somebody insists before anybody else has asked. While the access token is good, insisting brings nothing,
/// and changes nothing.
#[test]
fn so_does_one_that_is_made_to() {
    let world = idled();
    world.store.put_rotated(granted(&world, 7));
    let lease = world.runtime.block_on(world.session.refresh(None)).unwrap();
    assert_eq!(lease.header().1, "Bearer T7");

    let world = World::new();
    world.store.lockable();
    world.sign_in(numbered(0).with_refresh_expires_in(REFRESH, world.runtime.now()));
    world.pass(REFRESH);
    let refused = world.runtime.block_on(world.session.refresh(None)).map(|_| ()).unwrap_err();
    assert_eq!(refused.end_reason(), Some(EndReason::RefreshTokenExpired));
    assert_eq!((world.session.state(), ends(&world)), (SessionState::Active, vec![]));
    assert_eq!(world.refresher.calls(), 0);
}

/// J14, K9: What the other one has left may have expired as well, but for its refresh token: that is presented, and not this one's.
#[test]
fn what_others_have_left_is_refreshed() {
    let world = idled();
    world.store.put_rotated(granted(&world, 7));
    world.pass(ACCESS);

    let request = world.get("/");
    world.refresh_answers(granted(&world, 8));

    assert_eq!(world.api_answers(200).as_deref(), Some("T8"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.refresher.presented(), ["R7"]);
}

/// J14: Where nobody has refreshed it, or what they have left is as dead, nothing is presented and the session ends, once. The
/// store is cleared.
#[test]
fn where_nothing_newer_is_there_the_session_ends() {
    for left_another in [false, true] {
        let world = idled();
        if left_another {
            world.store.put_rotated(granted(&world, 7));
            world.pass(REFRESH);
        }

        let requests = [world.get("/1"), world.get("/2")];

        for request in &requests {
            assert_eq!(error(request).end_reason(), Some(EndReason::RefreshTokenExpired));
        }
        assert_eq!(ends(&world), [EndReason::RefreshTokenExpired]);
        assert_eq!((world.refresher.calls(), world.api.calls()), (0, 0));
        let counters = world.session.counters();
        assert_eq!((counters.refused, counters.ended, counters.failed), (1, 1, 0));
        assert!(world.store.content().is_none() && !world.store.is_locked());
    }
}

/// J14, K7, K7b: Where it has ended there, or is another's by now, that is what counts.
#[test]
fn what_became_of_it_elsewhere_counts() {
    let emptied = idled();
    emptied.store.put(None);
    assert_eq!(error(&emptied.get("/")).end_reason(), Some(EndReason::EndedElsewhere));
    assert_eq!(ends(&emptied), [EndReason::EndedElsewhere]);

    let followed = idled();
    followed.store.put_as_other_sign_in(granted(&followed, 7));
    assert_eq!(kind(&followed.get("/")), ErrorKind::SessionChanged);
    assert_eq!((followed.session.state(), ends(&followed)), (SessionState::Active, vec![]));
}

/// J14, G16: A store that others share and that cannot be read says nothing: the session does not end on a guess, and looks again
/// after the cooldown. Where nobody else writes it, what this process knows is all there is.
#[test]
fn a_store_that_cannot_be_read_ends_nothing_that_others_share() {
    let world = idled();
    world.store.put_rotated(granted(&world, 7));
    world.store.fail_always(Op::Load, true);
    assert_eq!(kind(&world.get("/")), ErrorKind::RefreshUnavailable);
    assert_eq!((world.session.state(), ends(&world)), (SessionState::Active, vec![]));
    world.store.fail_always(Op::Load, false);
    world.pass(s(2));
    let request = world.get("/");
    assert_eq!(world.api_answers(200).as_deref(), Some("T7"));
    assert_eq!(status(&request), 200);

    let alone = World::new();
    alone.sign_in(granted(&alone, 0));
    alone.pass(REFRESH + ACCESS);
    alone.store.fail_always(Op::Load, true);
    assert_eq!(error(&alone.get("/")).end_reason(), Some(EndReason::RefreshTokenExpired));
    assert_eq!((alone.refresher.calls(), ends(&alone).len()), (0, 1));
}
