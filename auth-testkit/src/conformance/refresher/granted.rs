//! What a refresh returns: everything that the answer grants.

use std::time::{Duration, SystemTime};

use super::world::{World, name, refresh_text};
use crate::conformance::clause::{KEPT, Verdict, ensure};

/// Clocks may be coarse.
const COARSE: Duration = Duration::from_secs(2);

pub(super) async fn new_access_token(world: &World) -> Verdict {
    let current = world.sign_in();

    let new = world.refresh("with an ordinary answer", &current).await?;

    let new = new.access_token().reveal();
    ensure!(new != current.access_token().reveal(), "it returned the access token that it was given");
    ensure!(world.server.accepts(new), "it returned an access token that opens nothing");
    KEPT
}

pub(super) async fn new_refresh_token(world: &World) -> Verdict {
    let mut current = world.sign_in();
    for generation in 1..=3 {
        let new = world.refresh("with an answer that has a new refresh token", &current).await?;

        let (old, came) = (refresh_text(&current), refresh_text(&new));
        ensure!(!came.is_empty(), "the answer has a new refresh token, and it was dropped");
        ensure!(came != old, "the answer has a new refresh token, and the old one was returned");
        let of_it = came.starts_with(&format!("R{generation}."));
        ensure!(of_it, "refresh {generation} returned {} as the refresh token", name(came));
        current = new;
    }
    KEPT
}

pub(super) async fn no_new_refresh_token(world: &World) -> Verdict {
    world.server.configure(|policy| policy.omit_refresh_token = true);
    let current = world.sign_in();

    let new = world.refresh("with an answer that has no refresh token", &current).await?;

    let (old, came) = (refresh_text(&current), refresh_text(&new));
    let none = came.is_empty() || came == old;
    ensure!(none, "the answer has no refresh token, and another than the old one was returned");
    KEPT
}

pub(super) async fn lifetime(world: &World) -> Verdict {
    for seconds in [60, 7_200] {
        let lifetime = Duration::from_secs(seconds);
        world.server.configure(|policy| policy.expires_in = Some(seconds.into()));

        let before = SystemTime::now();
        let new = world.refresh("with an answer that says when it expires", &world.sign_in()).await?;
        let after = SystemTime::now();

        let at = new.expires_at().ok_or("the answer says when it expires, and that is not returned")?;
        let soon = at + COARSE < before + lifetime;
        let late = at > after + lifetime + COARSE;
        let from_now = at.duration_since(after).unwrap_or_default();
        ensure!(!soon && !late, "of {lifetime:?} that the answer grants, {from_now:?} were returned");
    }
    KEPT
}
