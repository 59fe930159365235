//! Events: each is told at its level, in its order, with its fields.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{Event, RefreshError, Session};
use auth_testkit::{ManualRuntime, Op, ScriptedRefresher, numbered};
use tracing::Level;

use crate::life;
use crate::recorder::{Recorder, Told};
use crate::world::{World, error, status};

/// What a subscriber is to see of this event.
fn line(event: &Event) -> (Level, &'static str) {
    match event {
        Event::Loaded { .. } => (Level::DEBUG, "the store was read"),
        Event::SignedIn { .. } => (Level::INFO, "signed in"),
        Event::SignedOut { .. } => (Level::INFO, "signed out"),
        Event::IdentityChanged { .. } => (Level::INFO, "somebody else was signed in elsewhere"),
        Event::RefreshStarted { .. } => (Level::DEBUG, "refreshing"),
        Event::AttemptFailed { .. } => (Level::WARN, "a token request failed"),
        Event::Saved => (Level::DEBUG, "the store was written"),
        Event::SaveFailed { .. } => (Level::WARN, "the store could not be written"),
        Event::WrittenUnlocked => (Level::WARN, "the store was written without its lock"),
        Event::Refreshed { .. } => (Level::INFO, "refreshed"),
        Event::RefreshFailed { .. } => (Level::WARN, "the refresh failed"),
        Event::Draining => (Level::WARN, "the session will end with its access token"),
        Event::Ended(_) => (Level::WARN, "the session has ended"),
        Event::Replayed { .. } => (Level::DEBUG, "a request is sent again"),
        Event::QueueOpened { .. } => (Level::WARN, "a request in line was not polled: the others go on"),
        _ => panic!("{event:?} is not told"),
    }
}

const KINDS: usize = 15;

/// O1: a subscriber is told every event that a listener is told, in the same order.
#[test]
fn each_event_is_told_at_its_level_and_in_its_order() {
    let recorder = Recorder::default();

    let (events, _) = recorder.during(life::live);

    let expected: Vec<_> = events.iter().map(line).collect();
    let told = recorder.events();
    let seen: Vec<_> = told.iter().map(|told| (told.level, told.name.as_str())).collect();
    assert_eq!(seen, expected);
    let mut kinds: Vec<_> = expected.iter().map(|(_, name)| *name).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), KINDS, "every kind of event has happened: {kinds:?}");
    assert!(told.iter().all(|told| told.target == "auth_core" && told.parent.is_none()));
}

#[test]
fn a_subscriber_is_told_where_nobody_else_listens() {
    let (recorder, runtime) = (Recorder::default(), ManualRuntime::new());
    let (refresher, _) = ScriptedRefresher::rotating();
    let session = Session::builder(refresher).runtime(runtime.clone()).build();

    recorder.during(|| {
        runtime.block_on(session.sign_in(numbered(0))).unwrap();
        runtime.block_on(session.refresh(None)).unwrap();
        runtime.run_until_stalled();
    });

    let told: Vec<_> = recorder.events().into_iter().map(|told| told.name).collect();
    let saved = "the store was written";
    assert_eq!(told, ["signed in", saved, "refreshing", saved, "refreshed"]);
}

/// The event of that message.
#[track_caller]
fn find(told: &[Told], message: &str) -> Told {
    told.iter().find(|told| told.name == message).unwrap_or_else(|| panic!("{message} is missing")).clone()
}

