//! P5: a background refresh that fails is nobody's failure, as long as the token is valid.

use super::*;

/// How often the token endpoint may be asked again: after each cooldown, jittered by a fifth.
const JUST_COOLING: Duration = Duration::from_millis(799);
const COOLED: Duration = Duration::from_millis(1_201);

fn fails(world: &World, error: RefreshError) {
    world.refresher.try_next().expect("a refresh is under way").fail(error);
    world.settle();
}

/// T0 is in a soft window of an hour, and its lifetime is known: outages can be long.
fn long_softening(with: impl FnOnce(auth_core::SessionBuilder) -> auth_core::SessionBuilder) -> World {
    let world = World::with(|session| with(session.soft_window(s(3_600))), |client| client);
    world.sign_in(lasting(&world, 0, s(36_000)));
    world.pass(s(36_000 - 3_200));
    world
}

/// P5: Nobody notices that the background refresh fails, three calls of it: requests go on with the token that is valid. The
/// events tell it, as a failure for which nobody waited.
#[test]
fn a_failing_background_refresh_is_noticed_by_nobody() {
    let world = softening();
    let before = world.events().len();

    for pause in [250, 1_000, 0] {
        served(&world, "T0");
        fails(&world, RefreshError::unavailable("503"));
        served(&world, "T0");
        world.pass(Duration::from_millis(pause));
    }
    served(&world, "T0");

    assert_eq!(at_once(world.session.access_token(Duration::ZERO)).reveal(), "T0");
    assert_eq!(world.session.state(), SessionState::Active);
    let told: Vec<_> = world.events()[before..].to_vec();
    assert!(
        matches!(
            &told[..],
            [
                Event::RefreshStarted { cause: Cause::Proactive, .. },
                Event::AttemptFailed { attempt: 1, .. },
                Event::AttemptFailed { attempt: 2, .. },
                Event::RefreshFailed { cause: Cause::Proactive, waiters: 0, .. },
            ]
        ),
        "{told:?}"
    );
    assert_eq!(world.refresher.calls(), 3);
    let counters = world.session.counters();
    assert_eq!((counters.failed, counters.cooled, counters.joined), (1, 0, 0));
}

/// P5: It is tried again with a backoff: nothing in a cooldown, exactly one flight after it however many requests come, and
/// each failure in a row doubles the cooldown, to a minute. What succeeds at last leaves nothing of it.
#[test]
fn a_failing_background_refresh_is_retried_with_backoff() {
    let world = long_softening(|session| session);

    for (flight, seconds) in [1, 2, 4, 8, 16, 32, 60, 60, 60].into_iter().enumerate() {
        for _ in 0..5 {
            served(&world, "T0");
        }
        assert_eq!(world.refresher.calls(), flight + 1, "one probe");
        fails(&world, RefreshError::misconfigured("down"));
        world.pass(JUST_COOLING * seconds);
        served(&world, "T0");
        assert_eq!(world.refresher.calls(), flight + 1, "it cools down");
        world.pass((COOLED - JUST_COOLING) * seconds);
    }
    served(&world, "T0");
    world.refresh_answers(lasting(&world, 1, s(36_000)));

    served(&world, "T1");
    world.pass(s(36_000 - 3_200));
    served(&world, "T1");
    fails(&world, RefreshError::misconfigured("down"));
    world.pass(COOLED);
    served(&world, "T1");
    assert_eq!(world.refresher.calls(), 12, "the first cooldown is short again");
    assert!(causes(&world).iter().all(|cause| *cause == Cause::Proactive));
}

