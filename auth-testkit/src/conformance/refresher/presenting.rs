//! What a refresh sends: the current refresh token, as it is and once, in one request that goes nowhere else.

use bytes::Bytes;

use super::world::{World, name, refresh_text, shown, without_refresh_token};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::server::{Seen, TokenAnswer};

pub(super) async fn presents(world: &World) -> Verdict {
    let current = world.sign_in();

    world.refresh("with the token that is current", &current).await?;

    presented(world, &[refresh_text(&current)])
}

/// Everything that may stand in a refresh token (RFC 6749 appendix A.17), and a long one.
pub(super) async fn any_characters(world: &World) -> Verdict {
    let every: String = (' '..='~').collect();
    for text in [format!("R0.{every}.end"), "R0.%2B+&refresh_token=x".to_owned(), "R".repeat(32 * 1024)] {
        let current = world.sign_in().with_refresh_token(text.clone());

        world.stage("refreshing with a refresh token of every character");
        // The server does not know it.
        let _ = world.refresher.refresh(&current).await;

        let arrived = world.seen()?.refresh_token.unwrap_or_default();
        let (length, shown) = (text.len(), text.chars().take(120).collect::<String>());
        ensure!(arrived == text, "{shown:?} of {length} characters arrived as {arrived:.120?}");
    }
    KEPT
}

pub(super) async fn remembers_nothing(world: &World) -> Verdict {
    let (first, other) = (world.sign_in(), world.sign_in());

    let second = world.refresh("of one sign-in", &first).await?;
    world.refresh("of another sign-in", &other).await?;
    world.refresh("of the first sign-in again", &second).await?;

    presented(world, &[refresh_text(&first), refresh_text(&other), refresh_text(&second)])
}

fn presented(world: &World, expected: &[&str]) -> Verdict {
    let log: Vec<Seen> = world.server.log().into_iter().filter(|seen| seen.path() == "/token").collect();
    let (calls, requests) = (expected.len(), log.len());
    ensure!(requests == calls, "{calls} refreshes sent {requests} token requests");
    for (seen, expected) in log.iter().zip(expected) {
        let arrived = seen.refresh_token.as_deref().unwrap_or("none");
        let (current, shown) = (name(expected), name(arrived));
        ensure!(arrived == *expected, "the refresh token was {current}, and {shown} was presented");
    }
    KEPT
}

/// The session tries again, and knows when.
pub(super) async fn one_request(world: &World) -> Verdict {
    let answers = [
        ("503", TokenAnswer::status(503)),
        ("429", TokenAnswer::status(429)),
        ("invalid_grant", TokenAnswer::error("invalid_grant")),
        ("invalid_client", TokenAnswer::OAuthError { status: 401, code: "invalid_client".to_owned() }),
        ("a page", TokenAnswer::Html(502)),
        ("nonsense", TokenAnswer::Nonsense(Bytes::from_static(b"{"))),
        ("half of an answer", TokenAnswer::Truncated),
        ("nothing", TokenAnswer::Lost),
    ];
    // On a new connection, and on one that was used before: there libraries like to send again.
    for used in [false, true] {
        for (what, answer) in &answers {
            if used {
                world.refresh("before one that is to fail", &world.sign_in()).await?;
            }
            let before = world.server.stats().token_requests;
            world.fail(what, answer.clone()).await?;
            let requests = world.server.stats().token_requests - before;
            ensure!(requests == 1, "a refresh that was answered with {what} sent {requests} token requests");
        }
    }
    KEPT
}

pub(super) async fn redirects(world: &World) -> Verdict {
    let other = world.another_server()?;
    for status in [301, 302, 303, 307, 308] {
        for to in [other.token_endpoint(), world.server.public("/elsewhere")] {
            let error = world.fail(&format!("a {status}"), TokenAnswer::Redirect { status, to }).await?;

            let followed = other.log().len() as u64 + world.server.stats().public_requests;
            ensure!(followed == 0, "it followed a {status}");
            ensure!(error.is_unavailable(), "a {status} is no outage: {}", shown(&error));
        }
    }
    KEPT
}

pub(super) async fn no_bearer(world: &World) -> Verdict {
    let current = world.sign_in();

    world.refresh("while the access token is still there", &current).await?;

    let access = current.access_token().reveal();
    for seen in world.server.log() {
        for (name, value) in &seen.headers {
            let sent = String::from_utf8_lossy(value.as_bytes()).contains(access);
            ensure!(!sent, "the access token is sent in {name}");
        }
    }
    KEPT
}

/// URIs are logged by every proxy.
pub(super) async fn not_in_the_uri(world: &World) -> Verdict {
    let current = world.sign_in();

    world.refresh("with tokens that belong into the body", &current).await?;

    for seen in world.server.log() {
        for (name, text) in [("refresh", refresh_text(&current)), ("access", current.access_token().reveal())]
        {
            let sent = !text.is_empty() && seen.target.contains(text);
            ensure!(!sent, "the {name} token is sent in the URI");
        }
    }
    KEPT
}

pub(super) async fn can_refresh(world: &World) -> Verdict {
    let with = world.sign_in();
    let without = without_refresh_token(&with);

    ensure!(world.refresher.can_refresh(&with), "there is a refresh token, and it cannot refresh");
    ensure!(!world.refresher.can_refresh(&without), "there is no refresh token, and it can refresh");
    KEPT
}
