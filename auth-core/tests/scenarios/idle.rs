//! Refreshing while idle: the timer that keeps a token fresh for nobody, and when it has to stop.

use std::time::Duration;

use auth_core::{
    Cause, EndReason, ErrorKind, Event, RefreshError, Runtime as _, SessionBuilder, SessionState, Tokens,
};
use auth_testkit::{ManualRuntime, Op, numbered};
use futures::FutureExt as _;

use crate::apart::Switch;
use crate::world::{World, kind, status};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lasting(world: &World, n: u64, lifetime: Duration) -> Tokens {
    numbered(n).with_expires_in(lifetime, world.runtime.now())
}

/// A world with a timer, in which nobody is signed in.
fn idle() -> World {
    idle_with(|session| session)
}

fn idle_with(build: impl FnOnce(SessionBuilder) -> SessionBuilder) -> World {
    World::with(|session| build(session.refresh_while_idle()), |client| client)
}

/// Signed in with T0, for an hour.
fn for_an_hour(world: World) -> World {
    world.sign_in(lasting(&world, 0, HOUR));
    world.settle();
    world
}

/// The token endpoint answers every call at once with the next pair, for as long as this.
fn rotates(world: &World, lifetime: Duration) {
    let runtime = world.runtime.clone();
    world.refresher.answer_with(move |current| {
        let next = auth_testkit::rotating(current)?;
        Ok(next.with_expires_in(lifetime, runtime.now()))
    });
}

/// Lets time pass until the refresher has been called once more, with nobody asking; how long that took.
#[track_caller]
fn until_called(world: &World) -> Duration {
    let (before, start) = (world.refresher.calls(), world.runtime.elapsed());
    while world.refresher.calls() == before {
        world.pass(s(1));
        assert!(world.runtime.elapsed() - start < DAY, "nothing is refreshed");
    }
    world.runtime.elapsed() - start
}

/// The token that a request would have at once.
#[track_caller]
fn at_hand(world: &World) -> String {
    let turn = world.session.lease().now_or_never().expect("nobody waits").unwrap();
    turn.header().1.to_str().unwrap().to_owned()
}

/// What the session has on its runtime: tasks, and timers.
fn left(world: &World) -> (usize, usize) {
    world.settle();
    (world.runtime.tasks(), world.runtime.timers())
}

/// A whole day changes nothing and asks for nothing.
#[track_caller]
fn is_still(world: &World) {
    let calls = world.refresher.calls();
    assert_eq!(left(world), (0, 0));
    world.pass(DAY);
    assert_eq!((left(world), world.refresher.calls()), ((0, 0), calls));
}

fn causes(world: &World) -> Vec<Cause> {
    let cause = |event: &Event| match event {
        Event::RefreshStarted { cause, .. } => Some(*cause),
        _ => None,
    };
    world.events().iter().filter_map(cause).collect()
}

/// No flight starts while another is up.
#[track_caller]
fn one_at_a_time(world: &World) {
    let mut up = 0;
    for event in world.events() {
        match event {
            Event::RefreshStarted { .. } => up += 1,
            Event::Refreshed { .. } | Event::RefreshFailed { .. } => up -= 1,
            _ => {}
        }
        assert!((0..=1).contains(&up));
    }
    assert!(world.refresher.most_at_once() <= 1);
}

/// P4, P8: The timer refreshes in the soft window with nobody asking, again and again, for a day: whoever asks has a fresh
/// token at once. One task and one timer are all it takes.
#[test]
fn a_token_is_kept_fresh_for_a_day_while_nobody_asks() {
    let world = for_an_hour(idle());
    rotates(&world, HOUR);

    for hour in 1..=24 {
        world.pass(HOUR);
        assert_eq!(left(&world), (1, 1));
        let newest = world.refresher.calls();
        assert!((hour..=hour + 3).contains(&newest), "one in 55 minutes or so: {newest} in {hour} hours");
        assert_eq!(at_hand(&world), format!("Bearer T{newest}"));
        assert_eq!(world.stored(), Some(format!("T{newest}")));
    }

    assert!(causes(&world).iter().all(|cause| *cause == Cause::Proactive));
    one_at_a_time(&world);
    assert_eq!(world.session.state(), SessionState::Active);
}

