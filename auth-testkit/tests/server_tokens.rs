//! The authorization server's policies: rotation, reuse, grace, and what an answer says.
#![cfg(feature = "server")]

mod support;

use std::time::Duration;

use auth_testkit::server::TestServer;
use http::StatusCode;
use serde_json::{Value, json};
use support::{form, refresh, refresh_text, refreshed, send, status};

#[tokio::test]
async fn a_refresh_gives_the_next_pair() {
    let server = TestServer::start().unwrap();
    let first = server.issue();

    let second = refreshed(&server, &first).await;
    let third = refreshed(&server, &second).await;

    assert!(second.access_token().reveal().starts_with("T1."));
    assert!(refresh_text(&third).starts_with("R2."));
    assert_eq!(third.expires_in(), Some(Duration::from_secs(3600)));
    assert_eq!(status(&server, &third).await, StatusCode::OK);
    assert!(server.accepts(third.access_token().reveal()));
    assert_eq!((server.stats().token_requests, server.stats().refreshes_granted), (2, 2));
}

#[tokio::test]
async fn reuse_revokes_the_family_access_tokens_included() {
    let server = TestServer::start().unwrap();
    let (first, other) = (server.issue(), server.issue());
    let second = refreshed(&server, &first).await;

    let (code, answer) = refresh(&server, &first).await;

    assert_eq!((code.as_u16(), &answer), (400, &json!({ "error": "invalid_grant" })));
    assert_eq!(refresh(&server, &second).await.1["error"], "invalid_grant");
    assert_eq!(status(&server, &second).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&server, &other).await, StatusCode::OK);
    let stats = server.stats();
    assert_eq!((stats.reuse_detected, stats.families_revoked, stats.refreshes_refused), (1, 1, 2));
}

#[tokio::test]
async fn without_reuse_detection_a_spent_token_is_only_refused() {
    let server = TestServer::builder().configure(|policy| policy.detect_reuse = false).start().unwrap();
    let first = server.issue();
    let second = refreshed(&server, &first).await;

    assert_eq!(refresh(&server, &first).await.1["error"], "invalid_grant");

    assert_eq!(refresh(&server, &second).await.0, StatusCode::OK);
    assert_eq!(server.stats().families_revoked, 0);
}

#[tokio::test]
async fn a_client_gets_tokens_for_itself_where_the_policy_says_so() {
    let server = TestServer::start().unwrap();
    let ask = || async {
        let request = form(&server.token_endpoint(), "grant_type=client_credentials&client_id=notes");
        let response = send(request).await.unwrap();
        (response.status(), response.into_body().json::<Value>().await.unwrap())
    };
    assert_eq!(ask().await.1["error"], "unsupported_grant_type");
    server.configure(|policy| policy.client_credentials = true);

    let (code, answer) = ask().await;

    assert_eq!((code, &answer["refresh_token"]), (StatusCode::OK, &Value::Null));
    assert!(server.accepts(answer["access_token"].as_str().unwrap()));
    assert_eq!(server.stats().refreshes_granted, 0);
}

#[tokio::test]
async fn a_grace_period_gives_the_same_pair_again() {
    let server = TestServer::start().unwrap();
    server.configure(|policy| policy.grace = Duration::from_secs(3600));
    let first = server.issue();

    let (once, again) = (refreshed(&server, &first).await, refreshed(&server, &first).await);

    assert!(once.access_token() == again.access_token() && once.refresh_token() == again.refresh_token());
    assert_eq!((server.stats().graced, server.stats().refreshes_granted), (1, 1));
}

#[tokio::test]
async fn an_answer_can_leave_out_the_refresh_token_and_give_the_same_access_token() {
    let server = TestServer::start().unwrap();
    server.configure(|policy| {
        policy.omit_refresh_token = true;
        policy.same_access_token = true;
    });
    let first = server.issue();

    for _ in 0..2 {
        let (_, answer) = refresh(&server, &first).await;
        assert_eq!(answer["access_token"], first.access_token().reveal());
        assert_eq!(answer.get("refresh_token"), None);
    }
}

#[tokio::test]
async fn the_lifetime_is_answered_as_it_was_said() {
    let server = TestServer::builder().configure(|policy| policy.rotate = false).start().unwrap();
    let tokens = server.issue();
    for said in [json!("3600"), json!(3600.5), json!(-1), json!("zzz"), json!({}), Value::Null] {
        server.configure(|policy| policy.expires_in = Some(said.clone()));
        assert_eq!(refresh(&server, &tokens).await.1["expires_in"], said);
    }
    server.configure(|policy| policy.expires_in = None);

    let (_, answer) = refresh(&server, &tokens).await;

    assert_eq!(answer.get("expires_in"), None);
    assert_eq!(server.issue().expires_in(), None);
}

#[tokio::test]
async fn revoked_refresh_tokens_are_refused_and_access_tokens_go_on() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();

    server.revoke_refresh_tokens();

    assert_eq!(refresh(&server, &tokens).await.1["error"], "invalid_grant");
    assert_eq!(status(&server, &tokens).await, StatusCode::OK);
}

#[tokio::test]
async fn revocation_ends_a_family() {
    let server = TestServer::start().unwrap();
    let tokens = server.issue();
    let text = format!("token={}", refresh_text(&tokens));

    let revoked = send(form(&server.revocation_endpoint(), &text)).await.unwrap();

    assert_eq!(revoked.status(), StatusCode::OK);
    assert_eq!(status(&server, &tokens).await, StatusCode::UNAUTHORIZED);
    assert_eq!(server.stats().revocations, 1);
}

#[tokio::test]
async fn a_request_that_is_no_refresh_is_refused_as_the_rfc_says() {
    let server = TestServer::builder().configure(|p| p.client_id = Some("notes".to_owned())).start().unwrap();
    let url = server.token_endpoint();
    let cases = [
        ("grant_type=refresh_token&refresh_token=R0.0.guessed&client_id=notes", 400, "invalid_grant"),
        ("grant_type=refresh_token&client_id=notes", 400, "invalid_request"),
        ("grant_type=password&client_id=notes", 400, "unsupported_grant_type"),
        ("grant_type=refresh_token&refresh_token=x&client_id=other", 401, "invalid_client"),
    ];

    for (text, expected, code) in cases {
        let response = send(form(&url, text)).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
        assert_eq!(response.into_body().json::<Value>().await.unwrap()["error"], code);
    }
    let get = http::Request::get(url).body(auth_core::Body::empty()).unwrap();
    assert_eq!(send(get).await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}
