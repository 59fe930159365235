//! Calls that are given up, after each of their polls.

use auth_core::Tokens;
use futures::FutureExt as _;

use super::samples::{full, one_of};
use super::world::{Handle, Place, World, polled};
use crate::conformance::clause::{KEPT, Verdict};

/// A call that is polled more often than this is given up no later.
pub(super) const POLLS: usize = 64;

pub(super) async fn dropped_load(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    store.save(&full(0)).await?;
    for polls in 0..POLLS {
        let ended = polled(store.load().boxed(), polls).await;

        store.holds(Some(&full(0)), &format!("after a load that was dropped after {polls} polls")).await?;
        if ended.is_some() {
            break;
        }
    }
    usable(&store).await
}

pub(super) async fn dropped_save(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    for polls in 0..POLLS {
        let (old, new) = (full(2 * polls as u64), full(2 * polls as u64 + 1));
        store.save(&old).await?;

        let ended = polled(store.save(&new).boxed(), polls).await.transpose()?;

        let when = format!("after a save that was dropped after {polls} polls");
        either(&[Some(&old), Some(&new)], &store, &place, &when).await?;
        usable(&store).await?;
        if ended.is_some() {
            break;
        }
    }
    KEPT
}

pub(super) async fn dropped_clear(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    for polls in 0..POLLS {
        store.save(&full(0)).await?;

        let ended = polled(store.clear().boxed(), polls).await.transpose()?;

        let when = format!("after a clear that was dropped after {polls} polls");
        either(&[Some(&full(0)), None], &store, &place, &when).await?;
        usable(&store).await?;
        if ended.is_some() {
            break;
        }
    }
    KEPT
}

/// Whatever the dropped call leaves behind, and however late that is done.
pub(super) async fn overtaking(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    for round in 0..20 {
        let polls = 1 + round as usize % 4;
        let (early, late) = (full(2 * round), full(2 * round + 1));

        polled(store.save(&early).boxed(), polls).await.transpose()?;
        store.save(&late).await?;
        stays(Some(&late), &store, &place, "after a save that followed a dropped one").await?;

        polled(store.clear().boxed(), polls).await.transpose()?;
        store.save(&late).await?;
        stays(Some(&late), &store, &place, "after a save that followed a dropped clear").await?;

        polled(store.save(&early).boxed(), polls).await.transpose()?;
        store.clear().await?;
        stays(None, &store, &place, "after a clear that followed a dropped save").await?;
    }
    KEPT
}

async fn stays(tokens: Option<&Tokens>, store: &Handle, place: &Place, when: &str) -> Verdict {
    for _ in 0..3 {
        store.holds(tokens, when).await?;
        place.open().await.holds(tokens, when).await?;
    }
    KEPT
}

async fn either(both: &[Option<&Tokens>], store: &Handle, place: &Place, when: &str) -> Verdict {
    one_of(both, store.load().await?.as_ref(), when)?;
    one_of(both, place.open().await.load().await?.as_ref(), when)
}

/// What it holds then is another clause's concern.
async fn usable(store: &Handle) -> Verdict {
    let after = |seen| format!("after a call that was dropped {seen}");
    store.save(&full(1_000_000)).await.map_err(after)?;
    store.load().await.map_err(after)?;
    store.clear().await.map_err(after)
}
