//! What events tell of a flight: its cause, how long it took, how many waited; and who is told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use auth_core::{Cause, FlightId, Observer};

use super::*;

/// Each flight's end: its id, its cause, how many waited, how long it took, and whether it brought new tokens.
type End = (FlightId, Cause, usize, Duration, bool);

fn ends(world: &World) -> Vec<End> {
    let end = |event: Event| match event {
        Event::Refreshed { flight, cause, waiters, took, .. } => Some((flight, cause, waiters, took, true)),
        Event::RefreshFailed { flight, cause, waiters, took, .. } => {
            Some((flight, cause, waiters, took, false))
        }
        _ => None,
    };
    world.events().into_iter().filter_map(end).collect()
}

fn starts(world: &World) -> Vec<(FlightId, Cause)> {
    let start = |event: Event| match event {
        Event::RefreshStarted { flight, cause } => Some((flight, cause)),
        _ => None,
    };
    world.events().into_iter().filter_map(start).collect()
}

#[track_caller]
fn last(world: &World) -> (Cause, usize, Duration, bool) {
    let (_, cause, waiters, took, good) = *ends(world).last().expect("a flight has ended");
    (cause, waiters, took, good)
}

/// O7: Every flight says why it was started, when it starts and when it ends, well or not: ahead of time, because of a
/// rejection, or because somebody insisted.
#[test]
fn the_cause_is_told_at_both_ends() {
    type Start = fn(&Counted);
    let causes: [(&str, Start, Cause); 7] = [
        ("soft window", |world| (world.pass(s(830)), drop(world.get("/"))).1, Cause::Proactive),
        ("expired", |world| (world.pass(s(995)), drop(world.get("/"))).1, Cause::Proactive),
        (
            "wanted for longer",
            |world| {
                let session = world.session.clone();
                drop(world.runtime.start(async move { session.access_token(s(999)).await.map(|_| ()) }));
                world.settle();
            },
            Cause::Proactive,
        ),
        ("timer", |world| world.pass(s(830)), Cause::Proactive),
        ("rejected", |world| drop(world.rejected("/")), Cause::Rejected),
        ("told", |world| world.session.reject(world.stamp()).unwrap(), Cause::Rejected),
        ("forced", |world| drop(world.forced()), Cause::Forced),
    ];
    for (name, start, cause) in causes {
        for good in [true, false] {
            let timer = name == "timer";
            let world =
                Counted::signed_in(|session| if timer { session.refresh_while_idle() } else { session });
            start(&world);
            world.settle();
            // What waits for more than it can have: this is its flight.
            if good {
                world.refresh_answers(world.lasting(1));
            } else {
                world.fails(RefreshError::misconfigured("down"));
            }

            let [(started, said)] = starts(&world)[..] else { panic!("{name}: one flight") };
            let [(ended, says, _, _, went)] = ends(&world)[..] else { panic!("{name}: and its end") };
            assert_eq!((started, said, went), (ended, cause, good), "{name}");
            assert_eq!(says, cause, "{name}");
        }
    }
}

/// O7: What joins a flight changes nothing of its cause.
#[test]
fn who_joins_does_not_change_the_cause() {
    let world = Counted::signed_in(|session| session);
    let forced = world.forced();
    let rejected = world.rejected("/");
    world.refresh_answers(world.lasting(1));

    assert!(forced.take().unwrap().is_ok());
    drop(rejected);
    assert_eq!(last(&world).0, Cause::Forced);
}

/// O6: What a flight took counts from its start to its end: its calls, its pauses, and the save.
#[test]
fn what_a_flight_took_is_told() {
    let world = Counted::signed_in(|session| session);
    world.pass(s(100));
    let rejected = world.rejected("/");
    world.pass(s(3));
    world.fails(RefreshError::unavailable("503"));
    world.pass(Duration::from_millis(250));
    world.store.hold(Op::Save);
    world.refresh_answers(world.lasting(1));
    world.pass(s(2));
    world.store.release_holds();
    world.settle();
    assert_eq!(last(&world), (Cause::Rejected, 1, Duration::from_millis(5_250), true));
    drop(rejected);

    let forced = world.forced();
    world.pass(s(4));
    world.fails(RefreshError::misconfigured("down"));
    assert_eq!(last(&world), (Cause::Forced, 0, s(4), false));
    drop(forced);

    let forced = world.forced();
    world.pass(s(5));
    world.sign_in(world.lasting(9));
    assert_eq!(last(&world), (Cause::Forced, 0, s(5), false));
    drop(forced);

    world.store.put_rotated(world.lasting(20));
    world.store.hold(Op::Load);
    let forced = world.forced();
    world.pass(s(1));
    world.store.release_holds();
    world.settle();
    assert_eq!(last(&world), (Cause::Forced, 0, s(1), true));
    assert!(forced.take().unwrap().is_ok());

    let forced = world.forced();
    drop(world.refresher.try_next());
    world.pass(s(15));
    drop(world.refresher.try_next());
    world.pass(s(100));
    assert_eq!(last(&world), (Cause::Forced, 0, s(30), false), "its deadline");
    drop(forced);
}

/// O6: Who waits is counted when the flight ends: those in line, without those that have left it, and without those that
/// only want to know what comes of it.
#[test]
fn how_many_waited_is_told() {
    for good in [true, false] {
        let world = Counted::signed_in(|session| session);
        let mut requests = vec![world.rejected("/0"), world.get("/1"), world.get("/2"), world.get("/3")];
        let forced = world.forced();
        requests.remove(1).cancel();
        world.session.reject(world.rejected_stamp()).unwrap();

        if good {
            world.refresh_answers(world.lasting(1));
        } else {
            world.fails(RefreshError::misconfigured("down"));
        }

        assert_eq!(last(&world), (Cause::Rejected, 3, Duration::ZERO, good));
        drop(forced);
    }
}

