//! A response of a token endpoint: a status, lines of headers, an empty line, and the body.
#![no_main]

#[allow(dead_code, reason = "the tests call what is not called here")]
#[path = "../../tests/parsers/laws/token_response.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|data: &[u8]| laws::any_bytes(data));
