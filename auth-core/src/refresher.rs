//! The refresher: how new tokens are had, and what its failures mean.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::maybe::forward;
use crate::{BoxError, Error, InvalidToken, MaybeSend, MaybeSync, Tokens, TransportError};

/// How this API exchanges a refresh token for new tokens: one call to a token endpoint.
///
/// A refresher makes the call and says what its failure means. It does not decide when to refresh, does not retry,
/// does not store and does not end sessions: the session does all of that.
///
/// # Contract
///
/// - **Concurrency.** Calls made for one sign-in never overlap. Those of others do: a call for a sign-in that is over runs out
///   beside those of the next, and sessions may share a refresher.
/// - **Once.** `refresh` presents the refresh token of `current`, as it is, and once. A transport that sends a request again by
///   itself presents a spent token, and servers answer that by revoking the session (RFC 9700 §4.14).
/// - **Memory.** None. It goes by what it is given, not by an earlier call.
/// - **Rotation.** A refresh token in the answer is returned. One left out is left out, or is the current one: the session
///   carries it over.
/// - **Lifetime.** What the answer says of it is returned, counted from its receipt.
/// - **Honesty.** [`RefreshError::rejected`] only if the server said that this refresh token is dead: it ends the
///   session. In doubt it is [`RefreshError::unavailable`], and where the request may have reached the server without
///   an answer coming back, [`outcome_unknown`](RefreshError::outcome_unknown) as well. So it is with a success that
///   cannot be read.
/// - **Confidentiality.** No token in an error, none in a URI. The refresh request carries no bearer token, and follows no
///   redirect.
///
/// `auth_testkit::conformance::refresher` tries each clause against a real server.
///
/// An endpoint that does not speak OAuth: look at the status yourself first, and return [`RefreshError::rejected`] where it
/// says that the refresh token is dead. `TokenResponse` takes every failure that it does not know for an outage.
///
/// # Cancel safety
///
/// No caller's cancellation reaches `refresh`; the session's own deadline (15 s an attempt by default) drops it and
/// counts that as an unknown outcome. A call that is dropped leaves the refresher as it was.
///
/// # Deadlocks
///
/// Calling through a client of the same session would wait for the refresh itself. It fails as
/// [`Reentrant`](crate::ErrorKind::Reentrant), and with `?` so does the refresh: as
/// [`Misconfigured`](crate::ErrorKind::Misconfigured), with that as its cause. Use the bare transport.
///
/// # Panics
///
/// A panic is caught and counts as [`RefreshError::unavailable`] with an unknown outcome.
///
/// # Examples
///
/// With the feature `json`, [`TokenResponse`](crate::TokenResponse) reads the answer and knows what each failure means:
///
#[cfg_attr(feature = "json", doc = "```")]
#[cfg_attr(not(feature = "json"), doc = "```ignore")]
/// use auth_core::{async_trait, Body, RefreshError, Refresher, TokenResponse, Tokens, Transport};
/// use std::time::SystemTime;
///
/// struct MyRefresher<T> {
///     transport: T,
/// }
///
/// #[async_trait]
/// impl<T: Transport> Refresher for MyRefresher<T> {
///     async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
///         // Without a refresh token this is not called: the session ends instead.
///         let token = current.refresh_token().ok_or_else(|| RefreshError::rejected("no refresh token"))?.reveal();
///         let request = http::Request::post("https://login.example.com/token")
///             .header("content-type", "application/json")
///             .body(Body::from(serde_json::json!({ "refresh_token": token }).to_string()))
///             .map_err(RefreshError::misconfigured)?;
///
///         let response = self.transport.send(request).await?;
///         TokenResponse::read(response, SystemTime::now()).await
///     }
/// }
/// ```
#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
pub trait Refresher: MaybeSend + MaybeSync + 'static {
    /// New tokens for the current ones. Carrying over an omitted refresh token is the session's work.
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError>;

    /// Whether `refresh` could work. Default: if there is a refresh token. (Client credentials, say, need none.)
    fn can_refresh(&self, current: &Tokens) -> bool {
        current.refresh_token().is_some()
    }

    /// First tokens where no sign-in is needed (client credentials). `None`: somebody has to sign in.
    async fn acquire(&self) -> Result<Option<Tokens>, RefreshError> {
        Ok(None)
    }

    /// Offered a pair that nobody will use: discarded after a sign-out, or signed out. Best effort. Nobody learns that it
    /// failed.
    async fn revoke(&self, tokens: &Tokens) {
        let _ = tokens;
    }
}

