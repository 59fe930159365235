//! The log: what is in it, and what is not. A program of its own: `tracing` remembers for the whole process which lines
//! somebody wants, and other tests on other threads want none.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use auth_core::Body;
use auth_testkit::{ManualRuntime, ScriptedTransport, numbered, response};
use http::{Request, Response};
use notes_sdk::Notes;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes every event's level and fields down.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "notes_sdk"
    }
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

/// Tokens are rejected, always. The token endpoint is down at first, then refreshes once, then never again.
fn answer(request: &Request<Body>, asked: &Mutex<u32>) -> Response<Body> {
    if request.uri().path() != "/token" {
        return response(401);
    }
    let mut asked = asked.lock().unwrap();
    *asked += 1;
    let (status, body) = match *asked {
        1 => (503, ""),
        2 => (200, r#"{"access_token": "T1", "refresh_token": "R1"}"#),
        _ => (400, r#"{"error": "invalid_grant", "hint": "R1"}"#),
    };
    Response::builder().status(status).body(Body::from(body)).unwrap()
}

#[test]
fn the_log_tells_the_story_and_no_token() {
    let lines = Lines::default();
    let runtime = ManualRuntime::new();
    let (transport, network) = ScriptedTransport::new();
    let asked = Mutex::new(0);
    network.answer_with(move |request| answer(request, &asked));
    let notes = Notes::builder(transport).runtime(runtime.clone()).build().unwrap();

    tracing::subscriber::with_default(lines.clone(), || {
        runtime.block_on(notes.sign_in(numbered(0))).unwrap();
        for _ in 0..2 {
            runtime.block_on(notes.list()).unwrap_err();
        }
        runtime.run_until_stalled();
    });

    let lines = lines.0.lock().unwrap().join("\n");
    for said in [
        "INFO message=signed in",
        "WARN message=a token request failed",
        "the token endpoint answered 503",
        "INFO message=refreshed",
        "WARN message=the session has ended",
    ] {
        assert!(lines.contains(said), "{said} is missing in\n{lines}");
    }
    for token in ["T0", "T1", "R0", "R1"] {
        assert!(!lines.contains(token), "{token} is in\n{lines}");
    }
}
