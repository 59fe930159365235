//! Whole sessions on every schedule: storms, late 401s, identities that change.

use std::sync::Arc;

use super::check::check;
use super::chronicle::Left;
use super::scene::Scene;
use super::world::{chance, sometime};
use crate::ErrorKind;

/// C1, C3, C4, D1, invariants 1 to 6: however the requests meet, one refresh, and everybody starts again in order.
#[test]
fn a_storm_is_one_refresh() {
    check(400, |world| {
        let scene = Scene::signed_in(world);
        scene.server.expire(0);
        let stamp = scene.session.core().published().unwrap().stamp;
        for name in ["one", "two", "three"] {
            scene.caller(name, &[]);
        }
        let other = Arc::clone(&scene);
        world.caller("another way", async move {
            let lease = match chance(3) {
                0 => other.session.refresh(Some(stamp)).await.map(drop),
                1 => other.session.reject(stamp),
                _ => other.session.recover(stamp).await.map(drop),
            };
            other.world.claim(lease.is_ok(), || format!("{lease:?}"));
        });

        world.settle();

        assert_eq!(scene.server.refreshes(0), 1, "one refresh, however many ask");
        scene.at_rest();
    });
}

/// I1, I4, I5: whoever is dropped, at whatever time, the others settle, and the refresh is kept.
#[test]
fn whoever_is_dropped_takes_nobody_along() {
    check(400, |world| {
        let scene = Scene::signed_in(world);
        scene.server.expire(0);
        for name in ["one", "two", "three", "four"] {
            if chance(2) == 0 { scene.caller(name, &[]) } else { scene.passer_by(name, &[]) }
        }

        world.settle();

        assert!(scene.server.refreshes(0) <= 1);
        scene.at_rest();
    });
}

/// C8, D1b: tokens are rejected again and again, and 401s come late.
#[test]
fn late_rejections_refresh_nothing_twice() {
    check(300, |world| {
        let scene = Scene::signed_in(world);
        for name in ["one", "two", "three"] {
            let scene = Arc::clone(&scene);
            world.caller(name, async move {
                for _ in 0..2 {
                    scene.request_or(&[]).await;
                }
            });
        }
        let server = Arc::clone(&scene.server);
        world.caller("the server", async move {
            for _ in 0..2 {
                sometime().await;
                server.expire(0);
            }
        });

        world.settle();

        assert!(scene.server.refreshes(0) <= 2, "a refresh for each rejected token");
        scene.at_rest();
    });
}

/// H1, H3, H4, H5, H6, invariant 4: sign-out and sign-in at any step of a refresh.
#[test]
fn identities_are_never_mixed_up() {
    const LEFT: &[ErrorKind] = &[ErrorKind::SignedOut, ErrorKind::SessionChanged];
    check(600, |world| {
        let scene = Scene::signed_in(world);
        scene.server.expire(0);
        for name in ["one", "two"] {
            scene.caller(name, LEFT);
        }
        scene.passer_by("three", LEFT);
        if chance(3) > 0 {
            let other = Arc::clone(&scene);
            world.caller("sign-out", async move {
                other.server.while_refreshing(0).await;
                let written = other.session.sign_out();
                if chance(2) == 0 {
                    let written = written.await;
                    other.world.claim(written.is_ok(), || format!("{written:?}"));
                }
            });
        }
        if chance(3) > 0 {
            let other = Arc::clone(&scene);
            world.caller("sign-in", async move {
                other.server.while_refreshing(0).await;
                let tokens = other.server.sign_in(1);
                let written = other.session.sign_in(tokens);
                if chance(2) == 0 {
                    let written = written.await;
                    other.world.claim(written.is_ok(), || format!("{written:?}"));
                }
                other.caller("as another", LEFT);
            });
        }

        world.settle();

        nobody_is_left_signed_in(&scene);
        scene.at_rest();
    });
}

/// H3: what was signed out was offered for revocation, and so was what a refresh brought for nobody: its newest token.
fn nobody_is_left_signed_in(scene: &Scene) {
    for (user, sign_in) in (0..).zip(scene.chronicle.sign_ins()) {
        let live = scene.server.newest(user);
        let discarded = match sign_in.left {
            None => false,
            Some(Left::SignedOut) => true,
            Some(Left::Replaced) => live.generation > sign_in.generation,
        };
        assert!(
            !discarded || scene.server.was_offered(live),
            "{live:?} is nobody's, and was not offered: {sign_in:?}"
        );
    }
}
