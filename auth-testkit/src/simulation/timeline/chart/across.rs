//! What goes across all lanes: the times, where time is left out, where tokens come into force, what was broken.

use std::time::Duration;

use super::super::super::run::Violation;
use super::super::axis::Gap;
use super::super::lanes::{Of, Own, Sign};
use super::super::markup::Markup;
use super::super::say;
use super::draw::{self, Anchor, Area};
use super::layout::{self, Px, px};
use super::{Chart, row};

/// From one time to the next.
const TICK: Px = px(90);
/// How long a line of the violation's sentence is, in letters.
const SENTENCE: usize = 80;

impl Chart<'_> {
    /// Where the axis leaves time out.
    pub(super) fn gaps(&self, out: &mut Markup) {
        let (top, bottom) = (self.layout.head(), self.layout.height());
        for gap in self.axis.gaps() {
            let (x, width) = (self.x(gap.from), self.x(gap.to) - self.x(gap.from));
            let time = say::about(gap.time());
            let title = format!("nothing happens for {time}");
            draw::titled(out, "gap", Area { x, y: top, width, height: bottom - top }, title);
            if row::width(&time) <= width {
                draw::text(out, "gap-time", (x + width.half(), top - px(7)), Anchor::Middle, time);
            }
        }
    }

    pub(super) fn ticks(&self, out: &mut Markup) {
        let top = self.layout.head();
        let place = |x| self.layout.place(&self.axis, x);
        let mut next = Px(0);
        while next < self.layout.width() - TICK.half() {
            let at = match next {
                Px(0) => Duration::ZERO,
                next => self.axis.round(place(next), place(next + px(30))),
            };
            let x = self.x(at).max(next);
            // Beside a gap stands how long it is, and within it no time is worth its name.
            let near = |gap: Gap| x > self.x(gap.from) - px(30) && x < self.x(gap.to) + px(24);
            if self.axis.gaps().any(near) {
                next = x + px(10);
                continue;
            }
            draw::line(out, "tick", x, (top - px(4), self.layout.height()));
            draw::text(out, "time", (x, top - px(7)), Anchor::Middle, say::time(at));
            next = x + TICK;
        }
    }

    /// Where new tokens came into force, and where a process was killed: through all that is the process's.
    pub(super) fn releases(&self, out: &mut Markup) {
        for lane in &self.lanes.all {
            let Of::Process(process, own) = lane.of else { continue };
            for mark in &lane.marks {
                let class = match (mark.sign, own) {
                    (Sign::Published, Own::Flights) => "release",
                    (Sign::Killed, Own::Session) => "kill",
                    _ => continue,
                };
                draw::line(out, class, self.x(mark.at), self.layout.reach(process));
            }
        }
    }

    /// The violation: a line through everything, with its sentence above.
    pub(super) fn broken(&self, out: &mut Markup) {
        let Some(violation) = self.violation else { return };
        let x = self.x(violation.at);
        let (text_x, anchor) = if x > self.layout.width().half() {
            (x - px(8), Anchor::End)
        } else {
            (x + px(8), Anchor::Start)
        };
        out.element("g", &[("class", &"violation")], |out| {
            let Violation { invariant, message, at, .. } = violation;
            out.leaf("title", &[], format_args!("{}\n{invariant}: {message}", say::time(*at)));
            draw::line(out, "broken", x, (px(0), self.layout.height()));
            for (index, line) in sentence(violation).into_iter().enumerate() {
                draw::text(out, "broken", (text_x, px(12) + layout::LINE * index), anchor, line);
            }
        });
    }
}

/// The invariant, and what happened, in lines.
pub(super) fn sentence(violation: &Violation) -> Vec<String> {
    let mut lines = vec![format!("✖ {}", violation.invariant), String::new()];
    for word in violation.message.split_whitespace() {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + word.chars().count() < SENTENCE {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
