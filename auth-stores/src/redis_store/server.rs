//! The server, as far as one session is concerned: its five questions, and what the answers mean.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use auth_core::{Runtime, StoredTokens, Tokens};
use futures::future::{Either, select};
use redis::RedisResult;
use redis::aio::ConnectionLike;

use super::error::{NotWritten, RedisStoreError, RedisStoreErrorKind};
use super::scripts::{ACQUIRE, FORMAT, RELEASE, Step, WRITE};

/// What one command may take, its reconnecting included: as long as a session waits for a store. A command without an end would
/// hold up those behind it for ever.
const COMMAND: Duration = Duration::from_secs(5);

/// A connection that breaks can swallow one question, and refuse the next.
const ASKED_AGAIN: u8 = 2;

/// How long a session in which nobody is signed in is remembered: longer than any write to it can be under way.
const EMPTY: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub(super) struct Server<C> {
    connection: C,
    runtime: Arc<dyn Runtime>,
    session: Arc<str>,
    lease_key: Arc<str>,
    pub(super) lease: Duration,
    pub(super) expire_after: Option<Duration>,
}

pub(super) struct Loaded {
    pub(super) tokens: Option<Tokens>,
    pub(super) version: i64,
}

pub(super) enum Acquired {
    Ours(Lease),
    /// For this long, unless it is given back.
    Theirs(Duration),
}

/// Who has the lock, and what it found.
pub(super) struct Lease {
    pub(super) holder: Arc<str>,
    pub(super) fence: i64,
    pub(super) version: i64,
}

