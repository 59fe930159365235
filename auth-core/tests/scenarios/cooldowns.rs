//! Cooldowns and windows beside each other: what makes them longer, what leaves them alone, and what ends them.

use std::time::Duration;

use auth_core::{Advice, Error, ErrorKind, RefreshError, Runtime as _, SessionBuilder, Stamp, Tokens};
use auth_testkit::{numbered, response, rotating};
use futures::FutureExt as _;

use crate::world::{World, error, kind, status};

/// Cooldowns are jittered by a fifth: the first is over after this, and not before `JUST_COOLING`.
const COOLED: Duration = Duration::from_millis(1_201);
const JUST_COOLING: Duration = Duration::from_millis(799);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn limited(most: usize) -> World {
    let world = World::with(|session| session.max_rejections(Some(most)), |client| client);
    world.sign_in(numbered(0));
    world
}

fn stamp(world: &World) -> Stamp {
    world.session.lease().now_or_never().unwrap().unwrap().stamp()
}

fn fails(world: &World, error: RefreshError) {
    world.refresher.try_next().expect("a refresh is under way").fail(error);
    world.settle();
}

fn down() -> RefreshError {
    RefreshError::misconfigured("down")
}

/// A forced refresh that fails like this.
fn forced_fails(world: &World, error: RefreshError) {
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await.map(|_| ()) });
    world.settle();
    fails(world, error);
    assert!(forced.take().unwrap().is_err());
}

/// Whether a rejection would start a flight now. If so, one is up after this.
fn would_start(world: &World) -> bool {
    let calls = world.refresher.calls();
    let told = world.session.reject(stamp(world));
    world.settle();
    assert_eq!(told.is_ok(), world.refresher.calls() > calls);
    told.is_ok()
}

/// The cooldown that runs lasts for so many times the first one, give or take its jitter.
#[track_caller]
fn assert_cools(world: &World, times: u32) {
    world.pass(JUST_COOLING * times);
    assert!(!would_start(world), "it is over too soon");
    world.pass((COOLED - JUST_COOLING) * times);
    assert!(would_start(world), "it is not over");
}

/// C5, F8: However many waited for the flight that failed, and in whatever way, it has failed once: the cooldown is
/// doubled once for all of them, and what they try meanwhile makes it no longer.
#[test]
fn a_crowd_that_waited_for_one_failure_escalates_once() {
    for crowd in [1, 50] {
        let world = World::signed_in();
        for times in [1, 2, 4] {
            let requests: Vec<_> = (0..crowd).map(|n| world.get(&format!("/{n}"))).collect();
            for _ in 0..crowd {
                world.api_answers(401);
            }
            let session = world.session.clone();
            let forced = world.runtime.start(async move { session.refresh(None).await.map(|_| ()) });
            world.settle();
            fails(&world, down());
            assert!(requests.iter().all(|request| kind(request) == ErrorKind::Misconfigured));
            assert!(forced.take().unwrap().is_err());

            for _ in 0..crowd {
                let cooling = world.get("/cooling");
                world.api_answers(401);
                assert_eq!(kind(&cooling), ErrorKind::Misconfigured);
            }
            world.pass(JUST_COOLING * times);
            assert!(!would_start(&world), "{crowd} waited: too soon for {times}");
            world.pass((COOLED - JUST_COOLING) * times);
        }
        assert_eq!((world.refresher.calls(), world.session.counters().failed), (3, 3));
        assert!(would_start(&world));
    }
}

/// F8, C9: After each cooldown one probe starts, however many want it, and the others share what comes of it.
#[test]
fn one_probe_after_each_cooldown_however_many_want_it() {
    let world = World::new();
    world.sign_in(numbered(0).with_expires_in(s(100), world.runtime.now()));
    world.pass(s(100));

    for (flight, times) in [1, 2, 4, 8].into_iter().enumerate() {
        let requests: Vec<_> = (0..20).map(|n| world.get(&format!("/{n}"))).collect();
        assert_eq!(world.refresher.calls(), flight + 1);
        fails(&world, down());
        assert!(requests.iter().all(|request| kind(request) == ErrorKind::Misconfigured));
        world.pass(COOLED * times);
    }

    assert_eq!(world.api.calls(), 0);
}

/// F8, D4: A sign-in starts clean: no cooldown, no failures in a row, no rejections in the window.
#[test]
fn a_sign_in_starts_clean() {
    let world = limited(1);
    let rejected = world.rejected("/");
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&rejected), 200);
    for _ in 0..5 {
        forced_fails(&world, down());
    }
    assert!(!would_start(&world));

    world.sign_in(numbered(10));

    assert!(would_start(&world), "no cooldown");
    fails(&world, down());
    assert_cools(&world, 1);
    world.refresh_answers(numbered(11));
    let full = world.session.reject(stamp(&world)).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::ExcessiveRefresh, "its own rejection is the first in the window");
    world.sign_in(numbered(20));
    assert!(would_start(&world), "an empty window");
}

