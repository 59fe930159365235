//! Spans: what happens inside of a refresh and of a load, and what came of it.

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use auth_core::{ErrorKind, RefreshError, Refresher, Runtime as _, Session, Tokens, async_trait};
use auth_testkit::{ManualRuntime, numbered};

use crate::recorder::Recorder;
use crate::world::{World, kind, status};

/// The spans that a refresher finds itself in, one for each poll.
type Seen = Arc<Mutex<Vec<Option<String>>>>;

/// Fails, then succeeds, and takes two polls for each answer; an HTTP library opens a span inside.
struct Looking {
    recorder: Recorder,
    runtime: ManualRuntime,
    seen: Seen,
}

impl Looking {
    async fn look(&self) {
        let http = tracing::info_span!("http");
        http.in_scope(|| tracing::info!("a request goes out"));
        let mut polls = 0;
        std::future::poll_fn(|cx| {
            self.seen.lock().unwrap().push(self.recorder.current());
            polls += 1;
            cx.waker().wake_by_ref();
            if polls < 2 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    async fn answer(&self) -> Result<Tokens, RefreshError> {
        self.look().await;
        let number = self.seen.lock().unwrap().len() as u64;
        let tokens = numbered(number).with_expires_in(Duration::from_secs(60), self.runtime.now());
        if number == 2 { Err(RefreshError::unavailable("503")) } else { Ok(tokens) }
    }
}

#[async_trait]
impl Refresher for Looking {
    async fn refresh(&self, _: &Tokens) -> Result<Tokens, RefreshError> {
        self.answer().await
    }

    fn can_refresh(&self, _: &Tokens) -> bool {
        true
    }

    async fn acquire(&self) -> Result<Option<Tokens>, RefreshError> {
        self.answer().await.map(Some)
    }
}

fn looking(recorder: &Recorder) -> (ManualRuntime, Session, Seen) {
    let (runtime, seen) = (ManualRuntime::new(), Seen::default());
    let refresher = Looking { recorder: recorder.clone(), runtime: runtime.clone(), seen: Arc::clone(&seen) };
    let session = Session::builder(refresher).runtime(runtime.clone()).build();
    (runtime, session, seen)
}

#[test]
fn a_refresher_is_inside_the_span_of_its_refresh_in_every_poll() {
    let recorder = Recorder::default();
    let (runtime, session, seen) = looking(&recorder);

    recorder.during(|| {
        runtime.block_on(async {
            session.sign_in(numbered(0)).await.unwrap();
            session.refresh(None).await.unwrap();
        });
        runtime.run_until_stalled();
    });

    assert_eq!(
        *seen.lock().unwrap(),
        ["auth.refresh"; 4].map(|name| Some(name.to_owned())),
        "two calls, of two polls each"
    );
    let parents: Vec<_> = recorder.spans("http").into_iter().map(|http| http.parent.unwrap()).collect();
    assert_eq!(parents, ["auth.refresh"; 2], "what an HTTP library opens nests inside");
    assert_eq!(recorder.spans("auth.refresh").len(), 1);
    assert_eq!(recorder.open(), 0);
}

#[test]
fn an_acquire_is_inside_the_span_of_its_load() {
    let recorder = Recorder::default();
    let (runtime, session, seen) = looking(&recorder);

    recorder.during(|| {
        drop(runtime.block_on(session.lease()).unwrap());
        runtime.run_until_stalled();
    });

    assert_eq!(*seen.lock().unwrap(), ["auth.load"; 4].map(|name| Some(name.to_owned())));
    let loads = recorder.spans("auth.load");
    assert_eq!(loads.len(), 1);
    assert_eq!(loads[0].names(), ["session"]);
    assert_eq!(recorder.open(), 0);
}

/// A refresh belongs to nobody's request: neither to the one that started it, nor to what its runtime was polled in.
#[test]
fn a_refresh_has_no_parent_and_leaves_the_callers_span_alone() {
    let recorder = Recorder::default();

    let after = recorder.during(|| {
        let around = tracing::info_span!("page");
        around.in_scope(|| {
            let world = World::new();
            drop(world.get("/nobody"));
            world.sign_in(numbered(0));
            let waiting = world.rejected("/1");
            world.refresh_answers(numbered(1));
            world.api_answers(200);
            assert_eq!(status(&waiting), 200);
            recorder.current()
        })
    });

    assert_eq!(after.as_deref(), Some("page"));
    for name in ["auth.load", "auth.refresh"] {
        let spans = recorder.spans(name);
        assert_eq!(spans.len(), 1, "{name}");
        assert!(spans[0].parent.is_none(), "{spans:?}");
    }
    assert!(recorder.events().iter().all(|event| event.parent.is_none()));
}

/// Nobody hangs for a subscriber that panics when a span is opened: the task is lost, and its guard tells everybody.
#[test]
fn a_span_that_cannot_be_opened_fails_its_refresh_alone() {
    let recorder = Recorder::default();

    recorder.during(|| {
        let world = World::signed_in();
        recorder.on_call(|method| assert_ne!(method, "new_span", "this subscriber panics"));
        let waiting = world.get("/1");
        world.api_answers(401);
        assert_eq!(kind(&waiting), ErrorKind::RefreshUnavailable);

        recorder.on_call(|_| {});
        world.pass(Duration::from_secs(60));
        let again = world.rejected("/2");
        world.refresh_answers(numbered(1));
        world.api_answers(200);
        assert_eq!(status(&again), 200);
    });
}

/// A world in which a request waits for a refresh, the recorder's span of which ends with this.
#[track_caller]
fn ends_as(outcome: &str, end: impl FnOnce(&World)) {
    let recorder = Recorder::default();

    recorder.during(|| {
        let world = World::signed_in();
        let _waiting = world.rejected("/1");
        end(&world);
        // Whoever has signed out does not wait for the answer; the span does.
        world.pass(Duration::from_secs(60));
    });

    let spans = recorder.spans("auth.refresh");
    assert_eq!(spans.len(), 1, "{outcome}");
    assert_eq!(spans[0].target, "auth_core");
    assert_eq!(spans[0].names(), ["session", "flight", "cause", "outcome"], "{outcome}");
    assert_eq!(spans[0].field("cause"), "Rejected");
    assert_eq!(spans[0].field("outcome"), outcome);
    let session = recorder.events()[0].field("session").to_owned();
    assert_eq!(spans[0].field("session"), session);
    assert_eq!(recorder.open(), 0, "{outcome}");
}

#[test]
fn the_span_says_what_came_of_the_refresh() {
    let fails = |error: RefreshError| move |world: &World| world.refresher.try_next().unwrap().fail(error);

    ends_as("refreshed", |world| world.refresh_answers(numbered(1)));
    ends_as("refreshed", |world| {
        world.refresh_answers(numbered(1));
        world.api_answers(200);
    });
    ends_as("session_ended", fails(RefreshError::rejected("invalid_grant")));
    ends_as("misconfigured", fails(RefreshError::misconfigured("invalid_client")));
    ends_as("signed_out", |world| drop(world.session.sign_out()));
    ends_as("session_changed", |world| drop(world.session.sign_in(numbered(5))));
    ends_as("refresh_unavailable", |world| world.runtime.shutdown());
}
