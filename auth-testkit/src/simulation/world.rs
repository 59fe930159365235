//! The world: runs a plan, step by step, and has every moment looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use auth_core::{AuthClient, BoxFuture, Event, Runtime, Session, SessionState, Stamp};
use futures::StreamExt as _;

use super::Simulation;
use super::elsewhere::elsewhere;
use super::guest::{Guest, Outcome};
use super::invariants::Watch;
use super::parts::Parts;
use super::plan::{Action, Fate, Knows, Plan, RequestKind};
use super::record::{Record, What};
use super::request;
use super::run::{Run, Violation};
use super::runtime::{SimulatedRuntime, Stopped};
use super::secret;
use super::transport::{API_ORIGIN, SimulatedTransport};
use super::universe::{Universe, Who};
use crate::lock::lock;

/// Longer than all deadlines of a session together: what has not come to its end by then never will.
const ALL_DEADLINES: Duration = Duration::from_secs(240);

/// Longer than the calls of the store that follow a session's end.
const STORE_CALLS: Duration = Duration::from_secs(30);

pub(super) struct World<'a> {
    simulation: &'a Simulation,
    plan: &'a Plan,
    universe: Arc<Universe>,
    /// One for each slot.
    processes: Vec<Process>,
    started: u32,
    requests: u32,
    watch: Watch,
    record: Record,
    violation: Option<Violation>,
}

/// One process, alive.
struct Process {
    who: Who,
    runtime: SimulatedRuntime,
    session: Session,
    client: AuthClient<SimulatedTransport>,
    state: SessionState,
    /// When it came into that state.
    turned: Duration,
    alive: Arc<AtomicBool>,
    /// The stamps that it sent with first and last.
    stamps: Option<(Stamp, Stamp)>,
    /// When it goes on, if it stands still.
    stopped_until: Duration,
}

impl Process {
    fn is(&self, number: u32) -> bool {
        self.who.process == number
    }
}

/// There is no use in going on.
struct Broken;

impl<'a> World<'a> {
    pub(super) fn new(simulation: &'a Simulation, plan: &'a Plan) -> Self {
        let universe = Arc::new(Universe::new(plan));
        let mut world = Self {
            simulation,
            plan,
            universe,
            processes: Vec::new(),
            started: 0,
            requests: 0,
            watch: simulation.watch(plan),
            record: Record::default(),
            violation: None,
        };
        for slot in 0..usize::from(plan.session.processes.max(1)) {
            let process = world.start(slot);
            world.processes.push(process);
        }
        world
    }

    pub(super) fn run(mut self) -> Run {
        // `Err` says only that there is a violation: it has been noted.
        let _ = self.live();
        Run { plan: self.plan.clone(), record: self.record, violation: self.violation }
    }

    fn live(&mut self) -> Result<(), Broken> {
        let mut steps: Vec<_> = self.plan.steps.iter().collect();
        steps.sort_by_key(|step| step.at_ms);
        for step in steps {
            self.until(self.universe.at(step.at_ms))?;
            let slot = usize::from(step.process) % self.processes.len();
            self.act(slot, &step.what);
            self.look()?;
        }
        // Whatever was to go wrong later still does; then the world is well again.
        self.rest()?;
        self.universe.heal();
        self.rest()?;
        self.end()
    }

    /// Everybody must be able to go on now, and after a new sign-in all must be well.
    fn end(&mut self) -> Result<(), Broken> {
        for slot in 0..self.processes.len() {
            self.request(slot, RequestKind::Plain, Fate::Polled);
        }
        self.rest()?;
        for slot in 0..self.processes.len() {
            self.act(slot, &Action::SignIn);
            let request = self.request(slot, RequestKind::Plain, Fate::Polled);
            self.watch.must_succeed(request);
            // One after the other: each sign-in is another identity for all who share the store.
            self.rest()?;
            self.stored(true)?;
        }
        self.act(0, &Action::SignOut);
        self.rest()?;
        self.stored(false)?;
        let tasks = self.leave();
        self.check(|watch| watch.left_behind(tasks))
    }

