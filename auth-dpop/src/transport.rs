//! `DpopTransport`: proofs for the requests of a login or a refresher.

use std::fmt;

use auth_core::{Body, FinalUri, Transport, TransportError, async_trait};
use http::{Request, Response, StatusCode, request};

use crate::scheme::Dpop;

/// No error of a token endpoint is longer.
const LONGEST_ERROR: usize = 64 * 1024;

/// Puts a proof on each request, for the token endpoint: it binds what it grants to the proof's key, and a public client's refresh
/// token as well (RFC 9449 §5).
///
/// # Nonces
///
/// A request that was refused with `use_dpop_nonce` (§8) is sent once more, with the nonce that came with the refusal: the server
/// has not looked at the grant by then. Any other response is handed back as it came.
///
/// # Errors
///
/// Those of the transport below; one where a request cannot be signed, which is not sent; and one where the body of a 400 or
/// 401 fails or is longer than 64 KiB.
///
/// ```
/// use auth_core::{RefreshError, TokenResponse, Tokens, Transport};
/// use auth_dpop::{Dpop, DpopTransport};
/// use http::Request;
/// use std::time::SystemTime;
///
/// /// A refresh with the token endpoint, over whatever sends requests.
/// async fn refresh(login: &DpopTransport<impl Transport>, current: &Tokens) -> Result<Tokens, RefreshError> {
///     let token = current.refresh_token().ok_or_else(|| RefreshError::rejected("there is none"))?;
///     let request = Request::post("https://login.example.com/token")
///         .header("content-type", "application/x-www-form-urlencoded")
///         .body(format!("grant_type=refresh_token&refresh_token={}", token.reveal()).into())
///         .map_err(RefreshError::misconfigured)?;
///     TokenResponse::read(login.send(request).await?, SystemTime::now()).await
/// }
/// ```
#[derive(Clone)]
pub struct DpopTransport<T> {
    transport: T,
    dpop: Dpop,
}

impl<T: Transport> DpopTransport<T> {
    /// Over this transport, with the key and the nonces of this scheme.
    pub fn new(transport: T, dpop: Dpop) -> Self {
        Self { transport, dpop }
    }

    /// Sends it with a new proof, and keeps the nonce that comes back.
    async fn attempt(
        &self,
        mut head: request::Parts,
        body: Body,
    ) -> Result<(Response<Body>, bool), TransportError> {
        self.dpop.prove(&mut head, None).map_err(TransportError::new)?;
        let uri = head.uri.clone();
        let response = self.transport.send(Request::from_parts(head, body)).await?;
        let last = response.extensions().get::<FinalUri>().map_or(&uri, |FinalUri(last)| last);
        let learned = self.dpop.nonces().learn(last, response.headers());
        Ok((response, learned))
    }
}

#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
impl<T: Transport> Transport for DpopTransport<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let (head, body) = request.into_parts();
        let copy = body.try_clone().map(|body| (head.clone(), body));
        let (response, learned) = self.attempt(head, body).await?;
        let may_ask =
            learned && matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED);
        let Some((head, body)) = copy.filter(|_| may_ask) else {
            return Ok(response);
        };
        let (answer, content) = response.into_parts();
        let content = content.bytes_up_to(LONGEST_ERROR).await;
        let content = content.map_err(|error| TransportError::new(error).maybe_sent())?;
        if !asks_for_nonce(&content) {
            return Ok(Response::from_parts(answer, content.into()));
        }
        self.attempt(head, body).await.map(|(response, _)| response)
    }
}

/// The error of a token endpoint (RFC 6749 §5.2).
fn asks_for_nonce(content: &[u8]) -> bool {
    let content = serde_json::from_slice::<serde_json::Value>(content);
    content.is_ok_and(|content| content["error"] == "use_dpop_nonce")
}

impl<T> fmt::Debug for DpopTransport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopTransport").field("dpop", &self.dpop).finish_non_exhaustive()
    }
}
