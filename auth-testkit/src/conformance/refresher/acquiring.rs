//! First tokens: where nobody has to sign in, and where somebody has to.

use super::world::{Kind, World, means, unknown, without_refresh_token};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::server::TokenAnswer;

pub(super) async fn sign_in_needed(world: &World) -> Verdict {
    world.stage("acquiring, where somebody has to sign in");
    match world.refresher.acquire().await {
        Ok(None) => KEPT,
        Ok(Some(_)) => Err("somebody has to sign in, and it acquired tokens".to_owned()),
        Err(error) => {
            Err(format!("somebody has to sign in, and that is an error: {}", super::world::shown(&error)))
        }
    }
}

pub(super) async fn acquires(world: &World) -> Verdict {
    world.stage("acquiring first tokens");
    let first = world.refresher.acquire().await;

    let first = first.map_err(|error| format!("it acquires no tokens: {}", super::world::shown(&error)))?;
    let first = first.ok_or("it needs no sign-in, and acquires no tokens")?;
    ensure!(world.server.accepts(first.access_token().reveal()), "it acquired a token that opens nothing");
    let requests = world.server.stats().token_requests;
    ensure!(requests == 1, "to acquire tokens it sent {requests} token requests");
    Ok(())
}

pub(super) async fn needs_no_refresh_token(world: &World) -> Verdict {
    let current = without_refresh_token(&world.server.issue());

    ensure!(
        world.refresher.can_refresh(&current),
        "it needs no refresh token, and cannot refresh without one"
    );
    let new = world.refresh("without a refresh token", &current).await?;
    ensure!(world.server.accepts(new.access_token().reveal()), "it returned a token that opens nothing");
    KEPT
}

pub(super) async fn acquire_failures(world: &World) -> Verdict {
    let refused = TokenAnswer::OAuthError { status: 401, code: "invalid_client".to_owned() };
    let answers = [
        ("a 503", TokenAnswer::status(503), Kind::Unavailable, false),
        ("a page of HTML", TokenAnswer::Html(404), Kind::Unavailable, false),
        ("invalid_client", refused, Kind::Misconfigured, false),
        ("an answer that is lost", TokenAnswer::Lost, Kind::Unavailable, true),
        ("half of an answer", TokenAnswer::Truncated, Kind::Unavailable, true),
    ];
    for (what, answer, kind, is_unknown) in answers {
        let before = world.server.stats().token_requests;
        let Err(error) = world.answered(what, answer, world.refresher.acquire()).await? else {
            return Err(format!("to acquire tokens and be answered with {what} is a success"));
        };
        let requests = world.server.stats().token_requests - before;
        ensure!(requests == 1, "to acquire tokens, answered with {what}, it sent {requests} token requests");
        means(what, &error, kind)?;
        unknown(what, &error, is_unknown)?;
    }
    KEPT
}
