//! The text in the file: what it says of itself, and what is wrong with one that cannot be read.

use std::time::{SystemTime, UNIX_EPOCH};

use auth_core::{StoredTokens, Tokens};
use serde::{Deserialize, Serialize};

const FORMAT: &str = "auth-stores/tokens";
const VERSION: u64 = 1;

/// No file of ours is larger: four texts of 32 KiB, every character of them written as an escape of six.
pub(super) const LONGEST: u64 = 1 << 20;

/// What is wrong with a text. None of it quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Torn,
    Foreign,
    Newer,
    Damaged,
}

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    version: u64,
    /// For people. Nothing is decided by it.
    saved_at_ms: u64,
    tokens: &'a StoredTokens,
}

#[derive(Deserialize)]
struct Head {
    format: Option<String>,
    version: Option<u64>,
}

#[derive(Deserialize)]
struct Content {
    tokens: StoredTokens,
}

/// `None`: it would be longer than what is read.
pub(super) fn write(tokens: &Tokens) -> Option<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let tokens = tokens.to_stored();
    let written = Written {
        format: FORMAT,
        version: VERSION,
        saved_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        tokens: &tokens,
    };
    let mut text = serde_json::to_vec(&written).ok()?;
    text.push(b'\n');
    (text.len() as u64 <= LONGEST).then_some(text)
}

/// The parser's own errors are dropped: they quote what they read.
pub(super) fn read(text: &[u8]) -> Result<Tokens, Flaw> {
    let head: Head = serde_json::from_slice(text)
        .map_err(|error| if error.is_eof() { Flaw::Torn } else { Flaw::Foreign })?;
    match (head.format.as_deref(), head.version) {
        (Some(FORMAT), Some(VERSION)) => {}
        (Some(FORMAT), Some(version)) if version > VERSION => return Err(Flaw::Newer),
        (Some(FORMAT), _) => return Err(Flaw::Damaged),
        _ => return Err(Flaw::Foreign),
    }
    let content: Content = serde_json::from_slice(text).map_err(|_| Flaw::Damaged)?;
    Tokens::try_from(content.tokens).map_err(|_| Flaw::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> String {
        let tokens = Tokens::new("T0").unwrap().with_refresh_token("R0");
        String::from_utf8(write(&tokens).unwrap()).unwrap()
    }

    #[test]
    fn what_is_written_says_what_it_is() {
        let text = written();

        assert!(text.starts_with(r#"{"format":"auth-stores/tokens","version":1,"saved_at_ms":1"#), "{text}");
        assert!(text.ends_with("\"tokens\":{\"access_token\":\"T0\",\"refresh_token\":\"R0\"}}\n"), "{text}");
        assert_eq!(read(text.as_bytes()).unwrap().access_token().reveal(), "T0");
    }

    /// Wherever a crash, a copy or an editor has cut it off.
    #[test]
    fn every_part_of_a_text_is_torn() {
        let text = written();

        for end in 0..text.trim_end().len() {
            assert_eq!(read(&text.as_bytes()[..end]).unwrap_err(), Flaw::Torn, "{end}");
        }
    }

    #[test]
    fn what_is_somebody_elses_is_foreign() {
        let text = written();
        for foreign in [
            "access_token = \"T0\"\n",
            r#"{"access_token":"T0"}"#,
            r#"{"format":"another","version":1,"tokens":{"access_token":"T0"}}"#,
            r#"{"format":1,"version":1}"#,
            "[]",
            "\0\0\0\0",
            &format!("{text}{text}"),
        ] {
            assert_eq!(read(foreign.as_bytes()).unwrap_err(), Flaw::Foreign, "{foreign}");
        }
    }

    #[test]
    fn a_newer_version_is_not_guessed_at() {
        let text = written().replace("\"version\":1", "\"version\":2");

        assert_eq!(read(text.as_bytes()).unwrap_err(), Flaw::Newer);
    }

    #[test]
    fn ours_with_something_missing_is_damaged() {
        let text = written();
        for damaged in [
            text.replace("\"version\":1,", ""),
            text.replace("\"version\":1", "\"version\":0"),
            text.replace("access_token", "excess_token"),
            text.replace("\"R0\"", "17"),
            text.replace("T0", "T\\n0"),
        ] {
            assert_eq!(read(damaged.as_bytes()).unwrap_err(), Flaw::Damaged, "{damaged}");
        }
    }

    #[test]
    fn what_a_newer_version_adds_is_ignored() {
        let text = written().replace("\"saved_at_ms\"", "\"saved_by\":\"somebody\",\"saved_at_ms\"");

        assert!(read(text.as_bytes()).is_ok());
    }

    #[test]
    fn what_would_be_too_long_to_read_is_not_written() {
        let tokens = |length| Tokens::new("T0").unwrap().with_refresh_token("\u{1}".repeat(length));

        assert!(write(&tokens(4 * 32 * 1024)).is_some());
        assert!(write(&tokens(6 * 32 * 1024)).is_none());
    }
}
