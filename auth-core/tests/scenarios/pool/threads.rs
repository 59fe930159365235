//! Threads: many that ask for the same sessions at the same time, while others evict them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use auth_core::{MemoryStore, Session, SessionState, Sessions, StandaloneRuntime};
use auth_testkit::{ScriptedRefresher, numbered};

const THREADS: usize = 8;

/// M1: However many threads ask for one session at once, it is made once, and all have the same.
#[test]
fn threads_that_ask_at_once_get_one_session() {
    for _ in 0..200 {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let pool = Sessions::builder(move |_: &u64| {
            counted.fetch_add(1, Ordering::SeqCst);
            // Lets others come meanwhile.
            thread::yield_now();
            Session::builder(ScriptedRefresher::new().0)
        });
        let pool = pool.runtime(StandaloneRuntime::new()).build();
        let start = Barrier::new(THREADS);

        let sessions: Vec<Session> = thread::scope(|scope| {
            let ask = || {
                start.wait();
                pool.get(&1).unwrap()
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });

        assert_eq!((made.load(Ordering::SeqCst), pool.len()), (1, 1));
        drop(sessions[0].sign_in(numbered(0)));
        assert!(sessions.iter().all(|session| session.state() == SessionState::Active));
    }
}

/// M4: Whatever is evicted meanwhile, whoever holds a session of a key holds the same as everybody else, and there are never more
/// than the bound.
#[test]
fn nothing_is_evicted_from_under_its_holders() {
    const KEYS: u64 = 4;
    const MAX: usize = 3;
    let pool =
        Sessions::builder(|_: &u64| Session::builder(ScriptedRefresher::new().0).store(MemoryStore::new()));
    let pool = pool.max(MAX).idle(Duration::ZERO).build();
    // How many hold a key's session. The first of them signs in; the others must see that.
    let holders: BTreeMap<u64, Mutex<usize>> = (0..KEYS).map(|key| (key, Mutex::new(0))).collect();
    let start = Barrier::new(THREADS);

    thread::scope(|scope| {
        for number in 0..THREADS as u64 {
            let (pool, holders, start) = (&pool, &holders, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..2_000_u64 {
                    let key = (number * 7 + round * round) % KEYS;
                    let Ok(session) = pool.get(&key) else { continue };
                    {
                        let mut holders = holders[&key].lock().unwrap();
                        if *holders == 0 {
                            drop(session.sign_in(numbered(0)));
                        }
                        *holders += 1;
                        assert_eq!(session.state(), SessionState::Active, "another session than theirs");
                    }
                    assert!(pool.len() <= MAX);
                    match round % 3 {
                        0 => drop(pool.evict_idle()),
                        1 => drop(pool.remove(&((key + 1) % KEYS))),
                        _ => thread::yield_now(),
                    }
                    *holders[&key].lock().unwrap() -= 1;
                    drop(session);
                }
            });
        }
    });

    assert!(pool.len() <= MAX);
}
