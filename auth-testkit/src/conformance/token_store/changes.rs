//! One content after the other: nothing is left of the old one, and the new one stays.

use super::samples::{bare, full, without_one};
use super::world::World;
use crate::conformance::clause::{KEPT, Verdict};

pub(super) async fn replaces(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    for (field, without) in without_one(1) {
        store.save(&full(0)).await?;
        store.save(&without).await?;

        let when = format!("after a pair without its {field} has replaced one with everything");
        store.holds(Some(&without), &when).await?;
    }
    for (old, new) in [(full(2), bare(3)), (bare(4), full(5))] {
        store.save(&old).await?;
        store.save(&new).await?;

        store.holds(Some(&new), "after a pair has replaced another").await?;
    }
    KEPT
}

pub(super) async fn clears(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    store.save(&full(0)).await?;

    store.clear().await?;

    store.holds(None, "after a clear").await?;
    store.save(&bare(1)).await?;
    store.holds(Some(&bare(1)), "after a clear and a save").await?;
    store.clear().await?;
    place.open().await.holds(None, "in a store that is opened after a clear").await
}

pub(super) async fn clears_nothing(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;

    store.clear().await?;
    store.clear().await?;

    store.holds(None, "after a clear of nothing").await?;
    store.save(&full(0)).await?;
    store.clear().await?;
    store.clear().await?;
    store.holds(None, "after a second clear").await
}

/// Often enough for what is written behind the caller's back to come late.
pub(super) async fn in_order(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    for round in 0..20 {
        let (first, last) = (full(2 * round), full(2 * round + 1));
        store.save(&first).await?;
        store.save(&last).await?;
        store.holds(Some(&last), "after two saves").await?;

        store.save(&first).await?;
        store.clear().await?;
        store.holds(None, "after a save and a clear").await?;

        store.save(&last).await?;
        store.holds(Some(&last), "after a clear and a save").await?;
    }
    KEPT
}

pub(super) async fn reopened(world: &World) -> Verdict {
    let place = world.place();

    let first = place.open().await;
    first.save(&full(0)).await?;
    place.open().await.holds(Some(&full(0)), "in a store that is opened after a save").await?;
    drop(first);

    let second = place.open().await;
    second.holds(Some(&full(0)), "in a store that is opened when the one that saved is gone").await?;
    second.clear().await?;
    drop(second);

    place.open().await.holds(None, "in a store that is opened when the one that cleared is gone").await
}
