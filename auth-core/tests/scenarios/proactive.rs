//! Ahead of time: the soft window, the margin before the end, and what becomes of a refresh that nobody waits for.

mod failing;
mod lifetimes;

use std::time::Duration;

use auth_core::{
    Attempt, Body, Cause, EndReason, Error, ErrorKind, Event, NotReplayed, RefreshError, Runtime as _,
    SessionState, Tokens, Turn,
};
use auth_testkit::{ManualRuntime, Running, numbered, response};
use futures::{FutureExt as _, stream};
use http::Request;

use crate::world::{World, error, kind, status};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Of a lifetime of a thousand seconds: before its soft window, within it whatever the jitter, and after its end.
const LIFETIME: Duration = s(1_000);
const FRESH: Duration = s(799);
const SOFT: Duration = s(821);
const EXPIRED: Duration = s(995);

fn lasting(world: &World, n: u64, lifetime: Duration) -> Tokens {
    numbered(n).with_expires_in(lifetime, world.runtime.now())
}

/// Somebody is signed in with T0, for as long as this.
fn signed_in_for(lifetime: Duration) -> World {
    let world = World::new();
    world.sign_in(lasting(&world, 0, lifetime));
    world
}

/// T0 is in its soft window, and nobody has asked for it yet.
fn softening() -> World {
    let world = signed_in_for(LIFETIME);
    world.pass(SOFT);
    world
}

/// A request that is served at once, with this token.
#[track_caller]
fn served(world: &World, with: &str) {
    let request = world.get("/served");
    assert_eq!(world.api_answers(200).as_deref(), Some(with));
    assert_eq!(status(&request), 200);
}

/// What a caller has at its first poll, while nothing else moves.
#[track_caller]
fn at_once<T>(waiting: impl Future<Output = Result<T, Error>>) -> T {
    waiting.now_or_never().expect("it does not wait").expect("it has not failed")
}

fn bearer(turn: &Turn) -> &str {
    turn.header().1.to_str().unwrap()
}

fn causes(world: &World) -> Vec<Cause> {
    let cause = |event: &Event| match event {
        Event::RefreshStarted { cause, .. } => Some(*cause),
        _ => None,
    };
    world.events().iter().filter_map(cause).collect()
}

fn ends(world: &World) -> Vec<EndReason> {
    let reason = |event: &Event| match event {
        Event::Ended(ended) => Some(ended.reason),
        _ => None,
    };
    world.events().iter().filter_map(reason).collect()
}

// --- P1: expired ----------------------------------------------------------------------------------------------------------

/// P1: An expired token is refreshed once before anything is sent; those that come meanwhile share it, and none goes out
/// with it.
#[test]
fn an_expired_token_is_refreshed_before_anything_is_sent() {
    let world = signed_in_for(LIFETIME);
    world.pass(EXPIRED);

    let requests: Vec<_> = (0..10).map(|n| world.get(&format!("/{n}"))).collect();
    assert_eq!((world.refresher.calls(), world.api.calls()), (1, 0));
    world.refresh_answers(lasting(&world, 1, LIFETIME));
    for _ in &requests {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }

    assert!(requests.iter().all(|request| status(request) == 200));
    assert_eq!(world.bearers(), ["T1"; 10]);
    let first: Vec<_> =
        world.api.log().iter().map(|sent| sent.extensions.get::<Attempt>().unwrap().number).collect();
    assert_eq!(first, [1; 10], "nothing was sent twice");
    assert_eq!((world.refresher.calls(), causes(&world)), (1, vec![Cause::Proactive]));
}

/// P1: A token that a session finds in its store, expired, is refreshed before anything is sent as well.
#[test]
fn an_expired_token_of_the_store_is_refreshed_first() {
    let world = World::new();
    world.store.put_as_other_sign_in(lasting(&world, 0, LIFETIME));
    world.pass(LIFETIME);

    let requests = [world.get("/a"), world.get("/b")];
    assert_eq!(world.api.calls(), 0);
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    world.api_answers(200);

    assert!(requests.iter().all(|request| status(request) == 200));
    assert_eq!(
        (world.bearers(), world.refresher.presented()),
        (vec!["T1".to_owned(); 2], vec!["R0".to_owned()])
    );
}

