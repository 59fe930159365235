//! The log: what is in it, and what is not.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use auth_core::TransportError;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::world::{World, result};

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

#[test]
fn the_log_tells_the_story_and_no_token() {
    let lines = Lines::default();

    tracing::subscriber::with_default(lines.clone(), || {
        let world = World::signed_in();
        let call = world.list();
        world.api_answers(401);
        let (lost, _) = world.login("/token");
        lost.fail(TransportError::new("connection reset").maybe_sent());
        world.runtime.advance(std::time::Duration::from_secs(1));
        world.refreshes(0);
        world.api_answers(200);
        assert!(result(&call).is_ok());
        let call = world.list();
        world.api_answers(401);
        let (refresh, _) = world.login("/token");
        world.answer(refresh, 400, r#"{"error": "invalid_grant", "hint": "R1"}"#);
        assert!(result(&call).is_err());
    });

    let lines = lines.0.lock().unwrap().join("\n");
    for said in [
        "INFO message=signed in",
        "connection reset",
        "message=refreshed",
        "WARN message=the session has ended",
    ] {
        assert!(lines.contains(said), "{said} is missing in\n{lines}");
    }
    for token in ["T0", "T1", "R0", "R1"] {
        assert!(!lines.contains(token), "{token} is in\n{lines}");
    }
}