/// P5: Cooldowns are jittered, so that those who failed together do not come back together.
#[test]
fn the_backoff_is_jittered() {
    let cooldown = |seed| {
        let runtime = ManualRuntime::with_seed(seed);
        let its = runtime.clone();
        let mut world = World::with(|session| session.runtime(its), |client| client);
        world.runtime = runtime;
        world.sign_in(lasting(&world, 0, LIFETIME));
        world.pass(SOFT);
        served(&world, "T0");
        fails(&world, RefreshError::misconfigured("down"));
        (0..)
            .take_while(|_| {
                world.pass(Duration::from_millis(10));
                served(&world, "T0");
                world.refresher.calls() == 1
            })
            .count()
    };

    let cooldowns: Vec<usize> = (0..20).map(|seed| cooldown(seed * 0x9e37_79b9_7f4a)).collect();

    assert!(cooldowns.iter().all(|steps| (79..=120).contains(steps)), "{cooldowns:?}");
    assert!(cooldowns.iter().max().unwrap() - cooldowns.iter().min().unwrap() > 20, "{cooldowns:?}");
}

/// P5: The first cooldown and the longest can be chosen.
#[test]
fn the_cooldown_can_be_chosen() {
    let world = long_softening(|session| session.cooldown(s(10), s(20)));

    for (flight, seconds) in [10, 20, 20].into_iter().enumerate() {
        served(&world, "T0");
        fails(&world, RefreshError::misconfigured("down"));
        world.pass(JUST_COOLING * seconds);
        served(&world, "T0");
        assert_eq!(world.refresher.calls(), flight + 1);
        world.pass((COOLED - JUST_COOLING) * seconds);
    }
    served(&world, "T0");

    assert_eq!(world.refresher.calls(), 4);
}

/// P5: `Retry-After` is honoured by a background refresh as well, to five minutes or what was chosen; in it nobody is
/// held up.
#[test]
fn a_background_refresh_honours_retry_after_to_its_bound() {
    type Build = fn(auth_core::SessionBuilder) -> auth_core::SessionBuilder;
    let chosen: Build = |session| session.longest_retry_after(s(90));
    for (build, asked, kept) in [
        ((|session| session) as Build, 120, 120),
        (|session| session, 86_400, 300),
        (chosen, 86_400, 90),
        (chosen, 60, 60),
    ] {
        let world = long_softening(build);
        served(&world, "T0");
        fails(&world, RefreshError::unavailable("429").retry_after(s(asked)));

        world.pass(s(kept) - Duration::from_millis(1));
        served(&world, "T0");
        assert_eq!(world.refresher.calls(), 1, "{asked} s");
        world.pass(Duration::from_millis(1));
        served(&world, "T0");
        assert_eq!(world.refresher.calls(), 2, "{asked} s");
    }
}

/// P5, F10: What is honoured at most is honoured within a flight as well: who may be kept waiting for a second by a
/// `Retry-After` is not kept for twenty.
#[test]
fn a_retry_after_within_a_flight_is_bounded_as_well() {
    let world = World::with(|session| session.longest_retry_after(s(1)), |client| client);
    world.sign_in(numbered(0));
    let waiting = world.rejected("/");

    fails(&world, RefreshError::unavailable("503").retry_after(s(20)));
    world.pass(s(1));
    world.refresh_answers(numbered(1));

    assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    assert_eq!(status(&waiting), 200);
}

/// P5: When the token expires in an outage the failure is there for all to see: without network in the cooldown, and one
/// probe after it.
#[test]
fn the_failure_shows_when_the_token_has_expired() {
    let world = softening();
    served(&world, "T0");
    fails(&world, RefreshError::unavailable("503").retry_after(EXPIRED - SOFT + s(10)));

    world.pass(EXPIRED - SOFT - s(1));
    served(&world, "T0");
    world.pass(s(1));
    let refused: Vec<_> = (0..5).map(|_| error(&world.get("/expired"))).collect();
    let calls = (world.refresher.calls(), world.api.calls());
    world.pass(s(10));
    let waiting: Vec<_> = (0..3).map(|_| world.get("/probing")).collect();
    world.refresh_answers(numbered(1));

    assert!(refused.iter().all(|error| error.kind() == ErrorKind::RefreshUnavailable));
    assert_eq!(calls, (1, 2), "without network");
    assert_eq!(world.session.counters().cooled, 5);
    assert_eq!(world.refresher.calls(), 2);
    for _ in &waiting {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }
    assert!(waiting.iter().all(|request| status(request) == 200));
}

