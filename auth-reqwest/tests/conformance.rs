//! The contract of `Transport`, clause by clause.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::time::Duration;

use auth_reqwest::ReqwestTransport;
use auth_reqwest::reqwest::{ClientBuilder, redirect};
use auth_testkit::conformance::TransportSuite;
use support::{http2_transport, transport};
use tokio::runtime::{Builder, Runtime};

fn driven() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn it_keeps_the_contract() {
    let runtime = driven();
    // The suite knows no tokio, so each transport brings the runtime with it.
    let within = |make: fn() -> ReqwestTransport| {
        let handle = runtime.handle().clone();
        move || make().with_handle(handle.clone())
    };
    let with = |change: fn(ClientBuilder) -> ClientBuilder| {
        let handle = runtime.handle().clone();
        move || {
            let builder = ReqwestTransport::client_builder().no_proxy();
            ReqwestTransport::new(change(builder).build().unwrap()).with_handle(handle.clone())
        }
    };

    TransportSuite::new(within(transport))
        .http2(within(http2_transport))
        .impatient(with(|builder| builder.timeout(Duration::from_millis(100))))
        .following_redirects(with(|builder| builder.redirect(redirect::Policy::limited(3))))
        .run()
        .assert();
}

#[test]
fn it_keeps_the_contract_on_the_runtime_that_it_is_sent_from() {
    TransportSuite::new(transport)
        .block_on(|clause| Builder::new_current_thread().enable_all().build().unwrap().block_on(clause))
        .gap("executors", "without a handle it needs the runtime that it is sent from")
        .run()
        .assert();
}
