//! Reading `WWW-Authenticate`: any number of challenges on any number of lines (RFC 9110 §11.6.1).

use std::fmt;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// One challenge: a scheme with its parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthChallenge {
    scheme: String,
    params: Vec<(String, String)>,
}

impl AuthChallenge {
    /// The scheme as the server wrote it; compare it without regard to letter case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The first parameter of this name, in any letter case; its quotes and escapes are resolved.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for AuthChallenge {
    // Parameter values come from the server and may hold anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.params.iter().map(|(name, _)| name).collect();
        f.debug_struct("AuthChallenge").field("scheme", &self.scheme).field("params", &names).finish()
    }
}

/// All challenges of a response, in the order of its lines. What cannot be read is passed over: a broken challenge hides
/// neither the ones before nor those on other lines.
///
/// ```
/// use auth_core::auth_challenges;
/// use http::{HeaderMap, header::WWW_AUTHENTICATE};
///
/// let mut headers = HeaderMap::new();
/// headers.append(WWW_AUTHENTICATE, r#"Basic realm="a, b", Bearer error="invalid_token""#.parse()?);
///
/// let challenges = auth_challenges(&headers);
/// assert_eq!(challenges.len(), 2);
/// assert_eq!(challenges[1].param("error"), Some("invalid_token"));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
#[must_use]
pub fn auth_challenges(headers: &HeaderMap) -> Vec<AuthChallenge> {
    let mut all = Vec::new();
    for line in headers.get_all(WWW_AUTHENTICATE) {
        Reader { rest: line.as_bytes() }.challenges(&mut all);
    }
    all
}

/// Reads one line from its start; every step either consumes or ends.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn challenges(&mut self, all: &mut Vec<AuthChallenge>) {
        loop {
            self.skip(|b| b == b',' || is_space(b));
            if self.rest.is_empty() {
                return;
            }
            let word = self.token();
            if word.is_empty() {
                // Something that begins no challenge: on to the next comma.
                self.pass_comma();
                continue;
            }
            self.skip(is_space);
            if self.rest.first() == Some(&b'=') {
                // `name = value`: a parameter of the challenge before it.
                self.rest = &self.rest[1..];
                self.skip(is_space);
                let value = self.value();
                if let Some(last) = all.last_mut() {
                    last.params.push((word, value));
                }
                continue;
            }
            all.push(AuthChallenge { scheme: word, params: Vec::new() });
            self.token68();
        }
    }

    /// `token68` is one unbroken word up to a comma or the end, with `=` only as its padding: passed over. A parameter
    /// is left to be read.
    fn token68(&mut self) {
        let end = self.rest.iter().position(|&b| b == b',' || is_space(b)).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        let mut bare = word;
        while let [rest @ .., b'='] = bare {
            bare = rest;
        }
        let padded = bare.iter().all(|&b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b));
        let after = self.rest[end..].iter().find(|&&b| !is_space(b));
        if !word.is_empty() && padded && matches!(after, None | Some(b',')) {
            self.rest = &self.rest[end..];
        }
    }

    fn token(&mut self) -> String {
        let end = self.rest.iter().position(|&b| !is_token(b)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// A quoted string or a token; of anything else, what stands before the next comma.
    fn value(&mut self) -> String {
        if self.rest.first() != Some(&b'"') {
            let end = self.rest.iter().position(|&b| b == b',' || is_space(b)).unwrap_or(self.rest.len());
            return self.take(end);
        }
        let mut text = Vec::new();
        let mut at = 1;
        while let Some(&byte) = self.rest.get(at) {
            at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    if let Some(&escaped) = self.rest.get(at) {
                        text.push(escaped);
                        at += 1;
                    }
                }
                _ => text.push(byte),
            }
        }
        self.rest = &self.rest[at..];
        String::from_utf8_lossy(&text).into_owned()
    }

    fn take(&mut self, end: usize) -> String {
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        String::from_utf8_lossy(word).into_owned()
    }

    fn skip(&mut self, what: impl Fn(u8) -> bool) {
        let end = self.rest.iter().position(|&b| !what(b)).unwrap_or(self.rest.len());
        self.rest = &self.rest[end..];
    }

    fn pass_comma(&mut self) {
        if self.rest.first() == Some(&b'"') {
            self.value();
            return;
        }
        let end = self.rest.iter().position(|&b| b == b',').unwrap_or(self.rest.len());
        self.rest = &self.rest[end..];
    }
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[cfg(not(auth_shuttle))]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn read(lines: &[&str]) -> Vec<(String, Vec<(String, String)>)> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
        }
        auth_challenges(&headers).into_iter().map(|c| (c.scheme, c.params)).collect()
    }

    fn challenge(scheme: &str, params: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        (scheme.to_owned(), params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    /// B3: several challenges in one line or in several, commas inside quotes.
    #[test]
    fn challenges_of_every_form_are_read() {
        assert_eq!(
            read(&[
                r#"Newauth realm="apps", type=1, title="Login to \"apps\", please", Basic realm="simple""#
            ]),
            [
                challenge(
                    "Newauth",
                    &[("realm", "apps"), ("type", "1"), ("title", r#"Login to "apps", please"#)]
                ),
                challenge("Basic", &[("realm", "simple")]),
            ]
        );
        assert_eq!(
            read(&["Negotiate YII=, Bearer error=\"invalid_token\"", "DPoP algs=\"ES256 PS256\""]),
            [
                challenge("Negotiate", &[]),
                challenge("Bearer", &[("error", "invalid_token")]),
                challenge("DPoP", &[("algs", "ES256 PS256")]),
            ]
        );
        assert_eq!(
            read(&[" ,, Bearer , Basic realm = \"a\" ,"]),
            [challenge("Bearer", &[]), challenge("Basic", &[("realm", "a")])]
        );
        assert_eq!(read(&["Negotiate", "Bearer"]), [challenge("Negotiate", &[]), challenge("Bearer", &[])]);
    }

    /// B3: what cannot be read hides nothing else.
    #[test]
    fn broken_lines_hide_no_other() {
        assert_eq!(
            read(&["\"stray, text\" , Bearer error=\"unclosed"]),
            [challenge("Bearer", &[("error", "unclosed")])]
        );
        assert_eq!(read(&["=x, ;;, Bearer a=b", "Basic"]).len(), 2);
        assert_eq!(read(&["", "  "]), []);
    }

    proptest! {
        /// B3: no line makes the reader panic or hang, and what is behind a readable challenge is found.
        #[test]
        fn any_line_is_read_to_its_end(noise in "[ -~\t]{0,60}") {
            read(&[&noise]);
            let found = read(&[&noise, "Bearer error=\"insufficient_scope\""]);
            let last = found.last().map(|(scheme, params)| (scheme.as_str(), params.len()));
            prop_assert_eq!(last, Some(("Bearer", 1)));
        }
    }
}
