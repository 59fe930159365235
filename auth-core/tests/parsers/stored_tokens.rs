//! Stored tokens: what was written is read, and what else stands there does no harm.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_core::{StoredTokens, Tokens};
use proptest::prelude::*;
use serde_json::Value;

use crate::cases;
use crate::laws::stored_tokens::{self as laws, again};

/// A time of the wall clock, before 1970 and beyond every clock among them.
fn at() -> impl Strategy<Value = SystemTime> {
    prop_oneof![
        (any::<u32>(), 0..1_000_000_000_u32)
            .prop_map(|(secs, nanos)| UNIX_EPOCH + Duration::new(u64::from(secs), nanos)),
        any::<u32>().prop_map(|secs| UNIX_EPOCH - Duration::from_secs(u64::from(secs))),
        Just(UNIX_EPOCH + Duration::from_secs(u64::MAX / 2000)),
    ]
}

fn lifetime() -> impl Strategy<Value = Duration> {
    prop_oneof![
        any::<u32>().prop_map(|millis| Duration::from_millis(u64::from(millis))),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
    ]
}

fn tokens() -> impl Strategy<Value = Tokens> {
    let text = || prop::option::of("\\PC{0,12}|[bB][eE]arer");
    (
        "[!-~]([ -~]{0,20}[!-~])?",
        (text(), text(), text()),
        prop::option::of((at(), prop::option::of(lifetime()))),
        prop::option::of((at(), prop::option::of(lifetime()))),
    )
        .prop_map(|(access, (refresh, kind, scope), access_life, refresh_life)| {
            let mut tokens = Tokens::new(access).unwrap();
            if let Some(refresh) = refresh {
                tokens = tokens.with_refresh_token(refresh);
            }
            if let Some(kind) = kind {
                tokens = tokens.with_token_type(kind);
            }
            if let Some(scope) = scope {
                tokens = tokens.with_scope(scope);
            }
            tokens = match access_life {
                None => tokens,
                Some((at, None)) => tokens.with_expires_at(at),
                Some((at, Some(lifetime))) => tokens.with_expires_in(lifetime, at),
            };
            match refresh_life {
                None => tokens,
                Some((at, None)) => tokens.with_refresh_expires_at(at),
                Some((at, Some(lifetime))) => tokens.with_refresh_expires_in(lifetime, at),
            }
        })
}

/// Whether a time came back as whole milliseconds of 1970 and later can say it.
fn is_rounded(read: Option<SystemTime>, given: Option<SystemTime>) -> bool {
    match (read, given) {
        (Some(read), Some(given)) if given < UNIX_EPOCH => read == UNIX_EPOCH,
        (Some(read), Some(given)) => {
            given.duration_since(read).is_ok_and(|lost| lost < Duration::from_millis(1))
        }
        (read, given) => read == given,
    }
}

/// The fields of stored tokens, each of any shape.
fn hostile() -> impl Strategy<Value = Value> {
    const FIELDS: [&str; 10] = [
        "access_token",
        "refresh_token",
        "token_type",
        "expires_at_ms",
        "expires_in_ms",
        "refresh_expires_at_ms",
        "refresh_expires_in_ms",
        "scope",
        "sign_in_id",
        "of_a_newer_version",
    ];
    let millis = prop_oneof![any::<u64>(), Just(u64::MAX), Just(0), 1_700_000_000_000..1_900_000_000_000_u64];
    let value = prop_oneof![
        2 => millis.prop_map(Value::from),
        2 => "[ -~]{0,16}|[0-9a-fA-F]{32}|[0-9a-f]{1,33}|[+-][0-9a-f]{1,4}|bEARER|\\PC{0,6}".prop_map(Value::from),
        1 => Just(Value::Null),
        1 => prop_oneof![any::<f64>().prop_map(Value::from), any::<i64>().prop_map(Value::from)],
    ];
    let text = "[!-~]{1,8}|[ -~]{0,4}|\\PC{0,4}";
    (
        prop::option::weighted(0.9, text),
        prop::collection::vec((prop::sample::select(&FIELDS[1..]), value), 0..6),
    )
        .prop_map(|(access, others)| {
            let mut fields = serde_json::Map::new();
            if let Some(access) = access {
                fields.insert("access_token".to_owned(), access.into());
            }
            fields.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
            Value::Object(fields)
        })
}

proptest! {
    #![proptest_config(cases(500))]

    /// What was stored is read as it was, but for what is finer than a millisecond or older than 1970; and from then on
    /// it stays the same.
    #[test]
    fn stored_tokens_are_read_as_they_were(tokens in tokens()) {
        let read = again(&tokens);

        prop_assert!(read.access_token() == tokens.access_token());
        prop_assert!(read.refresh_token() == tokens.refresh_token());
        prop_assert_eq!(read.token_type(), tokens.token_type());
        prop_assert_eq!(read.scope(), tokens.scope());
        prop_assert!(is_rounded(read.expires_at(), tokens.expires_at()));
        prop_assert!(is_rounded(read.refresh_expires_at(), tokens.refresh_expires_at()));
        let millis = |lifetime: Duration| Duration::from_millis(u64::try_from(lifetime.as_millis()).unwrap());
        prop_assert_eq!(read.expires_in(), tokens.expires_in().map(millis));
        prop_assert!(again(&read) == read);
        laws::any_bytes(serde_json::to_string(&tokens.to_stored()).unwrap().as_bytes());
    }

    /// A newer version's file is read by an older one: unknown fields are passed over.
    #[test]
    fn unknown_fields_are_passed_over(tokens in tokens(), name in "[a-z_]{1,12}", value in hostile()) {
        let mut fields = serde_json::to_value(tokens.to_stored()).unwrap();
        prop_assume!(fields.get(&name).is_none());

        fields[format!("x_{name}")] = value;
        let read: StoredTokens = serde_json::from_value(fields).unwrap();

        prop_assert!(read == tokens.to_stored());
    }

    /// L6: the laws hold of a file whose fields have any shape.
    #[test]
    fn any_fields_keep_the_laws(fields in hostile(), cut in any::<prop::sample::Index>()) {
        let text = fields.to_string();
        laws::any_bytes(text.as_bytes());
        laws::any_bytes(&text.as_bytes()[..cut.index(text.len() + 1)]);
    }

    /// L6: and of any bytes.
    #[test]
    fn any_bytes_keep_the_laws(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        laws::any_bytes(&bytes);
    }

    /// A5: an access token is exactly what can be a header's value and arrives as it was sent.
    #[test]
    fn an_access_token_is_what_a_header_can_carry(text in "[ -~]{0,8}|[\t\r\n !-~\u{7f}é]{0,6}|\\PC{0,8}") {
        laws::any_text(&text);
    }
}
