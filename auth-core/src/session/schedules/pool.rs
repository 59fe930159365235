//! Pools on every schedule: sessions that are evicted while others ask for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::check::check;
use super::scene::carried;
use super::server::{Endpoint, Server};
use super::shelf::Shelf;
use super::world::{Clockwork, World, a_while, chance, sometime};
use crate::session::reentry::SessionId;
use crate::{Error, ErrorKind, Runtime as _, Session, SessionBuilder, Sessions};

/// A pool of users, whose server and whose stores outlive their sessions.
struct Pool {
    world: Arc<World>,
    server: Arc<Server>,
    sessions: Sessions<u64>,
    /// How many hold a user's session, and which one that is.
    holders: Mutex<BTreeMap<u64, (usize, SessionId)>>,
}

impl Pool {
    /// Users 0 to `users` have signed in once.
    fn new(
        world: &Arc<World>,
        users: u64,
        max: usize,
        build: impl Fn(SessionBuilder) -> SessionBuilder + Send + Sync + 'static,
    ) -> Arc<Self> {
        let server = Server::new(world);
        let shelves: BTreeMap<u64, Shelf> =
            (0..users).map(|user| (user, Shelf::with(world, server.sign_in(user)))).collect();
        let (endpoint, runtime) = (Arc::clone(&server), Arc::clone(world));
        let factory = move |user: &u64| {
            runtime.others_may_go_on();
            let endpoint = Endpoint { server: Arc::clone(&endpoint), acquires: None };
            build(Session::builder(endpoint).store(shelves[user].clone()))
        };
        let sessions = Sessions::builder(factory).runtime(Clockwork(Arc::clone(world))).max(max);
        let sessions = sessions.idle(Duration::ZERO).build();
        Arc::new(Self { world: Arc::clone(world), server, sessions, holders: Mutex::default() })
    }

    /// A user's request, if there is room for the session.
    async fn request(self: Arc<Self>, user: u64) {
        let session = match self.sessions.get(&user) {
            Ok(session) => session,
            Err(error) => {
                self.world.claim(error.kind() == ErrorKind::QueueFull, || format!("{error:?}"));
                return;
            }
        };
        let held = self.hold(user, &session);
        let sent = self.send(&session).await;
        self.world.claim(matches!(sent, Ok(true)), || format!("{sent:?}"));
        drop((held, session));
    }

    async fn send(&self, session: &Session) -> Result<bool, Error> {
        let lease = session.lease().await?.into_lease();
        a_while().await;
        if self.server.accepts(carried(&lease)) {
            return Ok(true);
        }
        let lease = session.recover(lease.stamp()).await?.into_lease();
        Ok(self.server.accepts(carried(&lease)))
    }

    /// M1: all who hold a session of this user at a time hold the same.
    fn hold(self: &Arc<Self>, user: u64, session: &Session) -> impl Drop + Send + use<> {
        let mine = session.core().id;
        let mut holders = self.holders.lock().unwrap();
        let (count, theirs) =
            holders.get(&user).copied().filter(|(count, _)| *count > 0).unwrap_or((0, mine));
        holders.insert(user, (count + 1, theirs));
        drop(holders);
        self.world.claim(mine == theirs, || format!("user {user} has two sessions"));
        Held { pool: Arc::clone(self), user }
    }
}

struct Held {
    pool: Arc<Pool>,
    user: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((count, _)) = self.pool.holders.lock().unwrap().get_mut(&self.user) {
            *count -= 1;
        }
    }
}

/// M1, M4: whoever asks at whatever time, while others evict: a user has one session, the bound holds, a refresh token is
/// presented once, and what was obtained is in the store when the session has gone.
#[test]
fn sessions_are_evicted_from_under_nobody() {
    check(300, |world| {
        let pool = Pool::new(world, 2, 1 + chance(2) as usize, |builder| builder);
        pool.server.expire(0);
        for number in 0..4 {
            let (pool, user) = (Arc::clone(&pool), number % 2);
            if number < 3 {
                world.caller(format!("caller {number}"), pool.request(user));
            } else {
                world.passer_by(format!("passer-by {number}"), pool.request(user));
            }
        }
        let other = Arc::clone(&pool);
        world.caller("evicts", async move {
            for _ in 0..3 {
                sometime().await;
                if chance(2) == 0 {
                    other.sessions.evict_idle();
                } else {
                    other.sessions.remove(&0);
                }
                let len = other.sessions.len();
                other.world.claim(len <= 2, || format!("{len} sessions"));
            }
        });

        world.settle();

        assert!(pool.server.refreshes(0) <= 1);
    });
}

/// M4: a session that refreshes by itself does not begin to when it has been given up: another is there in its place.
#[test]
fn a_timer_starts_nothing_once_its_session_is_given_up() {
    check(300, |world| {
        let pool = Pool::new(world, 1, 1, SessionBuilder::refresh_while_idle);
        let session = pool.sessions.get(&0).unwrap();
        let lifetime = Duration::from_secs(100);
        let tokens = pool.server.sign_in(0).with_expires_in(lifetime, Clockwork(Arc::clone(world)).now());
        drop(session.sign_in(tokens));
        drop(session);
        world.quiet();
        // The timer fires while the pool gives up the session, and somebody asks for another.
        let (evicts, asks) = (Arc::clone(&pool), Arc::clone(&pool));
        world.caller("the time comes", world.sleep(Duration::from_secs(90)));
        let later = world.sleep(Duration::from_secs(90));
        world.caller("evicts", async move {
            later.await;
            sometime().await;
            evicts.sessions.evict_idle();
        });
        let later = world.sleep(Duration::from_secs(90));
        world.caller("asks", async move {
            later.await;
            sometime().await;
            let session = asks.sessions.get(&0).unwrap();
            let forced = session.refresh(None).await;
            asks.world.claim(forced.is_ok(), || format!("{forced:?}"));
        });

        world.settle_in_time();

        pool.sessions.remove(&0);
        drop(pool);
    });
}
