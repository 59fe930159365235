//! `Dpop`: the scheme.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use auth_core::{InvalidToken, Lease, MaybeSend, MaybeSync, Observed, Scheme, SchemeError, Tokens};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Uri, request, response};

use crate::key::DpopKey;
use crate::nonces::Nonces;
use crate::proof::{Claims, prove};

pub(crate) const PROOF: HeaderName = HeaderName::from_static("dpop");

/// The scheme `DPoP`: the token in `Authorization`, and in `DPoP` a proof that its key is at hand, a new one on each attempt.
///
/// Refuses tokens of another type. Clones share the key and the nonces of the servers that the tokens are for: one is the session's,
/// another for a [`DpopTransport`](crate::DpopTransport), which keeps the authorization server's nonces apart (§9).
///
/// ```
/// use auth_core::{Scheme, Tokens};
/// use auth_dpop::{Dpop, DpopKey};
///
/// let dpop = Dpop::new(DpopKey::generate()?);
///
/// let (_, value) = dpop.prepare(&Tokens::new("t")?.with_token_type("DPoP"))?;
/// assert_eq!(value, "DPoP t");
/// assert!(dpop.prepare(&Tokens::new("t")?.with_token_type("Bearer")).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Dpop {
    key: Arc<DpopKey>,
    nonces: Arc<Nonces>,
    clock: Arc<dyn Clock>,
}

trait Clock: MaybeSend + MaybeSync {
    fn now(&self) -> SystemTime;
}

impl<F: Fn() -> SystemTime + MaybeSend + MaybeSync> Clock for F {
    fn now(&self) -> SystemTime {
        self()
    }
}

impl Dpop {
    /// With this key, and the system's clock.
    #[must_use]
    pub fn new(key: DpopKey) -> Self {
        Self { key: Arc::new(key), nonces: Arc::default(), clock: Arc::new(SystemTime::now) }
    }

    /// With another clock. Proofs say when they were made, and a server may refuse one that is too old or from the future, or want
    /// its nonce instead. Default: [`SystemTime::now`].
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + MaybeSend + MaybeSync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The key that the tokens are bound to.
    #[must_use]
    pub fn key(&self) -> &DpopKey {
        &self.key
    }

    /// Puts a proof on a request, with the access token and the nonce that go with it.
    pub(crate) fn prove(
        &self,
        request: &mut request::Parts,
        token: Option<&str>,
        nonces: &Nonces,
    ) -> Result<(), SchemeError> {
        let (method, uri) = (&request.method, &request.uri);
        let claims = Claims { method, uri, now: self.clock.now(), token, nonce: nonces.of(uri) };
        request.headers.insert(PROOF, prove(&self.key, claims)?);
        Ok(())
    }
}

impl Scheme for Dpop {
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
        if tokens.token_type().is_some_and(|kind| !kind.eq_ignore_ascii_case("dpop")) {
            return Err(InvalidToken::new("its token type is not DPoP"));
        }
        let value = HeaderValue::try_from(format!("DPoP {}", tokens.access_token().reveal()));
        value
            .map(|value| (AUTHORIZATION, value))
            .map_err(|_| InvalidToken::new("it cannot stand in a header"))
    }

    fn header(&self) -> Option<HeaderName> {
        Some(AUTHORIZATION)
    }

    fn apply(&self, request: &mut request::Parts, lease: &Lease) -> Result<(), SchemeError> {
        let token = lease.header().1.to_str().ok().and_then(|value| value.strip_prefix("DPoP "));
        let token = token.ok_or_else(|| SchemeError::new("the lease is of another scheme"))?;
        self.prove(request, Some(token), &self.nonces)
    }

    fn observe(&self, uri: &Uri, head: &response::Parts) -> Observed {
        if self.nonces.learn(uri, &head.headers) { Observed::NewProof } else { Observed::Nothing }
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop").field("key", &self.key).finish_non_exhaustive()
    }
}