#[test]
fn the_fields_say_what_the_event_says() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = World::signed_in();
        let waiting = world.rejected("/1");
        let call = world.refresher.try_next().unwrap();
        call.fail(RefreshError::unavailable("503"));
        world.pass(Duration::from_millis(250));
        world.refresh_answers(numbered(1));
        world.api_answers(200);
        assert_eq!(status(&waiting), 200);
        world.store.fail_next(Op::Clear, 2);
        world.runtime.block_on(world.session.sign_out()).unwrap_err();
        world.sign_in(numbered(5));
        let ended = world.rejected("/2");
        world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
        world.settle();
        error(&ended);
    });

    let told = recorder.events();
    let session = find(&told, "signed in").field("session").to_owned();
    assert!(told.iter().all(|told| told.field("session") == session));
    let refreshed = find(&told, "refreshed");
    let flight = refreshed.field("flight").to_owned();
    assert_eq!(find(&told, "refreshing").field("flight"), flight);
    assert_eq!(find(&told, "refreshing").field("cause"), "Rejected");
    let failed = find(&told, "a token request failed");
    assert_eq!((failed.field("flight"), failed.field("attempt")), (flight.as_str(), "1"));
    assert_eq!(failed.field("kind"), "refresh_unavailable");
    assert!(failed.field("error").ends_with(": 503"), "with its causes: {failed:?}");
    let values = ["cause", "adopted", "unchanged", "epoch", "generation", "waiters", "took_ms"];
    assert_eq!(
        values.map(|name| refreshed.field(name)),
        ["Rejected", "false", "false", "1", "1", "1", "250"]
    );
    let replayed = find(&told, "a request is sent again");
    assert_eq!((replayed.field("flight"), replayed.field("ticket")), (flight.as_str(), "0"));
    assert_eq!(find(&told, "the store could not be written").field("kind"), "store");
    let failed = find(&told, "the refresh failed");
    assert_eq!((failed.field("kind"), failed.field("waiters")), ("session_ended", "1"));
    assert_eq!(find(&told, "the session has ended").field("reason"), "Rejected");
}

/// Two sessions of a program can be told apart.
#[test]
fn each_session_has_a_number() {
    let recorder = Recorder::default();

    recorder.during(|| {
        World::signed_in().settle();
        World::signed_in().settle();
    });

    let numbers: Vec<_> = recorder.events().iter().map(|told| told.field("session").to_owned()).collect();
    assert_eq!(numbers.len(), 4);
    assert!(numbers[0] == numbers[1] && numbers[2] == numbers[3] && numbers[1] != numbers[2], "{numbers:?}");
}

/// O4: a subscriber is called under no lock: it may use the session from every one of its calls.
#[test]
fn a_subscriber_may_use_the_session() {
    let (recorder, calls) = (Recorder::default(), Arc::new(Mutex::new(Vec::new())));
    let (subscriber, seen) = (recorder.clone(), Arc::clone(&calls));

    let lived = on_a_thread(move || {
        let world = World::new();
        let session: Session = world.session.clone();
        subscriber.on_call(move |method| {
            let _ = (session.state(), session.counters());
            seen.lock().unwrap().push(method);
        });
        subscriber.during(|| {
            world.sign_in(numbered(0));
            let waiting = world.rejected("/1");
            world.refresh_answers(numbered(1));
            world.api_answers(200);
            assert_eq!(status(&waiting), 200);
            drop(world.session.sign_out());
            world.settle();
        });
    });

    assert!(lived, "a lock is held while a subscriber is called");
    let calls = calls.lock().unwrap();
    for method in ["new_span", "enter", "exit", "record", "event", "try_close"] {
        assert!(calls.contains(&method), "{method} was not called: {calls:?}");
    }
}

/// O4: a subscriber that panics when it is told of an event, or of a refresh's outcome, harms nobody.
#[test]
fn a_subscriber_that_panics_misses_an_event_and_nothing_else() {
    let recorder = Recorder::default();
    recorder.on_call(|method| assert!(!["event", "record"].contains(&method), "this subscriber panics"));

    let events = recorder.during(|| {
        let world = World::signed_in();
        let waiting = world.rejected("/1");
        world.refresh_answers(numbered(1));
        world.api_answers(200);
        assert_eq!(status(&waiting), 200);
        assert_eq!(world.runtime.panicked(), 0);
        world.events()
    });

    assert_eq!(events.len(), 6, "the listener was told: {events:?}");
    assert!(recorder.events().is_empty());
}

/// Whether this comes to its end within a minute.
fn on_a_thread(work: impl FnOnce() + Send + 'static) -> bool {
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    wait.recv_timeout(Duration::from_secs(60)).is_ok()
}
