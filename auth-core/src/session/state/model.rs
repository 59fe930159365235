//! The state beside a naive model of it, through whatever may happen in whatever order.
//!
//! The model is written from the tables' text and keeps everything in the plainest form: no queue, no snapshot, nothing is
//! forgotten, and every rule looks at the whole history.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::InvalidToken;
use crate::session::policy::PersistFailure;

// --- what may happen ----------------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
struct Spec {
    lifetime: Option<u64>,
    granted: bool,
    refreshable: bool,
    refresh_token: bool,
    refresh_lifetime: Option<u64>,
    presentable: bool,
    same_access: bool,
}

/// Stamps are chosen among all that ever were, from the newest.
#[derive(Clone, Copy, Debug)]
enum Who {
    New,
    Rejected(usize),
    Told(usize),
    Forced(Option<usize>),
    Valid(u64),
}

/// The next thing that a driver does, as far as it can at its stage.
#[derive(Clone, Copy, Debug)]
enum Step {
    Present,
    Lose,
    Obtain(Spec),
    Land { saved: bool },
    Fail { retry_after: Option<u64> },
    Refuse,
    Adopt(Spec),
    Follow(Spec),
    Empty,
}

#[derive(Clone, Copy, Debug)]
enum LoadStep {
    Found(Spec),
    FoundNothing,
    Fail { cools: Option<Option<u64>> },
    Acquire(Spec),
    Enter,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Ask(Who),
    Pass(u64),
    Look,
    /// A step of a driver, chosen from the newest.
    Drive(usize, Step),
    Load(usize, LoadStep),
    SignIn(Spec),
    SignOut,
}

fn spec() -> impl Strategy<Value = Spec> {
    let rarely = || prop::bool::weighted(0.1);
    (
        select(&[None, None, Some(0), Some(2), Some(20), Some(40), Some(3600)][..]),
        any::<bool>(),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
        select(&[None, None, None, Some(0), Some(30), Some(90)][..]),
        prop::bool::weighted(0.9),
        rarely(),
    )
        .prop_map(
            |(lifetime, granted, refreshable, refresh_token, refresh_lifetime, presentable, same_access)| {
                Spec {
                    lifetime,
                    granted,
                    refreshable,
                    refresh_token,
                    refresh_lifetime,
                    presentable,
                    same_access,
                }
            },
        )
}

fn good() -> impl Strategy<Value = Spec> {
    spec().prop_map(|spec| Spec {
        refreshable: true,
        refresh_lifetime: None,
        presentable: true,
        same_access: false,
        ..spec
    })
}

fn back() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0_usize), 1 => 1_usize..6]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => Just(Who::New),
        5 => back().prop_map(Who::Rejected),
        2 => back().prop_map(Who::Told),
        3 => prop::option::of(back()).prop_map(Who::Forced),
        2 => select(&[0, 1, 19, 21, 4_000][..]).prop_map(Who::Valid),
    ]
}

fn retry_after() -> impl Strategy<Value = Option<u64>> {
    select(&[None, None, Some(0), Some(7), Some(86_400)][..])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Present),
        1 => Just(Step::Lose),
        6 => spec().prop_map(Step::Obtain),
        6 => prop::bool::weighted(0.8).prop_map(|saved| Step::Land { saved }),
        3 => retry_after().prop_map(|retry_after| Step::Fail { retry_after }),
        2 => Just(Step::Refuse),
        2 => spec().prop_map(Step::Adopt),
        1 => spec().prop_map(Step::Follow),
        1 => Just(Step::Empty),
    ]
}

fn load_step() -> impl Strategy<Value = LoadStep> {
    prop_oneof![
        4 => spec().prop_map(LoadStep::Found),
        1 => Just(LoadStep::FoundNothing),
        2 => prop::option::of(retry_after()).prop_map(|cools| LoadStep::Fail { cools }),
        2 => spec().prop_map(LoadStep::Acquire),
        2 => Just(LoadStep::Enter),
    ]
}

fn pass() -> impl Strategy<Value = Op> {
    select(&[1, 800, 1_000, 2_000, 5_000, 15_000, 17_000, 25_000, 29_999, 30_000, 60_000][..])
        .prop_map(Op::Pass)
}

/// Mostly single steps, and now and then a whole flight, so that what takes several of them is met as well.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    let single = prop_oneof![
        8 => who().prop_map(Op::Ask),
        3 => pass(),
        2 => Just(Op::Look),
        10 => (back(), step()).prop_map(|(at, step)| Op::Drive(at, step)),
        2 => (back(), load_step()).prop_map(|(at, step)| Op::Load(at, step)),
        1 => good().prop_map(Op::SignIn),
        1 => prop::bool::weighted(0.3).prop_map(|out| if out { Op::SignOut } else { Op::Look }),
    ]
    .prop_map(|op| vec![op]);
    let whole = good().prop_map(|spec| {
        let steps = [Step::Present, Step::Obtain(spec), Step::Land { saved: true }];
        let mut ops = vec![Op::Ask(Who::Rejected(0))];
        ops.extend(steps.map(|step| Op::Drive(0, step)));
        ops
    });
    let lapse =
        who().prop_map(|who| vec![Op::Ask(who), Op::Drive(0, Step::Present), Op::Pass(30_000), Op::Look]);
    let crash = (who(), retry_after(), who()).prop_map(|(one, retry_after, other)| {
        vec![Op::Ask(one), Op::Drive(0, Step::Fail { retry_after }), Op::Ask(other)]
    });
    let chunks = prop_oneof![24 => single, 4 => whole, 2 => lapse, 3 => crash];
    let first = prop_oneof![3 => good().prop_map(|spec| vec![Op::SignIn(spec)]), 1 => Just(vec![])];
    (first, prop::collection::vec(chunks, 1..60))
        .prop_map(|(first, chunks)| first.into_iter().chain(chunks.into_iter().flatten()).collect())
}

