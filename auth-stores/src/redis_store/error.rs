//! What can be wrong with a server, or with what it holds.

use std::error::Error;
use std::fmt;

use auth_core::StoreError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a [`RedisStore`](super::RedisStore) could not do what it was asked to: the source of its [`StoreError`]s.
///
/// It has the code of the server's error and not its words, which may quote a command, and so a token. For the same reason
/// it has no source.
#[derive(Debug)]
pub struct RedisStoreError {
    kind: RedisStoreErrorKind,
    code: Option<String>,
}

/// What somebody has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedisStoreErrorKind {
    /// There is no answer: the connection is down or slow, the server is starting or failing over. Later it may go well.
    Unreachable,
    /// The server will not do it for this user, or is a replica. Mend the configuration.
    Refused,
    /// The server has no room, or cannot write to its disk.
    Full,
    /// Something else is kept under this name. Take another name, or remove it.
    Foreign,
    /// A newer version of this store has written it. Update the program.
    Newer,
    /// There are no tokens in it that make sense. Sign in again.
    Damaged,
    /// The runtime that the store was given dropped the call, or the call panicked there: it has to be one on which the
    /// connection works.
    Runtime,
    /// Something else: see the [code](RedisStoreError::code).
    Other,
}

impl RedisStoreError {
    /// What somebody has to do about it.
    #[must_use]
    pub fn kind(&self) -> RedisStoreErrorKind {
        self.kind
    }

    /// The first word of the server's error: `WRONGTYPE`, `NOAUTH`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Looks for it among the causes of an error: a [`StoreError`]'s, or those of an `auth_core::Error`.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        match error.downcast_ref() {
            Some(found) => Some(found),
            None => Self::find(error.source()?),
        }
    }

    pub(super) fn new(kind: RedisStoreErrorKind) -> Self {
        Self { kind, code: None }
    }
}

impl From<RedisStoreErrorKind> for RedisStoreError {
    fn from(kind: RedisStoreErrorKind) -> Self {
        Self::new(kind)
    }
}

impl From<RedisError> for RedisStoreError {
    fn from(error: RedisError) -> Self {
        let code = error.code().filter(|code| is_word(code)).map(str::to_owned);
        let kind = match error.kind() {
            ErrorKind::Io
            | ErrorKind::Parse
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel
            | ErrorKind::Server(
                ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::TryAgain
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask,
            ) => RedisStoreErrorKind::Unreachable,
            ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::Server(
                ServerErrorKind::NoPerm | ServerErrorKind::ReadOnly | ServerErrorKind::CrossSlot,
            ) => RedisStoreErrorKind::Refused,
            // Not of the kind that was expected: somebody else's.
            ErrorKind::UnexpectedReturnType => RedisStoreErrorKind::Foreign,
            _ => match code.as_deref() {
                Some("WRONGTYPE") => RedisStoreErrorKind::Foreign,
                Some("NOAUTH" | "WRONGPASS" | "DENIED") => RedisStoreErrorKind::Refused,
                Some("OOM" | "MISCONF" | "NOREPLICAS") => RedisStoreErrorKind::Full,
                _ => RedisStoreErrorKind::Other,
            },
        };
        Self { kind, code }
    }
}

/// Whatever else stands there is not a code, and may be anything.
fn is_word(code: &str) -> bool {
    code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

impl fmt::Display for RedisStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RedisStoreErrorKind::Unreachable => "the server gives no answer",
            RedisStoreErrorKind::Refused => "the server refuses it",
            RedisStoreErrorKind::Full => "the server cannot keep it",
            RedisStoreErrorKind::Foreign => "something else is kept there, and is left alone",
            RedisStoreErrorKind::Newer => {
                "a newer version of this program has written it, and it is left alone"
            }
            RedisStoreErrorKind::Damaged => "there are no valid tokens in it",
            RedisStoreErrorKind::Runtime => "the store's runtime dropped the call",
            RedisStoreErrorKind::Other => "the server failed",
        })?;
        self.code.as_ref().map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

impl Error for RedisStoreError {}

/// Why a write was not made.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// The lease was lost, or somebody wrote without it.
    Overtaken,
    Failed(RedisStoreError),
}

impl<E> From<E> for NotWritten
where
    RedisStoreError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NotWritten> for StoreError {
    fn from(why: NotWritten) -> Self {
        match why {
            NotWritten::Overtaken => StoreError::conflict(),
            NotWritten::Failed(error) => StoreError::new(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers quote the beginning of a command they do not know, and scripts what they choke on.
    #[test]
    fn the_servers_words_are_not_passed_on() {
        let words = "ERR unknown command 'EVALSHA', with args beginning with: 'sEcReT'";
        for (kind, detail) in [
            (ErrorKind::Server(ServerErrorKind::ResponseError), words),
            (ErrorKind::UnexpectedReturnType, "(response was bulk-string('sEcReT'))"),
            (ErrorKind::Parse, "sEcReT"),
        ] {
            let error = RedisStoreError::from(RedisError::from((kind, "sEcReT", detail.to_owned())));

            assert!(!format!("{error} {error:?}").contains("sEcReT"), "{error:?}");
            assert!(error.source().is_none());
        }
    }

    #[test]
    fn a_code_is_a_word_in_capitals() {
        assert!(is_word("WRONGTYPE"));
        for no in ["sEcReT", "A B", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"] {
            assert!(!is_word(no), "{no}");
        }
    }
}
