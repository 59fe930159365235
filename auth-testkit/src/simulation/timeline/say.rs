//! Words: a moment as a sentence, a time as a person reads it.

mod events;

use std::time::Duration;

use auth_core::{Event, SessionState, Stamp};

use super::super::asked::Asked;
use super::super::plan::Plan;
use super::super::record::{Moment, Pair, Refusal, StoreOp, StoreOutcome, Token, What};
use super::super::run::Run;
use super::lanes::{OUTSIDE, Of, Own};

/// An access token.
pub(super) fn access(token: Token) -> String {
    format!("a{}", token.number)
}

/// A refresh token.
pub(super) fn refresh(token: Token) -> String {
    format!("r{}", token.number)
}

/// An access token with its refresh token.
pub(super) fn pair(pair: Pair) -> String {
    let refresh = pair.refresh.map(|token| format!("/{}", refresh(token))).unwrap_or_default();
    format!("{}{refresh}", access(pair.access))
}

pub(super) fn stamp(stamp: Stamp) -> String {
    format!("{}.{}", stamp.epoch, stamp.generation)
}

pub(super) fn process(process: u32) -> String {
    if process == OUTSIDE { "others".to_owned() } else { format!("p{process}") }
}

pub(super) fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::SignedOut => "signed out",
        SessionState::Active => "active",
        SessionState::Refreshing => "refreshing",
        SessionState::Draining => "draining",
        SessionState::Ended(_) => "ended",
        _ => "unknown",
    }
}

