//! Drawing: the few things that a picture is made of.

use std::fmt::Display;

use super::super::markup::{Attribute, Markup};
use super::layout::Px;

/// A rectangle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) x: Px,
    pub(super) y: Px,
    pub(super) width: Px,
    pub(super) height: Px,
}

/// Which end of a text stands where it is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

pub(super) fn area(out: &mut Markup, class: &str, area: Area) {
    titled(out, class, area, "");
}

/// One that says what it is where somebody points at it.
pub(super) fn titled(out: &mut Markup, class: &str, area: Area, title: impl Display) {
    let Area { x, y, width, height } = area;
    let title = title.to_string();
    out.element(
        "rect",
        &[("class", &class), ("x", &x), ("y", &y), ("width", &width), ("height", &height)],
        |out| {
            if !title.is_empty() {
                out.leaf("title", &[], title);
            }
        },
    );
}

/// From top to bottom.
pub(super) fn line(out: &mut Markup, class: &str, x: Px, (top, bottom): (Px, Px)) {
    out.empty("line", &[("class", &class), ("x1", &x), ("x2", &x), ("y1", &top), ("y2", &bottom)]);
}

pub(super) fn text(out: &mut Markup, class: &str, (x, y): (Px, Px), anchor: Anchor, text: impl Display) {
    let all: [Attribute<'_>; 4] = [
        ("class", &class),
        ("x", &x),
        ("y", &y),
        ("text-anchor", if anchor == Anchor::End { &"end" } else { &"middle" }),
    ];
    // The start is what it is by itself.
    out.leaf("text", if anchor == Anchor::Start { &all[..3] } else { &all }, text);
}

/// A shape of the definitions, with its middle there.
pub(super) fn shape(out: &mut Markup, name: &str, (x, y): (Px, Px), title: impl Display) {
    let (href, title) = (format!("#{name}"), title.to_string());
    out.element("use", &[("href", &href), ("x", &x), ("y", &y)], |out| {
        if !title.is_empty() {
            out.leaf("title", &[], title);
        }
    });
}
