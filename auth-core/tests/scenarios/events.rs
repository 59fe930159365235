//! Events and states: what a listener and a watcher see; and sessions beside each other.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, SystemTime};

use auth_core::{
    AuthClient, Body, BoxFuture, Cause, EndReason, Error, ErrorKind, Event, FlightId, RefreshError, Runtime,
    Session, SessionBuilder, SessionState, Stamp, StoreError, Tokens, Watch,
};
use auth_testkit::{
    ManualRuntime, Op, RefresherHandle, Running, ScriptedRefresher, ScriptedStore, ScriptedTransport,
    TransportHandle, numbered,
};
use futures::{FutureExt as _, Stream, StreamExt as _};
use http::Request;

use crate::apart::Apart;
use crate::world::{Answer, ORIGIN, World, error, kind, status};

/// What the events say, in short.
fn told(events: &[Event]) -> Vec<String> {
    events.iter().map(line).collect()
}

fn line(event: &Event) -> String {
    match event {
        Event::Loaded { signed_in } => format!("loaded {signed_in}"),
        Event::LoadFailed { error } => format!("load failed: {}", error.kind().as_str()),
        Event::SignedIn { epoch } => format!("signed in {epoch}"),
        Event::SignedOut { epoch } => format!("signed out {epoch}"),
        Event::IdentityChanged { epoch } => format!("identity changed {epoch}"),
        Event::RefreshStarted { flight, cause } => format!("started {flight} {cause:?}"),
        Event::AttemptFailed { flight, attempt, error } => {
            format!("attempt {attempt} of {flight}: {}", error.kind().as_str())
        }
        Event::Saved => "saved".to_owned(),
        Event::SaveFailed { .. } => "save failed".to_owned(),
        Event::WrittenUnlocked => "written unlocked".to_owned(),
        Event::Refreshed { flight, stamp, waiters, .. } => {
            format!("refreshed {flight} to {}.{} for {waiters}", stamp.epoch, stamp.generation)
        }
        Event::RefreshFailed { flight, error, .. } => format!("failed {flight}: {}", error.kind().as_str()),
        Event::Draining => "draining".to_owned(),
        Event::Ended(ended) => format!("ended {:?}", ended.reason),
        Event::Replayed { flight, ticket } => match (flight, ticket) {
            (Some(flight), Some(ticket)) => format!("replayed {flight}/{ticket}"),
            _ => "replayed at once".to_owned(),
        },
        Event::QueueOpened { flight } => format!("opened {flight}"),
        _ => "another".to_owned(),
    }
}

/// The same, without what happened before.
fn told_since(world: &World, before: usize) -> Vec<String> {
    told(&world.events()[before..])
}

// --- events --------------------------------------------------------------------------------------------------------------

/// O1: a refresh is told in its order: started, saved, refreshed, and then the replays in theirs.
#[test]
fn a_refresh_is_told_in_order() {
    let world = World::signed_in();
    let before = world.events().len();
    let waiting: Vec<_> = (0..3).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in 0..3 {
        world.api_answers(401);
    }

    world.refresh_answers(numbered(1));
    for _ in 0..3 {
        world.api_answers(200);
    }

    assert!(waiting.iter().all(|request| status(request) == 200));
    assert_eq!(
        told_since(&world, before),
        [
            "started 1 Rejected",
            "saved",
            "refreshed 1 to 1.1 for 3",
            "replayed 1/0",
            "replayed 1/1",
            "replayed 1/2",
        ]
    );
}

/// O1: a listener that reads the store when it is told of new tokens sees the new pair there.
#[test]
fn a_listener_that_reads_the_store_sees_the_new_pair() {
    let (store, handle) = ScriptedStore::new();
    let (seen, reader) = (Arc::new(Mutex::new(Vec::new())), handle.clone());
    let notes = Arc::clone(&seen);
    let listener = move |event: &Event| {
        if matches!(event, Event::Saved | Event::Refreshed { .. }) {
            let stored = reader.content().map(|tokens| tokens.access_token().reveal().to_owned());
            notes.lock().unwrap().push((line(event), stored.unwrap_or_default()));
        }
    };
    let world = World::on(store, handle, |session| session.on_event(listener), |client| client);
    world.sign_in(numbered(0));
    let _waiting = world.rejected("/notes");
    world.settle();
    seen.lock().unwrap().clear();

    world.refresh_answers(numbered(1));

    let expected = [("saved", "T1"), ("refreshed 1 to 1.1 for 1", "T1")];
    assert_eq!(*seen.lock().unwrap(), expected.map(|(event, token)| (event.to_owned(), token.to_owned())));
}

