//! Challenges: what was written is read, in every spelling that RFC 9110 §11.6.1 allows.

use auth_core::{AuthChallenge, Challenge, ChallengePolicy as _, StandardChallenge};
use http::Response;
use http::header::WWW_AUTHENTICATE;
use proptest::prelude::*;

use crate::cases;
use crate::laws::challenges as laws;
use crate::pen::{Pen, pen};

#[derive(Clone, Debug)]
struct Written {
    scheme: String,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Nothing,
    Token68(String),
    /// Names and values; a value is any bytes that can stand in a header.
    Params(Vec<(String, Vec<u8>)>),
}

fn token() -> impl Strategy<Value = String> {
    "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}"
}

/// Bytes that can stand in a header: a text, a token, or anything.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        token().prop_map(String::into_bytes),
        "[ -~\t]{0,20}".prop_map(String::into_bytes),
        "[\t ,=\"\\\\a]{0,8}".prop_map(String::into_bytes),
        "\\PC{0,8}".prop_map(String::into_bytes),
        prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..12),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&["error", "scope", "realm", "max_age"][..]).prop_map(str::to_owned),
        token()
    ]
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    let body = prop_oneof![
        1 => Just(Body::Nothing),
        1 => "[A-Za-z0-9._~+/-]{1,12}={0,2}".prop_map(Body::Token68),
        3 => prop::collection::vec((name(), value()), 1..5).prop_map(Body::Params),
    ];
    prop::collection::vec((token(), body).prop_map(|(scheme, body)| Written { scheme, body }), 1..5)
}

/// Any line that can be a header's.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[ -~\t]{0,40}".prop_map(String::into_bytes),
        "[\t ,=\"\\\\a]{0,24}".prop_map(String::into_bytes),
        prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..40),
    ]
}

impl Pen {
    /// The challenges on one line or on several.
    fn challenges(&mut self, challenges: &[Written]) -> Vec<Vec<u8>> {
        let mut lines = vec![self.pick(&["", " ", ",", " ,\t"]).as_bytes().to_vec()];
        for (n, challenge) in challenges.iter().enumerate() {
            if n > 0 {
                self.comma(&mut lines);
            }
            let line = lines.last_mut().unwrap();
            line.extend_from_slice(challenge.scheme.as_bytes());
            match &challenge.body {
                Body::Nothing => line.extend_from_slice(self.pick(&["", " "]).as_bytes()),
                Body::Token68(word) => {
                    line.extend_from_slice(self.pick(&[" ", "   "]).as_bytes());
                    line.extend_from_slice(word.as_bytes());
                }
                Body::Params(params) => {
                    line.extend_from_slice(self.pick(&[" ", "   ", " , ", " ,,"]).as_bytes());
                    for (n, (name, value)) in params.iter().enumerate() {
                        if n > 0 {
                            self.comma(&mut lines);
                        }
                        self.param(lines.last_mut().unwrap(), name, value);
                    }
                }
            }
        }
        let end = self.pick(&["", " ", " ,", ",\t,"]);
        lines.last_mut().unwrap().extend_from_slice(end.as_bytes());
        lines
    }

    /// Between two elements of the list: a comma, or the next line, which is the same (RFC 9110 §5.3).
    fn comma(&mut self, lines: &mut Vec<Vec<u8>>) {
        match self.pick(&[", ", ",", " , ", "\t,\t", ", ,,", "next line"]) {
            "next line" => lines.push(Vec::new()),
            comma => lines.last_mut().unwrap().extend_from_slice(comma.as_bytes()),
        }
    }

