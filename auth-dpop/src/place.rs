//! Where a request goes, as both sides of a proof spell it.

use http::Uri;

/// Scheme, host and port, in their normal form (RFC 3986 §6.2.2, §6.2.3): who asks is no part of it, nor is a default port.
pub(crate) fn origin(uri: &Uri) -> Option<String> {
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let place = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_user, place)| place);
    // `http` takes a port that is none for one left out, and looks no further than a bracket.
    let port = match place.strip_prefix(authority.host())? {
        "" | ":" => None,
        named => {
            let digits =
                named.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            Some(digits.parse::<u16>().ok()?)
        }
    };
    let host = Some(authority.host()).filter(|host| !host.is_empty())?.to_ascii_lowercase();
    let port = port.filter(|port| !matches!((scheme, port), ("https", 443) | ("http", 80)));
    Some(port.map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}")))
}

/// The URI without query and fragment (RFC 9449 §4.2): `htu`.
pub(crate) fn target(uri: &Uri) -> Option<String> {
    origin(uri).map(|origin| origin + uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_in_its_normal_form() {
        for (text, expected) in [
            ("https://API.example.com/Notes/1?q=a#b", "https://api.example.com/Notes/1"),
            ("https://api.example.com:443", "https://api.example.com/"),
            ("https://u:p@api.example.com:8443/?q", "https://api.example.com:8443/"),
            ("http://[::1]:80/a", "http://[::1]/a"),
            ("http://a:443/", "http://a:443/"),
        ] {
            assert_eq!(target(&text.parse().unwrap()).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["/notes", "https://a:99999/x", "https://a:+8443/x", "https://[::1].b/x", "https://u@:1/x"]
        {
            assert_eq!(text.parse().ok().and_then(|uri| target(&uri)), None, "{text}");
        }
    }
}
