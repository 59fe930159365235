//! Keys: their `Hash`, `Eq`, `Clone` and `Drop` are foreign code. They may use the pool, and they may panic.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use std::time::Duration;

use auth_core::{Runtime as _, Session, Sessions};
use auth_testkit::{ManualRuntime, ScriptedRefresher, ScriptedStore, numbered};

const HOUR: Duration = Duration::from_secs(3600);

thread_local! {
    static POOL: RefCell<Option<Sessions<Key>>> = const { RefCell::new(None) };
    /// What panics now.
    static PANICS: RefCell<&'static str> = const { RefCell::new("") };
}

/// A key that uses the pool whenever it is touched. All have one hash.
struct Key(u64);

fn touch(what: &str) {
    let pool = POOL.try_with(|pool| pool.borrow().clone()).ok().flatten();
    if let Some(pool) = pool {
        // Blocks for ever where a lock is held.
        assert!(pool.len() < 100);
    }
    let panics = PANICS.try_with(|panics| *panics.borrow() == what).unwrap_or(false);
    assert!(!panics, "{what}");
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        touch("hash");
        state.write_u8(0);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        touch("eq");
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Clone for Key {
    fn clone(&self) -> Self {
        touch("clone");
        Self(self.0)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        touch("drop");
    }
}

fn pool(max: usize) -> Sessions<Key> {
    let make = |_: &Key| Session::builder(ScriptedRefresher::new().0);
    let pool = Sessions::builder(make).runtime(ManualRuntime::new()).max(max).build();
    POOL.set(Some(pool.clone()));
    pool
}

/// Invariant 11: no lock is held while a key is hashed, compared, cloned or dropped.
#[test]
fn keys_may_use_the_pool() {
    let pool = pool(3);
    let done = std::thread::scope(|scope| {
        // On this thread a deadlock would hang the test: the world of the keys is a thread's own.
        let pool = pool.clone();
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            POOL.set(Some(pool.clone()));
            for key in (0..10).chain(0..10) {
                assert!(pool.get(&Key(key)).is_ok());
            }
            pool.for_each(|key, _| drop(key.clone()));
            let removed = (0..10).all(|key| pool.remove(&Key(key)));
            POOL.set(None);
            done.send(removed && pool.is_empty()).unwrap();
        });
        let _ = scope;
        is_done.recv_timeout(std::time::Duration::from_secs(60))
    });

    assert_eq!(done, Ok(true));
    POOL.set(None);
}

/// M1: Keys of one hash have a session each.
#[test]
fn keys_of_one_hash_have_a_session_each() {
    let pool = pool(100);
    let held: Vec<Session> = (0..50).map(|key| pool.get(&Key(key)).unwrap()).collect();

    drop(held[7].sign_in(auth_testkit::numbered(0)));

    for key in 0..50 {
        let active = pool.get(&Key(key)).unwrap().state() == auth_core::SessionState::Active;
        assert_eq!(active, key == 7);
    }
    assert_eq!(pool.len(), 50);
    POOL.set(None);
}

/// Invariant 6: a key that panics harms nobody else's session.
#[test]
fn keys_may_panic() {
    let pool = pool(100);
    let one = pool.get(&Key(1)).unwrap();
    for what in ["hash", "eq", "clone"] {
        let asked = Key(2);
        PANICS.set(what);
        let outcome = catch_unwind(AssertUnwindSafe(|| pool.get(&asked).map(drop)));
        PANICS.set("");
        assert!(outcome.is_err(), "{what}");
        assert_eq!(pool.len(), 1);
    }

    drop(one.sign_in(auth_testkit::numbered(0)));
    assert_eq!(pool.get(&Key(1)).unwrap().state(), auth_core::SessionState::Active);
    assert!(pool.get(&Key(2)).is_ok());
    POOL.set(None);
}

/// M4: from the moment in which it is given up a session does nothing by itself, though it is still there: another may have been
/// made in its place by then.
#[test]
fn one_that_was_given_up_refreshes_no_more_while_it_is_dropped() {
    thread_local! {
        static WHEN_DROPPED: RefCell<Option<ManualRuntime>> = const { RefCell::new(None) };
    }
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Slow;
    impl Drop for Slow {
        fn drop(&mut self) {
            let runtime = WHEN_DROPPED.with(RefCell::take);
            if let Some(runtime) = runtime {
                runtime.advance(HOUR);
            }
        }
    }
    let runtime = ManualRuntime::new();
    let (refresher, login) = ScriptedRefresher::new();
    let (store, _) = ScriptedStore::new();
    let make = move |_: &Slow| Session::builder(refresher.clone()).store(store.clone()).refresh_while_idle();
    let pool = Sessions::builder(make).runtime(runtime.clone()).build();
    let (key, tokens) = (Slow, numbered(0).with_expires_in(HOUR, runtime.now()));
    runtime.block_on(pool.get(&key).unwrap().sign_in(tokens)).unwrap();

    WHEN_DROPPED.set(Some(runtime));
    let removed = pool.remove(&key);

    assert!(removed && WHEN_DROPPED.with(|runtime| runtime.borrow().is_none()));
    assert_eq!(login.calls(), 0);
}