// --- P4: the soft window --------------------------------------------------------------------------------------------------

/// P4: In its soft window a token is served at once, while one refresh runs in the background: nobody waits for that, and
/// nobody starts another.
#[test]
fn a_token_in_its_soft_window_is_served_while_one_refresh_runs() {
    let world = signed_in_for(LIFETIME);
    world.pass(FRESH);
    served(&world, "T0");
    assert_eq!(world.refresher.calls(), 0, "it is fresh");
    world.pass(SOFT - FRESH);

    let requests: Vec<_> = (0..5).map(|n| world.get(&format!("/{n}"))).collect();
    assert_eq!(world.bearers()[1..], ["T0"; 5], "all have gone out");
    assert_eq!(world.session.state(), SessionState::Refreshing);
    for _ in &requests {
        world.api_answers(200);
    }
    assert!(requests.iter().all(|request| status(request) == 200), "all are done, and the refresh is not");
    assert_eq!(world.refresher.calls(), 1);
    world.refresh_answers(lasting(&world, 1, LIFETIME));

    served(&world, "T1");
    assert_eq!((world.refresher.calls(), causes(&world)), (1, vec![Cause::Proactive]));
    let refreshed =
        |event: &Event| matches!(event, Event::Refreshed { waiters: 0, cause: Cause::Proactive, .. });
    assert!(world.events().iter().any(refreshed));
    world.pass(FRESH);
    served(&world, "T1");
    assert_eq!(world.refresher.calls(), 1, "the new token is fresh for as long as the old one was");
}

/// P4: At once means in the first poll: a lease, a token for others, and what a late 401 gets, before anything of the
/// session has run.
#[test]
fn what_is_served_in_the_soft_window_is_there_at_the_first_poll() {
    let world = softening();

    let lease = at_once(world.session.lease());
    assert_eq!((bearer(&lease), lease.ticket()), ("Bearer T0", None));
    assert_eq!(world.refresher.calls(), 0, "nothing has run yet");
    assert_eq!(at_once(world.session.access_token(Duration::ZERO)).reveal(), "T0");
    assert_eq!(bearer(&at_once(world.session.lease())), "Bearer T0");
    world.settle();

    assert_eq!(world.refresher.calls(), 1);
    world.refresh_answers(lasting(&world, 1, LIFETIME));
    world.pass(SOFT);
    assert_eq!(bearer(&at_once(world.session.recover(lease.stamp()))), "Bearer T1", "row 3, then row 10");
    world.settle();
    assert_eq!(world.refresher.calls(), 2);
}

/// P4: Once the token has expired new requests wait for the refresh that runs already.
#[test]
fn once_it_has_expired_everybody_waits_for_the_refresh_that_runs() {
    let world = signed_in_for(s(100));
    world.pass(s(90));
    served(&world, "T0");
    assert_eq!(world.refresher.calls(), 1);

    world.pass(s(4));
    served(&world, "T0");
    world.pass(s(1));
    let waiting = [world.get("/a"), world.get("/b")];
    assert_eq!(world.api.calls(), 2, "not with T0");
    world.refresh_answers(lasting(&world, 1, s(100)));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));

    assert!(waiting.iter().all(|request| status(request) == 200));
    assert_eq!(world.refresher.calls(), 1);
}

/// P4: A request that started the background refresh and is dropped takes nothing with it.
#[test]
fn the_background_refresh_is_nobodys() {
    let world = softening();
    let request = world.get("/dropped");
    request.cancel();
    assert!(world.next_call().is_abandoned());

    world.refresh_answers(lasting(&world, 1, LIFETIME));

    served(&world, "T1");
    assert_eq!(world.stored().as_deref(), Some("T1"));
    assert_eq!(world.refresher.calls(), 1);
}

