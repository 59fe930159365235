//! What goes out is what was given, and what comes back is what came.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use auth_core::{Body, FinalUri, Transport};
use auth_testkit::server::{ApiAnswer, TestServer, digest};
use bytes::Bytes;
use futures::stream;
use http::header::{CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use http::{HeaderValue, Request, StatusCode, Uri};
use serde_json::Value;
use support::{bounded, get, http2_transport, request, sent, transport};

#[tokio::test]
async fn method_path_and_query_are_kept() {
    let server = TestServer::start().unwrap();
    let request = request(&server, "PATCH", server.api("/notes/7?a=1&b=%20x&a=2"), "text");

    let response = bounded(sent(request)).await.unwrap();

    let seen = &server.log()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PATCH", "/api/notes/7?a=1&b=%20x&a=2"));
    let described: Value = bounded(response.into_body().json()).await.unwrap();
    assert_eq!(described["digest"], digest(b"text"));
}

#[tokio::test]
async fn every_value_of_a_header_goes_out_in_order() {
    let server = TestServer::start().unwrap();
    let mut request = get(&server, "/notes");
    for value in ["one", "two", "three"] {
        request.headers_mut().append("x-many", HeaderValue::from_static(value));
    }
    request.headers_mut().insert("x-bytes", HeaderValue::from_bytes(b"\xe9t\xe9").unwrap());

    bounded(sent(request)).await.unwrap();

    let seen = &server.log()[0];
    assert!(seen.headers.get_all("x-many").iter().eq(["one", "two", "three"]));
    assert_eq!(seen.headers["x-bytes"].as_bytes(), b"\xe9t\xe9");
}

#[tokio::test]
async fn every_value_of_a_header_comes_back_in_order() {
    let server = TestServer::start().unwrap();
    let headers = ["a=1", "b=2"].map(|value| ("set-cookie".to_owned(), value.to_owned())).to_vec();
    server.next_api_answers([ApiAnswer::Status { status: 200, headers, body: String::new() }]);

    let response = bounded(sent(get(&server, "/notes"))).await.unwrap();

    assert!(response.headers().get_all("set-cookie").iter().eq(["a=1", "b=2"]));
}

#[tokio::test]
async fn a_header_of_the_request_is_not_replaced() {
    let server = TestServer::start().unwrap();
    let mut request = get(&server, "/notes");
    request.headers_mut().insert("accept", HeaderValue::from_static("text/plain"));
    request.headers_mut().insert("user-agent", HeaderValue::from_static("notes/1.0"));

    bounded(sent(request)).await.unwrap();

    let seen = &server.log()[0];
    assert!(seen.headers.get_all("accept").iter().eq(["text/plain"]));
    assert!(seen.headers.get_all("user-agent").iter().eq(["notes/1.0"]));
    assert!(!seen.headers.contains_key("referer"));
}

#[tokio::test]
async fn no_body_is_no_body() {
    let server = TestServer::start().unwrap();

    bounded(sent(get(&server, "/notes"))).await.unwrap();

    let seen = &server.log()[0];
    assert!(!seen.headers.contains_key(CONTENT_LENGTH) && !seen.headers.contains_key(TRANSFER_ENCODING));
}

#[tokio::test]
async fn bytes_are_sent_with_their_length() {
    let server = TestServer::start().unwrap();
    let large = vec![7u8; 3 * 1024 * 1024];
    let request = request(&server, "POST", server.api("/notes"), large.clone());

    let response = bounded(sent(request)).await.unwrap();

    let seen = &server.log()[0];
    assert_eq!(seen.headers[CONTENT_LENGTH], large.len().to_string());
    assert_eq!(seen.body_length, large.len() as u64);
    assert!(!seen.headers.contains_key("expect"));
    let described: Value = bounded(response.into_body().json()).await.unwrap();
    assert_eq!(described["digest"], digest(&large));
}

#[tokio::test]
async fn a_stream_of_known_length_is_sent_with_it_and_another_is_chunked() {
    let server = TestServer::start().unwrap();
    let chunks = || stream::iter(["ab", "cd"].map(|text| Ok::<_, std::io::Error>(Bytes::from(text))));

    for body in [Body::replayable(chunks).with_length(4), Body::stream(chunks())] {
        bounded(sent(request(&server, "PUT", server.api("/notes"), body))).await.unwrap();
    }

    let log = server.log();
    assert_eq!(log[0].headers[CONTENT_LENGTH], "4");
    assert_eq!(log[1].headers[TRANSFER_ENCODING], "chunked");
    assert!(log.iter().all(|seen| seen.body_length == 4));
}

#[tokio::test]
async fn a_401_is_a_response() {
    let server = TestServer::start().unwrap();
    let request = Request::get(server.api("/notes")).body(Body::empty()).unwrap();

    let response = bounded(sent(request)).await.unwrap();

    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(!bounded(response.into_body().bytes()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_redirect_is_a_response_and_is_not_followed() {
    let server = TestServer::start().unwrap();
    let url = server.redirect_to(&server.public("/elsewhere"));
    let request = Request::get(&url).body(Body::empty()).unwrap();

    let response = bounded(sent(request)).await.unwrap();

    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()[LOCATION], server.public("/elsewhere"));
    assert_eq!(response.extensions().get(), Some(&FinalUri(url.parse().unwrap())));
    assert_eq!(server.stats().public_requests, 0);
}

#[tokio::test]
async fn a_client_that_follows_redirects_says_where_it_got_to() {
    let server = TestServer::start().unwrap();
    let client = auth_reqwest::reqwest::Client::builder().no_proxy().build().unwrap();
    let url = server.redirect_to(&server.public("/elsewhere"));
    let request = Request::get(url).body(Body::empty()).unwrap();

    let response = bounded(auth_reqwest::ReqwestTransport::from(client).send(request)).await.unwrap();

    let elsewhere: Uri = server.public("/elsewhere").parse().unwrap();
    assert_eq!(response.extensions().get(), Some(&FinalUri(elsewhere)));
}

#[tokio::test]
async fn http2_is_the_same_to_its_caller() {
    let server = TestServer::start().unwrap();
    let request = request(&server, "POST", server.api("/notes"), "text");

    let response = bounded(http2_transport().send(request)).await.unwrap();

    assert_eq!(response.version(), http::Version::HTTP_2);
    let described: Value = bounded(response.into_body().json()).await.unwrap();
    assert_eq!(described["bytes"], 4);
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = TestServer::start().unwrap();
    let transport = transport();

    for _ in 0..5 {
        let response = bounded(transport.send(get(&server, "/notes"))).await.unwrap();
        bounded(response.into_body().bytes()).await.unwrap();
    }

    assert_eq!(server.stats().connections, 1);
}
