//! Calls beside each other, and calls that are given up.

use std::sync::Arc;

use futures::future::{Either, join, join_all, select};

use super::world::{World, name, shown};
use crate::conformance::clause::{KEPT, Verdict, ensure};

const MANY: u64 = 8;

pub(super) async fn concurrent(world: &World) -> Verdict {
    world.server.hold_token_endpoint();
    let current: Vec<_> = (0..MANY).map(|_| world.sign_in()).collect();
    world.stage(format!("waiting for {MANY} refreshes of different sign-ins to be under way"));
    let refreshing = join_all(current.iter().map(|current| world.refresher.refresh(current)));
    let held = async {
        world.server.when(|stats| stats.token_held == MANY).await;
        world.server.release_token_endpoint();
    };

    let (answers, ()) = join(refreshing, held).await;

    for (current, answer) in current.iter().zip(answers) {
        let new = answer.map_err(|error| format!("one of {MANY} at a time failed: {}", shown(&error)))?;
        let (new, old) = (new.access_token().reveal(), current.access_token().reveal());
        ensure!(world.server.accepts(new), "one of {MANY} at a time returned a token that opens nothing");
        let ours = current.refresh_token().is_none() || sign_in(new) == sign_in(old);
        ensure!(ours, "a refresh of {} returned {}, which is of another sign-in", name(old), name(new));
    }
    KEPT
}

/// `0` of `T1.0.9f3c…`.
fn sign_in(text: &str) -> Option<&str> {
    text.split('.').nth(1)
}

pub(super) async fn given_up(world: &World) -> Verdict {
    let current = world.sign_in();
    drop(world.refresher.refresh(&current));
    world.refresh("after one that was dropped before it began", &current).await?;

    world.server.hold_token_endpoint();
    let (refresher, current) = (Arc::clone(&world.refresher), world.sign_in());
    world.stage("waiting for a refresh to arrive");
    let arrived = world.server.when(|stats| stats.token_held == 1);
    match select(refresher.refresh(&current), arrived).await {
        Either::Left((answer, _)) => {
            return Err(format!("it ended while it was held: {:?}", answer.map_err(|error| shown(&error))));
        }
        Either::Right((_, refreshing)) => drop(refreshing),
    }
    world.server.release_token_endpoint();

    for _ in 0..2 {
        world.refresh("after one that was given up", &world.sign_in()).await?;
    }
    KEPT
}