/// P5: Who asks for a longer validity than a token in its soft window has gets the token as it is, where the refresh fails:
/// it is valid, if not for as long.
#[test]
fn what_is_still_valid_is_better_than_the_failure_to_refresh_it() {
    type End = fn(&World);
    let ends: [(&str, End); 4] = [
        ("misconfigured", |world| fails(world, RefreshError::misconfigured("down"))),
        ("rejected", |world| fails(world, RefreshError::rejected("invalid_grant"))),
        ("panics", |world| {
            world.refresher.answer_with(|_| panic!("scripted"));
            world.refresher.try_next().unwrap().panics("scripted");
            world.pass(s(2));
        }),
        ("never answers", |world| {
            drop(world.refresher.try_next());
            world.pass(s(30));
        }),
    ];
    for (name, end) in ends {
        for start in [FRESH, SOFT] {
            let world = signed_in_for(LIFETIME);
            world.pass(start);
            let session = world.session.clone();
            let longer = world.runtime.start(async move { session.access_token(s(500)).await });
            world.settle();
            assert!(!longer.is_finished());

            end(&world);

            let token = longer.take().unwrap();
            assert_eq!(token.map_err(|error| error.kind()).unwrap().reveal(), "T0", "{name}");
            served(&world, "T0");
        }
    }
}

/// P5: That is for a token that is valid: where it has expired meanwhile the failure is all there is.
#[test]
fn what_has_expired_meanwhile_is_the_failure() {
    for (seconds, still) in [(4, true), (5, false)] {
        let world = signed_in_for(s(100));
        world.pass(s(90));
        let session = world.session.clone();
        let longer = world.runtime.start(async move { session.access_token(s(500)).await });
        world.pass(s(seconds));

        fails(&world, RefreshError::misconfigured("down"));

        let token = longer.take().unwrap().map(|token| token.reveal().to_owned());
        let expected = if still { Ok("T0".to_owned()) } else { Err(ErrorKind::Misconfigured) };
        assert_eq!(token.map_err(|error| error.kind()), expected);
    }
}

/// P5: And for one that nobody has seen rejected, while it is being replaced: whoever comes now waits for that, and so it is
/// not handed out as still good.
#[test]
fn what_is_being_replaced_is_not_still_good() {
    let world = softening();
    let session = world.session.clone();
    let insisting = world.runtime.start(async move {
        let _ = session.refresh(None).await;
        session.refresh(None).await
    });
    world.settle();
    let session = world.session.clone();
    let longer = world.runtime.start(async move { session.access_token(s(500)).await });
    let rejected = world.get("/");
    world.api_answers(401);

    fails(&world, RefreshError::misconfigured("down"));

    assert_eq!(kind(&rejected), ErrorKind::Misconfigured);
    assert!(!insisting.is_finished(), "another refresh is under way");
    assert_eq!(longer.take().unwrap().unwrap_err().kind(), ErrorKind::Misconfigured);
}

/// I8: The answer to a background refresh is lost: the same refresh token is presented again at once, and nobody notices.
#[test]
fn a_lost_answer_to_a_background_refresh_is_asked_for_again() {
    let world = softening();
    served(&world, "T0");

    fails(&world, RefreshError::unavailable("connection reset").outcome_unknown());
    served(&world, "T0");
    world.refresh_answers(lasting(&world, 1, LIFETIME));

    served(&world, "T1");
    assert_eq!(world.refresher.presented(), ["R0", "R0"]);
}

/// G16: A sibling rotated before the background refresh could: its pair is tried and adopted, and nobody notices.
#[test]
fn a_siblings_rotation_is_adopted_in_the_background() {
    let world = softening();
    served(&world, "T0");

    world.store.put_rotated(lasting(&world, 5, LIFETIME));
    fails(&world, RefreshError::rejected("invalid_grant"));

    served(&world, "T5");
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!((world.refresher.presented(), ends(&world)), (vec!["R0".to_owned()], vec![]));
    let counters = world.session.counters();
    assert_eq!((counters.adopted, counters.refused), (1, 0));
}
