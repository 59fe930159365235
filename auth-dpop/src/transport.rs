//! `DpopTransport`: proofs for the requests of a login or a refresher.

use std::fmt;
use std::sync::Arc;

use auth_core::{Body, FinalUri, Transport, TransportError, async_trait, auth_challenges};
use http::{Request, Response, StatusCode, request};

use crate::nonces::Nonces;
use crate::scheme::{Dpop, PROOF};

/// No error of a token endpoint is longer.
const LONGEST_ERROR: usize = 64 * 1024;

/// Puts a proof on each request, for the token endpoint: it binds what it grants to the proof's key, and a public client's refresh
/// token as well (RFC 9449 §5). A request that carries a proof already is left alone. Clones share the server's nonces.
///
/// It is for what asks for tokens, not for what carries them: the client that sends to the API stands on the transport below, with
/// [`Dpop`] as the session's scheme.
///
/// # Nonces
///
/// A request that was refused with `use_dpop_nonce` (§8) is sent once more, with the nonce that came with the refusal: the server
/// has not acted on it. (Where its body can be had again; a one-shot stream's refusal is handed back.) Any other response is handed
/// back as it came. Where a 400 or a 401 comes with a nonce, what it says is looked at
/// before it is handed on, up to 64 KiB: so long the response waits for its body.
///
/// # Errors
///
/// Those of the transport below; and one where a request cannot be signed, which is not sent:
/// [`unsendable`](TransportError::is_unsendable).
///
/// ```
/// use auth_core::{RefreshError, TokenResponse, Tokens, Transport};
/// use auth_dpop::{Dpop, DpopTransport};
/// use form_urlencoded::Serializer;
/// use http::Request;
/// use std::time::SystemTime;
///
/// fn form(fields: &[(&str, &str)]) -> String {
///     Serializer::new(String::new()).extend_pairs(fields).finish()
/// }
///
/// /// A refresh with the token endpoint, over whatever sends requests.
/// async fn refresh(login: &DpopTransport<impl Transport>, current: &Tokens) -> Result<Tokens, RefreshError> {
///     let token = current.refresh_token().ok_or_else(|| RefreshError::rejected("there is none"))?;
///     let request = Request::post("https://login.example.com/token")
///         .header("content-type", "application/x-www-form-urlencoded")
///         .body(form(&[("grant_type", "refresh_token"), ("refresh_token", token.reveal())]).into())
///         .map_err(RefreshError::misconfigured)?;
///     TokenResponse::read(login.send(request).await?, SystemTime::now()).await
/// }
/// ```
#[derive(Clone)]
pub struct DpopTransport<T> {
    transport: T,
    dpop: Dpop,
    nonces: Arc<Nonces>,
}

impl<T: Transport> DpopTransport<T> {
    /// Over this transport, with the key of this scheme.
    pub fn new(transport: T, dpop: Dpop) -> Self {
        Self { transport, dpop, nonces: Arc::default() }
    }

    /// Sends it with a new proof, and keeps the nonce that comes back, if one does.
    async fn attempt(
        &self,
        mut head: request::Parts,
        body: Body,
    ) -> Result<(Response<Body>, bool), TransportError> {
        self.dpop.prove(&mut head, None, &self.nonces).map_err(unsigned)?;
        let uri = head.uri.clone();
        let response = self.transport.send(Request::from_parts(head, body)).await?;
        let last = response.extensions().get::<FinalUri>().map_or(&uri, |FinalUri(last)| last);
        let learned = self.nonces.learn(last, response.headers());
        Ok((response, learned))
    }
}

#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
impl<T: Transport> Transport for DpopTransport<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        if request.headers().contains_key(PROOF) {
            return self.transport.send(request).await;
        }
        let (head, body) = request.into_parts();
        let copy = body.try_clone().map(|body| (head.clone(), body));
        let (mut response, learned) = self.attempt(head, body).await?;
        match copy {
            Some((head, body)) if learned && asks_for_nonce(&mut response).await => {
                self.attempt(head, body).await.map(|(response, _)| response)
            }
            _ => Ok(response),
        }
    }
}

fn unsigned(error: impl Into<auth_core::BoxError>) -> TransportError {
    TransportError::new(error).unsendable()
}

/// In the error of a token endpoint (RFC 6749 §5.2), or in the challenge of whoever else is asked on the way of a login.
async fn asks_for_nonce(response: &mut Response<Body>) -> bool {
    if !matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        return false;
    }
    let challenges = auth_challenges(response.headers());
    if challenges.iter().any(|challenge| challenge.param("error") == Some(ERROR)) {
        return true;
    }
    let content = response.body_mut().peek(LONGEST_ERROR).await;
    let content = serde_json::from_slice::<serde_json::Value>(&content);
    content.is_ok_and(|content| content["error"] == ERROR)
}

const ERROR: &str = "use_dpop_nonce";

impl<T> fmt::Debug for DpopTransport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopTransport").field("dpop", &self.dpop).finish_non_exhaustive()
    }
}