    /// After the last sign-in the store holds its tokens, after a sign-out nothing.
    fn stored(&mut self, signed_in: bool) -> Result<(), Broken> {
        let pair = self.universe.stored_pair();
        let holds =
            pair.and_then(|pair| secret::find(pair.access_token().reveal())).map(|token| token.sign_in);
        let wanted = signed_in.then(|| lock(&self.universe.authority).sign_ins());
        // It may have ended meanwhile; whether it had a reason is seen elsewhere.
        let ended = self.processes.iter().any(|process| matches!(process.state, SessionState::Ended(_)));
        self.check(|_| {
            if holds == wanted || (ended && holds.is_none()) {
                return Ok(());
            }
            let what = format!("the store should hold sign-in {wanted:?}, and holds {holds:?}");
            Err(("stored-at-last".to_owned(), what))
        })
    }

    /// Everybody lets go of everything; how many tasks go on all the same?
    fn leave(&mut self) -> usize {
        let runtimes: Vec<_> = self.processes.drain(..).map(|process| process.runtime).collect();
        for runtime in &runtimes {
            runtime.forget_parked();
        }
        self.universe.runtime.advance(ALL_DEADLINES);
        runtimes.iter().map(SimulatedRuntime::tasks).sum()
    }

    /// Whatever is under way comes to its end.
    fn rest(&mut self) -> Result<(), Broken> {
        self.until(self.universe.now() + ALL_DEADLINES)?;
        // Nobody is looked at who is about to move: a refresh ahead of time may have begun in this very moment.
        while self.universe.runtime.step_until(self.universe.now()) {
            self.look()?;
        }
        for process in &self.processes {
            self.universe.record(process.who.process, What::Counted(process.session.counters()));
        }
        self.look()?;
        let panics = self.universe.runtime.panicked();
        self.check(|watch| watch.at_rest(panics))?;
        self.unlocked()
    }

    /// Nobody holds the store's lock for longer than a refresh takes.
    fn unlocked(&mut self) -> Result<(), Broken> {
        // Who has just ended may have a call of the store under way.
        let lately = self.universe.now().saturating_sub(STORE_CALLS);
        let busy = |process: &Process| process.state == SessionState::Refreshing || process.turned > lately;
        let held = self.universe.is_locked() && !self.processes.iter().any(busy);
        self.check(|_| {
            if !held {
                return Ok(());
            }
            Err(("lock-given-back".to_owned(), "the store is locked, and no session refreshes".to_owned()))
        })
    }

    /// Lets the world go on until then, and looks at every step.
    fn until(&mut self, until: Duration) -> Result<(), Broken> {
        while self.universe.now() < until && self.universe.runtime.step_until(until) {
            self.look()?;
        }
        let rest = until.saturating_sub(self.universe.now());
        self.universe.runtime.advance(rest);
        self.look()
    }

    /// What has happened since the last look.
    fn look(&mut self) -> Result<(), Broken> {
        let now = self.universe.now();
        for process in &mut self.processes {
            if !process.stopped_until.is_zero() && now >= process.stopped_until {
                process.stopped_until = Duration::ZERO;
                process.runtime.go_on();
                self.universe.record(process.who.process, What::GoesOn);
            }
        }
        for who in self.universe.kills() {
            if self.processes[who.slot].who == who {
                self.kill(who.slot);
            }
        }
        for process in &mut self.processes {
            let state = process.session.state();
            if state != process.state {
                (process.state, process.turned) = (state, now);
                self.universe.record(process.who.process, What::State(state));
            }
        }
        for moment in self.universe.fresh() {
            if let What::Sent { stamp: Some(stamp), .. } = &moment.what
                && let Some(process) = self.processes.iter_mut().find(|process| process.is(moment.process))
            {
                let (first, last) = process.stamps.unwrap_or((*stamp, *stamp));
                process.stamps = Some((first, last.max(*stamp)));
            }
            let seen = self.watch.see(&moment);
            self.record.moments.push(moment);
            if let Err(violation) = seen {
                self.violation = Some(violation);
                return Err(Broken);
            }
        }
        Ok(())
    }

    fn check(
        &mut self,
        check: impl FnOnce(&mut Watch) -> Result<(), (String, String)>,
    ) -> Result<(), Broken> {
        check(&mut self.watch).map_err(|(invariant, message)| {
            let at = self.universe.since();
            self.violation = Some(Violation { invariant, message, at, process: None });
            Broken
        })
    }

