//! Factories: called once a session, outside of every lock, and what becomes of those that panic or ask for too much.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use auth_core::{ErrorKind, Session, SessionBuilder, Sessions};
use auth_testkit::{ManualRuntime, ScriptedRefresher};

/// Longer than any of these tests takes: one that hangs fails.
const DEADLINE: Duration = Duration::from_secs(60);

fn session() -> SessionBuilder {
    Session::builder(ScriptedRefresher::new().0)
}

/// A pool whose factory can use it.
fn pool(make: impl Fn(&Sessions<u64>, u64) -> SessionBuilder + Send + Sync + 'static) -> Sessions<u64> {
    let itself: Arc<OnceLock<Sessions<u64>>> = Arc::default();
    let inside = Arc::clone(&itself);
    let pool = Sessions::builder(move |key: &u64| make(inside.get().unwrap(), *key));
    let pool = pool.runtime(ManualRuntime::new()).build();
    itself.set(pool.clone()).unwrap();
    pool
}

/// I17: A factory that panics is an error, and nothing is left of it: the next call makes the session.
#[test]
fn one_that_panics_is_an_error() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let pool = pool(move |_, _| {
        assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "the first time");
        session()
    });

    let error = pool.get(&1).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(pool.is_empty());
    assert!(pool.get(&1).is_ok());
    assert_eq!((calls.load(Ordering::SeqCst), pool.len()), (2, 1));
}

/// I17: Those who wait for a session whose factory panics do not hang: each tries for itself.
#[test]
fn those_who_wait_for_one_that_panics_do_not_hang() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let may_go = std::sync::Mutex::new(may_go);
    let pool = pool(move |_, _| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        if first {
            begun.send(()).unwrap();
            may_go.lock().unwrap().recv_timeout(DEADLINE).unwrap();
        }
        assert!(!first, "the first time");
        session()
    });

    let answers = thread::scope(|scope| {
        let first = scope.spawn(|| pool.get(&1));
        has_begun.recv_timeout(DEADLINE).unwrap();
        let second = scope.spawn(|| pool.get(&1));
        go.send(()).unwrap();
        [first.join().unwrap(), second.join().unwrap()]
    });

    let kinds = answers.map(|answer| answer.map(drop).map_err(|error| error.kind()));
    assert_eq!(kinds, [Err(ErrorKind::Misconfigured), Ok(())]);
}

/// A factory may use the pool, and other sessions of it.
#[test]
fn one_may_ask_for_another_session() {
    let pool = pool(|pool, key| {
        assert!(!pool.is_empty(), "no lock is held");
        if key > 0 {
            pool.get(&(key - 1)).unwrap();
        }
        session()
    });

    assert!(pool.get(&3).is_ok());

    assert_eq!(pool.len(), 4);
}

/// C12: One that asks for the session it is making would wait for itself. It is told.
#[test]
fn one_that_asks_for_its_own_session_is_told() {
    let asked: Arc<OnceLock<ErrorKind>> = Arc::default();
    let answer = Arc::clone(&asked);
    let pool = pool(move |pool, key| {
        let error = pool.get(&key).unwrap_err();
        answer.set(error.kind()).unwrap();
        session()
    });

    assert!(pool.get(&1).is_ok());

    assert_eq!(asked.get(), Some(&ErrorKind::Reentrant));
    assert_eq!(pool.counters().reentrant, 1);
}

/// C12: Two factories on two threads, each of which asks for the other's session: one is told, so that nobody hangs.
#[test]
fn two_that_ask_for_each_others_sessions_do_not_hang() {
    let both = Barrier::new(2);
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let pool = pool(move |pool, key| {
        both.wait();
        if let Err(error) = pool.get(&(1 - key)) {
            assert_eq!(error.kind(), ErrorKind::Reentrant);
            count.fetch_add(1, Ordering::SeqCst);
        }
        session()
    });

    let (done, all_done) = mpsc::channel();
    for key in [0, 1] {
        let (pool, done) = (pool.clone(), done.clone());
        thread::spawn(move || done.send(pool.get(&key).is_ok()).unwrap());
    }

    for _ in 0..2 {
        assert_eq!(all_done.recv_timeout(DEADLINE), Ok(true));
    }
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert_eq!(pool.len(), 2);
}

/// A pool's runtime is that of its sessions, unless they name one.
#[test]
fn sessions_run_where_their_pool_does() {
    let (runtime, own) = (ManualRuntime::new(), ManualRuntime::new());
    let theirs = own.clone();
    let make = move |key: &u64| if *key == 0 { session() } else { session().runtime(theirs.clone()) };
    let pool = Sessions::builder(make).runtime(runtime.clone()).build();

    for key in [0, 1] {
        drop(pool.get(&key).unwrap().sign_in(auth_testkit::numbered(0)));
    }

    assert_eq!((runtime.tasks(), own.tasks()), (1, 1));
}
