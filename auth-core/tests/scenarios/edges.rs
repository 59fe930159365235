//! Edges: foreign code in the wrong place, runtimes that stop, and choices that few make.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use auth_core::{
    Body, ErrorKind, InvalidToken, RefreshError, ReplayOrder, Runtime as _, Scheme, Session, TokenStore as _,
    Tokens, refresher_fn,
};
use auth_testkit::{ManualRuntime, Op, ScriptedStore, numbered};
use http::{HeaderName, HeaderValue, Request};

use crate::apart::Apart;
use crate::world::{World, kind, status};

/// A cause that looks at the session from another thread when it is dropped: under the session's lock that would never end.
struct Prying {
    session: Arc<Mutex<Option<Session>>>,
    stuck: Arc<AtomicBool>,
    dropped: Arc<AtomicUsize>,
}

impl fmt::Debug for Prying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prying")
    }
}

impl fmt::Display for Prying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("prying")
    }
}

impl std::error::Error for Prying {}

impl Drop for Prying {
    fn drop(&mut self) {
        let Some(session) = self.session.lock().unwrap().clone() else { return };
        let (looked, wait) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = session.state();
            let _ = looked.send(());
        });
        if wait.recv_timeout(Duration::from_secs(10)).is_err() {
            self.stuck.store(true, Ordering::SeqCst);
        }
        self.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// C5: the cause of a failure is foreign: wherever it is dropped at last, no lock of the session is held.
#[test]
fn no_cause_is_dropped_under_the_sessions_lock() {
    for (listens, signs_out) in [(false, false), (false, true), (true, true)] {
        let runtime = ManualRuntime::new();
        let shared = Arc::new(Mutex::new(None::<Session>));
        let (stuck, dropped) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (of, seen, count) = (Arc::clone(&shared), Arc::clone(&stuck), Arc::clone(&dropped));
        let refresher = refresher_fn(move |_| {
            let cause =
                Prying { session: Arc::clone(&of), stuck: Arc::clone(&seen), dropped: Arc::clone(&count) };
            if signs_out {
                drop(of.lock().unwrap().as_ref().unwrap().sign_out());
            }
            async move { Err(RefreshError::unavailable(cause)) }
        });
        let mut builder = Session::builder(refresher).runtime(runtime.clone());
        if listens {
            builder = builder.on_event(|_| {});
        }
        let session = builder.build();
        *shared.lock().unwrap() = Some(session.clone());
        runtime.block_on(session.sign_in(numbered(0))).unwrap();

        let failed = runtime.block_on(session.refresh(None));
        drop(failed);
        runtime.advance(Duration::from_secs(5));
        runtime.block_on(session.sign_in(numbered(1))).unwrap();

        assert!(!stuck.load(Ordering::SeqCst), "listens: {listens}, signs out: {signs_out}");
        assert!(dropped.load(Ordering::SeqCst) > 0);
        shared.lock().unwrap().take();
    }
}

/// K14: a load whose task is dropped while it acquires gives the store's lock back.
#[test]
fn a_load_that_is_dropped_gives_the_lock_back() {
    let apart = Apart::new();
    let world = &apart.world;
    world.refresher.script_acquire();
    let waiting = world.get("/");
    apart.drive();
    assert!(world.store.is_locked() && world.refresher.try_next_acquire().is_some());

    apart.move_home();
    apart.tasks.shutdown();
    world.settle();

    assert_eq!(kind(&waiting), ErrorKind::Store);
    assert!(!world.store.is_locked());
}

/// H9, I14: a sign-out behind a store call that nobody drives any more ends, if somebody drives the runtime it waits on.
#[test]
fn a_sign_out_does_not_wait_for_a_worker_that_nobody_drives() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    world.store.hold(Op::Save);
    drop(world.session.sign_in(numbered(5)));
    apart.drive();
    world.store.release_holds();
    apart.move_home();

    let begun = world.runtime.elapsed();
    let written = world.runtime.block_on(world.session.sign_out());

    assert!(written.is_ok());
    assert_eq!(world.stored(), None);
    assert!(world.runtime.elapsed() - begun < Duration::from_secs(60));
}

/// G1: the dead pair is cleared before the flight's lock is given back: nobody can take it up in between.
#[test]
fn a_dead_pair_is_cleared_under_the_flights_lock() {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let world = World::on(store, handle, |session| session, |client| client);
    world.sign_in(numbered(0));
    let locks = |world: &World| world.store.ops().iter().filter(|op| **op == Op::Lock).count();
    let before = locks(&world);
    let waiting = world.rejected("/");

    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    assert_eq!(kind(&waiting), ErrorKind::SessionEnded);
    assert_eq!(world.stored(), None);
    assert_eq!(locks(&world) - before, 1);
}

/// A scheme that says nothing of its header's name.
struct Quiet;

impl Scheme for Quiet {
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
        let value = HeaderValue::from_str(tokens.access_token().reveal());
        Ok((HeaderName::from_static("x-api-token"), value.map_err(|_| InvalidToken::new("no header"))?))
    }
}