    /// A process begins: nothing in memory, the store as it is.
    fn start(&mut self, slot: usize) -> Process {
        let who = Who { slot, process: self.started };
        self.started += 1;
        self.universe.record(who.process, What::Started);
        let parts = Parts::new(&self.universe, who, &self.plan.session);
        let alive = Arc::new(AtomicBool::new(true));
        let listener = {
            let (universe, alive) = (Arc::clone(&self.universe), Arc::clone(&alive));
            move |event: &Event| {
                if alive.load(Ordering::Relaxed) {
                    told(&universe, who.process, event);
                }
            }
        };
        let session = (self.simulation.session)(&parts).runtime(parts.runtime()).on_event(listener).build();
        let client = AuthClient::builder(parts.transport(), session.clone()).origin(API_ORIGIN);
        let Ok(client) = (self.simulation.client)(client).build() else {
            unreachable!("the world's own origin is one")
        };
        let state = session.state();
        self.universe.record(who.process, What::State(state));
        let (universe, mut states) = (Arc::clone(&self.universe), session.watch());
        parts.runtime().spawn_guest(Box::pin(async move {
            while let Some(state) = states.next().await {
                universe.record(who.process, What::Watched(state));
            }
        }));
        let (runtime, turned, stopped_until) = (parts.runtime(), self.universe.now(), Duration::ZERO);
        Process { who, runtime, session, client, state, turned, alive, stamps: None, stopped_until }
    }

    /// The process stands still, or its session's own tasks do.
    fn stop(&mut self, slot: usize, what: Stopped, ms: u64) {
        let until = self.universe.now() + Duration::from_millis(ms);
        let process = &mut self.processes[slot];
        if process.stopped_until.is_zero() {
            process.stopped_until = until;
            process.runtime.stop(what);
            let whole = what == Stopped::Whole;
            self.universe.record(process.who.process, What::Stopped { whole });
            // So that the world looks again then.
            let timer = self.universe.sleep(ms);
            self.universe.runtime.spawn(timer);
        }
    }

    /// The process ends where it stands, and another begins in its place.
    fn kill(&mut self, slot: usize) {
        let process = &self.processes[slot];
        process.alive.store(false, Ordering::Relaxed);
        self.universe.record(process.who.process, What::Killed);
        process.runtime.kill();
        self.processes[slot] = self.start(slot);
    }

    fn act(&mut self, slot: usize, what: &Action) {
        let universe = Arc::clone(&self.universe);
        let who = self.processes[slot].who;
        if what.is_fault() || *what == Action::ExpireAccess {
            universe.record(who.process, What::Meddled(what.to_string()));
        }
        match *what {
            Action::Request { kind, fate } => {
                self.request(slot, kind, fate);
            }
            Action::Refresh { fate, knows } => {
                let process = &self.processes[slot];
                let (session, stamps) = (process.session.clone(), process.stamps);
                let known = match knows {
                    Knows::Nothing => None,
                    Knows::Newest => stamps.map(|(_, last)| last),
                    Knows::Oldest => stamps.map(|(first, _)| first),
                };
                self.guest(slot, fate, move |request| {
                    Box::pin(async move {
                        if let Some(stamp) = known {
                            universe.record(who.process, What::Knew { request, stamp });
                        }
                        let lease = session.refresh(known).await?;
                        if let Some(token) = lease.header().1.to_str().ok().and_then(secret::find) {
                            universe.record(who.process, What::Handed { request, token });
                        }
                        Ok(200)
                    })
                });
            }
            Action::AccessToken { min_s, fate } => {
                let session = self.processes[slot].session.clone();
                let least = Duration::from_secs(min_s);
                self.guest(slot, fate, move |request| {
                    Box::pin(async move {
                        let token = session.access_token(least).await?;
                        if let Some(token) = secret::find(token.reveal()) {
                            universe.record(who.process, What::Handed { request, token });
                        }
                        Ok(200)
                    })
                });
            }
            Action::SignIn => self.sign_in(slot),
            Action::SignOut => {
                universe.record(who.process, What::SignOut);
                self.written(slot, Session::sign_out);
            }
            Action::Kill => self.kill(slot),
            Action::ExpireAccess => lock(&universe.authority).forget_access(),
            Action::Pause { ms } => self.stop(slot, Stopped::Whole, ms),
            Action::Stall { ms } => self.stop(slot, Stopped::Own, ms),
            Action::RevokeFamily | Action::RevokeRefresh => {
                if let Some(pair) = universe.stored_pair()
                    && let Some(token) = secret::find(pair.access_token().reveal())
                {
                    let mut authority = lock(&universe.authority);
                    if *what == Action::RevokeFamily {
                        authority.revoke(token.sign_in);
                    } else {
                        authority.revoke_refresh(token.sign_in);
                    }
                }
            }
            Action::Outage { ms } => universe.outage(ms),
            Action::DiskFull { ms } => universe.disk_full(ms),
            Action::NextToken(fault) => universe.plan_token(slot, fault),
            Action::NextStore { on, fault } => universe.plan_store(slot, on, fault),
            Action::NextApi(fault) => universe.plan_api(slot, fault),
            Action::Elsewhere(what) => universe.runtime.spawn(elsewhere(&universe, what)),
            Action::StealLock => {
                if universe.is_locked() {
                    universe.pass_lock();
                }
            }
            Action::JumpWall { seconds } => {
                let (now, by) = (universe.runtime.now(), Duration::from_secs(seconds.unsigned_abs()));
                let to = if seconds < 0 { now.checked_sub(by) } else { now.checked_add(by) };
                universe.runtime.set_wall(to.unwrap_or(now));
            }
        }
    }

