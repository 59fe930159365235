//! Tests of `ScriptedTransport`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use auth_core::{Body, Transport, TransportError};
use auth_testkit::{ManualRuntime, ScriptedTransport, response};
use futures::FutureExt as _;
use http::{Request, StatusCode};

fn get(path: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.parse().expect("tests give valid paths");
    request
}

#[test]
fn each_request_is_answered_by_hand_in_any_order() {
    let runtime = ManualRuntime::new();
    let (transport, handle) = ScriptedTransport::new();
    let sends = ["/a", "/b", "/c"].map(|path| {
        let transport = transport.clone();
        runtime.start(async move { transport.send(get(path)).await })
    });

    let a = runtime.block_on(handle.next());
    let b = handle.try_next().unwrap();
    let c = handle.try_next().unwrap();
    assert_eq!((handle.under_way(), handle.most_at_once()), (3, 3));
    c.respond(StatusCode::NO_CONTENT);
    b.fail(TransportError::new("reset").maybe_sent());
    a.answer(response(200).map(|_| Body::from("notes")));
    runtime.run_until_stalled();

    let [a, b, c] = sends.map(|send| send.take().unwrap());
    assert_eq!(a.unwrap().body().as_bytes(), Some(&b"notes"[..]));
    assert!(b.unwrap_err().is_maybe_sent());
    assert_eq!(c.unwrap().status(), 204);
    assert_eq!((handle.under_way(), handle.calls()), (0, 3));
}

#[test]
fn a_send_is_logged_at_its_first_poll_and_not_before() {
    let (transport, handle) = ScriptedTransport::new();
    let mut first_made = transport.send(get("/first-made"));
    let mut first_polled = transport.send(get("/first-polled"));
    assert_eq!(handle.calls(), 0);

    assert!((&mut first_polled).now_or_never().is_none());
    assert!((&mut first_made).now_or_never().is_none());
    assert!((&mut first_polled).now_or_never().is_none());

    let paths: Vec<_> = handle.log().iter().map(|sent| sent.uri.path().to_owned()).collect();
    assert_eq!(paths, ["/first-polled", "/first-made"]);
}

#[test]
fn the_log_keeps_the_whole_request() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mark(u8);
    let (transport, handle) = ScriptedTransport::new();
    handle.answer_with(|_| response(204));
    let request = Request::put("/notes/1?draft")
        .header("authorization", "bearer T7")
        .extension(Mark(3))
        .body(Body::from("text"))
        .unwrap();

    transport.send(request).now_or_never().unwrap().unwrap();

    let sent = handle.log().remove(0);
    assert_eq!((sent.method.as_str(), sent.uri.query()), ("PUT", Some("draft")));
    assert_eq!(sent.bearer(), Some("T7"));
    assert_eq!(sent.extensions.get::<Mark>(), Some(&Mark(3)));
    assert_eq!(sent.body.as_deref(), Some(&b"text"[..]));
}

#[test]
fn a_header_of_another_scheme_is_no_bearer_token() {
    let (transport, handle) = ScriptedTransport::new();
    for value in [None, Some("Basic dTpw"), Some("Bearer")] {
        let mut request = get("/");
        if let Some(value) = value {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        assert!(transport.send(request).now_or_never().is_none());
        assert_eq!(handle.try_next().unwrap().bearer(), None);
    }
}

#[test]
fn a_request_can_be_taken_apart_to_read_its_body() {
    let runtime = ManualRuntime::new();
    let (transport, handle) = ScriptedTransport::new();
    let running =
        runtime.start(async move { transport.send(get("/").map(|_| Body::from("all of it"))).await });

    let (request, reply) = runtime.block_on(handle.next()).into_parts();
    assert_eq!(runtime.block_on(request.into_body().text()).unwrap(), "all of it");
    assert!(!reply.is_abandoned());
    reply.answer(response(201));

    assert_eq!(runtime.block_on(running).unwrap().status(), 201);
}

#[test]
fn the_test_sees_that_a_request_was_abandoned_even_before_it_took_the_call() {
    let (transport, handle) = ScriptedTransport::new();
    let mut sending = transport.send(get("/"));
    assert!((&mut sending).now_or_never().is_none());

    drop(sending);

    assert!(handle.try_next().unwrap().is_abandoned());
    assert_eq!((handle.under_way(), handle.calls()), (0, 1));
}

#[test]
fn a_send_can_panic() {
    let (transport, handle) = ScriptedTransport::new();
    let mut sending = transport.send(get("/"));
    assert!((&mut sending).now_or_never().is_none());

    handle.try_next().unwrap().panics("in the backend");

    assert!(catch_unwind(AssertUnwindSafe(|| (&mut sending).now_or_never())).is_err());
}

#[test]
fn requests_can_be_answered_by_themselves_and_by_hand_again() {
    let (transport, handle) = ScriptedTransport::new();
    handle.answer_with(|request| response(if request.uri().path() == "/old" { 410 } else { 200 }));
    assert_eq!(transport.send(get("/old")).now_or_never().unwrap().unwrap().status(), 410);
    assert_eq!(transport.send(get("/new")).now_or_never().unwrap().unwrap().status(), 200);

    handle.answer_by_hand();

    assert!(transport.send(get("/new")).now_or_never().is_none());
}

#[test]
fn nothing_shows_a_token_when_printed() {
    let (transport, handle) = ScriptedTransport::new();
    let mut request = get("/?access_token=secret");
    request.headers_mut().insert("authorization", "Bearer secret".parse().unwrap());
    assert!(transport.send(request).now_or_never().is_none());

    let text = format!("{transport:?} {handle:?} {:?} {:?}", handle.log(), handle.try_next().unwrap());

    assert!(!text.contains("secret"), "{text}");
}
