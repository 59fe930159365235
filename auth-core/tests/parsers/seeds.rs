//! Seeds: the inputs that the fuzz targets begin with, and what they have found since, keep the laws.

use std::path::Path;

use crate::laws;

/// Every file of a target's seeds.
fn each(target: &str, law: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let data = std::fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| law(&data));
        assert!(outcome.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count > 0);
}

/// B3
#[test]
fn seeds_of_challenges_keep_the_laws() {
    each("challenges", laws::challenges::any_bytes);
}

/// L6
#[test]
fn seeds_of_token_responses_keep_the_laws() {
    each("token_response", laws::token_response::any_bytes);
}

/// L6
#[test]
fn seeds_of_stored_tokens_keep_the_laws() {
    each("stored_tokens", laws::stored_tokens::any_bytes);
}

/// L2
#[test]
fn seeds_of_origins_keep_the_laws() {
    each("origin", laws::origin::any_bytes);
}
