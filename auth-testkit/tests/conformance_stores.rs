//! The suite for token stores: the stores of this framework pass, and a store with a flaw fails the clause about it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod flawed_store;
mod quotes;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use auth_core::{MemoryStore, StoreError, StoreGuard, TokenStore, Tokens, async_trait};
use auth_testkit::conformance::{TokenStoreSuite, token_store};
use auth_testkit::{ScriptedStore, StoreHandle};
use tokio::runtime::{Builder, Runtime};

use flawed_store::{Flaw, Flawed, Place};

fn suite(flaw: Flaw) -> TokenStoreSuite<Place, Flawed> {
    TokenStoreSuite::new(move || Place::new(flaw), Place::open)
        .shared()
        .debug()
        .steal(|place| std::future::ready(place.steal()))
        .failing(|place| std::future::ready(place.fail()))
        .garbled(|place| std::future::ready(place.garble()))
}

fn names<S: Clone>(clauses: &[(S, String)]) -> Vec<S> {
    clauses.iter().map(|(name, _)| name.clone()).collect()
}

#[test]
fn what_has_no_flaw_passes() {
    let report = suite(Flaw::None).run();

    report.assert();
    let all: Vec<_> = TokenStoreSuite::clauses().map(|(name, _)| name).collect();
    assert_eq!(report.passed, all);
}
