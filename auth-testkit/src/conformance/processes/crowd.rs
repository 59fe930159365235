//! Many processes, whose token expires again and again.

use std::time::Duration;

use super::world::{PATIENCE, World};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::processes::{Outcome, Times};

/// Exactly one refresh a round; the rest adopt it.
pub(super) fn one_refresh(world: &World) -> Verdict {
    let mut scene = world.strict(Times::default())?;
    let members = scene.signed_in(world.processes)?;
    for round in 1..=world.rounds {
        scene.expire();
        scene.all_done(&members)?;
        scene.refreshes(round, 0)?;
    }
    KEPT
}

/// A clock that is hours off makes refreshes, since it takes what others store for expired, and no reuse.
pub(super) fn clocks_differ(world: &World) -> Verdict {
    const OFF: Duration = Duration::from_secs(2 * 3600);
    let mut scene = world.strict(Times::default())?;
    let mut members = scene.signed_in(world.processes)?;
    members.push(scene.crew.start_skewed(OFF, Duration::ZERO)?);
    members.push(scene.crew.start_skewed(Duration::ZERO, OFF)?);
    for _ in 0..world.rounds {
        scene.expire();
        // They know different tokens by now. Whoever adopts one that is newer and expired as well has spent its one replay on it.
        let outcomes = scene.crew.requests(&members, PATIENCE)?;
        let late = Outcome::Failed("status_401".to_owned());
        let well = outcomes.iter().all(|outcome| outcome.is_done() || *outcome == late);
        ensure!(well, "requests came to {outcomes:?}");
        scene.all_done(&members)?;
    }
    let stats = scene.stats();
    let most = world.rounds * members.len() as u64;
    ensure!(stats.reuse_detected == 0, "a spent refresh token was presented: {stats:?}");
    ensure!((world.rounds..=most).contains(&stats.refreshes_granted), "{stats:?}");
    KEPT
}

/// A sign-out of one process is the others' at their next refresh, and nothing is presented any more.
pub(super) fn signed_out(world: &World) -> Verdict {
    let mut scene = world.strict(Times::default())?;
    let members = scene.signed_in(world.processes)?;
    let given = scene.crew.sign_out(members[0])?;
    let outcome = scene.crew.outcome(given)?;
    ensure!(outcome.is_done(), "the sign-out came to {outcome:?}");
    scene.expire();
    let outcomes = scene.crew.requests(&members[1..], PATIENCE)?;
    let ended = Outcome::Failed("session_ended".to_owned());
    ensure!(outcomes.iter().all(|outcome| *outcome == ended), "requests came to {outcomes:?}");
    scene.refreshes(0, 0)
}

/// A sign-in of one process is the others' at their next refresh. Whoever has a request under way then is told, and follows.
pub(super) fn signed_in_as_another(world: &World) -> Verdict {
    let mut scene = world.strict(Times::default())?;
    let members = scene.signed_in(world.processes)?;
    scene.expire();
    scene.sign_in(members[0])?;
    scene.all_done(&members)?;
    scene.refreshes(0, 0)
}

/// A process that is started anew finds the sign-in, whoever made it and has gone since.
pub(super) fn started_again(world: &World) -> Verdict {
    let mut scene = world.strict(world.times())?;
    let members = scene.signed_in(world.processes)?;
    scene.expire();
    scene.all_done(&members)?;
    members.iter().try_for_each(|member| scene.crew.kill(*member))?;
    let members = scene.crew.start(world.processes)?;
    scene.all_done(&members)?;
    scene.refreshes(1, 0)?;
    scene.expire();
    scene.all_done(&members)?;
    scene.refreshes(2, 0)
}