/// P4: The window can be made longer and shorter, and switched off: then nothing is refreshed before the token has expired.
#[test]
fn the_soft_window_can_be_set_and_switched_off() {
    for (window, just_before, within) in [(s(100), s(899), s(910)), (s(3_600), s(799), s(821))] {
        let world = World::with(|session| session.soft_window(window), |client| client);
        world.sign_in(lasting(&world, 0, LIFETIME));
        world.pass(just_before);
        served(&world, "T0");
        assert_eq!(world.refresher.calls(), 0, "{window:?}");
        world.pass(within - just_before);
        served(&world, "T0");
        assert_eq!(world.refresher.calls(), 1, "{window:?}, and never more than a fifth");
    }

    let world = World::with(|session| session.soft_window(Duration::ZERO), |client| client);
    world.sign_in(lasting(&world, 0, LIFETIME));
    world.pass(EXPIRED - s(1));
    served(&world, "T0");
    assert_eq!(world.refresher.calls(), 0);
    world.pass(s(1));
    let waiting = world.get("/waiting");
    assert_eq!((world.refresher.calls(), world.api.calls()), (1, 1));
    assert!(!waiting.is_finished());
}

/// P4: What cannot be refreshed has no soft window: it is used to its end, by the road without a lock.
#[test]
fn what_cannot_be_refreshed_is_used_to_its_end() {
    let world = World::new();
    world.sign_in(Tokens::new("T0").unwrap().with_expires_in(LIFETIME, world.runtime.now()));
    world.pass(EXPIRED - s(1));
    served(&world, "T0");
    assert_eq!(ends(&world), []);
    world.pass(s(1));

    assert_eq!(error(&world.get("/")).end_reason(), Some(EndReason::NotRefreshable));
    assert_eq!(world.refresher.calls(), 0);
}

// --- P8: without timers ---------------------------------------------------------------------------------------------------

/// P8: A session that nobody uses has no task and no timer, whatever its token is coming to and whatever has happened
/// before; it makes no traffic, and is judged when it is used.
#[test]
fn a_session_that_nobody_uses_does_nothing() {
    let idle = |world: &World, calls: usize| {
        world.settle();
        assert_eq!((world.runtime.tasks(), world.runtime.timers()), (0, 0));
        world.pass(s(10 * 86_400));
        assert_eq!((world.runtime.tasks(), world.runtime.timers()), (0, 0));
        assert_eq!(world.refresher.calls(), calls);
    };
    let world = signed_in_for(LIFETIME);
    idle(&world, 0);

    let waiting = world.get("/");
    world.refresh_answers(lasting(&world, 1, LIFETIME));
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);
    world.pass(s(1));
    idle(&world, 1);

    let failing = world.get("/");
    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("down"));
    world.settle();
    assert_eq!(kind(&failing), ErrorKind::Misconfigured);
    idle(&world, 2);

    world.sign_in(lasting(&world, 2, LIFETIME));
    world.pass(SOFT);
    served(&world, "T2");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(world.session.state(), SessionState::Draining);
    idle(&world, 3);
    assert_eq!(world.session.state(), SessionState::Draining, "judged when it is used");
    assert_eq!(kind(&world.get("/")), ErrorKind::SessionEnded);
}

// --- C17: together with 401s ----------------------------------------------------------------------------------------------

/// C17: A background refresh is up, then 401s come: all join it, one flight, and from the first of them on new requests
/// wait as well. All are released, in the order in which they joined.
#[test]
fn rejections_join_the_background_refresh() {
    let world = softening();
    let unharmed = world.get("/unharmed");
    let (one, two) = (world.get("/one"), world.get("/two"));
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&unharmed), 200);
    let before = world.get("/before");
    assert_eq!(world.api.calls(), 4, "nobody has seen it rejected");

    assert!(world.api_answers(401).is_some());
    let new = world.get("/new");
    let token = waiting_token(&world);
    assert_eq!(world.api.calls(), 4, "from the first 401 on they wait");
    assert!(world.api_answers(401).is_some());
    world.refresh_answers(lasting(&world, 1, LIFETIME));

    assert_eq!(world.api_answers(200).as_deref(), Some("T0"), "sent before");
    for _ in 0..3 {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }
    assert!([one, two, new, before].iter().all(|request| status(request) == 200));
    assert_eq!(token.take().unwrap().unwrap(), "T1");
    let replayed: Vec<_> = world.api.log()[4..].iter().map(|sent| sent.uri.path().to_owned()).collect();
    assert_eq!(replayed, ["/one", "/new", "/two"]);
    assert_eq!((world.refresher.calls(), causes(&world)), (1, vec![Cause::Proactive]));
    served(&world, "T1");
}

