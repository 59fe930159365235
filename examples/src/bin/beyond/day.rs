//! A day: users on processes on one store and one authorization server, and what came of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::{Counters, Error, ErrorKind, Runtime as _, Session, Sessions};

use crate::authority::{Authority, Login};
use crate::machine::{Dice, Jitter, Machine};
use crate::store::{Locking, Place, SharedStore, Waits};

/// Everybody signs in within this: a deployment has started everything anew.
pub(crate) const SIGN_INS: Duration = Duration::from_secs(10);

/// How often a session is used: so many in ten of the users, so many requests an hour.
pub(crate) const USERS: [(u32, f64); 3] = [(2, 30.0), (5, 4.0), (3, 0.25)];

/// When tokens are refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refreshing {
    /// By a timer in each process that has the session, whether or not it is used.
    Timer,
    /// When a session is used, as by default. Sessions that idle are evicted, as by default.
    OnUse,
}

impl Refreshing {
    pub(crate) const BOTH: [Self; 2] = [Self::Timer, Self::OnUse];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::OnUse => "on use",
        }
    }
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) sessions: u32,
    pub(crate) processes: u32,
    /// On how many of the processes each session lives.
    pub(crate) homes: u32,
    pub(crate) hours: u32,
    /// How many seconds before its end a token is refreshed, if chance is nothing.
    pub(crate) window: u32,
    pub(crate) seed: u64,
    pub(crate) refreshing: Refreshing,
    pub(crate) jitter: Jitter,
    pub(crate) locking: Locking,
}

/// What came of it.
pub(crate) struct Day {
    pub(crate) plan: Plan,
    /// Token requests, by the second in which they came.
    pub(crate) by_second: Vec<u32>,
    /// The fewest and the most token requests for one session.
    pub(crate) fewest: u32,
    pub(crate) most: u32,
    /// Requests to the API.
    pub(crate) requests: u64,
    /// Of these, those that waited for a refresh, or for the store.
    pub(crate) delayed: u64,
    pub(crate) longest_delay: Duration,
    /// Flights that found what another process had brought.
    pub(crate) adopted: u64,
    pub(crate) waits: Waits,
    pub(crate) wrong: Wrong,
}

/// What must not happen. All zero in a run that went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Sessions that were signed out, in a process, at the server or in the store.
    pub(crate) lost: u64,
    /// Refresh tokens that were presented after they had been exchanged.
    pub(crate) reuses: u64,
    /// Token requests for a session that had another under way.
    pub(crate) overlaps: u64,
    /// Requests to the API with a token that it does not take.
    pub(crate) refused: u64,
    /// Requests that were not made, and refreshes that failed.
    pub(crate) failed: u64,
}

impl Wrong {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The parts of a run. One operating system process: a process of the plan is a pool of sessions.
pub(crate) struct World {
    pub(crate) machine: Arc<Machine>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) place: Arc<Place>,
    pub(crate) pools: Vec<Sessions<u32>>,
    pub(crate) plan: Plan,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    requests: u64,
    delayed: u64,
    longest_delay: Duration,
    refused: u64,
    failed: u64,
    lost: Vec<u32>,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let machine = Arc::new(Machine::new(plan.seed, plan.jitter));
        let authority = Arc::new(Authority::new(Arc::clone(&machine), plan.sessions));
        let place = Arc::new(Place::new(Arc::clone(&machine), plan.sessions, plan.locking));
        let pools = (0..plan.processes).map(|_| pool(plan, &machine, &authority, &place)).collect();
        Self { machine, authority, place, pools, plan, tally: Mutex::default() }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn sign_in(&self, user: u32, process: usize) -> Result<(), Error> {
        let tokens = self.authority.sign_in(user)?;
        self.pools[process].get(&user)?.sign_in(tokens).await
    }

    /// The user's process asks the API for something.
    async fn request(&self, user: u32, process: usize) {
        let began = self.machine.elapsed();
        let turn = match self.pools[process].get(&user) {
            Ok(session) => session.lease().await,
            Err(error) => Err(error),
        };
        let took = self.machine.elapsed().saturating_sub(began);
        let tally = &mut *self.tally();
        tally.requests += 1;
        tally.delayed += u64::from(!took.is_zero());
        tally.longest_delay = tally.longest_delay.max(took);
        match turn {
            Ok(turn) if self.authority.accepts(turn.header().1.as_bytes()) => {}
            Ok(_) => tally.refused += 1,
            Err(error) => tally.fail(user, &error),
        }
    }

