//! What an error says, beyond what the conformance suite asks.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use auth_core::Body;
use auth_isahc::IsahcTransport;
use auth_isahc::isahc::config::Configurable as _;
use auth_testkit::server::{ApiAnswer, TestServer};
use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use support::{exchanged, made, plain, request, sent, transport};

/// Fills a listener's backlog: the next connection waits for ever.
fn full(listener: &TcpListener) -> Vec<TcpStream> {
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            Ok(stream) => waiting.push(stream),
            Err(error) if error.kind() == ErrorKind::TimedOut => return waiting,
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_connection_that_takes_too_long_is_both() {
    let _ = rlimit::increase_nofile_limit(16 * 1024);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _waiting = full(&listener);
    let url = format!("http://{}/", listener.local_addr().unwrap());

    let hasty = made(IsahcTransport::client_builder().connect_timeout(Duration::from_millis(50)));
    let error = sent(&hasty, plain("POST", &url, "text")).unwrap_err();

    assert!(error.is_connect() && error.is_timeout() && !error.is_maybe_sent(), "{error:?}");
}

#[test]
fn a_name_that_cannot_be_resolved_is_a_connect_error() {
    // A label of 64 letters is no name, so nobody is asked for it.
    let url = format!("http://{}.invalid/", "a".repeat(64));

    let error = sent(&transport(), plain("GET", &url, ())).unwrap_err();

    assert!(error.is_connect() && !error.is_maybe_sent(), "{error:?}");
}

#[test]
fn a_server_that_speaks_no_tls_was_sent_nothing() {
    let server = TestServer::start().unwrap();
    let url = server.api("/notes").replace("http://", "https://");

    let error = sent(&transport(), plain("POST", &url, "text")).unwrap_err();

    assert!(!error.is_maybe_sent() && !error.is_unsendable() && !error.is_body(), "{error:?}");
}

#[test]
fn what_isahc_cannot_send_is_refused() {
    let server = TestServer::start().unwrap();
    let mut bytes = request(&server, "GET", "/notes", ());
    bytes.headers_mut().insert("x-bytes", HeaderValue::from_bytes(b"\xe9").unwrap());
    let requests = [
        bytes,
        request(&server, "HEAD", "/notes", "text"),
        plain("GET", "/relative", ()),
        plain("GET", "ftp://files.example.com/a", ()),
    ];

    for request in requests {
        let error = sent(&transport(), request).unwrap_err();
        assert!(!error.is_maybe_sent() && !error.is_connect() && !error.is_timeout(), "{error:?}");
        assert!(error.is_unsendable(), "{error:?}");
    }
    assert_eq!(server.stats().connections, 0);
}

#[test]
fn a_body_that_panics_fails_its_request_and_no_other() {
    let server = TestServer::start().unwrap();
    let transport = transport();
    let panicking = || -> Body {
        Body::stream(stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, std::io::Error>>> {
            panic!("on purpose")
        }))
    };

    let error = sent(&transport, request(&server, "POST", "/notes", panicking())).unwrap_err();

    assert!(error.is_body(), "{error:?}");
    exchanged(&transport, request(&server, "GET", "/notes", ()));
}

#[test]
fn no_error_shows_the_url() {
    let server = TestServer::start().unwrap();
    server.always_api_answer(Some(ApiAnswer::Lost));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = [
        server.api("/notes?key=s3cret"),
        format!("http://{closed}/?key=s3cret"),
        format!("http://{}.invalid/?key=s3cret", "a".repeat(64)),
        "ftp://h/s3cret".to_owned(),
    ];

    for url in urls {
        let error = sent(&transport(), plain("POST", &url, "s3cret")).unwrap_err();
        let mut shown = format!("{error:?} {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            shown += &format!(" {cause}");
            source = cause.source();
        }
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
