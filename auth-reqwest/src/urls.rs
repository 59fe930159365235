//! `Urls`: how a URI becomes reqwest's URL.

use std::sync::OnceLock;

use http::Uri;
use http::uri::{Authority, Scheme};
use reqwest::Url;

/// So many origins are known.
const KNOWN: usize = 4;

/// Parses URIs as URLs. A client asks few origins again and again, so the first few are remembered as they were parsed: the
/// host is what costs most, since it might be an international one.
#[derive(Default)]
pub(crate) struct Urls {
    known: [OnceLock<Origin>; KNOWN],
}

struct Origin {
    scheme: Scheme,
    authority: Authority,
    /// With the path `/`.
    root: Url,
}

impl Urls {
    /// The URL of this URI; `None` where it is none.
    pub(crate) fn parse(&self, uri: &Uri) -> Option<Url> {
        self.known(uri).or_else(|| Url::parse(&text(uri)).ok())
    }

    /// By the origin, if that is known or can be, and what follows cannot be taken for anything but a path.
    fn known(&self, uri: &Uri) -> Option<Url> {
        let (scheme, authority) = (uri.scheme()?, uri.authority()?);
        let path = uri.path_and_query()?.as_str();
        if !matches!(path.as_bytes(), [b'/'] | [b'/', b'!'..=b'.' | b'0'..=b'[' | b']'..=b'~', ..]) {
            // Two slashes, of either kind, begin a host.
            return None;
        }
        let is_of =
            |origin: &&Origin| origin.authority.as_str() == authority.as_str() && origin.scheme == *scheme;
        let known = self.known.iter().map_while(OnceLock::get).find(is_of);
        known.or_else(|| self.learn(scheme, authority))?.root.join(path).ok()
    }

    fn learn(&self, scheme: &Scheme, authority: &Authority) -> Option<&Origin> {
        let is_http = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        // A password is not remembered.
        if !is_http || authority.as_str().contains('@') {
            return None;
        }
        let free = self.known.iter().find(|slot| slot.get().is_none())?;
        // Two threads may learn one origin at once, and it then takes two places. That costs nothing but the place.
        let root = Url::parse(&format!("{scheme}://{authority}/")).ok()?;
        let origin = Origin { scheme: scheme.clone(), authority: authority.clone(), root };
        // Where another thread was first, this one parses the whole, once.
        free.set(origin).is_ok().then(|| free.get())?
    }
}

/// As it is displayed, without the machinery of formatting.
fn text(uri: &Uri) -> String {
    let pieces = pieces(uri);
    let mut text = String::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    pieces.into_iter().for_each(|piece| text.push_str(piece));
    text
}

/// Whether this is the URI's text.
pub(crate) fn is_spelled(uri: &Uri, text: &str) -> bool {
    pieces(uri).into_iter().try_fold(text, |text, piece| text.strip_prefix(piece)) == Some("")
}

/// What the text of a URI is made of.
fn pieces(uri: &Uri) -> [&str; 6] {
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let separator = if scheme.is_empty() { "" } else { "://" };
    let (mark, query) = uri.query().map_or(("", ""), |query| ("?", query));
    [scheme, separator, authority, uri.path(), mark, query]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn knows(urls: &Urls) -> Vec<&str> {
        urls.known.iter().filter_map(OnceLock::get).map(|origin| origin.root.as_str()).collect()
    }

    #[test]
    fn an_origin_is_parsed_once() {
        let urls = Urls::default();

        for path in ["/", "/a/../b?c=d&e", "/%7E\"", "?q"] {
            let text = format!("https://api.example.com:8443{path}");
            assert_eq!(urls.parse(&uri(&text)), Url::parse(&text).ok(), "{path}");
        }
        assert_eq!(urls.parse(&uri("http://api.example.com:8443/")).unwrap().scheme(), "http");
        assert_eq!(knows(&urls), ["https://api.example.com:8443/", "http://api.example.com:8443/"]);
    }

    /// Else a path could send a request, and the token on it, to another host.
    #[test]
    fn a_path_with_two_slashes_is_a_path() {
        let urls = Urls::default();
        urls.parse(&uri("https://a/")).unwrap();

        for path in ["//evil.example/", "/\\evil.example/", "//", "///evil.example"] {
            let url = urls.parse(&uri(&format!("https://a{path}"))).unwrap();
            assert_eq!((url.host_str(), url.path().len() >= 2), (Some("a"), true), "{path}: {url}");
        }
    }

    #[test]
    fn so_many_origins_are_known_and_no_password() {
        let urls = Urls::default();

        assert_eq!(urls.parse(&uri("https://user:secret@a/")).unwrap().password(), Some("secret"));
        assert_eq!(knows(&urls).len(), 0);

        for host in 0..2 * KNOWN {
            let text = format!("https://host{host}.example/path");
            assert_eq!(urls.parse(&uri(&text)).unwrap().as_str(), text);
        }
        assert_eq!(knows(&urls).len(), KNOWN);
    }

    #[test]
    fn what_is_no_url_stays_none() {
        let urls = Urls::default();

        for text in ["/", "a", "https://a:99999/", "https://1.2.3.999/"] {
            let expected = Url::parse(text).ok();
            assert_eq!(
                (urls.parse(&uri(text)), urls.parse(&uri(text))),
                (expected.clone(), expected),
                "{text}"
            );
        }
        assert_eq!(urls.parse(&uri("ftp://a/b")), Url::parse("ftp://a/b").ok());
        assert_eq!(knows(&urls).len(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2_000,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(0x5eed),
            ..ProptestConfig::default()
        })]

        /// Whatever URI it is, its URL is the one that its text gives, whether its origin is known or not.
        #[test]
        fn a_known_origin_changes_no_url(
            origin in "(https?|ws|x)://(u@|u:p@)?([a-cA-Cä.-]{1,5}|127\\.0\\.0\\.1|\\[::1\\]|1)(:[0-9]{0,5})?",
            paths in prop::collection::vec("([/?\\\\][!-~ä]{0,6}){0,3}", 1..4),
        ) {
            let urls = Urls::default();
            for path in paths {
                let Ok(uri) = format!("{origin}{path}").parse::<Uri>() else { continue };
                let text = uri.to_string();
                let url = urls.parse(&uri);
                prop_assert_eq!(&url, &Url::parse(&text).ok(), "{}", text);
                prop_assert!(is_spelled(&uri, &text), "{}", text);
                let longer = text + "x";
                prop_assert!(!is_spelled(&uri, &longer));
            }
        }
    }
}
