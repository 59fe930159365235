//! Origins: where a token may go.

use std::net::IpAddr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use crate::{Error, ErrorKind};

/// Scheme, host and port (RFC 6454 §4).
#[derive(Clone, Debug)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
    port: Option<u16>,
    pub(super) is_insecure: bool,
}

impl Origin {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |detail| Error::detailed(ErrorKind::Misconfigured, detail);
        let uri: Uri = text.parse().map_err(|_| invalid("an origin is not a URI"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(invalid("an origin is a scheme and a host: https://api.example.com"));
        };
        if scheme != Scheme::HTTPS && scheme != Scheme::HTTP {
            return Err(invalid("an origin's scheme is https or http"));
        }
        if authority.as_str().contains('@') {
            return Err(invalid("an origin has no user name"));
        }
        let Some(place) = Place::at(&scheme, &authority) else {
            return Err(invalid("an origin has a host, and a port that is one"));
        };
        let (port, is_insecure) = (place.port, place.is_insecure());
        if parts.path_and_query.is_some_and(|path| path.as_str() != "/") {
            return Err(invalid("an origin has no path: put it into the requests' URIs"));
        }
        Ok(Self { scheme, authority, port, is_insecure })
    }

    pub(super) fn is_of(&self, uri: &Uri) -> bool {
        // Spelled as this one is, mostly: then there is nothing to take apart.
        if uri.scheme() == Some(&self.scheme)
            && uri.authority().is_some_and(|authority| authority.as_str() == self.authority.as_str())
        {
            return true;
        }
        let own = Place { scheme: &self.scheme, host: self.authority.host(), port: self.port };
        Place::of(uri) == Some(own)
    }

    /// This path at this origin.
    pub(super) fn join(&self, path: PathAndQuery) -> Result<Uri, Error> {
        let builder = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        builder.path_and_query(path).build().map_err(|error| Error::caused(ErrorKind::Misconfigured, error))
    }
}

/// Whether both have the same origin. A URI without one has none in common with anything.
pub(super) fn is_same(one: &Uri, other: &Uri) -> bool {
    let spelled_alike = one.scheme() == other.scheme() && one.authority() == other.authority();
    Place::of(one).is_some_and(|place| spelled_alike || Place::of(other) == Some(place))
}

/// Whether what is sent there can be read on the way. Of what has no origin nobody knows.
pub(super) fn is_insecure(uri: &Uri) -> bool {
    uri.scheme() != Some(&Scheme::HTTPS) && Place::of(uri).is_none_or(|place| place.is_insecure())
}

/// The origin of a URI. `http` takes a port that is none (`:99999`) for one left out, and looks no further than a bracket;
/// what else an HTTP library makes of such an authority is anybody's guess, so here it has no origin.
struct Place<'a> {
    scheme: &'a Scheme,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Place<'a> {
    fn of(uri: &'a Uri) -> Option<Self> {
        Self::at(uri.scheme()?, uri.authority()?)
    }

    fn at(scheme: &'a Scheme, authority: &'a Authority) -> Option<Self> {
        let text = authority.as_str();
        let place = text.rsplit_once('@').map_or(text, |(_user, place)| place);
        let host = authority.host();
        let port = match place.strip_prefix(host)? {
            "" | ":" => default_port(scheme),
            named => {
                let digits = named.strip_prefix(':')?;
                // A sign is no digit, though `parse` takes one.
                Some(digits.parse().ok().filter(|_| !digits.starts_with('+'))?)
            }
        };
        (!host.is_empty()).then_some(Self { scheme, host, port })
    }

    /// Anything but https, unless it stays on this machine.
    fn is_insecure(&self) -> bool {
        *self.scheme != Scheme::HTTPS && !is_loopback(self.host)
    }
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.host.eq_ignore_ascii_case(other.host) && self.port == other.port
    }
}

fn default_port(scheme: &Scheme) -> Option<u16> {
    match scheme {
        _ if *scheme == Scheme::HTTPS => Some(443),
        _ if *scheme == Scheme::HTTP => Some(80),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.is_loopback();
    }
    let name = host.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &'static str) -> Uri {
        Uri::from_static(text)
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = Origin::parse("https://api.example.com").unwrap();

        assert!(origin.is_of(&uri("https://API.example.com:443/x?y")));
        for other in
            ["http://api.example.com/", "https://api.example.com:8443/", "https://example.com/", "/x"]
        {
            assert!(!origin.is_of(&uri(other)), "{other}");
        }
        assert!(is_same(&uri("http://a/x"), &uri("http://A:80/y")));
        assert!(!is_same(&uri("http://a/x"), &uri("https://a/x")));
        assert!(!is_same(&uri("/x"), &uri("/x")));
        assert!(is_same(&uri("ws://a/x"), &uri("ws://a/y")));
        assert!(!is_same(&uri("ws://a/x"), &uri("ws://a:80/x")), "whose default port is not known here");
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "api.example.com",
            "https://",
            "ftp://a",
            "https://user@a",
            "https://a/v1",
            "https://a?x",
            "/x",
            "https://a:99999",
            "https://a:+443",
            "https://a:x",
            "https://:443",
            "https://[::1].a",
        ] {
            assert_eq!(Origin::parse(text).unwrap_err().kind(), ErrorKind::Misconfigured, "{text}");
        }
        assert!(Origin::parse("http://[::1]:8080/").is_ok());
        assert!(Origin::parse("https://a:").is_ok(), "an empty port is the default one (RFC 3986 §6.2.3)");
    }

    #[test]
    fn an_authority_that_cannot_be_read_has_no_origin() {
        let origin = Origin::parse("https://a").unwrap();
        for text in ["https://a:99999/", "https://a:+443/", "https://a:x/"] {
            assert!(!origin.is_of(&uri(text)), "{text}");
            assert!(!is_same(&uri(text), &uri("https://a/")), "{text}");
            assert!(!is_same(&uri(text), &uri(text)), "{text}");
        }
        assert!(is_insecure(&uri("http://[::1].example.com/")));
        assert!(origin.is_of(&uri("https://u:1@a:/")), "who asks is no part of the origin");
    }

    #[test]
    fn plain_http_is_secure_on_this_machine_alone() {
        for text in [
            "http://localhost:1/",
            "http://127.8.9.1/",
            "http://[::1]/",
            "http://app.LOCALHOST/",
            "https://a/",
        ] {
            assert!(!is_insecure(&uri(text)), "{text}");
        }
        for text in [
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "ws://a/",
        ] {
            assert!(is_insecure(&uri(text)), "{text}");
        }
    }
}