/// A time in the unit that suits it, without zeros at the end: `412 µs`, `12.4 ms`, `31.2 s`.
pub(super) fn time(time: Duration) -> String {
    let micros = time.as_micros();
    let (unit, name) = match micros {
        0 => return "0".to_owned(),
        1..1_000 => return format!("{micros} µs"),
        1_000..1_000_000 => (1_000, "ms"),
        _ => (1_000_000, "s"),
    };
    let width = if unit == 1_000 { 3 } else { 6 };
    let digits = format!("{}.{:0width$}", micros / unit, micros % unit);
    format!("{} {name}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Roughly how long: three digits are enough.
pub(super) fn about(time: Duration) -> String {
    let micros = time.as_micros();
    let mut digit = 1;
    while micros / digit >= 1_000 {
        digit *= 10;
    }
    let rounded = micros / digit * digit;
    self::time(Duration::from_micros(u64::try_from(rounded).unwrap_or(u64::MAX)))
}

/// How much of what.
pub(super) fn summary(run: &Run) -> String {
    let counts = run.counts();
    let many = |many: u64, one: &str| format!("{many} {one}{}", if many == 1 { "" } else { "s" });
    let end = run.record.moments.last().map_or(Duration::ZERO, |moment| moment.at);
    [
        many(u64::from(run.plan.session.processes), "process").replace("processs", "processes"),
        many(counts.requests, "request"),
        many(counts.refreshes, "refresh").replace("refreshs", "refreshes"),
        many(counts.cancellations, "cancellation"),
        many(counts.faults, "planned fault"),
        format!("{} in {}", many(run.record.moments.len() as u64, "moment"), about(end)),
    ]
    .join(", ")
}

/// How to run a plan again.
pub(super) fn again(plan: &Plan) -> String {
    if is_seed(plan) {
        format!("simulate --seeds 1 --start {0}, or Plan::from_seed({0})", plan.seed)
    } else {
        "give the plan below to simulate --plan, or to Plan::from_json".to_owned()
    }
}

/// Whether the seed alone makes the plan.
pub(super) fn is_seed(plan: &Plan) -> bool {
    Plan::from_seed(plan.seed) == *plan
}

/// Whose moment it is: `p0 request 7`.
pub(super) fn who(moment: &Moment) -> String {
    let process = process(moment.process);
    match (Of::moment(moment), flight(&moment.what)) {
        (Of::World, _) => "the plan".to_owned(),
        (Of::Endpoint, _) => format!("{process} endpoint"),
        (Of::Process(_, Own::Flights), Some(flight)) => format!("{process} flight {flight}"),
        (Of::Process(_, Own::Flights), None) => format!("{process} session"),
        (of, _) => format!("{process} {of}"),
    }
}

fn flight(what: &What) -> Option<u64> {
    let What::Told(event) = what else { return None };
    match event {
        Event::RefreshStarted { flight, .. }
        | Event::AttemptFailed { flight, .. }
        | Event::Refreshed { flight, .. }
        | Event::RefreshFailed { flight, .. }
        | Event::QueueOpened { flight }
        | Event::Replayed { flight: Some(flight), .. } => Some(flight.get()),
        _ => None,
    }
}

/// What happened, without who and when.
pub(super) fn sentence(moment: &Moment, asked: &Asked) -> String {
    match &moment.what {
        What::Submitted { request } => format!("begins: {}", asked.words(*request)),
        What::Started => "the process starts".to_owned(),
        What::Killed => "the process is killed".to_owned(),
        What::Sent { attempt, place, stamp, token, .. } => sent(*attempt, *place, *stamp, *token),
        What::Answered { status: Some(status), .. } => format!("is answered {status}"),
        What::Answered { status: None, .. } => "its connection breaks".to_owned(),
        What::Settled { outcome: Ok(status), .. } => format!("has its result: {status}"),
        What::Settled { outcome: Err(kind), .. } => format!("fails: {}", kind.as_str()),
        What::Cancelled { .. } => "is dropped by its caller".to_owned(),
        What::Parked { .. } => "is not polled any more".to_owned(),
        What::SignIn { token } => format!("sign_in is called: {}", of(&access(*token), *token)),
        What::SignOut => "sign_out is called".to_owned(),
        What::Written { saved: true } => "what it had to write is written".to_owned(),
        What::Written { saved: false } => "what it had to write is not written".to_owned(),
        What::StoreBegan { call, op, .. } => format!("{} begins (call {call})", store_op(*op)),
        What::StoreEnded { call, op, outcome } => {
            format!("{} (call {call})", store_ended(*op, *outcome))
        }
        What::Built => "is built with the world's parts".to_owned(),
        What::Stopped { whole: true } => "stands still".to_owned(),
        What::Stopped { whole: false } => "nobody drives its own tasks".to_owned(),
        What::GoesOn => "goes on".to_owned(),
        What::Knew { request, stamp } => format!("request {request} knows stamp {}", self::stamp(*stamp)),
        What::Handed { request, token } => {
            format!("request {request} is given {}", of(&access(*token), *token))
        }
        What::Spoiled { request, how } => format!("request {request}: {how}"),
        What::Granted { pair, lives_s, .. } => {
            let lives = lives_s.map(|seconds| format!(", for {seconds} s")).unwrap_or_default();
            format!("is granted {}{lives}", self::pair(*pair))
        }
        What::Watched(state) => format!("a watcher sees: {}", self::state(*state)),
        What::Counted(_) => "its counters are read".to_owned(),
        What::Unlocked => "the lock is given back".to_owned(),
        What::Stored { pair: Some(pair) } => format!("now holds {}", of(&self::pair(*pair), pair.access)),
        What::Stored { pair: None } => "is empty now".to_owned(),
        What::Told(event) => format!("told: {}", events::told(event)),
        What::State(SessionState::Ended(reason)) => format!("state: ended, {reason}"),
        What::State(state) => format!("state: {}", self::state(*state)),
        // Of what the plan does, this is for one process.
        What::Meddled(words) if asked.is_shared && words.starts_with("the next") => {
            format!("{}: {words}", process(moment.process))
        }
        What::Meddled(words) => words.clone(),
        What::Leaked(place) => format!("a token's text left the library: {place}"),
        What::Healed => "the plan is over: from here on nothing goes wrong".to_owned(),
        call => endpoint(call),
    }
}

fn endpoint(what: &What) -> String {
    match what {
        What::Presented { call, refresh } => {
            format!("{} is presented (call {call})", of(&self::refresh(*refresh), *refresh))
        }
        What::Acquiring { call } => format!("first tokens are asked for (call {call})"),
        What::Exchanged { call, access, refresh } => {
            format!("exchanged for {} and {} (call {call})", self::access(*access), self::refresh(*refresh))
        }
        What::Refused { call, why } => {
            let why = match why {
                Refusal::Reused => "it was exchanged before, its family is revoked",
                Refusal::Revoked => "its family is revoked",
                Refusal::Expired => "it has expired",
                Refusal::Unknown => "it was never issued",
            };
            format!("refused: {why} (call {call})")
        }
        What::Failed { call, status: Some(status) } => format!("answered {status} (call {call})"),
        What::Failed { call, status: None } => format!("no answer, nothing done (call {call})"),
        What::Delivered { call } => format!("the answer arrives (call {call})"),
        What::Lost { call } => format!("the answer is lost, and with it what was granted (call {call})"),
        What::Abandoned { call } => format!("given up, nothing granted so far (call {call})"),
        What::Offered { refresh } => {
            format!("{} is offered for revocation", of(&self::refresh(*refresh), *refresh))
        }
        What::Revoked { refresh } => format!("{} is revoked", of(&self::refresh(*refresh), *refresh)),
        other => format!("{other:?}"),
    }
}

fn of(name: &str, token: Token) -> String {
    format!("{name} of sign-in {}", token.sign_in)
}

fn sent(attempt: u8, place: Option<(u64, u64)>, stamp: Option<Stamp>, token: Option<Token>) -> String {
    let mut text =
        if attempt > 1 { format!("is sent again (attempt {attempt})") } else { "is sent".to_owned() };
    match token {
        Some(token) => text.push_str(&format!(" with {}", of(&access(token), token))),
        None => text.push_str(" without a token"),
    }
    if let Some(stamp) = stamp {
        text.push_str(&format!(", stamp {}", self::stamp(stamp)));
    }
    if let Some((flight, ticket)) = place {
        text.push_str(&format!(", flight {flight} ticket {ticket}"));
    }
    text
}

fn store_op(op: StoreOp) -> String {
    match op {
        StoreOp::Load => "load".to_owned(),
        StoreOp::Save { pair } => format!("save of {}", self::pair(pair)),
        StoreOp::Clear => "clear".to_owned(),
        StoreOp::Lock => "lock".to_owned(),
    }
}

fn store_ended(op: StoreOp, outcome: StoreOutcome) -> String {
    match (op, outcome) {
        (StoreOp::Load, StoreOutcome::Done(Some(pair))) => {
            format!("load found {}", of(&self::pair(pair), pair.access))
        }
        (StoreOp::Load, StoreOutcome::Done(None)) => "load found nothing".to_owned(),
        (StoreOp::Lock, StoreOutcome::Done(_)) => "has the lock".to_owned(),
        (op, StoreOutcome::Done(_)) => format!("{} is done", store_op(op)),
        (op, StoreOutcome::Failed) => format!("{} fails", store_op(op)),
        (op, StoreOutcome::Conflict) => format!("{} fails: the lock had been lost", store_op(op)),
        (op, StoreOutcome::Dropped) => format!("{} is dropped before it is done", store_op(op)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_unit_that_suits_it() {
        let told = |micros| time(Duration::from_micros(micros));

        assert_eq!(told(0), "0");
        assert_eq!(told(412), "412 µs");
        assert_eq!(told(12_400), "12.4 ms");
        assert_eq!(told(100_000), "100 ms");
        assert_eq!(told(31_200_001), "31.200001 s");
        assert_eq!(told(60_000_000), "60 s");
    }

    #[test]
    fn what_is_for_one_process_says_for_which_where_there_are_more() {
        let told = |words: &str, processes| {
            let mut plan = Plan::from_seed(0);
            plan.session.processes = processes;
            let what = What::Meddled(words.to_owned());
            sentence(&Moment { at: Duration::ZERO, process: 1, what }, &Asked::new(&plan))
        };

        assert_eq!(told("the next token request: Garbage", 2), "p1: the next token request: Garbage");
        assert_eq!(told("the next token request: Garbage", 1), "the next token request: Garbage");
        assert_eq!(told("the wall clock jumps by 30 s", 2), "the wall clock jumps by 30 s");
    }

    #[test]
    fn a_rough_time_has_three_digits() {
        let told = |micros| about(Duration::from_micros(micros));

        assert_eq!(told(7), "7 µs");
        assert_eq!(told(12_437), "12.4 ms");
        assert_eq!(told(89_999_999), "89.9 s");
        assert_eq!(told(7_200_000_000), "7200 s");
    }
}