/// O1: what comes before a refresh and after it is told as well: load, sign-in, failed attempts, sign-out.
#[test]
fn a_sessions_life_is_told_in_order() {
    let world = World::new();
    assert_eq!(kind(&world.get("/nobody")), ErrorKind::SignedOut);
    world.sign_in(numbered(0));
    let waiting = world.rejected("/notes");
    world.refresher.try_next().unwrap().fail(RefreshError::unavailable("503"));
    world.pass(Duration::from_secs(1));
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);

    world.runtime.block_on(world.session.sign_out()).unwrap();

    assert_eq!(
        told(&world.events()),
        [
            "loaded false",
            "signed in 1",
            "saved",
            "started 2 Rejected",
            "attempt 1 of 2: refresh_unavailable",
            "saved",
            "refreshed 2 to 1.1 for 1",
            "replayed 2/0",
            "signed out 2",
            "saved",
        ]
    );
}

/// O1, C18: a load that fails is told, once for all that waited for it, whatever it fails of: the store, its silence,
/// the token endpoint. One that a sign-in has made pointless is not.
#[test]
fn a_failed_load_is_told() {
    let world = World::new();
    world.store.hold(Op::Load);
    let failed: Vec<_> = (0..3).map(|n| world.get(&format!("/{n}"))).collect();
    world.store.try_next_held().unwrap().fail(StoreError::new("unreadable"));
    world.settle();
    assert!(failed.iter().map(kind).all(|kind| kind == ErrorKind::Store));
    assert_eq!(told(&world.events()), ["load failed: store"]);

    let world = World::new();
    world.store.hold(Op::Load);
    let waiting = world.get("/");
    world.pass(Duration::from_secs(5));
    assert_eq!(kind(&waiting), ErrorKind::Store);
    assert_eq!(told(&world.events()), ["load failed: store"]);

    let world = World::new();
    let waiting = world.get("/");
    assert_eq!(kind(&waiting), ErrorKind::SignedOut);
    assert_eq!(told(&world.events()), ["loaded false"]);

    let world = World::new();
    world.store.hold(Op::Load);
    let waiting = world.get("/");
    world.sign_in(numbered(0));
    world.store.release_holds();
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&waiting), 200);
    assert_eq!(told(&world.events()), ["signed in 1", "saved"]);
}

/// O1, G10b: so is an `acquire` that fails, after its last call.
#[test]
fn a_failed_acquire_is_told() {
    let world = World::new();
    world.refresher.script_acquire();
    let waiting = world.get("/");

    for _ in 0..3 {
        assert!(world.events().is_empty());
        world.refresher.try_next_acquire().unwrap().fail(RefreshError::unavailable("503"));
        world.pass(Duration::from_secs(1));
    }

    let failed = error(&waiting);
    let events = world.events();
    let [Event::LoadFailed { error }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((error.kind(), error.advice()), (failed.kind(), failed.advice()));
    assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
}

/// O1: a late 401 is replayed at once, without a flight or a place.
#[test]
fn a_late_401_is_told_as_a_replay_without_a_place() {
    let world = World::signed_in();
    let (first, late) = (world.get("/first"), world.get("/late"));
    world.api_answers(401);
    let late_call = world.next_call_after_replay_of_first();
    assert_eq!(status(&first), 200);
    let before = world.events().len();

    late_call.respond(401);
    world.settle();
    world.api_answers(200);

    assert_eq!(status(&late), 200);
    assert_eq!(told_since(&world, before), ["replayed at once"]);
}

impl World {
    /// Lets the first request be refreshed and replayed while the second one's answer is out.
    fn next_call_after_replay_of_first(&self) -> auth_testkit::SendCall {
        let late = self.next_call();
        self.refresh_answers(numbered(1));
        assert_eq!(self.api_answers(200).as_deref(), Some("T1"));
        late
    }
}

/// O4: a listener that panics harms nobody: not the session, not the other listeners, and it is told what follows.
#[test]
fn a_listener_that_panics_harms_nobody() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let builder = move |session: SessionBuilder| {
        session
            .on_event(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                panic!("this listener always panics");
            })
            .on_session_ended(|_| panic!("and so does the hook"))
    };
    let world = World::with(builder, |client| client);
    world.sign_in(numbered(0));
    let waiting = world.rejected("/notes");

    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);
    let ending = world.rejected("/end");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    assert_eq!(kind(&ending), ErrorKind::SessionEnded);
    let events = world.events();
    assert_eq!(calls.load(Ordering::SeqCst), events.len());
    assert!(told(&events).contains(&"ended Rejected".to_owned()));
    world.sign_in(numbered(5));
    assert_eq!(world.session.state(), SessionState::Active);
}