fn waiting_token(world: &World) -> Running<Result<String, Error>> {
    let session = world.session.clone();
    let token = async move { Ok(session.access_token(Duration::ZERO).await?.reveal().to_owned()) };
    let running = world.runtime.start(token);
    world.settle();
    assert!(!running.is_finished());
    running
}

/// C17: The failure of that flight is everybody's who joined it, the same one, and one cooldown.
#[test]
fn rejections_share_the_failure_of_the_background_refresh() {
    let world = softening();
    let requests: Vec<_> = (0..5).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in &requests {
        world.api_answers(401);
    }

    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("down"));
    world.settle();

    assert!(requests.iter().all(|request| kind(request) == ErrorKind::Misconfigured));
    assert_eq!(world.refresher.calls(), 1);
    let counters = world.session.counters();
    assert_eq!((counters.joined, counters.failed), (5, 1));
    served(&world, "T0");
}

// --- E6 -------------------------------------------------------------------------------------------------------------------

/// E6: A one-shot body goes out at once in the soft window; where the token is rejected all the same, the 401 comes back,
/// and the refresh is the one that runs already.
#[test]
fn a_one_shot_body_does_not_wait_for_the_background_refresh() {
    let world = softening();
    let one_shot = Body::stream(stream::iter([Ok::<_, std::io::Error>("one"), Ok(" shot")]));
    let request = world.send(Request::post("/").body(one_shot).unwrap());

    let (sent, reply) = world.next_call().into_parts();
    assert_eq!(world.runtime.block_on(sent.into_body().text()).unwrap(), "one shot");
    reply.answer(response(401));
    world.settle();

    let answer = request.take().unwrap().unwrap();
    assert_eq!(answer.status(), 401);
    assert!(answer.extensions().get::<NotReplayed>().is_some());
    let waiting = world.get("/waiting");
    assert_eq!(world.api.calls(), 1, "it was rejected");
    world.refresh_answers(numbered(1));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(world.refresher.calls(), 1);
}

// --- K11: jitter ----------------------------------------------------------------------------------------------------------

/// How long before the end of such a token's life a session on a runtime with this seed refreshes it, in seconds.
fn soft_window(seed: u64, lifetime: Duration) -> u64 {
    let runtime = ManualRuntime::with_seed(seed);
    let its = runtime.clone();
    let mut world = World::with(|session| session.runtime(its), |client| client);
    world.runtime = runtime;
    world.sign_in(lasting(&world, 0, lifetime));
    let mut left = lifetime.as_secs() / 2;
    world.pass(lifetime - s(left));
    loop {
        assert_eq!(bearer(&at_once(world.session.lease())), "Bearer T0");
        world.settle();
        if world.refresher.calls() > 0 {
            return left;
        }
        left -= 1;
        world.pass(s(1));
    }
}

/// K11: Sessions refresh at different times, so that the processes of a fleet that signed in together do not come at once:
/// a tenth of the window is chance, and within that they spread. The same seed is the same time.
#[test]
fn soft_times_are_jittered_across_sessions() {
    for (lifetime, longest) in [(LIFETIME, 200), (s(36_000), 300)] {
        let windows: Vec<_> = (0..20).map(|seed| soft_window(seed * 0x9e37_79b9_7f4a, lifetime)).collect();

        assert!(
            windows.iter().all(|window| (longest * 9 / 10 - 1..=longest).contains(window)),
            "{windows:?}"
        );
        let (least, most) = (windows.iter().min().unwrap(), windows.iter().max().unwrap());
        assert!(most - least > longest / 20, "they spread over more than half of it: {windows:?}");
        assert_eq!(soft_window(7, lifetime), soft_window(7, lifetime));
    }
}

/// K11: Two sessions of one process differ as well, though they share its runtime.
#[test]
fn two_sessions_on_one_runtime_differ() {
    let runtime = ManualRuntime::new();
    let worlds: Vec<_> = (0..10)
        .map(|_| {
            let its = runtime.clone();
            let mut world = World::with(|session| session.runtime(its), |client| client);
            world.runtime = runtime.clone();
            world
        })
        .collect();
    worlds.iter().for_each(|world| world.sign_in(lasting(world, 0, LIFETIME)));

    runtime.advance(s(810));
    for world in &worlds {
        drop(at_once(world.session.lease()));
    }
    runtime.run_until_stalled();

    let early = worlds.iter().filter(|world| world.refresher.calls() == 1).count();
    assert!((1..worlds.len()).contains(&early), "{early} of them");
}