impl Counted {
    /// Of T0, while nobody is given a lease.
    fn rejected_stamp(&self) -> auth_core::Stamp {
        auth_core::Stamp { epoch: 1, generation: 0 }
    }
}

// --- observers ------------------------------------------------------------------------------------------------------------

/// Writes down who was told, of which kind of event.
#[derive(Clone)]
struct Notes {
    name: &'static str,
    book: Arc<Mutex<Vec<String>>>,
}

impl Observer for Notes {
    fn event(&self, event: &Event) {
        let kind = format!("{event:?}");
        let kind = kind.split([' ', '(', '{']).next().unwrap();
        self.book.lock().unwrap().push(format!("{}: {kind}", self.name));
    }
}

fn notes(book: &Arc<Mutex<Vec<String>>>, name: &'static str) -> Notes {
    Notes { name, book: Arc::clone(book) }
}

fn read(book: &Arc<Mutex<Vec<String>>>) -> Vec<String> {
    std::mem::take(&mut book.lock().unwrap())
}

/// Panics at every event.
struct Panics;

impl Observer for Panics {
    fn event(&self, _: &Event) {
        panic!("scripted");
    }
}

/// O4: Several observers are told of each event in the order in which they were named, one event after the other; one that
/// panics in between takes nothing from the rest, nor from the session. An `Arc`, a `Box` and a reference are observers,
/// and so is a closure.
#[test]
fn several_observers_are_told_in_order() {
    let book = Arc::new(Mutex::new(Vec::new()));
    let shared: Arc<dyn Observer> = Arc::new(notes(&book, "shared"));
    let also = Arc::clone(&shared);
    let boxed: Box<dyn Observer> = Box::new(notes(&book, "boxed"));
    let leaked: &'static Notes = Box::leak(Box::new(notes(&book, "static")));
    let closure = notes(&book, "closure");
    let world = Counted::new(|session| {
        session
            .observer(notes(&book, "first"))
            .observer(Panics)
            .observer(shared)
            .observer(boxed)
            .observer(Arc::new(Panics))
            .observer(leaked)
            .on_event(move |event| closure.event(event))
    });

    world.sign_in(world.lasting(0));
    world.settle();

    let all = ["first", "shared", "boxed", "static", "closure"];
    let expected: Vec<_> =
        ["SignedIn", "Saved"].iter().flat_map(|kind| all.map(|name| format!("{name}: {kind}"))).collect();
    assert_eq!(read(&book), expected);
    let rejected = world.rejected("/");
    world.refresh_answers(world.lasting(1));
    world.api_answers(200);
    assert_eq!(status(&rejected), 200);
    let kinds: Vec<_> = read(&book).into_iter().filter(|line| line.starts_with("first")).collect();
    assert_eq!(
        kinds,
        ["RefreshStarted", "Saved", "Refreshed", "Replayed"].map(|kind| format!("first: {kind}"))
    );
    drop(also);
}

/// O4: One observer may watch several sessions through an `Arc`.
#[test]
fn an_observer_may_be_shared_between_sessions() {
    let book = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::new(notes(&book, "shared"));
    let worlds = [
        Counted::new(|session| session.observer(Arc::clone(&shared))),
        Counted::new(|session| session.observer(Arc::clone(&shared))),
    ];

    for world in &worlds {
        world.sign_in(world.lasting(0));
        world.settle();
    }

    assert_eq!(read(&book), ["shared: SignedIn", "shared: Saved"].repeat(2));
}

/// O4: Events are told by a task of their own, one in each of its polls: an observer that takes long at each leaves room
/// for whatever else runs on its thread, the waiters first.
#[test]
fn a_slow_observer_leaves_room_for_others() {
    /// At each event it sees how many requests have been answered meanwhile, as if it took that long.
    struct Slow {
        answered: Arc<AtomicUsize>,
        seen: Arc<Mutex<Vec<(bool, usize)>>>,
    }
    impl Observer for Slow {
        fn event(&self, event: &Event) {
            let refreshed = matches!(event, Event::Refreshed { .. });
            self.seen.lock().unwrap().push((refreshed, self.answered.load(Ordering::SeqCst)));
        }
    }
    let (answered, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let slow = Slow { answered: Arc::clone(&answered), seen: Arc::clone(&seen) };
    let world = Counted::signed_in(|session| session.observer(slow));
    let requests: Vec<_> = (0..20).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in &requests {
        world.api_answers(401);
    }
    world.api.answer_with(move |_| {
        answered.fetch_add(1, Ordering::SeqCst);
        response(200)
    });
    seen.lock().unwrap().clear();

    world.refresh_answers(world.lasting(1));

    assert!(requests.iter().all(|request| status(request) == 200));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 22, "saved, refreshed, and a replay each");
    let progress: Vec<usize> = seen.iter().map(|(_, answered)| *answered).collect();
    assert!(progress.windows(2).any(|pair| pair[0] < pair[1]), "others ran between two events: {progress:?}");
    assert_eq!(seen.iter().filter(|(refreshed, _)| *refreshed).count(), 1);
}

/// O4: Without any observer nothing is told and nothing breaks; the counters count all the same.
#[test]
fn nobody_has_to_observe() {
    let (refresher, handle) = auth_testkit::ScriptedRefresher::rotating();
    let runtime = auth_testkit::ManualRuntime::new();
    let session = auth_core::Session::builder(refresher).runtime(runtime.clone()).build();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();

    runtime.block_on(session.refresh(None)).unwrap();

    assert_eq!((session.counters().refreshed, handle.calls()), (1, 1));
    runtime.run_until_stalled();
    assert_eq!(runtime.tasks(), 0);
}
