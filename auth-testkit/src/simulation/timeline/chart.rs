//! The chart: lanes as a picture (SVG), with time from left to right.

mod across;
mod bars;
mod draw;
mod layout;
mod row;
mod shapes;

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::asked::Asked;
use super::super::record::Record;
use super::super::run::{Run, Violation};
use super::axis::Axis;
use super::lanes::{Lanes, Of, Own};
use super::legend::{Group, Look};
use super::markup::{Attribute, Markup};
use super::say;
use draw::Area;
use layout::{Band, Layout, Px, px};

pub(super) struct Chart<'a> {
    record: &'a Record,
    violation: Option<&'a Violation>,
    lanes: &'a Lanes,
    asked: Asked,
    axis: Axis,
    layout: Layout,
}

impl<'a> Chart<'a> {
    pub(super) fn new(run: &'a Run, lanes: &'a Lanes) -> Self {
        let moments = run.record.moments.iter().map(|moment| moment.at);
        let axis = Axis::new(moments.chain([Duration::ZERO, lanes.end]));
        let violation = run.violation.as_ref();
        let layout = Layout::new(&axis, violation.map_or(0, |violation| across::sentence(violation).len()));
        let asked = Asked::new(&run.plan);
        let mut chart = Self { record: &run.record, violation, lanes, asked, axis, layout };
        for lane in &lanes.all {
            let rows = if lane.of == Of::World { chart.plan_rows(lane) } else { lane.rows };
            chart.layout.add(lane.of, rows);
        }
        chart
    }

    /// What the colours and shapes mean: those that are in the picture.
    pub(super) fn legend(&self, out: &mut Markup) {
        let spans = self.lanes.all.iter().flat_map(|lane| lane.spans.iter().map(|span| span.phase.look()));
        let marks = self.lanes.all.iter().flat_map(|lane| lane.marks.iter().map(|mark| mark.sign.look()));
        let looks: BTreeSet<Look> = spans.chain(marks).collect();
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
        let broken = self.violation.and_then(|violation| violation.process);
        out.element("svg", &[("class", &"names"), ("width", &width), ("height", &height)], |out| {
            for (name, process, top) in self.layout.titles() {
                let here = process.is_some() && process == broken;
                let (class, sign) = if here { ("title here", " ✖") } else { ("title", "") };
                let text = format!("{name}{sign}");
                out.leaf("text", &[("class", &class), ("x", &4), ("y", &(top + px(13)))], text);
            }
            for (lane, band) in self.lanes.all.iter().zip(self.layout.bands()) {
                out.element("text", &[("x", &12), ("y", &(band.top + px(12)))], |out| {
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
        let label = "Lanes over time. The list of moments below says the same in words.";
        let attributes: [Attribute<'_>; 4] =
            [("width", &width), ("height", &height), ("role", &"img"), ("aria-label", &label)];
        out.element("svg", &attributes, |out| {
            shapes::defs(out);
            for band in self.layout.bands() {
                draw::area(out, band.class(), self.area(band));
            }
            self.gaps(out);
            self.ticks(out);
            for (lane, band) in self.lanes.all.iter().zip(self.layout.bands()) {
                out.element("g", &[("class", &"lane")], |out| {
                    draw::area(out, "over", self.area(band));
                    self.lane(out, lane, band);
                });
            }
            self.releases(out);
            self.broken(out);
        });
    }

    fn area(&self, band: &Band) -> Area {
        Area { x: px(0), y: band.top, width: self.layout.width(), height: band.height }
    }

    fn x(&self, at: Duration) -> Px {
        self.layout.x(&self.axis, at)
    }

    /// What happened at a moment of the record.
    fn sentence(&self, index: usize) -> String {
        let moment = self.record.moments.get(index);
        moment.map(|moment| say::sentence(moment, &self.asked)).unwrap_or_default()
    }
}
