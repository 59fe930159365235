//! Errors that quote what came tell the log what was presented.

use std::error::Error;

use auth_core::{RefreshError, RefreshToken, Tokens};

use super::world::{World, json};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::server::TokenAnswer;

/// So much of a token is a part of it.
const PART: usize = 8;

pub(super) async fn secrets(world: &World) -> Verdict {
    let (current, granted) = (world.sign_in(), world.server.issue());
    let (access, refresh) = (current.access_token().reveal(), text(&current));
    let echo = if refresh.is_empty() { access } else { refresh };
    let (new, next) = (granted.access_token().reveal(), text(&granted));
    let said = |status: u16, kind: &str, body: String| TokenAnswer::Status {
        status,
        retry_after: None,
        content_type: Some(kind.to_owned()),
        body,
    };
    let oauth = |status, code: &str| {
        json(
            status,
            format!(r#"{{"error": "{code}", "error_description": "{echo} is bad", "was": "{access}"}}"#),
        )
    };
    let answers = [
        ("invalid_grant that quotes what was presented", oauth(400, "invalid_grant")),
        ("invalid_client that quotes what was presented", oauth(401, "invalid_client")),
        ("an error that is the token", oauth(400, echo)),
        ("a 503 that quotes what was presented", oauth(503, "server_error")),
        ("a page that quotes what was presented", said(502, "text/html", format!("<p>{echo} {access}"))),
        ("a text that quotes what was presented", said(400, "text/plain", format!("{echo} {access}"))),
        ("a success that is no JSON", said(200, "text/html", format!("<p>{new} {next}"))),
        (
            "a success that breaks off",
            json(200, format!(r#"{{"access_token": "{new}", "refresh_token": "{next}"#)),
        ),
        ("a success without an access token", json(200, format!(r#"{{"refresh_token": "{next}"}}"#))),
        (
            "a success whose access token has a control",
            json(200, format!(r#"{{"access_token": "{new}\u0001"}}"#)),
        ),
        (
            "a success of another type",
            json(200, format!(r#"{{"access_token": ["{new}"], "refresh_token": {{}}}}"#)),
        ),
        (
            "a redirect",
            TokenAnswer::Redirect { status: 307, to: world.server.public(&format!("/?t={echo}")) },
        ),
        ("an answer that is lost", TokenAnswer::Lost),
        ("half of an answer", TokenAnswer::Truncated),
    ];
    for (what, answer) in answers {
        if let Err(error) = world.answered(what, answer, world.refresher.refresh(&current)).await? {
            quotes_nothing(what, &error, &[access, refresh, new, next])?;
        }
    }

    let (refresher, current) = world.in_vain()?;
    world.stage("refreshing where no server is");
    match refresher.refresh(&current).await {
        Ok(_) => Err("a refresh without a server is a success".to_owned()),
        Err(error) => {
            let texts = [current.access_token().reveal(), text(&current)];
            quotes_nothing("a connection that is refused", &error, &texts)
        }
    }
}

fn text(tokens: &Tokens) -> &str {
    tokens.refresh_token().map_or("", RefreshToken::reveal)
}

fn quotes_nothing(what: &str, error: &RefreshError, tokens: &[&str]) -> Verdict {
    let mut said = vec![("Debug", format!("{error:?} {error:#?}")), ("Display", error.to_string())];
    let mut next = Some(error as &(dyn Error + 'static));
    while let Some(cause) = next.and_then(Error::source) {
        said.push(("Debug of a source", format!("{cause:?} {cause:#?}")));
        said.push(("Display of a source", cause.to_string()));
        next = Some(cause);
    }
    for (where_, text) in said {
        let leaks = tokens.iter().any(|token| parts(token).any(|part| text.contains(part)));
        ensure!(!leaks, "of {what}, the {where_} of the error shows a token or a part of one");
    }
    KEPT
}

/// The random bits of a token, so many at a time.
fn parts(token: &str) -> impl Iterator<Item = &str> {
    let random = token.rsplit('.').next().unwrap_or_default();
    (0..(random.len() + 1).saturating_sub(PART)).filter_map(move |start| random.get(start..start + PART))
}