/// P8: It is the soft window's time at which it refreshes: not before, and where there is no soft window, when the token
/// has expired.
#[test]
fn the_timer_keeps_to_the_soft_window() {
    let world = for_an_hour(idle());
    world.pass(HOUR - s(301));
    assert_eq!(world.refresher.calls(), 0);
    world.pass(s(31));
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(at_hand(&world), "Bearer T0", "it is served meanwhile");

    let world = for_an_hour(idle_with(|session| session.soft_window(Duration::ZERO)));
    world.pass(HOUR - s(6));
    assert_eq!(world.refresher.calls(), 0);
    world.pass(s(1));
    assert_eq!(world.refresher.calls(), 1);
}

/// P8: A token of unknown lifetime, and one that cannot be refreshed, need no timer; nor does a session that nobody has
/// used yet. What is found in the store has one.
#[test]
fn there_is_a_timer_only_for_what_can_be_refreshed_ahead_of_time() {
    let world = idle();
    is_still(&world);
    world.sign_in(numbered(0));
    is_still(&world);
    world.sign_in(Tokens::new("T0").unwrap().with_expires_in(HOUR, world.runtime.now()));
    is_still(&world);
    let dead = lasting(&world, 0, HOUR).with_refresh_expires_in(s(60), world.runtime.now());
    world.sign_in(dead);
    world.pass(HOUR);
    is_still(&world);
    assert_eq!(world.refresher.calls(), 0);

    let world = idle();
    world.store.put_as_other_sign_in(lasting(&world, 3, HOUR));
    rotates(&world, HOUR);
    assert_eq!(left(&world), (0, 0));
    let request = world.get("/");
    assert_eq!(world.api_answers(200).as_deref(), Some("T3"));
    assert_eq!((status(&request), left(&world)), (200, (1, 1)));
    world.pass(HOUR);
    assert_eq!(at_hand(&world), "Bearer T4");
}

/// P8: It stops at a sign-out, and starts again at the next sign-in.
#[test]
fn the_timer_stops_at_a_sign_out_and_starts_at_a_sign_in() {
    let world = for_an_hour(idle());
    world.runtime.block_on(world.session.sign_out()).unwrap();
    is_still(&world);

    rotates(&world, HOUR);
    world.sign_in(lasting(&world, 10, HOUR));
    world.pass(HOUR);

    assert_eq!(at_hand(&world), "Bearer T11");
    assert_eq!(left(&world), (1, 1));
}

/// P8: A sign-in in place of another has the only timer: that of the token before is gone.
#[test]
fn each_token_has_the_only_timer() {
    let world = for_an_hour(idle());
    world.pass(s(1_800));
    world.sign_in(lasting(&world, 10, HOUR));
    assert_eq!(left(&world), (1, 1));
    world.pass(HOUR - s(301));
    assert_eq!(world.refresher.calls(), 0, "its own time has not come");

    let rejected = world.rejected("/");
    world.refresh_answers(lasting(&world, 11, HOUR));
    world.api_answers(200);
    assert_eq!(status(&rejected), 200);
    world.pass(s(1));
    assert_eq!(left(&world), (1, 1));
    world.pass(HOUR - s(302));
    assert_eq!(world.refresher.calls(), 1);
    world.pass(s(31));
    assert_eq!(world.refresher.presented(), ["R10", "R11"]);
}

/// G8, P8: It stops when the refresh token is dead, and the session drains; and when the session ends. A sign-in starts it
/// again.
#[test]
fn the_timer_stops_when_the_session_drains_and_when_it_ends() {
    let world = for_an_hour(idle());
    until_called(&world);
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(world.session.state(), SessionState::Draining);
    is_still(&world);
    world.sign_in(lasting(&world, 10, HOUR));
    assert_eq!(left(&world), (1, 1));

    let rejected = world.rejected("/");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(world.session.state(), SessionState::Ended(EndReason::Rejected));
    drop(rejected.take());
    is_still(&world);

    world.sign_in(lasting(&world, 20, HOUR));
    rotates(&world, HOUR);
    world.pass(HOUR);
    assert_eq!(at_hand(&world), "Bearer T21");
}

