//! Pairs that nobody will use.

use super::world::{World, without_refresh_token};
use crate::conformance::clause::{KEPT, Verdict, ensure};

pub(super) async fn revokes(world: &World) -> Verdict {
    let current = world.server.issue();

    world.stage("revoking a pair");
    world.refresher.revoke(&current).await;

    let revoked = !world.server.accepts(current.access_token().reveal());
    ensure!(revoked, "a pair was revoked, and still opens everything");
    KEPT
}

/// Nobody waits for it, and nobody could do anything about it.
pub(super) async fn revokes_in_vain(world: &World) -> Verdict {
    let (there, known) = (&world.refresher, world.server.issue());
    for (what, tokens) in [
        ("a pair without a refresh token", without_refresh_token(&known)),
        ("a pair that the server does not know", world.another_server()?.issue()),
        ("a pair", known.clone()),
        ("a pair that was revoked before", known),
    ] {
        world.stage(format!("revoking {what}"));
        there.revoke(&tokens).await;
    }

    let (refresher, tokens) = world.in_vain()?;
    world.stage("revoking a pair where no server is");
    refresher.revoke(&tokens).await;
    KEPT
}
