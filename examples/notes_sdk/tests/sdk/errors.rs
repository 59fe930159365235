//! Errors: each says what its caller can do.

use std::time::Duration;

use auth_core::{Body, RefreshError, TransportError};
use auth_testkit::{ScriptedTransport, numbered, response};
use http::Response;
use notes_sdk::{Error, NewNote, NoteId, Notes};

use crate::world::{Unreachable, World, result};

#[test]
fn a_call_whose_answer_is_lost_may_have_been_acted_on() {
    let world = World::signed_in();
    let create = |notes: crate::world::Client| async move { notes.create(&NewNote::default()).await };

    let reset = world.start(create);
    world.api().fail(TransportError::new("connection reset").maybe_sent());
    world.runtime.run_until_stalled();
    let gateway = world.start(create);
    world.api_answers(504);
    let refused = world.start(create);
    world.api().fail(TransportError::new("connection refused").connect());
    world.runtime.run_until_stalled();

    assert!(matches!(result(&reset), Err(Error::AnswerLost { .. })));
    assert!(matches!(result(&gateway), Err(Error::AnswerLost { .. })));
    assert!(matches!(result(&refused), Err(Error::TryLater { .. })), "this one was not");
}

#[test]
fn a_status_says_what_to_do() {
    let world = World::signed_in();
    let with = |status: u16, header: (&str, &str)| {
        let call = world.list();
        let response = Response::builder().status(status).header(header.0, header.1);
        world.api().answer(response.body(Body::empty()).unwrap());
        world.runtime.run_until_stalled();
        result(&call).unwrap_err()
    };

    let busy = with(503, ("retry-after", "7"));
    assert!(matches!(busy, Error::TryLater { after: Some(after), .. } if after == Duration::from_secs(7)));
    let scope = with(403, ("www-authenticate", r#"Bearer error="insufficient_scope", scope="notes:read""#));
    assert!(matches!(scope, Error::Forbidden { scope: Some(scope) } if scope == "notes:read"));
    let refused = with(409, ("x", "y"));
    assert!(matches!(refused, Error::Refused { status } if status == 409));
    let missing = world.start(|notes| async move { notes.get(NoteId(7)).await });
    world.api_answers(200);
    assert!(matches!(result(&missing), Err(Error::NotFound)));
}

#[test]
fn an_answer_of_somebody_else_is_garbled_and_not_quoted() {
    let world = World::signed_in();
    let upload = world.start(|notes| async move { notes.attach(NoteId(1), Body::from("x")).await });
    let call = world.api();
    world.answer(call, 200, "<html>secret</html>");

    let error = result(&upload).unwrap_err();

    assert!(matches!(error, Error::Garbled));
    assert!(!format!("{error} {error:?}").contains("secret"));
}

/// A token endpoint that cannot be reached signs nobody out.
#[test]
fn a_refresh_that_cannot_be_made_is_tried_later() {
    let runtime = auth_testkit::ManualRuntime::new();
    let (transport, network) = ScriptedTransport::new();
    network.answer_with(|_| response(401));
    let notes =
        Notes::builder(transport).login_transport(Unreachable).runtime(runtime.clone()).build().unwrap();
    runtime.block_on(notes.sign_in(numbered(0))).unwrap();

    let error = runtime.block_on(notes.list()).unwrap_err();

    assert!(matches!(&error, Error::TryLater { source: Some(source), .. }
        if source.response().is_some_and(|head| head.status == 401)));
    let cause = std::error::Error::source(&error).and_then(std::error::Error::source).unwrap();
    assert!(cause.downcast_ref::<RefreshError>().unwrap().is_unavailable());
    assert_eq!(notes.session().state(), auth_core::SessionState::Active);
    assert_eq!(network.calls(), 1, "no refresh went this way");
}

#[test]
fn an_upload_that_cannot_be_read_is_the_callers_own() {
    let error = auth_core::Error::from(TransportError::new(auth_core::BodyError::new("no such file")));

    assert!(matches!(Error::from(error), Error::Upload { .. }));
}

#[test]
fn a_url_that_is_none_is_said_when_building() {
    for url in ["", "notes.example", "ftp://notes.example", "https://user@notes.example"] {
        let built = Notes::builder(Unreachable).service(url).build();
        assert!(matches!(built, Err(Error::Misconfigured { .. })), "{url}");
    }
    assert!(matches!(Notes::builder(Unreachable).login("no url").build(), Err(Error::Misconfigured { .. })));
}