/// P8: It stops when another process has ended the session.
#[test]
fn the_timer_stops_when_the_session_ends_elsewhere() {
    let world = for_an_hour(idle());
    world.store.put(None);

    world.pass(HOUR);

    assert_eq!(world.session.state(), SessionState::Ended(EndReason::EndedElsewhere));
    assert_eq!(world.refresher.calls(), 0);
    is_still(&world);
}

/// P8, K7b: Where another process has signed somebody else in, the timer follows and keeps their token fresh.
#[test]
fn the_timer_follows_another_sign_in() {
    let world = for_an_hour(idle());
    rotates(&world, HOUR);
    world.store.put_as_other_sign_in(lasting(&world, 10, HOUR * 3));

    world.pass(HOUR);
    assert_eq!((at_hand(&world).as_str(), world.refresher.calls()), ("Bearer T10", 0));
    world.pass(HOUR * 2);

    assert_eq!((at_hand(&world).as_str(), left(&world)), ("Bearer T11", (1, 1)));
}

/// P8: When the last handle is dropped nothing is left: no task, no timer, no traffic. A client's is one, a clone's too.
#[test]
fn dropping_the_last_handle_leaves_nothing() {
    let World { runtime, refresher, store, session, client, .. } = for_an_hour(idle());
    rotates_on(&runtime, &refresher);
    let clone = session.clone();
    drop(session);
    drop(client);
    runtime.advance(HOUR);
    assert_eq!((refresher.calls(), runtime.tasks()), (1, 1), "the clone is in use");

    drop(clone);
    runtime.run_until_stalled();
    assert_eq!((runtime.tasks(), runtime.timers()), (0, 0));
    runtime.advance(DAY);

    assert_eq!(refresher.calls(), 1);
    assert!(store.content().is_some(), "nobody has signed out");
}

fn rotates_on(runtime: &ManualRuntime, refresher: &auth_testkit::RefresherHandle) {
    let clock = runtime.clone();
    refresher
        .answer_with(move |current| Ok(auth_testkit::rotating(current)?.with_expires_in(HOUR, clock.now())));
}

/// P8, I9: Dropped while the timer's own refresh runs, wherever it is: that ends and is saved, and then nothing is left. Its
/// new token has no timer.
#[test]
fn dropping_the_last_handle_during_a_refresh_leaves_nothing_after_it() {
    for saving in [false, true] {
        let world = for_an_hour(idle());
        until_called(&world);
        let call = world.refresher.try_next().expect("the timer has started it");
        world.store.hold(Op::Save);
        let new = lasting(&world, 1, HOUR);
        let World { runtime, refresher, store, session, client, .. } = world;

        if saving {
            call.answer(new);
            runtime.run_until_stalled();
            drop((session, client));
        } else {
            drop((session, client));
            runtime.run_until_stalled();
            call.answer(new);
            runtime.run_until_stalled();
        }
        store.release_holds();
        runtime.run_until_stalled();

        assert_eq!(store.content().unwrap().access_token().reveal(), "T1");
        assert_eq!((runtime.tasks(), runtime.timers()), (0, 0), "saving: {saving}");
        runtime.advance(DAY);
        assert_eq!(refresher.calls(), 1);
    }
}