/// O4: no listener runs under the state's lock: one that uses the session, and even signs out, gets through.
#[test]
fn a_listener_may_use_the_session() {
    let session: Arc<Mutex<Option<Session>>> = Arc::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (held, notes) = (Arc::clone(&session), Arc::clone(&seen));
    let listener = move |event: &Event| {
        let session = held.lock().unwrap().clone();
        if let (Event::Refreshed { stamp, .. }, Some(session)) = (event, session) {
            notes.lock().unwrap().push(session.state());
            notes.lock().unwrap().extend(session.watch().next().now_or_never().flatten());
            assert!(session.lease().now_or_never().is_some_and(|lease| lease.is_ok()));
            assert!(session.reject(*stamp).is_ok(), "a second refresh starts");
            drop(session.sign_out());
            notes.lock().unwrap().push(session.state());
        }
    };
    let world = World::with(|builder| builder.on_event(listener), |client| client);
    *session.lock().unwrap() = Some(world.session.clone());
    world.sign_in(numbered(0));
    let _waiting = world.rejected("/notes");

    world.refresh_answers(numbered(1));

    assert_eq!(
        *seen.lock().unwrap(),
        [SessionState::Active, SessionState::Active, SessionState::SignedOut],
        "as the session was when the listener looked"
    );
    assert!(world.store.content().is_none());
    *session.lock().unwrap() = None;
}

/// O4: a listener that blocks delays no waiter. On threads: it blocks until all requests have been answered.
#[test]
fn a_slow_listener_delays_no_waiter() {
    let gate = Arc::new(Gate::default());
    let (blocked, held) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&gate));
    let counted = Arc::clone(&blocked);
    let (refresher, _handle) = ScriptedRefresher::rotating();
    let (transport, api) = ScriptedTransport::new();
    api.answer_with(|request| {
        let fresh = request.headers()["authorization"] == "Bearer T1";
        auth_testkit::response(if fresh { 200 } else { 401 })
    });
    let session = Session::builder(refresher)
        .runtime(Threads { start: std::time::Instant::now() })
        .on_event(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            held.wait();
        })
        .build();
    let client = AuthClient::builder(transport, session.clone()).origin(ORIGIN).build().unwrap();

    let statuses = on_a_thread(move || {
        futures::executor::block_on(async {
            session.sign_in(numbered(0)).await.unwrap();
            let requests = (0..10).map(|n| {
                let request = Request::get(format!("/{n}")).body(Body::empty()).unwrap();
                let client = client.clone();
                async move { client.send(request).await.unwrap().status().as_u16() }
            });
            futures::future::join_all(requests).await
        })
    });

    assert_eq!(statuses, [200; 10]);
    assert_eq!(blocked.load(Ordering::SeqCst), 1, "and the listener is still in its first call");
    gate.open();
}

/// Blocks threads until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn wait(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(open, Duration::from_secs(60), |open| !*open);
        drop(waited);
    }

    fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

/// A thread for each task: one that is blocked blocks no other.
struct Threads {
    start: std::time::Instant,
}

impl Runtime for Threads {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            smol::Timer::after(duration).await;
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        std::thread::spawn(|| futures::executor::block_on(task));
    }
}

/// Runs this on another thread, and fails where it takes a minute.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(work());
    });
    let result = receiver.recv_timeout(Duration::from_secs(60));
    if matches!(result, Err(mpsc::RecvTimeoutError::Disconnected)) {
        thread.join().expect("the work did not panic");
    }
    result.expect("it ends within a minute")
}

