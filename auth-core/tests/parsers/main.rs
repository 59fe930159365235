//! What holds of the parsers, whatever they are given: of texts that are well formed, in every spelling, and of any bytes.
//!
//! `laws` says what holds of any bytes, and is shared with the fuzz targets (`auth-core/fuzz`). The tests beside it make
//! the inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(unreachable_pub, reason = "these modules are one program")]

mod challenges;
mod laws;
mod origin;
mod pen;
mod seeds;
mod stored_tokens;
mod token_response;

use proptest::test_runner::{Config, RngSeed};

/// So many cases, the same ones in every run.
fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(0x5eed), ..Config::default() }
}
