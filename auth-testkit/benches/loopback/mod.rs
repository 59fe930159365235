//! What a request costs its client, end to end over loopback: the raw HTTP library, this project over it, its adapter
//! alone, and a middleware by hand.
//!
//! Shared by the adapters' benchmarks, and no part of any crate's API. The server is a child process (the same program once more), so
//! that the client's CPU time has nothing of it. The sides take turns in short rounds of one run, and what is compared are the ratios
//! within a round: a machine that others share is slow for all sides of a round, or for none.

mod cpu;
mod load;
mod rotate;
mod server;
mod sides;

use auth_core::{Runtime, Transport};
use http::HeaderValue;
use serde_json::json;

use server::Server;
use sides::Sides;

/// So many requests are under way at any time.
const CONNECTIONS: usize = 64;

/// An HTTP library, raw and as a transport. Both are to share their connections.
pub(crate) trait Backend {
    const NAME: &'static str;

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T;

    fn transport(&self) -> impl Transport + Clone;

    fn runtime(&self) -> impl Runtime;

    /// A GET with this header, by the library alone: the status, and the length of the body, which is read to its end.
    async fn get(&self, url: &str, authorization: HeaderValue) -> Option<(u16, usize)>;
}

pub(crate) fn run<B: Backend>(backend: impl FnOnce() -> B) {
    if server::is_wanted() {
        return server::run();
    }
    // `cargo test --benches` runs this too: a short look at whether it still works.
    let brief = !std::env::args().any(|arg| arg == "--bench");
    let (rounds, requests) = if brief { (1, 128) } else { (150, 1_000) };
    let backend = backend();
    let server = Server::start();

    let costs = Sides::new(&backend, &server).measure(rounds, requests);
    println!("client CPU a request over {}, {CONNECTIONS} connections, in us:", B::NAME);
    println!("  {:<16} {:>8} {:>8}", "", "us", "of raw");
    for (side, cost) in ["raw", "AuthClient", "its adapter", "by hand"].iter().zip(&costs) {
        println!("  {side:<16} {:>8.2} {:>8.3}", cost.us, cost.over_raw);
    }

    let rotating = rotate::measure(&backend, &server, if brief { 2 } else { 10 }, brief);
    println!(
        "{} rotations: {:.0} requests a second, {} token calls, {} requests failed",
        rotating.rotations, rotating.requests_a_second, rotating.token_calls, rotating.failed
    );

    let [raw, ours, adapter, by_hand] = costs;
    let summary = json!({
        "backend": B::NAME,
        "raw_us": round(raw.us),
        "ours_us": round(ours.us),
        "adapter_us": round(adapter.us),
        "by_hand_us": round(by_hand.us),
        "ours_over_raw": round(ours.over_raw),
        "adapter_over_raw": round(adapter.over_raw),
        "by_hand_over_raw": round(by_hand.over_raw),
        "requests_a_second_rotating": rotating.requests_a_second.round(),
        "token_calls": rotating.token_calls,
        "rotations": rotating.rotations,
        "failed": rotating.failed,
    });
    println!("{summary}");
    assert_eq!(rotating.failed, 0, "a request failed during a rotation");
    assert_eq!(rotating.token_calls, rotating.rotations, "not one token call a rotation");
}

fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