forward! {
    #[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
    #[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
    impl Refresher {
        async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
            (**self).refresh(current).await
        }
        fn can_refresh(&self, current: &Tokens) -> bool {
            (**self).can_refresh(current)
        }
        async fn acquire(&self) -> Result<Option<Tokens>, RefreshError> {
            (**self).acquire().await
        }
        async fn revoke(&self, tokens: &Tokens) {
            (**self).revoke(tokens).await;
        }
    }
}

/// A [`Refresher`] from a closure that takes the current tokens.
///
/// ```
/// use auth_core::{refresher_fn, Tokens};
///
/// let refresher = refresher_fn(|current: Tokens| async move {
///     let _spent = current.refresh_token();
///     Ok(Tokens::new("T1")?.with_refresh_token("R1"))
/// });
/// # let _ = auth_core::Session::builder(refresher);
/// ```
pub fn refresher_fn<F, Fut>(refresh: F) -> RefresherFn<F>
where
    F: Fn(Tokens) -> Fut + MaybeSend + MaybeSync + 'static,
    Fut: Future<Output = Result<Tokens, RefreshError>> + MaybeSend,
{
    RefresherFn { refresh }
}

/// What [`refresher_fn`] makes.
#[derive(Clone, Copy)]
pub struct RefresherFn<F> {
    refresh: F,
}

impl<F> fmt::Debug for RefresherFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefresherFn").finish_non_exhaustive()
    }
}

#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
impl<F, Fut> Refresher for RefresherFn<F>
where
    F: Fn(Tokens) -> Fut + MaybeSend + MaybeSync + 'static,
    Fut: Future<Output = Result<Tokens, RefreshError>> + MaybeSend,
{
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        (self.refresh)(current.clone()).await
    }
}

/// Why a refresh failed, and so what becomes of the session.
///
/// | made with | means | the session |
/// | --- | --- | --- |
/// | [`rejected`](Self::rejected) | the refresh token is dead (`invalid_grant` on a 4xx) | ends |
/// | [`unavailable`](Self::unavailable) | network, timeout, 5xx, 429, not an OAuth answer | lives, and tries again |
/// | [`misconfigured`](Self::misconfigured) | `invalid_client`, `invalid_scope`, … | lives, and says what to mend |
///
/// ```
/// use auth_core::RefreshError;
/// use std::time::Duration;
///
/// let busy = RefreshError::unavailable("503").retry_after(Duration::from_secs(7));
/// let lost = RefreshError::unavailable("connection reset").outcome_unknown();
///
/// assert_eq!(busy.retry_after_hint(), Some(Duration::from_secs(7)));
/// assert!(lost.is_outcome_unknown());
/// ```
pub struct RefreshError {
    kind: Kind,
    retry_after: Option<Duration>,
    outcome_unknown: bool,
    cause: BoxError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rejected,
    Unavailable,
    Misconfigured,
}

impl RefreshError {
    fn new(kind: Kind, cause: BoxError) -> Self {
        Self { kind, retry_after: None, outcome_unknown: false, cause }
    }

    /// The server says that this refresh token is dead.
    #[must_use]
    pub fn rejected(cause: impl Into<BoxError>) -> Self {
        Self::new(Kind::Rejected, cause.into())
    }

    /// The token endpoint could not be had or did not answer sensibly; later it may.
    #[must_use]
    pub fn unavailable(cause: impl Into<BoxError>) -> Self {
        Self::new(Kind::Unavailable, cause.into())
    }

    /// There was no answer: the request cannot be sent at all, or it may have left, or not.
    fn unanswered(unsendable: bool, left: bool, cause: impl Into<BoxError>) -> Self {
        match (unsendable, left) {
            (true, _) => Self::misconfigured(cause),
            (false, true) => Self::unavailable(cause).outcome_unknown(),
            (false, false) => Self::unavailable(cause),
        }
    }

    /// The request can never work as it is: the client's registration or its settings are wrong.
    #[must_use]
    pub fn misconfigured(cause: impl Into<BoxError>) -> Self {
        Self::new(Kind::Misconfigured, cause.into())
    }

    /// With the time the server asks to be left alone for (`Retry-After`).
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// With the mark that the request may have been acted on though no complete answer came: the refresh token may be
    /// spent. It is tried again promptly, within the grace of seconds that servers grant.
    #[must_use]
    pub fn outcome_unknown(mut self) -> Self {
        self.outcome_unknown = true;
        self
    }

