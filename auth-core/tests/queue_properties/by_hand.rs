//! By hand: every step is the test's, in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{Event, FlightId, RefreshError, Runtime as _, Session};
use auth_testkit::{ManualRuntime, RefresherHandle, Running, ScriptedRefresher, numbered};
use proptest::prelude::*;
use proptest::sample::select;

use crate::crowd::{Began, Fate, Log, Outcome, Stage, fates, live, yield_now};

#[derive(Clone, Copy, Debug)]
enum Move {
    Join(Fate),
    Cancel(usize),
    /// After so many rounds of everything that is awake: between a wake-up and its poll, say.
    CancelLater(usize, u8),
    Settle,
    Pass(u64),
    Answer(Answer),
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Fresh,
    Unavailable,
    Misconfigured,
    Rejected,
    /// None: the attempt runs out of time.
    Never,
}

fn moves(stuck: u32, pauses: u32) -> impl Strategy<Value = Vec<Move>> {
    let answer = prop_oneof![
        6 => Just(Answer::Fresh),
        1 => Just(Answer::Unavailable),
        1 => Just(Answer::Misconfigured),
        1 => Just(Answer::Rejected),
        1 => Just(Answer::Never),
    ];
    let one = prop_oneof![
        20 => fates(stuck, pauses).prop_map(Move::Join),
        2 => any::<usize>().prop_map(Move::Cancel),
        3 => (any::<usize>(), 0_u8..12).prop_map(|(member, rounds)| Move::CancelLater(member, rounds)),
        3 => Just(Move::Settle),
        1 => select(&[1, 49, 50, 51, 250, 449, 450, 500, 1_300, 31_000][..]).prop_map(Move::Pass),
        1 => answer.prop_map(Move::Answer),
    ];
    prop::collection::vec(one, 1..60)
}

const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(50);

/// What the session told its listener, and when.
#[derive(Default)]
struct Told {
    published: BTreeMap<FlightId, Duration>,
    opened: BTreeMap<FlightId, Duration>,
    failures: usize,
    /// How often the refresher had been called when new tokens came.
    calls: Option<usize>,
}

type Members = Arc<Mutex<Vec<Option<Running<()>>>>>;

struct Hall {
    runtime: ManualRuntime,
    refresher: RefresherHandle,
    stage: Arc<Stage>,
    told: Arc<Mutex<Told>>,
    members: Members,
    fates: Vec<Fate>,
    cancelled: Arc<Mutex<Vec<usize>>>,
    answers: u64,
}

fn cancel(members: &Members, cancelled: &Mutex<Vec<usize>>, chosen: usize) {
    let (at, member) = {
        let mut members = members.lock().unwrap();
        let Some(at) = chosen.checked_rem(members.len()) else { return };
        (at, members[at].take())
    };
    // Dropping a waiter wakes others: not under a lock of ours.
    if let Some(member) = member {
        if !member.is_finished() {
            cancelled.lock().unwrap().push(at);
        }
        member.cancel();
    }
}

impl Hall {
    fn new() -> Self {
        let runtime = ManualRuntime::new();
        let (refresher, handle) = ScriptedRefresher::new();
        let told = Arc::new(Mutex::new(Told::default()));
        let session = {
            let (told, clock, calls) = (Arc::clone(&told), runtime.clone(), handle.clone());
            let listener = move |event: &Event| {
                let mut told = told.lock().unwrap();
                match event {
                    Event::Refreshed { flight, .. } => {
                        let before = told.published.insert(*flight, clock.elapsed());
                        assert!(before.is_none() && told.calls.is_none(), "one refresh is enough for all");
                        told.calls = Some(calls.calls());
                    }
                    Event::QueueOpened { flight } => drop(told.opened.insert(*flight, clock.elapsed())),
                    Event::RefreshFailed { .. } => told.failures += 1,
                    _ => {}
                }
            };
            Session::builder(refresher).runtime(runtime.clone()).on_event(listener).build()
        };
        runtime.block_on(session.sign_in(numbered(0))).unwrap();
        let stamp = runtime.block_on(session.lease()).unwrap().stamp();
        let members = Members::default();
        let cancelled = Arc::new(Mutex::new(Vec::new()));
        let (clock, sleeper) = (runtime.clone(), runtime.clone());
        let (others, gone) = (Arc::clone(&members), Arc::clone(&cancelled));
        let stage = Stage {
            session,
            stamp,
            elapsed: Box::new(move || clock.elapsed()),
            pause: Box::new(move |pause| sleeper.sleep(millis(pause))),
            cancel: Box::new(move |chosen| cancel(&others, &gone, chosen)),
            joined: Box::new(|| {}),
            log: Mutex::default(),
            shelf: Mutex::default(),
        };
        Self {
            runtime,
            refresher: handle,
            stage: Arc::new(stage),
            told,
            members,
            fates: Vec::new(),
            cancelled,
            answers: 0,
        }
    }

