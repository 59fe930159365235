//! The tables and the plot of `docs/performance.md`: `cargo bench -p auth-core --bench tables -- [--svg FILE]`.
//!
//! Every figure is the best of some rounds, and the rounds of the sides that are compared take turns.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that panics has failed")]
#![allow(clippy::print_stdout, reason = "a benchmark speaks to its user")]
#![allow(unreachable_pub, reason = "the parts are shared by several benchmarks")]

mod others;
#[allow(dead_code, reason = "the summary uses more of it")]
#[path = "../parts/mod.rs"]
mod parts;
mod plot;
mod rare;

use std::pin::Pin;

use parts::storm::{self, Round, Threads};
use parts::{best, fast};

/// A side of the comparison, and how it is drawn.
type Side = (&'static str, fn(usize) -> Pin<Box<dyn Future<Output = Round>>>);

const SIDES: [Side; 4] = [
    ("this crate", |size| Box::pin(storm::ours(size))),
    ("floor: waking slots", |size| Box::pin(floor(size))),
    ("tokio Mutex", |size| Box::pin(others::mutex(size))),
    ("bare Shared", |size| Box::pin(others::shared(size))),
];

/// Of one side at one size, the best of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    size: usize,
    ns: f64,
    polls: f64,
    out_of_order: f64,
    allocations: f64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs this too: a short look at whether it still works.
    let brief = !args.iter().any(|arg| arg == "--bench");
    let svg = args.iter().position(|arg| arg == "--svg").map(|at| args.get(at + 1).expect("--svg FILE"));

    the_fast_path(brief);
    rare::print(brief);
    let sizes: &[usize] = if brief { &[1, 10] } else { &[1, 10, 100, 1_000, 10_000, 100_000] };
    let curves = [Threads::One, Threads::Two].map(|threads| the_storm(threads, sizes));
    if let Some(file) = svg {
        std::fs::write(file, plot::svg(&curves)).expect("the file can be written");
        println!("\nthe plot is in {file}");
    }
}

fn the_fast_path(brief: bool) {
    let fast = if brief { fast::measure(1, 1_000) } else { fast::measure(40, 50_000) };
    println!("a fresh lease, and its header of 1 KiB inserted: ns");
    println!("  this crate, one thread   {:6.1}", fast.one);
    println!("  this crate, two threads  {:6.1}", fast.two);
    println!("  floor                    {:6.1}", fast.floor);
    println!("  the clock alone          {:6.1}", fast.clock);
    println!("  this crate, no clock     {:6.1}", fast.one - fast.clock);
    println!("  Mutex and format!        {:6.1}", fast.mutex_and_format);
    println!("  allocations in 1,000     {:6}", fast.allocations);
}

/// The curves of all sides, in the order of [`SIDES`].
fn the_storm(threads: Threads, sizes: &[usize]) -> Vec<(&'static str, Vec<Point>)> {
    let runtime = storm::runtime(threads);
    let mut curves = SIDES.map(|(name, _)| (name, Vec::new()));
    println!("\na storm, threads: {threads:?}; ns a waiter (polls, share out of order, allocations)");
    println!("  {:>7}  {}", "N", SIDES.map(|(name, _)| format!("{name:>34}")).concat());
    for &size in sizes {
        let rounds = (200_000 / size).clamp(7, 200).min(if sizes.len() < 3 { 1 } else { 200 });
        let first = Point { size, ns: f64::MAX, polls: 0.0, out_of_order: 0.0, allocations: 0.0 };
        let mut points = [first; SIDES.len()];
        for _ in 0..rounds {
            for (point, (_, side)) in points.iter_mut().zip(SIDES) {
                let mut round = None;
                let counted = allocation_counter::measure(|| round = Some(runtime.block_on(side(size))));
                let round = round.unwrap();
                point.ns = best(point.ns, round.ns);
                point.polls = point.polls.max(round.polls);
                point.out_of_order = point.out_of_order.max(round.out_of_order as f64 / size as f64);
                point.allocations = counted.count_total as f64 / size as f64;
            }
        }
        // The counter counts its own thread's only.
        let allocations = |point: &Point| match threads {
            Threads::One => format!("{:6.1}", point.allocations),
            Threads::Two => format!("{:>6}", "-"),
        };
        let shown = |point: &Point| {
            let share = point.out_of_order * 100.0;
            format!("{:12.0} ({:4.1}, {:3.0} %, {})", point.ns, point.polls, share, allocations(point))
        };
        println!("  {size:>7}  {}", points.each_ref().map(shown).concat());
        for (curve, point) in curves.iter_mut().zip(points) {
            curve.1.push(point);
        }
    }
    curves.into()
}

async fn floor(size: usize) -> Round {
    Round { ns: storm::floor(size).await, polls: 2.0, out_of_order: 0 }
}