/// P5: It survives an outage, whatever the failure: with a backoff to once a minute, and when the token endpoint is back the
/// token is fresh again, with nobody asking.
#[test]
fn the_timer_survives_an_outage_with_backoff() {
    type Failure = fn() -> RefreshError;
    let failures: [(Failure, usize); 3] = [
        (|| RefreshError::misconfigured("down"), 1),
        (|| RefreshError::unavailable("503"), 3),
        (|| RefreshError::unavailable("reset").outcome_unknown(), 3),
    ];
    for (failure, calls) in failures {
        let world = for_an_hour(idle());
        world.refresher.answer_with(move |_| Err(failure()));
        world.pass(HOUR * 3);

        let flights = causes(&world).len();
        let outage = HOUR.as_secs() * 2 + 270;
        let (least, most) = (outage / 75, outage / 48 + 7);
        assert!((least..=most).contains(&(flights as u64)), "{flights} flights, not {least} to {most}");
        assert_eq!(world.refresher.calls(), flights * calls);
        assert_eq!((left(&world), world.session.state()), ((1, 1), SessionState::Active));
        rotates(&world, HOUR);
        world.pass(s(72));

        assert_eq!(at_hand(&world), "Bearer T1");
        one_at_a_time(&world);
        world.pass(HOUR);
        assert_eq!(at_hand(&world), "Bearer T2");
    }
}

/// P5: The timer honours `Retry-After`, and a refresh that never answers is ended by its deadline.
#[test]
fn the_timer_waits_as_long_as_it_is_asked_to() {
    let world = for_an_hour(idle());
    world.pass(HOUR - s(260));
    let busy = RefreshError::unavailable("429").retry_after(s(200));
    world.refresher.try_next().unwrap().fail(busy);
    world.pass(s(199));
    assert!(world.refresher.try_next().is_none());
    world.pass(s(1));
    let hangs = world.refresher.try_next().expect("after 200 seconds");

    world.pass(s(15));
    assert!(hangs.is_abandoned());
    drop(world.refresher.try_next().expect("tried again in the same flight"));
    world.pass(s(15));
    let counters = world.session.counters();
    assert_eq!((counters.failed, left(&world)), (2, (1, 1)));
    world.pass(s(3));
    world.refresh_answers(lasting(&world, 1, HOUR));

    assert_eq!(at_hand(&world), "Bearer T1");
    one_at_a_time(&world);
}

/// P3, P5: Whatever the cooldown is set to, and however short the tokens live, the timer asks no more than once a second:
/// nobody waits for it.
#[test]
fn the_timer_never_spins() {
    let world = for_an_hour(idle_with(|session| session.cooldown(Duration::ZERO, Duration::ZERO)));
    world.refresher.answer_with(|_| Err(RefreshError::misconfigured("down")));
    world.pass(HOUR - s(200));
    let before = world.refresher.calls();
    world.pass(s(100));
    let calls = world.refresher.calls() - before;
    assert!((50..=101).contains(&calls), "no cooldown: {calls}");

    for lifetime in [Duration::from_millis(1), Duration::from_millis(100), s(1)] {
        let world = for_an_hour(idle());
        rotates(&world, lifetime);
        world.pass(HOUR);
        let before = world.refresher.calls();
        world.pass(s(100));
        let calls = world.refresher.calls() - before;
        assert!((50..=101).contains(&calls), "tokens of {lifetime:?}: {calls}");
    }
}

/// P8: It is one flight, whoever else wants one: the timer waits for what is up when its time comes, and what it has
/// started is joined.
#[test]
fn the_timer_and_everybody_else_share_one_flight() {
    let due = until_called(&for_an_hour(idle()));
    let world = for_an_hour(idle());
    world.pass(due - s(5));
    let forced = {
        let session = world.session.clone();
        world.runtime.start(async move { session.refresh(None).await.map(|lease| lease.stamp()) })
    };
    world.pass(s(10));
    assert_eq!((world.refresher.calls(), causes(&world)), (1, vec![Cause::Forced]));
    world.refresh_answers(lasting(&world, 1, HOUR));
    assert_eq!(forced.take().unwrap().unwrap().generation, 1);

    until_called(&world);
    assert_eq!(causes(&world), [Cause::Forced, Cause::Proactive]);
    let rejected = [world.rejected("/a"), world.get("/b")];
    world.refresh_answers(lasting(&world, 2, HOUR));
    world.api_answers(200);
    world.api_answers(200);

    assert!(rejected.iter().all(|request| status(request) == 200));
    assert_eq!((world.refresher.calls(), causes(&world).len()), (2, 2));
    one_at_a_time(&world);
}

