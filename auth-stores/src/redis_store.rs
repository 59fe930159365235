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

/// A session that any number of processes share, on Redis, Valkey or whatever else speaks their protocol.
///
/// | promise | how |
/// | --- | --- |
/// | one refresh, however many processes | a lock: a key with a life, the lease, that one process has |
/// | a holder that was paused writes nothing late | a write names its lease and its fence, a number that grows with each lease; the server compares and writes in one step |
/// | nor does a connection that was broken | a write names the version that it replaces, which grows with each write |
/// | a holder that died holds up nobody for long | its lease ends, by the server's clock; no other clock decides anything |
/// | only the holder gives the lock back | the server compares before it removes |
/// | nothing else is overwritten | what is kept under the name and is no session of this format is an error for all calls |
/// | no refresh token is spent where its successor could not be saved | taking the lock is a write: a server that is full, a replica or read-only refuses it |
///
/// The connection is yours: any of the crate [`redis`] that can be cloned. Take one that reconnects, a
/// [`ConnectionManager`](redis::aio::ConnectionManager) or a cluster's. It has to be to the primary: what was
/// saved has to be seen by whoever loads next.
///
/// ```no_run
/// use auth_core::{Session, refresher_fn};
/// use auth_reqwest::TokioRuntime;
/// use auth_stores::RedisStore;
/// # use auth_core::{RefreshError, Tokens};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let refresher = refresher_fn(|_: Tokens| async { Err::<Tokens, _>(RefreshError::unavailable("not here")) });
/// let client = auth_stores::redis::Client::open("redis://127.0.0.1/")?;
/// let connection = client.get_connection_manager().await?;
///
/// let store = RedisStore::new(connection, TokioRuntime::current(), "notes:user:42");
/// let session = Session::builder(refresher).store(store).runtime(TokioRuntime::current()).build();
/// # Ok(()) }
/// ```
///
/// # The runtime
///
/// A connection of the crate `redis` is tokio's where it is made within a tokio runtime, and smol's elsewhere (with the feature
/// `redis-smol`); the store asks its questions, and waits between them, as tasks of the [`Runtime`] that it is given, whatever
/// executor the session is polled by. On tokio that is a `TokioRuntime`, for smol any will do. A runtime on which the connection does not work is an error of kind
/// [`Runtime`](RedisStoreErrorKind::Runtime).
///
/// # What is kept
///
/// A hash `{auth:NAME}` with the fields `format`, `tokens` (JSON: [`StoredTokens`](auth_core::StoredTokens), **in the clear**), `version`,
/// `write` (the newest write's name), `by` (its fence) and `fence`; the lease is `{auth:NAME}:lease`. Both are in one slot of a cluster.
///
/// A session in which somebody is signed in is kept until it is cleared, unless it [expires](Self::expire_after); what is left of
/// one that was cleared goes after an hour.
///
/// Used are `HGETALL`, `HGET`, `EVALSHA` and `EVAL`, and in scripts `DEL`, `GET`, `HDEL`, `HEXISTS`, `HINCRBY`, `HSET` with several fields
/// (Redis 4), `PERSIST`, `PEXPIRE`, `PTTL`, `SET` with `PX`, `TYPE`. No modules, no publishing, no functions.
///
/// # Errors
///
/// A [`RedisStoreError`] as the source, with a [kind](RedisStoreErrorKind) for each thing that somebody can do about it. A question
/// on a connection that turns out to be broken or gives no answer is asked again, twice at most, before it fails; any takes five
/// seconds at most.
///
/// A write of a guard is also a [conflict](StoreError::is_conflict) where somebody has written without the lock since the guard
/// has loaded: a sign-in is not undone by a refresh that began before it.
///
/// # Cancel safety
///
/// A call that is dropped is done all the same, before the next one. A wait for the lock that is dropped gives back what it gets.
///
/// # What is not promised
///
/// - **A server that forgets** signs everybody out: switch on its persistence, and no eviction (`maxmemory-policy noeviction`).
/// - **A failover** may lose the newest writes, as always with replicas that follow behind: a rotation among them ends the session.
/// - **Two processes refresh** where a holder is paused between its last look at the clock and its request for longer than its
///   lease lives: of that no store can know. Its write is refused, and it adopts what the other one saved.
pub struct RedisStore<C> {
    server: Server<C>,
    runtime: Arc<dyn Runtime>,
    calls: Arc<Strand<BoxFuture<'static, ()>>>,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisStore<C> {
    /// The session of this name: `notes:user:42`. Nothing is sent yet. The questions are asked on this [runtime](#the-runtime).
    #[must_use]
    pub fn new(connection: C, runtime: impl Runtime, name: impl AsRef<str>) -> Self {
        let runtime: Arc<dyn Runtime> = Arc::new(runtime);
        let server = Server::new(connection, Arc::clone(&runtime), name.as_ref());
        Self { server, runtime, calls: Strand::new() }
    }

    /// How long the lock is held at most, and so how long a holder that died holds up the others. Default: 60 s.
    ///
    /// It has to be longer than a refresh and the save after it may take: the session's `refresh_timeout`, its `lock_timeout`
    /// and three times its `store_timeout`, 55 s by default. One that ends sooner is refreshed by two processes, and a server
    /// that detects that ends the session.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.server.lease = lease;
        self
    }

    /// Forgets a session that has not been written for this long: nobody is signed in then. One that is being refreshed lives as
    /// long as the lease does. Default: it is kept.
    ///
    /// A good choice is the life of your refresh tokens, where each refresh begins it anew. A shorter one signs out who could
    /// have gone on.
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
        Self {
            server: self.server.clone(),
            runtime: Arc::clone(&self.runtime),
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("key", &self.server.session()).finish_non_exhaustive()
    }
}
