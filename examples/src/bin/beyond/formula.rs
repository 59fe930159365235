//! What the numbers should be: of the plan alone, for any number of sessions.

use std::time::Duration;

use crate::authority::{ANSWER, LIFETIME};
use crate::day::{Plan, Refreshing, SIGN_INS, USERS};
use crate::machine::Jitter;
use crate::store::ROUND_TRIP;

/// How much of the window before a token's end is chance.
const CHANCE: f64 = 0.1;

/// What a plan should come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Token requests a second, on average.
    pub(crate) mean: f64,
    /// In the second with most of them, when the tokens of the sign-in are refreshed.
    pub(crate) first_peak: f64,
    /// The same in the last hour.
    pub(crate) last_peak: f64,
    /// The longest wait for a lock.
    pub(crate) longest_wait: Duration,
}

pub(crate) fn expected(plan: &Plan) -> Expected {
    let waves = (f64::from(plan.hours) * 3600.0 / cycle(plan)).floor().max(1.0);
    let (mean, first, last) = match plan.refreshing {
        Refreshing::Timer => (f64::from(plan.sessions) / cycle(plan), crest(plan, 1.0), crest(plan, waves)),
        Refreshing::OnUse => {
            let mean = on_use(plan, |rate| 1.0 / (cycle(plan) + 1.0 / rate));
            // All are due at once, and each waits to be used. By the end of the day that has spread them evenly.
            let spread = SIGN_INS.as_secs_f64() + jitter(plan);
            (mean, on_use(plan, |rate| rate * (-rate * spread / 2.0).exp()), mean)
        }
    };
    // In how many seconds about as many come as in the highest.
    let sign_ins = SIGN_INS.as_secs_f64();
    let (first_seconds, last_seconds) = match plan.refreshing {
        Refreshing::Timer => (sign_ins, (sign_ins + jitter(plan) * waves) / 4.0),
        Refreshing::OnUse => (60.0, 3600.0),
    };
    Expected {
        mean,
        first_peak: highest(first, first_seconds),
        last_peak: highest(last, last_seconds),
        longest_wait: longest_wait(plan),
    }
}

/// How long a token is used: its lifetime without its window, which begins in the process whose chance is the earliest.
fn cycle(plan: &Plan) -> f64 {
    let chance = match (plan.jitter, plan.refreshing) {
        (Jitter::Drawn, Refreshing::Timer) => 1.0 / f64::from(plan.homes + 1),
        _ => 0.5,
    };
    LIFETIME.as_secs_f64() - f64::from(plan.window) * (1.0 - CHANCE * chance)
}

fn jitter(plan: &Plan) -> f64 {
    if plan.jitter == Jitter::Drawn { CHANCE * f64::from(plan.window) } else { 0.0 }
}

/// Token requests a second at the height of a wave. Each wave is wider than the one before it, by what chance has added.
fn crest(plan: &Plan, wave: f64) -> f64 {
    let (sign_ins, width) = (SIGN_INS.as_secs_f64(), jitter(plan) * wave);
    let sessions = f64::from(plan.sessions);
    if width <= sign_ins {
        return sessions / sign_ins;
    }
    // Most come first: a session's earliest of so many processes.
    let not_yet = (1.0 - sign_ins / width).powi(plan.homes as i32);
    sessions * (1.0 - not_yet) / sign_ins
}

/// The sum over the users, by how often they use their sessions.
fn on_use(plan: &Plan, of: impl Fn(f64) -> f64) -> f64 {
    let each = USERS.map(|(share, an_hour)| f64::from(share) / 10.0 * of(an_hour / 3600.0));
    f64::from(plan.sessions) * each.iter().sum::<f64>()
}

/// The highest of so many seconds in which so many come on average, by chance.
fn highest(mean: f64, seconds: f64) -> f64 {
    mean + (2.0 * mean * seconds.max(1.0).ln()).sqrt()
}

/// The first of a session's processes has the lock for a token request; each of the others for a look at what it has brought.
fn longest_wait(plan: &Plan) -> Duration {
    match plan.homes {
        0 | 1 => Duration::ZERO,
        homes => ANSWER + ROUND_TRIP * 3 + ROUND_TRIP * 2 * (homes - 2),
    }
}
