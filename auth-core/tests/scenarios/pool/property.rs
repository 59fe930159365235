//! The pool under any sequence of events: never more than the bound, nothing busy is ever evicted, and nobody is turned away
//! while there could be room.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auth_core::{Error, ErrorKind, RefreshError, Runtime as _, Session};
use auth_testkit::{Op, RefreshCall, Running};
use proptest::prelude::*;
use proptest::sample::Index;

use super::tenants::{Tenants, pair};

const TENANTS: u64 = 6;
const MAX: usize = 3;

/// What can happen. An index chooses among the handles, the refreshes, the calls that there are.
#[derive(Clone, Copy, Debug)]
enum Move {
    Get(u64),
    Drop(Index),
    /// A handle more.
    Clone(Index),
    SignIn(Index),
    SignOut(Index),
    Refresh(Index),
    /// Nobody waits for it any more.
    Cancel(Index),
    Answer(Index),
    Fail(Index),
    /// The tenant's store fails to write, or no longer does.
    Break(u64),
    Mend(u64),
    Pass(u64),
    EvictIdle,
    Remove(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let tenant = || 0..TENANTS;
    let index = any::<Index>;
    let one = prop_oneof![
        6 => tenant().prop_map(Move::Get),
        4 => index().prop_map(Move::Drop),
        1 => index().prop_map(Move::Clone),
        2 => index().prop_map(Move::SignIn),
        1 => index().prop_map(Move::SignOut),
        3 => index().prop_map(Move::Refresh),
        2 => index().prop_map(Move::Cancel),
        3 => index().prop_map(Move::Answer),
        1 => index().prop_map(Move::Fail),
        1 => tenant().prop_map(Move::Break),
        1 => tenant().prop_map(Move::Mend),
        2 => (0_u64..400).prop_map(Move::Pass),
        1 => Just(Move::EvictIdle),
        1 => tenant().prop_map(Move::Remove),
    ];
    proptest::collection::vec(one, 1..80)
}

/// What a tenant's session should know, if there is one.
#[derive(Clone, Default)]
struct Known {
    /// The newest access token; none: nobody is signed in.
    token: Option<String>,
    signed_in: u64,
    /// Until then a guard may be up, or a flight under way may not have been given up.
    guarded: Duration,
}

struct Game {
    tenants: Tenants,
    handles: Vec<(u64, Session)>,
    refreshes: Vec<(u64, Running<Result<(), Error>>)>,
    calls: Vec<(u64, RefreshCall)>,
    known: BTreeMap<u64, Known>,
}

impl Game {
    fn new() -> Self {
        let pool = |pool: auth_core::SessionsBuilder<u64>| pool.max(MAX).idle(Duration::from_secs(300));
        Self {
            tenants: Tenants::with(pool, |session| session),
            handles: Vec::new(),
            refreshes: Vec::new(),
            calls: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    fn known(&mut self, tenant: u64) -> &mut Known {
        self.known.entry(tenant).or_default()
    }

    /// No flight or guard of this tenant's can be there after this long: a refresh ends after 30 s, its save takes a few
    /// more, a cooldown at most a minute and a fifth.
    fn guard(&mut self, tenant: u64) {
        self.known(tenant).guarded = self.tenants.runtime.elapsed() + Duration::from_secs(200);
    }

    /// Whether it must be there.
    fn is_busy(&self, tenant: u64) -> bool {
        let known = self.known.get(&tenant).cloned().unwrap_or_default();
        self.handles.iter().any(|(holds, _)| *holds == tenant)
            || self.refreshes.iter().any(|(whose, running)| *whose == tenant && !running.is_finished())
            || self.calls.iter().any(|(whose, call)| *whose == tenant && !call.is_abandoned())
            || self.tenants.parts(tenant).stored() != known.token
    }

    /// Whether it must go where another is wanted.
    fn is_free(&self, tenant: u64) -> bool {
        let guarded = self.known.get(&tenant).map_or(Duration::ZERO, |known| known.guarded);
        !self.is_busy(tenant) && self.tenants.runtime.elapsed() > guarded
    }

    fn play(&mut self, step: Move) {
        let before = self.tenants.there();
        match step {
            Move::Get(tenant) => match self.tenants.sessions.get(&tenant) {
                Ok(session) => self.handles.push((tenant, session)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::QueueFull);
                    assert_eq!(before.len(), MAX);
                    assert!(!before.contains(&tenant));
                    let free: Vec<_> = before.iter().filter(|tenant| self.is_free(**tenant)).collect();
                    assert!(free.is_empty(), "no room, though nobody needs {free:?}");
                }
            },
            Move::Drop(index) if !self.handles.is_empty() => {
                self.handles.swap_remove(index.index(self.handles.len()));
            }
            Move::Clone(index) if !self.handles.is_empty() => {
                self.handles.push(index.get(&self.handles).clone());
            }
            Move::SignIn(index) if !self.handles.is_empty() => {
                let (tenant, session) = index.get(&self.handles).clone();
                let known = self.known(tenant);
                known.signed_in += 1;
                let tokens = pair(tenant, 20 * known.signed_in);
                known.token = Some(tokens.access_token().reveal().to_owned());
                drop(session.sign_in(tokens));
                self.guard(tenant);
            }
            Move::SignOut(index) if !self.handles.is_empty() => {
                let (tenant, session) = index.get(&self.handles).clone();
                drop(session.sign_out());
                self.known(tenant).token = None;
                self.guard(tenant);
            }
            Move::Refresh(index) if !self.handles.is_empty() => {
                let (tenant, session) = index.get(&self.handles).clone();
                self.guard(tenant);
                self.refreshes.push((tenant, self.tenants.refresh(&session)));
            }
            Move::Cancel(index) if !self.refreshes.is_empty() => {
                let (_, running) = self.refreshes.swap_remove(index.index(self.refreshes.len()));
                running.cancel();
            }
            Move::Answer(index) if !self.calls.is_empty() => {
                let (tenant, call) = self.calls.swap_remove(index.index(self.calls.len()));
                let presented = call.presented().clone();
                let fresh = auth_testkit::rotating(&presented).unwrap();
                self.guard(tenant);
                let known = self.known(tenant);
                // It counts where it is still the newest token's.
                let counts = known.token.as_deref() == Some(presented.access_token().reveal());
                if counts && !call.is_abandoned() {
                    known.token = Some(fresh.access_token().reveal().to_owned());
                }
                call.answer(fresh);
            }
            Move::Fail(index) if !self.calls.is_empty() => {
                let (tenant, call) = self.calls.swap_remove(index.index(self.calls.len()));
                self.guard(tenant);
                call.fail(RefreshError::misconfigured("no client"));
            }
            Move::Break(tenant) => self.tenants.parts(tenant).store.fail_always(Op::Save, true),
            Move::Mend(tenant) => self.tenants.parts(tenant).store.fail_always(Op::Save, false),
            Move::Pass(seconds) => self.tenants.pass(Duration::from_secs(seconds)),
            Move::EvictIdle => drop(self.tenants.sessions.evict_idle()),
            Move::Remove(tenant) => {
                let gone = self.tenants.sessions.remove(&tenant);
                assert_eq!(gone, !self.tenants.there().contains(&tenant));
                assert!(gone || !before.contains(&tenant) || !self.is_free(tenant));
            }
            _ => {}
        }
        // Before anything goes on: what was evicted was not busy.
        for tenant in before {
            let evicted = !self.tenants.there().contains(&tenant);
            assert!(!evicted || !self.is_busy(tenant), "{tenant} was evicted");
        }
        assert!(self.tenants.sessions.len() <= MAX);
        self.settle();
    }

    fn settle(&mut self) {
        self.tenants.settle();
        self.refreshes.retain(|(_, running)| !running.is_finished());
        for tenant in 0..TENANTS {
            while let Some(call) = self.tenants.parts(tenant).refresher.try_next() {
                self.calls.push((tenant, call));
            }
        }
        self.calls.retain(|(_, call)| !call.is_abandoned());
        // Two sessions of one tenant would present one refresh token at once.
        let mut presented = BTreeSet::new();
        for (_, call) in &self.calls {
            let token = call.presented().refresh_token().unwrap().reveal();
            assert!(presented.insert(token), "{token} is presented twice at once");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// M1, M4: whatever happens.
    #[test]
    fn nothing_busy_is_evicted_and_the_bound_holds(moves in moves()) {
        let mut game = Game::new();
        for step in moves {
            game.play(step);
        }

        // Once all is over, all go.
        game.handles.clear();
        for (_, running) in game.refreshes.drain(..) {
            running.cancel();
        }
        for tenant in 0..TENANTS {
            game.tenants.parts(tenant).store.fail_always(Op::Save, false);
        }
        game.calls.clear();
        game.tenants.pass(Duration::from_secs(600));
        game.tenants.sessions.evict_idle();
        game.tenants.pass(Duration::from_secs(600));
        game.tenants.sessions.evict_idle();
        prop_assert!(game.tenants.sessions.is_empty());
    }
}