/// What a write came to.
pub(super) enum Wrote {
    Done {
        version: i64,
    },
    /// It is another version by now, which this fence has written.
    Other {
        version: i64,
        by: i64,
    },
    LeaseLost,
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Server<C> {
    pub(super) fn new(connection: C, runtime: Arc<dyn Runtime>, name: &str) -> Self {
        // What stands in braces decides where a cluster keeps a key.
        let session = format!("{{auth:{name}}}");
        let lease_key = format!("{session}:lease");
        Self {
            connection,
            runtime,
            session: session.into(),
            lease_key: lease_key.into(),
            // A flight (30 s) and its save (10 s + 3 * 5 s), and a little.
            lease: Duration::from_secs(60),
            expire_after: None,
        }
    }

    pub(super) fn session(&self) -> &str {
        &self.session
    }

    pub(super) async fn load(&self) -> Result<Loaded, RedisStoreError> {
        let fields: HashMap<String, Vec<u8>> = self
            .answer(|mut connection, server| async move {
                redis::cmd("HGETALL").arg(&*server.session).query_async(&mut connection).await
            })
            .await?;
        if fields.is_empty() {
            return Ok(Loaded { tokens: None, version: 0 });
        }
        let text = |field| fields.get(field).and_then(|value| std::str::from_utf8(value).ok());
        match text("format") {
            Some(FORMAT) => {}
            Some(format) => {
                return Err(if is_newer(format) {
                    RedisStoreErrorKind::Newer
                } else {
                    RedisStoreErrorKind::Foreign
                }
                .into());
            }
            None => return Err(RedisStoreErrorKind::Foreign.into()),
        }
        let version = text("version").map_or(Some(0), |version| version.parse().ok());
        let version = version.ok_or(RedisStoreErrorKind::Damaged)?;
        let tokens = fields.get("tokens").map(|json| parse(json)).transpose()?;
        Ok(Loaded { tokens, version })
    }

    pub(super) async fn acquire(&self, holder: &Arc<str>) -> Result<Acquired, RedisStoreError> {
        let (lease, empty) = (millis(self.lease), millis(EMPTY + self.lease));
        let answer = self.step(&ACQUIRE, &[holder, &lease, &empty]).await?;
        match answer[..] {
            [1, fence, version] => Ok(Acquired::Ours(Lease { holder: Arc::clone(holder), fence, version })),
            [0, left] => Ok(Acquired::Theirs(Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX)))),
            _ => Err(self.what_is_there().await),
        }
    }

    pub(super) async fn release(&self, holder: &str) -> Result<(), RedisStoreError> {
        self.step(&RELEASE, &[holder]).await.map(drop)
    }

    /// Over this version and no other. With a lease, only while that is held. It may be asked for again under its name, and is
    /// made once.
    pub(super) async fn write(
        &self,
        name: &str,
        tokens: Option<&Tokens>,
        version: i64,
        under: Option<(&str, i64)>,
    ) -> Result<Wrote, RedisStoreError> {
        let (holder, fence) = under.unwrap_or(("", 0));
        let json = tokens.map(|tokens| serde_json::to_string(&tokens.to_stored())).transpose();
        let json = json.map_err(|_| RedisStoreErrorKind::Other)?.unwrap_or_default();
        let life = match tokens {
            Some(_) => self.expire_after.map_or_else(|| "0".to_owned(), millis),
            None => millis(EMPTY + self.lease),
        };
        let arguments = [holder, &fence.to_string(), &version.to_string(), &json, &life, name];
        let answer = self.step(&WRITE, &arguments).await?;
        match answer[..] {
            [1, version] => Ok(Wrote::Done { version }),
            [0, version, by] => Ok(Wrote::Other { version, by }),
            [-1] => Ok(Wrote::LeaseLost),
            _ => Err(self.what_is_there().await),
        }
    }

    /// Whatever is there. Over the version that is the newest one now, so that a write which a broken connection has delayed is
    /// refused when it arrives after this one.
    pub(super) async fn overwrite(&self, tokens: Option<&Tokens>) -> Result<(), NotWritten> {
        let name = unique()?;
        let mut version = self.version().await?;
        loop {
            match self.write(&name, tokens, version, None).await? {
                Wrote::Done { .. } => return Ok(()),
                Wrote::Other { version: newest, .. } => version = newest,
                Wrote::LeaseLost => return Err(NotWritten::Overtaken),
            }
        }
    }

    async fn version(&self) -> Result<i64, RedisStoreError> {
        let version: Option<i64> = self
            .answer(|mut connection, server| async move {
                redis::cmd("HGET").arg(&*server.session).arg("version").query_async(&mut connection).await
            })
            .await?;
        Ok(version.unwrap_or(0))
    }

    /// Why a script would have nothing to do with it.
    async fn what_is_there(&self) -> RedisStoreError {
        match self.load().await {
            Ok(_) => RedisStoreErrorKind::Foreign.into(),
            Err(error) => error,
        }
    }

    async fn step(&self, step: &'static Step, arguments: &[&str]) -> Result<Vec<i64>, RedisStoreError> {
        self.answer(|mut connection, server| async move {
            step.run(&mut connection, [&server.session, &server.lease_key], arguments).await
        })
        .await
    }

    /// An answer in time. Where the connection is found to be broken, or gives no answer as one that breaks just then, the question is
    /// asked again: the next one may be whole, and every question here may be asked more than once.
    async fn answer<'a, T, F>(&'a self, ask: impl Fn(C, &'a Self) -> F) -> Result<T, RedisStoreError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let asked = async {
            let mut left = ASKED_AGAIN;
            loop {
                match ask(self.connection.clone(), self).await {
                    Err(error) if left > 0 && (error.is_connection_dropped() || error.is_timeout()) => {
                        left -= 1;
                    }
                    answered => return answered,
                }
            }
        };
        match select(std::pin::pin!(asked), self.runtime.sleep(COMMAND)).await {
            Either::Left((answered, _)) => Ok(answered?),
            Either::Right(_) => Err(RedisStoreErrorKind::Unreachable.into()),
        }
    }
}

/// A name that nobody else has, in whatever process.
pub(super) fn unique() -> Result<Arc<str>, RedisStoreError> {
    match (getrandom::u64(), getrandom::u64()) {
        (Ok(high), Ok(low)) => Ok(format!("{high:016x}{low:016x}").into()),
        _ => Err(RedisStoreErrorKind::Other.into()),
    }
}

/// The parser's own error would quote what it read.
fn parse(json: &[u8]) -> Result<Tokens, RedisStoreError> {
    let stored: StoredTokens = serde_json::from_slice(json).map_err(|_| RedisStoreErrorKind::Damaged)?;
    Tokens::try_from(stored).map_err(|_| RedisStoreErrorKind::Damaged.into())
}

fn is_newer(format: &str) -> bool {
    let version = |format: &str| format.strip_prefix("auth-stores/tokens ")?.parse::<u64>().ok();
    version(format) > version(FORMAT)
}

fn millis(duration: Duration) -> String {
    // The server takes no more, and no less.
    duration.as_millis().clamp(1, 1 << 50).to_string()
}
