//! Counters: each grows exactly when its sentence says so, and all agree with what the events tell.

mod told;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use auth_core::{
    Body, Counters, EndReason, Error, ErrorKind, Event, Lease, NoReplay, PersistFailure, RefreshError,
    Runtime as _, SessionBuilder, Tokens,
};
use auth_testkit::{Op, Running, numbered, response};
use futures::FutureExt as _;
use http::Request;

use crate::world::{World, error, kind, status};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Every counter under its name.
fn named(counters: &Counters) -> [(&'static str, u64); 15] {
    [
        ("refreshed", counters.refreshed),
        ("adopted", counters.adopted),
        ("failed", counters.failed),
        ("refused", counters.refused),
        ("overtaken", counters.overtaken),
        ("joined", counters.joined),
        ("late", counters.late),
        ("replayed", counters.replayed),
        ("excessive", counters.excessive),
        ("cooled", counters.cooled),
        ("queue_full", counters.queue_full),
        ("reentrant", counters.reentrant),
        ("opened", counters.opened),
        ("ended", counters.ended),
        ("save_failed", counters.save_failed),
    ]
}

/// A world, and its counters when they were last looked at.
struct Counted {
    world: World,
    before: Counters,
}

impl std::ops::Deref for Counted {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Counted {
    fn new(build: impl FnOnce(SessionBuilder) -> SessionBuilder) -> Self {
        Self { world: World::with(build, |client| client), before: Counters::default() }
    }

    /// Signed in with T0, for a thousand seconds.
    fn signed_in(build: impl FnOnce(SessionBuilder) -> SessionBuilder) -> Self {
        let counted = Self::new(build);
        counted.sign_in(counted.lasting(0));
        counted
    }

    fn lasting(&self, n: u64) -> Tokens {
        numbered(n).with_expires_in(s(1_000), self.runtime.now())
    }

    /// These have grown by so much since the last look, and no other; and the events tell the same.
    #[track_caller]
    fn grew(&mut self, expected: &[(&str, u64)]) {
        self.settle();
        let now = self.session.counters();
        let growth: Vec<_> = named(&now)
            .into_iter()
            .zip(named(&self.before))
            .map(|((name, now), (_, before))| (name, now - before))
            .filter(|(_, by)| *by > 0)
            .collect();
        assert_eq!(growth, expected);
        self.before = now;
        agrees(&self.world);
    }

    fn fails(&self, error: RefreshError) {
        self.refresher.try_next().expect("a refresh is under way").fail(error);
        self.settle();
    }

    fn forced(&self) -> Running<Result<Lease, Error>> {
        let session = self.session.clone();
        let running = self.runtime.start(async move { session.refresh(None).await });
        self.settle();
        running
    }

    /// A flight that fails, and leaves a cooldown.
    fn cools(&self) {
        let forced = self.forced();
        self.fails(RefreshError::misconfigured("down"));
        assert!(forced.take().unwrap().is_err());
    }

    fn stamp(&self) -> auth_core::Stamp {
        self.session.lease().now_or_never().unwrap().unwrap().stamp()
    }
}

/// What the events say must be what was counted.
#[track_caller]
fn agrees(world: &World) {
    let (mut told, mut started) = (Counters::default(), 0);
    for event in world.events() {
        match event {
            Event::RefreshStarted { .. } => started += 1,
            Event::Refreshed { adopted: false, .. } => told.refreshed += 1,
            Event::Refreshed { adopted: true, .. } => told.adopted += 1,
            Event::RefreshFailed { error, .. } => match (error.kind(), error.end_reason()) {
                (ErrorKind::SessionChanged | ErrorKind::SignedOut, _) => told.overtaken += 1,
                (ErrorKind::SessionEnded, Some(EndReason::EndedElsewhere)) => told.overtaken += 1,
                (ErrorKind::SessionEnded, _) => told.refused += 1,
                _ => told.failed += 1,
            },
            Event::Replayed { .. } => told.replayed += 1,
            Event::QueueOpened { .. } => told.opened += 1,
            Event::Ended(_) => told.ended += 1,
            Event::SaveFailed { .. } => told.save_failed += 1,
            _ => {}
        }
    }
    let counted = world.session.counters();
    // These have no event of their own.
    let Counters { joined, late, excessive, cooled, queue_full, reentrant, .. } = counted;
    let mut expected = counted;
    (expected.joined, expected.late, expected.excessive) = (0, 0, 0);
    (expected.cooled, expected.queue_full, expected.reentrant) = (0, 0, 0);
    assert_eq!(told, expected, "beside {joined} {late} {excessive} {cooled} {queue_full} {reentrant}");
    let landed = told.refreshed + told.adopted + told.failed + told.refused + told.overtaken;
    assert!(landed <= started && started <= landed + 1, "{started} started, {landed} landed");
    let metrics: u64 = counted.metrics().map(|metric| metric.value).sum();
    assert_eq!(metrics, named(&counted).iter().map(|(_, value)| value).sum::<u64>());
}

/// O6: A new session, a sign-in, and requests that go well count nothing.
#[test]
fn what_goes_well_counts_nothing() {
    let mut counted = Counted::signed_in(|session| session);
    for _ in 0..3 {
        let request = counted.get("/");
        counted.api_answers(200);
        assert_eq!(status(&request), 200);
    }
    drop(counted.session.access_token(s(10)).now_or_never().unwrap().unwrap());
    counted.runtime.block_on(counted.session.sign_out()).unwrap();
    counted.sign_in(numbered(1));

    counted.grew(&[]);
}

/// O6: Refreshed: a flight that brought new tokens, whoever wanted it. Joined: everybody after the first. Replayed: each
/// that was sent again.
#[test]
fn refreshed_joined_and_replayed() {
    let mut counted = Counted::signed_in(|session| session);
    let requests: Vec<_> = (0..3).map(|n| counted.get(&format!("/{n}"))).collect();
    for _ in &requests {
        counted.api_answers(401);
    }
    counted.grew(&[("joined", 2)]);
    counted.refresh_answers(counted.lasting(1));
    for _ in &requests {
        counted.api_answers(200);
    }
    assert!(requests.iter().all(|request| status(request) == 200));
    counted.grew(&[("refreshed", 1), ("replayed", 3)]);

    let forced = [counted.forced(), counted.forced()];
    counted.session.reject(counted.stamp()).unwrap();
    counted.grew(&[("joined", 2)]);
    let new = counted.get("/new");
    counted.refresh_answers(counted.lasting(2));
    assert!(forced.iter().all(|forced| forced.take().unwrap().is_ok()));
    counted.api_answers(200);
    assert_eq!(status(&new), 200);
    counted.grew(&[("refreshed", 1), ("joined", 1)]);

    counted.pass(s(830));
    let soft = [counted.get("/soft"), counted.get("/soft")];
    counted.refresh_answers(counted.lasting(3));
    drop(soft);
    counted.grew(&[("refreshed", 1)]);
    counted.pass(s(20));
    let waiting = counted.session.clone();
    let waiting = counted.runtime.start(async move { waiting.access_token(s(990)).await.map(|_| ()) });
    counted.settle();
    counted.refresh_answers(counted.lasting(4));
    drop(waiting.take());
    counted.grew(&[("refreshed", 1)]);
}

/// O6: A send with a nonce that the server asked for is not a replay, before one or after one.
#[test]
fn a_send_with_a_nonce_is_not_replayed() {
    #[derive(Clone)]
    struct Proves;
    impl auth_core::Scheme for Proves {
        fn prepare(
            &self,
            tokens: &Tokens,
        ) -> Result<(http::HeaderName, http::HeaderValue), auth_core::InvalidToken> {
            auth_core::Bearer.prepare(tokens)
        }

        fn observe(&self, _: &http::Uri, head: &http::response::Parts) -> auth_core::Observed {
            match head.headers.get("dpop-nonce") {
                Some(_) => auth_core::Observed::NewProof,
                None => auth_core::Observed::Nothing,
            }
        }
    }
    let wants_nonce = || {
        let mut wants = response(401);
        wants.headers_mut().insert("www-authenticate", "DPoP error=\"use_dpop_nonce\"".parse().unwrap());
        wants.headers_mut().insert("dpop-nonce", "n".parse().unwrap());
        wants
    };
    for nonce_first in [true, false] {
        let mut counted = Counted::signed_in(|session| session.scheme(Proves));
        let request = counted.get("/");
        for nonce in [nonce_first, !nonce_first] {
            counted.next_call().answer(if nonce { wants_nonce() } else { response(401) });
            counted.settle();
            if !nonce {
                counted.refresh_answers(counted.lasting(1));
            }
        }
        counted.api_answers(200);

        assert_eq!((status(&request), counted.api.calls()), (200, 3));
        counted.grew(&[("refreshed", 1), ("replayed", 1)]);
    }
}

/// O6: Adopted: another process had made the refresh.
#[test]
fn adopted() {
    let mut counted = Counted::signed_in(|session| session);
    counted.store.put_rotated(counted.lasting(5));

    let rejected = counted.get("/");
    counted.api_answers(401);
    counted.api_answers(200);

    assert_eq!((status(&rejected), counted.refresher.calls()), (200, 0));
    counted.grew(&[("adopted", 1), ("replayed", 1)]);
}

/// O6: Failed: the flight, once, however many calls it made and however many waited; and whatever made it fail.
#[test]
fn failed() {
    let mut counted = Counted::signed_in(|session| session);
    let requests = [counted.rejected("/a"), counted.get("/b")];
    for pause in [250, 1_000, 0] {
        counted.fails(RefreshError::unavailable("503"));
        counted.pass(Duration::from_millis(pause));
    }
    assert!(requests.iter().all(|request| kind(request) == ErrorKind::RefreshUnavailable));
    counted.grew(&[("failed", 1), ("joined", 1)]);

    let forced = counted.forced();
    counted.refresh_answers(counted.lasting(1).with_token_type("mac"));
    assert_eq!(forced.take().unwrap().unwrap_err().kind(), ErrorKind::InvalidToken);
    counted.grew(&[("failed", 1)]);

    let forced = counted.forced();
    drop(counted.refresher.try_next());
    counted.pass(s(31));
    drop((counted.refresher.try_next(), forced.take().unwrap().unwrap_err()));
    counted.grew(&[("failed", 1)]);

    let forced = counted.forced();
    counted.runtime.shutdown();
    assert!(forced.take().is_none());
    counted.settle();
    assert!(forced.take().unwrap().is_err());
    let grown = counted.session.counters();
    assert_eq!((grown.failed, grown.refused, grown.overtaken), (4, 0, 0));
}

/// O6: Save failed: a write, once for its tries, of a sign-in as of a flight; where it has to succeed, the flight failed
/// too.
#[test]
fn save_failed() {
    let mut counted = Counted::new(|session| session);
    counted.store.fail_next(Op::Save, 1);
    counted.sign_in(counted.lasting(0));
    counted.grew(&[]);
    counted.store.fail_next(Op::Save, 2);
    assert!(counted.runtime.block_on(counted.session.sign_in(counted.lasting(0))).is_err());
    counted.grew(&[("save_failed", 1)]);

    let mut counted = Counted::signed_in(|session| session);
    counted.store.fail_always(Op::Save, true);
    let forced = counted.forced();
    counted.refresh_answers(counted.lasting(1));
    assert!(forced.take().unwrap().is_ok());
    counted.grew(&[("refreshed", 1), ("save_failed", 1)]);

    let mut counted = Counted::signed_in(|session| session.persist_failure(PersistFailure::Fail));
    counted.store.fail_always(Op::Save, true);
    let forced = counted.forced();
    counted.refresh_answers(counted.lasting(1));
    assert_eq!(forced.take().unwrap().unwrap_err().kind(), ErrorKind::Store);
    counted.grew(&[("failed", 1), ("save_failed", 1)]);
}

/// O6: Refused: the refresh token is dead, whether the session drains or ends at once. Ended: the session, once, when it
/// does.
#[test]
fn refused_and_ended() {
    let mut counted = Counted::signed_in(|session| session);
    let forced = counted.forced();
    counted.fails(RefreshError::rejected("invalid_grant"));
    assert!(forced.take().unwrap().is_err());
    counted.grew(&[("refused", 1)]);
    let (one, two) = (counted.get("/"), counted.get("/"));
    counted.api_answers(401);
    counted.api_answers(401);
    assert!([one, two].iter().all(|request| kind(request) == ErrorKind::SessionEnded));
    counted.grew(&[("ended", 1)]);
    assert_eq!(kind(&counted.get("/")), ErrorKind::SessionEnded);
    counted.grew(&[]);

    counted.sign_in(counted.lasting(5));
    let requests = [counted.rejected("/a"), counted.get("/b")];
    counted.fails(RefreshError::rejected("invalid_grant"));
    assert!(requests.iter().all(|request| kind(request) == ErrorKind::SessionEnded));
    counted.grew(&[("refused", 1), ("joined", 1), ("ended", 1)]);

    counted.sign_in(Tokens::new("T9").unwrap().with_expires_in(s(100), counted.runtime.now()));
    counted.pass(s(100));
    assert_eq!(kind(&counted.get("/")), ErrorKind::SessionEnded);
    counted.grew(&[("ended", 1)]);
}

/// O6: Overtaken: a flight that a sign-in, a sign-out or another process has made pointless.
#[test]
fn overtaken() {
    let mut counted = Counted::signed_in(|session| session);
    let rejected = counted.rejected("/");
    counted.sign_in(counted.lasting(5));
    assert_eq!(kind(&rejected), ErrorKind::SessionChanged);
    counted.grew(&[("overtaken", 1)]);
    counted.refresh_answers(counted.lasting(1));
    counted.grew(&[]);

    let rejected = counted.rejected("/");
    counted.runtime.block_on(counted.session.sign_out()).unwrap();
    assert_eq!(kind(&rejected), ErrorKind::SignedOut);
    counted.grew(&[("overtaken", 1)]);
    counted.fails(RefreshError::rejected("invalid_grant"));
    counted.grew(&[]);

    counted.sign_in(counted.lasting(10));
    counted.store.put_as_other_sign_in(counted.lasting(20));
    let rejected = counted.get("/");
    counted.api_answers(401);
    assert_eq!(kind(&rejected), ErrorKind::SessionChanged);
    counted.grew(&[("overtaken", 1)]);

    counted.store.put(None);
    let rejected = counted.get("/");
    counted.api_answers(401);
    assert_eq!(error(&rejected).end_reason(), Some(EndReason::EndedElsewhere));
    counted.grew(&[("overtaken", 1), ("ended", 1)]);
}

/// O6: Late: the rejection of a token that has been replaced by then, whether its request is replayed or not. A forced
/// refresh with an old stamp rejects nothing.
#[test]
fn late() {
    let mut counted = Counted::signed_in(|session| session);
    let old = counted.stamp();
    let (first, late) = (counted.get("/first"), counted.get("/late"));
    let asked = counted.send(Request::get("/asked").extension(NoReplay).body(Body::empty()).unwrap());
    counted.api_answers(401);
    let (late_call, asked_call) = (counted.next_call(), counted.next_call());
    counted.refresh_answers(counted.lasting(1));
    counted.api_answers(200);
    assert_eq!(status(&first), 200);
    counted.grew(&[("refreshed", 1), ("replayed", 1)]);

    late_call.respond(401);
    counted.settle();
    counted.api_answers(200);
    assert_eq!(status(&late), 200);
    counted.grew(&[("late", 1), ("replayed", 1)]);
    asked_call.respond(401);
    counted.settle();
    assert_eq!(status(&asked), 401);
    counted.grew(&[("late", 1)]);
    drop(counted.session.refresh(Some(old)).now_or_never().unwrap().unwrap());
    counted.grew(&[]);
}

/// O6: Excessive: a rejection that the full window refuses, whether its request is told or has its 401 back.
#[test]
fn excessive() {
    let mut counted = Counted::signed_in(|session| session.max_rejections(Some(0)));

    let refused = counted.get("/");
    counted.api_answers(401);
    assert_eq!(kind(&refused), ErrorKind::ExcessiveRefresh);
    counted.grew(&[("excessive", 1)]);
    let asked = counted.send(Request::get("/asked").extension(NoReplay).body(Body::empty()).unwrap());
    counted.api_answers(401);

    assert_eq!(status(&asked), 401);
    counted.grew(&[("excessive", 1)]);
}

/// O6: Cooled: what failed without a token request because a flight had failed just before: a rejection, a request whose
/// token has expired, and one for which the first tokens could not be had. What goes out with a valid token has not failed.
#[test]
fn cooled() {
    let mut counted = Counted::signed_in(|session| session);
    counted.cools();
    counted.grew(&[("failed", 1)]);
    let valid = counted.get("/");
    counted.api_answers(200);
    assert_eq!(status(&valid), 200);
    counted.grew(&[]);
    let rejected = counted.get("/");
    counted.api_answers(401);
    assert_eq!(kind(&rejected), ErrorKind::Misconfigured);
    assert!(counted.session.reject(counted.stamp()).is_err());
    counted.grew(&[("cooled", 2)]);

    counted.sign_in(counted.lasting(0));
    counted.pass(s(994));
    counted.cools();
    counted.grew(&[("failed", 1)]);
    assert!(counted.session.access_token(s(100)).now_or_never().unwrap().is_ok());
    counted.grew(&[]);
    counted.pass(s(1));
    counted.cools();
    counted.grew(&[("failed", 1)]);
    assert_eq!(kind(&counted.get("/")), ErrorKind::Misconfigured);
    assert!(counted.session.access_token(s(100)).now_or_never().unwrap().is_err());
    counted.grew(&[("cooled", 2)]);

    let mut counted = Counted::new(|session| session);
    counted.refresher.script_acquire();
    let first = counted.get("/");
    counted.refresher.try_next_acquire().unwrap().fail(RefreshError::misconfigured("invalid_client"));
    counted.settle();
    assert_eq!(kind(&first), ErrorKind::Misconfigured);
    counted.grew(&[]);
    assert_eq!(kind(&counted.get("/")), ErrorKind::Misconfigured);
    counted.grew(&[("cooled", 1)]);
}

/// O6: Queue full: who was refused a place. That is not joining.
#[test]
fn queue_full() {
    let mut counted = Counted::signed_in(|session| session.max_waiters(1));
    let rejected = counted.rejected("/");
    counted.grew(&[]);

    let refused = [counted.get("/a"), counted.get("/b")];
    assert!(refused.iter().all(|request| kind(request) == ErrorKind::QueueFull));
    counted.grew(&[("queue_full", 2)]);
    let forced = counted.forced();
    counted.grew(&[("joined", 1)]);
    counted.refresh_answers(counted.lasting(1));
    counted.api_answers(200);

    assert_eq!(status(&rejected), 200);
    assert!(forced.take().unwrap().is_ok());
    counted.grew(&[("refreshed", 1), ("replayed", 1)]);
}

/// O6: Reentrant: a call that would have waited for itself.
#[test]
fn reentrant() {
    let own: Arc<OnceLock<auth_core::Session>> = Arc::default();
    let inner = Arc::clone(&own);
    let refresher = auth_core::refresher_fn(move |_| {
        let session = inner.get().unwrap().clone();
        async move {
            let error = session.refresh(None).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Reentrant);
            assert_eq!(
                session.recover(session.lease().await.unwrap().stamp()).await.unwrap_err().kind(),
                error.kind()
            );
            Ok(numbered(1))
        }
    });
    let runtime = auth_testkit::ManualRuntime::new();
    let session = auth_core::Session::builder(refresher).runtime(runtime.clone()).build();
    own.set(session.clone()).unwrap();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();

    runtime.block_on(session.refresh(None)).unwrap();

    let counters = session.counters();
    assert_eq!((counters.reentrant, counters.refreshed, counters.failed), (2, 1, 0));
}

/// O6: Opened: a queue that no longer waits for a request that nobody polls, whether the timer finds that or another
/// waiter; once.
#[test]
fn opened() {
    let mut counted = Counted::signed_in(|session| session);
    let stuck = counted.session.clone();
    let mut stuck = Box::pin(async move { stuck.recover(stuck.lease().await.unwrap().stamp()).await });
    assert!(stuck.as_mut().now_or_never().is_none());
    counted.settle();
    let waiting = [counted.get("/a"), counted.get("/b")];
    counted.refresh_answers(counted.lasting(1));
    counted.grew(&[("refreshed", 1), ("joined", 2)]);

    counted.pass(Duration::from_millis(500));
    for _ in &waiting {
        counted.api_answers(200);
    }

    assert!(waiting.iter().all(|request| status(request) == 200));
    counted.grew(&[("opened", 1)]);
    drop(stuck);
    counted.pass(s(10));
    counted.grew(&[]);
}

/// O6: A session's clones share its counters, another session has its own, and nothing is ever taken back.
#[test]
fn counters_belong_to_a_session_and_only_grow() {
    let mut counted = Counted::signed_in(|session| session);
    counted.cools();
    let clone = counted.session.clone();
    assert_eq!(clone.counters(), counted.session.counters());
    counted.grew(&[("failed", 1)]);

    counted.runtime.block_on(counted.session.sign_out()).unwrap();
    counted.sign_in(counted.lasting(3));
    counted.grew(&[]);

    assert_eq!(clone.counters().failed, 1);
    assert_eq!(Counted::signed_in(|session| session).session.counters(), Counters::default());
}
