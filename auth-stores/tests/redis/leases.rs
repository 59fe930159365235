//! The lease: whose it is, how long, and what can no longer be written when it is over.

use std::time::Duration;

use auth_core::TokenStore;
use auth_stores::redis;
use auth_testkit::numbered;
use futures::FutureExt as _;

use crate::support::{Server, block_on, on_smol, on_tokio, stored};

/// For tests that let it end. Nothing depends on how long it is.
const SHORT: Duration = Duration::from_millis(30);

const LEASE: &str = "{auth:s}:lease";

fn life(server: &Server, key: &str) -> i64 {
    server.ask(redis::cmd("PTTL").arg(key))
}

#[test]
fn a_lease_lives_longer_than_a_refresh_and_its_save() {
    let server = Server::start();
    let store = block_on(on_smol(&server, "s"));

    let guard = block_on(store.lock()).unwrap().unwrap();

    let life = life(&server, LEASE);
    assert!((55_000..=60_000).contains(&life), "{life}");
    block_on(guard.release());
    assert!(!server.ask::<bool>(redis::cmd("EXISTS").arg(LEASE)));
}

/// K8: a holder that does not come back, as one that died. Nobody gives its lease back.
#[test]
fn a_lease_whose_holder_died_ends_by_itself() {
    let server = Server::start();
    let dying = block_on(on_tokio(&server, "s")).lease(SHORT);
    let store = block_on(on_tokio(&server, "s"));
    std::mem::forget(block_on(dying.lock()).unwrap());

    let guard = block_on(store.lock()).unwrap();

    assert!(guard.is_some());
}

/// K17: a holder that was paused past its lease.
#[test]
fn after_its_lease_a_holder_writes_nothing_and_releases_nothing() {
    let server = Server::start();
    let (late, next) =
        block_on(async { (on_tokio(&server, "s").await.lease(SHORT), on_tokio(&server, "s").await) });
    block_on(next.save(&numbered(0))).unwrap();
    let mut paused = block_on(late.lock()).unwrap().unwrap();
    let mut guard = block_on(next.lock()).unwrap().unwrap();

    assert!(block_on(paused.save(&numbered(1))).unwrap_err().is_conflict());
    assert!(block_on(paused.clear()).unwrap_err().is_conflict());
    block_on(paused.release());

    block_on(guard.save(&numbered(2))).unwrap();
    assert_eq!(block_on(stored(&next)).as_deref(), Some("T2"));
}

/// The lease alone does not say it: a server that was restored may have it again, and another holder after it.
#[test]
fn a_write_under_an_older_fence_is_refused() {
    let server = Server::start();
    let store = block_on(on_smol(&server, "s"));
    block_on(store.save(&numbered(0))).unwrap();
    let mut guard = block_on(store.lock()).unwrap().unwrap();

    let _: i64 = server.ask(redis::cmd("HINCRBY").arg("{auth:s}").arg("fence").arg(1));

    assert!(block_on(guard.save(&numbered(1))).unwrap_err().is_conflict());
    assert_eq!(block_on(stored(&store)).as_deref(), Some("T0"));
}

#[test]
fn each_lease_has_a_fence_of_its_own() {
    let server = Server::start();
    let store = block_on(on_smol(&server, "s"));
    for n in 1..=5 {
        let mut guard = block_on(store.lock()).unwrap().unwrap();
        block_on(guard.save(&numbered(n))).unwrap();
        block_on(guard.release());

        let [fence, by]: [u64; 2] = server.ask(redis::cmd("HMGET").arg("{auth:s}").arg("fence").arg("by"));
        assert_eq!((fence, by), (n, n));
    }
    block_on(store.save(&numbered(6))).unwrap();
    let by: u64 = server.ask(redis::cmd("HGET").arg("{auth:s}").arg("by"));
    assert_eq!(by, 0, "written without one");
}

/// A flight began before somebody signed in without the lock: its pair is not written over the new sign-in.
#[test]
fn a_guard_does_not_overwrite_what_was_written_without_the_lock_since_it_loaded() {
    let server = Server::start();
    let (ours, theirs) = block_on(async { (on_smol(&server, "s").await, on_smol(&server, "s").await) });
    block_on(ours.save(&numbered(0))).unwrap();
    let mut guard = block_on(ours.lock()).unwrap().unwrap();
    block_on(guard.load()).unwrap();
    block_on(theirs.save(&numbered(7))).unwrap();

    assert!(block_on(guard.save(&numbered(1))).unwrap_err().is_conflict());
    assert!(block_on(guard.clear()).unwrap_err().is_conflict());

    assert_eq!(block_on(stored(&theirs)).as_deref(), Some("T7"));
    block_on(guard.load()).unwrap();
    block_on(guard.save(&numbered(8))).unwrap();
    assert_eq!(block_on(stored(&theirs)).as_deref(), Some("T8"), "what it has seen it may replace");
}

/// What was asked for before is done before: a save that was given up, and then the lock.
#[test]
fn a_guard_that_is_dropped_in_the_middle_of_a_save_has_saved_before_others_have_the_lock() {
    let server = Server::start();
    let (ours, theirs) = block_on(async { (on_tokio(&server, "s").await, on_tokio(&server, "s").await) });
    for n in 0..50 {
        let mut guard = block_on(ours.lock()).unwrap().unwrap();
        drop(guard.save(&numbered(n)).now_or_never());
        drop(guard);

        let mut next = block_on(theirs.lock()).unwrap().unwrap();

        assert_eq!(block_on(next.load()).unwrap(), Some(numbered(n)));
    }
}

/// Stores on several connections and runtimes take turns, and no turn is lost.
#[test]
fn stores_on_several_connections_take_turns() {
    const ROUNDS: u64 = 20;
    let server = Server::start();
    let (a, b, c) = block_on(async {
        (on_tokio(&server, "s").await, on_smol(&server, "s").await, on_smol(&server, "s").await)
    });
    block_on(a.save(&numbered(0))).unwrap();
    let turns = |store: &dyn TokenStore| {
        block_on(async {
            for _ in 0..ROUNDS {
                let mut guard = store.lock().await.unwrap().unwrap();
                let there = guard.load().await.unwrap().unwrap();
                guard.save(&auth_testkit::rotating(&there).unwrap()).await.unwrap();
                guard.release().await;
            }
        });
    };

    std::thread::scope(|threads| {
        threads.spawn(|| turns(&a));
        threads.spawn(|| turns(&b));
        turns(&c);
    });

    assert_eq!(block_on(stored(&a)), Some(format!("T{}", 3 * ROUNDS)));
}
