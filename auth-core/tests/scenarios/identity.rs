//! Sign-in, sign-out and identity: no request goes out as somebody else.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use auth_core::{
    Error, ErrorKind, Event, RefreshError, Refresher, Runtime as _, Session, SessionState, Tokens, Turn,
};
use auth_testkit::{ManualRuntime, Op, Running, ScriptedStore, StoreHandle, numbered};

use crate::world::{Answer, World, error, kind, status};

/// Where a refresh of A's T0 is when the identity changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It waits for the store's lock.
    Lock,
    /// It reads the store.
    Load,
    /// The refresher has been called.
    Refresher,
    /// The refresher has failed once, and is to be called again.
    Pause,
    /// The new pair is being saved.
    Save,
    /// The new pair is published, and the first in line holds up the others.
    Drain,
}

const STEPS: [Step; 6] = [Step::Lock, Step::Load, Step::Refresher, Step::Pause, Step::Save, Step::Drain];

/// How the refresher answers a call that nobody waits for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    Tokens,
    Unavailable,
    Rejected,
    Never,
}

/// A refresh that has come as far as a step, and those who wait for it.
struct Under {
    step: Step,
    world: World,
    waiting: Vec<Running<Answer>>,
    forced: Running<Result<auth_core::Lease, Error>>,
    /// The first in line. Only the test polls it.
    first: Pin<Box<dyn Future<Output = Result<Turn, Error>> + Send>>,
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

impl Under {
    /// A is signed in with T0 and R0; T0 was rejected, and its refresh has come as far as this step.
    fn way(step: Step) -> Self {
        let world = World::new();
        world.store.lockable();
        world.sign_in(numbered(0));
        let paths = ["/a", "/b", "/c"];
        let waiting: Vec<_> = paths.iter().map(|path| world.get(path)).collect();
        match step {
            Step::Lock => world.store.hold(Op::Lock),
            Step::Load => world.store.hold(Op::Load),
            Step::Save => world.store.hold(Op::Save),
            Step::Refresher | Step::Pause | Step::Drain => {}
        }
        let session = world.session.clone();
        let stamp = world.runtime.block_on(session.lease()).unwrap().stamp();
        let mut first: Pin<Box<dyn Future<Output = Result<Turn, Error>> + Send>> =
            Box::pin(async move { session.recover(stamp).await });
        assert!(poll(first.as_mut()).is_pending());
        for _ in paths {
            assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
        }
        let session = world.session.clone();
        let forced = world.runtime.start(async move { session.refresh(None).await });
        world.settle();
        match step {
            Step::Lock | Step::Load => assert_eq!(world.refresher.calls(), 0),
            Step::Refresher => {}
            Step::Pause => {
                let call = world.refresher.try_next().unwrap();
                call.fail(RefreshError::unavailable("503"));
                world.settle();
            }
            Step::Save | Step::Drain => world.refresh_answers(numbered(1)),
        }
        let under = Self { step, world, waiting, forced, first };
        assert!(under.waiting.iter().all(|request| !request.is_finished()), "{step:?}");
        let stored = if step == Step::Drain { "T1" } else { "T0" };
        assert_eq!(under.world.stored().as_deref(), Some(stored), "{step:?}");
        under
    }

    /// Those who wait have this error now: nothing was answered, and no time has passed.
    fn assert_waiters_have(&mut self, expected: ErrorKind) {
        let step = self.step;
        self.world.settle();
        for request in &self.waiting {
            let error = error(request);
            assert_eq!(error.kind(), expected, "{step:?}");
            assert_eq!(error.response().expect("its own 401").status, 401);
        }
        match poll(self.first.as_mut()) {
            Poll::Ready(Err(error)) => assert_eq!(error.kind(), expected, "{step:?}"),
            Poll::Ready(Ok(_)) => panic!("{step:?}: a turn under another identity"),
            Poll::Pending => panic!("{step:?}: the first in line hangs"),
        }
        // A refresh without a place had the new lease before the identity changed.
        let forced = self.forced.take().expect("it has ended");
        match step {
            Step::Drain => assert_eq!(forced.unwrap().header().1, "Bearer T1"),
            _ => assert_eq!(forced.unwrap_err().kind(), expected, "{step:?}"),
        }
    }

