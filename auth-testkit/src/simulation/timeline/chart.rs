//! The chart: lanes as a picture (SVG), with time from left to right.

mod layout;
mod row;
mod shapes;

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::record::{Moment, Record};
use super::super::run::{Run, Violation};
use super::asked::Asked;
use super::axis::{self, Axis};
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
    asked: Asked<'a>,
    axis: Axis,
    layout: Layout,
}

/// From one time on the axis to the next.
const TICK: Px = px(90);
/// How long a line of the violation's sentence is, in letters.
const SENTENCE: usize = 80;

impl<'a> Chart<'a> {
    pub(super) fn new(run: &'a Run, lanes: &'a Lanes) -> Self {
        let moments = run.record.moments.iter().map(|moment| moment.at);
        let axis = Axis::new(moments.chain([Duration::ZERO, lanes.end]));
        let head = run.violation.as_ref().map_or(0, |violation| 1 + wrap(&violation.message).len());
        let layout = Layout::new(&axis, head);
        let asked = Asked::new(&run.plan);
        let mut chart =
            Self { record: &run.record, violation: run.violation.as_ref(), lanes, asked, axis, layout };
        for lane in &lanes.all {
            let rows = if lane.of == Of::World { chart.words(lane).1 } else { lane.rows };
            chart.layout.add(lane.of, rows);
        }
        chart
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
            for (name, process, top) in self.layout.titles() {
                let broken =
                    self.violation.is_some_and(|found| found.process.is_some() && found.process == process);
                let class = if broken { "title here" } else { "title" };
                let name = if broken { format!("{name} ✖") } else { name.to_owned() };
                out.leaf("text", &[("class", &class), ("x", &4), ("y", &(top + px(13)))], name);
            }
            for (lane, band) in self.lanes.all.iter().zip(self.layout.bands()) {
                let y = band.top + px(12);
                out.element("text", &[("x", &12), ("y", &y)], |out| {
                    out.text(lane.of);
                    if let Of::Process(_, Own::Request(request)) = lane.of {
                        out.leaf("tspan", &[("dx", &6)], self.asked.kind(request));
                        out.leaf("title", &[], self.asked.words(request));
                    }
                });
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
            let of_band = |band: &Band, class: &'static str, out: &mut Markup| {
                let size = (self.layout.width(), band.height);
                out.empty(
                    "rect",
                    &[("class", &class), ("y", &band.top), ("width", &size.0), ("height", &size.1)],
                );
            };
            for band in self.layout.bands() {
                of_band(band, band.class(), out);
            }
            self.gaps(out);
            self.ticks(out);
            for (lane, band) in self.lanes.all.iter().zip(self.layout.bands()) {
                out.element("g", &[("class", &"lane")], |out| {
                    of_band(band, "over", out);
                    self.lane(out, lane, band);
                });
            }
            self.releases(out);
            self.broken(out);
        });
    }

    fn x(&self, at: Duration) -> Px {
        self.layout.x(&self.axis, at)
    }

    fn sentence(&self, moment: usize) -> String {
        say::sentence(self.moment(moment), &self.asked)
    }

    fn moment(&self, index: usize) -> &'a Moment {
        &self.record.moments[index]
    }

    /// Where the axis leaves time out.
    fn gaps(&self, out: &mut Markup) {
        let (top, bottom) = (self.layout.head(), self.layout.height());
        for gap in self.axis.gaps() {
            let (from, to) = (self.x(gap.from), self.x(gap.to));
            out.element("g", &[("class", &"gap")], |out| {
                let (width, height) = (to - from, bottom - top);
                out.empty("rect", &[("x", &from), ("y", &top), ("width", &width), ("height", &height)]);
                let passed = say::about(gap.time());
                out.leaf("title", &[], format_args!("nothing happens for {passed}"));
                if row::width(&passed) <= width + px(8) {
                    let (middle, y) = (from + Px(width.0 / 2), top - px(7));
                    out.leaf("text", &[("x", &middle), ("y", &y)], passed);
                }
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
            next = x + TICK;
            // Within a gap no time is worth its name, and beside it stands how long it is.
            let near = |gap: axis::Gap| x > self.x(gap.from) - px(30) && x < self.x(gap.to) + px(24);
            if self.axis.gaps().any(near) {
                next = x + px(10);
                continue;
            }
            out.element("g", &[("class", &"tick")], |out| {
                out.empty("line", &[("x1", &x), ("x2", &x), ("y1", &(top - px(4))), ("y2", &bottom)]);
                out.leaf("text", &[("x", &x), ("y", &(top - px(7)))], say::time(at));
            });
        }
    }

    fn lane(&self, out: &mut Markup, lane: &Lane, band: &Band) {
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
    }

    fn span(&self, out: &mut Markup, lane: &Lane, span: &Span, band: &Band, row: &mut Row) {
        // What is open reaches beyond the end.
        let beyond = if span.ended.is_some() { px(0) } else { px(12) };
        let (from, to) = (self.x(span.from), self.x(span.to) + beyond);
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
                let on_light = matches!(span.phase, Phase::State(_) | Phase::Locking | Phase::Clearing);
                row.inside(from, width, self.label(lane, span), on_light);
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
        let start = format!("{}: {}", say::who(began), self.sentence(span.began));
        let words = span.phase.look().words;
        match span.ended {
            Some(end) => {
                let end = self.sentence(end);
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
            let (at, who, what) = (say::time(mark.at), say::who(moment), self.sentence(mark.moment));
            out.leaf("title", &[], format_args!("{at}\n{who}: {what}"));
        });
    }

    /// What the plan does, in words, as far as there is room: for each mark its row and the left end of its words; and how
    /// many rows that takes.
    fn words(&self, lane: &Lane) -> (Vec<(usize, Px)>, usize) {
        let mut rows = vec![Row::default(); layout::PLAN_ROWS];
        let place = |mark: &Mark| {
            let width = row::width(&self.sentence(mark.moment)) + px(12);
            let (left, index) = self.layout.plan_place(&rows, self.x(mark.at), width);
            rows[index].take(left, left + width);
            (index, left)
        };
        let places: Vec<_> = lane.marks.iter().map(place).collect();
        let used = places.iter().map(|(row, _)| row + 1).max().unwrap_or(1);
        (places, used)
    }

    fn plan(&self, out: &mut Markup, lane: &Lane, band: &Band) {
        for (mark, (row, left)) in lane.marks.iter().zip(self.words(lane).0) {
            let x = self.x(mark.at);
            let y = band.top + layout::ROW * row + Px(layout::ROW.0 / 2);
            self.sign(out, mark, x, y);
            let (text_x, anchor) = if left < x - px(6) { (x - px(7), "end") } else { (x + px(7), "start") };
            let attributes: [super::markup::Attribute<'_>; 4] =
                [("class", &"words"), ("x", &text_x), ("y", &(y + px(3))), ("text-anchor", &anchor)];
            out.leaf("text", &attributes, self.sentence(mark.moment));
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
