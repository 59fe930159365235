//! The resource server: what a token opens, and what a test sees of it.
#![cfg(feature = "server")]

mod support;

use auth_core::{Body, Transport};
use auth_testkit::server::{ApiAnswer, TestServer, digest};
use http::header::{CONNECTION, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use serde_json::Value;
use support::{bounded, get_with, send, status, transport};

#[tokio::test]
async fn a_valid_token_gets_a_description_of_its_request() {
    let server = TestServer::start().unwrap();
    let mut request = get_with(&server.issue(), &server.api("/notes?page=2"));
    *request.method_mut() = http::Method::PUT;
    *request.body_mut() = Body::from("text");

    let response = send(request).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    let described: Value = bounded(response.into_body().json()).await.unwrap();
    let expected = serde_json::json!({
        "method": "PUT", "path": "/api/notes", "query": "page=2", "bytes": 4, "digest": digest(b"text"), "token": "T0",
    });
    assert_eq!(described, expected);
}

#[tokio::test]
async fn without_a_valid_token_there_is_a_401_with_its_challenge() {
    let server = TestServer::start().unwrap();
    let expired = server.issue();
    server.expire_access_tokens();

    let bare = send(Request::get(server.api("/notes")).body(Body::empty()).unwrap()).await.unwrap();
    let rejected = send(get_with(&expired, &server.api("/notes"))).await.unwrap();

    assert_eq!((bare.status(), rejected.status()), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(bare.headers()[WWW_AUTHENTICATE], "Bearer");
    assert_eq!(rejected.headers()[WWW_AUTHENTICATE], r#"Bearer error="invalid_token""#);
    assert_eq!(server.stats().unauthorized, 2);
}

#[tokio::test]
async fn public_resources_need_no_token_and_others_are_missing() {
    let server = TestServer::start().unwrap();
    server.always_401(true);
    let get = |url: String| send(Request::get(url).body(Body::empty()).unwrap());

    assert_eq!(get(server.public("/news")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(get(server.base_url() + "/nothing").await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(get(server.redirect_to("/public/x")).await.unwrap().status(), StatusCode::FOUND);
    assert_eq!(get(server.base_url() + "/redirect").await.unwrap().status(), StatusCode::BAD_REQUEST);
    let stats = server.stats();
    assert_eq!((stats.public_requests, stats.redirects, stats.api_requests), (1, 1, 0));
}

#[tokio::test]
async fn always_401_can_be_switched_off_again() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();

    server.always_401(true);
    assert_eq!(status(&server, &tokens).await, StatusCode::UNAUTHORIZED);
    server.always_401(false);
    assert_eq!(status(&server, &tokens).await, StatusCode::OK);
}

#[tokio::test]
async fn a_lifetime_that_is_over_is_a_401() {
    let server =
        TestServer::builder().configure(|policy| policy.expires_in = Some(1e-9.into())).start().unwrap();
    let tokens = server.issue();

    assert_eq!(status(&server, &tokens).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn scripted_answers_come_in_their_order_and_then_the_standing_one() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    let headers = vec![("x-test".to_owned(), "yes".to_owned())];
    let busy = ApiAnswer::Status { status: 503, headers, body: "busy".to_owned() };
    server.next_api_answers([busy, ApiAnswer::Unauthorized]);
    server.always_api_answer(Some(ApiAnswer::status(418)));

    let first = send(get_with(&tokens, &server.api("/notes"))).await.unwrap();
    assert_eq!((first.status().as_u16(), first.headers()["x-test"].to_str().unwrap()), (503, "yes"));
    assert_eq!(bounded(first.into_body().text()).await.unwrap(), "busy");
    for expected in [401, 418, 418] {
        assert_eq!(status(&server, &tokens).await.as_u16(), expected);
    }
    server.always_api_answer(None);
    assert_eq!(status(&server, &tokens).await, StatusCode::OK);
}

#[tokio::test]
async fn connections_can_be_closed_broken_and_lost() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    let transport = transport();
    server.next_api_answers([ApiAnswer::Close, ApiAnswer::Lost, ApiAnswer::Truncated]);
    let send = || bounded(transport.send(get_with(&tokens, &server.api("/notes"))));

    let closed = send().await.unwrap();
    assert_eq!(closed.headers()[CONNECTION], "close");
    bounded(closed.into_body().bytes()).await.unwrap();
    assert!(send().await.unwrap_err().is_maybe_sent());
    assert!(bounded(send().await.unwrap().into_body().bytes()).await.is_err());

    assert_eq!(server.stats().connections, 3);
    bounded(server.when(|stats| stats.open_connections == 0)).await;
}

#[tokio::test]
async fn a_request_that_is_held_was_judged_when_it_arrived() {
    let server = TestServer::start().unwrap();
    let (stale, fresh) = (server.issue(), server.issue());
    server.hold_api_when(|seen| seen.path() == "/api/late");
    let late = tokio::spawn(send(get_with(&stale, &server.api("/late"))));
    bounded(server.when(|stats| stats.api_held == 1)).await;

    assert_eq!(status(&server, &fresh).await, StatusCode::OK);
    server.expire_access_tokens();
    let later = tokio::spawn(send(get_with(&stale, &server.api("/late"))));
    bounded(server.when(|stats| stats.api_held == 2)).await;

    assert_eq!(server.let_api_through(1), 1);
    assert_eq!(bounded(late).await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(server.stats().api_held, 1);
    server.release_api();
    assert_eq!(bounded(later).await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_log_has_everything_in_order_and_prints_no_secret() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();

    status(&server, &tokens).await;
    support::refresh(&server, &tokens).await;

    let log = server.log();
    let seen: Vec<_> = log.iter().map(|seen| (seen.number, seen.connection, seen.target.as_str())).collect();
    assert_eq!(seen, [(0, 0, "/api/notes"), (1, 1, "/token")]);
    assert_eq!(log[0].bearer.as_deref(), Some(tokens.access_token().reveal()));
    assert_eq!((log[0].access_label(), log[1].refresh_label()), (Some("T0"), Some("R0")));
    assert_eq!(log[1].grant_type.as_deref(), Some("refresh_token"));
    assert_eq!(log[1].status, Some(StatusCode::OK));
    let printed = format!("{log:?} {server:?}");
    let secret = |text: &str| text.rsplit('.').next().unwrap().to_owned();
    assert!(!printed.contains(&secret(tokens.access_token().reveal())));
    assert!(!printed.contains(&secret(support::refresh_text(&tokens))));
}

#[test]
fn waiting_ends_with_what_was_waited_for_or_with_the_time() {
    let server = TestServer::start().unwrap();

    let error = server.wait_until(|stats| stats.ok > 0, std::time::Duration::ZERO).unwrap_err();
    assert_eq!(error.stats.ok, 0);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tokens = server.issue();
    let request = get_with(&tokens, &server.api("/notes"));
    runtime.spawn(async move { send(request).await.map(|_| ()) });
    assert_eq!(server.wait_until(|stats| stats.ok == 1, support::LONG).unwrap().ok, 1);
    assert_eq!(futures::executor::block_on(server.when(|stats| stats.ok == 1)).ok, 1);
}

#[tokio::test]
async fn a_server_that_is_dropped_is_gone() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    let url = server.api("/notes");
    server.hold_api();
    let held = tokio::spawn(send(get_with(&tokens, &url)));
    bounded(server.when(|stats| stats.api_held == 1)).await;

    drop(server);

    assert!(bounded(held).await.unwrap().is_err());
    assert!(send(get_with(&tokens, &url)).await.unwrap_err().is_connect());
}

#[tokio::test]
async fn hundreds_of_connections_are_served_at_once() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    server.hold_api();

    let transport = transport();
    let storm: Vec<_> = (0..200)
        .map(|_| {
            let (transport, request) = (transport.clone(), get_with(&tokens, &server.api("/notes")));
            tokio::spawn(async move { transport.send(request).await.unwrap().status() })
        })
        .collect();
    let stats = bounded(server.when(|stats| stats.api_held == 200)).await;
    assert_eq!(stats.open_connections, 200);
    server.release_api();

    for answered in storm {
        assert_eq!(bounded(answered).await.unwrap(), StatusCode::OK);
    }
}
