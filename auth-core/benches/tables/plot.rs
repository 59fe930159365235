//! The storm over N, drawn.

use std::fmt::Write as _;

use crate::Point;

type Curves = Vec<(&'static str, Vec<Point>)>;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 300.0;
const COLOURS: [&str; 4] = ["#0b6bcb", "#555", "#c2410c", "#7c3aed"];

/// Two panels, one and two threads: nanoseconds a waiter over the number of waiters, both logarithmic.
pub fn svg(panels: &[Curves; 2]) -> String {
    let mut svg = String::new();
    let (width, height) = (2.0 * (WIDTH + 70.0) + 20.0, HEIGHT + 110.0);
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<title>What a waiter of a storm costs, by the number of waiters</title>
<rect width="{width}" height="{height}" fill="white"/>"#
    );
    for (at, (curves, name)) in panels.iter().zip(["one thread", "two threads"]).enumerate() {
        let left = 60.0 + at as f64 * (WIDTH + 70.0);
        panel(&mut svg, left, name, curves);
    }
    for (at, (name, _)) in panels[0].iter().enumerate() {
        let (x, y) = (60.0 + at as f64 * 200.0, HEIGHT + 90.0);
        let colour = COLOURS[at % COLOURS.len()];
        let _ = writeln!(
            svg,
            r#"<path d="M{x} {y}h24" stroke="{colour}" stroke-width="2.5"/><text x="{}" y="{}">{name}</text>"#,
            x + 30.0,
            y + 4.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, left: f64, name: &str, curves: &Curves) {
    let x = |size: usize| left + (size as f64).log10() / 5.0 * WIDTH;
    // From 50 ns to somewhat over 10 µs.
    let y = |ns: f64| 40.0 + HEIGHT - ((ns.max(50.0) / 50.0).log10() / 2.4) * HEIGHT;
    let middle = left + WIDTH / 2.0;
    let _ =
        writeln!(svg, r#"<text x="{middle}" y="24" text-anchor="middle" font-weight="bold">{name}</text>"#);
    for ns in [100.0, 1_000.0, 10_000.0] {
        let (at, right) = (y(ns), left + WIDTH);
        let label = if ns < 1_000.0 { format!("{ns} ns") } else { format!("{} µs", ns / 1_000.0) };
        let _ = writeln!(
            svg,
            r##"<path d="M{left} {at:.1}H{right}" stroke="#ddd"/><text x="{}" y="{:.1}" text-anchor="end">{label}</text>"##,
            left - 6.0,
            at + 4.0
        );
    }
    for size in [1, 10, 100, 1_000, 10_000, 100_000] {
        let (at, bottom) = (x(size), 40.0 + HEIGHT);
        let _ = writeln!(
            svg,
            r##"<path d="M{at:.1} {bottom}V40" stroke="#eee"/><text x="{at:.1}" y="{}" text-anchor="middle">{size}</text>"##,
            bottom + 18.0
        );
    }
    let _ = writeln!(svg, r#"<text x="{middle}" y="{}" text-anchor="middle">waiters</text>"#, HEIGHT + 74.0);
    for (at, (_, points)) in curves.iter().enumerate() {
        let line: Vec<String> =
            points.iter().map(|point| format!("{:.1},{:.1}", x(point.size), y(point.ns))).collect();
        let colour = COLOURS[at % COLOURS.len()];
        let dashes = if at == 1 { r#" stroke-dasharray="5 4""# } else { "" };
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2.5"{dashes}/>"#,
            line.join(" ")
        );
    }
}
