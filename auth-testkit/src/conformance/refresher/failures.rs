//! What the failures that are answered mean.

use std::time::Duration;

use super::world::{Kind, World, json, means, shown, unknown};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::server::TokenAnswer;

pub(super) async fn rejected(world: &World) -> Verdict {
    let error = world.fail("invalid_grant", TokenAnswer::error("invalid_grant")).await?;
    means("a 400 with invalid_grant", &error, Kind::Rejected)?;
    unknown("a 400 with invalid_grant", &error, false)?;

    let current = world.sign_in();
    world.server.revoke_refresh_tokens();
    world.stage("refreshing with a refresh token that was revoked");
    match world.refresher.refresh(&current).await {
        Ok(_) => Err("a refresh token that was revoked was refreshed".to_owned()),
        Err(error) => means("a refresh token that was revoked", &error, Kind::Rejected),
    }
}

/// A gateway may pass on the text of a server that is failing.
pub(super) async fn rejected_on_5xx(world: &World) -> Verdict {
    for status in [500, 502, 503] {
        let answer = TokenAnswer::OAuthError { status, code: "invalid_grant".to_owned() };
        let what = format!("a {status} with invalid_grant");
        means(&what, &world.fail(&what, answer).await?, Kind::Unavailable)?;
    }
    KEPT
}

pub(super) async fn unavailable(world: &World) -> Verdict {
    for status in [500, 502, 503, 504, 429] {
        let what = format!("a {status}");
        means(&what, &world.fail(&what, TokenAnswer::status(status)).await?, Kind::Unavailable)?;
    }
    for (status, code) in [(500, "server_error"), (503, "temporarily_unavailable")] {
        let what = format!("a {status} with {code}");
        let answer = TokenAnswer::OAuthError { status, code: code.to_owned() };
        means(&what, &world.fail(&what, answer).await?, Kind::Unavailable)?;
    }
    KEPT
}

/// An answer that no authorization server gives: from a proxy, a login page, a firewall.
pub(super) async fn not_oauth(world: &World) -> Verdict {
    for status in [200, 400, 401, 403, 404, 502] {
        let what = format!("a page of HTML with {status}");
        means(&what, &world.fail(&what, TokenAnswer::Html(status)).await?, Kind::Unavailable)?;
    }
    for status in [400, 401, 403, 404] {
        let what = format!("a {status} and nothing else");
        means(&what, &world.fail(&what, TokenAnswer::status(status)).await?, Kind::Unavailable)?;
        let what = format!("a {status} with JSON of another kind");
        let answer = json(status, r#"{"message": "no"}"#.to_owned());
        means(&what, &world.fail(&what, answer).await?, Kind::Unavailable)?;
    }
    KEPT
}

pub(super) async fn retry_after(world: &World) -> Verdict {
    for (status, seconds) in [(429, 7), (503, 120)] {
        let answer = TokenAnswer::Status {
            status,
            retry_after: Some(seconds.to_string()),
            content_type: None,
            body: String::new(),
        };
        let what = format!("a {status} that asks for {seconds} s");

        let error = world.fail(&what, answer).await?;

        let hint = error.retry_after_hint();
        let right = hint == Some(Duration::from_secs(seconds));
        ensure!(right, "of {what}, the error says {hint:?}: {}", shown(&error));
    }
    KEPT
}

pub(super) async fn misconfigured(world: &World) -> Verdict {
    let refusals = [
        (401, "invalid_client"),
        (400, "invalid_client"),
        (400, "unauthorized_client"),
        (400, "unsupported_grant_type"),
        (400, "invalid_scope"),
    ];
    for (status, code) in refusals {
        let what = format!("a {status} with {code}");
        let answer = TokenAnswer::OAuthError { status, code: code.to_owned() };
        means(&what, &world.fail(&what, answer).await?, Kind::Misconfigured)?;
    }
    KEPT
}
