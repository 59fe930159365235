//! One lane: bars for what takes a while, shapes for what happens, and words where there is room.

use super::super::lanes::{Lane, Mark, OUTSIDE, Of, Phase, Sign, Span};
use super::super::markup::Markup;
use super::super::say;
use super::draw::{self, Anchor, Area};
use super::layout::{self, Band, Px, px};
use super::row::{self, Row};
use super::{Chart, shapes};

/// Where the words for a mark of the plan go.
struct Words {
    row: usize,
    /// `None`: there is no room.
    anchor: Option<Anchor>,
}

impl Chart<'_> {
    pub(super) fn lane(&self, out: &mut Markup, lane: &Lane, band: &Band) {
        if lane.of == Of::World {
            return self.plan(out, lane, band);
        }
        for index in 0..lane.rows {
            let top = band.top + layout::ROW * index;
            let mut row = Row::default();
            for span in lane.spans.iter().filter(|span| span.row == index) {
                self.span(out, lane, span, top, &mut row);
            }
            let mut free = px(i64::MIN / 20);
            for mark in lane.marks.iter().filter(|mark| mark.row == index) {
                free = self.mark(out, mark, top, &mut row, free);
            }
            row.labels(out, top, self.layout.width());
        }
    }

    fn span(&self, out: &mut Markup, lane: &Lane, span: &Span, top: Px, row: &mut Row) {
        // What is open reaches beyond the end.
        let beyond = if span.ended.is_some() { px(0) } else { px(12) };
        let (x, to) = (self.x(span.from), self.x(span.to) + beyond);
        let (below, height) = shapes::bar(span.phase, lane.of);
        // What took no time at all is there, too.
        let (y, width) = (top + below, (to - x).max(Px(15)));
        let area = Area { x, y, width, height };
        draw::titled(out, span.phase.look().name, area, self.span_title(span));
        if span.ended.is_none() {
            draw::shape(out, "open", (to, y + height.half()), "");
        }
        match span.phase {
            // Words can stand across it.
            Phase::Queued | Phase::Parked => {}
            Phase::Flight => row.named(x, x + width, &span.label),
            phase => {
                let class = if shapes::is_light(phase) { "by" } else { "in" };
                row.bar(x, x + width, class, self.label(lane, span));
            }
        }
    }

    /// What is shared says whose it is.
    fn label(&self, lane: &Lane, span: &Span) -> String {
        let is_shared = matches!(lane.of, Of::Store | Of::Endpoint);
        if is_shared && (self.layout.processes() > 1 || span.process == OUTSIDE) {
            format!("{} {}", say::process(span.process), span.label)
        } else {
            span.label.clone()
        }
    }

    fn span_title(&self, span: &Span) -> String {
        let (words, from) = (span.phase.look().words, say::time(span.from));
        let began = self.record.moments.get(span.began).map(say::who).unwrap_or_default();
        let start = format!("{began}: {}", self.sentence(span.began));
        let Some(end) = span.ended else {
            return format!("{words}, from {from} on\n{start}\nthe record ends before it does");
        };
        let (to, took) = (say::time(span.to), say::time(span.to.saturating_sub(span.from)));
        format!("{words}, {from} to {to} ({took})\n{start}\n{}", self.sentence(end))
    }

    /// A shape, beside the one before it. From where on there is room for the next.
    fn mark(&self, out: &mut Markup, mark: &Mark, top: Px, row: &mut Row, free: Px) -> Px {
        let y = top + layout::ROW.half();
        // A 401 is a thin line at the end of its bar.
        let (x, half, free) = if mark.sign == Sign::Rejected {
            (self.x(mark.at), px(2), free)
        } else {
            let x = self.x(mark.at).max(free);
            (x, px(6), x + px(11))
        };
        self.sign(out, mark, (x, y));
        // That it went well needs no words.
        row.shape(x - half, x + half, if mark.sign == Sign::Ok { "" } else { &mark.label });
        free
    }

    fn sign(&self, out: &mut Markup, mark: &Mark, at: (Px, Px)) {
        let who = self.record.moments.get(mark.moment).map(say::who).unwrap_or_default();
        let title = format!("{}\n{who}: {}", say::time(mark.at), self.sentence(mark.moment));
        draw::shape(out, mark.sign.look().name, at, title);
    }

    /// What the plan does, in words, as far as there is room.
    fn plan(&self, out: &mut Markup, lane: &Lane, band: &Band) {
        for (mark, Words { row, anchor }) in lane.marks.iter().zip(self.words(lane)) {
            let (x, y) = (self.x(mark.at), band.top + layout::ROW * row + layout::ROW.half());
            self.sign(out, mark, (x, y));
            let Some(anchor) = anchor else { continue };
            let x = if anchor == Anchor::End { x - px(7) } else { x + px(7) };
            draw::text(out, "by", (x, y + px(3)), anchor, self.sentence(mark.moment));
        }
    }

    /// How many rows the plan's words take.
    pub(super) fn plan_rows(&self, lane: &Lane) -> usize {
        self.words(lane).iter().map(|words| words.row + 1).max().unwrap_or(1)
    }

    /// For each mark: in the first row with room, to its right, or to its left at the edge.
    fn words(&self, lane: &Lane) -> Vec<Words> {
        let mut rows = vec![Row::default(); layout::PLAN_ROWS];
        let place = |mark: &Mark| {
            let (x, width) = (self.x(mark.at), row::width(&self.sentence(mark.moment)) + px(12));
            let (from, anchor) = if x + width > self.layout.width() {
                (x + px(6) - width, Anchor::End)
            } else {
                (x - px(6), Anchor::Start)
            };
            match rows.iter().position(|row| row.is_free(from, from + width)) {
                Some(row) => {
                    rows[row].take(from, from + width);
                    Words { row, anchor: Some(anchor) }
                }
                None => Words { row: layout::PLAN_ROWS - 1, anchor: None },
            }
        };
        lane.marks.iter().map(place).collect()
    }
}