/// F8: A success starts clean as well, but for the window, which is there for successes.
#[test]
fn a_success_ends_the_row_of_failures() {
    let world = limited(2);
    for _ in 0..5 {
        forced_fails(&world, down());
    }
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await.map(|_| ()) });
    world.settle();
    world.refresh_answers(numbered(1));
    assert!(forced.take().unwrap().is_ok());

    assert!(would_start(&world), "no cooldown");
    fails(&world, down());
    assert_cools(&world, 1);
}

/// F8: So do the first tokens, where it was those that could not be had.
#[test]
fn the_first_tokens_end_the_row_of_failures() {
    let world = World::new();
    world.refresher.script_acquire();
    for times in 0..2 {
        let waiting = world.get("/early");
        world.refresher.try_next_acquire().unwrap().fail(RefreshError::misconfigured("not yet"));
        world.settle();
        assert_eq!(kind(&waiting), ErrorKind::Misconfigured);
        world.pass(COOLED * 2_u32.pow(times));
    }
    let waiting = world.get("/");
    world.refresher.try_next_acquire().unwrap().answer(Some(numbered(0)));
    world.settle();
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);

    forced_fails(&world, down());

    assert_cools(&world, 1);
}

/// F9: A forced refresh passes a full window and a cooldown at once; its own failure makes the cooldown longer, as any, and
/// its success ends it.
#[test]
fn a_forced_refresh_passes_the_window_and_the_cooldown() {
    let world = limited(1);
    let rejected = world.rejected("/");
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&rejected), 200);
    let refused = world.session.reject(stamp(&world)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ExcessiveRefresh);
    forced_fails(&world, down());
    let refused = world.session.reject(stamp(&world)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misconfigured, "row 5b is before row 5c");

    forced_fails(&world, down());
    forced_fails(&world, down());
    world.pass(JUST_COOLING * 4);
    let refused = world.session.reject(stamp(&world)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misconfigured, "three in a row");
    world.refresher.answer_with(rotating);
    let lease = world.runtime.block_on(world.session.refresh(None)).unwrap();

    assert_eq!(lease.header().1, "Bearer T2");
    let refused = world.session.reject(stamp(&world)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ExcessiveRefresh, "no cooldown any more, and the window as it was");
}

/// F9, F10: A forced refresh that fails makes no cooldown shorter: the token endpoint has asked to be left alone, and that
/// somebody insisted does not change it. Where it asks anew, the newest word counts.
#[test]
fn a_forced_failure_does_not_cut_a_cooldown_short() {
    let cooling = || {
        let world = World::signed_in();
        let rejected = world.rejected("/");
        fails(&world, RefreshError::unavailable("429").retry_after(s(200)));
        assert_eq!(kind(&rejected), ErrorKind::RefreshUnavailable);
        world
    };

    let world = cooling();
    world.pass(s(50));
    forced_fails(&world, down());
    world.pass(s(149));
    assert!(!would_start(&world), "two hundred seconds were asked for");
    world.pass(s(1));
    assert!(would_start(&world));

    for (asked, end) in [(40, 40), (300, 300)] {
        let world = cooling();
        world.pass(s(50));
        forced_fails(&world, RefreshError::unavailable("429").retry_after(s(asked)));
        world.pass(s(end - 1));
        assert!(!would_start(&world), "{asked}");
        world.pass(s(1));
        assert!(would_start(&world), "{asked}");
    }
}

/// F10: A forced refresh's own `Retry-After` sets the cooldown for everybody, and it is honoured to its bound however often
/// it is asked for.
#[test]
fn a_retry_after_is_honoured_to_its_bound_however_often() {
    let world = World::with(|session: SessionBuilder| session.longest_retry_after(s(60)), |client| client);
    world.sign_in(numbered(0));
    for _ in 0..3 {
        forced_fails(&world, RefreshError::unavailable("429").retry_after(s(86_400)));
        world.pass(s(1));
    }

    world.pass(s(58));
    assert!(!would_start(&world));
    world.pass(s(1));
    assert!(would_start(&world));
}

/// How long this error says to wait.
#[track_caller]
fn wait(error: &Error) -> Duration {
    match error.advice() {
        Advice::RetryLater { after: Some(after) } => after,
        other => panic!("{other:?}"),
    }
}

