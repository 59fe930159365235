//! Uploads: bodies that are streamed, and what becomes of them when the token expires on the way.

use auth_core::Body;
use auth_testkit::SendCall;
use futures::stream;
use notes_sdk::{Error, NoteId};

use crate::world::{World, result};

fn chunks(texts: [&'static str; 2]) -> impl futures::Stream<Item = Result<&'static str, std::io::Error>> {
    stream::iter(texts.map(Ok))
}

/// Reads what is uploaded, and answers.
fn take(world: &World, call: SendCall, status: u16) -> String {
    let (request, reply) = call.into_parts();
    let text = world.runtime.block_on(request.into_body().text()).unwrap();
    let receipt = format!(r#"{{"bytes": {}, "digest": "abc"}}"#, text.len());
    reply.answer(http::Response::builder().status(status).body(receipt.into()).unwrap());
    world.runtime.run_until_stalled();
    text
}

#[test]
fn an_upload_that_can_be_read_again_is_sent_again() {
    let world = World::signed_in();
    let body = Body::replayable(|| chunks(["one ", "two"]));
    let upload = world.start(|notes| async move { notes.attach(NoteId(1), body).await });

    assert_eq!(take(&world, world.api(), 401), "one two");
    world.refreshes(0);
    assert_eq!(take(&world, world.api(), 200), "one two");

    assert_eq!(result(&upload).unwrap().bytes, 7);
}

#[test]
fn an_upload_that_cannot_is_handed_back_and_the_next_one_works() {
    let world = World::signed_in();
    let upload = |notes: crate::world::Client| async move {
        notes.attach(NoteId(1), Body::stream(chunks(["one ", "two"]))).await
    };
    let first = world.start(upload);

    take(&world, world.api(), 401);
    assert!(matches!(result(&first), Err(Error::StreamSpent)), "at once, while the refresh is under way");
    let second = world.start(upload);
    world.refreshes(0);
    let call = world.api();
    assert_eq!(call.bearer(), Some("T1"));
    assert_eq!(take(&world, call, 200), "one two");

    assert!(result(&second).is_ok());
}