/// A runtime whose tasks are polled by the test.
#[derive(Clone, Default)]
struct ByHand {
    clock: ManualRuntime,
    tasks: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
}

impl ByHand {
    /// Polls each task once.
    fn poll_each(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        tasks.retain_mut(|task| task.now_or_never().is_none());
        self.tasks.lock().unwrap().append(&mut tasks);
    }
}

impl Runtime for ByHand {
    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().push(task);
    }
}

/// O4: between two events others have their turn: a listener takes no longer at a time than one event takes it.
#[test]
fn one_event_is_told_at_a_time() {
    let runtime = ByHand::default();
    let count = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&count);
    let session = Session::builder(ScriptedRefresher::new().0)
        .runtime(runtime.clone())
        .on_event(move |_| {
            told.fetch_add(1, Ordering::Relaxed);
        })
        .build();
    drop(session.sign_in(numbered(0)));
    drop(session.sign_in(numbered(1)));

    for expected in 1..=3 {
        runtime.poll_each();
        assert_eq!(count.load(Ordering::Relaxed), expected);
    }
}

/// O4: a delivery that its runtime drops loses no event, and the next event waits for nothing.
#[test]
fn what_a_dropped_delivery_leaves_is_told_with_the_next_event() {
    let apart = Apart::signed_in();
    let world = &apart.world;
    let before = world.events().len();
    apart.tasks.shutdown();
    drop(world.session.sign_out());
    assert!(told_since(world, before).is_empty());

    apart.move_home();
    world.sign_in(numbered(5));

    let told = told_since(world, before);
    assert_eq!(told[..2], ["signed out 2", "signed in 3"]);
}

/// O7, K4: every flight has an id of its own and says why it was started; what comes of it carries the same id.
#[test]
fn every_flight_has_an_id_and_a_cause() {
    let lifetime = Duration::from_secs(3600);
    let world = World::new();
    world.sign_in(numbered(0).with_expires_in(lifetime, world.runtime.now()));
    let before = world.events().len();

    world.pass(lifetime);
    let proactive = world.get("/proactive");
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&proactive), 200);
    let rejected = world.rejected("/rejected");
    world.refresher.try_next().unwrap().fail(RefreshError::misconfigured("invalid_client"));
    world.settle();
    assert_eq!(kind(&rejected), ErrorKind::Misconfigured);
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await.map(|lease| lease.stamp()) });
    world.settle();
    world.refresh_answers(numbered(2));
    assert_eq!(forced.take().unwrap().unwrap().generation, 2);

    assert_eq!(
        told_since(&world, before),
        [
            "started 1 Proactive",
            "saved",
            "refreshed 1 to 1.1 for 1",
            "started 2 Rejected",
            "failed 2: misconfigured",
            "started 3 Forced",
            "saved",
            "refreshed 3 to 1.2 for 0",
        ]
    );
    let causes: Vec<(FlightId, Cause)> = world
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::RefreshStarted { flight, cause } => Some((*flight, *cause)),
            _ => None,
        })
        .collect();
    assert_eq!(
        causes.iter().map(|(_, cause)| *cause).collect::<Vec<_>>(),
        [Cause::Proactive, Cause::Rejected, Cause::Forced]
    );
    assert!(causes.windows(2).all(|pair| pair[0].0 < pair[1].0), "ids grow");
}

/// O7: an attempt says which flight and which place it came from, so that it can be matched with the events.
#[test]
fn an_attempt_names_its_flight_and_its_place() {
    let world = World::signed_in();
    let _waiting = [world.get("/0"), world.get("/1")];
    world.api_answers(401);
    world.api_answers(401);

    world.refresh_answers(numbered(1));

    let attempts: Vec<_> = world
        .api
        .log()
        .iter()
        .map(|sent| *sent.extensions.get::<auth_core::Attempt>().expect("each attempt is marked"))
        .map(|attempt| (attempt.number, attempt.flight.map(FlightId::get), attempt.ticket))
        .collect();
    assert_eq!(attempts, [(1, None, None), (1, None, None), (2, Some(1), Some(0)), (2, Some(1), Some(1))]);
}

