//! Shapes: what phases and signs look like. Their colours are in the page's style; no two differ by colour alone.

use super::super::lanes::{Of, Phase};
use super::super::legend::{Group, Look};
use super::super::markup::Markup;
use super::draw::{self, Area};
use super::layout::{Px, px};

/// Where a phase's bar begins in its row, and how high it is.
pub(super) fn bar(phase: Phase, of: Of) -> (Px, Px) {
    let is_part = matches!(of, Of::Process(..));
    match phase {
        Phase::Queued => (px(5), px(6)),
        Phase::Parked => (px(7), px(2)),
        Phase::Flight => (px(1), px(14)),
        Phase::Holding => (px(11), px(3)),
        Phase::Asking | Phase::Loading | Phase::Saving | Phase::Clearing | Phase::Locking if is_part => {
            (px(3), px(10))
        }
        _ => (px(2), px(12)),
    }
}

/// Whether words on it have to be dark.
pub(super) fn is_light(phase: Phase) -> bool {
    matches!(phase, Phase::State(_) | Phase::Locking | Phase::Holding | Phase::Clearing)
}

/// A small picture of it, for the legend.
pub(super) fn swatch(out: &mut Markup, look: Look) {
    let is_mark = look.group == Group::Marks;
    let width = if is_mark { px(16) } else { px(26) };
    out.element("svg", &[("width", &width), ("height", &px(16))], |out| {
        if is_mark {
            return draw::shape(out, look.name, (px(8), px(8)), "");
        }
        let (y, height) = match look.name {
            "queued" => (px(5), px(6)),
            "parked" => (px(7), px(2)),
            "holding" => (px(7), px(3)),
            _ => (px(2), px(12)),
        };
        draw::area(out, look.name, Area { x: px(1), y, width: px(24), height });
    });
}

/// Every shape and pattern, once.
pub(super) fn defs(out: &mut Markup) {
    out.raw(include_str!("shapes.svg"));
}
