//! The pool: a session for each key, bounded, and what becomes of those that nobody uses.

mod busy;
mod factories;
mod keys;
mod property;
mod tenants;
mod threads;

use std::time::Duration;

use auth_core::{ErrorKind, Runtime as _, Session, SessionState, Sessions};
use auth_testkit::{ManualRuntime, ScriptedRefresher, numbered};
use futures::StreamExt as _;

use self::tenants::{Tenants, pair};
use crate::world::status;

/// M1: A's refresh hangs. B is rejected, refreshed and answered meanwhile, and carries nothing of A's.
#[test]
fn one_that_hangs_delays_nobody_else() {
    let tenants = Tenants::new();
    let (a, b) = (tenants.signed_in(1), tenants.signed_in(2));
    let hanging = tenants.request(1);
    tenants.api_answers(401);
    let _unanswered = tenants.parts(1).refresher.try_next().expect("A refreshes");

    let answered = tenants.request(2);
    tenants.api_answers(401);
    tenants.parts(2).refresher.try_next().expect("B refreshes").answer(pair(2, 1));
    tenants.settle();

    assert_eq!(tenants.api_answers(200), ("/2".to_owned(), "T2001".to_owned()));
    assert_eq!(status(&answered), 200);
    assert!(!hanging.is_finished());
    assert_eq!((a.state(), b.state()), (SessionState::Refreshing, SessionState::Active));
}

/// M1: whoever asks under one key gets the same session; under another key another one.
#[test]
fn a_key_has_one_session() {
    let tenants = Tenants::new();
    let one = tenants.signed_in(1);

    let (again, other) = (tenants.get(1), tenants.get(2));

    assert_eq!(again.state(), SessionState::Active);
    assert_eq!(other.state(), SessionState::Unknown);
    drop(one);
    assert_eq!(tenants.get(1).state(), SessionState::Active);
    assert_eq!((tenants.made(1), tenants.made(2), tenants.sessions.len()), (1, 1, 2));
}

/// M6: Two who got the session apart force a refresh of the token they know: one flight. Whoever knows an older token than the
/// newest gets that, without another flight.
#[test]
fn forced_refreshes_of_one_key_are_one_flight() {
    let tenants = Tenants::new();
    drop(tenants.signed_in(1));
    let refresh =
        |session: Session, known| tenants.runtime.start(async move { session.refresh(known).await });
    let known = Some(tenants.runtime.block_on(tenants.get(1).lease()).unwrap().stamp());

    let (one, two) = (refresh(tenants.get(1), known), refresh(tenants.get(1), known));
    tenants.settle();
    tenants.parts(1).refresher.try_next().expect("a refresh").answer(pair(1, 1));
    tenants.settle();
    let late = refresh(tenants.get(1), known);
    tenants.settle();

    for running in [one, two, late] {
        assert_eq!(running.take().unwrap().unwrap().stamp().generation, 1);
    }
    assert_eq!(tenants.parts(1).refresher.calls(), 1);
}

/// M8: Clones of the pool, of its sessions and of clients share the sessions.
#[test]
fn clones_share_the_sessions() {
    let tenants = Tenants::new();
    let pool = tenants.sessions.clone();
    let client = tenants.client(1);
    let clone = pool.get(&1).unwrap().clone();
    tenants.runtime.block_on(client.clone().session().sign_in(pair(1, 0))).unwrap();

    assert_eq!(clone.state(), SessionState::Active);
    assert_eq!(client.session().state(), SessionState::Active);
    drop(client);
    assert_eq!(pool.evict_idle(), 0);
    tenants.pass_idle();
    assert_eq!(pool.evict_idle(), 0, "somebody holds it");
    drop(clone);
    tenants.pass_idle();
    assert_eq!(pool.evict_idle(), 1);
    assert!(tenants.sessions.is_empty());
}

/// M4: A session that nobody has held for long is evicted, and made anew when it is asked for: what it knew is in its store.
#[test]
fn one_that_was_evicted_loads_from_its_store() {
    let tenants = Tenants::new();
    let session = tenants.signed_in(1);
    let refreshing = tenants.refresh(&session);
    tenants.parts(1).refresher.try_next().unwrap().answer(pair(1, 1));
    tenants.settle();
    refreshing.take().unwrap().unwrap();
    drop((session, refreshing));

    tenants.pass(Duration::from_secs(15 * 60 - 1));
    assert_eq!(tenants.sessions.evict_idle(), 0, "not yet");
    tenants.pass(Duration::from_secs(1));
    assert_eq!(tenants.sessions.evict_idle(), 1);

    let session = tenants.get(1);
    assert_eq!((session.state(), tenants.made(1)), (SessionState::Unknown, 2));
    let token = tenants.runtime.block_on(session.access_token(Duration::ZERO)).unwrap();
    assert_eq!(token.reveal(), "T1001");
    assert_eq!(tenants.parts(1).refresher.calls(), 1);
}

