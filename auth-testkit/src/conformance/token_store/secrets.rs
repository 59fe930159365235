//! What is said, and what is left, where something went wrong: no token, and a whole pair.

use std::error::Error;

use auth_core::StoreError;

use super::samples::{full, one_of, quoted_in};
use super::world::World;
use crate::conformance::clause::{KEPT, Verdict, ensure};

pub(super) async fn debug(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    ensure!(!quoted_in(&store.debug()), "the store's `Debug` shows a token that is not there");

    store.save(&full(0)).await?;
    ensure!(!quoted_in(&store.debug()), "the store's `Debug` shows a token after a save");
    store.load().await?;
    ensure!(!quoted_in(&store.debug()), "the store's `Debug` shows a token after a load");
    let guard = store.try_lock().await?;
    ensure!(!quoted_in(&store.debug()), "the store's `Debug` shows a token while it is locked");
    drop(guard);
    KEPT
}

pub(super) async fn failed_save(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    store.save(&full(0)).await?;

    place.fail().await;

    world.stage("waiting for a save to fail");
    ensure!(store.store.save(&full(1)).await.is_err(), "a save went well, and `failing` was to make it fail");
    world.stage("waiting for a load after a save that failed");
    match store.store.load().await {
        Ok(found) => one_of(&[Some(&full(0)), Some(&full(1))], found.as_ref(), "after a save that failed"),
        // It says so, at least.
        Err(_) => KEPT,
    }
}

pub(super) async fn failed_texts(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    store.save(&full(0)).await?;
    let guard = store.try_lock().await?;

    place.fail().await;

    world.stage("waiting for calls to fail");
    let mut failures = Vec::new();
    if let Some(mut guard) = guard {
        failures.push(("a guard's save", guard.guard.save(&full(1)).await.err()));
        failures.push(("a guard's load", guard.guard.load().await.err()));
        failures.push(("a guard's clear", guard.guard.clear().await.err()));
    }
    failures.push(("a save", store.store.save(&full(1)).await.err()));
    failures.push(("a load", store.store.load().await.err()));
    failures.push(("a clear", store.store.clear().await.err()));
    ensure!(failures.iter().any(|(_, error)| error.is_some()), "`failing` was to make something fail");
    for (call, error) in failures {
        silent(call, error.as_ref())?;
    }
    KEPT
}

pub(super) async fn garbled(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    store.save(&full(0)).await?;

    place.garble().await;

    let mut loads = Vec::new();
    world.stage("waiting for loads to fail");
    loads.push(("a load", store.store.load().await));
    if let Some(mut guard) = store.try_lock().await? {
        loads.push(("a guard's load", guard.guard.load().await));
        guard.release().await;
    }
    loads.push(("a load of a store that is opened then", place.open().await.store.load().await));
    for (call, loaded) in loads {
        match loaded {
            Ok(None) => return Err(format!("{call} takes what cannot be read for nothing")),
            Ok(Some(_)) => return Err(format!("{call} reads what cannot be read")),
            Err(error) => silent(call, Some(&error))?,
        }
    }
    KEPT
}

/// The error and its causes.
fn silent(call: &str, error: Option<&StoreError>) -> Verdict {
    let mut next = error.map(|error| error as &dyn Error);
    while let Some(error) = next {
        let text = format!("{error} {error:?} {error:#?}");
        ensure!(!quoted_in(&text), "the error of {call} quotes a token");
        next = error.source();
    }
    KEPT
}
