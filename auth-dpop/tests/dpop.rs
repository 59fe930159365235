//! DPoP through a whole client, and at the token endpoint.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::time::{Duration, SystemTime};

use auth_core::{
    AuthClient, Bearer, Body, Challenge, ErrorKind, FinalUri, Observed, RefreshError, Scheme, Session,
    TokenHeader, Tokens, Transport,
};
use auth_dpop::{Dpop, DpopKey, DpopTransport};
use auth_testkit::{
    RefresherHandle, ScriptedRefresher, ScriptedTransport, Sent, TransportHandle, numbered, response,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use futures::executor::block_on;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Request, Response};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const API: &str = "https://api.example.com";
const OTHER: &str = "https://files.example.com";
const TOKEN_ENDPOINT: &str = "https://login.example.com/token";
const NOW: u64 = 1_700_000_000;

struct World {
    client: AuthClient<ScriptedTransport>,
    api: TransportHandle,
    refresher: RefresherHandle,
    dpop: Dpop,
}

fn dpop() -> Dpop {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    Dpop::new(DpopKey::generate().unwrap()).with_clock(move || now)
}

/// Signed in with T0 of type DPoP; a refresh brings the next one.
fn world() -> World {
    let dpop = dpop();
    let (transport, api) = ScriptedTransport::new();
    let (refresher, handle) = ScriptedRefresher::rotating();
    let session = Session::builder(refresher).scheme(dpop.clone()).build();
    block_on(session.sign_in(numbered(0).with_token_type("DPoP"))).unwrap();
    let client = AuthClient::builder(transport, session).origin(API).origin(OTHER).build().unwrap();
    World { client, api, refresher: handle, dpop }
}

impl World {
    fn get(&self, uri: &str) -> Response<Body> {
        block_on(self.client.send(Request::get(uri).body(Body::empty()).unwrap())).unwrap()
    }

    fn log(&self) -> [Sent; 2] {
        self.api.log().try_into().expect("two requests were sent")
    }
}

fn with_nonce(mut response: Response<Body>, nonce: &'static str) -> Response<Body> {
    response.headers_mut().insert("dpop-nonce", HeaderValue::from_static(nonce));
    response
}

fn wants_nonce(nonce: &'static str) -> Response<Body> {
    let mut wants = with_nonce(response(401), nonce);
    let challenge = HeaderValue::from_static("DPoP error=\"use_dpop_nonce\", algs=\"ES256\"");
    wants.headers_mut().insert("www-authenticate", challenge);
    wants
}

/// A proof as a server reads it, its signature verified with its own key.
struct Proof {
    head: Value,
    claims: Value,
}

impl Proof {
    fn of(sent: &Sent) -> Self {
        let mut all = sent.headers.get_all("dpop").iter();
        let (value, None) = (all.next().expect("there is a proof"), all.next()) else { panic!("one proof") };
        assert!(value.is_sensitive());
        let (signed, signature) = value.to_str().unwrap().rsplit_once('.').unwrap();
        let (head, claims) = signed.split_once('.').unwrap();
        let json = |text| serde_json::from_slice::<Value>(&decoded(text)).unwrap();
        let (head, claims) = (json(head), json(claims));
        let coordinate = |name: &str| decoded(head["jwk"][name].as_str().unwrap());
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let key = VerifyingKey::from_sec1_bytes(&point).unwrap();
        key.verify(signed.as_bytes(), &Signature::from_slice(&decoded(signature)).unwrap()).unwrap();
        Self { head, claims }
    }

    fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }
}

fn decoded(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}

fn authorization(sent: &Sent) -> Vec<&str> {
    sent.headers.get_all(AUTHORIZATION).iter().map(|value| value.to_str().unwrap()).collect()
}