/// M4: Nobody has to call for it: those who ask for other sessions look at a few.
#[test]
fn idle_ones_go_when_others_are_asked_for() {
    let tenants = Tenants::new();
    for tenant in 1..=5 {
        drop(tenants.signed_in(tenant));
    }
    tenants.pass_idle();

    for _ in 0..3 {
        drop(tenants.get(9));
    }

    assert_eq!(tenants.there(), [9]);
}

/// M4: Use counts, not age: what is held is in use, and idle from the moment in which the last handle is dropped.
#[test]
fn a_session_is_idle_from_its_last_handles_end() {
    let tenants = Tenants::new();
    let (session, other) = (tenants.signed_in(1), tenants.get(1));
    tenants.pass_idle();
    drop(session);
    tenants.pass_idle();
    assert_eq!(tenants.sessions.evict_idle(), 0);
    drop(other);

    tenants.pass(Duration::from_secs(14 * 60));
    assert_eq!(tenants.sessions.evict_idle(), 0);
    drop(tenants.get(1));
    tenants.pass(Duration::from_secs(14 * 60));
    assert_eq!(tenants.sessions.evict_idle(), 0, "it was used a while ago");

    tenants.pass(Duration::from_secs(60));
    assert_eq!(tenants.sessions.evict_idle(), 1);
}

/// M4: There are never more than the bound; the least recently used makes room, used by whom it may be.
#[test]
fn the_least_recently_used_makes_room() {
    let tenants = Tenants::most(3);
    for tenant in 1..=3 {
        drop(tenants.signed_in(tenant));
    }
    drop(tenants.get(1));

    drop(tenants.get(4));
    assert_eq!(tenants.there(), [1, 3, 4]);
    drop(tenants.get(5));
    assert_eq!(tenants.there(), [1, 4, 5]);

    for tenant in 10..1_000 {
        drop(tenants.get(tenant));
        assert_eq!(tenants.sessions.len(), 3);
    }
    assert_eq!(tenants.runtime.tasks(), 0);
}

/// M4: Where each session is in use, another key's fails, and can be had as soon as one is free.
#[test]
fn where_all_are_in_use_there_is_no_room() {
    let tenants = Tenants::most(2);
    let (one, _two) = (tenants.get(1), tenants.get(2));

    let error = tenants.sessions.get(&3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::QueueFull);
    assert_eq!(
        error.to_string(),
        "too many requests at once: every session of the pool is in use, or not to be given up yet"
    );
    assert!(tenants.sessions.get(&1).is_ok(), "it is there");
    assert_eq!((tenants.sessions.len(), tenants.made(3)), (2, 0));
    assert_eq!(tenants.sessions.counters().queue_full, 1);

    drop(one);
    assert!(tenants.sessions.get(&3).is_ok());
    assert_eq!(tenants.there(), [2, 3]);
    assert_eq!(Tenants::most(0).sessions.get(&1).unwrap_err().kind(), ErrorKind::QueueFull);
}

/// M4: Those that are in use do not stand in the way of one that is not, however many they are.
#[test]
fn one_that_is_free_is_found_among_many_in_use() {
    let tenants = Tenants::most(1_000);
    let _held: Vec<Session> = (0..999).map(|tenant| tenants.get(tenant)).collect();
    drop(tenants.get(999));

    assert!(tenants.sessions.get(&1_000).is_ok());
    assert_eq!(tenants.made(1_000), 1);
}

/// M4, O6: What evicted sessions did is not forgotten: sums only grow.
#[test]
fn counters_outlive_the_sessions() {
    let tenants = Tenants::new();
    for tenant in [1, 2] {
        let refreshing = tenants.refresh(&tenants.signed_in(tenant));
        tenants.parts(tenant).refresher.try_next().unwrap().answer(pair(tenant, 1));
        tenants.settle();
        drop(refreshing);
    }
    let before = tenants.sessions.counters();
    assert_eq!(before.refreshed, 2);

    assert!(tenants.sessions.remove(&1));
    assert_eq!(tenants.sessions.counters(), before);

    assert!(tenants.sessions.remove(&2));
    assert_eq!(tenants.sessions.counters(), before);
    assert!(tenants.sessions.is_empty());
}

