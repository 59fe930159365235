//! A disk that is full, a server that is restarted, whatever the suite was given: before a refresh, in the middle of it, and both.

use std::time::Duration;

use super::world::World;
use crate::conformance::clause::{Verdict, ensure};
use crate::processes::{Outcome, Step, Times};

/// It begins before the refresh. Until it ends, requests succeed or can be made again later; nobody is signed out.
pub(super) fn before(world: &World) -> Verdict {
    let mut scene = world.strict(Times::brisk())?;
    let members = scene.signed_in(world.processes)?;
    scene.expire();
    scene.begin_outage();

    let outcomes = scene.crew.requests(&members, Duration::ZERO)?;

    let lost = ["session_ended", "signed_out", "misconfigured"];
    let lost = outcomes.iter().any(|outcome| match outcome {
        Outcome::Done => false,
        Outcome::Failed(kind) => lost.contains(&kind.as_str()),
        Outcome::Gone => true,
    });
    ensure!(!lost, "requests came to {outcomes:?}");
    scene.end_outage();
    scene.all_done(&members)?;
    scene.refreshes(1, 0)?;
    scene.expire();
    scene.all_done(&members)?;
    scene.refreshes(2, 0)
}

/// It begins between the answer and the save, and outlasts the save. The pair is used from memory or was saved all the same;
/// afterwards all have one pair. (A server without grace would end the session where it could not be saved: no store can help
/// that.)
pub(super) fn within(world: &World) -> Verdict {
    let mut scene = world.graceful(Times::brisk())?;
    let members = scene.signed_in(world.processes)?;
    scene.expire();
    scene.halt(members[0], Step::Saving)?;
    scene.begin_outage();
    scene.crew.go(members[0])?;
    let outcomes = scene.crew.requests(&members[..1], Duration::ZERO)?;
    ensure!(!outcomes.contains(&Outcome::Gone), "requests came to {outcomes:?}");
    scene.end_outage();

    scene.all_done(&members)?;
    scene.expire();
    scene.all_done(&members)?;

    let stats = scene.stats();
    ensure!(stats.reuse_detected == 0, "{stats:?}");
    Ok(())
}

/// It begins between the answer and the save, and ends before the save: a connection that broke and came back. It is as if nothing
/// had been.
pub(super) fn over(world: &World) -> Verdict {
    let mut scene = world.strict(Times::default())?;
    let members = scene.signed_in(world.processes)?;
    scene.expire();
    scene.halt(members[0], Step::Saving)?;
    scene.begin_outage();
    scene.end_outage();
    scene.crew.go(members[0])?;

    scene.all_done(&members)?;
    scene.refreshes(1, 0)?;
    scene.expire();
    scene.all_done(&members)?;
    scene.refreshes(2, 0)
}
