//! Pairs to save, and how one differs from another. What is said of a difference quotes no token.

use auth_core::{StoredTokens, Tokens};

use crate::conformance::clause::{KEPT, Verdict};

/// What every token here begins with, so that it can be found in a text.
pub(super) const SECRETS: [&str; 2] = ["qJ7xZ4kWv2mTgR9b", "hN5cYs8LfD3pUe6a"];

pub(super) const LONGEST: usize = 32 * 1024;

/// Everything is set, and differs from number to number. Times are of whole seconds.
pub(super) fn full(n: u64) -> Tokens {
    tokens(everything(n))
}

/// An access token, and nothing else.
pub(super) fn bare(n: u64) -> Tokens {
    tokens(nothing(n))
}

/// With another field each.
pub(super) fn one_field(n: u64) -> impl Iterator<Item = (&'static str, Tokens)> {
    FIELDS.iter().map(move |field| {
        let (mut stored, from) = (nothing(n), everything(n));
        (field.copy)(&mut stored, &from);
        (field.name, tokens(stored))
    })
}

/// Without another field each.
pub(super) fn without_one(n: u64) -> impl Iterator<Item = (&'static str, Tokens)> {
    FIELDS.iter().map(move |field| {
        let (mut stored, from) = (everything(n), nothing(n));
        (field.copy)(&mut stored, &from);
        (field.name, tokens(stored))
    })
}

/// The same, changed.
pub(super) fn changed(of: &Tokens, change: impl FnOnce(&mut StoredTokens)) -> Tokens {
    let mut stored = of.to_stored();
    change(&mut stored);
    tokens(stored)
}

/// The number of a pair, by its access token.
pub(super) fn number(tokens: &Tokens) -> Option<u64> {
    tokens.access_token().reveal().rsplit('.').next()?.parse().ok()
}

/// Whether something of a token stands in the text, as a text or as a list of bytes.
pub(super) fn quoted_in(text: &str) -> bool {
    SECRETS.iter().any(|secret| {
        secret.as_bytes().windows(8).any(|window| {
            let bytes = format!("{window:?}");
            let listed = bytes.trim_matches(['[', ']']);
            text.contains(&String::from_utf8_lossy(window) as &str) || text.contains(listed)
        })
    })
}

/// `when` completes the sentence of what is seen instead.
pub(super) fn same(expected: Option<&Tokens>, found: Option<&Tokens>, when: &str) -> Verdict {
    match (expected, found) {
        (None, None) => KEPT,
        (None, Some(_)) => Err(format!("{when} something is there")),
        (Some(_), None) => Err(format!("{when} nothing is there")),
        (Some(expected), Some(found)) => match difference(expected, found) {
            None => KEPT,
            Some(difference) => Err(format!("{when} {difference}")),
        },
    }
}

/// One of them, whole.
pub(super) fn one_of(expected: &[Option<&Tokens>], found: Option<&Tokens>, when: &str) -> Verdict {
    if expected.iter().any(|one| same(*one, found, when).is_ok()) {
        return KEPT;
    }
    let pair = expected.iter().rev().find_map(|one| *one);
    same(pair, found, &format!("{when} it is neither the old content nor the new one:"))
}

struct Field {
    name: &'static str,
    /// In a form that can be shown.
    show: fn(&StoredTokens) -> Option<String>,
    copy: fn(&mut StoredTokens, &StoredTokens),
}

macro_rules! field {
    ($name:ident, $show:expr) => {
        Field {
            name: stringify!($name),
            show: |stored| stored.$name.as_ref().map($show),
            copy: |to, from| to.$name.clone_from(&from.$name),
        }
    };
}

/// All that need not be there.
const FIELDS: &[Field] = &[
    field!(refresh_token, |text| secret(text)),
    field!(token_type, |text| shown(text)),
    field!(expires_at_ms, u64::to_string),
    field!(expires_in_ms, u64::to_string),
    field!(refresh_expires_at_ms, u64::to_string),
    field!(refresh_expires_in_ms, u64::to_string),
    field!(scope, |text| shown(text)),
    field!(sign_in_id, |text| shown(text)),
];

fn everything(n: u64) -> StoredTokens {
    let mut stored = nothing(n);
    stored.refresh_token = Some(format!("{}.{n}", SECRETS[1]));
    stored.token_type = Some(["Bearer", "DPoP", "mac"][(n % 3) as usize].to_owned());
    stored.expires_at_ms = Some(1_900_000_000_000 + n * 1000);
    stored.expires_in_ms = Some(3_600_000 + n * 1000);
    stored.refresh_expires_at_ms = Some(2_000_000_000_000 + n * 1000);
    stored.refresh_expires_in_ms = Some(86_400_000 + n * 1000);
    stored.scope = Some(format!("notes:read notes:{n}"));
    stored.sign_in_id = Some(format!("5a1e{n:028x}"));
    stored
}

fn nothing(n: u64) -> StoredTokens {
    let Ok(tokens) = Tokens::new(format!("{}.{n}", SECRETS[0])) else {
        unreachable!("it can stand in a header")
    };
    tokens.to_stored()
}

fn tokens(stored: StoredTokens) -> Tokens {
    let Ok(tokens) = Tokens::try_from(stored) else { unreachable!("the suite's access tokens are valid") };
    tokens
}

/// What a store keeps of it: `to_stored`.
fn difference(expected: &Tokens, found: &Tokens) -> Option<String> {
    let (expected, found) = (expected.to_stored(), found.to_stored());
    if expected.access_token != found.access_token {
        let (was, is) = (secret(&expected.access_token), secret(&found.access_token));
        return Some(format!("the access_token is another: {was} was saved, {is} is there"));
    }
    FIELDS.iter().find_map(|field| {
        let (was, is) = ((field.show)(&expected), (field.show)(&found));
        let mut copy = found.clone();
        (field.copy)(&mut copy, &expected);
        (copy != found).then(|| {
            let none = || "none".to_owned();
            let (was, is) = (was.unwrap_or_else(none), is.unwrap_or_else(none));
            format!("the {} is another: {was} was saved, {is} is there", field.name)
        })
    })
}

/// By its number, if it is one of the suite's own.
fn secret(text: &str) -> String {
    match text.rsplit_once('.').and_then(|(_, number)| number.parse::<u64>().ok()) {
        Some(number) => format!("number {number}"),
        None => format!("one of {} bytes", text.len()),
    }
}

fn shown(text: &str) -> String {
    if text.len() > 80 { secret(text) } else { format!("{text:?}") }
}
