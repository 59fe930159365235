//! A row: what is taken of it, and which words still find room.

use super::super::markup::Markup;
use super::draw::{self, Anchor};
use super::layout::{Px, px};

#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    taken: Vec<(Px, Px)>,
    /// In bars, where they fit.
    inside: Vec<(Px, String, &'static str)>,
    /// Beside marks and bars, where there is room.
    beside: Vec<Beside>,
}

#[derive(Clone, Debug)]
struct Beside {
    from: Px,
    to: Px,
    words: String,
}

/// About how wide a text is.
pub(super) fn width(text: &str) -> Px {
    Px(text.chars().count() as i64 * 57)
}

impl Row {
    pub(super) fn take(&mut self, from: Px, to: Px) {
        self.taken.push((from, to));
    }

    pub(super) fn is_free(&self, from: Px, to: Px) -> bool {
        self.taken.iter().all(|(start, end)| *end <= from || to <= *start)
    }

    pub(super) fn inside(&mut self, class: &'static str, from: Px, room: Px, words: String) {
        if !words.is_empty() && width(&words) + px(4) <= room {
            self.inside.push((from + px(3), words, class));
        }
    }

    pub(super) fn after(&mut self, from: Px, words: &str) {
        let from = from + px(1);
        self.beside.push(Beside { from, to: from + width(words), words: words.to_owned() });
    }

    pub(super) fn before(&mut self, to: Px, words: &str) {
        let to = to - px(3);
        self.beside.push(Beside { from: to - width(words), to, words: words.to_owned() });
    }

    /// Writes what finds room, now that everything else is known.
    pub(super) fn labels(mut self, out: &mut Markup, top: Px) {
        let y = top + px(11);
        for (x, words, class) in std::mem::take(&mut self.inside) {
            draw::text(out, class, (x, y), Anchor::Start, words);
        }
        for Beside { from, to, words } in std::mem::take(&mut self.beside) {
            if !words.is_empty() && from >= px(0) && self.is_free(from, to) {
                draw::text(out, "by", (from, y), Anchor::Start, words);
                self.take(from, to);
            }
        }
    }
}
