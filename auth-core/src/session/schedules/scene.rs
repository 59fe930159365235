//! A scene: a session with its parts, clients that use it as `AuthClient` does, and what must be true when all is quiet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;

use super::chronicle::Chronicle;
use super::server::{Endpoint, Server, Token};
use super::shelf::Shelf;
use super::world::{Clockwork, World, a_while};
use crate::{Error, ErrorKind, FlightId, Lease, Session, SessionBuilder, SessionState, Turn};

pub(super) struct Scene {
    pub(super) world: Arc<World>,
    pub(super) server: Arc<Server>,
    pub(super) shelf: Shelf,
    pub(super) session: Session,
    pub(super) chronicle: Arc<Chronicle>,
    /// The last ticket that has started, of each flight.
    started: Mutex<BTreeMap<u64, u64>>,
    /// What a watcher has seen.
    seen: Arc<Mutex<Vec<SessionState>>>,
}

impl Scene {
    /// A session on this store.
    pub(super) fn new(
        world: &Arc<World>,
        server: &Arc<Server>,
        shelf: Shelf,
        acquires: Option<u64>,
        build: impl FnOnce(SessionBuilder) -> SessionBuilder,
    ) -> Arc<Self> {
        let chronicle = Arc::new(Chronicle::default());
        let builder = Session::builder(Endpoint { server: Arc::clone(server), acquires });
        let builder = builder.store(shelf.clone()).runtime(Clockwork(Arc::clone(world)));
        let session = build(builder.on_event(chronicle.listener(world))).build();
        let scene = Self {
            world: Arc::clone(world),
            server: Arc::clone(server),
            shelf,
            session,
            chronicle,
            started: Mutex::default(),
            seen: Arc::default(),
        };
        scene.watch();
        Arc::new(scene)
    }

    /// User 0 has signed in; the store does not have the tokens yet.
    pub(super) fn signed_in(world: &Arc<World>) -> Arc<Self> {
        let server = Server::new(world);
        let scene = Self::new(world, &server, Shelf::new(world), None, |builder| builder);
        drop(scene.session.sign_in(server.sign_in(0)));
        scene
    }

    /// Somebody watches until the session is gone.
    fn watch(&self) {
        let (mut states, seen) = (self.session.watch(), Arc::clone(&self.seen));
        self.world.task(Box::pin(async move {
            while let Some(state) = states.next().await {
                seen.lock().unwrap().push(state);
            }
        }));
    }

    /// A request as `AuthClient` makes it: whether the server accepted it in the end.
    pub(super) async fn request(&self) -> Result<bool, Error> {
        let turn = self.session.lease().await?;
        let (stamp, token) = (turn.stamp(), carried(&turn));
        if self.send(turn).await {
            return Ok(true);
        }
        let turn = self.session.recover(stamp).await?;
        // Invariant 4.
        self.world.claim(turn.stamp().epoch == stamp.epoch && carried(&turn).user == token.user, || {
            format!("sent as {token:?} {stamp:?}, again as {:?} {:?}", carried(&turn), turn.stamp())
        });
        self.world.claim(turn.stamp().generation > stamp.generation, || {
            format!("{stamp:?} was rejected, and is sent again")
        });
        Ok(self.send(turn).await)
    }

    /// Starts in its turn. Whether the server accepts it.
    async fn send(&self, turn: Turn) -> bool {
        let token = carried(&turn);
        let place = turn.flight().map(FlightId::get).zip(turn.ticket());
        let generation = turn.stamp().generation;
        turn.start(async {
            if let Some(place) = place {
                self.start(place, token, generation);
            }
            a_while().await;
            let accepted = self.server.accepts(token);
            a_while().await;
            accepted
        })
        .await
    }

    /// The first poll of a request that waited.
    fn start(&self, (flight, ticket): (u64, u64), token: Token, generation: u64) {
        let last = self.started.lock().unwrap().insert(flight, ticket);
        // A runtime that drops the one who saves has answered that it will not be saved; one that drops the queue's timer
        // has opened the queue.
        if !self.world.misses_a_runtime() {
            // Invariant 3.
            self.world.claim(generation == 0 || self.shelf.has_answered(token), || {
                format!("{token:?} is released before its save was answered")
            });
            // Invariant 5.
            self.world.claim(last.is_none_or(|last| last < ticket), || {
                format!("ticket {ticket} of flight {flight} starts after ticket {last:?}")
            });
        }
        // The first poll has not returned yet.
        self.world.others_may_go_on();
    }

    /// A caller that ends well, or with one of these errors.
    pub(super) fn caller(self: &Arc<Self>, name: &str, excused: &'static [ErrorKind]) {
        self.world.caller(name, Arc::clone(self).settles(name.to_owned(), excused));
    }

    /// The same, but it may be dropped at any time.
    pub(super) fn passer_by(self: &Arc<Self>, name: &str, excused: &'static [ErrorKind]) {
        self.world.passer_by(name, Arc::clone(self).settles(name.to_owned(), excused));
    }

    async fn settles(self: Arc<Self>, name: String, excused: &'static [ErrorKind]) {
        if let Some(accepted) = self.request_or(excused).await {
            self.world.claim(accepted, || format!("{name} was rejected twice"));
        }
    }

    /// A request, and whether it was accepted, unless it ended with one of these errors.
    pub(super) async fn request_or(&self, excused: &[ErrorKind]) -> Option<bool> {
        let settled = self.request().await;
        if let Err(error) = &settled {
            self.world.claim(excused.contains(&error.kind()), || format!("{error:?}"));
        }
        settled.ok()
    }

    /// What must be true once nobody can go on.
    pub(super) fn at_rest(self: Arc<Self>) {
        // Looked at first: whoever asks for the state has it shown once more.
        let seen = self.seen.lock().unwrap().clone();
        let newest = self.newest();
        let state = self.session.state();
        assert_eq!(seen.last(), Some(&state), "the last that the watcher saw of {seen:?}");
        assert_eq!(newest, self.newest(), "the fast path had the newest");
        let mut been = self.chronicle.states().into_iter();
        let in_order = seen.iter().all(|seen| been.any(|state| state == *seen));
        assert!(in_order, "the watcher saw {seen:?} of {:?}", self.chronicle.states());
        let stored = self.shelf.content();
        match state {
            SessionState::Unknown => {}
            // Invariant 9: the last write was the newest.
            SessionState::SignedOut | SessionState::Ended(_) => {
                assert_eq!(stored, None, "{state:?}, and the store has tokens");
            }
            SessionState::Active | SessionState::Refreshing | SessionState::Draining => {
                assert_eq!(stored, newest, "{state:?}, and the store has other tokens");
            }
        }
        self.chronicle.check(&self.world);
        self.world.claim(newest.is_none_or(|newest| !self.server.was_offered(newest)), || {
            format!("{newest:?} is in use, and was offered for revocation")
        });
    }

    /// What requests carry.
    pub(super) fn newest(&self) -> Option<Token> {
        self.session.core().published().map(|newest| Token::of(&newest.tokens))
    }
}

/// Whose token a lease carries.
pub(super) fn carried(lease: &Lease) -> Token {
    Token::read(lease.header().1.to_str().unwrap().trim_start_matches("Bearer "))
}
