//! Tokens for tests: numbered by generation, of this sign-in or of another.

use std::sync::atomic::{AtomicU64, Ordering};

use auth_core::{RefreshError, StoredTokens, Tokens};

/// The pair of generation `n`: access token `T{n}`, refresh token `R{n}`, lifetime unknown.
///
/// ```
/// let first = auth_testkit::numbered(0);
///
/// assert_eq!(first.access_token().reveal(), "T0");
/// assert_eq!(first.refresh_token().unwrap().reveal(), "R0");
/// ```
#[must_use]
pub fn numbered(n: u64) -> Tokens {
    let Ok(tokens) = Tokens::new(format!("T{n}")) else { unreachable!("a letter and digits are a token") };
    tokens.with_refresh_token(format!("R{n}"))
}

/// What a server that rotates answers: for `R{n}` the pair of generation `n + 1`. For
/// [`RefresherHandle::answer_with`](crate::RefresherHandle::answer_with).
///
/// ```
/// use auth_testkit::{numbered, rotating};
///
/// assert!(rotating(&numbered(0)).unwrap() == numbered(1));
/// ```
///
/// # Errors
///
/// [`RefreshError::misconfigured`] where the refresh token is not an `R` with a number.
pub fn rotating(current: &Tokens) -> Result<Tokens, RefreshError> {
    current
        .refresh_token()
        .and_then(|token| token.reveal().strip_prefix('R')?.parse::<u64>().ok())
        .map(|n| numbered(n + 1))
        .ok_or_else(|| RefreshError::misconfigured("the refresh token is not an R with a number"))
}

/// These tokens as another process would store them after rotating: with the sign-in id of `of` (or none, if that has
/// none).
///
/// ```
/// use auth_testkit::{numbered, other_sign_in, same_sign_in};
///
/// let ours = other_sign_in(numbered(0));
/// let rotated = same_sign_in(&ours, numbered(1));
///
/// assert!(ours.sign_in_id().is_some());
/// assert_eq!(rotated.sign_in_id(), ours.sign_in_id());
/// ```
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "callers make the tokens in place")]
pub fn same_sign_in(of: &Tokens, new: Tokens) -> Tokens {
    with_sign_in_id(&new, of.sign_in_id().map(|id| id.to_string()))
}

/// These tokens with a sign-in id that nothing else has: each call makes another one.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "callers make the tokens in place")]
pub fn other_sign_in(new: Tokens) -> Tokens {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    with_sign_in_id(&new, Some(format!("07e5{number:028x}")))
}

/// By way of the stored form, since only a session sets sign-in ids. It keeps times to the millisecond.
pub(crate) fn with_sign_in_id(tokens: &Tokens, id: Option<String>) -> Tokens {
    let mut stored: StoredTokens = tokens.to_stored();
    stored.sign_in_id = id;
    let Ok(tokens) = Tokens::try_from(stored) else { unreachable!("the access token was checked before") };
    tokens
}