fn policy() -> impl Strategy<Value = Policy> {
    (any::<bool>(), any::<bool>(), select(&[None, Some(0), Some(2), Some(5), Some(5)][..])).prop_map(
        |(soft_window, strict, rejections)| {
            let persist_failure = if strict { PersistFailure::Fail } else { PersistFailure::Continue };
            let longest_soft = Duration::from_secs(if soft_window { 300 } else { 0 });
            Policy { longest_soft, persist_failure, rejections, ..Policy::default() }
        },
    )
}

// --- what is said -------------------------------------------------------------------------------------------------------

/// An error as far as it matters, with the mark that tells one failure from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    kind: ErrorKind,
    reason: Option<EndReason>,
    mark: Option<String>,
}

impl Failure {
    fn of(error: &Error) -> Self {
        let mark = std::error::Error::source(error).map(ToString::to_string);
        Self { kind: error.kind(), reason: error.end_reason(), mark }
    }

    fn plain(kind: ErrorKind) -> Self {
        Self { kind, reason: None, mark: None }
    }

    fn ended(reason: EndReason, mark: Option<String>) -> Self {
        Self { kind: ErrorKind::SessionEnded, reason: Some(reason), mark }
    }

    fn error(&self) -> Error {
        match (self.reason, self.mark.clone()) {
            (Some(reason), mark) => Error::ended(reason, mark.map(Into::into)),
            (None, Some(mark)) => Error::caused(self.kind, mark),
            (None, None) => Error::new(self.kind),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Use(Stamp),
    UseAndStart(Stamp),
    Join(FlightId),
    Start(Cause),
    Load(FlightId),
    StartLoad,
    Nothing,
    Fail(Failure),
    End(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Landed {
    Published { stamp: Stamp, unchanged: bool, adopted: bool },
    Failed(Failure),
    Draining(Failure),
    Ended(Failure),
    Followed(u64),
    Over,
}

fn landed(landing: &Landing) -> Landed {
    match landing {
        Landing::Published { stamp, unchanged, adopted, .. } => {
            Landed::Published { stamp: *stamp, unchanged: *unchanged, adopted: *adopted }
        }
        Landing::Failed { error, .. } => Landed::Failed(Failure::of(error)),
        Landing::Draining { error, .. } => Landed::Draining(Failure::of(error)),
        Landing::Ended { reason, error, .. } => {
            assert_eq!(error.end_reason(), Some(*reason));
            Landed::Ended(Failure::of(error))
        }
        Landing::Followed { epoch, .. } => Landed::Followed(*epoch),
        Landing::Over => Landed::Over,
    }
}

// --- the model ----------------------------------------------------------------------------------------------------------

#[derive(Clone)]
enum Holder {
    Unknown,
    Nobody,
    Somebody(Box<Person>),
    Ended(Failure),
}

#[derive(Clone)]
struct Person {
    generation: u64,
    published: Candidate,
    /// What the next refresh presents.
    pair: Candidate,
    rejected: bool,
    draining: Option<Failure>,
}

#[derive(Clone)]
struct Up {
    id: FlightId,
    cause: Cause,
    deadline: Duration,
    obtained: Option<Candidate>,
}

/// A success of a flight that a rejection had started.
struct Success {
    epoch: u64,
    at: Duration,
    lapsed: bool,
}

struct Model {
    policy: Policy,
    now: Duration,
    epoch: u64,
    holder: Holder,
    up: Option<Up>,
    lapsed: Option<Up>,
    load: Option<(FlightId, Duration)>,
    /// Until when, and what everybody is told.
    cooldown: Option<(Duration, Failure)>,
    failures: u32,
    successes: Vec<Success>,
}

impl Model {
    fn person(&mut self) -> Option<&mut Person> {
        match &mut self.holder {
            Holder::Somebody(person) => Some(person),
            Holder::Unknown | Holder::Nobody | Holder::Ended(_) => None,
        }
    }

    fn stamp(&mut self) -> Option<Stamp> {
        let epoch = self.epoch;
        self.person().map(|person| Stamp::new(epoch, person.generation))
    }

    fn is_past(&self, end: Option<Duration>) -> bool {
        end.is_some_and(|end| end <= self.now)
    }

    fn cooling(&self) -> Option<Failure> {
        let (until, failure) = self.cooldown.clone()?;
        (self.now < until).then_some(failure)
    }

    fn is_expired(&self, person: &Person) -> bool {
        self.is_past(person.published.times.expires)
    }

    /// "Draining, or it cannot be refreshed."
    fn over(person: &Person) -> Option<Failure> {
        if person.draining.is_some() {
            person.draining.clone()
        } else if !person.pair.refreshable {
            Some(Failure::ended(EndReason::NotRefreshable, None))
        } else {
            None
        }
    }

    /// The same, or only what another process has left could be refreshed.
    fn useless(&self, person: &Person) -> Option<Failure> {
        let pair = &person.pair;
        if let Some(failure) = Self::over(person) {
            Some(failure)
        } else if pair.tokens.refresh_token().is_some() && self.is_past(pair.refresh_expires) {
            Some(Failure::ended(EndReason::RefreshTokenExpired, None))
        } else {
            None
        }
    }

    fn recent_successes(&self) -> usize {
        let recent = |success: &&Success| {
            success.epoch == self.epoch && self.now < success.at + Duration::from_secs(30)
        };
        self.successes.iter().filter(recent).count()
    }

    fn start(&mut self, cause: Cause) -> Said {
        assert!(self.up.is_none(), "1: one flight an epoch");
        assert!(cause == Cause::Forced || self.cooling().is_none(), "none is started while it cools down");
        self.up =
            Some(Up { id: FlightId(0), cause, deadline: self.now + Duration::from_secs(30), obtained: None });
        Said::Start(cause)
    }

    fn end(&mut self, failure: Failure) -> Said {
        self.holder = Holder::Ended(failure.clone());
        // What still flies for it brings nobody back.
        self.lapsed = None;
        Said::End(failure)
    }

    fn decide(&mut self, ask: Ask) -> Said {
        match ask {
            Ask::New => self.new_request(),
            Ask::Rejected(stamp) => self.rejected(stamp),
            Ask::Told(stamp) => match self.stamp() {
                Some(newest) if newest.epoch == stamp.epoch && newest != stamp => Said::Nothing,
                _ => self.rejected(stamp),
            },
            Ask::Forced(known) => self.forced(known),
            Ask::Valid(least) => self.valid(least),
        }
    }

    /// Rows 1 and 2.
    fn refusal(&self, stamp: Stamp) -> Option<Failure> {
        let other = stamp.epoch != self.epoch;
        match &self.holder {
            Holder::Ended(failure) => Some(failure.clone()),
            Holder::Nobody => Some(Failure::plain(ErrorKind::SignedOut)),
            // What another session left is not read yet: it is not this request's identity, whoever it is.
            Holder::Unknown => Some(Failure::plain(ErrorKind::SessionChanged)),
            Holder::Somebody(_) if other => Some(Failure::plain(ErrorKind::SessionChanged)),
            Holder::Somebody(_) => None,
        }
    }

    fn rejected(&mut self, stamp: Stamp) -> Said {
        // 1, 2
        if let Some(refusal) = self.refusal(stamp) {
            return Said::Fail(refusal);
        }
        let Holder::Somebody(person) = self.holder.clone() else { unreachable!("the others are refused") };
        // 3
        if stamp.generation < person.generation {
            return self.new_request();
        }
        let mark = |model: &mut Self| model.person().unwrap().rejected = true;
        // 4
        if let Some(up) = &self.up {
            let id = up.id;
            mark(self);
            return Said::Join(id);
        }
        // 5a
        if let Some(failure) = Self::over(&person) {
            return self.end(failure);
        }
        // 5b
        if let Some(failure) = self.cooling() {
            mark(self);
            return Said::Fail(failure);
        }
        // 5c
        if self.policy.rejections.is_some_and(|most| self.recent_successes() >= most) {
            return Said::Fail(Failure::plain(ErrorKind::ExcessiveRefresh));
        }
        // 5d
        mark(self);
        self.start(Cause::Rejected)
    }

    fn new_request(&mut self) -> Said {
        let person = match self.holder.clone() {
            // 6
            Holder::Unknown => {
                return match (&self.load, self.cooling()) {
                    (Some((id, _)), _) => Said::Load(*id),
                    (None, Some(failure)) => Said::Fail(failure),
                    (None, None) => Said::StartLoad,
                };
            }
            // 7
            Holder::Nobody => return Said::Fail(Failure::plain(ErrorKind::SignedOut)),
            Holder::Ended(failure) => return Said::Fail(failure),
            Holder::Somebody(person) => person,
        };
        let stamp = Stamp::new(self.epoch, person.generation);
        let expired = self.is_expired(&person);
        // 8
        if let Some(up) = self.up.as_ref().filter(|_| expired || person.rejected) {
            return Said::Join(up.id);
        }
        if !expired {
            let soft = self.is_past(person.published.times.soft);
            // 10
            if soft && self.up.is_none() && self.cooling().is_none() && self.useless(&person).is_none() {
                self.start(Cause::Proactive);
                return Said::UseAndStart(stamp);
            }
            // 9
            return Said::Use(stamp);
        }
        // 11
        if let Some(failure) = Self::over(&person) {
            return self.end(failure);
        }
        // 12
        if let Some(failure) = self.cooling() {
            return Said::Fail(failure);
        }
        // 13
        self.start(Cause::Proactive)
    }

    fn forced(&mut self, known: Option<Stamp>) -> Said {
        if let Some(refusal) = known.and_then(|stamp| self.refusal(stamp)) {
            return Said::Fail(refusal);
        }
        let Holder::Somebody(person) = self.holder.clone() else { return self.new_request() };
        if known.is_some_and(|stamp| stamp.generation < person.generation) {
            return self.new_request();
        }
        let good = !person.rejected && !self.is_expired(&person);
        let useless = if good { self.useless(&person) } else { Self::over(&person) };
        match (&self.up, useless) {
            (Some(up), _) => Said::Join(up.id),
            (None, Some(failure)) => Said::Fail(failure),
            (None, None) => self.start(Cause::Forced),
        }
    }

    fn valid(&mut self, least: Duration) -> Said {
        let Holder::Somebody(person) = self.holder.clone() else { return self.new_request() };
        let times = person.published.times;
        let hopeless = times.granted.is_some_and(|granted| granted < least);
        let long_enough = times.expires.is_none_or(|end| self.now + least <= end);
        if self.is_expired(&person) || hopeless || long_enough {
            return self.new_request();
        }
        if let Some(up) = &self.up {
            return Said::Join(up.id);
        }
        if self.cooling().is_some() || self.useless(&person).is_some() {
            return Said::Use(Stamp::new(self.epoch, person.generation));
        }
        self.start(Cause::Proactive)
    }

    fn is_up(&self, id: FlightId) -> bool {
        self.up.as_ref().is_some_and(|up| up.id == id)
    }

    fn is_lapsed(&self, id: FlightId) -> bool {
        self.lapsed.as_ref().is_some_and(|lapsed| lapsed.id == id)
    }

    /// Whether a step other than bringing the answer still counts.
    fn counts(&self, id: FlightId) -> bool {
        self.is_up(id) || self.up.is_none() && self.is_lapsed(id)
    }

    fn take(&mut self, id: FlightId) -> (Up, bool) {
        let up = if self.is_up(id) { self.up.take() } else { None };
        let late = if self.is_lapsed(id) { self.lapsed.take() } else { None };
        let was_late = late.is_some();
        (up.or(late).expect("it counts"), was_late)
    }

    fn activate(&mut self, candidate: Candidate) {
        let pair = candidate.clone();
        let person = Person { generation: 0, published: candidate, pair, rejected: false, draining: None };
        self.holder = Holder::Somebody(Box::new(person));
    }

    fn next_epoch(&mut self) {
        self.epoch += 1;
        self.up = None;
        self.lapsed = None;
        self.load = None;
        self.warm_up();
    }

    fn warm_up(&mut self) {
        self.cooldown = None;
        self.failures = 0;
    }

    /// How long it cools down is chance: `settle` says.
    fn fail(&mut self, id: FlightId, failure: Failure, settle: impl FnOnce(u32) -> Duration) -> Landed {
        if !self.is_up(id) {
            return Landed::Over;
        }
        self.up = None;
        self.cool(failure.clone(), settle);
        Landed::Failed(failure)
    }

    fn cool(&mut self, failure: Failure, settle: impl FnOnce(u32) -> Duration) {
        self.failures += 1;
        self.cooldown = Some((self.now + settle(self.failures), failure));
    }

    fn publish(&mut self, id: FlightId, candidate: Candidate, adopted: bool) -> Landed {
        let (flight, lapsed) = self.take(id);
        let (now, epoch) = (self.now, self.epoch);
        let person = self.person().expect("somebody is signed in while a flight counts");
        let unchanged = person.published.tokens.access_token() == candidate.tokens.access_token();
        person.generation += 1;
        person.published = candidate.clone();
        person.pair = candidate;
        person.rejected = false;
        person.draining = None;
        let stamp = Stamp::new(epoch, person.generation);
        self.warm_up();
        if flight.cause == Cause::Rejected {
            self.successes.push(Success { epoch, at: now, lapsed });
        }
        Landed::Published { stamp, unchanged, adopted }
    }
}

// --- both, side by side -------------------------------------------------------------------------------------------------

struct Driver {
    flight: Arc<Flight>,
    presented: Option<Arc<Tokens>>,
    obtained: Option<Candidate>,
}

struct Loader {
    id: FlightId,
    acquired: Option<Candidate>,
}

struct Sides {
    state: State,
    model: Model,
    drivers: Vec<Driver>,
    loaders: Vec<Loader>,
    stamps: Vec<Stamp>,
    /// What a server or another process has made of a newer pair of: never to be presented again.
    spent: Vec<Arc<Tokens>>,
    names: u64,
    random: u64,
    /// How often the session has ended in this epoch.
    ends: u32,
    /// How often the step at hand has published.
    publications: u64,
}

fn header() -> (HeaderName, HeaderValue) {
    (AUTHORIZATION, HeaderValue::from_static("Bearer T"))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Sides {
    fn new(policy: Policy, random: u64) -> Self {
        let model = Model {
            policy,
            now: seconds(10_000),
            epoch: 0,
            holder: Holder::Unknown,
            up: None,
            lapsed: None,
            load: None,
            cooldown: None,
            failures: 0,
            successes: Vec::new(),
        };
        Self {
            state: State::new(),
            model,
            drivers: Vec::new(),
            loaders: Vec::new(),
            stamps: Vec::new(),
            spent: Vec::new(),
            names: 0,
            random,
            ends: 0,
            publications: 0,
        }
    }

    fn now(&self) -> Duration {
        self.model.now
    }

    fn candidate(&mut self, spec: Spec) -> Candidate {
        self.names += 1;
        let name = self.names;
        let access = match self.model.person() {
            Some(person) if spec.same_access => person.published.tokens.access_token().reveal().to_owned(),
            _ => format!("T{name}"),
        };
        let mut tokens = Tokens::new(access).unwrap();
        if spec.refresh_token {
            tokens = tokens.with_refresh_token(format!("R{name}"));
        }
        let (now, soft) = (self.now(), !self.model.policy.longest_soft.is_zero());
        Candidate {
            tokens: Arc::new(tokens),
            header: if spec.presentable { Ok(header()) } else { Err(InvalidToken::new("a scripted scheme")) },
            refreshable: spec.refreshable,
            times: Times {
                expires: spec.lifetime.map(|left| now + seconds(left)),
                soft: spec.lifetime.filter(|_| soft).map(|left| now + seconds(left) * 4 / 5),
                granted: spec.lifetime.filter(|_| spec.granted).map(seconds),
            },
            refresh_expires: spec.refresh_lifetime.map(|left| now + seconds(left)),
        }
    }

    fn mark(&mut self) -> Option<String> {
        self.names += 1;
        Some(format!("failure {}", self.names))
    }

    /// How long the state cools down, which is its choice within the policy's bounds.
    fn cooldown(&self, retry_after: Option<Duration>) -> impl FnOnce(u32) -> Duration + use<> {
        let chosen = self.state.cooldown.as_ref().map(|cooldown| cooldown.until);
        let now = self.now();
        // What was asked for before counts until something else is asked for.
        let before = self.model.cooldown.as_ref().filter(|_| retry_after.is_none());
        let before = before.map_or(Duration::ZERO, |(until, _)| until.saturating_sub(now));
        move |failures| {
            let chosen = chosen.expect("it cools down") - now;
            let whole = seconds(1 << u64::from(failures - 1).min(6)).min(seconds(60));
            let asked = retry_after.unwrap_or_default().min(seconds(300));
            let (least, most) = ((whole * 4 / 5).max(before), (whole * 6 / 5).max(before));
            assert!(
                chosen + Duration::from_nanos(1) >= least.max(asked) && chosen <= most.max(asked),
                "failure {failures}: {chosen:?}"
            );
            chosen
        }
    }

    fn step(&mut self, op: Op) {
        let before = self.state.newest();
        self.publications = 0;
        let epoch = self.state.epoch();
        match op {
            Op::Ask(who) => self.ask(who),
            Op::Pass(millis) => self.model.now += Duration::from_millis(millis),
            Op::Look => self.look(),
            Op::Drive(back, step) => self.drive(back, step),
            Op::Load(back, step) => self.load(back, step),
            Op::SignIn(spec) => self.sign_in(spec),
            Op::SignOut => self.sign_out(),
        }
        if self.state.epoch() != epoch {
            self.ends = 0;
        }
        drop(std::mem::take(&mut self.state.trash));
        self.agree();
        let after = self.state.newest();
        if let (Some(before), Some(after)) = (before, after)
            && before.epoch == after.epoch
        {
            assert_eq!(
                after.generation,
                before.generation + self.publications,
                "7: it grows by one a success"
            );
        }
        if let Some(newest) = after.filter(|newest| !self.stamps.contains(newest)) {
            let fresh = self.stamps.last().is_none_or(|last| *last < newest);
            assert!(fresh, "{newest:?} is not newer than {:?}", self.stamps.last());
            self.stamps.push(newest);
        }
    }

    fn nth_stamp(&self, back: usize) -> Option<Stamp> {
        self.stamps.iter().rev().nth(back).or(self.stamps.first()).copied()
    }

    fn ask(&mut self, who: Who) {
        let ask = match who {
            Who::New => Some(Ask::New),
            Who::Rejected(back) => self.nth_stamp(back).map(Ask::Rejected),
            Who::Told(back) => self.nth_stamp(back).map(Ask::Told),
            Who::Forced(back) => Some(Ask::Forced(back.and_then(|back| self.nth_stamp(back)))),
            Who::Valid(least) => Some(Ask::Valid(seconds(least))),
        };
        let Some(ask) = ask else { return };
        let now = self.now();
        let policy = self.model.policy.clone();
        let expected = self.model.decide(ask);
        let decision = self.state.ask(ask, now, &policy);
        let (said, started) = match decision {
            Decision::Use(snapshot) => (Said::Use(snapshot.stamp), None),
            Decision::UseAndStart(snapshot, flight) => {
                assert_eq!(flight.cause, Cause::Proactive);
                (Said::UseAndStart(snapshot.stamp), Some(flight))
            }
            Decision::Join(flight) => (Said::Join(flight.id), None),
            Decision::Start(flight) => (Said::Start(flight.cause), Some(flight)),
            Decision::Load(_) => (Said::Load(self.state.load.as_ref().unwrap().id), None),
            Decision::StartLoad(id, _) => {
                self.model.load = Some((id, now + policy.flight + policy.save()));
                self.loaders.push(Loader { id, acquired: None });
                (Said::StartLoad, None)
            }
            Decision::Nothing => (Said::Nothing, None),
            Decision::Fail(error) => (Said::Fail(Failure::of(&error)), None),
            Decision::End(reason, error) => {
                assert_eq!(error.end_reason(), Some(reason));
                self.ended();
                (Said::End(Failure::of(&error)), None)
            }
        };
        assert_eq!(said, expected, "{ask:?}");
        if let Said::Use(stamp) | Said::UseAndStart(stamp) = said {
            assert_eq!(stamp.epoch, self.state.epoch(), "4: no lease of another sign-in");
        }
        if let Some(flight) = started {
            assert_eq!(flight.from, self.state.newest().unwrap());
            self.model.up.as_mut().unwrap().id = flight.id;
            self.drivers.push(Driver { flight, presented: None, obtained: None });
        }
    }

    fn ended(&mut self) {
        self.ends += 1;
        assert_eq!(self.ends, 1, "8: a session ends once");
    }

    /// Both say the same; and what came of it is counted.
    fn landed(&mut self, landing: &Landing, expected: &Landed) {
        let landed = landed(landing);
        assert_eq!(landed, *expected);
        match landed {
            Landed::Published { .. } => self.publications += 1,
            Landed::Ended(_) => self.ended(),
            Landed::Failed(_) | Landed::Draining(_) | Landed::Followed(_) | Landed::Over => {}
        }
    }

    fn look(&mut self) {
        let now = self.now();
        let policy = self.model.policy.clone();
        let expired = self.state.expire(now, self.random, &policy);

        let due = self.model.up.clone().filter(|up| now >= up.deadline);
        assert_eq!(expired.landing.is_some(), due.is_some());
        if let (Some(landing), Some(up)) = (expired.landing, due) {
            let id = up.id;
            assert!(expired.holders.contains(&id), "it holds the store's lock no longer");
            let timeout = Failure::plain(ErrorKind::RefreshUnavailable);
            let expected = match up.obtained.clone() {
                Some(candidate) => self.expected_landing(id, candidate, Some(timeout)),
                None => self.model.fail(id, timeout, self.cooldown(None)),
            };
            // One that lapsed before, and that nobody has overtaken, is the one whose call is under way.
            if matches!(expected, Landed::Failed(_)) && self.model.lapsed.is_none() {
                self.model.lapsed = Some(up);
            }
            self.landed(&landing, &expected);
        }
        let lapsed = self.model.load.filter(|(_, deadline)| now >= *deadline);
        assert_eq!(expired.load.is_some(), lapsed.is_some());
        if lapsed.is_some() {
            self.model.load = None;
        }
    }

    /// Step 5, as the text has it.
    fn expected_landing(&mut self, id: FlightId, candidate: Candidate, saving: Option<Failure>) -> Landed {
        // Of a flight that had lapsed, the session may have ended meanwhile.
        if !self.model.is_up(id) && !self.model.is_lapsed(id) || self.model.person().is_none() {
            return Landed::Over;
        }
        let strict = self.model.policy.persist_failure == PersistFailure::Fail;
        let refused = match (saving.filter(|_| strict), &candidate.header) {
            (Some(failure), Ok(_)) => Some(failure),
            (_, Err(error)) => Some(Failure::of(&Error::from(*error))),
            (None, Ok(_)) => None,
        };
        match refused {
            Some(failure) => {
                let cooldown = self.state.cooldown.is_some().then(|| self.cooldown(None));
                self.model.fail(id, failure, |failures| cooldown.unwrap()(failures))
            }
            None => self.model.publish(id, candidate, false),
        }
    }

    fn drive(&mut self, back: usize, step: Step) {
        let Some(at) = self.drivers.len().checked_sub(1) else { return };
        let at = at - back.min(at);
        let mut driver = self.drivers.remove(at);
        if self.drive_one(&mut driver, step) {
            self.drivers.insert(at, driver);
        }
    }

    /// Returns whether the driver goes on.
    fn drive_one(&mut self, driver: &mut Driver, step: Step) -> bool {
        let flight = Arc::clone(&driver.flight);
        let (id, now) = (flight.id, self.now());
        let policy = self.model.policy.clone();
        match (step, driver.obtained.clone()) {
            (Step::Present, None) => return self.present(driver),
            (Step::Lose, None) => self.state.answer_lost(&flight),
            (Step::Obtain(spec), None) => {
                if let Some(presented) = driver.presented.clone() {
                    return self.obtain(driver, &presented, spec);
                }
            }
            (Step::Land { saved }, Some(candidate)) => {
                let failure =
                    (!saved).then(|| Failure { mark: self.mark(), ..Failure::plain(ErrorKind::Store) });
                let answer = failure.as_ref().map_or(Ok(()), |failure| Err(failure.error()));
                let landing = self.state.land(&flight, candidate.clone(), answer, now, self.random, &policy);
                let expected = self.expected_landing(id, candidate, failure);
                self.landed(&landing, &expected);
                return false;
            }
            // With an answer as well: the driver was dropped.
            (Step::Fail { retry_after }, _) => {
                let retry_after = retry_after.map(seconds);
                let failure = Failure { mark: self.mark(), ..Failure::plain(ErrorKind::RefreshUnavailable) };
                let landing =
                    self.state.failed(&flight, failure.error(), retry_after, now, self.random, &policy);
                let cooldown = self.model.is_up(id).then(|| self.cooldown(retry_after));
                let expected = self.model.fail(id, failure, |failures| cooldown.unwrap()(failures));
                self.landed(&landing, &expected);
                return false;
            }
            (Step::Refuse, None) if driver.presented.is_some() => {
                self.refuse(&flight);
                return false;
            }
            (Step::Adopt(spec), None) => return self.adopt(&flight, spec),
            (Step::Follow(spec), None) if self.model.person().is_some() => {
                let candidate = self.candidate(spec);
                let (landing, _) = self.state.follow(&flight, candidate.clone(), &policy);
                let expected = if self.model.counts(id) {
                    self.model.next_epoch();
                    match &candidate.header {
                        Ok(_) => self.model.activate(candidate),
                        Err(_) => self.model.holder = Holder::Unknown,
                    }
                    Landed::Followed(self.model.epoch)
                } else {
                    Landed::Over
                };
                self.landed(&landing, &expected);
                return false;
            }
            (Step::Empty, None) if self.model.person().is_some() => {
                let landing = self.state.emptied(&flight);
                let expected = if self.model.counts(id) {
                    self.model.take(id);
                    let failure = Failure::ended(EndReason::EndedElsewhere, None);
                    self.model.holder = Holder::Ended(failure.clone());
                    self.model.lapsed = None;
                    Landed::Ended(failure)
                } else {
                    Landed::Over
                };
                self.landed(&landing, &expected);
                return false;
            }
            _ => {}
        }
        true
    }

    fn present(&mut self, driver: &mut Driver) -> bool {
        let id = driver.flight.id;
        let pair = self.state.present(&driver.flight);
        // One that has lapsed holds the store's lock no longer: it does not begin anything.
        let up = self.model.is_up(id);
        let expected = self.model.person().filter(|_| up).map(|person| Arc::clone(&person.pair.tokens));
        match (&pair, &expected) {
            (Some(pair), Some(expected)) => assert!(Arc::ptr_eq(pair, expected)),
            (None, None) => return false,
            _ => panic!("{id:?} presents {pair:?}, not {expected:?}"),
        }
        let pair = pair.expect("just seen");
        assert!(!self.spent.iter().any(|spent| Arc::ptr_eq(spent, &pair)), "2: it was exchanged");
        if let Some(lapsed) = self.model.lapsed.take() {
            let overtaken = self.drivers.iter().find(|driver| driver.flight.id == lapsed.id);
            assert!(overtaken.is_none_or(|driver| driver.flight.is_overtaken()), "2: it must not go on");
        }
        driver.presented = Some(pair);
        true
    }

    fn obtain(&mut self, driver: &mut Driver, presented: &Arc<Tokens>, spec: Spec) -> bool {
        let flight = &driver.flight;
        let (id, now) = (flight.id, self.now());
        let policy = self.model.policy.clone();
        let candidate = self.candidate(spec);
        let obtained = self.state.obtained(flight, &candidate, now, &policy);
        if flight.from.epoch != self.model.epoch || self.model.person().is_none() {
            assert!(matches!(obtained, Obtained::Orphaned), "{obtained:?}");
            self.spent.push(Arc::clone(presented));
            return false;
        }
        if !self.model.is_up(id) && !self.model.is_lapsed(id) {
            // The flight that took over has presented the same, and may again: this answer counts as lost.
            assert!(matches!(obtained, Obtained::Overtaken), "{obtained:?}");
            return false;
        }
        if !self.model.is_up(id) && self.model.up.is_some() {
            // The flight that is up goes on with it: it looks at the store before anything is written there.
            assert!(matches!(obtained, Obtained::Overtaken), "{obtained:?}");
            self.spent.push(Arc::clone(presented));
            self.model.person().unwrap().pair = candidate;
            return false;
        }
        assert!(matches!(obtained, Obtained::Save), "{obtained:?}");
        self.spent.push(Arc::clone(presented));
        self.model.person().unwrap().pair = candidate.clone();
        if self.model.is_up(id) {
            let up = self.model.up.as_mut().unwrap();
            up.obtained = Some(candidate.clone());
            up.deadline = now + seconds(10 + 3 * 5);
            assert_eq!(flight.deadline(), up.deadline);
        }
        driver.obtained = Some(candidate);
        true
    }

    fn refuse(&mut self, flight: &Arc<Flight>) {
        let failure = Failure::ended(EndReason::Rejected, self.mark());
        let landing = self.state.refused(flight, EndReason::Rejected, failure.error(), self.model.now);
        let expected = if self.model.counts(flight.id) {
            self.model.take(flight.id);
            match self.model.holder.clone() {
                Holder::Somebody(person) if !person.rejected && !self.model.is_expired(&person) => {
                    self.model.person().unwrap().draining = Some(failure.clone());
                    Landed::Draining(failure)
                }
                Holder::Somebody(_) => {
                    self.model.holder = Holder::Ended(failure.clone());
                    self.model.lapsed = None;
                    Landed::Ended(failure)
                }
                _ => Landed::Over,
            }
        } else {
            Landed::Over
        };
        self.landed(&landing, &expected);
    }

    fn adopt(&mut self, flight: &Arc<Flight>, spec: Spec) -> bool {
        let Some(person) = self.model.person() else { return true };
        let before = Arc::clone(&person.pair.tokens);
        let candidate = self.candidate(spec);
        let now = self.now();
        let policy = self.model.policy.clone();
        let landing = self.state.adopt(flight, candidate.clone(), now, &policy);
        let expected = if self.model.counts(flight.id) {
            self.spent.push(before);
            if self.model.is_up(flight.id) {
                // What another process has made is newer than what a lapsed call may still bring.
                self.model.lapsed = None;
            }
            let usable = candidate.header.is_ok() && !self.model.is_past(candidate.times.expires);
            let person = self.model.person().unwrap();
            person.pair = candidate.clone();
            let rejected =
                person.rejected && person.published.tokens.access_token() == candidate.tokens.access_token();
            (usable && !rejected).then(|| self.model.publish(flight.id, candidate, true))
        } else {
            Some(Landed::Over)
        };
        match (landing, expected) {
            (Some(landing), Some(expected)) => self.landed(&landing, &expected),
            (None, None) => return true,
            (landing, expected) => panic!("{:?} is not {expected:?}", landing.as_ref().map(landed)),
        }
        false
    }

    fn load(&mut self, back: usize, step: LoadStep) {
        let Some(at) = self.loaders.len().checked_sub(1) else { return };
        let at = at - back.min(at);
        let mut loader = self.loaders.remove(at);
        let id = loader.id;
        let counts = self.model.load.is_some_and(|(loading, _)| loading == id);
        let policy = self.model.policy.clone();
        let told = match (step, loader.acquired.clone()) {
            (LoadStep::Found(spec), None) if spec.presentable => {
                let candidate = self.candidate(spec);
                let told = self.state.loaded(id, Some((candidate.clone(), header())));
                if counts {
                    self.model.activate(candidate);
                }
                told
            }
            (LoadStep::FoundNothing, None) => {
                if counts {
                    self.model.holder = Holder::Nobody;
                }
                self.state.loaded(id, None)
            }
            (LoadStep::Acquire(spec), None) if spec.presentable => {
                let candidate = self.candidate(spec);
                assert_eq!(self.state.acquired(id, &candidate.tokens).is_some(), counts);
                loader.acquired = Some(candidate);
                self.loaders.insert(at, loader);
                return;
            }
            (LoadStep::Enter, Some(candidate)) => {
                let told = self.state.enter(id, candidate.clone(), header());
                if counts {
                    self.model.epoch += 1;
                    self.model.warm_up();
                    self.model.activate(candidate);
                }
                told
            }
            (LoadStep::Fail { cools }, _) => {
                let failure = Failure { mark: self.mark(), ..Failure::plain(ErrorKind::Misconfigured) };
                let cools = cools.map(|retry_after| retry_after.map(seconds));
                let now = self.now();
                let told = self.state.load_failed(id, failure.error(), cools, now, self.random, &policy);
                if let Some(retry_after) = cools.filter(|_| counts) {
                    let cooldown = self.cooldown(retry_after);
                    self.model.cool(failure, cooldown);
                }
                told.map(|(promise, _)| promise)
            }
            _ => {
                self.loaders.insert(at, loader);
                return;
            }
        };
        assert_eq!(told.is_some(), counts, "who waits for a load is told by that load, and once");
        if counts {
            self.model.load = None;
        }
    }

    fn sign_in(&mut self, spec: Spec) {
        let candidate = self.candidate(spec);
        let policy = self.model.policy.clone();
        let (up, load) = (self.model.up.clone(), self.model.load);
        let (_, left) = self.state.sign_in(candidate.clone(), header(), &policy);
        assert_eq!(left.flight.map(|flight| flight.id), up.map(|up| up.id));
        assert_eq!(left.load.is_some(), load.is_some());
        self.model.next_epoch();
        self.model.activate(candidate);
    }

    fn sign_out(&mut self) {
        let up = self.model.up.clone();
        let pair = self.model.person().map(|person| Arc::clone(&person.pair.tokens));
        let (_, left) = self.state.sign_out(&self.model.policy);
        let orphan = left.flight.as_ref().and_then(|flight| flight.take_orphan());
        assert_eq!(left.flight.map(|flight| flight.id), up.as_ref().map(|up| up.id));
        // Offered for revocation by somebody, and by one only.
        let asked = up.is_some_and(|up| up.obtained.is_none());
        let (offered, other) = if asked { (orphan, left.pair) } else { (left.pair, orphan) };
        assert!(other.is_none());
        assert!(same(offered.as_ref(), pair.as_ref()));
        self.model.next_epoch();
        self.model.holder = Holder::Nobody;
    }

    /// After every step.
    fn agree(&mut self) {
        let now = self.now();
        let stamp = self.model.stamp();
        let (state, model) = (&self.state, &mut self.model);
        assert_eq!((state.epoch(), state.newest()), (model.epoch, stamp));
        assert_eq!(state.flight.as_ref().map(|slot| slot.flight.id), model.up.as_ref().map(|up| up.id));
        assert_eq!(state.flight.as_ref().map(|slot| slot.deadline), model.up.as_ref().map(|up| up.deadline));
        assert_eq!(state.lapsed.as_ref().map(|flight| flight.id), model.lapsed.as_ref().map(|up| up.id));
        assert_eq!(
            state.load.as_ref().map(|loading| (loading.id, loading.deadline)),
            model.load,
            "the load that is waited for"
        );
        assert_eq!(
            state.cooldown.as_ref().map(|cooldown| (cooldown.until, Failure::of(&cooldown.error))),
            model.cooldown
        );
        assert_eq!(state.failures, model.failures);
        let up = model.up.is_some();
        let expected = match &model.holder {
            Holder::Unknown => SessionState::Unknown,
            Holder::Nobody => SessionState::SignedOut,
            Holder::Ended(failure) => SessionState::Ended(failure.reason.unwrap()),
            Holder::Somebody(_) if up => SessionState::Refreshing,
            Holder::Somebody(person) if person.draining.is_some() => SessionState::Draining,
            Holder::Somebody(_) => SessionState::Active,
        };
        assert_eq!(state.session_state(), expected);
        if let Some(slot) = &state.flight {
            assert_eq!(slot.flight.from.epoch, state.epoch(), "1: it belongs to this sign-in");
            assert!(state.snapshot().is_some());
        }
        let rejected = model.person().is_some_and(|person| person.rejected);
        assert_eq!(state.holds(), up && rejected);
        if let (Phase::Active(active), Some(person)) = (&state.phase, model.person()) {
            assert_eq!(active.rejected, person.rejected);
            assert!(Arc::ptr_eq(&active.pair, &person.pair.tokens));
            assert!(Arc::ptr_eq(&active.snapshot.tokens, &person.published.tokens));
            // The fast path gives nothing that the tables would not: an old `held` flag apart.
            let fast = !state.holds() && active.snapshot.fresh_until.is_none_or(|until| now < until);
            let slow = !(person.published.times.is_expired(now)
                || person.published.refreshable && person.published.times.is_soft(now));
            assert_eq!(fast, slow && !(up && rejected));
        }
        self.bounded();
    }

    /// 5c: no more flights that a rejection started succeed within the window than it takes. One that had lapsed and comes in
    /// late was not counted when the next started.
    fn bounded(&self) {
        let Some(most) = self.model.policy.rejections else { return };
        let ours = |success: &&Success| success.epoch == self.model.epoch && !success.lapsed;
        let times: Vec<_> = self.model.successes.iter().filter(ours).map(|success| success.at).collect();
        for (at, time) in times.iter().enumerate() {
            let within = times[at..].iter().filter(|later| **later < *time + seconds(30)).count();
            assert!(within <= most, "{within} of {most} in one window");
        }
    }
}

fn same(one: Option<&Arc<Tokens>>, other: Option<&Arc<Tokens>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The rows decide what the tables say, whatever came before; invariants 1, 2, 4, 7 and 8 hold after each step.
    #[test]
    fn whatever_happens_the_state_does_what_the_tables_say(
        policy in policy(),
        random in any::<u64>(),
        ops in ops(),
    ) {
        let mut sides = Sides::new(policy, random);
        for op in ops {
            sides.step(op);
        }
    }
}
