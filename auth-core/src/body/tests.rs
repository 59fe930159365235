//! Tests of the body.

use super::*;
use futures::{FutureExt as _, StreamExt as _, stream};
use http_body::Body as _;

fn chunks(texts: &'static [&'static str]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    stream::iter(texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))))
}

#[test]
fn a_body_is_send_sync_and_unpin() {
    fn check<T: Send + Sync + Unpin>() {}
    #[cfg(not(auth_local))]
    check::<Body>();
}

#[test]
fn what_was_read_ahead_is_read_again() {
    let mut body = Body::stream(chunks(&["ab", "cd", "ef"]));

    body.read_ahead(3).now_or_never().unwrap();

    assert_eq!(body.peeked(3), "abc");
    assert_eq!(body.bytes().now_or_never().unwrap().unwrap(), "abcdef");
}

#[test]
fn what_was_read_ahead_counts_in_the_size_and_is_no_whole() {
    let mut body = Body::stream(chunks(&["ab", "cd", "ef"])).with_length(6);
    body.read_ahead(3).now_or_never().unwrap();
    assert_eq!(body.size_hint().exact(), Some(6));

    let mut body = Body::from("ab");
    body.read_ahead(1).now_or_never().unwrap();
    assert_eq!(body.size_hint().exact(), Some(2));
    assert_eq!(body.as_bytes(), None, "it is not empty, though nothing is behind what was read");
}

#[test]
fn a_body_of_one_chunk_is_not_copied() {
    let whole = Bytes::from(vec![b'a'; 100]);
    let one = whole.clone();

    let read = Body::stream(stream::iter([Ok::<_, std::io::Error>(one)])).bytes().now_or_never();

    assert_eq!(read.unwrap().unwrap().as_ptr(), whole.as_ptr());
}

#[test]
fn an_error_met_reading_ahead_reaches_the_reader() {
    let failing = chunks(&["ab"]).chain(stream::iter([Err(std::io::Error::other("torn"))]));
    let mut body = Body::stream(failing);

    body.read_ahead(100).now_or_never().unwrap();

    assert_eq!(body.peeked(100), "ab");
    assert!(body.bytes().now_or_never().unwrap().is_err());
}

#[test]
fn reading_ahead_can_be_given_up() {
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Bytes, std::io::Error>>();
    let mut body = Body::stream(receiver);
    sender.unbounded_send(Ok("ab".into())).unwrap();

    assert!(body.read_ahead(4).now_or_never().is_none());
    sender.unbounded_send(Ok("cd".into())).unwrap();
    drop(sender);

    assert_eq!(body.bytes().now_or_never().unwrap().unwrap(), "abcd");
}

#[test]
fn a_told_length_is_the_size_hint() {
    let body = Body::stream(chunks(&["ab"])).with_length(2);
    assert_eq!(body.size_hint().exact(), Some(2));

    let body = Body::replayable(|| chunks(&["ab"])).with_length(2);
    assert_eq!(body.try_clone().unwrap().size_hint().exact(), Some(2));
}

#[test]
fn a_wrapped_body_keeps_its_size_hint() {
    assert_eq!(Body::wrap(Body::from("abc")).size_hint().exact(), Some(3));
    assert_eq!(Body::wrap(Body::stream(chunks(&["abc"]))).size_hint().exact(), None);
}

#[test]
fn a_stream_that_is_not_as_long_as_was_told_is_an_error() {
    let read = |told| Body::stream(chunks(&["ab", "cd"])).with_length(told).bytes().now_or_never().unwrap();

    assert_eq!(read(4).unwrap(), "abcd");
    assert!(read(3).is_err() && read(5).is_err());
}

#[test]
fn a_stream_that_is_too_short_fails_once_and_then_has_ended() {
    let mut body = Body::stream(chunks(&["abcd"])).with_length(5);

    assert!(body.frame().now_or_never().unwrap().unwrap().is_ok());
    assert!(body.frame().now_or_never().unwrap().unwrap().is_err());
    assert!(body.frame().now_or_never().unwrap().is_none());
}

#[test]
fn a_body_longer_than_allowed_is_an_error() {
    let body = Body::stream(chunks(&["ab", "cd"]));
    assert!(body.bytes_up_to(3).now_or_never().unwrap().is_err());
    assert_eq!(Body::stream(chunks(&["ab", "cd"])).bytes_up_to(4).now_or_never().unwrap().unwrap(), "abcd");
}