    fn sign_in(&mut self, slot: usize) {
        let grant = lock(&self.universe.authority).sign_in(self.universe.now());
        let who = self.processes[slot].who;
        self.universe.record(who.process, What::SignIn { token: grant.access });
        self.universe.granted(who.process, &grant);
        let tokens = self.universe.tokens(&grant);
        self.written(slot, |session| session.sign_in(tokens));
    }

    fn written(&self, slot: usize, act: impl FnOnce(&Session) -> auth_core::Written) {
        let process = &self.processes[slot];
        let written = act(&process.session);
        let (universe, number) = (Arc::clone(&self.universe), process.who.process);
        process.runtime.spawn_guest(Box::pin(async move {
            let saved = written.await.is_ok();
            universe.record(number, What::Written { saved });
        }));
    }

    /// A request to the API; its number.
    fn request(&mut self, slot: usize, kind: RequestKind, fate: Fate) -> u32 {
        let (client, process) = (self.processes[slot].client.clone(), self.processes[slot].who.process);
        let universe = Arc::clone(&self.universe);
        self.guest(slot, fate, move |number| {
            let sent = request::make(number, kind);
            Box::pin(async move {
                let response = client.send(sent).await?;
                if let Some(how) = request::unmarked(kind, &response) {
                    universe.record(process, What::Spoiled { request: number, how: how.to_owned() });
                }
                Ok(response.status().as_u16())
            })
        })
    }

    fn guest(
        &mut self,
        slot: usize,
        fate: Fate,
        make: impl FnOnce(u32) -> BoxFuture<'static, Outcome>,
    ) -> u32 {
        self.requests += 1;
        let (number, process) = (self.requests, &self.processes[slot]);
        let guest = Guest::new(&self.universe, process.who.process, number, fate, make(number));
        if matches!(fate, Fate::ParkedAfterPolls(_)) {
            process.runtime.spawn_parked(Box::pin(guest));
        } else {
            process.runtime.spawn_guest(Box::pin(guest));
        }
        number
    }
}

/// Notes an event, and whether it holds what it must not.
fn told(universe: &Universe, process: u32, event: &Event) {
    let error = match event {
        Event::AttemptFailed { error, .. } | Event::RefreshFailed { error, .. } => Some(error),
        Event::SaveFailed { error } => Some(error),
        Event::Ended(ended) => Some(&ended.error),
        _ => None,
    };
    let mut text = format!("{event:?}");
    if let Some(error) = error {
        text.push_str(&secret::texts_of(error));
    }
    if secret::is_in(&text) {
        universe.record(process, What::Leaked("an event".to_owned()));
    }
    universe.record(process, What::Told(event.clone()));
}
