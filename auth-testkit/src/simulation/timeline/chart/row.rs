//! A row: what is taken of it, and which words still find room.

use super::super::markup::Markup;
use super::draw::{self, Anchor};
use super::layout::{Px, px};

#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    taken: Vec<(Px, Px)>,
    /// What stands on bars.
    shapes: Vec<(Px, Px)>,
    inside: Vec<Words>,
    beside: Vec<Words>,
}

/// Words, and the room that there is for them.
#[derive(Clone, Debug)]
struct Words {
    class: &'static str,
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

    /// A shape is there, and words after it if there is room.
    pub(super) fn shape(&mut self, from: Px, to: Px, words: &str) {
        self.take(from, to);
        self.shapes.push((from, to));
        let from = to + px(1);
        self.beside.push(Words { class: "by", from, to: from + width(words), words: words.to_owned() });
    }

    /// A bar is there, and words in it if there is room.
    pub(super) fn bar(&mut self, from: Px, to: Px, class: &'static str, words: String) {
        self.take(from, to);
        self.inside.push(Words { class, from: from + px(3), to, words });
    }

    /// A bar is there, and words before it if there is room.
    pub(super) fn named(&mut self, from: Px, to: Px, words: &str) {
        self.take(from, to);
        let to = from - px(3);
        self.beside.push(Words { class: "by", from: to - width(words), to, words: words.to_owned() });
    }

    /// Writes what finds room, now that everything else is known.
    pub(super) fn labels(mut self, out: &mut Markup, top: Px, edge: Px) {
        let y = top + px(11);
        for Words { class, mut from, to, words } in std::mem::take(&mut self.inside) {
            // Beside the shapes that stand on the bar.
            let is_over = |from: Px, shape: &&(Px, Px)| shape.0 < from + width(&words) && from < shape.1;
            while let Some(shape) = self.shapes.iter().find(|shape| is_over(from, shape)) {
                from = shape.1 + px(1);
            }
            if !words.is_empty() && from + width(&words) <= to {
                draw::text(out, class, (from, y), Anchor::Start, words);
            }
        }
        for Words { class, from, to, words } in std::mem::take(&mut self.beside) {
            if !words.is_empty() && from >= px(0) && to <= edge && self.is_free(from, to) {
                draw::text(out, class, (from, y), Anchor::Start, words);
                self.take(from, to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(row: Row) -> String {
        let mut out = Markup::default();
        row.labels(&mut out, px(0), px(200));
        out.finish()
    }

    #[test]
    fn words_that_find_no_room_are_left_out() {
        let mut row = Row::default();
        row.bar(px(0), px(8), "in", "a long name".to_owned());
        row.bar(px(20), px(190), "in", "short".to_owned());
        row.shape(px(190), px(198), "beyond the edge");
        row.named(px(10), px(15), "no room to its left");

        assert_eq!(labels(row), "<text class=\"in\" x=\"23\" y=\"11\">short</text>");
    }

    #[test]
    fn words_in_a_bar_stand_beside_what_is_drawn_on_it() {
        let mut row = Row::default();
        row.bar(px(0), px(90), "in", "r2".to_owned());
        row.shape(px(2), px(14), "");
        row.shape(px(20), px(32), "");

        assert!(labels(row).contains("x=\"33\""));
    }

    #[test]
    fn words_beside_something_stand_where_nothing_else_is() {
        let mut row = Row::default();
        row.shape(px(50), px(60), "first");
        row.shape(px(70), px(80), "second");
        row.named(px(180), px(190), "flight");
        row.shape(px(130), px(135), "others");

        let text = labels(row);

        assert!(!text.contains("first"), "the second shape is there");
        assert!(text.contains("x=\"81\"") && text.contains("second"));
        assert!(text.contains("flight") && !text.contains("others"), "the room is taken once");
    }
}
