//! The chart: lanes as a picture (SVG), with time from left to right.

mod layout;
mod row;
mod shapes;

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::record::{Moment, Record};
use super::super::run::{Run, Violation};
use super::axis::Axis;
use super::lanes::{Lane, Lanes, Mark, Of, Own, Phase, Sign, Span};
use super::legend::{Group, Look};
use super::markup::Markup;
use super::say;
use layout::{Band, Layout, Px, px};
use row::Row;

pub(super) struct Chart<'a> {
    record: &'a Record,
    violation: Option<&'a Violation>,
    lanes: &'a Lanes,
    axis: Axis,
    layout: Layout,
}

/// What is cut out of the axis, in which nothing happens.
const GAP: Duration = Duration::from_secs(1);
/// From one time on the axis to the next.
const TICK: Px = px(90);
/// How long a line of the violation's sentence is, in letters.
const SENTENCE: usize = 80;

impl<'a> Chart<'a> {
    pub(super) fn new(run: &'a Run, lanes: &'a Lanes) -> Self {
        let moments = run.record.moments.iter().map(|moment| moment.at);
        let axis = Axis::new(moments.chain([Duration::ZERO, lanes.end]));
        let head = run.violation.as_ref().map_or(0, |violation| 1 + wrap(&violation.message).len());
        let mut layout = Layout::new(&axis, head);
        for lane in &lanes.all {
            let rows =
                if lane.of == Of::World { plan_rows(&axis, &layout, lane, &run.record) } else { lane.rows };
            layout.add(lane.of, rows);
        }
        Self { record: &run.record, violation: run.violation.as_ref(), lanes, axis, layout }
    }

    /// What is in the picture.
    fn looks(&self) -> BTreeSet<Look> {
        let spans = self.lanes.all.iter().flat_map(|lane| lane.spans.iter().map(|span| span.phase.look()));
        let marks = self.lanes.all.iter().flat_map(|lane| lane.marks.iter().map(|mark| mark.sign.look()));
        spans.chain(marks).collect()
    }

    /// What the colours and shapes mean: those that are in the picture.
    pub(super) fn legend(&self, out: &mut Markup) {
        let looks = self.looks();
        for group in Group::ALL {
            let mut of_group = looks.iter().filter(|look| look.group == group).peekable();
            if of_group.peek().is_none() {
                continue;
            }
            out.element("div", &[], |out| {
                out.leaf("b", &[], group.name());
                for look in of_group {
                    out.element("span", &[], |out| {
                        shapes::swatch(out, *look);
                        out.text(look.words);
                    });
                }
            });
        }
    }

    /// The lanes' names, which stay where they are when the picture is moved.
    pub(super) fn names(&self, out: &mut Markup) {
        let (width, height) = (layout::NAMES, self.layout.height());
        out.element("svg", &[("class", &"names"), ("width", &width), ("height", &height)], |out| {
            for (name, top) in self.layout.titles() {
                out.leaf("text", &[("class", &"title"), ("x", &4), ("y", &(top + px(13)))], name);
            }
            for (lane, band) in self.lanes.all.iter().zip(self.layout.bands()) {
                let y = band.top + px(12);
                out.leaf("text", &[("x", &12), ("y", &y)], lane.of);
            }
        });
    }

    pub(super) fn picture(&self, out: &mut Markup) {
        let (width, height) = (self.layout.width(), self.layout.height());
        let label = "Lanes over time. Every element has a title; the list of moments below says the same.";
        let attributes: [super::markup::Attribute<'_>; 5] = [
            ("class", &"picture"),
            ("width", &width),
            ("height", &height),
            ("role", &"img"),
            ("aria-label", &label),
        ];
        out.element("svg", &attributes, |out| {
            shapes::defs(out);
            self.gaps(out);
            self.ticks(out);
            for (lane, band) in self.lanes.all.iter().zip(self.layout.bands()) {
                self.lane(out, lane, band);
            }
            self.releases(out);
            self.broken(out);
        });
    }

    fn x(&self, at: Duration) -> Px {
        self.layout.x(&self.axis, at)
    }

