//! Who holds the lock is alone with it, and in nobody's way but those who want it too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::try_join_all;

use super::samples::{bare, full, number};
use super::world::{Handle, World};
use crate::conformance::clause::{KEPT, Verdict, ensure};

/// With a lock or without, and the same each time.
pub(super) async fn always(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    let first = locks(&store).await?;
    let same = |locks: bool, when: &str| {
        ensure!(locks == first, "a lock is `None` at one time and a guard at another: {when}");
        KEPT
    };

    same(locks(&store).await?, "a second time")?;
    store.save(&full(0)).await?;
    same(locks(&store).await?, "after a save")?;
    same(locks(&place.open().await).await?, "in a store that is opened later")?;
    store.clear().await?;
    same(locks(&store).await?, "after a clear")
}

async fn locks(store: &Handle) -> Result<bool, String> {
    let guard = store.try_lock().await?;
    let locks = guard.is_some();
    if let Some(guard) = guard {
        guard.release().await;
    }
    Ok(locks)
}

pub(super) async fn excludes_others(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);
    let mut guard = ours.lock().await?;
    let mut waiting = theirs.locking();

    guard.excludes(&mut waiting, "another session").await
}

pub(super) async fn excludes_itself(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    let mut guard = store.lock().await?;
    let mut waiting = store.locking();

    guard.excludes(&mut waiting, "another call of the same store's lock").await
}

/// Each adds one to what is stored, on threads: none is lost.
pub(super) async fn one_at_a_time(world: &World) -> Verdict {
    const ROUNDS: u64 = 5;
    let place = world.place();
    let sessions = [place.open().await, place.open().await];
    sessions[0].save(&bare(0)).await?;
    let inside = Arc::new(AtomicBool::new(false));
    let threads = [0, 1, 0, 1].map(|session| {
        let (store, inside): (Handle, _) = (sessions[session].clone(), Arc::clone(&inside));
        world.aside(async move {
            for _ in 0..ROUNDS {
                let mut guard = store.lock().await?;
                ensure!(!inside.swap(true, Ordering::SeqCst), "two sessions have the lock at a time");
                let count = guard.load().await?.as_ref().and_then(number);
                let Some(count) = count else { return Err("under a lock nothing is there".to_owned()) };
                guard.save(&bare(count + 1)).await?;
                inside.store(false, Ordering::SeqCst);
                guard.release().await;
            }
            KEPT
        })
    });

    world.stage("waiting for sessions that take turns with the lock");
    let turns = 4 * ROUNDS;
    try_join_all(threads).await?;
    sessions[0].holds(Some(&bare(turns)), "after each of four sessions has added to it under the lock").await
}

pub(super) async fn unlocked_calls(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);
    ours.save(&full(0)).await?;
    let mut guard = theirs.lock().await?;

    for (store, who) in
        [(&ours, "while another session has the lock"), (&theirs, "while it has the lock itself")]
    {
        store.holds(Some(&full(0)), who).await?;
        store.save(&full(1)).await?;
        store.holds(Some(&full(1)), who).await?;
        store.clear().await?;
        store.holds(None, who).await?;
        guard.save(&full(0)).await?;
    }
    guard.release().await;
    KEPT
}