    /// What was under way ends, late, and more time passes than any deadline gives it.
    fn finish(&self, late: Late) {
        self.world.store.release_holds();
        self.world.settle();
        if let Some(call) = self.world.refresher.try_next() {
            match late {
                Late::Tokens => call.answer(numbered(1)),
                Late::Unavailable => call.fail(RefreshError::unavailable("503").outcome_unknown()),
                Late::Rejected => call.fail(RefreshError::rejected("invalid_grant")),
                Late::Never => drop(call),
            }
        }
        self.world.settle();
        self.world.pass(Duration::from_secs(120));
        assert_eq!(self.world.runtime.tasks(), 0, "{:?}: nothing is left under way", self.step);
    }

    /// How often the refresher was called before the identity changed; and it must not be called after that.
    fn calls(&self) -> usize {
        match self.step {
            Step::Lock | Step::Load => 0,
            Step::Refresher | Step::Pause | Step::Save | Step::Drain => 1,
        }
    }

    fn revoked(&self) -> Vec<String> {
        revoked(&self.world)
    }
}

fn revoked(world: &World) -> Vec<String> {
    let refresh_token = |tokens: &Tokens| tokens.refresh_token().unwrap().reveal().to_owned();
    world.refresher.revoked().iter().map(refresh_token).collect()
}

/// The changes of the store, in order: what was saved, or "cleared".
fn writes(store: &StoreHandle) -> Vec<String> {
    let write = |call: &auth_testkit::Logged| match call.op {
        Op::Save => call.tokens.clone(),
        Op::Clear => Some("cleared".to_owned()),
        _ => None,
    };
    store.log().iter().filter(|call| call.ok).filter_map(write).collect()
}

fn position(events: &[Event], of: impl Fn(&Event) -> bool) -> Option<usize> {
    events.iter().rposition(of)
}

/// H1: a sign-out at any step of a refresh: those who wait are told at once, nobody is signed in, and when the refresh comes
/// to its end nothing of it is used, saved or told; the store ends empty.
#[test]
fn a_sign_out_wins_at_every_step_of_a_refresh() {
    for step in STEPS {
        for late in [Late::Tokens, Late::Unavailable, Late::Rejected, Late::Never] {
            let mut under = Under::way(step);

            drop(under.world.session.sign_out());
            assert_eq!(under.world.session.state(), SessionState::SignedOut, "{step:?}");
            under.assert_waiters_have(ErrorKind::SignedOut);
            under.finish(late);

            let Under { world, .. } = &under;
            assert!(world.store.content().is_none(), "{step:?} {late:?}: the store is empty");
            assert_eq!(writes(&world.store).last().unwrap(), "cleared", "{step:?} {late:?}");
            assert!(!world.store.is_locked(), "{step:?} {late:?}");
            assert_eq!(world.session.state(), SessionState::SignedOut, "{step:?} {late:?}");
            assert_eq!(
                world.refresher.calls(),
                under.calls(),
                "{step:?} {late:?}: no call after the sign-out"
            );
            assert_eq!(world.bearers(), ["T0"; 3], "{step:?} {late:?}: nothing is replayed");
            let events = world.events();
            let out = position(&events, |event| matches!(event, Event::SignedOut { .. })).unwrap();
            let refreshed = position(&events, |event| matches!(event, Event::Refreshed { .. }));
            assert!(refreshed.is_none_or(|at| at < out), "{step:?} {late:?}");
            assert!(!events.iter().any(|event| matches!(event, Event::Ended(_))), "{step:?} {late:?}");
            assert_eq!(kind(&world.get("/later")), ErrorKind::SignedOut);
        }
    }
}

/// H1: between two calls of the refresher the sign-out takes the second one back: the refresh token of somebody who has
/// signed out is not presented any more.
#[test]
fn no_refresh_token_is_presented_after_the_sign_out() {
    let under = Under::way(Step::Pause);

    drop(under.world.session.sign_out());
    under.world.pass(Duration::from_secs(60));

    assert_eq!(under.world.refresher.presented(), ["R0"]);
    assert_eq!(under.revoked(), ["R0"]);
}

/// H1: the sign-out does not wait for the refresh of its own session: the store is cleared, under the lock that the refresh
/// has, while the refresher is still being called.
#[test]
fn a_sign_out_clears_under_its_own_refreshs_lock() {
    let under = Under::way(Step::Refresher);
    let world = &under.world;
    assert!(world.store.is_locked());

    let written = world.runtime.start(world.session.sign_out());
    world.settle();

    assert!(matches!(written.take(), Some(Ok(()))));
    let cleared = world.store.log().pop().unwrap();
    assert_eq!((cleared.op, cleared.guarded, cleared.ok), (Op::Clear, true, true));
    assert!(world.store.is_locked(), "the refresh is still under way");
    under.finish(Late::Tokens);
    assert_eq!(writes(&under.world.store), ["T0", "cleared"]);
    assert!(!under.world.store.is_locked());
}

/// H1: a sign-out while the store is read for the first time, or first tokens are acquired: those who wait are told at
/// once, and what comes late is not signed in with.
#[test]
fn a_sign_out_wins_over_the_first_load() {
    for acquiring in [false, true] {
        let world = World::new();
        world.refresher.script_acquire();
        if acquiring {
            world.refresher.set_refreshable(Some(true));
        } else {
            world.store.put_as_other_sign_in(numbered(0));
            world.store.hold(Op::Load);
        }
        let request = world.get("/");
        let acquire = world.refresher.try_next_acquire();
        assert_eq!(acquire.is_some(), acquiring);

        drop(world.session.sign_out());
        world.settle();
        assert_eq!(kind(&request), ErrorKind::SignedOut);
        world.store.release_holds();
        if let Some(acquire) = acquire {
            acquire.answer(Some(numbered(0)));
        }
        world.pass(Duration::from_secs(120));

        assert!(world.store.content().is_none());
        assert_eq!(world.session.state(), SessionState::SignedOut);
        assert_eq!(kind(&world.get("/")), ErrorKind::SignedOut);
        assert_eq!(world.api.calls(), 0);
        assert_eq!(revoked(&world), ["R0"]);
        assert_eq!(world.runtime.tasks(), 0);
    }
}

/// H1: nor are first tokens asked for any more, where the sign-out came between two calls.
#[test]
fn no_first_tokens_are_acquired_after_the_sign_out() {
    let world = World::new();
    world.refresher.script_acquire();
    let request = world.get("/");
    world.refresher.try_next_acquire().unwrap().fail(RefreshError::unavailable("503"));
    world.settle();

    drop(world.session.sign_out());
    world.settle();
    assert_eq!(kind(&request), ErrorKind::SignedOut);
    world.pass(Duration::from_secs(60));

    assert_eq!(world.refresher.acquires(), 1);
    assert_eq!(world.session.state(), SessionState::SignedOut);
}

/// H1: so are those who wait in the queue of an earlier refresh, which still drains while a later one has come to its end.
#[test]
fn a_sign_out_reaches_every_queue_that_drains() {
    let world = World::signed_in();
    let mut firsts = Vec::new();
    let mut waiting = Vec::new();
    for n in 1..=3 {
        let session = world.session.clone();
        let stamp = world.runtime.block_on(session.lease()).unwrap().stamp();
        let mut first = Box::pin(async move { session.recover(stamp).await });
        assert!(poll(first.as_mut()).is_pending());
        firsts.push(first);
        waiting.push(world.get(&format!("/{n}")));
        world.refresh_answers(numbered(n));
    }
    assert!(waiting.iter().all(|request| !request.is_finished()), "each behind one that is not polled");

    drop(world.session.sign_out());
    world.settle();

    assert!(waiting.iter().all(|request| kind(request) == ErrorKind::SignedOut));
    assert_eq!(world.api.calls(), 0);
}

/// H3: what a sign-out discards is a live session at the server, and is offered for revocation, once: the pair the refresh
/// brings, or, if it brings none, the pair that it had.
#[test]
fn what_a_sign_out_discards_is_offered_for_revocation() {
    let table: [(Step, Late, &[&str]); 8] = [
        (Step::Lock, Late::Tokens, &["R0"]),
        (Step::Load, Late::Tokens, &["R0"]),
        (Step::Refresher, Late::Tokens, &["R1"]),
        (Step::Refresher, Late::Unavailable, &["R0"]),
        (Step::Refresher, Late::Never, &["R0"]),
        (Step::Pause, Late::Unavailable, &["R0"]),
        (Step::Save, Late::Tokens, &["R1"]),
        (Step::Drain, Late::Tokens, &["R1"]),
    ];
    for (step, late, offered) in table {
        let under = Under::way(step);

        drop(under.world.session.sign_out());
        under.finish(late);
        drop(under.world.session.sign_out());
        under.world.settle();

        assert_eq!(under.revoked(), offered, "{step:?} {late:?}");
    }
}

/// H3: a pair that the server has just called dead is not offered to it.
#[test]
fn a_dead_pair_is_not_offered() {
    let under = Under::way(Step::Refresher);

    drop(under.world.session.sign_out());
    under.finish(Late::Rejected);

    assert_eq!(under.revoked(), Vec::<String>::new());
}

/// H3: a sign-out without a refresh under way offers the pair, a second one nothing, and neither does one after the end.
#[test]
fn a_sign_out_offers_the_pair_once() {
    let world = World::signed_in();
    for _ in 0..2 {
        world.runtime.block_on(world.session.sign_out()).unwrap();
    }
    assert_eq!(revoked(&world), ["R0"]);

    let ended = World::signed_in();
    let request = ended.rejected("/");
    ended.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    ended.settle();
    assert_eq!(kind(&request), ErrorKind::SessionEnded);
    ended.runtime.block_on(ended.session.sign_out()).unwrap();
    assert_eq!(revoked(&ended), Vec::<String>::new());
}

/// H3: a sign-out before anybody has asked who is signed in, in the first moment of a program, say: the store is read before
/// it is cleared, and the pair that was there is offered. Once, whether it is being read already, and whoever signs in next.
#[test]
fn a_sign_out_offers_a_pair_that_was_never_read() {
    for (reading, signs_in) in [(false, false), (true, false), (false, true), (true, true)] {
        let world = World::new();
        world.store.put_as_other_sign_in(numbered(0));
        if reading {
            world.store.hold(Op::Load);
        }
        let request = reading.then(|| world.get("/"));

        let out = world.runtime.start(world.session.sign_out());
        let signed_in = signs_in.then(|| world.runtime.start(world.session.sign_in(numbered(7))));
        world.store.release_holds();
        world.pass(Duration::from_secs(60));

        assert!(matches!(out.take(), Some(Ok(()))));
        assert!(signed_in.is_none_or(|signed_in| matches!(signed_in.take(), Some(Ok(())))));
        assert_eq!(world.stored(), signs_in.then(|| "T7".to_owned()));
        drop(request);
        world.runtime.block_on(world.session.sign_out()).unwrap();
        world.settle();
        let offered: &[&str] = if signs_in { &["R0", "R7"] } else { &["R0"] };
        assert_eq!(revoked(&world), offered, "{reading} {signs_in}");
    }
}

/// H3, G10b: first tokens that are being saved when somebody signs out are offered once, though the store may hold them by then.
#[test]
fn first_tokens_that_a_sign_out_discards_are_offered_once() {
    for saved in [false, true] {
        let world = World::new();
        world.refresher.script_acquire();
        world.store.hold(Op::Save);
        let request = world.get("/");
        world.refresher.try_next_acquire().unwrap().answer(Some(numbered(0)));
        world.settle();
        let save = world.store.try_next_held().unwrap();

        drop(world.session.sign_out());
        if saved {
            save.proceed();
        } else {
            save.fail(auth_core::StoreError::new("full"));
        }
        world.store.release_holds();
        world.pass(Duration::from_secs(120));

        assert_eq!(kind(&request), ErrorKind::SignedOut);
        assert!(world.store.content().is_none());
        assert_eq!(revoked(&world), ["R0"], "{saved}");
    }
}

/// H3, H9: where it cannot be read it is cleared all the same, in bounded time; and one of the two tries may succeed.
#[test]
fn a_pair_that_cannot_be_read_is_cleared_all_the_same() {
    let world = World::new();
    world.store.put_as_other_sign_in(numbered(0));
    world.store.fail_always(Op::Load, true);
    world.runtime.block_on(world.session.sign_out()).unwrap();
    assert!(world.store.content().is_none() && revoked(&world).is_empty());
    world.store.fail_always(Op::Load, false);
    world.store.put_as_other_sign_in(numbered(3));
    world.sign_in(numbered(7));
    world.settle();
    assert_eq!(
        revoked(&world),
        Vec::<String>::new(),
        "that is over: what another process has put there since is not offered"
    );

    let world = World::new();
    world.store.put_as_other_sign_in(numbered(0));
    world.store.hold(Op::Load);
    let out = world.runtime.start(world.session.sign_out());
    world.pass(Duration::from_secs(5));
    assert!(matches!(out.take(), Some(Ok(()))));
    assert!(world.store.content().is_none());

    for unread in [0, 1] {
        let world = World::new();
        world.store.put_as_other_sign_in(numbered(0));
        world.store.fail_next(Op::Load, unread);
        world.store.fail_next(Op::Clear, 1);
        world.runtime.block_on(world.session.sign_out()).unwrap();
        assert!(world.store.content().is_none());
        world.settle();
        assert_eq!(revoked(&world), ["R0"], "{unread}");
    }
}

/// H3: with a sign-in as somebody else, the rotated pair that A's refresh brings is nobody's, too, whether it came after the
/// sign-in or was just being saved; it is offered once. B's own pair never is.
#[test]
fn a_rotated_pair_that_a_sign_in_discards_is_offered() {
    for step in [Step::Refresher, Step::Save] {
        let under = Under::way(step);

        drop(under.world.session.sign_in(numbered(100)));
        under.finish(Late::Tokens);

        assert_eq!(under.revoked(), ["R1"], "{step:?}");
    }
}

/// H3, K7b: so is one whose save finds that another process has signed somebody in meanwhile.
#[test]
fn a_rotated_pair_that_another_processs_sign_in_discards_is_offered() {
    let under = Under::way(Step::Save);
    let world = &under.world;

    world.store.lose_lock();
    world.store.put_as_other_sign_in(numbered(100));
    world.store.release_holds();
    world.settle();

    assert!(under.waiting.iter().all(|request| kind(request) == ErrorKind::SessionChanged));
    assert_eq!(world.stored().as_deref(), Some("T100"));
    assert_eq!(world.bearers(), ["T0"; 3]);
    under.finish(Late::Never);
    assert_eq!(under.revoked(), ["R1"]);
}

/// H3: one whose access token the new sign-in carries is not: to revoke it would end that sign-in's.
#[test]
fn a_discarded_pair_whose_access_token_is_in_use_is_not_offered() {
    let under = Under::way(Step::Refresher);

    let same = Tokens::new("T1").unwrap().with_refresh_token("R100");
    drop(under.world.session.sign_in(same));
    under.finish(Late::Tokens);

    assert_eq!(under.revoked(), Vec::<String>::new());
}

/// H4: a sign-in as B at any step of A's refresh: A's waiters are told at once, and B's tokens, in memory and in the store,
/// stay as they are, whatever A's refresh brings.
#[test]
fn a_sign_in_wins_at_every_step_of_anothers_refresh() {
    for step in STEPS {
        for late in [Late::Tokens, Late::Unavailable, Late::Rejected, Late::Never] {
            let mut under = Under::way(step);

            drop(under.world.session.sign_in(numbered(100)));
            assert_eq!(under.world.session.state(), SessionState::Active, "{step:?}");
            under.assert_waiters_have(ErrorKind::SessionChanged);
            let meanwhile = under.world.get("/meanwhile");
            assert_eq!(under.world.api_answers(200).as_deref(), Some("T100"), "{step:?}");
            assert_eq!(status(&meanwhile), 200);
            under.finish(late);

            let Under { world, .. } = &under;
            assert_eq!(world.stored().as_deref(), Some("T100"), "{step:?} {late:?}");
            assert_eq!(writes(&world.store).last().unwrap(), "T100", "{step:?} {late:?}");
            assert!(!world.store.is_locked(), "{step:?} {late:?}");
            assert_eq!(world.session.state(), SessionState::Active, "{step:?} {late:?}");
            assert_eq!(world.refresher.calls(), under.calls(), "{step:?} {late:?}: no call for A any more");
            assert!(!world.events().iter().any(|event| matches!(event, Event::Ended(_))));

            let request = world.rejected("/refreshed");
            let call = world.refresher.try_next().unwrap();
            assert_eq!(call.presented().refresh_token().unwrap().reveal(), "R100", "{step:?} {late:?}");
            call.answer(numbered(101));
            world.settle();
            assert_eq!(world.api_answers(200).as_deref(), Some("T101"));
            assert_eq!(status(&request), 200);
            assert_eq!(world.bearers(), ["T0", "T0", "T0", "T100", "T100", "T101"], "{step:?} {late:?}");
        }
    }
}

/// H4: B's own refresh, while A's hangs on: each gets what is its own, and A's late answer does not disturb it.
#[test]
fn an_orphaned_refresh_does_not_disturb_the_next_identitys() {
    let world = World::signed_in();
    let _a = world.rejected("/a");
    let orphan = world.refresher.try_next().unwrap();
    world.sign_in(numbered(100));
    let b = world.rejected("/b");
    let flight = world.refresher.try_next().unwrap();
    assert_eq!(flight.presented().refresh_token().unwrap().reveal(), "R100");

    orphan.answer(numbered(1));
    world.settle();
    assert!(!b.is_finished());
    assert_eq!(world.session.state(), SessionState::Refreshing);
    assert_eq!(world.stored().as_deref(), Some("T100"));
    flight.answer(numbered(101));
    world.settle();

    assert_eq!(world.api_answers(200).as_deref(), Some("T101"));
    assert_eq!(status(&b), 200);
    assert_eq!(writes(&world.store), ["T0", "T100", "T101"]);
    assert_eq!(revoked(&world), ["R1"]);
}

/// H5: a request that was sent as A and rejected after B signed in is never sent as B, nor does it refresh anything; after
/// a sign-out it is signed out.
#[test]
fn a_401_of_another_identity_is_not_replayed() {
    let world = World::signed_in();
    let requests = [world.get("/one"), world.get("/two")];
    let (one, two) = (world.next_call(), world.next_call());

    world.sign_in(numbered(100));
    one.respond(401);
    world.settle();
    let changed = error(&requests[0]);
    world.runtime.block_on(world.session.sign_out()).unwrap();
    two.respond(401);
    world.settle();
    let out = error(&requests[1]);

    assert_eq!(changed.kind(), ErrorKind::SessionChanged);
    assert_eq!(changed.response().expect("the 401").status, 401);
    assert_eq!(out.kind(), ErrorKind::SignedOut);
    assert_eq!(out.response().expect("the 401").status, 401);
    assert_eq!(world.bearers(), ["T0", "T0"]);
    assert_eq!(world.refresher.calls(), 0);
}

/// H5: it is the sign-in that counts, not the token's text, and not who it is: the same tokens signed in again are another
/// identity for what was sent before.
#[test]
fn the_same_tokens_signed_in_again_are_another_identity() {
    let world = World::signed_in();
    let request = world.get("/");
    let before = world.store.content().unwrap().sign_in_id();

    world.sign_in(numbered(0));
    world.api_answers(401);

    assert_eq!(kind(&request), ErrorKind::SessionChanged);
    assert_eq!(world.refresher.calls(), 0);
    assert_ne!(world.store.content().unwrap().sign_in_id(), before);
}

/// H6: all who queue as A fail when B signs in, none is sent as B; and so do those who wait for an expired token, for whom
/// nothing was ever sent.
#[test]
fn nobody_who_queued_as_a_is_sent_as_b() {
    let world = World::new();
    let now = world.runtime.now();
    world.sign_in(numbered(0).with_expires_in(Duration::from_secs(60), now));
    let rejected: Vec<_> = (0..5).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in 0..5 {
        world.api_answers(401);
    }
    world.pass(Duration::from_secs(10));
    let unsent: Vec<_> = (5..10).map(|n| world.get(&format!("/{n}"))).collect();
    assert!(rejected.iter().chain(&unsent).all(|request| !request.is_finished()));

    drop(world.session.sign_in(numbered(100)));
    world.settle();

    assert!(rejected.iter().chain(&unsent).all(|request| kind(request) == ErrorKind::SessionChanged));
    world.refresh_answers(numbered(1));
    world.pass(Duration::from_secs(60));
    assert_eq!(world.bearers(), ["T0"; 5]);
    assert_eq!(world.stored().as_deref(), Some("T100"));
}

/// H6: also where the queue was already being let go, and where B is a sign-in that another process made.
#[test]
fn nobody_who_queued_as_a_is_sent_as_another_processs_b() {
    let world = World::signed_in();
    let waiting: Vec<_> = (0..3).map(|n| world.get(&format!("/{n}"))).collect();
    world.store.put_as_other_sign_in(numbered(100));
    for _ in 0..3 {
        world.api_answers(401);
    }

    assert!(waiting.iter().all(|request| kind(request) == ErrorKind::SessionChanged));
    assert_eq!(world.bearers(), ["T0"; 3]);
    assert_eq!(world.refresher.calls(), 0);
    let later = world.get("/later");
    assert_eq!(world.api_answers(200).as_deref(), Some("T100"));
    assert_eq!(status(&later), 200);
}

/// H9: a store that fails to clear, panics, or hangs, keeps nobody signed in: the sign-out is in force at once, in
/// memory, and what is awaited says in bounded time that the store still holds something.
#[test]
fn a_sign_out_is_in_force_whatever_the_store_does() {
    type Breaks = fn(&StoreHandle);
    let table: [(&str, Breaks, Duration); 3] = [
        ("fails", |store| store.fail_always(Op::Clear, true), Duration::ZERO),
        ("panics", |store| (0..2).for_each(|_| store.panic_next(Op::Clear)), Duration::ZERO),
        ("hangs", |store| store.hold(Op::Clear), Duration::from_secs(10)),
    ];
    for (name, breaks, bound) in table {
        for lockable in [false, true] {
            let world = World::new();
            if lockable {
                world.store.lockable();
            }
            world.sign_in(numbered(0));
            breaks(&world.store);
            let before = world.runtime.elapsed();

            let written = world.session.sign_out();
            assert_eq!(world.session.state(), SessionState::SignedOut, "{name}");
            assert_eq!(kind(&world.get("/")), ErrorKind::SignedOut, "{name}");
            let error = world.runtime.block_on(written).expect_err(name);

            assert_eq!(error.kind(), ErrorKind::Store, "{name}");
            assert!(world.runtime.elapsed() - before <= bound, "{name}: in bounded time");
            assert_eq!(world.session.state(), SessionState::SignedOut, "{name}");
            assert_eq!(world.api.calls(), 0, "{name}");
            assert_eq!(revoked(&world), ["R0"], "{name}");
            assert!(world.events().iter().any(|event| matches!(event, Event::SaveFailed { .. })), "{name}");
            assert_eq!(world.runtime.tasks(), 0, "{name}");
            assert!(!world.store.is_locked(), "{name}");
        }
    }
}

/// H9: a store that fails once is cleared by the second try.
#[test]
fn a_clear_that_fails_once_is_made_again() {
    let world = World::signed_in();
    world.store.fail_next(Op::Clear, 1);

    world.runtime.block_on(world.session.sign_out()).unwrap();

    assert!(world.store.content().is_none());
}

/// H9: a lock that another process never gives back does not keep the tokens in the store: after the wait for it they are
/// cleared without it, and that is told.
#[test]
fn a_sign_out_does_not_wait_for_ever_for_the_stores_lock() {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let world = World::on(store.clone(), handle, |session| session, |client| client);
    world.sign_in(numbered(0));
    let foreign = world.runtime.block_on(auth_core::TokenStore::lock(&store)).unwrap();
    let before = world.runtime.elapsed();

    let written = world.session.sign_out();
    assert_eq!(world.session.state(), SessionState::SignedOut);
    world.runtime.block_on(written).unwrap();

    assert_eq!(world.runtime.elapsed() - before, Duration::from_secs(10));
    assert!(world.store.content().is_none());
    assert!(world.events().iter().any(|event| matches!(event, Event::WrittenUnlocked)));
    drop(foreign);
}

/// H9: what hangs elsewhere (a token endpoint that revokes, a refresh under way) does not delay a sign-out.
#[test]
fn a_sign_out_does_not_wait_for_the_token_endpoint() {
    #[derive(Default)]
    struct Hanging(Arc<AtomicUsize>);

    #[async_trait]
    impl Refresher for Hanging {
        async fn refresh(&self, _: &Tokens) -> Result<Tokens, RefreshError> {
            std::future::pending().await
        }
        async fn revoke(&self, _: &Tokens) {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    }

    let runtime = ManualRuntime::new();
    let (store, handle) = ScriptedStore::new();
    let refresher = Hanging::default();
    let offered = Arc::clone(&refresher.0);
    let session = Session::builder(refresher).store(store).runtime(runtime.clone()).build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    let before = runtime.elapsed();

    runtime.block_on(session.sign_out()).unwrap();
    assert_eq!(session.state(), SessionState::SignedOut);
    runtime.block_on(session.sign_in(numbered(1))).unwrap();
    let waiting = session.clone();
    let waiting = runtime.start(async move { waiting.refresh(None).await });
    runtime.run_until_stalled();
    runtime.block_on(session.sign_out()).unwrap();
    assert_eq!(session.state(), SessionState::SignedOut);

    assert_eq!(runtime.elapsed(), before, "nothing was waited for");
    assert_eq!(waiting.take().unwrap().unwrap_err().kind(), ErrorKind::SignedOut);
    assert!(handle.content().is_none());
    runtime.advance(Duration::from_secs(60));
    assert_eq!(offered.load(Ordering::SeqCst), 2);
    assert_eq!(runtime.tasks(), 0, "a revocation that hangs is given up");
}

/// H9: a store that could not be cleared does not sign anybody in again, and is not read for that by the next request; the
/// next sign-in overwrites it.
#[test]
fn a_store_that_was_not_cleared_does_not_resurrect_the_session() {
    let world = World::signed_in();
    world.store.fail_always(Op::Clear, true);
    drop(world.runtime.block_on(world.session.sign_out()).unwrap_err());
    world.store.fail_always(Op::Clear, false);
    assert_eq!(world.stored().as_deref(), Some("T0"));
    let loads = world.store.ops().iter().filter(|op| **op == Op::Load).count();

    assert_eq!(kind(&world.get("/")), ErrorKind::SignedOut);
    assert_eq!(world.store.ops().iter().filter(|op| **op == Op::Load).count(), loads);
    world.sign_in(numbered(100));
    let request = world.get("/");

    assert_eq!(world.api_answers(200).as_deref(), Some("T100"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.stored().as_deref(), Some("T100"));
}
