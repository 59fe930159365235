//! Stores on every schedule: the first load, saves that fail, a store that two sessions share.

use std::sync::Arc;

use futures::FutureExt as _;

use super::check::check;
use super::scene::Scene;
use super::server::{Server, Token};
use super::shelf::Shelf;
use super::world::{a_while, chance, sometime};
use crate::sync::{AtomicU64, Ordering};
use crate::{ErrorKind, Event, MemoryStore, PersistFailure, StoreError, StoreGuard, TokenStore as _};

/// C18: the first requests of a session share one load; a sign-in meanwhile wins; who is dropped takes nobody along.
#[test]
fn first_requests_share_one_load() {
    check(400, |world| {
        let server = Server::new(world);
        let stored = chance(2) == 0;
        let shelf = if stored { Shelf::with(world, server.sign_in(0)) } else { Shelf::new(world) };
        let acquires = (chance(2) == 0).then_some(0);
        let scene = Scene::new(world, &server, shelf, acquires, |builder| builder);
        let excused: &[_] = if stored || acquires.is_some() { &[] } else { &[ErrorKind::SignedOut] };
        for name in ["one", "two"] {
            scene.caller(name, excused);
        }
        scene.passer_by("three", excused);
        let signs_in = chance(2) == 0;
        if signs_in {
            let other = Arc::clone(&scene);
            world.caller("sign-in", async move {
                sometime().await;
                let written = other.session.sign_in(other.server.sign_in(1)).await;
                other.world.claim(written.is_ok(), || format!("{written:?}"));
            });
        }

        world.settle();

        if signs_in {
            assert_eq!(
                scene.newest(),
                Some(Token { user: 1, generation: 0 }),
                "a sign-in wins over what is loaded"
            );
        }
        let loads = scene.chronicle.count(|event| matches!(event, Event::Loaded { .. }));
        assert!(loads <= 1);
        scene.at_rest();
    });
}

/// K2, K3: saves fail now and then. Nothing is released before that is known, nothing is forgotten, and no spent token is
/// presented.
#[test]
fn a_pair_that_cannot_be_saved_is_not_lost() {
    check(300, |world| {
        let server = Server::new(world);
        let continues = chance(2) == 0;
        let choice = if continues { PersistFailure::Continue } else { PersistFailure::Fail };
        let scene =
            Scene::new(world, &server, Shelf::new(world), None, |builder| builder.persist_failure(choice));
        drop(scene.session.sign_in(server.sign_in(0)));
        server.expire(0);
        scene.shelf.fail(chance(5) as usize);
        let excused: &[_] = if continues { &[] } else { &[ErrorKind::Store] };
        for name in ["one", "two", "three"] {
            let scene = Arc::clone(&scene);
            world.caller(name, async move {
                scene.request_or(excused).await;
            });
        }
        world.caller("the server", async move {
            sometime().await;
            server.expire(0);
        });

        world.settle_in_time();

        scene.chronicle.check(world);
    });
}

/// K5, K16, and the one refresh of all who share a store: they exclude each other, and adopt.
#[test]
fn sessions_on_one_store_make_one_refresh() {
    check(250, |world| {
        let server = Server::new(world);
        let shelf = Shelf::shared(world, server.sign_in(0));
        server.expire(0);
        let scenes = [(); 2].map(|()| Scene::new(world, &server, shelf.clone(), None, |builder| builder));
        for scene in &scenes {
            scene.caller("one", &[]);
            if chance(2) == 0 { scene.caller("two", &[]) } else { scene.passer_by("two", &[]) }
        }

        world.settle();

        assert_eq!(server.refreshes(0), 1, "one refresh, however many sessions ask");
        scenes.into_iter().for_each(Scene::at_rest);
    });
}

/// K7, K7b: two sessions on one store. One signs out, or in as somebody else, while the other refreshes: that wins, and the other
/// learns of it or has been faster.
#[test]
fn what_another_session_decides_wins() {
    const TOLD: &[ErrorKind] = &[ErrorKind::SessionEnded, ErrorKind::SessionChanged, ErrorKind::SignedOut];
    check(250, |world| {
        let server = Server::new(world);
        let shelf = Shelf::shared(world, server.sign_in(0));
        server.expire(0);
        let [one, two] = [(); 2].map(|()| Scene::new(world, &server, shelf.clone(), None, |builder| builder));
        one.caller("one", TOLD);
        two.caller("two", TOLD);
        let (decides, signs_in) = (Arc::clone(&one), chance(2) == 0);
        world.caller("a decision", async move {
            decides.server.while_refreshing(0).await;
            let written = if signs_in {
                decides.session.sign_in(decides.server.sign_in(1)).await
            } else {
                decides.session.sign_out().await
            };
            decides.world.claim(written.is_ok(), || format!("{written:?}"));
        });

        world.settle();

        assert_eq!(shelf.content(), signs_in.then_some(Token { user: 1, generation: 0 }));
        one.at_rest();
    });
}

/// K14, K16: the lock of a store that two clones share is one at a time, goes down the line past those who left it, and is free at
/// the end.
#[test]
fn a_memory_stores_lock_goes_down_the_line() {
    check(1_000, |world| {
        let store = MemoryStore::new();
        let holders = Arc::new(AtomicU64::new(0));
        for name in ["one", "two", "three", "four"] {
            let (world, store, holders) = (Arc::clone(world), store.clone(), Arc::clone(&holders));
            let other = Arc::clone(&world);
            let holder = async move {
                let guard = store.lock().await;
                let others = holders.fetch_add(1, Ordering::SeqCst);
                other.claim(others == 0 && matches!(guard, Ok(Some(_))), || {
                    format!("{others} others hold it")
                });
                let held = Held { holders, _guard: guard };
                a_while().await;
                drop(held);
            };
            if chance(2) == 0 { world.caller(name, holder) } else { world.passer_by(name, holder) }
        }

        world.settle();

        assert!(matches!(store.lock().now_or_never(), Some(Ok(Some(_)))), "the lock is free");
    });
}

/// Counted out before the guard is dropped.
struct Held {
    holders: Arc<AtomicU64>,
    _guard: Result<Option<Box<dyn StoreGuard>>, StoreError>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.holders.fetch_sub(1, Ordering::SeqCst);
    }
}
