//! The guard: the session while its lease is held; and the way to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auth_core::{BoxFuture, StoreError, StoreGuard, Tokens, async_trait};
use futures::channel::oneshot::Sender;
use futures::future::select;
use redis::aio::ConnectionLike;

use super::RedisStore;
use super::error::{NotWritten, RedisStoreError};
use super::server::{Acquired, Lease, Server, Wrote, unique};

/// The pauses between looks at a lock that somebody else has: doubled from the first to the second, and up to a half of each
/// is chance. A token endpoint takes longer than any of them.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(100);

pub(super) struct RedisGuard<C: ConnectionLike + Clone + Send + Sync + 'static> {
    store: RedisStore<C>,
    lease: Arc<Lease>,
    known: Arc<Mutex<Known>>,
    released: bool,
}

/// Touched by the store's calls, one after the other.
#[derive(Clone, Copy)]
struct Known {
    /// The newest version that this guard has heard of.
    version: i64,
    /// That is what it last read, and it has not written since.
    read: bool,
}

/// Waits for the lock, as a task: a wait that is given up is no command that is broken off in the middle, and what it got is
/// given back.
pub(super) fn wait<C: ConnectionLike + Clone + Send + Sync + 'static>(
    store: RedisStore<C>,
    mut waiting: Sender<Result<RedisGuard<C>, StoreError>>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let holder = match unique() {
            Ok(holder) => holder,
            Err(error) => return drop(waiting.send(Err(StoreError::new(error)))),
        };
        let mut pause = SHORTEST;
        while !waiting.is_canceled() {
            match store.server.acquire(&holder).await {
                Ok(Acquired::Ours(lease)) => {
                    // Sent to nobody it is dropped, and gives the lease back.
                    drop(waiting.send(Ok(RedisGuard::new(&store, lease))));
                    return;
                }
                Ok(Acquired::Theirs(left)) => {
                    let chance = 0.5 + 0.5 * (store.runtime.random() % 1000) as f64 / 1000.0;
                    let nap = store.runtime.sleep(pause.mul_f64(chance).min(left));
                    select(nap, waiting.cancellation()).await;
                    pause = LONGEST.min(pause * 2);
                }
                Err(error) => {
                    // It may have been had, and only the answer been lost.
                    store.give_back(&holder);
                    drop(waiting.send(Err(StoreError::new(error))));
                    return;
                }
            }
        }
    })
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisGuard<C> {
    fn new(store: &RedisStore<C>, lease: Lease) -> Self {
        let known = Known { version: lease.version, read: false };
        let (lease, known) = (Arc::new(lease), Arc::new(Mutex::new(known)));
        Self { store: store.clone(), lease, known, released: false }
    }

    async fn write(&self, tokens: Option<Tokens>) -> Result<(), StoreError> {
        let (lease, known) = (Arc::clone(&self.lease), Arc::clone(&self.known));
        self.store.run(|server| async move { write(&server, &lease, &known, tokens.as_ref()).await }).await
    }
}

async fn write<C: ConnectionLike + Clone + Send + Sync + 'static>(
    server: &Server<C>,
    lease: &Lease,
    known: &Mutex<Known>,
    tokens: Option<&Tokens>,
) -> Result<(), NotWritten> {
    let Known { mut version, read } = look(known);
    let name = unique()?;
    loop {
        match server.write(&name, tokens, version, Some((&lease.holder, lease.fence))).await? {
            Wrote::Done { version } => {
                note(known, Known { version, read: false });
                return Ok(());
            }
            Wrote::LeaseLost => return Err(NotWritten::Overtaken),
            // Somebody has written without the lock what this guard has not read.
            Wrote::Other { by, .. } if read && by != lease.fence => return Err(NotWritten::Overtaken),
            // It was this guard, whose write failed as far as it knew. Or nothing was read, and so nothing is overlooked.
            Wrote::Other { version: newest, .. } => version = newest,
        }
    }
}

fn look(known: &Mutex<Known>) -> Known {
    *known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(known: &Mutex<Known>, new: Known) {
    *known.lock().unwrap_or_else(PoisonError::into_inner) = new;
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> StoreGuard for RedisGuard<C> {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        let known = Arc::clone(&self.known);
        let load = |server: Server<C>| async move {
            let loaded = server.load().await?;
            note(&known, Known { version: loaded.version, read: true });
            Ok::<_, RedisStoreError>(loaded.tokens)
        };
        self.store.run(load).await
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        self.write(Some(tokens.clone())).await
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.write(None).await
    }

    async fn release(mut self: Box<Self>) {
        let lease = Arc::clone(&self.lease);
        // Where it fails the lease ends by itself.
        let giving_back = self.store.run(|server| async move { server.release(&lease.holder).await });
        self.released = true;
        drop(giving_back.await);
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Drop for RedisGuard<C> {
    fn drop(&mut self) {
        if !self.released {
            self.store.give_back(&self.lease.holder);
        }
    }
}
