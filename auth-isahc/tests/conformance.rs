//! The contract of `Transport`, clause by clause.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::time::Duration;

use auth_isahc::IsahcTransport;
use auth_isahc::isahc::HttpClientBuilder;
use auth_isahc::isahc::config::{Configurable as _, RedirectPolicy, VersionNegotiation};
use auth_testkit::conformance::TransportSuite;

const SILENT: &str = "isahc looks whether it is still wanted when the server sends something";
const BEGUN: &str = "isahc sends no more of a request once its response has begun";
const HEAD: &str = "isahc hands a response over with the first byte of its body";

fn made(builder: HttpClientBuilder) -> IsahcTransport {
    IsahcTransport::new(builder.proxy(None).build().unwrap())
}

fn suite(builder: fn() -> HttpClientBuilder) -> TransportSuite {
    let pooled = move || {
        let single_use = IsahcTransport::single_use_builder().proxy(None).build().unwrap();
        made(builder()).with_single_use(single_use)
    };
    TransportSuite::new(pooled)
        .impatient(move || made(builder().timeout(Duration::from_millis(100))))
        .following_redirects(move || made(builder().redirect_policy(RedirectPolicy::Limit(3))))
        .gap("head_first", HEAD)
        .gap("both_ways", BEGUN)
        .gap("abandons_waiting", SILENT)
        .gap("drops_a_silent_response", SILENT)
}

#[test]
fn the_default_keeps_the_contract() {
    suite(IsahcTransport::client_builder)
        .gap("once_safe", "libcurl sends a request without a body again")
        .run()
        .assert();
}

#[test]
fn what_is_used_once_keeps_the_contract() {
    suite(IsahcTransport::single_use_builder)
        .gap("used_again", "it makes a connection for each request")
        .run()
        .assert();
}

#[test]
fn http2_keeps_the_contract() {
    suite(|| IsahcTransport::client_builder().version_negotiation(VersionNegotiation::http2()))
        .run()
        .assert();
}
