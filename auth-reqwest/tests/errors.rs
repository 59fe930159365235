//! What an error says: whether a connection was made, whether time ran out, whether the request may have been sent,
//! and whether its own body failed.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use auth_core::{Body, Transport};
use auth_reqwest::ReqwestTransport;
use auth_reqwest::reqwest::dns::{Name, Resolve, Resolving};
use auth_testkit::server::{ApiAnswer, TestServer};
use http::Request;
use support::{bounded, fed, get, http2_transport, request, sent, transport};

fn plain(url: &str) -> Request<Body> {
    Request::get(url).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_refused_connection_is_a_connect_error_and_was_not_sent() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

    let error = bounded(sent(plain(&format!("http://{address}/")))).await.unwrap_err();

    assert!(error.is_connect() && !error.is_timeout() && !error.is_maybe_sent() && !error.is_body());
}

#[tokio::test]
async fn a_connection_that_takes_too_long_is_both() {
    struct Never;
    impl Resolve for Never {
        fn resolve(&self, _: Name) -> Resolving {
            Box::pin(std::future::pending())
        }
    }
    let builder = ReqwestTransport::client_builder().no_proxy().dns_resolver(Arc::new(Never));
    let client = builder.connect_timeout(Duration::from_millis(1)).build().unwrap();

    let error =
        bounded(ReqwestTransport::new(client).send(plain("http://api.example.com/"))).await.unwrap_err();

    assert!(error.is_connect() && error.is_timeout() && !error.is_maybe_sent());
}

#[tokio::test]
async fn an_answer_that_takes_too_long_may_have_been_sent() {
    let server = TestServer::start().unwrap();
    server.hold_api();
    let builder = ReqwestTransport::client_builder().no_proxy().timeout(Duration::from_millis(50));

    let transport = ReqwestTransport::new(builder.build().unwrap());
    let error = bounded(transport.send(get(&server, "/notes"))).await.unwrap_err();

    assert!(error.is_timeout() && error.is_maybe_sent() && !error.is_connect());
}

#[tokio::test]
async fn a_lost_answer_may_have_been_sent_and_was_sent_once() {
    let server = TestServer::start().unwrap();
    let transport = transport();
    // The second is sent on a connection that was used before: there libraries like to send again.
    let response = bounded(transport.send(get(&server, "/notes"))).await.unwrap();
    bounded(response.into_body().bytes()).await.unwrap();
    for method in ["GET", "POST"] {
        server.next_api_answers([ApiAnswer::Lost]);
        let before = server.stats().api_requests;

        let lost = request(&server, method, server.api("/notes"), ());
        let error = bounded(transport.send(lost)).await.unwrap_err();

        assert!(error.is_maybe_sent() && !error.is_connect() && !error.is_body());
        assert_eq!(server.stats().api_requests, before + 1);
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_fails_its_body() {
    let server = TestServer::start().unwrap();
    server.next_api_answers([ApiAnswer::Truncated]);

    let response = bounded(sent(get(&server, "/notes"))).await.unwrap();

    assert!(bounded(response.into_body().bytes()).await.is_err());
}

#[tokio::test]
async fn a_failing_body_is_told_apart_on_http1_and_http2() {
    for transport in [transport(), http2_transport()] {
        let server = TestServer::start().unwrap();
        let (feed, body) = fed();
        feed.unbounded_send(Ok("first".into())).unwrap();
        feed.unbounded_send(Err(std::io::Error::other("the disk is gone"))).unwrap();

        let failing = request(&server, "POST", server.api("/notes"), body);
        let error = bounded(transport.send(failing)).await.unwrap_err();

        assert!(error.is_body() && error.is_maybe_sent() && !error.is_connect());
    }
}

#[tokio::test]
async fn a_body_that_fails_while_the_answer_waits_is_told_apart() {
    let server = TestServer::start().unwrap();
    let (feed, body) = fed();
    let failing = request(&server, "POST", server.api("/notes"), body);
    let sending = tokio::spawn(async move { sent(failing).await });
    feed.unbounded_send(Ok("first".into())).unwrap();
    bounded(server.when(|stats| stats.body_bytes == 5)).await;

    feed.unbounded_send(Err(std::io::Error::other("the disk is gone"))).unwrap();

    assert!(bounded(sending).await.unwrap().unwrap_err().is_body());
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_at_all_was_not() {
    for url in ["/relative", "ftp://files.example.com/a"] {
        let error = bounded(sent(plain(url))).await.unwrap_err();
        assert!(!error.is_maybe_sent() && !error.is_connect() && !error.is_timeout());
        assert!(error.is_unsendable(), "{error:?}");
        assert_eq!(auth_core::Error::from(error).advice(), auth_core::Advice::FixConfiguration);
    }
}

#[tokio::test]
async fn no_error_shows_the_url() {
    let server = TestServer::start().unwrap();
    server.always_api_answer(Some(ApiAnswer::Lost));
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = [
        server.api("/notes?key=s3cret"),
        format!("http://{address}/?key=s3cret"),
        "ftp://h/s3cret".to_owned(),
    ];

    for url in urls {
        let error = bounded(sent(plain(&url))).await.unwrap_err();
        let mut shown = format!("{error:?} {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            shown += &format!(" {cause}");
            source = cause.source();
        }
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
