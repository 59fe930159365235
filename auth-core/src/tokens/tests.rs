//! Tests of the tokens.

use std::time::UNIX_EPOCH;

use super::*;

#[test]
fn a_wall_clock_that_jumps_back_lengthens_no_lifetime() {
    let received = UNIX_EPOCH + Duration::from_secs(1_000_000);
    let tokens = Tokens::new("T0").unwrap().with_expires_in(Duration::from_secs(60), received);

    let earlier = received - Duration::from_secs(86_400);

    assert_eq!(tokens.remaining(earlier), Some(Duration::from_secs(60)));
    assert_eq!(tokens.remaining(received + Duration::from_secs(20)), Some(Duration::from_secs(40)));
    assert_eq!(tokens.remaining(received + Duration::from_secs(90)), Some(Duration::ZERO));
}

#[test]
fn stored_form_keeps_everything() {
    let received = UNIX_EPOCH + Duration::from_secs(1_000_000);
    let tokens = Tokens::new("T0")
        .unwrap()
        .with_refresh_token("R0")
        .with_expires_in(Duration::from_secs(60), received)
        .with_refresh_expires_in(Duration::from_secs(600), received)
        .with_scope("a b")
        .with_token_type("BEARER")
        .with_sign_in_id(Some(SignInId::from_random(1, 2)));

    let text = serde_json::to_string(&tokens.to_stored()).unwrap();
    let read: StoredTokens = serde_json::from_str(&text).unwrap();

    assert_eq!(Tokens::try_from(read).unwrap(), tokens);
}

#[test]
fn a_sign_in_id_has_all_of_its_bits() {
    let id = SignInId::from_random(1, 2);

    assert_eq!(id.to_string(), "00000000000000010000000000000002");
    assert_eq!(format!("{id:?}"), "SignInId(00000000000000010000000000000002)");
    assert_eq!(SignInId::parse(&id.to_string()), Some(id));
}

#[test]
fn a_stored_time_beyond_the_clock_is_no_panic() {
    let stored = StoredTokens { expires_at_ms: Some(u64::MAX), ..Tokens::new("T").unwrap().to_stored() };

    assert!(Tokens::try_from(stored).is_ok());
}
