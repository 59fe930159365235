//! What a session costs beside what the machine can do, both sides in one run: `cargo bench -p auth-core --bench summary`.
//!
//! The last line is one JSON object. Every figure is the best of many short rounds, and the rounds of the sides that are compared
//! take turns: a machine that others share is slow for both, or for neither in the best of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that panics has failed")]
#![allow(clippy::print_stdout, reason = "a benchmark speaks to its user")]
#![allow(unreachable_pub, reason = "the parts are shared by several benchmarks")]

#[path = "../parts/mod.rs"]
mod parts;

use parts::{fast, storm};
use serde_json::json;

fn main() {
    // `cargo test --benches` runs this too: a short look at whether it still works.
    let brief = !std::env::args().any(|arg| arg == "--bench");
    let rounds = if brief { 1 } else { 40 };

    let fast = fast::measure(rounds, if brief { 1_000 } else { 50_000 });
    println!("taking a fresh lease and inserting a header of 1 KiB, ns:");
    println!("  one thread {:.1}, two threads {:.1}, floor {:.1}", fast.one, fast.two, fast.floor);
    println!("  of which the clock {:.1}; Mutex and format! {:.1}", fast.clock, fast.mutex_and_format);

    let size = if brief { 100 } else { 10_000 };
    let one = storm::measure(storm::Threads::One, size, rounds);
    let two = storm::measure(storm::Threads::Two, size, rounds);
    println!("a storm of {size}, ns a waiter:");
    println!(
        "  one thread {:.0} (floor {:.0}), two {:.0} (floor {:.0})",
        one.ours, one.floor, two.ours, two.floor
    );

    let (few, many) = if brief { (100, 1_000) } else { (1_000, 100_000) };
    let growth = storm::growth(few, many, rounds.div_ceil(4));
    let bytes = storm::bytes_per_waiter(many);
    println!(
        "  {bytes:.0} bytes a waiter at {many}; a waiter of {many} costs {growth:.2} times one of {few}"
    );

    let summary = json!({
        "fast_path_ns": round(fast.one),
        "fast_path_two_threads_ns": round(fast.two),
        "fast_path_floor_ns": round(fast.floor),
        "fast_path_allocations": fast.allocations,
        "storm_ns_per_waiter": round(one.ours),
        "storm_two_threads_ns_per_waiter": round(two.ours),
        "storm_floor_ns_per_waiter": round(one.floor),
        "storm_two_threads_floor_ns_per_waiter": round(two.floor),
        "storm_out_of_order": one.out_of_order + two.out_of_order,
        "storm_polls_per_waiter": round(one.polls.max(two.polls)),
        "storm_bytes_per_waiter": round(bytes),
        "storm_growth": (growth * 100.0).round() / 100.0,
    });
    println!("{summary}");
}

fn round(ns: f64) -> f64 {
    (ns * 10.0).round() / 10.0
}
