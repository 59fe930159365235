//! `SIGSTOP`: a holder of the lock that does nothing, for longer than its lease, and comes back.

use std::time::Duration;

use super::world::{Scene, World};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::processes::{MemberId, Outcome, Said, Step};

/// Whoever was stopped before it has presented its refresh token does not present it afterwards, where another has meanwhile.
pub(super) fn before_it_presents(world: &World) -> Verdict {
    let mut scene = world.strict(world.times_with_a_stopped_holder())?;
    let members = scene.signed_in(3)?;
    scene.expire();
    scene.halt(members[0], Step::Loaded)?;
    scene.crew.stop(members[0])?;

    while_stopped(world, &mut scene, &members[1..])?;
    wake(&mut scene, members[0])?;

    scene.all_done(&members)?;
    scene.refreshes(1, 0)
}

/// Whoever was stopped before it has saved does not save afterwards, where others have meanwhile; it adopts what they have made.
pub(super) fn before_it_saves(world: &World) -> Verdict {
    let mut scene = world.graceful(world.times_with_a_stopped_holder())?;
    let members = scene.signed_in(3)?;
    scene.expire();
    let since = scene.crew.heard().len();
    scene.halt(members[0], Step::Saving)?;
    scene.crew.stop(members[0])?;

    while_stopped(world, &mut scene, &members[1..])?;
    // What it has been answered, who came after it was answered as well, where somebody could: that is what the grace is for.
    let (refreshes, graced) = if world.leases { (2, 1) } else { (1, 0) };
    if world.leases {
        scene.expire();
        scene.all_done(&members[1..])?;
    }
    wake(&mut scene, members[0])?;

    scene.all_done(&members)?;
    if world.leases {
        has_not_saved(&scene, since, members[0])?;
    }
    scene.refreshes(refreshes, graced)?;
    scene.expire();
    scene.all_done(&members)?;
    scene.refreshes(refreshes + 1, graced)
}

/// Nor does it write over somebody who has signed in meanwhile, with the lock or, where that could not be had, without.
pub(super) fn and_overtaken(world: &World) -> Verdict {
    let mut scene = world.strict(world.times_with_a_stopped_holder())?;
    let members = scene.signed_in(2)?;
    scene.expire();
    let since = scene.crew.heard().len();
    scene.halt(members[0], Step::Saving)?;
    scene.crew.stop(members[0])?;

    scene.sign_in(members[1])?;
    wake(&mut scene, members[0])?;

    scene.all_done(&members)?;
    has_not_saved(&scene, since, members[0])?;
    let another = scene.crew.start(1)?[0];
    scene.all_done(&[another])?;
    // Of the first sign-in, by who was stopped. The second one is in use, and in the store.
    scene.refreshes(1, 0)?;
    let log = scene.crew.server().log();
    let bearer = log.last().and_then(|seen| seen.bearer.as_deref()).unwrap_or_default();
    ensure!(bearer.starts_with("T0.1."), "another process found the first sign-in in the store");
    KEPT
}

/// The lease ends, and the others go on. Where there is none, they are told in bounded time that they cannot, and present nothing.
fn while_stopped(world: &World, scene: &mut Scene, others: &[MemberId]) -> Verdict {
    if world.leases {
        return scene.all_done(others);
    }
    let before = scene.stats().token_requests;
    let outcomes = scene.crew.requests(others, Duration::ZERO)?;
    ensure!(outcomes.iter().all(|outcome| !outcome.is_done()), "requests came to {outcomes:?}");
    let lost = |outcome: &Outcome| format!("{outcome:?}").contains("session_ended");
    ensure!(!outcomes.iter().any(lost), "requests came to {outcomes:?}");
    let stats = scene.stats();
    ensure!(stats.token_requests == before, "two had the lock: {stats:?}");
    KEPT
}

fn wake(scene: &mut Scene, member: MemberId) -> Verdict {
    scene.crew.resume(member)?;
    scene.crew.go(member)
}

/// What it was about to save when it was stopped.
fn has_not_saved(scene: &Scene, since: usize, member: MemberId) -> Verdict {
    let late = scene.crew.heard()[since..].iter().find(|heard| {
        heard.member == member && matches!(&heard.said, Said::At(Step::Saved, label) if label == "R1.0")
    });
    ensure!(late.is_none(), "its late write was made");
    KEPT
}
