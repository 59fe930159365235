//! The same load while the server revokes the access token again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::server::Server;
use super::{Backend, load, sides};

pub(crate) struct Rotating {
    pub(crate) rotations: usize,
    pub(crate) requests_a_second: f64,
    pub(crate) token_calls: usize,
    pub(crate) failed: usize,
}

/// A rotation every second; briefly, they follow each other faster.
pub(crate) fn measure<B: Backend>(backend: &B, server: &Server, rotations: usize, brief: bool) -> Rotating {
    let client = sides::client(backend, server);
    let pause = Duration::from_millis(if brief { 100 } else { 1000 });
    let go_on = AtomicBool::new(true);
    let start = Instant::now();
    let (sent, failed) = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(pause / 2);
            for _ in 0..rotations {
                server.revoke();
                std::thread::sleep(pause);
            }
            go_on.store(false, Ordering::Relaxed);
        });
        let send = async || sides::get(&client, &server.api()).await;
        backend.block_on(load::keep_busy(|_| go_on.load(Ordering::Relaxed), send))
    });
    let requests_a_second = sent as f64 / start.elapsed().as_secs_f64();
    Rotating { rotations, requests_a_second, token_calls: server.token_calls(), failed }
}