/// M4: A session can be put away at once, after a sign-out, but not while somebody holds it.
#[test]
fn one_that_is_removed_goes_at_once_unless_it_is_in_use() {
    let tenants = Tenants::new();
    let session = tenants.signed_in(1);
    tenants.runtime.block_on(session.sign_out()).unwrap();
    assert!(!tenants.sessions.remove(&1), "it is held");

    drop(session);
    assert!(tenants.sessions.remove(&1));

    assert!(tenants.sessions.is_empty());
    assert!(tenants.sessions.remove(&1), "there is none");
    assert_eq!(tenants.get(1).state(), SessionState::Unknown);
}

/// M4, O5: Whoever watches a session learns of its eviction: the stream ends. Handles that come and go do not end it.
#[test]
fn a_watch_ends_with_the_eviction() {
    let tenants = Tenants::new();
    let mut watch = tenants.signed_in(1).watch();
    assert_eq!(tenants.runtime.block_on(watch.next()), Some(SessionState::Active));
    drop(tenants.get(1));
    let ended = tenants.runtime.start(async move { watch.next().await });
    tenants.settle();
    assert!(!ended.is_finished());

    assert!(tenants.sessions.remove(&1));
    tenants.settle();

    assert_eq!(ended.take(), Some(None));
}

/// M4: A session that refreshes while it idles does so in the pool, and no longer when it has been evicted.
#[test]
fn one_that_was_evicted_does_nothing_by_itself() {
    let tenants =
        Tenants::with(|pool| pool, |session| session.refresh_while_idle().soft_window(Duration::ZERO));
    let session = tenants.get(1);
    let hour = pair(1, 0).with_expires_in(Duration::from_secs(3600), tenants.runtime.now());
    tenants.runtime.block_on(session.sign_in(hour)).unwrap();
    drop(session);

    tenants.pass_idle();
    assert_eq!((tenants.runtime.tasks(), tenants.runtime.timers()), (1, 1));
    assert_eq!(tenants.sessions.evict_idle(), 1);
    tenants.settle();

    assert_eq!((tenants.runtime.tasks(), tenants.runtime.timers()), (0, 0));
    tenants.pass(Duration::from_secs(3600));
    assert_eq!(tenants.parts(1).refresher.calls(), 0);
}

/// M4: A pool that is dropped leaves its sessions to those who hold them; the others end.
#[test]
fn sessions_outlive_the_pool_in_the_hands_of_their_holders() {
    let tenants = Tenants::new();
    let held = tenants.signed_in(1);
    let (mut kept, mut gone) = (held.watch(), tenants.signed_in(2).watch());
    let runtime = tenants.runtime.clone();
    for watch in [&mut kept, &mut gone] {
        assert_eq!(runtime.block_on(watch.next()), Some(SessionState::Active));
    }

    drop(tenants);

    assert_eq!(runtime.block_on(gone.next()), None);
    runtime.block_on(held.sign_out()).unwrap();
    assert_eq!(runtime.block_on(kept.next()), Some(SessionState::SignedOut));
    drop(held);
    assert_eq!(runtime.block_on(kept.next()), None);
}

/// M4: To look at all sessions is no use of them.
#[test]
fn a_look_at_all_uses_none() {
    let tenants = Tenants::most(2);
    drop((tenants.signed_in(1), tenants.get(2)));
    tenants.pass_idle();

    let mut seen = Vec::new();
    tenants.sessions.for_each(|tenant, state| {
        seen.push((*tenant, state));
        assert!(tenants.sessions.get(&(tenant + 10)).is_ok(), "no lock is held, and it may be evicted");
    });

    seen.sort_by_key(|(tenant, _)| *tenant);
    assert_eq!(seen, [(1, SessionState::Active), (2, SessionState::Unknown)]);
    assert_eq!(tenants.there(), [11, 12]);
}

/// L6: The pool shows how many sessions it has, and no key: that may be somebody's name.
#[test]
fn a_pool_shows_no_keys() {
    let make = |_: &String| Session::builder(ScriptedRefresher::new().0);
    let builder = Sessions::builder(make).runtime(ManualRuntime::new()).max(7);
    let built = format!("{builder:?}");
    let pool = builder.build();
    let session = pool.get("alice@example.com").unwrap();
    drop(session.sign_in(numbered(0)));

    assert_eq!(built, "SessionsBuilder { max: 7, idle: 900s, .. }");
    assert_eq!(format!("{pool:?}"), "Sessions { len: 1, max: 7, .. }");
    assert_eq!(format!("{session:?}"), "Session { state: Active, .. }");
}
