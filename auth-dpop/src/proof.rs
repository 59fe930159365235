//! Proofs: one JWT for each request (RFC 9449 §4.2).

use std::time::{SystemTime, UNIX_EPOCH};

use auth_core::SchemeError;
use http::{HeaderValue, Method, Uri};
use serde_json::json;

use crate::key::{DpopKey, encoded, hashed};
use crate::place::target;

/// What a proof is for.
pub(crate) struct Claims<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) now: SystemTime,
    /// The access token that goes with it, where one does.
    pub(crate) token: Option<&'a str>,
    pub(crate) nonce: Option<String>,
}

pub(crate) fn prove(key: &DpopKey, claims: Claims<'_>) -> Result<HeaderValue, SchemeError> {
    let target =
        target(claims.uri).ok_or_else(|| SchemeError::new("the request's URI is not a whole one"))?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(SchemeError::new)?;
    let (x, y) = key.coordinates();
    let head = json!({
        "typ": "dpop+jwt",
        "alg": "ES256",
        "jwk": { "kty": "EC", "crv": "P-256", "x": x, "y": y },
    });
    let mut payload = json!({
        "jti": encoded(&id),
        "htm": claims.method.as_str(),
        "htu": target,
        "iat": claims.now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    });
    if let Some(token) = claims.token {
        payload["ath"] = hashed(token).into();
    }
    if let Some(nonce) = claims.nonce {
        payload["nonce"] = nonce.into();
    }
    let signed =
        format!("{}.{}", encoded(head.to_string().as_bytes()), encoded(payload.to_string().as_bytes()));
    let signature = key.sign(&signed);
    let mut value = HeaderValue::try_from(signed + "." + &signature).map_err(SchemeError::new)?;
    value.set_sensitive(true);
    Ok(value)
}
