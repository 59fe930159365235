//! What the crate's documentation says of bodies and of giving up, beyond what the conformance suite asks.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use auth_core::Transport as _;
use auth_testkit::server::TestServer;
use futures::future::{Either, join_all, select};
use http::StatusCode;
use support::{LONG, answering, exchanged, fed, plain, request, sent, transport, waited};

/// An upload that the server has answered before its end, as for an expired token.
#[test]
fn an_answer_that_comes_early_is_returned_and_does_not_pass_for_an_answer_to_the_whole() {
    let early = answering("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
    let (feed, body) = fed();
    feed.unbounded_send(Ok("first".into())).unwrap();

    let response = sent(&transport(), plain("POST", &format!("http://{early}/"), body)).unwrap();

    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(waited(response.into_body().bytes()).is_err());
}

#[test]
fn an_answer_that_comes_after_the_whole_is_whole() {
    let server = TestServer::start().unwrap();
    let (feed, body) = fed();
    feed.unbounded_send(Ok("text".into())).unwrap();
    drop(feed);

    exchanged(&transport(), request(&server, "POST", "/notes", body));

    assert_eq!(server.log()[0].body_length, 4);
}

#[test]
fn trailers_come_after_the_body() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n4\r\ntext\r\n0\r\nx-sum: 7\r\n\r\n";

    let response = sent(&transport(), plain("GET", &format!("http://{}/", answering(answer)), ())).unwrap();

    let mut body = response.into_body();
    let (data, trailers, end) =
        waited(async move { (body.frame().await, body.frame().await, body.frame().await.is_none()) });
    assert_eq!(data.unwrap().unwrap().into_data().unwrap(), "text");
    assert_eq!(trailers.unwrap().unwrap().into_trailers().unwrap()["x-sum"], "7");
    assert!(end);
}

#[test]
fn what_is_given_up_while_the_server_is_silent_ends_when_it_speaks() {
    let server = TestServer::start().unwrap();
    server.hold_api();
    let (transport, wanted, held) =
        (transport(), request(&server, "GET", "/notes", ()), server.when(|stats| stats.api_held == 1));
    waited(async move {
        let ended = matches!(select(transport.send(wanted), held).await, Either::Left(_));
        assert!(!ended);
    });

    server.release_api();

    server.wait_until(|stats| stats.open_connections == 0, LONG).unwrap();
}

#[test]
fn nothing_is_asked_for_that_the_request_does_not_say() {
    let server = TestServer::start().unwrap();
    let large = vec![7_u8; 3 * 1024 * 1024];

    exchanged(&transport(), request(&server, "PUT", "/notes", large));

    let seen = &server.log()[0];
    for name in ["expect", "accept-encoding", "referer", "cookie"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
}

/// More than libcurl can have connections: the rest wait for one.
#[test]
fn a_thousand_at_once_are_answered() {
    let _ = rlimit::increase_nofile_limit(4 * 1024);
    let server = TestServer::start().unwrap();
    let (transport, requests) =
        (transport(), (0..1_000).map(|_| request(&server, "GET", "/notes", ())).collect::<Vec<_>>());

    let answers = waited(async move {
        join_all(requests.into_iter().map(|request| async {
            let response = transport.send(request).await?;
            Ok::<_, auth_core::TransportError>(response.into_body().bytes().await.is_ok())
        }))
        .await
    });

    assert!(answers.into_iter().all(|answer| answer.unwrap()));
    assert!(server.stats().connections <= 400, "{:?}", server.stats());
}

#[test]
fn it_works_on_smol_too() {
    let server = TestServer::start().unwrap();
    let (transport, request) = (transport(), request(&server, "POST", "/notes", "text"));

    let status =
        smol::block_on(async move { transport.send(request).await.map(|response| response.status()) });

    assert_eq!(status.unwrap(), StatusCode::OK);
}
