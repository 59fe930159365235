//! Lines of `WWW-Authenticate`.
#![no_main]

#[allow(dead_code, reason = "the tests call what is not called here")]
#[path = "../../tests/parsers/laws/challenges.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|data: &[u8]| laws::any_bytes(data));
