//! Refusals and failures on every schedule.

use super::check::check;
use super::scene::Scene;
use super::server::Answer;
use crate::{ErrorKind, Event, SessionState};

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
