//! The budget: whatever happens, in whatever order, the token endpoint is asked no more often than the policy allows.

mod ledger;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{AccessToken, Error, Event, Lease, RefreshError, Runtime as _, Stamp, Tokens};
use auth_testkit::{ManualRuntime, Running, SendCall};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestRunner};

use self::ledger::{Ledger, Seen};
use crate::world::{Answer, World};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A session's numbers, as far as they are its author's choice.
#[derive(Clone, Copy, Debug)]
struct Settings {
    rejections: Option<usize>,
    cooldown: (Duration, Duration),
    longest_retry_after: Duration,
    soft_window: Duration,
    margin: Duration,
    while_idle: bool,
    seed: u64,
}

/// What the token endpoint says, or does not.
#[derive(Clone, Copy, Debug)]
enum Reply {
    /// New tokens, which live this long; `None` is unknown.
    New(Option<u64>),
    /// The same access token once more.
    Same,
    Unavailable(Option<u64>),
    Lost,
    Misconfigured,
    Rejected,
    /// Tokens that this session cannot use.
    Useless,
    Panic,
    Silence,
}

/// What may happen next. Requests, and what they wait for, are chosen among those there are.
#[derive(Clone, Copy, Debug)]
enum Op {
    Request,
    Forced,
    /// `access_token`, valid for this many seconds.
    Wanted(u64),
    /// `reject`, with a stamp from the newest back.
    Told(usize),
    /// The API answers one of its requests: the oldest, or a later one.
    Api(usize, u16),
    Refresh(Reply),
    Drop(usize),
    SignIn(Option<u64>),
    SignOut,
    /// Milliseconds.
    Pass(u64),
}

fn lifetime() -> impl Strategy<Value = Option<u64>> {
    select(&[None, Some(0), Some(1), Some(10), Some(100), Some(3_600)][..])
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        8 => lifetime().prop_map(Reply::New),
        1 => Just(Reply::Same),
        3 => Just(Reply::Unavailable(None)),
        2 => select(&[0, 5, 40, 86_400][..]).prop_map(|asked| Reply::Unavailable(Some(asked))),
        1 => Just(Reply::Lost),
        3 => Just(Reply::Misconfigured),
        2 => Just(Reply::Rejected),
        1 => Just(Reply::Useless),
        1 => Just(Reply::Panic),
        1 => Just(Reply::Silence),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => Just(Op::Request),
        12 => (0_usize..4, select(&[401, 401, 401, 200][..])).prop_map(|(at, status)| Op::Api(at, status)),
        14 => reply().prop_map(Op::Refresh),
        10 => select(&[1, 100, 800, 1_200, 5_000, 9_000, 15_000, 30_000, 60_000, 300_000][..]).prop_map(Op::Pass),
        2 => Just(Op::Forced),
        2 => select(&[0, 5, 50, 5_000][..]).prop_map(Op::Wanted),
        3 => (0_usize..3).prop_map(Op::Told),
        1 => (0_usize..4).prop_map(Op::Drop),
        3 => lifetime().prop_map(Op::SignIn),
        1 => prop_oneof![1 => Just(Op::SignOut), 4 => Just(Op::Request)],
    ]
}