/// N7: a proof is for its request and its token, and no two attempts have the same.
#[test]
fn each_attempt_has_a_proof_of_its_own() {
    let world = world();
    world.api.answer_with(|request| {
        let good = request.headers()[AUTHORIZATION] == "DPoP T1";
        response(if good { 200 } else { 401 })
    });

    // A proof that somebody else has put there is not sent beside this one.
    let request = Request::put("https://API.example.com:443/notes/1?secret=a#b").header("dpop", "stale");
    let answer = block_on(world.client.send(request.body("note".into()).unwrap())).unwrap();
    assert_eq!(answer.status(), 200);

    let log = world.log();
    for (sent, token) in log.iter().zip(["T0", "T1"]) {
        let proof = Proof::of(sent);
        assert_eq!(authorization(sent), [format!("DPoP {token}")]);
        assert_eq!(proof.head["typ"], "dpop+jwt");
        assert_eq!(proof.head["alg"], "ES256");
        let jwk: Vec<&String> = proof.head["jwk"].as_object().unwrap().keys().collect();
        assert_eq!(jwk, ["crv", "kty", "x", "y"], "the public half and nothing else");
        assert_eq!(thumbprint(&proof.head["jwk"]), world.dpop.key().thumbprint());
        assert_eq!(proof.claim("htm"), Some("PUT"));
        assert_eq!(proof.claim("htu"), Some("https://api.example.com/notes/1"));
        assert_eq!(proof.claims["iat"], NOW);
        let hash = Base64UrlUnpadded::encode_string(&Sha256::digest(token));
        assert_eq!(proof.claim("ath"), Some(&*hash));
        assert_eq!(proof.claims.get("nonce"), None);
    }
    let [one, other] = log.map(|sent| Proof::of(&sent).claim("jti").unwrap().to_owned());
    assert_ne!(one, other);
    assert!(decoded(&one).len() >= 12, "96 bits (RFC 9449 §4.2)");
    assert_eq!(world.refresher.calls(), 1);
}

/// RFC 7638.
fn thumbprint(jwk: &Value) -> String {
    let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    Base64UrlUnpadded::encode_string(&Sha256::digest(jwk))
}

#[test]
fn a_proof_says_when_it_was_made() {
    let (transport, endpoint) = ScriptedTransport::new();
    endpoint.answer_with(|_| response(200));
    let login = DpopTransport::new(transport, Dpop::new(DpopKey::generate().unwrap()));
    let seconds = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();

    let before = seconds();
    block_on(login.send(token_request(Body::empty()))).unwrap();

    let made = Proof::of(&endpoint.log()[0]).claims["iat"].as_u64().unwrap();
    assert!((before..=seconds()).contains(&made));
}

/// N1: a 401 that asks for a nonce: one more send, with the same token and a new proof, and no refresh.
#[test]
fn a_nonce_that_is_asked_for_is_proved_with_no_refresh() {
    let world = world();
    world.api.answer_with(|request| {
        let proof = request.headers()["dpop"].to_str().unwrap().split('.').nth(1).map(decoded).unwrap();
        let has_nonce = String::from_utf8(proof).unwrap().contains("\"nonce\":\"n1\"");
        if has_nonce { response(200) } else { wants_nonce("n1") }
    });

    assert_eq!(world.get("https://api.example.com/notes").status(), 200);

    let [first, second] = world.log();
    assert_eq!((authorization(&first), authorization(&second)), (vec!["DPoP T0"], vec!["DPoP T0"]));
    assert_eq!((Proof::of(&first).claim("nonce"), Proof::of(&second).claim("nonce")), (None, Some("n1")));
    assert_eq!(world.refresher.calls(), 0);
}

/// N1: a server that is never content has its 401 handed back after one more send.
#[test]
fn a_nonce_is_proved_once() {
    let world = world();
    world.api.answer_with(|_| wants_nonce("again"));

    let answer = world.get("https://api.example.com/notes");

    assert_eq!(answer.status(), 401);
    assert_eq!(answer.extensions().get::<Challenge>(), Some(&Challenge::UseDpopNonce));
    assert_eq!((world.api.calls(), world.refresher.calls()), (2, 0));
}

