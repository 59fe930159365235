//! `kill -9`, at every step of a refresh.

use std::thread;

use super::world::{PATIENCE, World};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::processes::{Outcome, Said, Step};

/// The others go on, with one refresh at most that the killed one has not made for them.
pub(super) fn at_each_step(world: &World) -> Verdict {
    // Each may wait for a lease to end: at the same time.
    thread::scope(|scope| {
        let steps = Step::ALL.map(|step| (step, scope.spawn(move || at(world, step))));
        for (step, verdict) in steps {
            let verdict = verdict.join().map_err(|_| format!("killed {}: it panicked", step.name()))?;
            verdict.map_err(|seen| format!("killed {}: {seen}", step.name()))?;
        }
        KEPT
    })
}

fn at(world: &World, step: Step) -> Verdict {
    let mut scene = world.graceful(world.times())?;
    let members = scene.signed_in(3)?;
    scene.expire();
    scene.halt(members[0], step)?;
    scene.crew.kill(members[0])?;

    scene.all_done(&members[1..])?;

    // What it had been answered died with it, and the server answers it once more.
    scene.refreshes(1, u64::from(matches!(step, Step::Answered | Step::Saving)))?;
    let another = scene.crew.start(1)?[0];
    scene.expire();
    scene.all_done(&[members[1], members[2], another])?;
    scene.refreshes(2, u64::from(matches!(step, Step::Answered | Step::Saving)))
}

/// Not before and not after, but in the middle of it, wherever that is.
pub(super) fn while_saving(world: &World) -> Verdict {
    thread::scope(|scope| {
        let times: Vec<_> = (0..4).map(|_| scope.spawn(|| in_the_middle(world))).collect();
        times.into_iter().try_for_each(|time| time.join().unwrap_or_else(|_| Err("it panicked".to_owned())))
    })
}

fn in_the_middle(world: &World) -> Verdict {
    let mut scene = world.graceful(world.times())?;
    let mut members = scene.signed_in(2)?;
    for _ in 0..2 {
        let since = scene.crew.heard().len();
        scene.expire();
        let given = scene.crew.request(members[0], PATIENCE)?;
        let saving = scene.crew.until(since, "a member to save", |heard| {
            matches!(heard.said, Said::At(Step::Saving, _) | Said::Gone)
        })?;
        scene.crew.kill(saving.member)?;
        scene.crew.outcome(given)?;
        members.retain(|member| *member != saving.member);
        members.extend(scene.crew.start(1)?);

        scene.all_done(&members)?;

        let stats = scene.stats();
        ensure!(stats.reuse_detected == 0, "a pair was lost: {stats:?}");
        members.reverse();
    }
    KEPT
}

/// By a server that grants no grace, an answer that died with its process ends the session: once, for all, and not the store. The
/// next sign-in is everybody's.
pub(super) fn with_the_answer(world: &World) -> Verdict {
    let mut scene = world.strict(world.times())?;
    let members = scene.signed_in(3)?;
    scene.expire();
    scene.halt(members[0], Step::Answered)?;
    scene.crew.kill(members[0])?;

    let outcomes = scene.crew.requests(&members[1..], PATIENCE)?;

    let ended = Outcome::Failed("session_ended".to_owned());
    ensure!(outcomes.iter().all(|outcome| *outcome == ended), "requests came to {outcomes:?}");
    let stats = scene.stats();
    ensure!(stats.reuse_detected == 1, "its loss was found out more than once: {stats:?}");
    scene.sign_in(members[1])?;
    let given = scene.crew.reopen(members[2])?;
    scene.crew.outcome(given)?;
    scene.expire();
    scene.all_done(&members[1..])?;
    let stats = scene.stats();
    ensure!((stats.refreshes_granted, stats.reuse_detected) == (2, 1), "{stats:?}");
    KEPT
}
