//! Late rejections: a 401 for a token that has been replaced.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{Attempt, ErrorKind, Event, RefreshError, SessionState, Tokens, Unchanged};
use auth_testkit::{numbered, response, rotating};

use crate::world::{World, error, status};

/// D1: The 401 to a request sent with T0 comes after the refresh to T1 has ended: it is replayed at once with T1, without a
/// place in a queue and without a second refresh.
#[test]
fn late_401_replays_without_a_second_refresh() {
    let world = World::signed_in();
    let late = world.get("/late");
    let late_call = world.next_call();
    let early = world.rejected("/early");
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&early), 200);
    world.pass(Duration::from_secs(60));

    late_call.respond(401);
    world.settle();

    let replay = world.next_call();
    assert_eq!(replay.bearer(), Some("T1"));
    let attempt = replay.request().extensions().get::<Attempt>().unwrap();
    assert_eq!((attempt.number, attempt.ticket, attempt.flight), (2, None, None));
    replay.respond(200);
    world.settle();
    assert_eq!(status(&late), 200);
    assert_eq!(world.refresher.presented(), ["R0"]);
    assert_eq!(world.bearers(), ["T0", "T0", "T1", "T1"]);
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(world.stored().as_deref(), Some("T1"));
}

/// D1: However many come late, and from however long ago.
#[test]
fn many_late_401s_from_several_generations_refresh_nothing() {
    let world = World::signed_in();
    let mut late = Vec::new();
    for generation in 0..3 {
        let requests: Vec<_> = (0..4).map(|n| world.get(&format!("/late/{generation}/{n}"))).collect();
        late.extend(requests.into_iter().map(|request| (request, world.next_call())));
        let rejected = world.rejected("/rejected");
        world.refresh_answers(numbered(generation + 1));
        world.api_answers(200);
        assert_eq!(status(&rejected), 200);
    }

    for (request, call) in late.into_iter().rev() {
        call.respond(401);
        world.settle();
        assert_eq!(world.api_answers(200).as_deref(), Some("T3"));
        assert_eq!(status(&request), 200);
    }

    assert_eq!(world.refresher.presented(), ["R0", "R1", "R2"]);
}

/// D1b: A late 401 for T0, while T1 is rejected as well and being replaced, waits for T2: its one replay is not spent on T1.
#[test]
fn late_401_waits_where_the_newer_token_is_rejected_too() {
    let world = World::signed_in();
    let late = world.get("/late");
    let late_call = world.next_call();
    let early = world.rejected("/early");
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&early), 200);
    let rejected = world.rejected("/rejected");

    late_call.respond(401);
    world.settle();
    assert!(!late.is_finished());
    assert_eq!(world.api.calls(), 4, "it is not sent with T1");
    world.refresh_answers(numbered(2));
    assert_eq!(world.api_answers(200).as_deref(), Some("T2"));
    assert_eq!(world.api_answers(200).as_deref(), Some("T2"));

    assert_eq!(status(&rejected), 200);
    assert_eq!(status(&late), 200);
    assert_eq!(world.bearers(), ["T0", "T0", "T1", "T1", "T2", "T2"]);
    assert_eq!(world.refresher.presented(), ["R0", "R1"]);
}

/// A server that rotates refresh tokens, and revokes the whole family when one is presented twice.
#[derive(Default)]
struct Family {
    spent: BTreeSet<String>,
    revoked: bool,
}

impl Family {
    fn exchange(&mut self, current: &Tokens) -> Result<Tokens, RefreshError> {
        let fresh = self.spent.insert(current.refresh_token().unwrap().reveal().to_owned());
        self.revoked |= !fresh;
        if self.revoked { Err(RefreshError::rejected("invalid_grant")) } else { rotating(current) }
    }
}

/// D2: The same against a server that revokes the family when a refresh token is seen twice: the session survives any
/// order of late 401s.
#[test]
fn late_401s_do_not_cost_the_session_its_token_family() {
    let world = World::signed_in();
    let family = Arc::new(Mutex::new(Family::default()));
    let endpoint = Arc::clone(&family);
    world.refresher.answer_with(move |current| endpoint.lock().unwrap().exchange(current));

    // Each round: six are sent, two are rejected early and refresh, the others late, some of them rounds later.
    let mut late = Vec::new();
    let mut ended = Vec::new();
    for round in 0..6_usize {
        let requests: Vec<_> = (0..6).map(|n| world.get(&format!("/{round}/{n}"))).collect();
        let mut calls: Vec<_> = requests.into_iter().map(|request| (request, world.next_call())).collect();
        for (request, call) in calls.drain(..2) {
            call.respond(401);
            world.settle();
            ended.push(request);
        }
        late.extend(calls);
        for _ in 0..round.min(late.len()) {
            let (request, call) = late.swap_remove((round * 7) % late.len());
            call.respond(401);
            world.settle();
            ended.push(request);
        }
        while let Some(replay) = world.api.try_next() {
            replay.respond(200);
            world.settle();
        }
        world.pass(Duration::from_secs(10));
    }

    let newest = world.refresher.calls();
    assert!(ended.iter().all(|request| status(request) == 200));
    assert!(!family.lock().unwrap().revoked);
    assert_eq!(world.refresher.presented(), (0..newest).map(|n| format!("R{n}")).collect::<Vec<_>>());
    assert_eq!(newest, 6, "one a round");
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(world.stored(), Some(format!("T{newest}")));
    assert!(!world.events().iter().any(|event| matches!(event, Event::Ended(_) | Event::Draining)));
}

