//! K15: programs that are killed while they refresh and save.
#![cfg(unix)]

use auth_core::TokenStore;
use auth_stores::FileStore;
use auth_testkit::{numbered, rotating};

use crate::support::{Dir, Other, block_on, place, say, text};

/// Rotates under the lock for ever, and says before and after each save what it is about.
fn rotate_for_ever(store: &FileStore) {
    block_on(async {
        loop {
            let mut guard = store.lock().await.unwrap().unwrap();
            let next = rotating(&guard.load().await.unwrap().unwrap()).unwrap();
            say(format!("saving {}", text(&next)));
            guard.save(&next).await.unwrap();
            say(format!("saved {}", text(&next)));
            guard.release().await;
        }
    });
}

/// K15, K8: `kill -9` while two programs take turns. Whatever was saved is there, or what was being saved; it is whole; and
/// who is left goes on.
#[test]
fn a_killed_program_leaves_a_whole_pair_and_no_lock() {
    if let Some(place) = place() {
        rotate_for_ever(&FileStore::new(place));
    }
    let dir = Dir::new();
    let store = dir.store();
    block_on(store.save(&numbered(0))).unwrap();
    let start = || Other::start("crashes::a_killed_program_leaves_a_whole_pair_and_no_lock", &dir.file());
    let number = |line: &str| line.rsplit_once('T').unwrap().1.parse::<u64>().unwrap();
    for round in 0..24 {
        let mut others = [start(), start()];
        // Later in each round: before the first save, in it, after it, in a later one.
        let mut said: Vec<_> = (0..round % 8).filter_map(|_| others[0].says()).collect();

        for other in &mut others {
            said.extend(other.kill());
        }

        let mut guard = block_on(store.lock()).unwrap().unwrap();
        let there = block_on(guard.load()).unwrap().expect("nobody has cleared it");
        let there = number(&text(&there));
        let newest =
            |what: &str| said.iter().filter(|line| line.starts_with(what)).map(|line| number(line)).max();
        assert!(
            newest("saved ").is_none_or(|saved| there >= saved),
            "round {round}: T{there}, after {said:?}"
        );
        assert!(
            newest("saving ").is_none_or(|saving| there <= saving),
            "round {round}: T{there}, after {said:?}"
        );
        block_on(guard.release());
    }
    // A store that is opened when they are gone cleans up after them.
    block_on(async { dir.store().lock().await.unwrap().unwrap().release().await });
    assert_eq!(dir.names(), ["tokens.json", "tokens.json.lock"]);
}
