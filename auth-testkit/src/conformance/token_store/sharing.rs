//! Several sessions on one place, each with a handle of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use auth_core::Tokens;
use futures::channel::oneshot;
use futures::future::{join_all, try_join_all};

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
    let (mut threads, mut begun) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let (reader, saved) = (place.open().await, Arc::clone(&saved));
        let (begins, begin) = oneshot::channel();
        begun.push(begin);
        threads.push(world.aside(async move {
            whole(&reader).await?;
            let _ = begins.send(());
            loop {
                let before = saved.load(Ordering::SeqCst);
                let seen = whole(&reader).await?;
                ensure!(seen >= before, "a load sees save {seen}, and {before} had returned");
                if before == SAVES {
                    return KEPT;
                }
            }
        }));
    }

    let writing = async move {
        // One that has failed by then says so itself.
        join_all(begun).await;
        for n in 1..=SAVES {
            let wrote = writer.save(&pair(n)).await;
            // Where it failed the readers have no more to wait for.
            saved.store(if wrote.is_ok() { n } else { SAVES }, Ordering::SeqCst);
            wrote?;
        }
        KEPT
    };
    threads.push(world.aside(writing));

    world.stage("waiting for loads while another session saves");
    try_join_all(threads).await?;
    KEPT
}

/// A sign-in that could not get the lock writes while its holder does.
pub(super) async fn whole_saves(world: &World) -> Verdict {
    const SAVES: u64 = 30;
    let place = world.place();
    let (holder, other, reader) = (place.open().await, place.open().await, place.open().await);
    holder.save(&pair(0)).await?;
    let mut guard = holder.lock().await?;
    let writers = Arc::new(AtomicUsize::new(2));
    let (begins, begin) = oneshot::channel();

    let done = Done(Arc::clone(&writers));
    let locked = world.aside(async move {
        let _done = done;
        let _ = begin.await;
        for n in 0..SAVES {
            guard.save(&pair(2 * n)).await?;
        }
        guard.release().await;
        KEPT
    });
    let done = Done(Arc::clone(&writers));
    let unlocked = world.aside(async move {
        let _done = done;
        for n in 0..SAVES {
            other.save(&pair(2 * n + 1)).await?;
        }
        KEPT
    });
    let reading = world.aside(async move {
        whole(&reader).await?;
        let _ = begins.send(());
        while writers.load(Ordering::SeqCst) > 0 {
            whole(&reader).await?;
        }
        whole(&reader).await?;
        KEPT
    });

    world.stage("waiting for two sessions that save");
    try_join_all([reading, locked, unlocked]).await?;
    KEPT
}

/// One that saves is done, or has failed.
struct Done(Arc<AtomicUsize>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
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