    fn moment(&self, index: usize) -> &'a Moment {
        &self.record.moments[index]
    }

    /// Where the axis leaves time out.
    fn gaps(&self, out: &mut Markup) {
        let (top, bottom) = (self.layout.head(), self.layout.height());
        for gap in self.axis.gaps(GAP) {
            let (from, to) = (self.x(gap.from), self.x(gap.to));
            out.element("g", &[("class", &"gap")], |out| {
                let (width, height) = (to - from, bottom - top);
                out.empty("rect", &[("x", &from), ("y", &top), ("width", &width), ("height", &height)]);
                let (middle, y) = (from + Px((to - from).0 / 2), bottom - px(5));
                let passed = say::about(gap.to.saturating_sub(gap.from));
                out.leaf("text", &[("x", &middle), ("y", &y)], format_args!("{passed} pass"));
            });
        }
    }

    fn ticks(&self, out: &mut Markup) {
        let (top, bottom) = (self.layout.head(), self.layout.height());
        let mut next = Px(0);
        while next < self.layout.width() - Px(TICK.0 / 2) {
            let (from, to) = (self.layout.place(&self.axis, next), next + Px(TICK.0 / 3));
            let at = if next == Px(0) {
                Duration::ZERO
            } else {
                self.axis.round(from, self.layout.place(&self.axis, to))
            };
            let x = self.x(at).max(next);
            out.element("g", &[("class", &"tick")], |out| {
                out.empty("line", &[("x1", &x), ("x2", &x), ("y1", &(top - px(4))), ("y2", &bottom)]);
                out.leaf("text", &[("x", &x), ("y", &(top - px(7)))], say::time(at));
            });
            next = x + TICK;
        }
    }

    fn lane(&self, out: &mut Markup, lane: &Lane, band: &Band) {
        out.element("g", &[("class", &"lane")], |out| {
            let width = self.layout.width();
            out.empty(
                "rect",
                &[("class", &band.class()), ("y", &band.top), ("width", &width), ("height", &band.height)],
            );
            if lane.of == Of::World {
                return self.plan(out, lane, band);
            }
            for index in 0..lane.rows {
                let mut row = Row::default();
                for span in lane.spans.iter().filter(|span| span.row == index) {
                    self.span(out, lane, span, band, &mut row);
                }
                let mut after = Px(i64::MIN / 2);
                for mark in lane.marks.iter().filter(|mark| mark.row == index) {
                    after = self.mark(out, mark, band, &mut row, after);
                }
                row.labels(out, band.top + layout::ROW * index);
            }
        });
    }

    fn span(&self, out: &mut Markup, lane: &Lane, span: &Span, band: &Band, row: &mut Row) {
        let (from, to) = (self.x(span.from), self.x(span.to));
        let (top, height) = shapes::bar(span.phase, lane.of);
        let width = (to - from).max(Px(15));
        let y = band.top + layout::ROW * span.row + top;
        let class = span.phase.look().name;
        let box_of: [super::markup::Attribute<'_>; 5] =
            [("class", &class), ("x", &from), ("y", &y), ("width", &width), ("height", &height)];
        out.element("rect", &box_of, |out| out.leaf("title", &[], self.span_title(span)));
        if span.ended.is_none() {
            out.empty("use", &[("href", &"#open"), ("x", &to), ("y", &(y + Px(height.0 / 2)))]);
        }
        match span.phase {
            // A label can stand across it.
            Phase::Queued | Phase::Parked => {}
            Phase::Flight => {
                row.take(from, from + width);
                row.before(from, &span.label);
            }
            _ => {
                row.take(from, from + width);
                row.inside(from, width, self.label(lane, span));
            }
        }
    }

    /// What is shared says whose it is.
    fn label(&self, lane: &Lane, span: &Span) -> String {
        let many = self.layout.processes() > 1;
        match lane.of {
            Of::Store | Of::Endpoint if many => format!("{} {}", say::process(span.process), span.label),
            _ => span.label.clone(),
        }
    }

    fn span_title(&self, span: &Span) -> String {
        let (from, to) = (say::time(span.from), say::time(span.to));
        let took = say::time(span.to.saturating_sub(span.from));
        let began = self.moment(span.began);
        let start = format!("{}: {}", say::who(began), say::sentence(&began.what));
        let words = span.phase.look().words;
        match span.ended {
            Some(end) => {
                let end = say::sentence(&self.moment(end).what);
                format!("{words}, {from} to {to} ({took})\n{start}\n{end}")
            }
            None => format!("{words}, from {from} on\n{start}\nthe record ends first"),
        }
    }

    fn mark(&self, out: &mut Markup, mark: &Mark, band: &Band, row: &mut Row, after: Px) -> Px {
        let narrow = mark.sign == Sign::Rejected;
        let x = if narrow { self.x(mark.at) } else { self.x(mark.at).max(after) };
        let y = band.top + layout::ROW * mark.row + Px(layout::ROW.0 / 2);
        self.sign(out, mark, x, y);
        let half = if narrow { px(2) } else { px(6) };
        row.take(x - half, x + half);
        if !mark.label.is_empty() && mark.sign != Sign::Ok {
            row.after(x + half, &mark.label);
        }
        if narrow { after } else { x + px(11) }
    }

    fn sign(&self, out: &mut Markup, mark: &Mark, x: Px, y: Px) {
        let shape = format!("#{}", mark.sign.look().name);
        out.element("use", &[("href", &shape), ("x", &x), ("y", &y)], |out| {
            let moment = self.moment(mark.moment);
            let (at, who, what) = (say::time(mark.at), say::who(moment), say::sentence(&moment.what));
            out.leaf("title", &[], format_args!("{at}\n{who}: {what}"));
        });
    }

    /// What the plan does, in words, as far as there is room.
    fn plan(&self, out: &mut Markup, lane: &Lane, band: &Band) {
        let mut rows = vec![Row::default(); band.rows(layout::ROW)];
        for mark in &lane.marks {
            let x = self.x(mark.at);
            let words = say::sentence(&self.moment(mark.moment).what);
            let width = row::width(&words) + px(12);
            let (left, index) = self.layout.plan_place(&rows, x, width);
            rows[index].take(left, left + width);
            let y = band.top + layout::ROW * index + Px(layout::ROW.0 / 2);
            let class = "words";
            self.sign(out, mark, x, y);
            let (text_x, anchor) = if left < x - px(6) { (x - px(7), "end") } else { (x + px(7), "start") };
            let attributes: [super::markup::Attribute<'_>; 4] =
                [("class", &class), ("x", &text_x), ("y", &(y + px(3))), ("text-anchor", &anchor)];
            out.leaf("text", &attributes, words);
        }
    }

    /// Where new tokens came into force, and where a process was killed: lines through all that is the process's.
    fn releases(&self, out: &mut Markup) {
        for lane in &self.lanes.all {
            let Of::Process(process, Own::Flights | Own::Session) = lane.of else { continue };
            let (top, bottom) = self.layout.reach(process);
            for mark in &lane.marks {
                let class = match mark.sign {
                    Sign::Published => "release",
                    Sign::Killed if lane.of == Of::Process(process, Own::Session) => "kill",
                    _ => continue,
                };
                let x = self.x(mark.at);
                out.empty(
                    "line",
                    &[("class", &class), ("x1", &x), ("x2", &x), ("y1", &top), ("y2", &bottom)],
                );
            }
        }
    }

    fn broken(&self, out: &mut Markup) {
        let Some(Violation { invariant, message, at, .. }) = self.violation else { return };
        let x = self.x(*at);
        let right = x > Px(self.layout.width().0 / 2);
        let (text_x, anchor) = if right { (x - px(8), "end") } else { (x + px(8), "start") };
        out.element("g", &[("class", &"broken")], |out| {
            out.leaf("title", &[], format_args!("{}\n{invariant}: {message}", say::time(*at)));
            out.empty("line", &[("x1", &x), ("x2", &x), ("y1", &0), ("y2", &self.layout.height())]);
            let lines = std::iter::once(format!("✖ {invariant}")).chain(wrap(message));
            for (index, line) in lines.enumerate() {
                let y = px(12) + layout::LINE * index;
                out.leaf("text", &[("x", &text_x), ("y", &y), ("text-anchor", &anchor)], line);
            }
        });
    }
}

/// How many rows the plan's words take.
fn plan_rows(axis: &Axis, layout: &Layout, lane: &Lane, record: &Record) -> usize {
    let mut rows = vec![Row::default(); layout::PLAN_ROWS];
    let mut used = 1;
    for mark in &lane.marks {
        let words = say::sentence(&record.moments[mark.moment].what);
        let width = row::width(&words) + px(12);
        let (left, index) = layout.plan_place(&rows, layout.x(axis, mark.at), width);
        rows[index].take(left, left + width);
        used = used.max(index + 1);
    }
    used
}

/// A sentence in lines.
fn wrap(sentence: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in sentence.split_whitespace() {
        let Some(line) = lines.last_mut() else { continue };
        if !line.is_empty() && line.chars().count() + word.chars().count() >= SENTENCE {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
