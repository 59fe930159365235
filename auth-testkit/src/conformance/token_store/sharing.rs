//! Several sessions on one place, each with a handle of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use auth_core::Tokens;
use futures::future::try_join_all;

use super::samples::{bare, full, number, same};
use super::world::{Handle, World};
use crate::conformance::clause::{KEPT, Verdict, ensure};

pub(super) async fn others_see(world: &World) -> Verdict {
    let place = world.place();
    let (ours, theirs) = (place.open().await, place.open().await);
    for n in 0..5 {
        ours.save(&full(2 * n)).await?;
        theirs.holds(Some(&full(2 * n)), "after a save by another session").await?;

        theirs.save(&bare(2 * n + 1)).await?;
        ours.holds(Some(&bare(2 * n + 1)), "after a save by another session").await?;

        theirs.clear().await?;
        ours.holds(None, "after a clear by another session").await?;
    }
    KEPT
}

/// On threads, so that a call that blocks has company too.
pub(super) async fn whole_loads(world: &World) -> Verdict {
    const SAVES: u64 = 60;
    let place = world.place();
    let writer = place.open().await;
    writer.save(&pair(0)).await?;
    let saved = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for _ in 0..2 {
        let (reader, saved) = (place.open().await, Arc::clone(&saved));
        threads.push(world.aside(async move {
            loop {
                let before = saved.load(Ordering::SeqCst);
                let seen = whole(&reader).await?;
                ensure!(seen >= before, "a load during a save sees save {seen}, and {before} had returned");
                if before == SAVES {
                    return KEPT;
                }
            }
        }));
    }

    for n in 1..=SAVES {
        // Readers that are not done yet are told the same by every save.
        let wrote = writer.save(&pair(n)).await;
        saved.store(if wrote.is_ok() { n } else { SAVES }, Ordering::SeqCst);
        wrote?;
    }

    world.stage("waiting for loads to end");
    try_join_all(threads).await?;
    KEPT
}

/// A sign-in that could not get the lock writes while its holder does.
pub(super) async fn whole_saves(world: &World) -> Verdict {
    let place = world.place();
    let (holder, other, reader) = (place.open().await, place.open().await, place.open().await);
    holder.save(&pair(0)).await?;
    let done = Arc::new(AtomicBool::new(false));
    let mut guard = holder.lock().await?;

    let locked = world.aside(async move {
        for n in 0..30 {
            guard.save(&pair(2 * n)).await?;
        }
        guard.release().await;
        KEPT
    });
    let unlocked = world.aside(async move {
        for n in 0..30 {
            other.save(&pair(2 * n + 1)).await?;
        }
        KEPT
    });
    let ended = Arc::clone(&done);
    let reading = world.aside(async move {
        while !ended.load(Ordering::SeqCst) {
            whole(&reader).await?;
        }
        KEPT
    });

    world.stage("waiting for two sessions that save");
    let wrote = futures::join!(locked, unlocked);
    done.store(true, Ordering::SeqCst);
    reading.await?;
    wrote.0?;
    wrote.1?;
    whole(&place.open().await).await?;
    KEPT
}

/// Of different lengths and fields, by number.
fn pair(n: u64) -> Tokens {
    if n.is_multiple_of(3) { bare(n) } else { full(n) }
}

async fn whole(store: &Handle) -> Result<u64, String> {
    let Some(found) = store.load().await? else { return Err("during a save nothing is there".to_owned()) };
    let Some(n) = number(&found) else { return Err("during a save no access token is whole".to_owned()) };
    same(Some(&pair(n)), Some(&found), "during a save")?;
    Ok(n)
}