    fn param(&mut self, line: &mut Vec<u8>, name: &str, value: &[u8]) {
        line.extend_from_slice(self.letters(name).as_bytes());
        line.extend_from_slice(self.pick(&["=", " =", "= ", "\t= "]).as_bytes());
        let is_token = !value.is_empty()
            && value.iter().all(|&b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if is_token && self.choose(2) == 1 {
            line.extend_from_slice(value);
            return;
        }
        line.push(b'"');
        for &byte in value {
            if byte == b'"' || byte == b'\\' || self.choose(5) == 4 {
                line.push(b'\\');
            }
            line.push(byte);
        }
        line.push(b'"');
    }
}

#[track_caller]
fn assert_read(found: &[AuthChallenge], written: &[Written]) {
    let schemes: Vec<_> = found.iter().map(AuthChallenge::scheme).collect();
    assert_eq!(schemes, written.iter().map(|written| &written.scheme).collect::<Vec<_>>());
    for (found, written) in found.iter().zip(written) {
        let Body::Params(params) = &written.body else {
            assert_eq!(found.param("error"), None);
            continue;
        };
        for (name, _) in params {
            let same = |(other, _): &&(String, Vec<u8>)| other.eq_ignore_ascii_case(name);
            let first = params.iter().find(same).map(|(_, value)| String::from_utf8_lossy(value));
            for name in [name.clone(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
                assert_eq!(found.param(&name), first.as_deref(), "{name}");
            }
        }
        assert_eq!(found.param("no parameter has this name"), None);
    }
}

proptest! {
    #![proptest_config(cases(600))]

    /// B3: what was written is read: on one line or on several, in any letter case, with whatever white space and empty
    /// elements, as a token or quoted, escaped where it has to be or anywhere.
    #[test]
    fn challenges_are_read_in_every_spelling(written in written(), mut pen in pen()) {
        let lines = pen.challenges(&written);

        assert_read(&laws::read(&lines), &written);
        laws::any_bytes(&lines.join(&b'\n'));
    }

    /// B3: text behind whole challenges, after a comma or on a line of its own, takes none of them away.
    #[test]
    fn what_comes_behind_takes_nothing_away(written in written(), mut pen in pen(), garbage in garbage()) {
        let lines = pen.challenges(&written);
        let before = laws::read(&lines);

        let mut longer = lines.clone();
        longer.push(garbage.clone());
        laws::extends(&laws::read(&longer), &before);

        let mut behind = lines;
        behind.last_mut().unwrap().extend_from_slice(&[b", ", &garbage[..]].concat());
        laws::extends(&laws::read(&behind), &before);
    }

    /// B3: a line that cannot be read hides no challenge on the lines behind it.
    #[test]
    fn a_broken_line_hides_no_later_one(written in written(), mut pen in pen(), garbage in garbage()) {
        let lines = pen.challenges(&written);

        let found = laws::read(&[vec![garbage], lines].concat());

        assert_read(&found[found.len() - written.len()..], &written);
    }

    /// B4, B7: what a challenge asks for is found in any spelling, and behind any others that say nothing of the token.
    #[test]
    fn a_telling_challenge_is_found_in_any_spelling(
        others in written(),
        scope in "[!#-\\[\\]-~ ]{0,20}",
        age in any::<u64>(),
        mut pen in pen(),
    ) {
        let param = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let says = |params| Written { scheme: "Bearer".to_owned(), body: Body::Params(params) };
        let missing = says(vec![param("error", "insufficient_scope"), param("scope", &scope)]);
        let stronger = says(vec![
            param("max_age", &age.to_string()),
            param("error", "insufficient_user_authentication"),
            param("acr_values", &scope),
        ]);
        for (telling, expected) in [
            (missing, Challenge::InsufficientScope { scope: Some(scope.clone()) }),
            (
                stronger,
                Challenge::StepUp {
                    acr_values: Some(scope.clone()),
                    max_age: Some(std::time::Duration::from_secs(age)),
                },
            ),
        ] {
            let mut all: Vec<Written> = others.clone();
            all.push(telling);
            let mut response = Response::builder().status(401);
            for line in pen.challenges(&all) {
                response = response.header(WWW_AUTHENTICATE, line);
            }
            let (head, ()) = response.body(()).unwrap().into_parts();

            prop_assert_eq!(StandardChallenge::new().challenge(&head, b""), expected);
        }
    }

    /// B3: the laws hold of any lines whatever.
    #[test]
    fn any_lines_keep_the_laws(lines in prop::collection::vec(garbage(), 0..5)) {
        laws::any_bytes(&lines.join(&b'\n'));
    }

    /// B3: and of any bytes.
    #[test]
    fn any_bytes_keep_the_laws(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        laws::any_bytes(&bytes);
    }
}