/// G6, O1: the end is told once, after the failure it comes from, however many waited, and once more for the next session.
#[test]
fn the_end_is_told_once() {
    let ended = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&ended);
    let world = World::with(
        |session| {
            session.on_session_ended(move |why| hook.lock().unwrap().push((why.reason, why.error.kind())))
        },
        |client| client,
    );
    world.sign_in(numbered(0));
    let waiting: Vec<_> = (0..5).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in 0..5 {
        world.api_answers(401);
    }
    let before = world.events().len();

    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(kind(&world.get("/after")), ErrorKind::SessionEnded);

    assert!(waiting.iter().all(|request| kind(request) == ErrorKind::SessionEnded));
    assert_eq!(told_since(&world, before), ["failed 1: session_ended", "ended Rejected", "saved"]);
    assert_eq!(*ended.lock().unwrap(), [(EndReason::Rejected, ErrorKind::SessionEnded)]);
    world.sign_in(numbered(5));
    let again = world.rejected("/again");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(kind(&again), ErrorKind::SessionEnded);
    assert_eq!(ended.lock().unwrap().len(), 2);
}

/// G6: the hook is for the end of a session, not for a sign-out.
#[test]
fn a_sign_out_is_no_end() {
    let ended = Arc::new(AtomicUsize::new(0));
    let hook = Arc::clone(&ended);
    let counted = move |session: SessionBuilder| {
        session.on_session_ended(move |_| {
            hook.fetch_add(1, Ordering::SeqCst);
        })
    };
    let world = World::with(counted, |client| client);
    world.sign_in(numbered(0));
    let waiting = world.rejected("/notes");

    world.runtime.block_on(world.session.sign_out()).unwrap();

    assert_eq!(kind(&waiting), ErrorKind::SignedOut);
    world.settle();
    assert_eq!(ended.load(Ordering::SeqCst), 0);
}

/// G8, O1: draining is told, and the end comes later, once.
#[test]
fn draining_and_then_the_end_are_told() {
    let lifetime = Duration::from_secs(3600);
    let world = World::new();
    world.sign_in(numbered(0).with_expires_in(lifetime, world.runtime.now()));
    let before = world.events().len();
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await.map(|_| ()) });
    world.settle();

    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(forced.take().unwrap().unwrap_err().kind(), ErrorKind::SessionEnded);
    assert_eq!(world.session.state(), SessionState::Draining);
    let request = world.get("/notes");
    assert_eq!(world.api_answers(200).as_deref(), Some("T0"));
    assert_eq!(status(&request), 200);
    assert_eq!(world.stored().as_deref(), Some("T0"));
    world.pass(lifetime);
    let last = world.get("/notes");

    assert_eq!(error(&last).end_reason(), Some(EndReason::Rejected));
    assert_eq!(
        told_since(&world, before),
        ["started 1 Forced", "failed 1: session_ended", "draining", "ended Rejected", "saved"]
    );
}

// --- watching ------------------------------------------------------------------------------------------------------------

fn next(watch: &mut Watch) -> Option<Option<SessionState>> {
    watch.next().now_or_never()
}

/// O5: a new watcher sees the current state first, whatever it is, and then nothing until it changes.
#[test]
fn a_new_watcher_sees_the_current_state_first() {
    let world = World::new();
    let mut early = world.session.watch();
    assert_eq!(next(&mut early), Some(Some(SessionState::Unknown)));
    assert_eq!(next(&mut early), None);

    world.sign_in(numbered(0));
    let mut later = world.session.watch();
    assert_eq!(next(&mut later), Some(Some(SessionState::Active)));
    assert_eq!(next(&mut later), None);

    assert_eq!(next(&mut early), Some(Some(SessionState::Active)));
    assert_eq!(next(&mut early), None);
}