    fn make(&mut self, next: Move) {
        match next {
            Move::Join(fate) => {
                let life = live(Arc::clone(&self.stage), self.fates.len(), fate);
                self.fates.push(fate);
                self.members.lock().unwrap().push(Some(self.runtime.start(life)));
            }
            Move::Cancel(chosen) => cancel(&self.members, &self.cancelled, chosen),
            Move::CancelLater(chosen, rounds) => {
                let stage = Arc::clone(&self.stage);
                drop(self.runtime.start(async move {
                    for _ in 0..rounds {
                        yield_now().await;
                    }
                    (stage.cancel)(chosen);
                }));
            }
            Move::Settle => self.runtime.run_until_stalled(),
            Move::Pass(time) => self.runtime.advance(Duration::from_millis(time)),
            Move::Answer(answer) => self.answer(answer),
        }
    }

    fn answer(&mut self, answer: Answer) {
        let Some(call) = self.refresher.try_next() else { return };
        self.answers += 1;
        match answer {
            Answer::Fresh => call.answer(numbered(self.answers)),
            Answer::Unavailable => call.fail(RefreshError::unavailable("scripted")),
            Answer::Misconfigured => call.fail(RefreshError::misconfigured("scripted")),
            Answer::Rejected => call.fail(RefreshError::rejected("scripted")),
            Answer::Never => drop(call),
        }
    }

    /// Everything that is still asked is answered, and time passes until nothing can be left to happen.
    fn finish(&mut self) {
        for _ in 0..8 {
            self.runtime.run_until_stalled();
            self.answer(Answer::Fresh);
            self.runtime.advance(Duration::from_secs(5));
        }
    }

    /// What holds whatever the runtime does.
    fn nobody_waits(&self, log: &Log) {
        let cancelled = self.cancelled.lock().unwrap();
        for (member, fate) in self.fates.iter().enumerate() {
            let gone = cancelled.contains(&member);
            let Some(report) = log.members.get(&member) else {
                assert!(gone, "{member} was never polled");
                continue;
            };
            let waits = fate.is_stuck() && log.joined.contains(&member);
            assert!(report.outcome.is_some() || gone || waits, "{member}, {fate:?}, waits for ever");
            assert!(report.polls <= 2, "{member}, {fate:?}: {report:?}");
        }
    }

    fn check(&self) {
        let log = self.stage.log.lock().unwrap();
        let told = self.told.lock().unwrap();
        self.nobody_is_lost(&log, &told);
        self.order_is_kept(&log, &told);
        self.nobody_is_delayed(&log, &told);
        assert!(self.refresher.most_at_once() <= 1);
        assert!(told.calls.is_none_or(|calls| calls == self.refresher.calls()), "one refresh is enough");
        assert_eq!((self.runtime.tasks(), self.runtime.timers()), (0, 0), "nothing is left running");
    }

    fn nobody_is_lost(&self, log: &Log, told: &Told) {
        self.nobody_waits(log);
        for (member, report) in &log.members {
            let polls = match report.outcome {
                Some(Outcome::Turn(Some(_))) => 2..=2,
                Some(Outcome::Turn(None)) => 1..=1,
                Some(Outcome::Failed(_)) => 1..=2,
                Some(Outcome::Left) | None => 1..=1,
            };
            assert!(polls.contains(&report.polls), "{member}: {report:?}");
            let failed = matches!(report.outcome, Some(Outcome::Failed(_)));
            assert!(!failed || told.failures > 0, "{member}: {report:?}, and no refresh has failed");
        }
    }

