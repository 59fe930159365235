//! Bodies move as they are produced, both ways, and stop when they are given up.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use auth_core::Transport;
use auth_testkit::server::TestServer;
use support::{bounded, fed, get, http2_transport, next, request, transport};

#[tokio::test]
async fn the_first_chunk_down_arrives_before_the_second_is_sent() {
    let server = TestServer::start().unwrap();
    let response = bounded(transport().send(get(&server, "/stream?chunks=2"))).await.unwrap();
    let mut body = response.into_body();

    assert_eq!(bounded(next(&mut body)).await.unwrap().unwrap(), "chunk 0\n");
    assert_eq!(server.stats().chunks, 1);

    server.let_chunks_out(1);
    assert_eq!(bounded(next(&mut body)).await.unwrap().unwrap(), "chunk 1\n");
    assert!(bounded(next(&mut body)).await.is_none());
}

#[tokio::test]
async fn the_first_chunk_up_arrives_before_the_second_is_produced() {
    for transport in [transport(), http2_transport()] {
        let server = TestServer::start().unwrap();
        let (feed, body) = fed();
        feed.unbounded_send(Ok("first".into())).unwrap();

        let response =
            bounded(transport.send(request(&server, "POST", server.api("/echo"), body))).await.unwrap();
        let mut echoed = response.into_body();
        assert_eq!(bounded(next(&mut echoed)).await.unwrap().unwrap(), "first");

        feed.unbounded_send(Ok("second".into())).unwrap();
        assert_eq!(bounded(next(&mut echoed)).await.unwrap().unwrap(), "second");
        drop(feed);
        let end = bounded(next(&mut echoed)).await;
        assert!(end.is_none(), "{end:?}");
    }
}

#[tokio::test]
async fn giving_up_a_request_closes_its_connection() {
    let server = TestServer::start().unwrap();
    server.hold_api();
    let sending = tokio::spawn(transport().send_owned(get(&server, "/notes")));
    bounded(server.when(|stats| stats.api_held == 1)).await;

    sending.abort();

    let stats = bounded(server.when(|stats| stats.open_connections == 0)).await;
    assert_eq!((stats.api_held, stats.api_requests), (0, 1));
}

#[tokio::test]
async fn dropping_a_response_unread_closes_its_connection() {
    let server = TestServer::start().unwrap();
    let response = bounded(transport().send(get(&server, "/stream?chunks=1000000"))).await.unwrap();

    drop(response);

    bounded(server.when(|stats| stats.open_connections == 0)).await;
}

trait SendOwned {
    fn send_owned(self, request: http::Request<auth_core::Body>) -> impl Future<Output = ()> + Send;
}

impl<T: Transport> SendOwned for T {
    async fn send_owned(self, request: http::Request<auth_core::Body>) {
        let _ = self.send(request).await;
    }
}
