//! Stored tokens: the one form in which they are serialised.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{InvalidToken, SignInId, Tokens};

/// Tokens as a store writes them, **secrets in the clear**; times in milliseconds since the Unix epoch, lifetimes
/// in milliseconds. Unknown fields are ignored when read, so that a newer version's file can be read by an older.
///
/// An error of the deserialiser may quote what it read: a store must not pass it on as it is.
///
/// ```
/// # use auth_core::{StoredTokens, Tokens};
/// let tokens = Tokens::new("T0")?.with_refresh_token("R0");
/// let text = serde_json::to_string(&tokens.to_stored())?;
///
/// let read: StoredTokens = serde_json::from_str(&text)?;
/// assert_eq!(Tokens::try_from(read)?, tokens);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredTokens {
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The `token_type` of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    /// When the access token expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// The whole lifetime of the access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// When the refresh token expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_expires_at_ms: Option<u64>,
    /// The whole lifetime of the refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_expires_in_ms: Option<u64>,
    /// The granted scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The sign-in id, 32 hexadecimal digits. A store must keep it: without it a session cannot tell its own
    /// sign-in from another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in_id: Option<String>,
}

impl fmt::Debug for StoredTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTokens").field("sign_in_id", &self.sign_in_id).finish_non_exhaustive()
    }
}

impl Tokens {
    /// The same tokens in a form that can be serialised, **secrets in the clear**. For stores; grep for it.
    #[must_use]
    pub fn to_stored(&self) -> StoredTokens {
        StoredTokens {
            access_token: self.access.0.to_string(),
            refresh_token: self.refresh.as_ref().map(|token| token.0.to_string()),
            token_type: self.token_type.as_deref().map(str::to_owned),
            expires_at_ms: self.expires_at.map(to_millis),
            expires_in_ms: self.lifetime.map(as_millis),
            refresh_expires_at_ms: self.refresh_expires_at.map(to_millis),
            refresh_expires_in_ms: self.refresh_lifetime.map(as_millis),
            scope: self.scope.as_deref().map(str::to_owned),
            sign_in_id: self.sign_in_id.map(|id| id.to_string()),
        }
    }
}

impl TryFrom<StoredTokens> for Tokens {
    type Error = InvalidToken;

    fn try_from(stored: StoredTokens) -> Result<Self, InvalidToken> {
        let mut tokens = Tokens::new(stored.access_token)?;
        if let Some(refresh) = stored.refresh_token {
            tokens = tokens.with_refresh_token(refresh);
        }
        if let Some(token_type) = stored.token_type {
            tokens = tokens.with_token_type(token_type);
        }
        tokens.expires_at = stored.expires_at_ms.and_then(from_millis);
        tokens.lifetime = stored.expires_in_ms.map(Duration::from_millis);
        tokens.refresh_expires_at = stored.refresh_expires_at_ms.and_then(from_millis);
        tokens.refresh_lifetime = stored.refresh_expires_in_ms.map(Duration::from_millis);
        tokens.scope = stored.scope.map(Into::into);
        tokens.sign_in_id = stored.sign_in_id.as_deref().and_then(SignInId::parse);
        Ok(tokens)
    }
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn to_millis(at: SystemTime) -> u64 {
    as_millis(at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO))
}

fn from_millis(millis: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}
