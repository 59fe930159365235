//! What holds of any origin and any URI: where a request goes, and whether the token goes with it.

use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr};

use auth_core::{
    AuthClient, Body, Error, ErrorKind, NotAttached, RefreshError, Session, Tokens, Transport,
    TransportError, async_trait, refresher_fn,
};
use auth_testkit::ManualRuntime;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};

/// An origin, a URI, and any of the words `any` and `insecure`, each on a line of its own.
pub fn any_bytes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let (origin, uri) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    any_request(origin, uri, words.contains(&"any"), words.contains(&"insecure"));
}

/// A client for this origin is asked for this URI.
pub fn any_request(origin: &str, uri: &str, any_origin: bool, insecure: bool) {
    let runtime_and_session = world();
    let (runtime, session) = &runtime_and_session;
    let mut builder = AuthClient::builder(Echo, session.clone()).origin(origin);
    if any_origin {
        builder = builder.any_origin();
    }
    if insecure {
        builder = builder.allow_insecure_http();
    }
    let (client, named) = match (builder.build(), named(origin)) {
        (Ok(client), Some(named)) => (client, named),
        (Err(error), None) => return assert_eq!(error.kind(), ErrorKind::Misconfigured),
        (Ok(_), None) => panic!("{origin} is no origin"),
        (Err(error), Some(_)) => panic!("{origin} is an origin: {error:?}"),
    };
    let Some(uri) = asked(uri) else { return };
    let request = Request::get(uri.clone()).body(Body::empty()).expect("a request");

    let sent = runtime.block_on(client.send(request));

    let Some(target) = target(&named, &uri) else {
        return assert_eq!(kind(sent), ErrorKind::Misconfigured, "{uri} is nowhere");
    };
    let with_token =
        any_origin || Place::of(&target).is_some_and(|place| place == Place::of(&named).expect("one"));
    if with_token && !insecure && !is_private(&target) {
        return assert_eq!(kind(sent), ErrorKind::InsecureOrigin, "{target}");
    }
    let response = sent.expect("it is answered");
    let echo = response.extensions().get::<Echoed>().expect("it was sent");
    assert_eq!(echo.uri.to_string(), target.to_string());
    assert_eq!(echo.token.as_deref(), with_token.then_some("Bearer T0"), "{target} of {origin}");
    assert_eq!(response.extensions().get::<NotAttached>().is_some(), !with_token);
}

/// A URI as a request can have it; one that is a query alone can only be put together.
fn asked(text: &str) -> Option<Uri> {
    text.parse().ok().or_else(|| text.parse::<PathAndQuery>().ok().map(Uri::from))
}

/// The origin's root, where the text is an origin.
fn named(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let bare = uri.path() == "/" && uri.query().is_none() && !uri.authority()?.as_str().contains('@');
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    (bare && http && Place::of(&uri).is_some()).then_some(uri)
}

/// Where a request goes: to an absolute URI as it is, to a path at the origin.
fn target(origin: &Uri, uri: &Uri) -> Option<Uri> {
    let parts = uri.clone().into_parts();
    match (parts.scheme, parts.authority, parts.path_and_query) {
        (Some(_), Some(_), _) => Some(uri.clone()),
        (None, None, Some(path)) if path.as_str().starts_with(['/', '?']) => {
            let root = format!("{}://{}", origin.scheme_str()?, origin.authority()?);
            Some(format!("{root}{path}").parse().expect("a path at an origin is a URI"))
        }
        _ => None,
    }
}

/// Scheme, host and port (RFC 6454 §4), read from the text of the authority.
#[derive(Debug, PartialEq)]
struct Place {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Place {
    /// `None` where there is no host, or the port is none.
    fn of(uri: &Uri) -> Option<Self> {
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let authority = uri.authority()?.as_str();
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let host_ends = if place.starts_with('[') {
            place.find(']')? + 1
        } else {
            place.find(':').unwrap_or(place.len())
        };
        let (host, rest) = place.split_at(host_ends);
        let default = match scheme.as_str() {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => default,
            Some("") => default,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        (!host.is_empty()).then(|| Self { scheme, host: host.to_ascii_lowercase(), port })
    }
}

/// Whether nobody on the way can read it: by TLS, or on this machine.
fn is_private(uri: &Uri) -> bool {
    let Some(place) = Place::of(uri) else { return uri.scheme_str() == Some("https") };
    let host = place.host.as_str();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    place.scheme == "https"
        || host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.octets()[0] == 127)
        || bare.parse::<Ipv6Addr>().is_ok_and(|address| u128::from(address) == 1)
}

fn kind(sent: Result<Response<Body>, Error>) -> ErrorKind {
    sent.expect_err("it cannot be sent").kind()
}

/// Answers everything with what it was sent.
struct Echo;

#[derive(Clone)]
struct Echoed {
    uri: Uri,
    token: Option<String>,
}

#[async_trait]
impl Transport for Echo {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let token = request.headers().get(AUTHORIZATION);
        let token = token.map(|token| token.to_str().expect("a text").to_owned());
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Echoed { uri: request.uri().clone(), token });
        Ok(response)
    }
}

/// A session in which somebody is signed in: one a thread.
fn world() -> (ManualRuntime, Session) {
    thread_local! {
        static WORLD: RefCell<Option<(ManualRuntime, Session)>> = const { RefCell::new(None) };
    }
    WORLD.with_borrow_mut(|world| {
        let make = || {
            let runtime = ManualRuntime::new();
            let refresher = refresher_fn(|_| async { Err(RefreshError::unavailable("there is none")) });
            let session = Session::builder(refresher).runtime(runtime.clone()).build();
            let tokens = Tokens::new("T0").expect("a token");
            runtime.block_on(session.sign_in(tokens)).expect("signed in");
            (runtime, session)
        };
        world.get_or_insert_with(make).clone()
    })
}