    fn order_is_kept(&self, log: &Log, told: &Told) {
        let pauses = self.fates.iter().any(|fate| fate.pause() > 0);
        for (flight, starts) in by_flight(log) {
            assert!(starts.iter().all(|start| start.alone), "one start at a time: {starts:?}");
            let opened = told.opened.get(&flight).filter(|_| pauses);
            let before: Vec<_> =
                starts.iter().filter(|start| opened.is_none_or(|opened| start.at < *opened)).collect();
            assert!(before.is_sorted_by(|one, next| one.ticket < next.ticket), "out of order: {starts:?}");
            let mut places: Vec<_> = log
                .members
                .iter()
                .filter_map(|(member, report)| {
                    let Some(Outcome::Turn(Some((other, ticket)))) = report.outcome else { return None };
                    (other == flight).then(|| (ticket, place(log, *member)))
                })
                .collect();
            places.sort_unstable();
            assert!(places.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1), "{places:?}");
        }
    }

    /// Those who are stuck cost one patience in total; who takes a pause costs that.
    fn nobody_is_delayed(&self, log: &Log, told: &Told) {
        for start in &log.starts {
            let before = &log.joined[..=place(log, start.member)];
            let paused: Duration = before.iter().map(|member| millis(self.fates[*member].pause())).sum();
            let stuck = before.iter().any(|member| self.fates[*member].is_stuck());
            let most = paused + if stuck { PATIENCE } else { Duration::ZERO };
            let delay = start.at - told.published[&start.flight];
            assert!(delay <= most, "{start:?} after {delay:?}, which is more than {most:?}");
        }
        let light = PATIENCE * 9 / 10;
        let paused: Duration = self.fates.iter().map(|fate| millis(fate.pause())).sum();
        let stuck = self.fates.iter().any(|fate| fate.is_stuck());
        for (flight, opened) in &told.opened {
            assert!(stuck || paused >= light, "order was given up though everybody moved");
            let published = told.published[flight];
            // No start within it: the only ticks that may be charged.
            let still = (1..)
                .map(|tick| (published + TICK * (tick - 1), published + TICK * tick))
                .take_while(|(_, end)| end <= opened)
                .filter(|(begin, end)| {
                    let within =
                        |start: &Began| start.flight == *flight && start.at > *begin && start.at < *end;
                    !log.starts.iter().any(within)
                })
                .count();
            assert!(still >= 9, "order was given up lightly: after {still} ticks without a start");
        }
    }
}

fn by_flight(log: &Log) -> BTreeMap<FlightId, Vec<Began>> {
    let mut flights = BTreeMap::<_, Vec<_>>::new();
    for start in &log.starts {
        flights.entry(start.flight).or_default().push(*start);
    }
    flights
}

fn place(log: &Log, member: usize) -> usize {
    log.joined.iter().position(|joined| *joined == member).expect("who has a place has joined")
}

fn millis(pause: u8) -> Duration {
    Duration::from_millis(u64::from(pause) * 4)
}

fn play(moves: Vec<Move>) {
    let mut hall = Hall::new();
    for next in moves {
        hall.make(next);
    }
    hall.finish();
    hall.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nobody is stuck and nobody pauses: everybody starts in order, at the instant of the refresh.
    #[test]
    fn where_everybody_moves_replays_start_in_order_and_at_once(moves in moves(0, 0)) {
        play(moves);
    }

    /// Some are never polled again, or forgotten: they cost the others one patience, and nobody else's order.
    #[test]
    fn those_who_are_stuck_cost_one_patience(moves in moves(1, 0)) {
        play(moves);
    }

    /// Some are late or hesitate: order waits for them, as far as patience goes.
    #[test]
    fn those_who_are_slow_are_waited_for_within_patience(moves in moves(0, 6)) {
        play(moves);
    }

    /// The runtime dies, and with it the refresh and the timers: whoever waits is freed, whoever comes is told.
    #[test]
    fn nobody_is_lost_where_the_runtime_dies(before in moves(1, 2), after in moves(1, 2)) {
        let mut hall = Hall::new();
        before.into_iter().for_each(|next| hall.make(next));
        hall.runtime.shutdown();
        after.into_iter().for_each(|next| hall.make(next));
        hall.finish();
        hall.nobody_waits(&hall.stage.log.lock().unwrap());
    }

    /// Everything at once.
    #[test]
    fn nobody_is_lost_whatever_becomes_of_the_others(moves in moves(1, 2)) {
        play(moves);
    }
}