/// D3, D4: A late 401 for T0 in the cooldown of the failed refresh gets that failure, and starts no second one; signing in
/// again clears it.
#[test]
fn late_401_after_a_failed_refresh_gets_the_same_failure() {
    let world = World::signed_in();
    let late = [world.get("/late"), world.get("/later")];
    let [first_call, second_call] = [world.next_call(), world.next_call()];
    let early = world.rejected("/early");
    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("down"));
    world.settle();
    let failure = error(&early);

    for call in [first_call, second_call] {
        call.respond(401);
        world.settle();
    }

    for request in &late {
        let error = error(request);
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert_eq!(error.response().unwrap().status, 401);
        assert!(std::ptr::addr_eq(error.source().unwrap(), failure.source().unwrap()), "the same cause");
    }
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.api.calls(), 3, "nothing is replayed");
    assert_eq!(world.session.state(), SessionState::Active);

    world.sign_in(numbered(7));
    let rejected = world.rejected("/again");
    assert_eq!(world.refresher.calls(), 2, "no cooldown is left");
    world.refresh_answers(numbered(8));
    assert_eq!(world.api_answers(200).as_deref(), Some("T8"));
    assert_eq!(status(&rejected), 200);
    assert_eq!(world.refresher.presented(), ["R0", "R7"]);
}

/// D4: A late 401 for a token of before the new sign-in is not the new sign-in's: it is not replayed, and refreshes
/// nothing.
#[test]
fn late_401_of_before_the_sign_in_clears_nothing_and_costs_nothing() {
    let world = World::signed_in();
    let late = world.get("/late");
    let late_call = world.next_call();
    world.sign_in(numbered(7));

    late_call.respond(401);
    world.settle();

    let error = error(&late);
    assert_eq!(error.kind(), ErrorKind::SessionChanged);
    assert_eq!(error.response().unwrap().status, 401);
    assert_eq!((world.refresher.calls(), world.api.calls()), (0, 1));
    assert_eq!(world.stored().as_deref(), Some("T7"));
}

/// D5: The refresh gives the same access token again: one replay, then the 401 as it is, marked as unchanged; no second
/// refresh for this request, and none for a late one.
#[test]
fn an_unchanged_token_is_replayed_once_and_reported() {
    let world = World::signed_in();
    let before = world.runtime.block_on(world.session.lease()).unwrap().stamp();
    let late = world.get("/late");
    let late_call = world.next_call();
    let rejected = world.rejected("/rejected");

    world.refresh_answers(Tokens::new("T0").unwrap().with_refresh_token("R1"));
    assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
    late_call.respond(401);
    world.settle();
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"), "by its stamp it is late");

    let answer = rejected.take().unwrap().unwrap();
    assert_eq!(answer.status(), 401);
    assert!(answer.extensions().get::<Unchanged>().is_some());
    let answer = late.take().unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.extensions().get::<Unchanged>().is_some());
    assert_eq!(world.api.calls(), 4);
    assert_eq!(world.refresher.presented(), ["R0"]);
    let refreshed = |event: &Event| match event {
        Event::Refreshed { unchanged, stamp, adopted: false, .. } => Some((*unchanged, stamp.generation)),
        _ => None,
    };
    assert_eq!(world.events().iter().filter_map(refreshed).collect::<Vec<_>>(), [(true, 1)]);
    let lease = world.runtime.block_on(world.session.lease()).unwrap();
    assert!(lease.is_unchanged_since(before));
    let stored = world.store.content().unwrap();
    assert_eq!(stored.refresh_token().unwrap().reveal(), "R1", "what has changed is kept");
}

/// D5: What is new is not marked, and neither is a request that has not been replayed.
#[test]
fn a_changed_token_is_not_reported_as_unchanged() {
    let world = World::signed_in();
    let rejected = world.rejected("/rejected");
    world.refresh_answers(numbered(1));
    world.api_answers(401);
    let replayed = rejected.take().unwrap().unwrap();

    let other = world.rejected("/other");
    world.refresh_answers(Tokens::new("T1").unwrap());
    world.api_answers(200);
    drop(other);
    let new = world.get("/new");
    world.api_answers(200);

    assert!(replayed.extensions().get::<Unchanged>().is_none());
    assert!(new.take().unwrap().unwrap().extensions().get::<Unchanged>().is_none());
}

/// D10: `recover`, `refresh` and `reject` with an old stamp bring the current lease, or nothing, and leave it as it is.
#[test]
fn an_old_stamp_does_nothing_to_the_current_lease() {
    let world = World::signed_in();
    let session = world.session.clone();
    let old = world.runtime.block_on(session.lease()).unwrap().stamp();
    for generation in 1..=2 {
        let rejected = world.rejected("/");
        world.refresh_answers(numbered(generation));
        world.api_answers(200);
        assert_eq!(status(&rejected), 200);
    }
    let current = world.runtime.block_on(session.lease()).unwrap().stamp();
    let events = world.events().len();

    let recovered = world.runtime.block_on(session.recover(old)).unwrap();
    let refreshed = world.runtime.block_on(session.refresh(Some(old))).unwrap();
    session.reject(old).unwrap();
    world.settle();

    assert_eq!(current.generation, 2);
    for lease in [recovered.into_lease(), refreshed] {
        assert_eq!(lease.stamp(), current);
        assert_eq!(lease.header().1, "Bearer T2");
    }
    assert_eq!(world.refresher.calls(), 2);
    assert_eq!(world.session.state(), SessionState::Active);
    assert_eq!(world.events().len(), events, "nothing happened");
    world.api.answer_with(|_| response(200));
    assert_eq!(status(&world.get("/next")), 200);
    assert_eq!(world.bearers().last().map(String::as_str), Some("T2"));
}