/// N2: the nonce of a 2xx is in the next proof. N3: of that origin, and of no other.
#[test]
fn the_newest_nonce_of_an_origin_is_in_its_next_proof() {
    let world = world();
    world.api.answer_with(|request| match request.uri().path() {
        "/first" => with_nonce(response(200), "n1"),
        "/second" => with_nonce(response(200), "n2"),
        _ => response(200),
    });

    for uri in ["/first", "/second", "/third"].map(|path| API.to_owned() + path) {
        world.get(&uri);
    }
    world.get(&format!("{OTHER}/first"));
    world.get("https://API.example.com:443/fourth");
    world.get(&format!("{OTHER}/fourth"));

    let log = world.api.log();
    let nonces: Vec<_> = log.iter().map(|sent| Proof::of(sent).claim("nonce").map(str::to_owned)).collect();
    let nonces: Vec<_> = nonces.iter().map(Option::as_deref).collect();
    assert_eq!(nonces, [None, Some("n1"), Some("n2"), None, Some("n2"), Some("n1")]);
}

/// N8: neither scheme that sends a bare token takes one that is bound to a key.
#[test]
fn a_bound_token_is_never_sent_as_a_bearer_token() {
    let bound = || numbered(0).with_token_type("dpop");
    assert!(Bearer.prepare(&bound()).is_err());
    assert!(TokenHeader::new(HeaderName::from_static("x-api-token")).prepare(&bound()).is_err());

    let (transport, api) = ScriptedTransport::new();
    let (refresher, _) = ScriptedRefresher::new();
    let session = Session::builder(refresher).build();
    assert_eq!(block_on(session.sign_in(bound())).unwrap_err().kind(), ErrorKind::InvalidToken);
    let client = AuthClient::builder(transport, session).origin(API).build().unwrap();
    let request = Request::get("/notes").body(Body::empty()).unwrap();
    assert_eq!(block_on(client.send(request)).unwrap_err().kind(), ErrorKind::SignedOut);
    assert_eq!(api.calls(), 0);
}

/// N8: nor does this scheme send one without its proof; and a bearer token, which no proof protects, it does not take.
#[test]
fn no_token_goes_out_without_its_proof() {
    let scheme = dpop();
    for kind in ["Bearer", "mac", ""] {
        assert!(scheme.prepare(&numbered(0).with_token_type(kind)).is_err(), "{kind}");
    }
    for tokens in [numbered(0), numbered(0).with_token_type("dPoP")] {
        let (name, value) = scheme.prepare(&tokens).unwrap();
        assert_eq!((name, value), (AUTHORIZATION, HeaderValue::from_static("DPoP T0")));
    }
    assert_eq!(scheme.header(), Some(AUTHORIZATION));
}

fn token_endpoint() -> (DpopTransport<ScriptedTransport>, TransportHandle) {
    let (transport, endpoint) = ScriptedTransport::new();
    (DpopTransport::new(transport, dpop()), endpoint)
}

fn token_request(body: Body) -> Request<Body> {
    Request::post(TOKEN_ENDPOINT).body(body).unwrap()
}

fn refusal(error: &'static str) -> Response<Body> {
    let mut refusal = with_nonce(response(400), "n1");
    *refusal.body_mut() = Body::from(format!("{{\"error\":\"{error}\"}}"));
    refusal
}

#[test]
fn the_token_endpoint_has_a_proof_without_a_token() {
    let (login, endpoint) = token_endpoint();
    endpoint.answer_with(|_| response(200));

    block_on(login.send(token_request("grant".into()))).unwrap();

    let [sent] = <[Sent; 1]>::try_from(endpoint.log()).unwrap();
    let proof = Proof::of(&sent);
    assert_eq!((proof.claim("htm"), proof.claim("htu")), (Some("POST"), Some(TOKEN_ENDPOINT)));
    assert_eq!((proof.claim("ath"), authorization(&sent).len()), (None, 0));
}