// --- G8, J14: refresh tokens that are dead --------------------------------------------------------------------------------

/// G8: The background refresh is rejected: the session drains. Its token goes on until it expires, the token endpoint is
/// left alone, and then the session ends, once.
#[test]
fn a_rejected_background_refresh_drains_until_the_token_expires() {
    let world = softening();
    served(&world, "T0");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!((world.session.state(), ends(&world)), (SessionState::Draining, vec![]));

    for _ in 0..17 {
        world.pass(s(10));
        served(&world, "T0");
    }
    assert_eq!(world.session.state(), SessionState::Draining);
    assert_eq!(world.stored().as_deref(), Some("T0"));
    world.pass(s(4));
    let late: Vec<_> = (0..3).map(|_| error(&world.get("/late"))).collect();

    assert!(late.iter().all(|error| error.end_reason() == Some(EndReason::Rejected)));
    assert_eq!((ends(&world), world.refresher.calls()), (vec![EndReason::Rejected], 1));
    assert_eq!(world.stored(), None);
    let counters = world.session.counters();
    assert_eq!((counters.refused, counters.failed, counters.ended), (1, 0, 1));
}

/// G8: Or until it is rejected.
#[test]
fn a_rejected_background_refresh_drains_until_the_token_is_rejected() {
    let world = softening();
    let (one, two) = (world.get("/one"), world.get("/two"));
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(world.session.state(), SessionState::Draining);

    world.api_answers(401);
    world.api_answers(401);

    for request in [one, two] {
        let error = error(&request);
        assert_eq!(error.end_reason(), Some(EndReason::Rejected));
        assert_eq!(error.response().unwrap().status, 401);
    }
    assert_eq!((ends(&world), world.refresher.calls()), (vec![EndReason::Rejected], 1));
}

/// G8: A 401 that comes while the background refresh runs leaves nothing to drain: its rejection ends the session.
#[test]
fn a_background_refresh_that_a_401_has_joined_does_not_drain() {
    let world = softening();
    let request = world.rejected("/");

    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    assert_eq!(error(&request).end_reason(), Some(EndReason::Rejected));
    assert_eq!(ends(&world), [EndReason::Rejected]);
    let draining = |event: &Event| matches!(event, Event::Draining);
    assert!(!world.events().iter().any(draining));
}

/// G8: A sign-in while it drains starts clean: nothing of the old refresh token is left.
#[test]
fn a_sign_in_ends_the_draining() {
    let world = softening();
    served(&world, "T0");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    world.sign_in(lasting(&world, 7, LIFETIME));

    assert_eq!(world.session.state(), SessionState::Active);
    world.pass(SOFT);
    served(&world, "T7");
    world.refresh_answers(lasting(&world, 8, LIFETIME));
    served(&world, "T8");
    assert_eq!(world.refresher.presented(), ["R0", "R7"]);
    assert_eq!(ends(&world), []);
}

/// J14: In the soft window, too, a refresh token that is known to have expired is not presented. The access token is used
/// to its end, and then the session ends here, without network.
#[test]
fn an_expired_refresh_token_is_not_presented_in_the_soft_window() {
    let world = World::new();
    let tokens = lasting(&world, 0, LIFETIME).with_refresh_expires_in(SOFT, world.runtime.now());
    world.sign_in(tokens);
    world.pass(SOFT);

    served(&world, "T0");
    world.pass(EXPIRED - SOFT - s(1));
    served(&world, "T0");
    assert_eq!((world.session.state(), ends(&world)), (SessionState::Active, vec![]));
    world.pass(s(1));

    assert_eq!(error(&world.get("/")).end_reason(), Some(EndReason::RefreshTokenExpired));
    assert_eq!(ends(&world), [EndReason::RefreshTokenExpired]);
    assert_eq!((world.refresher.calls(), world.api.calls()), (0, 2));
}
