//! Schemes: how a token goes onto a request.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Uri, request, response};

use crate::maybe::forward;
use crate::{BoxError, InvalidToken, Lease, MaybeSend, MaybeSync, Tokens};

/// How a token goes onto a request. [`Bearer`] is the default; [`TokenHeader`] is a header of another name or prefix;
/// proof of possession (DPoP, RFC 9449) is another.
///
/// A scheme says what the header is. Whether a request gets it, and when, is for the client to say.
///
/// # Contract
///
/// - **Concurrency.** All methods may be called from any number of requests at once.
/// - **Locality.** No method waits or does I/O: they run on the way of every request.
/// - **Confidentiality.** The header value is marked sensitive by the session; nothing of it goes into an error.
///
/// # Examples
///
/// ```
/// use auth_core::{InvalidToken, Scheme, Tokens};
/// use http::{HeaderName, HeaderValue};
///
/// struct Cookie;
///
/// impl Scheme for Cookie {
///     fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
///         HeaderValue::from_str(&format!("session={}", tokens.access_token().reveal()))
///             .map(|value| (http::header::COOKIE, value))
///             .map_err(|_| InvalidToken::new("the token cannot stand in a cookie"))
///     }
///     fn header(&self) -> Option<HeaderName> {
///         Some(http::header::COOKIE)
///     }
/// }
/// ```
pub trait Scheme: MaybeSend + MaybeSync + 'static {
    /// Once a generation: the header every request of it carries.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] where the tokens cannot be used: their type is not understood (RFC 6749 §7.1), or the text
    /// cannot stand in the header.
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken>;

    /// The name of the header that [`prepare`](Scheme::prepare) makes, where it is known without tokens. A request that
    /// carries the header already is left alone; with this, also while nobody is signed in.
    fn header(&self) -> Option<HeaderName> {
        None
    }

    /// Once an attempt, after the header is in place. Synchronous on purpose: local keys only.
    ///
    /// # Errors
    ///
    /// [`SchemeError`] where the attempt cannot be signed. It is not sent.
    fn apply(&self, request: &mut request::Parts, lease: &Lease) -> Result<(), SchemeError> {
        let _ = (request, lease);
        Ok(())
    }

    /// Every response to an attempt that carried this session's lease; `uri` is the final one.
    fn observe(&self, uri: &Uri, head: &response::Parts) -> Observed {
        let _ = (uri, head);
        Observed::Nothing
    }
}

forward! {
    impl Scheme {
        fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
            (**self).prepare(tokens)
        }
        fn header(&self) -> Option<HeaderName> {
            (**self).header()
        }
        fn apply(&self, request: &mut request::Parts, lease: &Lease) -> Result<(), SchemeError> {
            (**self).apply(request, lease)
        }
        fn observe(&self, uri: &Uri, head: &response::Parts) -> Observed {
            (**self).observe(uri, head)
        }
    }
}

/// What a scheme learned from a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observed {
    /// Nothing that changes this request.
    Nothing,
    /// What a new proof needs (a nonce, RFC 9449 §8): where the response asked for it, the request is sent once more.
    NewProof,
}

/// Why an attempt could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the request could not be signed")]
pub struct SchemeError {
    source: BoxError,
}

impl SchemeError {
    /// The attempt could not be signed, and this is why.
    #[must_use]
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self { source: cause.into() }
    }
}

/// `Authorization: Bearer …` (RFC 6750 §2.1): the default scheme. Refuses tokens of another type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bearer;

impl Scheme for Bearer {
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
        match tokens.token_type() {
            None => {}
            Some(kind) if kind.eq_ignore_ascii_case("bearer") => {}
            Some(_) => return Err(InvalidToken::new("its token type is not Bearer")),
        }
        Ok((AUTHORIZATION, header_value(&["Bearer ", tokens.access_token().reveal()])?))
    }

    fn header(&self) -> Option<HeaderName> {
        Some(AUTHORIZATION)
    }
}

/// A header of any name, with any prefix: `X-Api-Token: t`, `Authorization: Token t`.
///
/// Takes tokens of any type but `DPoP`, which without its proof would be sent as a bearer token.
///
/// ```
/// use auth_core::{Scheme, TokenHeader, Tokens};
/// use http::header::{AUTHORIZATION, HeaderName};
///
/// let tokens = Tokens::new("t")?;
/// let (name, value) = TokenHeader::new(HeaderName::from_static("x-api-token")).prepare(&tokens)?;
/// assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-api-token", "t"));
///
/// let (_, value) = TokenHeader::new(AUTHORIZATION).with_prefix("Token ").prepare(&tokens)?;
/// assert_eq!(value, "Token t");
/// # Ok::<(), auth_core::InvalidToken>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenHeader {
    name: HeaderName,
    prefix: String,
}

impl TokenHeader {
    /// The bare token in this header.
    #[must_use]
    pub fn new(name: HeaderName) -> Self {
        Self { name, prefix: String::new() }
    }

    /// With this text before the token. A space between them is part of it: `"Token "`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }
}

impl Scheme for TokenHeader {
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
        if tokens.token_type().is_some_and(|kind| kind.eq_ignore_ascii_case("dpop")) {
            return Err(InvalidToken::new("its token type needs a proof of possession"));
        }
        Ok((self.name.clone(), header_value(&[&self.prefix, tokens.access_token().reveal()])?))
    }

    fn header(&self) -> Option<HeaderName> {
        Some(self.name.clone())
    }
}

fn header_value(texts: &[&str]) -> Result<HeaderValue, InvalidToken> {
    HeaderValue::try_from(texts.concat()).map_err(|_| InvalidToken::new("it cannot stand in a header"))
}