/// N1, at the token endpoint (RFC 9449 §8): the same grant once more, and the nonce goes with the next one at once.
#[test]
fn a_nonce_that_the_token_endpoint_asks_for_is_proved() {
    let (login, endpoint) = token_endpoint();
    endpoint.answer_with(|request| {
        let proof = request.headers()["dpop"].to_str().unwrap().split('.').nth(1).map(decoded).unwrap();
        let has_nonce = String::from_utf8(proof).unwrap().contains("\"nonce\":\"n1\"");
        if has_nonce { response(200) } else { refusal("use_dpop_nonce") }
    });

    assert_eq!(block_on(login.send(token_request("grant".into()))).unwrap().status(), 200);
    assert_eq!(block_on(login.send(token_request("next".into()))).unwrap().status(), 200);

    let bodies: Vec<_> = endpoint.log().into_iter().map(|sent| sent.body.unwrap()).collect();
    assert_eq!(bodies, ["grant", "grant", "next"]);
}

/// Wherever a server says so: in a challenge as well.
#[test]
fn a_nonce_that_is_asked_for_in_a_challenge_is_proved() {
    let (login, endpoint) = token_endpoint();
    endpoint.answer_with(|_| wants_nonce("n1"));

    assert_eq!(block_on(login.send(token_request("grant".into()))).unwrap().status(), 401);

    let nonces: Vec<_> =
        endpoint.log().iter().map(|sent| Proof::of(sent).claims.get("nonce").cloned()).collect();
    assert_eq!(nonces, [None, Some("n1".into())], "once more, and no oftener");
}

/// Anything else it says is handed back as it came, and the grant is not presented again.
#[test]
fn other_refusals_of_the_token_endpoint_are_handed_back() {
    const WANTS: &str = "{\"error\":\"use_dpop_nonce\"}";
    for (status, nonce, text, sends) in [
        (400, true, WANTS, 2),
        (401, true, WANTS, 2),
        (400, false, WANTS, 1),
        (500, true, WANTS, 1),
        (403, true, WANTS, 1),
        (400, true, "{\"error\":\"invalid_grant\"}", 1),
        (400, true, "no JSON", 1),
        (401, true, "", 1),
    ] {
        let (login, endpoint) = token_endpoint();
        endpoint.answer_with(move |_| {
            let refusal = response(status).map(|_| Body::from(text));
            if nonce { with_nonce(refusal, "n1") } else { refusal }
        });

        let answer = block_on(login.send(token_request("grant".into()))).unwrap();

        assert_eq!((answer.status().as_u16(), endpoint.calls()), (status, sends), "{text}");
        assert_eq!(block_on(answer.into_body().text()).unwrap(), text);
    }
}

/// However long it is, and even if its body fails: that is for whoever reads it.
#[test]
fn a_refusal_is_handed_back_whatever_its_body_does() {
    let (login, endpoint) = token_endpoint();
    endpoint.answer_with(|request| {
        let long = Body::from(vec![b'x'; 200_000]);
        let failing = Body::stream(futures::stream::iter([Ok("{"), Err(std::io::Error::other("reset"))]));
        let body = if request.uri().path() == "/long" { long } else { failing };
        with_nonce(response(400).map(|_| body), "n1")
    });
    let send = |path: &str| {
        let request = Request::post(format!("https://login.example.com{path}")).body(Body::empty()).unwrap();
        block_on(login.send(request)).unwrap().into_body()
    };

    assert_eq!(block_on(send("/long").bytes()).unwrap().len(), 200_000);
    assert!(block_on(send("/failing").bytes()).is_err());
    assert_eq!(endpoint.calls(), 2);
}

/// N3: a nonce is kept for the origin that the response came from.
#[test]
fn a_nonce_is_of_the_origin_that_answered() {
    let (login, endpoint) = token_endpoint();
    endpoint.answer_with(|_| {
        let mut elsewhere = with_nonce(response(200), "n1");
        elsewhere.extensions_mut().insert(FinalUri(OTHER.parse().unwrap()));
        elsewhere
    });

    for uri in [TOKEN_ENDPOINT, TOKEN_ENDPOINT, OTHER] {
        block_on(login.send(Request::get(uri).body(Body::empty()).unwrap())).unwrap();
    }

    let nonces: Vec<_> =
        endpoint.log().iter().map(|sent| Proof::of(sent).claims.get("nonce").cloned()).collect();
    assert_eq!(nonces, [None, None, Some("n1".into())]);
}

