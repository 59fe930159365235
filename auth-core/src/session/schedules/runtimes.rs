//! Runtimes and deadlines on every schedule: a runtime that ends, one that is not driven, an answer at the last moment.

use std::sync::Arc;
use std::time::Duration;

use super::check::check;
use super::scene::Scene;
use super::server::Server;
use super::shelf::Shelf;
use super::world::{chance, sometime};
use crate::ErrorKind;

/// I14, invariant 6: the runtime ends at any time, its tasks with it. Nobody hangs, whatever he waits for.
#[test]
fn a_runtime_that_ends_frees_everybody() {
    const LOST: &[ErrorKind] = &[ErrorKind::RefreshUnavailable, ErrorKind::Store, ErrorKind::SignedOut];
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
        if chance(2) == 0 {
            let other = Arc::clone(&scene);
            world.caller("sign-out", async move {
                sometime().await;
                let written = other.session.sign_out().await.map_err(|error| error.kind());
                other
                    .world
                    .claim(matches!(written, Ok(()) | Err(ErrorKind::Store)), || format!("{written:?}"));
            });
        }
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
