//! The load: reading the store for a session's first requests, and acquiring first tokens where nobody has to sign in.

use std::sync::Arc;
use std::time::Duration;

use super::attempts::{Unanswered, attempts};
use super::core::Core;
use super::ledger::Locked;
use super::trace;
use crate::event::{Event, FlightId};
use crate::{BoxFuture, Error, ErrorKind, Tokens};

/// The load's task. Its guard answers for it from the moment it is made.
pub(crate) fn load(core: &Arc<Core>, id: FlightId) -> BoxFuture<'static, ()> {
    let loader = Loader { core: Arc::clone(core), id, aboard: true };
    let run = async move {
        // Moved in whole: its fields alone would leave its destructor outside.
        let mut loader = loader;
        let core = Arc::clone(&loader.core);
        let deadline = core.now() + core.policy.flight;
        if let Some(Err(failed)) =
            core.within(core.policy.flight + core.policy.save(), loader.run(deadline)).await
        {
            loader.fail(&failed);
        }
        // Where time ran out before it was answered, the guard does it.
        loader.aboard = core.change(|state, _| state.is_loading(id));
        core.ledger.unlock(&core, id);
    };
    Box::pin(trace::load(core.id, run))
}

struct Loader {
    core: Arc<Core>,
    id: FlightId,
    aboard: bool,
}

struct Failed {
    error: Error,
    /// It was the token endpoint's fault: cool down, for this long at least.
    cools: Option<Option<Duration>>,
}

impl Loader {
    async fn run(&self, deadline: Duration) -> Result<(), Failed> {
        let core = &self.core;
        if let Some(tokens) = core.ledger.load(core).await.map_err(Failed::store)? {
            return self.found(tokens);
        }
        // Only one of those who share the store may acquire.
        if let Locked::Failed(error) = core.ledger.lock(core, self.id).await {
            return Err(Failed::store(error));
        }
        if let Some(tokens) = core.ledger.load(core).await.map_err(Failed::store)? {
            return self.found(tokens);
        }
        self.acquire(deadline).await
    }

    fn found(&self, tokens: Tokens) -> Result<(), Failed> {
        let candidate = self.core.candidate(tokens, false);
        let header = candidate.header.clone().map_err(Failed::other)?;
        self.core.change(|state, after| {
            let promise = state.loaded(self.id, Some((candidate, header)));
            if promise.is_some() {
                after.event(Event::Loaded { signed_in: true });
            }
            after.answer_load(promise, Ok(()));
        });
        Ok(())
    }

    async fn acquire(&self, deadline: Duration) -> Result<(), Failed> {
        let core = &self.core;
        let call = || async {
            let wanted = core.change(|state, _| state.is_loading(self.id));
            if wanted {
                Some(core.call(core.policy.attempt, (*core.refresher).acquire()).await)
            } else {
                None
            }
        };
        let tokens = match attempts(core, deadline, call, |_, _, _| {}).await {
            Ok(Some(tokens)) => tokens,
            Ok(None) => {
                core.change(|state, after| {
                    let promise = state.loaded(self.id, None);
                    if promise.is_some() {
                        after.event(Event::Loaded { signed_in: false });
                    }
                    after.answer_load(promise, Ok(()));
                });
                return Ok(());
            }
            Err(Unanswered::Over) => return Ok(()),
            Err(Unanswered::Failed { error, .. }) => {
                let retry_after = error.retry_after_hint();
                // Nobody was signed in, so no session can have ended: the client's own grant is refused.
                let error = if error.is_rejected() {
                    Error::caused(ErrorKind::Misconfigured, error)
                } else {
                    Error::refresh(error)
                };
                return Err(Failed { error, cools: Some(retry_after) });
            }
        };
        self.enter(tokens).await
    }

    /// First tokens: a sign-in, saved before it is published.
    async fn enter(&self, tokens: Tokens) -> Result<(), Failed> {
        let core = &self.core;
        let candidate = core.candidate(tokens.with_sign_in_id(Some(core.sign_in_id())), true);
        let header = match candidate.header.clone() {
            Ok(header) => header,
            Err(error) => return Err(Failed { error: error.into(), cools: Some(None) }),
        };
        let saving = core.change(|state, after| {
            let number = state.acquired(self.id, &candidate.tokens)?;
            after.write();
            Some(state.books.wait(number))
        });
        if let Some(saving) = saving {
            // Where it fails the session goes on from memory, as after a refresh.
            let _ = core.ledger.wrote(core, saving).await;
        }
        core.change(|state, after| {
            let tokens = Arc::clone(&candidate.tokens);
            match state.enter(self.id, candidate, header) {
                None => after.revoke(tokens),
                promise => {
                    after.event(Event::SignedIn { epoch: state.epoch() });
                    after.answer_load(promise, Ok(()));
                }
            }
        });
        Ok(())
    }

    fn fail(&self, failed: &Failed) {
        let Failed { error, cools } = failed;
        let (now, random) = (self.core.now(), self.core.roll());
        self.core.change(|state, after| {
            let promise = state.load_failed(self.id, error, *cools, now, random, &self.core.policy);
            after.answer_load(promise, Err(error.clone()));
        });
    }
}

impl Failed {
    fn store(error: crate::StoreError) -> Self {
        Self { error: error.into(), cools: None }
    }

    fn other(error: impl Into<Error>) -> Self {
        Self { error: error.into(), cools: None }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        if self.aboard {
            let error = Error::detailed(ErrorKind::Store, "the store could not be read to the end");
            self.fail(&Failed { error, cools: None });
            self.core.ledger.unlock(&self.core, self.id);
        }
    }
}