/// F8, F10: Whoever comes within a cooldown is told what is left of it, not what the server asked for when it began; and so are
/// those that waited for the flight. Who comes back then starts a refresh, and who comes earlier does not.
#[test]
fn a_failure_within_the_cooldown_says_what_is_left_of_it() {
    let busy = |asked| RefreshError::unavailable("429").retry_after(s(asked));
    // The server's wish to its bound; without one, the session's own cooldown.
    for (failure, least, most) in [
        (busy(60), s(60), s(60)),
        (busy(86_400), s(300), s(300)),
        (RefreshError::unavailable("reset"), JUST_COOLING, COOLED),
    ] {
        let session = |session: SessionBuilder| session.refresh_timeout(Duration::from_millis(200));
        let world = World::with(session, |client| client);
        world.sign_in(numbered(0));
        let waited = world.rejected("/waited");
        fails(&world, failure);
        let whole = wait(&error(&waited));
        assert!((least..=most).contains(&whole), "{whole:?}");

        world.pass(whole / 4);
        let late = world.get("/late");
        world.api_answers(401);
        let told = world.session.reject(stamp(&world)).unwrap_err();
        for failed in [error(&late), told] {
            assert_eq!(wait(&failed), whole - whole / 4);
            assert!(std::error::Error::source(&failed).is_some(), "with the cause all the same");
        }

        world.pass(whole - whole / 4 - Duration::from_nanos(1));
        assert_eq!(wait(&world.session.reject(stamp(&world)).unwrap_err()), Duration::from_nanos(1));
        world.pass(Duration::from_nanos(1));
        assert!(would_start(&world));
    }
}

/// F8, P1: So is whoever has no token to go on with.
#[test]
fn a_failure_to_replace_an_expired_token_says_what_is_left_of_its_cooldown() {
    let world = World::new();
    world.sign_in(numbered(0).with_expires_in(s(100), world.runtime.now()));
    world.pass(s(100));
    let waited = world.get("/");
    fails(&world, RefreshError::unavailable("429").retry_after(s(60)));
    assert_eq!(wait(&error(&waited)), s(60));

    world.pass(s(25));

    assert_eq!(wait(&error(&world.get("/"))), s(35));
    let token = world.session.access_token(s(1)).now_or_never().unwrap();
    assert_eq!(wait(&token.unwrap_err()), s(35));
}

/// F9, F10: What is left is what is left in truth, whatever the last failure was: a forced one in between has its own cause, and
/// the cooldown that the server asked for before.
#[test]
fn a_forced_failure_says_when_the_cooldown_it_did_not_end_is_over() {
    let world = World::signed_in();
    let waited = world.rejected("/");
    fails(&world, RefreshError::unavailable("429").retry_after(s(200)));
    assert_eq!(wait(&error(&waited)), s(200));
    world.pass(s(50));
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await.map(|_| ()) });
    world.settle();
    // Three calls, none of which the server answers with a wish.
    for _ in 0..3 {
        fails(&world, RefreshError::unavailable("503"));
        world.pass(s(1));
    }

    let left = wait(&forced.take().unwrap().unwrap_err());
    let told = wait(&world.session.reject(stamp(&world)).unwrap_err());

    assert_eq!(left, told + s(1), "it failed when the third call did, a second ago");
    assert_eq!(told, s(200 - 50 - 3));
}

/// F1, F2: A crowd against a server that rejects every token, with tokens that live for a few seconds: each request is sent
/// twice at most, and the token endpoint is asked no more often than the window and the lifetimes say.
#[test]
fn a_crowd_against_a_server_that_rejects_everything() {
    let world = World::new();
    world.api.answer_with(|_| response(401));
    let lifetime = s(10);
    let runtime = world.runtime.clone();
    world.sign_in(numbered(0).with_expires_in(lifetime, runtime.now()));
    world
        .refresher
        .answer_with(move |current: &Tokens| Ok(rotating(current)?.with_expires_in(lifetime, runtime.now())));

    let mut sent = 0;
    for second in 0..300 {
        let requests: Vec<_> = (0..10).map(|n| world.get(&format!("/{second}/{n}"))).collect();
        sent += requests.len();
        for request in requests {
            let answer = request.take().expect("it does not wait");
            if let Err(error) = answer {
                assert_eq!(error.kind(), ErrorKind::ExcessiveRefresh);
            }
        }
        world.pass(s(1));
    }

    assert!(world.api.calls() <= 2 * sent);
    let counters = world.session.counters();
    // Five in each window of thirty seconds, and one for each eight seconds of a lifetime.
    assert!(counters.refreshed <= 5 * 11 + 300 / 8 + 1, "{}", counters.refreshed);
    assert_eq!(world.refresher.calls() as u64, counters.refreshed);
    assert!(error_free(&world));
}

fn error_free(world: &World) -> bool {
    !world.events().iter().any(|event| matches!(event, auth_core::Event::Ended(_)))
}