/// O5: a watcher that is polled sees every state of a session's life, and is woken for each.
#[test]
fn a_watcher_sees_the_states_of_a_sessions_life() {
    let world = World::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (notes, mut watch) = (Arc::clone(&seen), world.session.watch());
    let watching = world.runtime.start(async move {
        while let Some(state) = watch.next().await {
            notes.lock().unwrap().push(state);
        }
    });
    world.settle();

    assert_eq!(kind(&world.get("/nobody")), ErrorKind::SignedOut);
    world.sign_in(numbered(0));
    let waiting = world.rejected("/notes");
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);
    let ending = world.rejected("/end");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();
    assert_eq!(kind(&ending), ErrorKind::SessionEnded);
    world.runtime.block_on(world.session.sign_out()).unwrap();
    world.settle();

    assert_eq!(
        *seen.lock().unwrap(),
        [
            SessionState::Unknown,
            SessionState::SignedOut,
            SessionState::Active,
            SessionState::Refreshing,
            SessionState::Active,
            SessionState::Refreshing,
            SessionState::Ended(EndReason::Rejected),
            SessionState::SignedOut,
        ]
    );
    assert!(!watching.is_finished());
}

/// O5: a slow watcher may skip states in between, and never misses the newest.
#[test]
fn a_slow_watcher_sees_the_newest_state() {
    let world = World::signed_in();
    let mut watch = world.session.watch();
    assert_eq!(next(&mut watch), Some(Some(SessionState::Active)));

    let waiting = world.rejected("/notes");
    world.refresh_answers(numbered(1));
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);
    world.runtime.block_on(world.session.sign_out()).unwrap();

    assert_eq!(next(&mut watch), Some(Some(SessionState::SignedOut)));
    assert_eq!(next(&mut watch), None);
}

/// O5: a watcher sees a state no later than a listener is told of what made it.
#[test]
fn a_watcher_is_no_later_than_the_events() {
    let states = Arc::new(Mutex::new(Vec::new()));
    let watch: Arc<Mutex<Option<Watch>>> = Arc::default();
    let (notes, watched) = (Arc::clone(&states), Arc::clone(&watch));
    let listener = move |event: &Event| {
        if matches!(event, Event::RefreshStarted { .. } | Event::Ended(_)) {
            let state = watched.lock().unwrap().as_mut().and_then(next).flatten();
            notes.lock().unwrap().push(state);
        }
    };
    let world = World::with(|session| session.on_event(listener), |client| client);
    *watch.lock().unwrap() = Some(world.session.watch());
    world.sign_in(numbered(0));

    let waiting = world.rejected("/notes");
    world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    world.settle();

    assert_eq!(kind(&waiting), ErrorKind::SessionEnded);
    assert_eq!(
        *states.lock().unwrap(),
        [Some(SessionState::Refreshing), Some(SessionState::Ended(EndReason::Rejected))]
    );
}

/// O5: a watch ends when the last handle of its session is dropped, a client's included, after the newest state; a flight
/// that is under way keeps nobody watching.
#[test]
fn a_watch_ends_with_the_last_handle() {
    let runtime = ManualRuntime::new();
    let (refresher, calls) = ScriptedRefresher::new();
    let session = Session::builder(refresher).runtime(runtime.clone()).build();
    let (transport, _api) = ScriptedTransport::new();
    let client = AuthClient::builder(transport, session.clone()).origin(ORIGIN).build().unwrap();
    runtime.block_on(session.sign_in(numbered(0))).unwrap();
    let (mut parked, mut unread) = (session.watch(), session.watch());
    let watching = runtime.start(async move {
        let mut states = Vec::new();
        while let Some(state) = parked.next().await {
            states.push(state);
        }
        states
    });
    let stamp = runtime.block_on(session.lease()).unwrap().stamp();
    session.reject(stamp).unwrap();
    runtime.run_until_stalled();
    assert!(calls.try_next().is_some(), "a flight is under way");

    drop(session);
    runtime.run_until_stalled();
    assert!(!watching.is_finished(), "the client has the session");
    drop(client);
    runtime.run_until_stalled();

    assert_eq!(watching.take(), Some(vec![SessionState::Active, SessionState::Refreshing]));
    assert_eq!(next(&mut unread), Some(Some(SessionState::Refreshing)));
    assert_eq!(next(&mut unread), Some(None));
    assert_eq!(next(&mut unread), Some(None), "it stays ended");
}