    /// Whether the refresh token is dead.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.kind == Kind::Rejected
    }

    /// Whether it may work later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// Whether somebody has to change the configuration.
    #[must_use]
    pub fn is_misconfigured(&self) -> bool {
        self.kind == Kind::Misconfigured
    }

    /// Whether the refresh token may have been spent all the same.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        self.outcome_unknown
    }

    /// What to do about it, for a sign-in that makes the same call: as [`Error::advice`].
    #[must_use]
    pub fn advice(&self) -> crate::Advice {
        match self.kind {
            Kind::Rejected => crate::Advice::SignIn,
            Kind::Unavailable => crate::Advice::RetryLater { after: self.retry_after },
            Kind::Misconfigured => crate::Advice::FixConfiguration,
        }
    }

    /// How long the server asked to be left alone.
    #[must_use]
    pub fn retry_after_hint(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.kind, self.outcome_unknown) {
            (Kind::Rejected, false) => "the refresh token was rejected",
            (Kind::Rejected, true) => "the refresh token was rejected after an answer to it had been lost",
            (Kind::Unavailable, false) => "the token endpoint is unavailable",
            (Kind::Unavailable, true) => "the token endpoint's answer was lost",
            (Kind::Misconfigured, _) => "the refresh is set up wrongly",
        })
    }
}

impl fmt::Debug for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshError")
            .field("kind", &self.kind)
            .field("retry_after", &self.retry_after)
            .field("outcome_unknown", &self.outcome_unknown)
            .field("cause", &self.cause)
            .finish()
    }
}

impl std::error::Error for RefreshError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

impl From<TransportError> for RefreshError {
    /// No response is never a rejection. Unless the connection could not be made, the request may have been acted on. One that
    /// can never be sent ([`unsendable`](TransportError::unsendable)) was not, and is [`misconfigured`](Self::misconfigured).
    fn from(error: TransportError) -> Self {
        match error.into_nested() {
            Ok(nested) => nested.into(),
            Err(error) => Self::unanswered(error.is_unsendable(), may_have_left(&error), error),
        }
    }
}

/// In doubt it has: an adapter may know no better.
fn may_have_left(error: &TransportError) -> bool {
    !error.is_connect() || error.is_maybe_sent()
}

impl From<Error> for RefreshError {
    /// For a refresher that calls through another session's client.
    fn from(error: Error) -> Self {
        use crate::ErrorKind;
        match error.kind() {
            ErrorKind::Reentrant | ErrorKind::Misconfigured | ErrorKind::InsecureOrigin => {
                Self::misconfigured(error)
            }
            ErrorKind::Transport => {
                let cause = std::error::Error::source(&error)
                    .and_then(|cause| cause.downcast_ref::<TransportError>());
                let unsendable = cause.is_some_and(TransportError::is_unsendable);
                let left = cause.is_none_or(may_have_left);
                Self::unanswered(unsendable, left, error)
            }
            _ => Self::unavailable(error),
        }
    }
}

impl From<InvalidToken> for RefreshError {
    /// An answer whose token cannot be used: it came, but what it granted is lost.
    fn from(error: InvalidToken) -> Self {
        Self::unavailable(error).outcome_unknown()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_closure_needs_a_refresh_token_and_has_no_first_tokens() {
        let refresher = refresher_fn(|current: Tokens| async { Ok(current) });
        let access_only = Tokens::new("T0").unwrap();

        assert!(!refresher.can_refresh(&access_only));
        assert!(refresher.can_refresh(&access_only.with_refresh_token("R0")));
        assert!(matches!(refresher.acquire().now_or_never(), Some(Ok(None))));
    }

    #[test]
    fn no_response_means_the_same_through_every_kind_of_client() {
        let reset = || TransportError::new("connection reset");
        let refused = || TransportError::new("connection refused").connect();
        let proxied = || TransportError::new("the proxy hung up").connect().maybe_sent();
        let nowhere = || TransportError::new("a URI without a host").unsendable();

        for (make, lost) in [
            (&reset as &dyn Fn() -> TransportError, true),
            (&refused, false),
            (&proxied, true),
            (&nowhere, false),
        ] {
            let bare = RefreshError::from(make());
            let client = RefreshError::from(Error::from(make()));
            let client_as_transport = RefreshError::from(TransportError::from(Error::from(make())));

            for error in [bare, client, client_as_transport] {
                assert_eq!(error.is_misconfigured(), make().is_unsendable(), "{error:?}");
                assert_eq!(error.is_unavailable(), !make().is_unsendable(), "{error:?}");
                assert_eq!(error.is_outcome_unknown(), lost, "{error:?}");
            }
        }
    }
}
