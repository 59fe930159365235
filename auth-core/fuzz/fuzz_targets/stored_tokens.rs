//! A store's file.
#![no_main]

#[allow(dead_code, reason = "the tests call what is not called here")]
#[path = "../../tests/parsers/laws/stored_tokens.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|data: &[u8]| laws::any_bytes(data));
