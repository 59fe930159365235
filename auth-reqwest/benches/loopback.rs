//! What a request costs end to end over reqwest: `cargo bench -p auth-reqwest --bench loopback`.
//!
//! The last line is one JSON object. See `auth-testkit/benches/loopback/mod.rs` for what is measured, and how.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that panics has failed")]
#![allow(clippy::print_stdout, reason = "a benchmark speaks to its user")]

#[path = "../../auth-testkit/benches/loopback/mod.rs"]
mod loopback;

use auth_core::{Runtime, Transport};
use auth_reqwest::{ReqwestTransport, TokioRuntime};
use http::HeaderValue;
use http::header::AUTHORIZATION;

/// A runtime on one thread: threads that look for work of each other's would be in the figures.
struct Reqwest {
    client: reqwest::Client,
    tokio: tokio::runtime::Runtime,
}

impl loopback::Backend for Reqwest {
    const NAME: &'static str = "reqwest";

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.tokio.block_on(future)
    }

    fn transport(&self) -> impl Transport + Clone {
        ReqwestTransport::new(self.client.clone())
    }

    fn runtime(&self) -> impl Runtime {
        TokioRuntime::new(self.tokio.handle().clone())
    }

    async fn get(&self, url: &str, authorization: HeaderValue) -> Option<(u16, usize)> {
        let response = self.client.get(url).header(AUTHORIZATION, authorization).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.bytes().await.ok()?.len()))
    }
}

fn main() {
    loopback::run(|| Reqwest {
        client: ReqwestTransport::client_builder().no_proxy().build().unwrap(),
        tokio: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
    });
}
