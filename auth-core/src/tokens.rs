//! Tokens: one access token with what belongs to it, checked when made and never printed.

mod stored;

pub use stored::StoredTokens;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// No lifetime is counted as longer: a server that says "for ever" must not overflow a clock.
pub(crate) const LONGEST_LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// One access token with its refresh token, lifetimes and sign-in id: stored and replaced as one unit.
///
/// An access token is checked when it enters, so that it can always stand in a header. Nothing here prints a
/// secret: `Debug` shows which fields are set, [`AccessToken::reveal`] and [`RefreshToken::reveal`] are the only
/// ways to the text, and [`Tokens::to_stored`] the only way to serialise it.
///
/// ```
/// use auth_core::Tokens;
/// use std::time::{Duration, SystemTime};
///
/// let tokens = Tokens::new("2YotnFZFEjr1zCsicMWpAA")?
///     .with_refresh_token("tGzv3JOkF0XG5Qx2TlKWIA")
///     .with_expires_at(SystemTime::now() + Duration::from_secs(3600));
///
/// assert!(!format!("{tokens:?}").contains("2Yot"));
/// assert!(Tokens::new("two\r\nlines").is_err());
/// # Ok::<(), auth_core::InvalidToken>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    access: AccessToken,
    refresh: Option<RefreshToken>,
    token_type: Option<Arc<str>>,
    expires_at: Option<SystemTime>,
    lifetime: Option<Duration>,
    refresh_expires_at: Option<SystemTime>,
    refresh_lifetime: Option<Duration>,
    scope: Option<Arc<str>>,
    sign_in_id: Option<SignInId>,
}

impl Tokens {
    /// Tokens with this access token and nothing else known.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] where the text is empty, has a character outside `%x20-7E` (RFC 6749 appendix A.12), or
    /// begins or ends with a space. The error does not echo the text.
    pub fn new(access_token: impl Into<String>) -> Result<Self, InvalidToken> {
        let text = access_token.into();
        if text.is_empty() {
            return Err(InvalidToken::new("the access token is empty"));
        }
        if !text.bytes().all(|b| (0x20..=0x7e).contains(&b)) {
            return Err(InvalidToken::new("the access token has a character that cannot stand in a header"));
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            return Err(InvalidToken::new("the access token begins or ends with a space"));
        }
        Ok(Self {
            access: AccessToken(text.into()),
            refresh: None,
            token_type: None,
            expires_at: None,
            lifetime: None,
            refresh_expires_at: None,
            refresh_lifetime: None,
            scope: None,
            sign_in_id: None,
        })
    }

    /// With this refresh token. An empty text means that there is none.
    #[must_use]
    pub fn with_refresh_token(mut self, token: impl Into<String>) -> Self {
        let text = token.into();
        self.refresh = (!text.is_empty()).then(|| RefreshToken(text.into()));
        self
    }

    /// With the time at which the access token expires, by the wall clock. Without one the lifetime is unknown:
    /// nothing is refreshed ahead of time, and the server's 401 decides.
    #[must_use]
    pub fn with_expires_at(mut self, at: SystemTime) -> Self {
        self.expires_at = Some(at);
        self.lifetime = None;
        self
    }

    /// With the lifetime (`expires_in`) that counts from `received`. It is kept beside the time of expiry, so that
    /// a wall clock that jumps back later cannot make the token live longer than this. Zero is no lifetime.
    #[must_use]
    pub fn with_expires_in(mut self, lifetime: Duration, received: SystemTime) -> Self {
        let lifetime = lifetime.min(LONGEST_LIFETIME);
        self.lifetime = (!lifetime.is_zero()).then_some(lifetime);
        self.expires_at = self.lifetime.and_then(|lifetime| received.checked_add(lifetime));
        self
    }

    /// With the time at which the refresh token expires, by the wall clock.
    #[must_use]
    pub fn with_refresh_expires_at(mut self, at: SystemTime) -> Self {
        self.refresh_expires_at = Some(at);
        self.refresh_lifetime = None;
        self
    }

    /// With the lifetime of the refresh token (`refresh_expires_in`) that counts from `received`. Zero is none.
    #[must_use]
    pub fn with_refresh_expires_in(mut self, lifetime: Duration, received: SystemTime) -> Self {
        let lifetime = lifetime.min(LONGEST_LIFETIME);
        self.refresh_lifetime = (!lifetime.is_zero()).then_some(lifetime);
        self.refresh_expires_at = self.refresh_lifetime.and_then(|lifetime| received.checked_add(lifetime));
        self
    }

