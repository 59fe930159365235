//! Sessions in trouble on every schedule: refusals, first loads, deadlines, a store that several share, a runtime that ends.

use std::sync::Arc;
use std::time::Duration;

use super::check::check;
use super::scene::Scene;
use super::server::{Answer, Server, Token};
use super::shelf::Shelf;
use super::world::{chance, sometime};
use crate::{ErrorKind, Event, PersistFailure, SessionState};

/// C5, C6, G1, G6, invariant 8: the refresh token is dead. Everybody learns of it, the session ends once.
#[test]
fn a_refused_refresh_ends_the_session_once() {
    check(400, |world| {
        let scene = Scene::signed_in(world);
        scene.server.expire(0);
        scene.server.trouble([Answer::Refused; 9]);
        for name in ["one", "two", "three"] {
            scene.caller(name, &[ErrorKind::SessionEnded]);
        }
        scene.passer_by("four", &[ErrorKind::SessionEnded]);

        world.settle();

        assert!(matches!(scene.session.state(), SessionState::Ended(_)), "{:?}", scene.session.state());
        assert_eq!(scene.chronicle.count(|event| matches!(event, Event::Ended(_))), 1);
        assert_eq!(scene.server.calls(0), 1, "a dead token is presented once");
        scene.at_rest();
    });
}

/// C9, F8, G2: the token endpoint is down. One flight with its three calls, one error for all, and nobody tries again while it
/// cools down.
#[test]
fn a_failed_flight_is_everybodys() {
    check(300, |world| {
        let scene = Scene::signed_in(world);
        scene.server.expire(0);
        scene.server.trouble([Answer::Unavailable; 3]);
        for name in ["one", "two", "three"] {
            scene.caller(name, &[ErrorKind::RefreshUnavailable]);
        }
        scene.passer_by("four", &[ErrorKind::RefreshUnavailable]);

        world.settle_in_time();

        assert_eq!(scene.server.calls(0), 3);
        assert_eq!(scene.session.state(), SessionState::Active);
        scene.at_rest();
    });
}

/// C18: the first requests of a session share one load; a sign-in meanwhile wins; who is dropped takes nobody along.
#[test]
fn first_requests_share_one_load() {
    check(400, |world| {
        let server = Server::new(world);
        let stored = chance(2) == 0;
        let shelf = if stored { Shelf::with(world, server.sign_in(0)) } else { Shelf::new(world) };
        let acquires = (chance(2) == 0).then_some(0);
        let scene = Scene::new(world, &server, shelf, acquires, |builder| builder);
        let excused: &[_] = if stored || acquires.is_some() { &[] } else { &[ErrorKind::SignedOut] };
        for name in ["one", "two"] {
            scene.caller(name, excused);
        }
        scene.passer_by("three", excused);
        let signs_in = chance(2) == 0;
        if signs_in {
            let other = Arc::clone(&scene);
            world.caller("sign-in", async move {
                sometime().await;
                let written = other.session.sign_in(other.server.sign_in(1)).await;
                other.world.claim(written.is_ok(), || format!("{written:?}"));
            });
        }

        world.settle();

        if signs_in {
            let newest = scene.session.core().published().map(|newest| Token::of(&newest.tokens));
            assert_eq!(newest, Some(Token { user: 1, generation: 0 }), "a sign-in wins over what is loaded");
        }
        let loads = scene.chronicle.count(|event| matches!(event, Event::Loaded { .. }));
        assert!(loads <= 1);
        scene.at_rest();
    });
}

/// K5, K16, and the one refresh of all who share a store: they exclude each other, and adopt.
#[test]
fn sessions_on_one_store_make_one_refresh() {
    check(250, |world| {
        let server = Server::new(world);
        let shelf = Shelf::shared(world, server.sign_in(0));
        server.expire(0);
        let scenes = [(); 2].map(|()| Scene::new(world, &server, shelf.clone(), None, |builder| builder));
        for scene in &scenes {
            scene.caller("one", &[]);
            if chance(2) == 0 { scene.caller("two", &[]) } else { scene.passer_by("two", &[]) }
        }

        world.settle();

        assert_eq!(server.refreshes(0), 1, "one refresh, however many sessions ask");
        scenes.into_iter().for_each(Scene::at_rest);
    });
}

/// K2, K3: saves fail now and then. Nothing is released before that is known, nothing is forgotten, and no spent token is
/// presented.
#[test]
fn a_pair_that_cannot_be_saved_is_not_lost() {
    check(300, |world| {
        let server = Server::new(world);
        let continues = chance(2) == 0;
        let choice = if continues { PersistFailure::Continue } else { PersistFailure::Fail };
        let scene =
            Scene::new(world, &server, Shelf::new(world), None, |builder| builder.persist_failure(choice));
        drop(scene.session.sign_in(server.sign_in(0)));
        server.expire(0);
        scene.shelf.fail(chance(5) as usize);
        let excused: &[_] = if continues { &[] } else { &[ErrorKind::Store] };
        for name in ["one", "two", "three"] {
            let scene = Arc::clone(&scene);
            world.caller(name, async move {
                scene.request_or(excused).await;
            });
        }
        world.caller("the server", async move {
            sometime().await;
            server.expire(0);
        });

        world.settle_in_time();

        scene.chronicle.check(world);
    });
}

