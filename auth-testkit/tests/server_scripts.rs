//! What a test makes of the token endpoint: scripted answers, lost ones, and gates.
#![cfg(feature = "server")]

mod support;

use std::time::{Duration, Instant};

use auth_core::Transport;
use auth_testkit::server::{TestServer, TokenAnswer};
use http::StatusCode;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use support::{
    bounded, get_with, refresh, refresh_request, refresh_text, refreshed, send, status, transport,
};

#[tokio::test]
async fn answers_come_in_their_order_and_are_not_processed() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    let busy = TokenAnswer::Status {
        status: 429,
        retry_after: Some("7".to_owned()),
        content_type: Some("text/plain".to_owned()),
        body: "later".to_owned(),
    };
    let answers = [busy, TokenAnswer::error("invalid_scope"), TokenAnswer::Html(502)];
    server.next_token_answers(answers.into_iter().chain([TokenAnswer::Nonsense("{".into())]));
    let ask = || send(refresh_request(&server, refresh_text(&tokens)));

    let response = ask().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (429, &"7".parse().unwrap()));
    assert_eq!(response.into_body().text().await.unwrap(), "later");
    let response = ask().await.unwrap();
    assert_eq!(response.into_body().text().await.unwrap(), r#"{"error":"invalid_scope"}"#);
    let response = ask().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()[CONTENT_TYPE]),
        (502, &"text/html".parse().unwrap())
    );
    let response = ask().await.unwrap();
    assert_eq!(response.into_body().text().await.unwrap(), "{");

    assert_eq!(server.stats().refreshes_granted, 0);
    assert_eq!(refresh(&server, &tokens).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_standing_answer_stands_until_it_is_taken_back() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    server.always_token_answer(Some(TokenAnswer::OAuthError {
        status: 401,
        code: "invalid_client".to_owned(),
    }));

    assert_eq!(refresh(&server, &tokens).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(refresh(&server, &tokens).await.0, StatusCode::UNAUTHORIZED);
    server.always_token_answer(None);
    assert_eq!(refresh(&server, &tokens).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_lost_and_a_truncated_answer_spend_the_refresh_token() {
    for lost in [TokenAnswer::Lost, TokenAnswer::Truncated] {
        let server = TestServer::start().unwrap();
        server.configure(|policy| policy.grace = Duration::from_secs(3600));
        let tokens = server.issue();
        server.next_token_answers([lost.clone()]);

        let sent = send(refresh_request(&server, refresh_text(&tokens))).await;
        match lost {
            TokenAnswer::Lost => assert!(sent.unwrap_err().is_maybe_sent()),
            _ => assert!(bounded(sent.unwrap().into_body().bytes()).await.is_err()),
        }

        assert_eq!((server.stats().refreshes_granted, server.stats().token_requests), (1, 1));
        assert!(refresh_text(&refreshed(&server, &tokens).await).starts_with("R1."));
        assert_eq!(server.stats().graced, 1);
    }
}

#[tokio::test]
async fn a_refused_connection_spends_nothing() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    server.next_token_answers([TokenAnswer::Refused]);

    assert!(send(refresh_request(&server, refresh_text(&tokens))).await.is_err());

    assert_eq!(server.stats().refreshes_granted, 0);
}

#[tokio::test]
async fn a_redirect_names_where_to_go_and_spends_nothing() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    let to = server.public("/elsewhere");
    server.next_token_answers([TokenAnswer::Redirect { status: 307, to: to.clone() }]);

    let response = send(refresh_request(&server, refresh_text(&tokens))).await.unwrap();

    assert_eq!((response.status().as_u16(), &response.headers()[LOCATION]), (307, &to.parse().unwrap()));
    assert_eq!(refresh(&server, &tokens).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_slow_answer_takes_its_time() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    server.next_token_answers([TokenAnswer::Slow(Duration::from_millis(10))]);
    let start = Instant::now();

    refreshed(&server, &tokens).await;

    assert!(start.elapsed() >= Duration::from_millis(10));
}

#[tokio::test]
async fn a_held_endpoint_does_nothing_until_it_is_released() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    server.hold_token_endpoint();
    let asked = tokio::spawn(send(refresh_request(&server, refresh_text(&tokens))));
    let stats = bounded(server.when(|stats| stats.token_held == 1)).await;
    assert_eq!((stats.token_requests, stats.refreshes_granted), (1, 0));

    server.release_token_endpoint();

    assert_eq!(bounded(asked).await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(server.stats().token_held, 0);
}

#[tokio::test]
async fn a_held_answer_has_been_processed() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    server.next_token_answers([TokenAnswer::Hold]);
    let asked = tokio::spawn(send(refresh_request(&server, refresh_text(&tokens))));
    let stats = bounded(server.when(|stats| stats.token_held == 1)).await;
    assert_eq!(stats.refreshes_granted, 1);

    server.release_token_endpoint();

    assert_eq!(bounded(asked).await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_goes_is_held_no_longer() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    server.hold_token_endpoint();
    let asked = tokio::spawn(send(refresh_request(&server, refresh_text(&tokens))));
    bounded(server.when(|stats| stats.token_held == 1)).await;

    asked.abort();

    bounded(server.when(|stats| stats.token_held == 0)).await;
    server.release_token_endpoint();
    assert_eq!(refresh(&server, &tokens).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_token_endpoint_can_wait_for_every_401() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    server.expire_access_tokens();
    status(&server, &tokens).await;
    server.answer_token_when_unauthorized(3);
    let asked = tokio::spawn(send(refresh_request(&server, refresh_text(&tokens))));
    bounded(server.when(|stats| stats.token_held == 1)).await;

    let transport = transport();
    for _ in 0..3 {
        assert_eq!(server.stats().token_held, 1);
        bounded(transport.send(get_with(&tokens, &server.api("/notes")))).await.unwrap();
    }

    assert_eq!(bounded(asked).await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(server.stats().unauthorized, 4);
}
