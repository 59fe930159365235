//! Expired tokens: the callers of typed calls never see them.

use std::time::Duration;

use auth_core::TransportError;
use notes_sdk::{NewNote, NoteId};

use crate::world::{World, result};

#[test]
fn a_storm_of_calls_is_one_refresh_and_each_has_its_answer() {
    let world = World::signed_in();
    let create = |n: u64| {
        move |notes: crate::world::Client| async move {
            notes.create(&NewNote { title: format!("note {n}"), text: String::new() }).await
        }
    };
    let calls: Vec<_> = (0..100).map(|n| world.start(create(n))).collect();
    for _ in 0..100 {
        assert_eq!(world.api_answers(401), "T0");
    }

    world.refreshes(0);
    for _ in 0..100 {
        assert_eq!(world.api_answers(200), "T1");
    }

    for (n, call) in calls.iter().enumerate() {
        let note = result(call).unwrap();
        assert_eq!((note.id, note.title), (NoteId(n as u64 + 1), format!("note {n}")), "in their order");
    }
    assert_eq!(world.network.calls(), 201, "one of them a refresh");
}

#[test]
fn a_late_401_is_replayed_without_a_second_refresh() {
    let world = World::signed_in();
    let late = world.list();
    let late_call = world.api();
    let early = world.list();
    world.api_answers(401);
    world.refreshes(0);
    world.api_answers(200);
    assert!(result(&early).is_ok());

    world.answer(late_call, 401, ());

    assert_eq!(world.api_answers(200), "T1");
    assert!(result(&late).is_ok());
    assert_eq!(world.bearers(), ["T0", "T0", "T1", "T1"]);
}

/// The token server grants the first request within its grace, or has never seen it: nobody is signed out.
#[test]
fn a_refresh_whose_answer_is_lost_is_asked_for_again() {
    let world = World::signed_in();
    let call = world.list();
    world.api_answers(401);

    let (lost, _) = world.login("/token");
    lost.fail(TransportError::new("connection reset").maybe_sent());
    world.runtime.advance(Duration::from_secs(1));
    world.refreshes(0);
    world.api_answers(200);

    assert!(result(&call).unwrap().is_empty());
    assert_eq!(world.ended(), []);
}

/// The lifetime counts by the session's own clock: after it the token is refreshed before it is sent.
#[test]
fn a_token_that_has_expired_by_the_clock_is_not_even_sent() {
    let world = World::signed_in();
    let first = world.list();
    world.api_answers(401);
    world.refreshes(0);
    world.api_answers(200);
    assert!(result(&first).is_ok());
    world.runtime.advance(Duration::from_secs(3600));

    let call = world.list();
    world.refreshes(1);
    world.api_answers(200);

    assert!(result(&call).is_ok());
    assert_eq!(world.bearers(), ["T0", "T1", "T2"]);
}