/// A13: a scheme that says nothing of its header's name has its token on a request that is authorized for somebody else;
/// A2: and one that carries the very header is left alone.
#[test]
fn a_scheme_that_does_not_name_its_header_is_not_confused_with_another() {
    let world = World::with(|session| session.scheme(Quiet), |client| client);
    world.sign_in(numbered(0));

    let gateway =
        Request::get("/").header("authorization", "Basic Z2F0ZXdheQ==").body(Body::empty()).unwrap();
    let _first = world.send(gateway);
    let own = Request::get("/").header("x-api-token", "mine").body(Body::empty()).unwrap();
    let _second = world.send(own);

    let log = world.api.log();
    assert_eq!(log[0].headers["x-api-token"], "T0");
    assert_eq!(log[0].headers["authorization"], "Basic Z2F0ZXdheQ==");
    assert_eq!(log[1].headers["x-api-token"], "mine");
}

/// C4: who does not care for the order is not held up by it: all start when the refresh has ended.
#[test]
fn unordered_replays_wait_for_nobody() {
    let world = World::with(|session| session.replay_order(ReplayOrder::Unordered), |client| client);
    world.sign_in(numbered(0));
    let session = world.session.clone();
    let stamp = world.runtime.block_on(session.lease()).unwrap().stamp();
    let mut parked = Box::pin(async move { session.recover(stamp).await });
    assert!(parked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let waiting = world.get("/");

    world.settle();
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    let Poll::Ready(Ok(turn)) = parked.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("no turn")
    };
    assert_eq!((turn.ticket(), turn.flight()), (None, None));
}

/// Who waits for a refresh goes out with the newest token, when its turn comes: its own refresh's may have been replaced by then.
#[test]
fn a_turn_has_the_newest_token() {
    let world = World::signed_in();
    let stamp = world.runtime.block_on(world.session.lease()).unwrap().stamp();
    let mut cx = Context::from_waker(Waker::noop());
    let waiting = || {
        let session = world.session.clone();
        Box::pin(async move { session.recover(stamp).await })
    };
    let (mut first, mut second) = (waiting(), waiting());
    assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
    world.settle();
    world.refresh_answers(numbered(1));
    let Poll::Ready(Ok(first)) = first.as_mut().poll(&mut cx) else { panic!("no turn") };
    assert_eq!(first.header().1, "Bearer T1");

    world.session.reject(first.stamp()).unwrap();
    world.settle();
    world.refresh_answers(numbered(2));

    // A turn that was taken stays what it was.
    assert_eq!(first.into_lease().header().1, "Bearer T1");
    let Poll::Ready(Ok(second)) = second.as_mut().poll(&mut cx) else { panic!("no turn") };
    assert_eq!((second.header().1.to_str().unwrap(), second.ticket()), ("Bearer T2", Some(1)));
    assert_eq!(second.into_lease().stamp().generation, 2);
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker");
    }
}

/// I17: a waker that panics keeps nobody else from being woken, with a place or without one.
#[test]
fn a_waker_that_panics_harms_nobody_else() {
    for placed in [false, true] {
        let world = World::signed_in();
        let session = world.session.clone();
        let stamp = world.runtime.block_on(session.lease()).unwrap().stamp();
        type Waiting = Pin<Box<dyn Future<Output = bool> + Send>>;
        let wait = |session: Session| -> Waiting {
            if placed {
                Box::pin(async move { session.recover(stamp).await.is_ok() })
            } else {
                Box::pin(async move { session.refresh(None).await.is_ok() })
            }
        };
        let mut bad = wait(session.clone());
        assert!(bad.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Panics)))).is_pending());
        let other = session.clone();
        let good = world.runtime.start(async move { other.refresh(None).await.is_ok() });
        world.settle();

        world.refresh_answers(numbered(1));

        assert_eq!(good.take(), Some(true), "placed: {placed}");
        assert!(bad.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        let again = world.runtime.start(async move { session.refresh(None).await.is_ok() });
        world.settle();
        world.refresh_answers(numbered(2));
        assert_eq!(again.take(), Some(true));
    }
}

/// Q2: also where nobody drives the session's runtime any more, a waiter that is polled is not held up for ever by one that
/// is not.
#[test]
fn an_unpolled_holder_on_an_undriven_runtime_is_passed_over() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let stamp = world.runtime.block_on(world.session.lease()).unwrap().stamp();
    let wait = || {
        let session = world.session.clone();
        Box::pin(async move { session.recover(stamp).await.is_ok() })
    };
    let (mut first, mut second) = (wait(), wait());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
    apart.drive();
    world.refresh_answers(numbered(1));
    apart.drive();
    std::mem::forget(first);

    assert!(second.as_mut().poll(&mut cx).is_pending());
    world.pass(Duration::from_millis(500));

    assert_eq!(second.as_mut().poll(&mut cx), Poll::Ready(true));
}

/// K16: a store's handle can be had while sessions come and go.
#[test]
fn a_shared_lock_is_free_when_nobody_refreshes() {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let other = store.clone();
    let world = World::on(store, handle, |session| session, |client| client);
    world.sign_in(numbered(0));
    let waiting = world.rejected("/");
    assert!(world.store.is_locked());

    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert!(world.runtime.block_on(other.lock()).unwrap().is_some());
}

/// I8: a flight whose time runs out before it has presented anything has lost no answer.
#[test]
fn what_was_never_presented_is_no_lost_answer() {
    let world = World::with(|session| session.refresh_timeout(Duration::from_secs(3)), |client| client);
    world.sign_in(numbered(0));
    world.store.hold(Op::Load);
    let waiting = world.rejected("/");

    world.pass(Duration::from_secs(3));

    let error = crate::world::error(&waiting);
    assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<RefreshError>().unwrap();
    assert!(source.is_unavailable() && !source.is_outcome_unknown());
    assert_eq!(world.refresher.calls(), 0);
}
