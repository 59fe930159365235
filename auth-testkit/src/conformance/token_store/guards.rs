//! What a guard does to the store, and what one does not that has lost the lock.

use futures::FutureExt as _;

use super::giving_up::POLLS;
use super::samples::{bare, full, one_field, one_of, without_one};
use super::world::{Guard, Handle, World, polled};
use crate::conformance::clause::{KEPT, Verdict, ensure};

pub(super) async fn guarded(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);
    ours.save(&full(0)).await?;
    let mut guard = ours.lock().await?;

    guard.holds(Some(&full(0)), "in a guard, after a save").await?;
    guard.save(&bare(1)).await?;
    guard.holds(Some(&bare(1)), "in a guard, after its save").await?;
    ours.holds(Some(&bare(1)), "after a guard's save").await?;
    theirs.holds(Some(&bare(1)), "in another session, after a guard's save").await?;
    guard.clear().await?;
    guard.holds(None, "in a guard, after its clear").await?;
    theirs.holds(None, "in another session, after a guard's clear").await?;
    guard.clear().await?;
    theirs.save(&full(2)).await?;
    guard.holds(Some(&full(2)), "in a guard, after a save of another session").await?;
    guard.save(&full(3)).await?;
    guard.release().await;

    theirs.holds(Some(&full(3)), "in another session, after a release").await?;
    drop((ours, theirs));
    place.open().await.holds(Some(&full(3)), "in a store that is opened after a guard's save").await
}

pub(super) async fn guarded_whole(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    let mut guard = store.lock().await?;
    for (_, tokens) in one_field(1).chain(without_one(2)) {
        guard.save(&tokens).await?;

        guard.holds(Some(&tokens), "in a guard, after its save").await?;
        store.holds(Some(&tokens), "after a guard's save").await?;
    }
    guard.release().await;
    KEPT
}

pub(super) async fn dropped_guarded(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);
    let mut guard = ours.lock().await?;
    let mut waiting = theirs.locking();
    for polls in 0..POLLS {
        guard.save(&full(0)).await?;

        let (old, new) = (full(0), full(1));
        let saved = polled(guard.save(&new).boxed(), polls).await.transpose()?;
        let when = format!("after a guard's save that was dropped after {polls} polls");
        one_of(&[Some(&old), Some(&new)], guard.load().await?.as_ref(), &when)?;
        let cleared = polled(guard.clear().boxed(), polls).await.transpose()?;
        let when = format!("after a guard's clear that was dropped after {polls} polls");
        one_of(&[Some(&old), Some(&new), None], guard.load().await?.as_ref(), &when)?;
        let loaded = polled(guard.load().boxed(), polls).await.transpose()?;

        let who = format!("another session, after calls that were dropped after {polls} polls,");
        guard.excludes(&mut waiting, &who).await?;
        if saved.is_some() && cleared.is_some() && loaded.is_some() {
            break;
        }
    }
    guard.release().await;
    world.stage("waiting for a lock that was released after calls that were dropped");
    waiting.await?.release().await;
    KEPT
}

pub(super) async fn lost_writes(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);
    let mut lost = ours.lock().await?;
    lost.save(&full(0)).await?;

    place.steal().await;

    refused(&mut lost, &theirs, 0).await?;
    let mut guard = theirs.lock().await?;
    refused(&mut lost, &theirs, 0).await?;
    guard.save(&full(2)).await?;
    refused(&mut lost, &theirs, 2).await?;
    guard.release().await;
    refused(&mut lost, &theirs, 2).await
}

async fn refused(lost: &mut Guard, store: &Handle, there: u64) -> Verdict {
    for call in ["save", "clear"] {
        let result = if call == "save" { lost.guard.save(&full(1)).await } else { lost.guard.clear().await };
        let when = format!("after a {call} of a guard that has lost the lock");
        store.holds(Some(&full(there)), &when).await?;
        match result {
            Ok(()) => return Err(format!("a {call} of a guard that has lost the lock went well")),
            Err(error) => {
                ensure!(
                    error.is_conflict(),
                    "a {call} of a guard that has lost the lock is no conflict: {error:?}"
                );
            }
        }
    }
    KEPT
}

pub(super) async fn lost_release(world: &World) -> Verdict {
    for (how, released) in [("released", true), ("dropped", false)] {
        let place = world.place();
        let (ours, theirs, others) = (place.open().await, place.open().await, place.open().await);
        let lost = ours.lock().await?;
        place.steal().await;
        let mut guard = theirs.lock().await?;

        if released {
            lost.release().await;
        } else {
            drop(lost);
        }

        let who = format!("one session, after a guard that had lost the lock was {how},");
        guard.excludes(&mut others.locking(), &who).await?;
        guard.release().await;
    }
    KEPT
}
