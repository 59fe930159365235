//! Markup: elements that end where they should, and text that is text.

use std::fmt::{self, Display, Write as _};

/// Markup that is being written. What is not of this file's own making is escaped.
#[derive(Debug, Default)]
pub(super) struct Markup {
    text: String,
}

/// An attribute's name and value.
pub(super) type Attribute<'a> = (&'a str, &'a dyn Display);

impl Markup {
    /// An element, and what is in it.
    pub(super) fn element(
        &mut self,
        name: &str,
        attributes: &[Attribute<'_>],
        inside: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        self.text.push('>');
        inside(self);
        self.push(format_args!("</{name}>"));
    }

    /// An element with nothing in it.
    pub(super) fn empty(&mut self, name: &str, attributes: &[Attribute<'_>]) {
        self.open(name, attributes);
        self.text.push_str("/>");
    }

    /// An element with nothing but text in it.
    pub(super) fn leaf(&mut self, name: &str, attributes: &[Attribute<'_>], text: impl Display) {
        self.element(name, attributes, |markup| markup.text(text));
    }

    pub(super) fn text(&mut self, text: impl Display) {
        // Writing to a string does not fail.
        let _ = write!(Escaped(&mut self.text), "{text}");
    }

    /// Markup as it stands: not for anything that comes from a run.
    pub(super) fn raw(&mut self, markup: &'static str) {
        self.text.push_str(markup);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn open(&mut self, name: &str, attributes: &[Attribute<'_>]) {
        self.push(format_args!("<{name}"));
        for (name, value) in attributes {
            self.push(format_args!(" {name}=\""));
            self.text(value);
            self.text.push('"');
        }
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(text);
    }
}

/// Writes text so that it is text.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                // What XML has no place for.
                '\0'..' ' if !matches!(letter, '\n' | '\t') => self.0.push('\u{fffd}'),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_wherever_it_stands() {
        let mut markup = Markup::default();

        markup.element("p", &[("title", &"a \"b\" & <c>")], |markup| markup.text("1 < 2 & \u{1}"));
        markup.empty("br", &[]);

        assert_eq!(
            markup.finish(),
            "<p title=\"a &quot;b&quot; &amp; &lt;c&gt;\">1 &lt; 2 &amp; \u{fffd}</p><br/>"
        );
    }
}
