//! What a request costs end to end over isahc: `cargo bench -p auth-isahc --bench loopback`.
//!
//! The last line is one JSON object. See `auth-testkit/benches/loopback/mod.rs` for what is measured, and how.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that panics has failed")]
#![allow(clippy::print_stdout, reason = "a benchmark speaks to its user")]

#[path = "../../auth-testkit/benches/loopback/mod.rs"]
mod loopback;

use auth_core::{Runtime, StandaloneRuntime, Transport};
use auth_isahc::IsahcTransport;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use isahc::config::Configurable as _;
use isahc::{AsyncReadResponseExt as _, HttpClient};

/// A client's own thread, and the one that waits: both are in the figures.
struct Isahc {
    client: HttpClient,
}

impl loopback::Backend for Isahc {
    const NAME: &'static str = "isahc";

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        futures::executor::block_on(future)
    }

    fn transport(&self) -> impl Transport + Clone {
        IsahcTransport::new(self.client.clone())
    }

    fn runtime(&self) -> impl Runtime {
        StandaloneRuntime::new()
    }

    async fn get(&self, url: &str, authorization: HeaderValue) -> Option<(u16, usize)> {
        let request = Request::get(url).header(AUTHORIZATION, authorization).body(()).ok()?;
        let mut response = self.client.send_async(request).await.ok()?;
        let body = response.bytes().await.ok()?;
        Some((response.status().as_u16(), body.len()))
    }
}

fn main() {
    loopback::run(|| Isahc { client: IsahcTransport::client_builder().proxy(None).build().unwrap() });
}
