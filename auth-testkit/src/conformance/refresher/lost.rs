//! Failures without a whole answer: what was not sent, and what may have been acted on.

use super::world::{Kind, World, json, means, unknown};
use crate::conformance::clause::{KEPT, Verdict};
use crate::server::TokenAnswer;

pub(super) async fn refused(world: &World) -> Verdict {
    let (refresher, current) = world.in_vain()?;

    world.stage("refreshing where no server is");
    match refresher.refresh(&current).await {
        Ok(_) => Err("a refresh without a server is a success".to_owned()),
        Err(error) => {
            means("a connection that is refused", &error, Kind::Unavailable)?;
            unknown("a connection that is refused", &error, false)
        }
    }
}

pub(super) async fn lost(world: &World) -> Verdict {
    let answers = [
        ("an answer that is lost", TokenAnswer::Lost),
        ("a connection that is closed without an answer", TokenAnswer::Refused),
        ("half of an answer", TokenAnswer::Truncated),
    ];
    for used in [false, true] {
        for (what, answer) in &answers {
            if used {
                world.refresh("before one that is to be lost", &world.sign_in()).await?;
            }
            unknown_outcome(world, what, answer.clone()).await?;
        }
    }
    KEPT
}

/// What stands behind the gateway may have done it.
pub(super) async fn gateways(world: &World) -> Verdict {
    for status in [502, 504] {
        unknown_outcome(world, &format!("a {status}"), TokenAnswer::status(status)).await?;
    }
    KEPT
}

pub(super) async fn unreadable(world: &World) -> Verdict {
    let answers = [
        ("a success without a body", String::new()),
        ("a success that is no JSON", "{".to_owned()),
        ("a success that is another JSON", "[]".to_owned()),
        ("a success without an access token", r#"{"refresh_token": "R1.own"}"#.to_owned()),
        (
            "a success with an empty access token",
            r#"{"access_token": "", "token_type": "Bearer"}"#.to_owned(),
        ),
        (
            "a success whose access token is no text",
            r#"{"access_token": 7, "token_type": "Bearer"}"#.to_owned(),
        ),
        (
            "a success whose access token cannot stand in a header",
            r#"{"access_token": "T1\nown", "token_type": "Bearer"}"#.to_owned(),
        ),
    ];
    for (what, body) in answers {
        unknown_outcome(world, what, json(200, body)).await?;
    }
    unknown_outcome(world, "a success that is a page", TokenAnswer::Html(200)).await
}

async fn unknown_outcome(world: &World, what: &str, answer: TokenAnswer) -> Verdict {
    let error = world.fail(what, answer).await?;
    means(what, &error, Kind::Unavailable)?;
    unknown(what, &error, true)
}
