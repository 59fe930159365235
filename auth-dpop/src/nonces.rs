//! Nonces: the newest of each origin.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, Uri};

use crate::place::origin;

/// Of so many origins one is kept. An SDK knows two: its API, and the token endpoint.
const ORIGINS: usize = 32;

/// Longer is no nonce, but somebody who wants to fill this memory, and the headers of all requests.
const LONGEST: usize = 4 * 1024;

#[derive(Default)]
pub(crate) struct Nonces {
    /// With its origin. The origin that came last is in front.
    newest: Mutex<VecDeque<(String, String)>>,
}

impl Nonces {
    pub(crate) fn of(&self, uri: &Uri) -> Option<String> {
        let origin = origin(uri)?;
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.iter().find(|(of, _)| *of == origin).map(|(_, nonce)| nonce.clone())
    }

    /// Keeps the nonce that a response from there has, and says whether it has one.
    pub(crate) fn learn(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some((origin, nonce)) = origin(uri).zip(given(headers)) else { return false };
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match newest.iter_mut().find(|(of, _)| *of == origin) {
            Some((_, known)) => nonce.clone_into(known),
            None => {
                newest.truncate(ORIGINS - 1);
                newest.push_front((origin, nonce.to_owned()));
            }
        }
        true
    }
}

/// One `DPoP-Nonce`, of the characters that it may have (RFC 9449 §8.1, RFC 6749 appendix A).
fn given(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all("dpop-nonce").iter();
    let (Some(nonce), None) = (all.next(), all.next()) else { return None };
    let nonce = nonce.to_str().ok()?;
    let is_nonce = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    ((1..=LONGEST).contains(&nonce.len()) && nonce.bytes().all(is_nonce)).then_some(nonce)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(nonces: &[&str]) -> HeaderMap {
        nonces
            .iter()
            .map(|nonce| (http::HeaderName::from_static("dpop-nonce"), HeaderValue::from_str(nonce).unwrap()))
            .collect()
    }

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_no_nonce_is_not_kept() {
        let nonces = Nonces::default();
        let (here, long) = (uri("https://a/"), "n".repeat(LONGEST + 1));

        for given in [&[][..], &[""], &["a b"], &["a\"b"], &["a\\b"], &["one", "two"], &[&long]] {
            assert!(!nonces.learn(&here, &headers(given)), "{given:?}");
        }
        assert!(!nonces.learn(&uri("/relative"), &headers(&["n"])));
        assert_eq!(nonces.of(&here), None);

        assert!(nonces.learn(&here, &headers(&[&long[1..]])));
        assert_eq!(nonces.of(&here).as_deref(), Some(&long[1..]));
    }

    #[test]
    fn no_more_origins_are_kept_than_there_is_room_for() {
        let nonces = Nonces::default();
        for number in 0..=ORIGINS {
            assert!(nonces.learn(&uri(&format!("https://host{number}/")), &headers(&["n"])));
        }

        assert_eq!(nonces.newest.lock().unwrap().len(), ORIGINS);
        assert_eq!(nonces.of(&uri("https://host0/")), None, "the oldest has gone");
        assert!(nonces.of(&uri(&format!("https://host{ORIGINS}/"))).is_some());
    }
}