/// O5: a watch is a stream that can be moved and kept anywhere, and one that is dropped harms no other.
#[test]
fn a_watch_can_be_kept_anywhere() {
    fn check<T: Stream<Item = SessionState> + Send + Sync + Unpin + 'static>(watch: T) -> T {
        watch
    }
    let world = World::new();
    let mut kept: Pin<Box<dyn Stream<Item = SessionState> + Send>> = Box::pin(check(world.session.watch()));
    let mut dropped = world.session.watch();
    assert!(kept.next().now_or_never().is_some());
    assert!(next(&mut dropped).is_some());
    let waiting = world.runtime.start(async move { kept.next().await });
    let leaving = world.runtime.start(async move { dropped.next().await });
    world.settle();

    leaving.cancel();
    world.sign_in(numbered(0));

    assert_eq!(waiting.take(), Some(Some(SessionState::Active)));
}

/// O5: a watch that is dropped takes everything of its task's with it, though the state never changes again.
#[test]
fn a_watch_that_is_dropped_leaves_no_waker_behind() {
    struct Task;
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    let world = World::signed_in();
    let task = Arc::new(Task);
    let (mut kept, mut dropped) = (world.session.watch(), world.session.watch());
    let _ = (next(&mut kept), next(&mut dropped));
    assert!(next(&mut kept).is_none());
    let waker = Waker::from(Arc::clone(&task));
    assert!(dropped.poll_next_unpin(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&task), 2, "it is to be woken");

    drop(dropped);

    assert_eq!(Arc::strong_count(&task), 1);
}

// --- sessions beside each other ------------------------------------------------------------------------------------------

/// A session beside another one, on the same runtime.
struct Beside {
    runtime: ManualRuntime,
    refresher: RefresherHandle,
    api: TransportHandle,
    session: Session,
    client: AuthClient<ScriptedTransport>,
}

impl Beside {
    fn new(runtime: &ManualRuntime, tokens: Tokens) -> Self {
        let (refresher, handle) = ScriptedRefresher::new();
        let (transport, api) = ScriptedTransport::new();
        let session = Session::builder(refresher).runtime(runtime.clone()).build();
        let client = AuthClient::builder(transport, session.clone()).origin(ORIGIN).build().unwrap();
        runtime.block_on(session.sign_in(tokens)).unwrap();
        Self { runtime: runtime.clone(), refresher: handle, api, session, client }
    }

    /// A request that is rejected.
    fn rejected(&self, path: &str) -> Running<Answer> {
        let (client, request) = (self.client.clone(), Request::get(path).body(Body::empty()).unwrap());
        let running = self.runtime.start(async move { client.send(request).await });
        self.runtime.run_until_stalled();
        self.api.try_next().expect("it is sent").respond(401);
        self.runtime.run_until_stalled();
        running
    }
}

/// M1: two sessions refresh independently: while A's refresh hangs, B's requests are refreshed and replayed.
#[test]
fn a_session_that_hangs_does_not_delay_another() {
    let runtime = ManualRuntime::new();
    let (a, b) = (Beside::new(&runtime, numbered(0)), Beside::new(&runtime, numbered(10)));
    let stuck = a.rejected("/a");
    let hanging = a.refresher.try_next().expect("A refreshes");
    let before = runtime.elapsed();

    let fine = b.rejected("/b");
    b.refresher.try_next().expect("B refreshes beside it").answer(numbered(11));
    runtime.run_until_stalled();
    let replay = b.api.try_next().expect("B's replay");
    assert_eq!(replay.bearer(), Some("T11"));
    replay.respond(200);
    runtime.run_until_stalled();

    assert_eq!(status(&fine), 200);
    assert_eq!(runtime.elapsed(), before, "no time has passed");
    assert!(!stuck.is_finished());
    assert_eq!((a.session.state(), b.session.state()), (SessionState::Refreshing, SessionState::Active));
    hanging.answer(numbered(1));
    runtime.run_until_stalled();
    assert_eq!(a.api.try_next().unwrap().bearer(), Some("T1"));
}

/// M1: nor do a sign-out, an end or a cooldown of the one touch the other.
#[test]
fn the_end_of_a_session_does_not_touch_another() {
    let runtime = ManualRuntime::new();
    let (a, b) = (Beside::new(&runtime, numbered(0)), Beside::new(&runtime, numbered(10)));
    let (ours, theirs) = (a.rejected("/a"), b.rejected("/b"));

    a.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
    b.refresher.try_next().unwrap().answer(numbered(11));
    runtime.run_until_stalled();
    b.api.try_next().unwrap().respond(200);
    runtime.run_until_stalled();

    assert_eq!((kind(&ours), status(&theirs)), (ErrorKind::SessionEnded, 200));
    drop(a.session.sign_out());
    assert_eq!((a.session.state(), b.session.state()), (SessionState::SignedOut, SessionState::Active));
}

