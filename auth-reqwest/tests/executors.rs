//! The transport on executors that are not tokio, and without any tokio at all.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use auth_core::{Body, Transport};
use auth_reqwest::ReqwestTransport;
use auth_testkit::server::TestServer;
use http::{Request, StatusCode};
use support::{LONG, get, on_a_thread, poll_once, request, transport};
use tokio::runtime::{Builder, Runtime};

fn driven() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Sends and reads, both ways streaming, a few times on one connection pool.
async fn exchange(transport: &ReqwestTransport, server: &TestServer) {
    for _ in 0..3 {
        let response = transport.send(request(server, "POST", server.api("/echo"), "text")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.into_body().text().await.unwrap(), "text");
    }
}

#[test]
fn it_works_under_the_futures_executor_and_smol() {
    on_a_thread(|| {
        let (runtime, server) = (driven(), TestServer::start().unwrap());
        let transport = transport().with_handle(runtime.handle().clone());

        futures::executor::block_on(exchange(&transport, &server));
        smol::block_on(exchange(&transport, &server));
    });
}

/// A client with timeouts starts timers when it sends and whenever its responses are read.
#[test]
fn it_works_there_with_timeouts_too() {
    on_a_thread(|| {
        let (runtime, server) = (driven(), TestServer::start().unwrap());
        let builder = ReqwestTransport::client_builder().no_proxy();
        let client = builder.connect_timeout(LONG).read_timeout(LONG).timeout(LONG).build().unwrap();
        let transport = ReqwestTransport::new(client).with_handle(runtime.handle().clone());

        futures::executor::block_on(exchange(&transport, &server));
    });
}

#[test]
fn it_keeps_the_runtime_it_was_made_in() {
    on_a_thread(|| {
        let (runtime, server) = (driven(), TestServer::start().unwrap());
        let transport = runtime.block_on(async { transport() });

        futures::executor::block_on(exchange(&transport, &server));
    });
}

#[tokio::test]
async fn made_outside_of_tokio_it_uses_the_runtime_it_is_sent_from() {
    let transport = std::thread::spawn(ReqwestTransport::default).join().unwrap();
    let server = TestServer::start().unwrap();
    let url = server.api("/notes");

    let response = transport.send(Request::get(url).body(Body::empty()).unwrap()).await;

    assert!(response.is_ok());
}

#[test]
fn it_survives_the_runtime_it_was_used_in() {
    on_a_thread(|| {
        let server = TestServer::start().unwrap();
        let transport = transport();

        for _ in 0..2 {
            driven().block_on(exchange(&transport, &server));
            let current = Builder::new_current_thread().enable_all().build().unwrap();
            current.block_on(exchange(&transport, &server));
        }
    });
}

#[test]
fn what_is_given_up_outside_of_tokio_does_not_panic() {
    on_a_thread(|| {
        let (runtime, server) = (driven(), TestServer::start().unwrap());
        let transport = transport().with_handle(runtime.handle().clone());
        let send = |path: &str| transport.send(get(&server, path));

        // Unread, read in part, and read by nobody at any stage of sending.
        drop(futures::executor::block_on(send("/notes")).unwrap());
        let mut body = futures::executor::block_on(send("/stream?chunks=2")).unwrap().into_body();
        futures::executor::block_on(body.frame()).unwrap().unwrap();
        drop(body);
        for _ in 0..20 {
            // Most are given up half-way; on a machine that is busy one may be answered within its poll.
            drop(poll_once(send("/notes")));
        }
        server.hold_api();
        let held = server.when(|stats| stats.api_held == 1);
        drop(futures::executor::block_on(futures::future::select(send("/notes"), held)));

        futures::executor::block_on(server.when(|stats| stats.api_held == 0));
    });
}

#[test]
fn without_a_runtime_it_says_so() {
    on_a_thread(|| {
        let server = TestServer::start().unwrap();

        let error = futures::executor::block_on(transport().send(get(&server, "/notes"))).unwrap_err();

        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("no tokio runtime"), "{cause}");
        assert!(error.is_unsendable() && !error.is_maybe_sent());
        assert_eq!(server.stats().connections, 0);
    });
}

#[test]
fn a_runtime_that_cannot_serve_is_an_error_and_no_panic() {
    on_a_thread(|| {
        let server = TestServer::start().unwrap();
        let bare = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let ended = driven().handle().clone();

        for handle in [bare.handle().clone(), ended] {
            let transport = transport().with_handle(handle);
            assert!(futures::executor::block_on(transport.send(get(&server, "/notes"))).is_err());
        }
    });
}