/// P5, P8: Where the flight it waited for fails, the timer's own follows, after the cooldown of that.
#[test]
fn the_timer_takes_over_after_anothers_failure() {
    let due = until_called(&for_an_hour(idle()));
    for waits in [true, false] {
        let world = for_an_hour(idle());
        world.pass(if waits { due - s(5) } else { due - s(50) });
        let rejected = world.rejected("/");
        world.pass(s(10));
        world.refresher.try_next().unwrap().fail(RefreshError::unavailable("429").retry_after(s(100)));
        world.settle();
        assert_eq!(kind(&rejected), ErrorKind::RefreshUnavailable);

        world.pass(s(99));
        assert_eq!(world.refresher.calls(), 1, "it cools down, whoever has failed");
        world.pass(s(1));
        assert_eq!(world.refresher.calls(), 2);
        world.refresh_answers(lasting(&world, 1, HOUR));

        assert_eq!(at_hand(&world), "Bearer T1");
        assert_eq!(causes(&world), [Cause::Rejected, Cause::Proactive]);
    }
}

/// P8, J11: The wall clock jumps, there and back, while nobody asks: nothing is refreshed earlier or later for it.
#[test]
fn a_jump_of_the_wall_clock_changes_nothing() {
    let started = |jumps: &dyn Fn(&ManualRuntime)| {
        let world = for_an_hour(idle());
        rotates(&world, HOUR);
        let start = world.runtime.elapsed();
        let mut times = Vec::new();
        for step in 0..1_080 {
            world.pass(s(10));
            if step == 200 {
                jumps(&world.runtime);
            }
            if world.refresher.calls() > times.len() {
                times.push(world.runtime.elapsed() - start);
            }
        }
        times
    };

    let undisturbed = started(&|_| {});
    let ahead = started(&|runtime| runtime.set_wall(runtime.now() + DAY * 365));
    let back = started(&|runtime| runtime.set_wall(runtime.now() - DAY * 365));

    assert_eq!(undisturbed.len(), 3);
    assert_eq!((ahead, back), (undisturbed.clone(), undisturbed));
}

/// P8, I14: The runtime is shut down: the timer goes with it, and nobody minds. Under another runtime the session works: its
/// next token has a timer again.
#[test]
fn the_runtime_is_shut_down_and_the_session_used_under_another() {
    let clock = ManualRuntime::new();
    let switch = Switch::new(&clock);
    let tasks = ManualRuntime::new();
    switch.to(&tasks);
    let its = switch.clone();
    let mut world = idle_with(|session| session.runtime(its));
    world.runtime = clock;
    let written = world.runtime.start(world.session.sign_in(lasting(&world, 0, HOUR)));
    tasks.run_until_stalled();
    world.settle();
    written.take().unwrap().unwrap();
    tasks.run_until_stalled();
    assert_eq!((tasks.tasks(), tasks.timers()), (1, 1));

    tasks.shutdown();
    assert_eq!((tasks.tasks(), tasks.timers()), (0, 0));
    switch.to(&world.runtime);
    world.pass(HOUR);
    assert_eq!(world.refresher.calls(), 0, "nobody is left to do it");
    let request = world.get("/");
    world.refresh_answers(lasting(&world, 1, HOUR));
    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&request), 200);

    rotates(&world, HOUR);
    world.pass(s(1));
    assert_eq!(left(&world), (1, 1));
    world.pass(HOUR);
    assert_eq!(at_hand(&world), "Bearer T2");
}

/// P8, I14: A runtime that has been shut down from the start drops the timer as everything else, and a sign-in is in force
/// all the same.
#[test]
fn a_dead_runtime_has_no_timer_and_breaks_nothing() {
    let world = idle();
    world.runtime.shutdown();

    drop(world.session.sign_in(lasting(&world, 0, HOUR)));

    assert_eq!((left(&world), at_hand(&world).as_str()), ((0, 0), "Bearer T0"));
    world.pass(HOUR);
    assert_eq!(kind(&world.get("/")), ErrorKind::RefreshUnavailable);
}