/// N3 (RFC 9449 §9): nor is an authorization server's nonce the API's where both are at one origin.
#[test]
fn the_nonces_of_a_login_and_of_an_api_are_two() {
    let world = world();
    let (transport, endpoint) = ScriptedTransport::new();
    let login = DpopTransport::new(transport, world.dpop.clone());
    endpoint.answer_with(|_| with_nonce(response(200), "login"));
    world.api.answer_with(|_| with_nonce(response(200), "api"));

    for _ in 0..2 {
        block_on(login.send(Request::post(format!("{API}/token")).body(Body::empty()).unwrap())).unwrap();
        world.get(&format!("{API}/notes"));
    }

    for (log, nonce) in [(endpoint.log(), "login"), (world.api.log(), "api")] {
        let nonces: Vec<_> = log.iter().map(|sent| Proof::of(sent).claims.get("nonce").cloned()).collect();
        assert_eq!(nonces, [None, Some(nonce.into())]);
    }
}

#[test]
fn a_request_that_carries_a_proof_is_left_alone() {
    let (login, endpoint) = token_endpoint();
    endpoint.answer_with(|_| refusal("use_dpop_nonce"));

    let request = Request::post(TOKEN_ENDPOINT).header("dpop", "mine").body(Body::empty()).unwrap();
    block_on(login.send(request)).unwrap();

    let [sent] = <[Sent; 1]>::try_from(endpoint.log()).unwrap();
    assert_eq!(sent.headers["dpop"], "mine");
}

/// A 401 that asks for a nonce and has none gives the client nothing to prove.
#[test]
fn a_response_without_a_nonce_is_no_reason_for_a_new_proof() {
    let (head, _) = response(401).into_parts();
    assert_eq!(dpop().observe(&API.parse().unwrap(), &head), Observed::Nothing);
    let (head, _) = with_nonce(response(401), "n1").into_parts();
    assert_eq!(dpop().observe(&API.parse().unwrap(), &head), Observed::NewProof);
}

#[test]
fn what_cannot_be_sent_again_is_handed_back() {
    let (login, endpoint) = token_endpoint();
    endpoint.answer_with(|_| refusal("use_dpop_nonce"));

    let once = Body::stream(futures::stream::iter([Ok::<_, std::io::Error>("grant")]));
    let answer = block_on(login.send(token_request(once))).unwrap();

    assert_eq!((answer.status(), endpoint.calls()), (http::StatusCode::BAD_REQUEST, 1));
    assert_eq!(block_on(answer.into_body().text()).unwrap(), "{\"error\":\"use_dpop_nonce\"}");
}

#[test]
fn a_request_that_cannot_be_signed_is_not_sent() {
    let (login, endpoint) = token_endpoint();

    let error = block_on(login.send(Request::post("/token").body(Body::empty()).unwrap())).unwrap_err();

    assert!(error.is_unsendable() && !error.is_maybe_sent());
    assert_eq!(endpoint.calls(), 0);
    assert!(RefreshError::from(error).is_misconfigured(), "asking again helps nobody");
}

/// L6: no part of the key nor of a token is in what these types print.
#[test]
fn nothing_that_is_secret_is_printed() {
    let world = world();
    let secret = world.dpop.key().to_bytes();
    let (login, _) = token_endpoint();
    let error = DpopKey::from_bytes(&secret[1..]).unwrap_err();
    let printed = format!("{:?} {:#?} {login:?} {error:?} {error}", world.dpop, world.dpop.key());

    let hex: String = secret.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    for text in [format!("{:?}", &secret[..4]), Base64UrlUnpadded::encode_string(&secret), hex] {
        assert!(
            !printed.to_ascii_lowercase().contains(&text.trim_matches(['[', ']']).to_ascii_lowercase()),
            "{printed}"
        );
    }
    assert!(printed.contains(world.dpop.key().thumbprint()));
    let tokens = Tokens::new("T0").unwrap().with_token_type("Bearer");
    assert!(!format!("{:?}", world.dpop.prepare(&tokens).unwrap_err()).contains("T0"));
}
