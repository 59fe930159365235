//! First tokens: however often they cannot be had, whatever the store does meanwhile, the token endpoint is asked no more often
//! than the cooldowns allow.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{ErrorKind, Event, RefreshError, Runtime as _};
use auth_testkit::{ManualRuntime, Op as StoreOp, Running};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestRunner};

use super::ledger::SHORTEST;
use super::{Settings, s, settings};
use crate::world::World;

/// What the token endpoint says, or does not: never tokens that are of use.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Unavailable(Option<u64>),
    Lost,
    Misconfigured,
    Rejected,
    Useless,
    Panic,
    Silence,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Request,
    Forced,
    /// `access_token`.
    Wanted,
    Acquire(Reply),
    /// From now on the store can be read, or cannot.
    Store(bool),
    /// Milliseconds.
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let reply = prop_oneof![
        4 => select(&[None, None, Some(0), Some(5), Some(40), Some(86_400)][..]).prop_map(Reply::Unavailable),
        1 => Just(Reply::Lost),
        2 => Just(Reply::Misconfigured),
        1 => Just(Reply::Rejected),
        1 => Just(Reply::Useless),
        1 => Just(Reply::Panic),
        1 => Just(Reply::Silence),
    ];
    prop_oneof![
        10 => Just(Op::Request),
        1 => Just(Op::Forced),
        1 => Just(Op::Wanted),
        10 => reply.prop_map(Op::Acquire),
        1 => any::<bool>().prop_map(Op::Store),
        10 => select(&[1, 300, 900, 1_300, 5_000, 15_000, 60_000, 300_000][..]).prop_map(Op::Pass),
    ]
}

/// How much of everything has happened.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    failed: u64,
    unread: u64,
    refused: u64,
    calls: u64,
    most_in_a_row: u32,
}

fn run(settings: Settings, ops: &[Op]) -> Seen {
    let runtime = ManualRuntime::with_seed(settings.seed);
    let (its, clock) = (runtime.clone(), runtime.clone());
    let told: Arc<Mutex<Vec<(Duration, Event)>>> = Arc::default();
    let heard = Arc::clone(&told);
    let mut world = World::with(
        |session| {
            session
                .runtime(its)
                .cooldown(settings.cooldown.0, settings.cooldown.1)
                .longest_retry_after(settings.longest_retry_after)
                .on_event(move |event| heard.lock().unwrap().push((clock.elapsed(), event.clone())))
        },
        |client| client,
    );
    world.runtime = runtime.clone();
    world.refresher.script_acquire();
    let (mut seen, mut cools_until) = (Seen::default(), Duration::ZERO);
    let mut asking = Vec::new();
    for op in ops {
        let (at, before) = (runtime.elapsed(), world.refresher.acquires());
        let session = world.session.clone();
        match *op {
            Op::Request => asking.push(runtime.start(async move { session.lease().await.map(|_| ()) })),
            Op::Forced => asking.push(runtime.start(async move { session.refresh(None).await.map(|_| ()) })),
            Op::Wanted => {
                asking.push(runtime.start(async move { session.access_token(s(5)).await.map(|_| ()) }));
            }
            Op::Acquire(reply) => answer(&world, reply),
            Op::Store(readable) => world.store.fail_always(StoreOp::Load, !readable),
            Op::Pass(millis) => world.pass(Duration::from_millis(millis)),
        }
        world.settle();
        let calls = world.refresher.acquires();
        if at < cools_until && matches!(op, Op::Request | Op::Forced | Op::Wanted) {
            assert_eq!(calls, before, "asked in the cooldown");
            seen.refused += 1;
        }
        for (at, event) in std::mem::take(&mut *told.lock().unwrap()) {
            let Event::LoadFailed { error } = event else { panic!("{event:?}") };
            if error.kind() == ErrorKind::Store {
                seen.unread += 1;
                continue;
            }
            seen.failed += 1;
            seen.most_in_a_row += 1;
            let source = error.source().and_then(|source| source.downcast_ref::<RefreshError>());
            let asked = source.and_then(RefreshError::retry_after_hint).unwrap_or_default();
            let own = settings.cooldown(seen.most_in_a_row).mul_f64(SHORTEST);
            cools_until = at + own.max(asked.min(settings.longest_retry_after));
        }
        let most = 3 * (1 + settings.probes(runtime.elapsed()));
        assert!(calls <= most, "{calls} calls, {most} allowed");
        seen.calls = calls as u64;
    }
    world.pass(s(300));
    assert!(asking.iter().all(Running::is_finished), "somebody hangs");
    seen
}

/// To the call that is under way.
fn answer(world: &World, reply: Reply) {
    let calls = std::iter::from_fn(|| world.refresher.try_next_acquire());
    let Some(call) = calls.filter(|call| !call.is_abandoned()).last() else { return };
    match reply {
        Reply::Unavailable(None) => call.fail(RefreshError::unavailable("503")),
        Reply::Unavailable(Some(asked)) => call.fail(RefreshError::unavailable("429").retry_after(s(asked))),
        Reply::Lost => call.fail(RefreshError::unavailable("reset").outcome_unknown()),
        Reply::Misconfigured => call.fail(RefreshError::misconfigured("down")),
        Reply::Rejected => call.fail(RefreshError::rejected("invalid_grant")),
        Reply::Useless => call.answer(Some(auth_testkit::numbered(1).with_token_type("mac"))),
        Reply::Panic => call.panics("scripted"),
        Reply::Silence => drop(call),
    }
}

/// G10b, F8–F10, C9: For any sequence of requests, failures and silences of the token endpoint and of the store: calls ≤ 3 ·
/// (1 + probes(D)), as in the budget of refreshes, and none for a request within the cooldown.
#[test]
fn first_tokens_are_asked_for_no_more_often_than_the_policy_allows() {
    let config = ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x6669_7273),
        ..ProptestConfig::default()
    };
    let sum = Mutex::new(Seen::default());

    let ops = prop::collection::vec(op(), 1..80);
    let result = TestRunner::new(config).run(&(settings(), ops), |(settings, ops)| {
        let seen = run(settings, &ops);
        let mut sum = sum.lock().unwrap();
        sum.failed += seen.failed;
        sum.unread += seen.unread;
        sum.refused += seen.refused;
        sum.calls += seen.calls;
        sum.most_in_a_row = sum.most_in_a_row.max(seen.most_in_a_row);
        Ok(())
    });

    if let Err(failure) = result {
        panic!("{failure}");
    }
    // It proves nothing about what never happened.
    let sum = sum.into_inner().unwrap();
    let each = [sum.failed, sum.unread, sum.refused, sum.calls];
    assert!(each.iter().all(|seen| *seen >= 100) && sum.most_in_a_row >= 6, "{sum:?}");
}