    async fn live(self: Arc<Self>, user: u32) {
        let mut dice = Dice::new(self.plan.seed, user);
        let processes = self.pools.len();
        let first = dice.below(processes);
        let homes: Vec<usize> =
            (0..self.plan.homes as usize).map(|next| (first + next) % processes).collect();
        let rate = rate(user) / 3600.0;
        self.machine.sleep(SIGN_INS.mul_f64(dice.unit())).await;
        if let Err(error) = self.sign_in(user, first).await {
            self.tally().fail(user, &error);
        }
        // A page asks for several things, and so each of its processes has it.
        for home in &homes {
            self.request(user, *home).await;
        }
        loop {
            self.machine.sleep(dice.wait(rate)).await;
            self.request(user, homes[dice.below(homes.len())]).await;
        }
    }

    fn counters(&self) -> Counters {
        // Not a sum of the library's: that is one pool's.
        let each = self.pools.iter().map(Sessions::counters);
        each.fold(Counters::default(), |mut sum, pool| {
            sum.adopted += pool.adopted;
            sum.failed += pool.failed;
            sum.refused += pool.refused;
            sum.save_failed += pool.save_failed;
            sum
        })
    }

    fn day(&self) -> Day {
        let (plan, seen, counters) = (self.plan, self.authority.seen(), self.counters());
        let exchanges = self.authority.exchanges();
        let tally = &mut *self.tally();
        for (user, exchanged) in (0..).zip(&exchanges) {
            if exchanged.is_none() || !self.place.holds(user) {
                tally.lost.push(user);
            }
        }
        tally.lost.sort_unstable();
        tally.lost.dedup();
        let wrong = Wrong {
            lost: tally.lost.len() as u64,
            reuses: seen.reuses,
            overlaps: seen.overlaps,
            refused: tally.refused,
            failed: tally.failed + counters.failed + counters.refused + counters.save_failed,
        };
        let counts = || exchanges.iter().flatten().copied();
        Day {
            plan,
            by_second: seen.by_second,
            fewest: counts().min().unwrap_or(0),
            most: counts().max().unwrap_or(0),
            requests: tally.requests,
            delayed: tally.delayed,
            longest_delay: tally.longest_delay,
            adopted: counters.adopted,
            waits: self.place.waits(),
            wrong,
        }
    }
}

impl Tally {
    fn fail(&mut self, user: u32, error: &Error) {
        self.failed += 1;
        if matches!(error.kind(), ErrorKind::SignedOut | ErrorKind::SessionEnded | ErrorKind::SessionChanged)
        {
            self.lost.push(user);
        }
    }
}

/// Runs it. Second by second, since one call of the runtime has a bound on its steps.
pub(crate) fn run(plan: Plan) -> Day {
    let world = Arc::new(World::new(plan));
    for user in 0..plan.sessions {
        world.machine.spawn(Box::pin(Arc::clone(&world).live(user)));
    }
    for _ in 0..plan.hours * 3600 {
        world.machine.runtime.advance(Duration::from_secs(1));
    }
    let day = world.day();
    world.machine.runtime.shutdown();
    day
}

/// How many requests an hour this user makes.
fn rate(user: u32) -> f64 {
    let mut place = user % 10;
    for (share, rate) in USERS {
        if place < share {
            return rate;
        }
        place -= share;
    }
    0.0
}

fn pool(plan: Plan, machine: &Arc<Machine>, authority: &Arc<Authority>, place: &Arc<Place>) -> Sessions<u32> {
    let (authority, place) = (Arc::clone(authority), Arc::clone(place));
    let make = move |user: &u32| {
        let store = SharedStore { place: Arc::clone(&place), row: *user };
        let builder = Session::builder(Login(Arc::clone(&authority)))
            .store(store)
            .soft_window(Duration::from_secs(plan.window.into()));
        match plan.refreshing {
            Refreshing::Timer => builder.refresh_while_idle(),
            Refreshing::OnUse => builder,
        }
    };
    let pool = Sessions::builder(make).runtime(Arc::clone(machine)).max(plan.sessions as usize);
    match plan.refreshing {
        // An evicted session has no timer.
        Refreshing::Timer => pool.idle(Duration::from_secs(365 * 24 * 3600)).build(),
        Refreshing::OnUse => pool.build(),
    }
}