/// A forced refresh by somebody who knows this stamp, begun.
fn force(world: &World, known: Option<Stamp>) -> Running<Result<Stamp, Error>> {
    let session = world.session.clone();
    let running = world.runtime.start(async move { session.refresh(known).await.map(|lease| lease.stamp()) });
    world.settle();
    running
}

fn stamp(world: &World) -> Stamp {
    world.runtime.block_on(world.session.lease()).unwrap().stamp()
}

/// M6: forced refreshes of the same token share one flight, whoever of them knows its stamp.
#[test]
fn forced_refreshes_of_one_token_share_a_flight() {
    let world = World::signed_in();
    let known = stamp(&world);

    let forced = [force(&world, Some(known)), force(&world, None), force(&world, Some(known))];
    world.refresh_answers(numbered(1));

    assert!(forced.iter().all(|forced| forced.take().unwrap().unwrap().generation == 1));
    assert_eq!(world.refresher.calls(), 1);
}

/// M6: one who knows an older token has what came after it, and joins no flight that replaces that.
#[test]
fn a_forced_refresh_does_not_join_a_flight_for_a_newer_token() {
    let world = World::signed_in();
    let old = stamp(&world);
    let first = force(&world, Some(old));
    world.refresh_answers(numbered(1));
    assert_eq!(first.take().unwrap().unwrap().generation, 1);
    let second = force(&world, None);
    assert!(!second.is_finished());

    let late = force(&world, Some(old));

    assert_eq!(late.take().expect("at once").unwrap().generation, 1);
    assert_eq!(world.refresher.calls(), 2);
    world.refresh_answers(numbered(2));
    assert_eq!(second.take().unwrap().unwrap().generation, 2);
}

/// M6, D1b: but where that newer token was rejected as well it waits for what replaces it.
#[test]
fn a_forced_refresh_waits_where_the_newer_token_was_rejected_too() {
    let world = World::signed_in();
    let old = stamp(&world);
    let first = force(&world, Some(old));
    world.refresh_answers(numbered(1));
    assert!(first.take().unwrap().is_ok());
    let _waiting = world.rejected("/notes");

    let late = force(&world, Some(old));
    assert!(!late.is_finished());
    world.refresh_answers(numbered(2));

    assert_eq!(late.take().unwrap().unwrap().generation, 2);
    assert_eq!(world.refresher.calls(), 2);
}

/// M6, H5: a stamp of another identity refreshes nothing.
#[test]
fn a_forced_refresh_for_another_identity_is_refused() {
    let world = World::signed_in();
    let old = stamp(&world);
    world.sign_in(numbered(5));

    assert_eq!(force(&world, Some(old)).take().unwrap().unwrap_err().kind(), ErrorKind::SessionChanged);
    world.runtime.block_on(world.session.sign_out()).unwrap();
    assert_eq!(force(&world, Some(old)).take().unwrap().unwrap_err().kind(), ErrorKind::SignedOut);
    assert_eq!(force(&world, None).take().unwrap().unwrap_err().kind(), ErrorKind::SignedOut);

    assert_eq!(world.refresher.calls(), 0);
}

/// M6: on a session that was not used yet the store is read first.
#[test]
fn a_forced_refresh_reads_the_store_first() {
    let (store, handle) = ScriptedStore::new();
    let first = World::on(store.clone(), handle.clone(), |session| session, |client| client);
    first.sign_in(numbered(0));
    handle.hold(Op::Load);
    let second = World::on(store, handle, |session| session, |client| client);

    let forced = force(&second, None);
    assert_eq!(second.refresher.calls(), 0);
    second.store.release_holds();
    second.settle();
    second.refresh_answers(numbered(1));

    assert_eq!(forced.take().unwrap().unwrap().generation, 1);
    assert_eq!(second.refresher.presented(), ["R0"]);
}
