//! Watching on every schedule.

use std::sync::Arc;

use futures::StreamExt as _;

use super::check::check;
use super::world::a_while;
use crate::contain::wake;
use crate::event::SessionState;
use crate::session::watch::{Watch, Watched};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// O5: a watcher may skip states and never misses the last, whoever else watches or stops watching; it ends with the session.
#[test]
fn a_watcher_sees_the_newest_state_at_the_end() {
    const STATES: [SessionState; 3] =
        [SessionState::Active, SessionState::Refreshing, SessionState::SignedOut];
    check(2_000, |world| {
        let watched = Arc::new(Watched::new(SessionState::Unknown));
        // States are set under the session's lock, and watchers are woken when that is free.
        let state = Arc::new(Mutex::new(SessionState::Unknown));
        let writers = Arc::new(AtomicU64::new(2));
        for first in 0..2 {
            let (watched, state, writers) = (Arc::clone(&watched), Arc::clone(&state), Arc::clone(&writers));
            world.caller(format!("writer {first}"), async move {
                for step in 0..2 {
                    let woken = {
                        let mut state = state.lock().unwrap();
                        *state = STATES[(first + step) % STATES.len()];
                        watched.set(*state)
                    };
                    woken.into_iter().for_each(wake);
                    a_while().await;
                }
                if writers.fetch_sub(1, Ordering::SeqCst) == 1 {
                    watched.close().into_iter().for_each(wake);
                }
            });
        }
        for name in ["leaves", "stays", "stays too"] {
            let (other, state, watch) = (Arc::clone(world), Arc::clone(&state), Watch::new(&watched));
            let watcher = async move {
                let seen: Vec<_> = watch.collect().await;
                let newest = *state.lock().unwrap();
                other.claim(seen.last() == Some(&newest), || format!("{seen:?} do not end with {newest:?}"));
            };
            if name == "leaves" { world.passer_by(name, watcher) } else { world.caller(name, watcher) }
        }

        world.settle();
    });
}
