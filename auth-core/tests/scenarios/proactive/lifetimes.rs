//! P3: lifetimes of every length. Margins are a fraction of them, and no request refreshes what another just has.

use super::*;

/// A world whose token endpoint answers every call at once with the next pair, made by this from its number and the time.
fn rotating(
    build: impl FnOnce(auth_core::SessionBuilder) -> auth_core::SessionBuilder,
    made: impl Fn(u64, std::time::SystemTime) -> Tokens + Send + Sync + 'static,
) -> World {
    let world = World::with(build, |client| client);
    world.api.answer_with(|_| response(200));
    let runtime = world.runtime.clone();
    world.sign_in(made(0, runtime.now()));
    world.refresher.answer_with(move |current: &Tokens| {
        let number: u64 = current.refresh_token().unwrap().reveal()[1..].parse().unwrap();
        Ok(made(number + 1, runtime.now()))
    });
    world
}

/// Sends a request every so often for so long, and counts token requests. Every request is answered at once.
fn busy(world: &World, every: Duration, long: Duration) -> usize {
    let before = world.refresher.calls();
    for _ in 0..long.as_millis() / every.as_millis() {
        assert_eq!(status(&world.get("/")), 200);
        world.pass(every);
    }
    world.refresher.calls() - before
}

/// P3: A margin longer than the lifetime is clamped to a tenth of it: a token is used for most of its life, and refreshed
/// once at its end, not for each request.
#[test]
fn a_margin_longer_than_the_lifetime_is_clamped() {
    let hour = |session: auth_core::SessionBuilder| session.expiry_margin(s(3_600));
    let world = World::with(hour, |client| client);
    world.sign_in(lasting(&world, 0, s(100)));
    world.pass(s(79));
    served(&world, "T0");
    assert_eq!(world.refresher.calls(), 0);
    world.pass(s(10));
    served(&world, "T0");
    assert_eq!(world.refresher.calls(), 1, "in the soft window");
    world.pass(s(1));
    let waiting = world.get("/");
    assert!(!waiting.is_finished() && world.api.calls() == 2, "expired");

    let world = rotating(hour, |n, now| numbered(n).with_expires_in(s(100), now));
    let calls = busy(&world, s(1), s(1_000));
    assert!((10..=12).contains(&calls), "one in 80 to 90 seconds: {calls}");
}

/// P3: Where the margin reaches into the soft window, there is none: the token is refreshed when it counts as expired, and
/// not before.
#[test]
fn a_margin_longer_than_the_soft_window_leaves_none() {
    let world = World::with(|session| session.expiry_margin(s(3_600)).soft_window(s(60)), |client| client);
    world.sign_in(lasting(&world, 0, LIFETIME));

    world.pass(s(899));
    served(&world, "T0");
    assert_eq!(world.refresher.calls(), 0);
    world.pass(s(1));
    let waiting = world.get("/");

    assert_eq!((world.refresher.calls(), world.api.calls()), (1, 1));
    assert!(!waiting.is_finished());
}

/// P3: Tokens that live for a second are refreshed once in a second, however many requests come.
#[test]
fn a_lifetime_of_a_second_is_one_refresh_in_a_second() {
    let world = rotating(|session| session, |n, now| numbered(n).with_expires_in(s(1), now));

    let calls = busy(&world, Duration::from_millis(7), s(20));

    assert!((20..=25).contains(&calls), "each is used for 800 ms at least: {calls}");
    assert!(world.bearers().iter().all(|bearer| bearer.starts_with('T')));
}

/// P3: A lifetime of nothing, and one that nobody can live to see, are refreshed by no request.
#[test]
fn lifetimes_of_nothing_and_of_for_ever_are_not_refreshed() {
    for lifetime in [Duration::ZERO, Duration::MAX, s(u64::MAX / 4), s(1 << 40)] {
        let world = rotating(|session| session, move |n, now| numbered(n).with_expires_in(lifetime, now));

        assert_eq!(busy(&world, s(86_400), s(100 * 86_400)), 0, "{lifetime:?}");
        let forced = world.runtime.block_on(world.session.refresh(None)).unwrap();
        assert_eq!(forced.header().1, "Bearer T1");
        assert_eq!(busy(&world, s(86_400), s(100 * 86_400)), 0, "{lifetime:?}, from the token endpoint");
    }
}

/// P3: Whatever the lifetime, the margin and the window: no token is refreshed before most of what it was granted for has
/// passed.
#[test]
fn no_setting_makes_a_new_token_stale() {
    let lifetimes = [1, 10, 100, 1_000, 100_000, 10_000_000_000];
    let settings = [0, 1, 5, 1_000, u64::MAX];
    for lifetime in lifetimes.map(Duration::from_millis) {
        for margin in settings.map(s) {
            for window in settings.map(s) {
                let world = rotating(
                    |session| session.expiry_margin(margin).soft_window(window),
                    move |n, now| numbered(n).with_expires_in(lifetime, now),
                );
                drop(world.runtime.block_on(world.session.refresh(None)).unwrap());
                for _ in 0..5 {
                    world.pass(lifetime.mul_f64(0.79) / 5);
                    assert_eq!(status(&world.get("/")), 200);
                }
                assert_eq!(world.refresher.calls(), 1, "{lifetime:?} {margin:?} {window:?}");
            }
        }
    }
}

/// P3, F7: A refresher may bring a token that was issued a while ago, from a server that gives the same one for as long as
/// it lives: its margins are fractions of what is left. It is not refreshed for each request, nor for each call that wants
/// it for longer.
#[test]
fn a_token_that_was_issued_a_while_ago_is_not_stale_at_once() {
    let world = World::new();
    world.api.answer_with(|_| response(200));
    let issued = world.runtime.now();
    let same = move || numbered(0).with_expires_in(LIFETIME, issued);
    world.sign_in(same());
    world.refresher.answer_with(move |_| Ok(same()));
    world.pass(SOFT);

    let calls = busy(&world, Duration::from_millis(500), LIFETIME - SOFT - s(1));
    assert!((1..=5).contains(&calls), "at four fifths of what is left each time: {calls}");

    let world = softening();
    world.refresher.answer_with(move |_| Ok(numbered(1).with_expires_in(LIFETIME, issued)));
    for _ in 0..10 {
        let token = world.runtime.block_on(world.session.access_token(s(500))).unwrap();
        assert_eq!(token.reveal(), "T1");
    }
    assert_eq!(world.refresher.calls(), 1);
}

/// P3: The same from a server that says what is left of it each time.
#[test]
fn a_server_that_gives_the_same_token_for_as_long_as_it_lives_is_asked_now_and_then() {
    let world = World::new();
    world.api.answer_with(|_| response(200));
    let (runtime, issued) = (world.runtime.clone(), world.runtime.now());
    let same = move || {
        let age = runtime.now().duration_since(issued).unwrap();
        numbered(0).with_expires_in(LIFETIME.saturating_sub(age), runtime.now())
    };
    world.sign_in(same());
    world.refresher.answer_with(move |_| Ok(same()));

    let calls = busy(&world, Duration::from_millis(500), LIFETIME - s(1));

    assert!((2..=6).contains(&calls), "{calls}");
}