/// A server that rejects every token, or a token endpoint that is down, for a while: what single steps seldom come to.
fn chunk() -> impl Strategy<Value = Vec<Op>> {
    let rejected = lifetime().prop_map(|lifetime| {
        vec![Op::Request, Op::Api(0, 401), Op::Refresh(Reply::New(lifetime)), Op::Api(0, 401)]
    });
    let outage = (reply(), select(&[400, 900, 2_500, 10_000, 70_000][..]))
        .prop_map(|(reply, pause)| vec![Op::Request, Op::Told(0), Op::Refresh(reply), Op::Pass(pause)]);
    prop_oneof![
        12 => op().prop_map(|op| vec![op]),
        3 => (rejected, 1_usize..6).prop_map(|(ops, times)| ops.repeat(times)),
        3 => (outage, 1_usize..6).prop_map(|(ops, times)| ops.repeat(times)),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    (lifetime(), prop::collection::vec(chunk(), 1..50)).prop_map(|(first, chunks)| {
        std::iter::once(Op::SignIn(first)).chain(chunks.into_iter().flatten()).collect()
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let some_seconds = |seconds: &'static [u64]| select(seconds).prop_map(s);
    (
        select(&[None, Some(0), Some(1), Some(2), Some(5)][..]),
        select(&[(1, 60), (1, 4), (5, 5), (3, 1)][..]),
        some_seconds(&[0, 10, 300]),
        some_seconds(&[0, 1, 300, 100_000]),
        some_seconds(&[0, 5, 100_000]),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(
            |(rejections, cooldown, longest_retry_after, soft_window, margin, while_idle, seed)| {
                let cooldown = (s(cooldown.0), s(cooldown.1));
                Settings { rejections, cooldown, longest_retry_after, soft_window, margin, while_idle, seed }
            },
        )
}

/// The world of one run, with whatever is under way in it.
struct Run {
    world: World,
    ledger: Ledger,
    told: Arc<Mutex<Vec<(Duration, Event)>>>,
    requests: Vec<Running<Answer>>,
    forced: Vec<Running<Result<Lease, Error>>>,
    wanted: Vec<Running<Result<AccessToken, Error>>>,
    sent: Vec<SendCall>,
    stamps: Vec<Stamp>,
    made: u64,
}

impl Run {
    fn new(settings: Settings) -> Self {
        let runtime = ManualRuntime::with_seed(settings.seed);
        let told: Arc<Mutex<Vec<(Duration, Event)>>> = Arc::default();
        let (its, clock, seen) = (runtime.clone(), runtime.clone(), Arc::clone(&told));
        let mut world = World::with(
            |session| {
                let session = session
                    .runtime(its)
                    .max_rejections(settings.rejections)
                    .cooldown(settings.cooldown.0, settings.cooldown.1)
                    .longest_retry_after(settings.longest_retry_after)
                    .soft_window(settings.soft_window)
                    .expiry_margin(settings.margin)
                    // It is told in the instant in which it happens.
                    .on_event(move |event| seen.lock().unwrap().push((clock.elapsed(), event.clone())));
                if settings.while_idle { session.refresh_while_idle() } else { session }
            },
            |client| client,
        );
        world.runtime = runtime;
        Self {
            world,
            ledger: Ledger::new(settings),
            told,
            requests: Vec::new(),
            forced: Vec::new(),
            wanted: Vec::new(),
            sent: Vec::new(),
            stamps: Vec::new(),
            made: 0,
        }
    }

    fn tokens(&mut self, lifetime: Option<u64>) -> Tokens {
        self.made += 1;
        let now = self.world.runtime.now();
        let tokens = auth_testkit::numbered(self.made);
        self.ledger.issued(lifetime.filter(|seconds| *seconds > 0).map(s));
        match lifetime {
            Some(seconds) => tokens.with_expires_in(s(seconds), now),
            None => tokens,
        }
    }

    fn step(&mut self, op: Op) {
        let session = self.world.session.clone();
        let runtime = self.world.runtime.clone();
        match op {
            Op::Request => self.requests.push(self.world.get("/")),
            Op::Forced => {
                self.ledger.forced();
                self.forced.push(runtime.start(async move { session.refresh(None).await }));
            }
            Op::Wanted(seconds) => {
                self.ledger.wanted(runtime.elapsed());
                self.wanted.push(runtime.start(async move { session.access_token(s(seconds)).await }));
            }
            Op::Told(back) => {
                if let Some(stamp) = self.stamps.iter().rev().nth(back) {
                    let _ = session.reject(*stamp);
                }
            }
            Op::Api(at, status) => {
                if !self.sent.is_empty() {
                    self.sent.remove(at.min(self.sent.len() - 1)).respond(status);
                }
            }
            Op::Refresh(reply) => self.reply(reply),
            Op::Drop(at) => {
                if at < self.requests.len() {
                    self.requests.remove(at).cancel();
                }
            }
            Op::SignIn(lifetime) => {
                let tokens = self.tokens(lifetime);
                drop(session.sign_in(tokens));
            }
            Op::SignOut => drop(session.sign_out()),
            Op::Pass(millis) => self.world.pass(Duration::from_millis(millis)),
        }
        self.world.settle();
        self.sent.extend(std::iter::from_fn(|| self.world.api.try_next()));
        for (at, event) in std::mem::take(&mut *self.told.lock().unwrap()) {
            match &event {
                Event::SignedIn { epoch } => self.stamps.push(Stamp { epoch: *epoch, generation: 0 }),
                Event::Refreshed { stamp, .. } => self.stamps.push(*stamp),
                _ => {}
            }
            self.ledger.tell(at, &event);
        }
        self.ledger.balance(self.world.runtime.elapsed(), self.world.refresher.calls());
    }

    fn reply(&mut self, reply: Reply) {
        // Those that were given up are nobody's.
        let calls = std::iter::from_fn(|| self.world.refresher.try_next());
        let Some(call) = calls.filter(|call| !call.is_abandoned()).last() else { return };
        match reply {
            Reply::New(lifetime) => call.answer(self.tokens(lifetime)),
            Reply::Same => {
                let same = call.presented().clone();
                let left = same
                    .expires_at()
                    .map(|at| at.duration_since(self.world.runtime.now()).unwrap_or_default());
                self.ledger.issued(left.filter(|left| !left.is_zero()));
                call.answer(same);
            }
            Reply::Unavailable(None) => call.fail(RefreshError::unavailable("503")),
            Reply::Unavailable(Some(asked)) => {
                call.fail(RefreshError::unavailable("429").retry_after(s(asked)));
            }
            Reply::Lost => call.fail(RefreshError::unavailable("reset").outcome_unknown()),
            Reply::Misconfigured => call.fail(RefreshError::misconfigured("down")),
            Reply::Rejected => call.fail(RefreshError::rejected("invalid_grant")),
            Reply::Useless => {
                let useless = self.tokens(None).with_token_type("mac");
                call.answer(useless);
            }
            Reply::Panic => call.panics("scripted"),
            Reply::Silence => drop(call),
        }
    }

    /// Whoever still waits is answered in time.
    fn settles(&mut self) {
        for _ in 0..4 {
            self.step(Op::Pass(60_000));
            for _ in 0..self.sent.len() {
                self.step(Op::Api(0, 200));
            }
        }
        assert!(self.requests.iter().all(Running::is_finished), "a request hangs");
        assert!(self.forced.iter().all(Running::is_finished), "a forced refresh hangs");
        assert!(self.wanted.iter().all(Running::is_finished), "a call for a token hangs");
    }
}

fn run(settings: Settings, ops: &[Op]) -> Seen {
    let mut run = Run::new(settings);
    for op in ops {
        run.step(*op);
    }
    run.settles();
    let mut seen = run.ledger.seen;
    let counters = run.world.session.counters();
    (seen.excessive, seen.cooled, seen.late) = (counters.excessive, counters.cooled, counters.late);
    seen
}

/// F1–F10, P3, P5, C9: For any sequence of requests, 401s on time and late, forced refreshes, sign-ins, answers of the token
/// endpoint of every kind or none, drops, and time passing, at every step, in every epoch:
///
/// ```text
/// calls   ≤ 3 · flights
/// flights ≤ forced + Σ over generations g (1 + probes(D_g))
/// generations ≤ forced + wanted + K · (⌊D / 30 s⌋ + 1) + D / (0.8 · L)
/// ```
///
/// `D` is the age of the epoch and `D_g` the time that generation g has been the newest; `K` is the limit of rejections,
/// `L` the shortest lifetime that was issued in the epoch. `forced` are the calls of `refresh`, `wanted` those of
/// `access_token`. `probes(D)` is the largest n with `0.8 · Σ_{i=1..n} min(first · 2^(i-1), longest) ≤ D`: how many cooldowns,
/// each as short as chance can make it, find room one after the other.
///
/// And each flight for itself: none while another is up; none but a forced one within the cooldown of the last failure, nor
/// before what the server asked for has passed; none for a rejection while the window is full; none ahead of time before
/// four fifths of the newest lifetime, unless somebody wanted it for longer; none after the refresh token was refused.
#[test]
fn the_token_endpoint_is_asked_no_more_often_than_the_policy_allows() {
    let config = ProptestConfig {
        cases: 800,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x6275_6467),
        ..ProptestConfig::default()
    };
    let seen = Mutex::new(Seen::default());

    let result = TestRunner::new(config).run(&(settings(), ops()), |(settings, ops)| {
        seen.lock().unwrap().add(&run(settings, &ops));
        Ok(())
    });

    if let Err(failure) = result {
        panic!("{failure}");
    }
    // It proves nothing about what never happened.
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_plenty(), "{seen:?}");
}
