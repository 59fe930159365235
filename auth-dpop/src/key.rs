//! The key.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::elliptic_curve::Generate as _;
use sha2::{Digest as _, Sha256};

/// A key on P-256, for `ES256`. What tokens are bound to it for as long as they live, so it is kept where they are.
///
/// ```
/// use auth_dpop::DpopKey;
///
/// let key = DpopKey::generate()?;
/// let kept = key.to_bytes();
///
/// assert_eq!(DpopKey::from_bytes(&kept)?.thumbprint(), key.thumbprint());
/// assert!(DpopKey::from_bytes(&kept[1..]).is_err());
/// # Ok::<(), auth_dpop::KeyError>(())
/// ```
pub struct DpopKey {
    secret: SigningKey,
    x: String,
    y: String,
    thumbprint: String,
}

impl DpopKey {
    /// A new one.
    ///
    /// # Errors
    ///
    /// Where the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        SigningKey::try_generate().map(Self::new).map_err(|_| KeyError("the system has no randomness"))
    }

    /// The one that [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// Where these bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        // It would take fewer for a number with zeros in front.
        let whole = Some(bytes).filter(|bytes| bytes.len() == 32);
        let key = whole.and_then(|bytes| SigningKey::from_slice(bytes).ok());
        key.map(Self::new).ok_or(KeyError("these bytes are no key on P-256"))
    }

    /// The secret itself, 32 bytes: as worthy of protection as a refresh token.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.secret.to_bytes().into()
    }

    /// What an authorization server calls it: `jkt` (RFC 7638), the hash of the public half. No secret.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    fn new(secret: SigningKey) -> Self {
        let point = secret.verifying_key().to_sec1_point(false);
        // 4, and then the coordinates (SEC 1 §2.3.3).
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let (x, y) = (encoded(x), encoded(y));
        let thumbprint = thumbprint(&x, &y);
        Self { secret, x, y, thumbprint }
    }

    /// The coordinates of the public half, as a JWK has them.
    pub(crate) fn coordinates(&self) -> (&str, &str) {
        (&self.x, &self.y)
    }

    /// The signature, as a JWS has it.
    pub(crate) fn sign(&self, text: &str) -> String {
        let signature: p256::ecdsa::Signature = self.secret.sign(text.as_bytes());
        encoded(&signature.to_bytes())
    }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

/// There is no key, and this is why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(&'static str);

fn thumbprint(x: &str, y: &str) -> String {
    hashed(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#))
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

pub(crate) fn hashed(text: &str) -> String {
    encoded(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 9449 (§4.1, §6.1, §7.1).
    #[test]
    fn hashes_are_those_of_the_examples() {
        let (x, y) =
            ("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA");
        assert_eq!(thumbprint(x, y), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        assert_eq!(hashed(token), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    }
}
