//! The lock: whose it is, and what is left of it.

use std::fs;

use auth_core::TokenStore;
use auth_stores::FileStore;
use auth_testkit::numbered;
use futures::FutureExt as _;
use futures::future::join_all;

use crate::support::{Dir, Other, block_on, place, say, stored};

#[test]
fn the_lock_file_is_empty_and_stays() {
    let dir = Dir::new();
    let store = dir.store();

    let guard = block_on(store.lock()).unwrap().unwrap();
    assert_eq!(dir.names().len(), 2, "and the room for a save: {:?}", dir.names());
    block_on(guard.release());

    assert_eq!(dir.names(), ["tokens.json.lock"]);
    assert_eq!(fs::metadata(dir.lock_file()).unwrap().len(), 0);
}

/// However many of those who wait give up: the thread that waits for them is one, and it is in nobody's way.
#[cfg(target_os = "linux")]
#[test]
fn waits_that_were_given_up_cost_one_thread() {
    if let Some(place) = place() {
        let (ours, theirs) = (FileStore::new(&place), FileStore::new(&place));
        let guard = block_on(ours.lock()).unwrap().unwrap();
        // Those of earlier calls may end meanwhile.
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        for _ in 0..100 {
            assert!(theirs.lock().now_or_never().is_none());
        }
        assert!(threads() <= before + 1, "{} threads, and {before} before", threads());
        say("waited");
        block_on(guard.release());
        drop(block_on(theirs.lock()).unwrap());
        return;
    }
    let dir = Dir::new();

    let (status, said) =
        Other::start("locking::waits_that_were_given_up_cost_one_thread", &dir.file()).ended();

    assert!(status.success());
    assert_eq!(said, ["waited"]);
}

/// K8: whoever holds the lock and dies has it no longer, and what it was about to write is removed.
#[test]
fn a_holder_that_died_releases_the_lock() {
    if let Some(place) = place() {
        let _guard = block_on(FileStore::new(place).lock()).unwrap().unwrap();
        say("locked");
        std::thread::sleep(std::time::Duration::MAX);
    }
    let dir = Dir::new();
    let mut other = Other::start("locking::a_holder_that_died_releases_the_lock", &dir.file());
    assert_eq!(other.says().as_deref(), Some("locked"));
    let store = dir.store();
    let mut waiting = store.lock();
    assert!((&mut waiting).now_or_never().is_none(), "it lives");

    other.kill();

    let guard = block_on(waiting).unwrap().unwrap();
    let left = dir.names();
    assert_eq!(left.len(), 2, "the lock, and this guard's room for a save: {left:?}");
    block_on(guard.release());
    assert_eq!(dir.names(), ["tokens.json.lock"]);
}

/// What was asked for before is done before: a save that was given up, and then the lock.
#[test]
fn a_guard_that_is_dropped_in_the_middle_of_a_save_has_saved_before_others_have_the_lock() {
    let dir = Dir::new();
    for n in 0..20 {
        let mut guard = block_on(dir.store().lock()).unwrap().unwrap();
        drop(guard.save(&numbered(n)).now_or_never());
        drop(guard);

        let mut next = block_on(dir.store().lock()).unwrap().unwrap();

        assert_eq!(block_on(next.load()).unwrap(), Some(numbered(n)));
    }
}

/// A flight began before somebody signed in without the lock: its pair is not written over the new sign-in.
#[test]
fn a_guard_does_not_overwrite_what_was_written_without_the_lock_since_it_loaded() {
    let dir = Dir::new();
    let (ours, theirs) = (dir.store(), dir.store());
    block_on(ours.save(&numbered(0))).unwrap();
    let mut guard = block_on(ours.lock()).unwrap().unwrap();
    block_on(guard.load()).unwrap();
    block_on(theirs.save(&numbered(7))).unwrap();

    assert!(block_on(guard.save(&numbered(1))).unwrap_err().is_conflict());
    assert!(block_on(guard.clear()).unwrap_err().is_conflict());

    assert_eq!(stored(&theirs).as_deref(), Some("T7"));
    block_on(guard.load()).unwrap();
    block_on(guard.save(&numbered(8))).unwrap();
    assert_eq!(stored(&theirs).as_deref(), Some("T8"), "what it has seen it may replace");
}

/// A holder that reads and writes in turn with others, each a store of its own: no turn is lost.
#[test]
fn stores_on_one_path_take_turns() {
    const ROUNDS: u64 = 20;
    let dir = Dir::new();
    block_on(dir.store().save(&numbered(0))).unwrap();
    let turns = (0..4).map(|_| {
        let store = dir.store();
        async move {
            for _ in 0..ROUNDS {
                let mut guard = store.lock().await.unwrap().unwrap();
                let there = guard.load().await.unwrap().unwrap();
                let next = auth_testkit::rotating(&there).unwrap();
                guard.save(&next).await.unwrap();
                guard.release().await;
            }
        }
    });

    block_on(join_all(turns));

    assert_eq!(stored(&dir.store()), Some(format!("T{}", 4 * ROUNDS)));
}
