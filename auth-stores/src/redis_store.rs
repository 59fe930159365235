//! `RedisStore`: sessions that a fleet shares, on a server that speaks Redis's protocol.

mod error;
mod guard;
mod scripts;
mod server;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth_core::{BoxFuture, Runtime, StoreError, StoreGuard, TokenStore, Tokens, async_trait};
use futures::channel::oneshot;
use redis::aio::ConnectionLike;

pub use error::{RedisStoreError, RedisStoreErrorKind};

use crate::strand::Strand;
use error::NotWritten;
use guard::{RedisGuard, wait};
use server::Server;

pub struct RedisStore<C> {
    server: Server<C>,
    runtime: Arc<dyn Runtime>,
    calls: Arc<Strand<BoxFuture<'static, ()>>>,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisStore<C> {
    /// The session of this name. Nothing is sent yet.
    #[must_use]
    pub fn new(connection: C, runtime: impl Runtime, name: impl AsRef<str>) -> Self {
        let runtime: Arc<dyn Runtime> = Arc::new(runtime);
        let server = Server::new(connection, Arc::clone(&runtime), name.as_ref());
        Self { server, runtime, calls: Strand::new() }
    }

    /// How long the lock is held at most. Default: 60 s.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.server.lease = lease;
        self
    }

    /// Forgets a session that has not been written for this long.
    #[must_use]
    pub fn expire_after(mut self, idle: Duration) -> Self {
        self.server.expire_after = Some(idle);
        self
    }

    /// On the store's runtime, after what was asked for before, also where nobody waits for it any more. In force when the
    /// method returns.
    fn run<T, E, F>(&self, call: impl FnOnce(Server<C>) -> F) -> BoxFuture<'static, Result<T, StoreError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        NotWritten: From<E>,
    {
        let (done, answer) = oneshot::channel();
        let call = call(self.server.clone());
        self.submit(Box::pin(async move {
            drop(done.send(call.await.map_err(NotWritten::from)));
        }));
        Box::pin(async move {
            let answered = answer.await;
            Ok(answered.unwrap_or_else(|_| Err(RedisStoreErrorKind::Runtime.into()))?)
        })
    }

    fn submit(&self, call: BoxFuture<'static, ()>) {
        let Some(calls) = self.calls.push(call) else { return };
        self.runtime.spawn(Box::pin(async move {
            for call in calls {
                call.await;
            }
        }));
    }

    /// Soon, if it is this one's. Never waited for.
    fn give_back(&self, holder: &Arc<str>) {
        let (server, holder) = (self.server.clone(), Arc::clone(holder));
        self.submit(Box::pin(async move { drop(server.release(&holder).await) }));
    }
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> TokenStore for RedisStore<C> {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.run(|server| async move { server.load().await.map(|loaded| loaded.tokens) }).await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        let tokens = tokens.clone();
        self.run(|server| async move { server.overwrite(Some(&tokens)).await }).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.run(|server| async move { server.overwrite(None).await }).await
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        let (waiting, answer) = oneshot::channel();
        self.runtime.spawn(wait(self.clone(), waiting));
        let guard: RedisGuard<C> =
            answer.await.unwrap_or_else(|_| Err(NotWritten::from(RedisStoreErrorKind::Runtime).into()))?;
        Ok(Some(Box::new(guard)))
    }
}

impl<C: Clone> Clone for RedisStore<C> {
    fn clone(&self) -> Self {
        Self { server: self.server.clone(), runtime: Arc::clone(&self.runtime), calls: Arc::clone(&self.calls) }
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("key", &self.server.session()).finish_non_exhaustive()
    }
}