/// I14, invariant 6: the runtime ends at any time, its tasks with it. Nobody hangs.
#[test]
fn a_runtime_that_ends_frees_everybody() {
    const LOST: &[ErrorKind] = &[ErrorKind::RefreshUnavailable, ErrorKind::Store];
    check(500, |world| {
        let server = Server::new(world);
        let stored = chance(2) == 0;
        let scene = if stored {
            let shelf = Shelf::with(world, server.sign_in(0));
            Scene::new(world, &server, shelf, None, |builder| builder)
        } else {
            Scene::signed_in(world)
        };
        scene.server.expire(0);
        for name in ["one", "two", "three"] {
            scene.caller(name, LOST);
        }
        scene.passer_by("four", LOST);
        let other = Arc::clone(world);
        world.task(Box::pin(async move {
            sometime().await;
            other.shut_down();
        }));

        world.settle();
    });
}

/// I14: at any time the runtime is not driven any more. After the flight's deadline those who come next free everybody.
#[test]
fn on_a_forsaken_runtime_newcomers_free_everybody() {
    const LOST: &[ErrorKind] = &[ErrorKind::RefreshUnavailable];
    check(300, |world| {
        let scene = Scene::signed_in(world);
        scene.server.expire(0);
        for name in ["one", "two", "three"] {
            scene.caller(name, LOST);
        }
        let other = Arc::clone(world);
        world.task(Box::pin(async move {
            sometime().await;
            other.forsake();
        }));
        for name in ["a newcomer", "another"] {
            late(&scene, name, 31, LOST);
        }

        world.settle_in_time();

        assert!(world.elapsed() <= Duration::from_secs(31), "{:?}", world.elapsed());
        world.shut_down();
    });
}

/// I14, invariant 2: a runtime is not driven for a while, the session is used on another, and then the first one goes on: its
/// driver and its writer come back amid a new flight.
#[test]
fn whoever_comes_back_late_disturbs_nobody() {
    const LOST: &[ErrorKind] = &[ErrorKind::RefreshUnavailable];
    check(400, |world| {
        let scene = Scene::signed_in(world);
        scene.server.expire(0);
        scene.caller("one", LOST);
        scene.caller("two", LOST);
        let other = Arc::clone(world);
        world.task(Box::pin(async move {
            sometime().await;
            other.change_runtime();
        }));
        late(&scene, "who ends the flight", 31, LOST);
        late(&scene, "who starts another", 33, LOST);
        late(&scene, "who joins it", 33, LOST);
        let other = Arc::clone(world);
        world.caller("the first runtime", async move {
            other.sleep(Duration::from_secs(33)).await;
            sometime().await;
            other.resume();
        });

        world.settle_in_time();

        world.wait(Duration::from_secs(120));
        scene.at_rest();
    });
}

/// K7, K7b: two sessions on one store. One signs out, or in as somebody else, while the other refreshes: that wins, and the other
/// learns of it or has been faster.
#[test]
fn what_another_session_decides_wins() {
    const TOLD: &[ErrorKind] = &[ErrorKind::SessionEnded, ErrorKind::SessionChanged, ErrorKind::SignedOut];
    check(250, |world| {
        let server = Server::new(world);
        let shelf = Shelf::shared(world, server.sign_in(0));
        server.expire(0);
        let [one, two] = [(); 2].map(|()| Scene::new(world, &server, shelf.clone(), None, |builder| builder));
        one.caller("one", TOLD);
        two.caller("two", TOLD);
        let (decides, signs_in) = (Arc::clone(&one), chance(2) == 0);
        world.caller("a decision", async move {
            sometime().await;
            let written = if signs_in {
                decides.session.sign_in(decides.server.sign_in(1)).await
            } else {
                decides.session.sign_out().await
            };
            decides.world.claim(written.is_ok(), || format!("{written:?}"));
        });

        world.settle();

        assert_eq!(shelf.content(), signs_in.then_some(Token { user: 1, generation: 0 }));
        one.at_rest();
    });
}

/// I3, I7, I8: the answer comes as time runs out, with callers who look at the flight, others who are dropped, and a sign-out.
/// Everybody settles, two calls never present one token at once, and memory and store agree in the end.
#[test]
fn an_answer_at_the_last_moment_is_lost_or_kept() {
    const LATE: &[ErrorKind] =
        &[ErrorKind::RefreshUnavailable, ErrorKind::SignedOut, ErrorKind::SessionEnded];
    check(400, |world| {
        let scene = Scene::signed_in(world);
        scene.server.expire(0);
        scene.server.delay([15, 30, 30][chance(3) as usize]);
        for name in ["one", "two"] {
            scene.caller(name, LATE);
        }
        scene.passer_by("three", LATE);
        late(&scene, "four", [15, 30][chance(2) as usize], LATE);
        if chance(4) == 0 {
            let other = Arc::clone(&scene);
            world.caller("sign-out", async move {
                other.world.sleep(Duration::from_secs(30)).await;
                drop(other.session.sign_out());
            });
        }

        world.settle_in_time();

        world.wait(Duration::from_secs(120));
        scene.at_rest();
    });
}

/// A caller who comes after so many seconds.
fn late(scene: &Arc<Scene>, name: &'static str, seconds: u64, excused: &'static [ErrorKind]) {
    let other = Arc::clone(scene);
    scene.world.caller(name, async move {
        other.world.sleep(Duration::from_secs(seconds)).await;
        other.caller(name, excused);
    });
}
