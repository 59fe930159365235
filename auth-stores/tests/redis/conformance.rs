//! Clause by clause, on tokio and on smol.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use auth_core::TokenStore;
use auth_stores::redis;
use auth_testkit::conformance::TokenStoreSuite;

use crate::support::{Server, on_smol, on_tokio};

/// A session's name, at a server.
struct Place {
    server: Arc<Server>,
    name: String,
}

fn places(server: Arc<Server>) -> impl Fn() -> Place + Send + Sync {
    static MADE: AtomicU64 = AtomicU64::new(0);
    move || {
        let name = format!("place {}", MADE.fetch_add(1, Ordering::Relaxed));
        Place { server: Arc::clone(&server), name }
    }
}

impl Place {
    fn key(&self) -> String {
        format!("{{auth:{}}}", self.name)
    }
}

fn choices<S: TokenStore + std::fmt::Debug>(suite: TokenStoreSuite<Place, S>) -> TokenStoreSuite<Place, S> {
    suite
        .shared()
        .debug()
        .steal(|place| {
            // As if its time were over.
            let gone: u64 = place.server.ask(redis::cmd("DEL").arg(format!("{}:lease", place.key())));
            assert_eq!(gone, 1);
            async {}
        })
        .failing(|place| {
            // Something else takes its place.
            let () = place.server.ask(redis::cmd("SET").arg(place.key()).arg("something else"));
            async {}
        })
        .garbled(|place| {
            // A token where a number has to be: the parser's words would quote it.
            let json: String = place.server.ask(redis::cmd("HGET").arg(place.key()).arg("tokens"));
            let garbled = json.replace("refresh_token", "expires_in_ms");
            let () = place.server.ask(redis::cmd("HSET").arg(place.key()).arg("tokens").arg(garbled));
            async {}
        })
}

#[test]
fn it_keeps_the_contract_on_tokio() {
    let open = |place: &Place| {
        let (server, name) = (Arc::clone(&place.server), place.name.clone());
        async move { on_tokio(&server, &name).await }
    };

    let report = choices(TokenStoreSuite::connecting(places(Arc::new(Server::start())), open)).run();

    report.assert();
    assert!(report.skipped.is_empty(), "{report}");
}

#[test]
fn it_keeps_the_contract_on_smol() {
    let open = |place: &Place| {
        let (server, name) = (Arc::clone(&place.server), place.name.clone());
        async move { on_smol(&server, &name).await }
    };

    choices(TokenStoreSuite::connecting(places(Arc::new(Server::start())), open)).run().assert();
}
