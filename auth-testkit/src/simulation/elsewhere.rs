//! Elsewhere: what another program does to the store.

use std::sync::Arc;

use auth_core::{BoxFuture, StoreGuard, TokenStore, Tokens};

use super::authority::Special;
use super::plan::Elsewhere;
use super::record::{Refusal, What};
use super::secret;
use super::store::SimulatedStore;
use super::universe::{OUTSIDE, Universe, Who};
use crate::lock::lock;

/// Another program on the same store, which does as it should.
pub(super) fn elsewhere(universe: &Arc<Universe>, what: Elsewhere) -> BoxFuture<'static, ()> {
    let universe = Arc::clone(universe);
    Box::pin(async move {
        let store = SimulatedStore::new(&universe, Who { slot: 0, process: OUTSIDE }, true);
        let Ok(Some(mut guard)) = store.lock().await else { return };
        let done = match what {
            Elsewhere::Empties => guard.clear().await,
            Elsewhere::SignsIn => {
                let grant = lock(&universe.authority).sign_in(universe.now());
                universe.record(OUTSIDE, What::SignIn { token: grant.access });
                universe.granted(OUTSIDE, &grant);
                guard.save(&universe.stored(&grant, None)).await
            }
            Elsewhere::Rotates => rotate(&universe, &mut *guard).await,
        };
        // It is on the outside: nothing of it fails.
        drop(done);
        guard.release().await;
    })
}

async fn rotate(universe: &Universe, guard: &mut dyn StoreGuard) -> Result<(), auth_core::StoreError> {
    let Some(pair) = guard.load().await? else { return Ok(()) };
    let Some(refresh) = pair.refresh_token().and_then(|token| secret::find(token.reveal())) else {
        return Ok(());
    };
    let call = universe.call();
    universe.record(OUTSIDE, What::Presented { call, refresh });
    let answer = lock(&universe.authority).exchange(refresh, Special::default(), universe.now());
    match answer {
        Ok(grant) => {
            universe.record(OUTSIDE, What::Exchanged { call, access: grant.access, refresh: grant.refresh });
            universe.granted(OUTSIDE, &grant);
            universe.record(OUTSIDE, What::Delivered { call });
            let new: Tokens = universe.stored(&grant, pair.sign_in_id());
            guard.save(&new).await
        }
        Err(why) => {
            universe.record(OUTSIDE, What::Refused { call, why });
            let _: Refusal = why;
            Ok(())
        }
    }
}
