//! Challenges: what a response says about the token that its request carried.

mod parse;

pub use parse::{AuthChallenge, auth_challenges};

use std::fmt;
use std::time::Duration;

use http::{StatusCode, response};

use crate::maybe::forward;
use crate::{MaybeSend, MaybeSync};

/// What a response says of the token. [`StandardChallenge`] is the default.
///
/// A policy reads, and decides nothing about refreshing or replaying. It is asked only about responses to requests that
/// carried this session's lease, and that came from the request's own origin.
///
/// # Contract
///
/// - **Concurrency.** Both methods may be called from any number of requests at once.
/// - **Purity.** The same response gets the same answer; nothing waits.
///
/// # Examples
///
/// An API that answers 400 with an error code in its body:
///
/// ```
/// use auth_core::{Challenge, ChallengePolicy};
/// use http::{StatusCode, response};
///
/// struct CodeInBody;
///
/// impl ChallengePolicy for CodeInBody {
///     fn peek(&self, head: &response::Parts) -> usize {
///         if head.status == StatusCode::BAD_REQUEST { 512 } else { 0 }
///     }
///     fn challenge(&self, head: &response::Parts, peeked: &[u8]) -> Challenge {
///         let expired = head.status == StatusCode::BAD_REQUEST
///             && String::from_utf8_lossy(peeked).contains("TOKEN_EXPIRED");
///         if expired { Challenge::Expired } else { Challenge::Unrelated }
///     }
/// }
/// ```
pub trait ChallengePolicy: MaybeSend + MaybeSync + 'static {
    /// How many bytes of this response's body the decision needs. They are put back; the caller misses nothing. At most
    /// 64 KiB are read, and no longer than a second is waited for them.
    fn peek(&self, head: &response::Parts) -> usize {
        let _ = head;
        0
    }

    /// What the response says of the token. `peeked` has the bytes asked for, or fewer where the body ended, failed or
    /// was slow.
    fn challenge(&self, head: &response::Parts, peeked: &[u8]) -> Challenge;
}

forward! {
    impl ChallengePolicy {
        fn peek(&self, head: &response::Parts) -> usize {
            (**self).peek(head)
        }
        fn challenge(&self, head: &response::Parts, peeked: &[u8]) -> Challenge {
            (**self).challenge(head, peeked)
        }
    }
}

/// What a response says of the token. Where it is anything but [`Unrelated`](Self::Unrelated), the response that the
/// caller gets has it in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Challenge {
    /// Nothing: the response is the caller's.
    Unrelated,
    /// The token is expired, revoked or otherwise invalid. The only one that refreshes.
    Expired,
    /// The token is good, but not for this (RFC 6750 §3.1). A refresh would not help.
    InsufficientScope {
        /// The scope that is needed, where the challenge names it.
        scope: Option<String>,
    },
    /// The user has to authenticate again, or more strongly (RFC 9470). A refresh would not help.
    StepUp {
        /// The authentication context classes that would do, space-delimited.
        acr_values: Option<String>,
        /// How long ago the user may have authenticated at most.
        max_age: Option<Duration>,
    },
    /// The proof lacked the server's nonce (RFC 9449 §8): sent once more where the scheme has learned it.
    UseDpopNonce,
}

/// The default: 401 is [`Expired`](Challenge::Expired) unless a challenge in its `WWW-Authenticate` says otherwise; 403
/// is [`InsufficientScope`](Challenge::InsufficientScope) where a challenge says so; everything else is unrelated.
///
/// ```
/// use auth_core::{Challenge, ChallengePolicy, StandardChallenge};
/// use http::Response;
///
/// let policy = StandardChallenge::new().or_status(http::StatusCode::from_u16(498)?);
/// let (head, ()) = Response::builder().status(498).body(())?.into_parts();
/// assert_eq!(policy.challenge(&head, b""), Challenge::Expired);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StandardChallenge {
    also: Vec<StatusCode>,
}

impl StandardChallenge {
    /// 401 only.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A response with this status is read as a 401 is. May be called more than once.
    #[must_use]
    pub fn or_status(mut self, status: StatusCode) -> Self {
        self.also.push(status);
        self
    }
}

impl ChallengePolicy for StandardChallenge {
    fn challenge(&self, head: &response::Parts, _peeked: &[u8]) -> Challenge {
        let rejects = head.status == StatusCode::UNAUTHORIZED || self.also.contains(&head.status);
        if !rejects && head.status != StatusCode::FORBIDDEN {
            return Challenge::Unrelated;
        }
        for challenge in auth_challenges(&head.headers) {
            let found = match challenge.param("error") {
                Some("insufficient_scope") => {
                    Challenge::InsufficientScope { scope: challenge.param("scope").map(str::to_owned) }
                }
                Some("insufficient_user_authentication") if rejects => Challenge::StepUp {
                    acr_values: challenge.param("acr_values").map(str::to_owned),
                    max_age: challenge
                        .param("max_age")
                        .and_then(|age| age.parse().ok())
                        .map(Duration::from_secs),
                },
                Some("use_dpop_nonce") if rejects => Challenge::UseDpopNonce,
                // The token was not looked at, and another would fare no better (RFC 9449 §7.1).
                Some("invalid_dpop_proof") if rejects => Challenge::Unrelated,
                _ => continue,
            };
            return found;
        }
        if rejects { Challenge::Expired } else { Challenge::Unrelated }
    }
}

/// A [`ChallengePolicy`] from a closure that looks at the head, and with [`peek`](ChallengeFn::peek) at the start of the body.
///
/// ```
/// use auth_core::{Challenge, challenge_fn};
///
/// let policy = challenge_fn(|head, _peeked| match head.status.as_u16() {
///     401 | 419 => Challenge::Expired,
///     _ => Challenge::Unrelated,
/// });
/// let policy = policy.peek(64);
/// # let _ = policy;
/// ```
pub fn challenge_fn<F>(challenge: F) -> ChallengeFn<F>
where
    F: Fn(&response::Parts, &[u8]) -> Challenge + MaybeSend + MaybeSync + 'static,
{
    ChallengeFn { challenge, peek: 0 }
}

/// What [`challenge_fn`] makes.
#[derive(Clone, Copy)]
pub struct ChallengeFn<F> {
    challenge: F,
    peek: usize,
}

impl<F> ChallengeFn<F> {
    /// With so many bytes of each response's body shown to the closure.
    #[must_use]
    pub fn peek(mut self, bytes: usize) -> Self {
        self.peek = bytes;
        self
    }
}

impl<F> fmt::Debug for ChallengeFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChallengeFn").finish_non_exhaustive()
    }
}

impl<F> ChallengePolicy for ChallengeFn<F>
where
    F: Fn(&response::Parts, &[u8]) -> Challenge + MaybeSend + MaybeSync + 'static,
{
    fn peek(&self, _head: &response::Parts) -> usize {
        self.peek
    }

    fn challenge(&self, head: &response::Parts, peeked: &[u8]) -> Challenge {
        (self.challenge)(head, peeked)
    }
}
