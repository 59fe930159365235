//! An origin, a URI, and any of the words `any` and `insecure`, each on a line of its own.
#![no_main]

#[allow(dead_code, reason = "the tests call what is not called here")]
#[path = "../../tests/parsers/laws/origin.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|data: &[u8]| laws::any_bytes(data));
