//! My API wants another header: what now? One with `X-Api-Token: …`, and one that wants the token's tenant beside it.
#![allow(clippy::print_stdout, reason = "a program for a person")]

use std::error::Error as StdError;

use auth_core::{AuthClient, Body, InvalidToken, Lease, Scheme, SchemeError, Session, TokenHeader, Tokens};
use auth_testkit::{ScriptedRefresher, ScriptedTransport, numbered, response};
use futures::executor::block_on;
use http::header::{HeaderName, HeaderValue};
use http::{Request, request};

const TOKEN: HeaderName = HeaderName::from_static("x-api-token");
const TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// The bare token in one header, and on every attempt a second header beside it.
struct WithTenant {
    token: TokenHeader,
    tenant: HeaderValue,
}

impl Scheme for WithTenant {
    /// Once a refresh.
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
        self.token.prepare(tokens)
    }

    fn header(&self) -> Option<HeaderName> {
        self.token.header()
    }

    /// Once an attempt: a signature over the request would be made here, too.
    fn apply(&self, request: &mut request::Parts, _lease: &Lease) -> Result<(), SchemeError> {
        request.headers.insert(TENANT, self.tenant.clone());
        Ok(())
    }
}

fn show(scheme: impl Scheme) -> Result<(), Box<dyn StdError>> {
    // An API that has moved on to T1, and a token endpoint that gives it for R0.
    let (transport, api) = ScriptedTransport::new();
    api.answer_with(|request| {
        let good = request.headers().get(TOKEN).is_some_and(|token| token == "T1");
        response(if good { 200 } else { 401 })
    });
    let (refresher, _) = ScriptedRefresher::rotating();

    // No runtime is chosen: the session's tasks have a thread of their own.
    let session = Session::builder(refresher).scheme(scheme).build();
    let client = AuthClient::builder(transport, session.clone()).origin("https://api.example.com").build()?;
    block_on(session.sign_in(numbered(0)))?;
    let answer = block_on(client.send(Request::get("/notes").body(Body::empty())?))?;

    for sent in api.log() {
        let header = |name: HeaderName| {
            let value = sent.headers.get(&name)?.to_str().ok()?;
            Some(format!("{name}: {value}"))
        };
        let headers: Vec<_> = [TOKEN, TENANT].into_iter().filter_map(header).collect();
        println!("  sent with {}", headers.join(", "));
    }
    println!("  answered with {}", answer.status());
    Ok(())
}

fn main() -> Result<(), Box<dyn StdError>> {
    println!("a header of another name:");
    show(TokenHeader::new(TOKEN))?;
    println!("a header more:");
    show(WithTenant { token: TokenHeader::new(TOKEN), tenant: HeaderValue::from_static("acme") })
}
