//! Waiting for the lock: who waits gets it in the end, and who gives up is in nobody's way.

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use auth_core::BoxFuture;

use super::giving_up::POLLS;
use super::world::{Guard, Handle, Place, World, polled};
use crate::conformance::clause::{KEPT, Verdict, ensure};

type Waiting<'a> = BoxFuture<'a, Result<Guard, String>>;

pub(super) async fn released(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);
    for _ in 0..5 {
        for store in [&ours, &ours, &theirs] {
            store.lock().await?.release().await;
        }
    }
    KEPT
}

pub(super) async fn wakes(world: &World) -> Verdict {
    let place = world.place();
    let stores = three(&place).await;
    let mut guard = stores[0].lock().await?;
    // Polls only what was woken.
    let mut line: FuturesUnordered<Waiting<'_>> = stores.iter().map(Handle::locking).collect();

    for _ in 0..stores.len() {
        none_yet(&mut line)?;
        guard.release().await;
        world.stage("waiting for a released lock to wake one that waits for it");
        guard = first(&mut line).await?;
    }
    guard.release().await;
    KEPT
}

/// It was polled before, by another task.
pub(super) async fn moved_wait(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);
    let guard = ours.lock().await?;
    let mut waiting = theirs.locking();
    ensure!((&mut waiting).now_or_never().is_none(), "another session does not wait for the lock");
    let mut line: FuturesUnordered<Waiting<'_>> = std::iter::once(waiting).collect();
    none_yet(&mut line)?;

    guard.release().await;

    world.stage("waiting for a released lock to wake the task that polled last");
    first(&mut line).await?.release().await;
    KEPT
}

pub(super) async fn dropped_guard(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);

    drop(ours.lock().await?);
    let guard = theirs.lock_after(" of a guard that was dropped").await?;

    let mut line: FuturesUnordered<Waiting<'_>> = std::iter::once(ours.locking()).collect();
    none_yet(&mut line)?;
    drop(guard);
    world.stage("waiting for a guard that was dropped to wake one that waits for the lock");
    first(&mut line).await?.release().await;
    KEPT
}

pub(super) async fn dropped_wait(world: &World) -> Verdict {
    free(world).await?;
    taken(world).await?;
    behind(world).await?;
    handed_over(world).await
}

/// The lock could have been had.
async fn free(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);
    for polls in 0..POLLS {
        let got = polled(ours.locking(), polls).await.transpose()?;
        let ended = got.is_some();
        if let Some(guard) = got {
            guard.release().await;
        }

        let after = format!(", after a wait that was dropped after {polls} polls");
        theirs.lock_after(&after).await?.release().await;
        if ended {
            break;
        }
    }
    KEPT
}

/// It is given back after the wait was dropped.
async fn taken(world: &World) -> Verdict {
    let place = world.place();
    let [ours, theirs, others] = three(&place).await;
    let guard = ours.lock().await?;
    let mut line: FuturesUnordered<Waiting<'_>> = std::iter::once(theirs.locking()).collect();
    none_yet(&mut line)?;

    drop(line);
    guard.release().await;

    others.lock_after(", which was released after a wait for it was dropped").await?.release().await;
    KEPT
}

/// Somebody waits behind the one who gives up.
async fn behind(world: &World) -> Verdict {
    let place = world.place();
    let [ours, theirs, others] = three(&place).await;
    let guard = ours.lock().await?;
    let mut front: FuturesUnordered<Waiting<'_>> = std::iter::once(theirs.locking()).collect();
    none_yet(&mut front)?;
    let mut line: FuturesUnordered<Waiting<'_>> = std::iter::once(others.locking()).collect();
    none_yet(&mut line)?;

    drop(front);
    guard.release().await;

    world.stage("waiting for the lock behind a wait that was dropped");
    first(&mut line).await?.release().await;
    KEPT
}

/// It may have been given to the one who gives up already.
async fn handed_over(world: &World) -> Verdict {
    let place = world.place();
    let [ours, theirs, others] = three(&place).await;
    let guard = ours.lock().await?;
    let mut front: FuturesUnordered<Waiting<'_>> = std::iter::once(theirs.locking()).collect();
    none_yet(&mut front)?;
    let mut line: FuturesUnordered<Waiting<'_>> = std::iter::once(others.locking()).collect();
    none_yet(&mut line)?;

    guard.release().await;
    drop(front);

    world.stage("waiting for the lock behind a wait that was dropped when its turn had come");
    first(&mut line).await?.release().await;
    KEPT
}

async fn three(place: &Place) -> [Handle; 3] {
    [place.open().await, place.open().await, place.open().await]
}

fn none_yet(line: &mut FuturesUnordered<Waiting<'_>>) -> Verdict {
    match line.next().now_or_never().flatten() {
        None => KEPT,
        Some(Ok(_)) => Err("a lock is had twice at a time".to_owned()),
        Some(Err(seen)) => Err(seen),
    }
}

async fn first(line: &mut FuturesUnordered<Waiting<'_>>) -> Result<Guard, String> {
    line.next().await.unwrap_or_else(|| Err("nobody waits for the lock".to_owned()))
}