    /// With the granted scope: space-delimited names (RFC 6749 §3.3).
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into().into());
        self
    }

    /// With the `token_type` of the answer. `bearer` in any letter case becomes `Bearer` (RFC 6749 §5.1: it is case
    /// insensitive); whether a type is understood is for the [`Scheme`](crate::Scheme) to say.
    #[must_use]
    pub fn with_token_type(mut self, token_type: impl Into<String>) -> Self {
        let text = token_type.into();
        self.token_type =
            Some(if text.eq_ignore_ascii_case("bearer") { "Bearer".into() } else { text.into() });
        self
    }

    /// The access token.
    #[must_use]
    pub fn access_token(&self) -> &AccessToken {
        &self.access
    }

    /// The refresh token, if there is one.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh.as_ref()
    }

    /// The `token_type`, if the answer named one.
    #[must_use]
    pub fn token_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }

    /// When the access token expires, by the wall clock of the machine that received it.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// The access token's whole lifetime, where it was given as one.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        self.lifetime
    }

    /// When the refresh token expires, if that is known.
    #[must_use]
    pub fn refresh_expires_at(&self) -> Option<SystemTime> {
        self.refresh_expires_at
    }

    /// The granted scope, if it is known.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// Which sign-in these tokens descend from. The session sets it; what anyone else put there is ignored.
    #[must_use]
    pub fn sign_in_id(&self) -> Option<SignInId> {
        self.sign_in_id
    }

    pub(crate) fn with_sign_in_id(mut self, id: Option<SignInId>) -> Self {
        self.sign_in_id = id;
        self
    }

    /// The same, with a lifetime where only a time of expiry was given: what is left of it now is all there will be,
    /// wherever the wall clock goes later.
    pub(crate) fn anchored(mut self, now: SystemTime) -> Self {
        self.lifetime = self.lifetime.or(self.remaining(now));
        self.refresh_lifetime = self.refresh_lifetime.or(self.refresh_remaining(now));
        self
    }

    /// What an answer leaves out stays as it was: the refresh token (RFC 6749 §6) with its lifetime, the scope and
    /// the token type. The sign-in goes on.
    pub(crate) fn succeed(mut self, before: &Tokens) -> Self {
        if self.refresh.is_none() {
            self.refresh.clone_from(&before.refresh);
            if self.refresh_expires_at.is_none() {
                self.refresh_expires_at = before.refresh_expires_at;
                self.refresh_lifetime = before.refresh_lifetime;
            }
        }
        if self.scope.is_none() {
            self.scope.clone_from(&before.scope);
        }
        if self.token_type.is_none() {
            self.token_type.clone_from(&before.token_type);
        }
        self.sign_in_id = before.sign_in_id;
        self
    }

    /// Whether both are the same pair: the same secrets, and no claim to different sign-ins. Lifetimes do not
    /// count, since a store may round them.
    pub(crate) fn same_pair(&self, other: &Tokens) -> bool {
        let contradicts = matches!((self.sign_in_id, other.sign_in_id), (Some(a), Some(b)) if a != b);
        self.access == other.access && self.refresh == other.refresh && !contradicts
    }

    /// How long the access token is still good for at wall clock time `now`; `None` is unknown.
    pub(crate) fn remaining(&self, now: SystemTime) -> Option<Duration> {
        remaining(self.expires_at, self.lifetime, now)
    }

    /// How long the refresh token is still good for at wall clock time `now`; `None` is unknown.
    pub(crate) fn refresh_remaining(&self, now: SystemTime) -> Option<Duration> {
        remaining(self.refresh_expires_at, self.refresh_lifetime, now)
    }
}

/// A wall clock that went back makes the difference too long; the lifetime that was granted bounds it.
fn remaining(at: Option<SystemTime>, lifetime: Option<Duration>, now: SystemTime) -> Option<Duration> {
    let left = at?.duration_since(now).unwrap_or(Duration::ZERO);
    Some(left.min(lifetime.unwrap_or(LONGEST_LIFETIME)))
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("access_token", &self.access)
            .field("refresh_token", &self.refresh)
            .field("expires_at", &self.expires_at)
            .field("sign_in_id", &self.sign_in_id)
            .finish_non_exhaustive()
    }
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself. Keep it out of logs; every place that shows it can be found by this name.
            #[must_use]
            pub fn reveal(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret! {
    /// The text of an access token (RFC 6749 §1.4). It has no `Display`, and its `Debug` shows nothing of it.
    AccessToken
}
secret! {
    /// The text of a refresh token (RFC 6749 §1.5). It has no `Display`, and its `Debug` shows nothing of it.
    RefreshToken
}

/// Which sign-in a pair descends from: random, the same through every refresh, and no secret.
///
/// It is how sessions that share a store tell "another process rotated" from "somebody else signed in".
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignInId(u128);

impl SignInId {
    pub(crate) fn from_random(high: u64, low: u64) -> Self {
        Self((u128::from(high) << 64) | u128::from(low))
    }

    fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for SignInId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SignInId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignInId({self})")
    }
}

/// A token that cannot be used: what is wrong with it, without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidToken {
    reason: &'static str,
}

impl InvalidToken {
    /// Says what is wrong. The reason is a fixed text on purpose: it cannot echo the token.
    #[must_use]
    pub fn new(reason: &'static str) -> Self {
        Self { reason }
    }
}

#[cfg(test)]
mod tests;
