//! What holds of any `WWW-Authenticate`.

use auth_core::{AuthChallenge, Challenge, ChallengePolicy as _, StandardChallenge, auth_challenges};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// The parameters that anybody asks for.
const NAMES: [&str; 7] =
    ["error", "scope", "realm", "acr_values", "max_age", "error_description", "authorization_uri"];

/// Lines of any bytes: those that can be header values are read, and all the laws tried on them.
pub fn any_bytes(data: &[u8]) {
    let lines: Vec<&[u8]> =
        data.split(|&byte| byte == b'\n').filter(|line| HeaderValue::from_bytes(line).is_ok()).collect();
    let found = read(&lines);
    is_made_of_the_input(&found, &lines);
    ignores_letter_case(&found);
    ignores_empty_elements(&found, &lines);
    reads_lines_as_one_list(&lines);
    is_judged_by_the_first_that_says_something(&lines, &found);
    if let Some((_, before)) = lines.split_last() {
        extends(&found, &read(before));
    }
}

pub fn read<L: AsRef<[u8]>>(lines: &[L]) -> Vec<AuthChallenge> {
    auth_challenges(&headers(lines))
}

/// A later line, or text behind a comma, takes nothing away: it may add challenges, and parameters to the last one.
#[track_caller]
pub fn extends(found: &[AuthChallenge], before: &[AuthChallenge]) {
    let Some((last, whole)) = before.split_last() else { return };
    assert_eq!(found.get(..whole.len()), Some(whole));
    assert_eq!(found[whole.len()].scheme(), last.scheme());
    for name in NAMES {
        if last.param(name).is_some() {
            assert_eq!(found[whole.len()].param(name), last.param(name), "{name}");
        }
    }
}

fn headers<L: AsRef<[u8]>>(lines: &[L]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(line.as_ref()).expect("a header value"));
    }
    headers
}

/// Nothing is read that does not stand there, and nothing twice.
fn is_made_of_the_input(found: &[AuthChallenge], lines: &[&[u8]]) {
    let given: usize = lines.iter().map(|line| line.len()).sum();
    let read: usize = found.iter().map(|challenge| challenge.scheme().len()).sum();
    assert!(read <= given, "{read} bytes of schemes out of {given}");
    for challenge in found {
        assert!(!challenge.scheme().is_empty());
        let stands_there = |line: &&[u8]| {
            line.windows(challenge.scheme().len()).any(|part| part == challenge.scheme().as_bytes())
        };
        assert!(lines.iter().any(stands_there), "{challenge:?}");
    }
}

fn ignores_letter_case(found: &[AuthChallenge]) {
    for challenge in found {
        for name in NAMES {
            assert_eq!(challenge.param(name), challenge.param(&name.to_ascii_uppercase()));
        }
    }
}

/// RFC 9110 §5.6.1.2: empty list elements and the white space around them count for nothing.
fn ignores_empty_elements(found: &[AuthChallenge], lines: &[&[u8]]) {
    let padded: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| {
            // Behind a quote that may be open, a comma is text.
            let end: &[u8] = if line.contains(&b'"') { b"" } else { b" ,\t," };
            [b",\t ,", *line, end].concat()
        })
        .collect();
    assert_eq!(read(&padded), found);
}

/// RFC 9110 §5.3: several lines are one list.
fn reads_lines_as_one_list(lines: &[&[u8]]) {
    let unquoted: Vec<&[u8]> = lines.iter().copied().filter(|line| !line.contains(&b'"')).collect();
    assert_eq!(read(&[unquoted.join(&b", "[..])]), read(&unquoted));
}

/// The default policy, said once more: of the challenges that name an error it knows the first counts, and where there
/// is none the status does.
fn is_judged_by_the_first_that_says_something(lines: &[&[u8]], found: &[AuthChallenge]) {
    const TIMEOUT: u16 = 440;
    let policy = StandardChallenge::new().or_status(StatusCode::from_u16(TIMEOUT).expect("a status"));
    let named = |names: &[&str]| {
        found.iter().find(|challenge| challenge.param("error").is_some_and(|error| names.contains(&error)))
    };
    for status in [401, TIMEOUT, 403, 400, 200, 503] {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        *response.headers_mut() = headers(lines);

        let verdict = policy.challenge(&response.into_parts().0, b"");

        let telling = match status {
            401 | TIMEOUT => {
                named(&["insufficient_scope", "insufficient_user_authentication", "use_dpop_nonce"])
            }
            403 => named(&["insufficient_scope"]),
            _ => None,
        };
        match (telling.and_then(|challenge| challenge.param("error")), status) {
            (Some("insufficient_scope"), _) => {
                let scope = telling.and_then(|challenge| challenge.param("scope")).map(str::to_owned);
                assert_eq!(verdict, Challenge::InsufficientScope { scope });
            }
            (Some("use_dpop_nonce"), _) => assert_eq!(verdict, Challenge::UseDpopNonce),
            (Some(_), _) => assert!(matches!(verdict, Challenge::StepUp { .. }), "{verdict:?}"),
            (None, 401 | TIMEOUT) => assert_eq!(verdict, Challenge::Expired),
            (None, _) => assert_eq!(verdict, Challenge::Unrelated),
        }
    }
}
