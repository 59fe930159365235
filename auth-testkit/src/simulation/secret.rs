//! The texts of this world's tokens: they name their token, and give themselves away wherever they turn up.

use auth_core::Error;

use super::record::Token;

/// Part of every token's text, and of no other text in the world.
const MARK: &str = "5ecre7";

pub(crate) fn access_text(token: Token) -> String {
    text('a', token)
}

pub(crate) fn refresh_text(token: Token) -> String {
    text('r', token)
}

/// Marked at both ends, so that half of it is noticed as well.
fn text(kind: char, token: Token) -> String {
    format!("{MARK}{MARK}.{kind}.{}.{}.{MARK}{MARK}", token.sign_in, token.number)
}

/// The token whose text is somewhere in this one.
pub(crate) fn find(text: &str) -> Option<Token> {
    let mut parts = text[text.find(MARK)?..].split('.');
    let (_, _kind) = (parts.next()?, parts.next()?);
    let sign_in = parts.next()?.parse().ok()?;
    let number = parts.next()?.parse().ok()?;
    Some(Token { number, sign_in })
}

/// Whether a token, or a part of one, is in this text.
pub(crate) fn is_in(text: &str) -> bool {
    text.contains(MARK)
}

/// Every text by which an error shows itself.
pub(crate) fn texts_of(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}
