//! The server, and the refresher that calls it. It takes its time, and says what must not happen to it, whatever the schedule:
//! a refresh token presented twice, or by two calls at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::world::{World, a_while, chance, sometime};
use crate::{RefreshError, Refresher, Tokens};

/// Whose token, and how many refreshes it is from the sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token {
    pub(super) user: u64,
    pub(super) generation: u64,
}

impl Token {
    pub(super) fn pair(self) -> Tokens {
        let Self { user, generation } = self;
        let access = Tokens::new(format!("A{user}.{generation}")).unwrap();
        access.with_refresh_token(format!("R{user}.{generation}"))
    }

    /// From a header's value, an access token or a refresh token.
    pub(super) fn read(text: &str) -> Self {
        let (user, generation) = text.rsplit(['A', 'R']).next().unwrap().split_once('.').unwrap();
        Self { user: user.parse().unwrap(), generation: generation.parse().unwrap() }
    }

    pub(super) fn of(tokens: &Tokens) -> Self {
        Self::read(tokens.access_token().reveal())
    }
}

/// What becomes of one call of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Tokens,
    /// 503: nothing has happened.
    Unavailable,
    /// `invalid_grant`, and everything of that user is dead.
    Refused,
}

/// A token endpoint, and an API that asks it.
pub(super) struct Server {
    world: Arc<World>,
    users: Mutex<BTreeMap<u64, User>>,
    /// What comes before tokens.
    troubles: Mutex<VecDeque<Answer>>,
    /// How many seconds a call takes.
    delay: AtomicU64,
}

#[derive(Default)]
struct User {
    /// The newest refresh token there is; the one before it, if the answer that replaced it was lost.
    generation: u64,
    lost: bool,
    /// Access tokens before this one are rejected.
    accepted: u64,
    /// The call under way, and whether it has exchanged the token.
    call: Option<u64>,
    exchanged: bool,
    calls: u64,
    refreshes: u64,
    offered: BTreeSet<u64>,
}

impl Server {
    pub(super) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            users: Mutex::default(),
            troubles: Mutex::default(),
            delay: AtomicU64::new(0),
        })
    }

    fn users(&self) -> MutexGuard<'_, BTreeMap<u64, User>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at<T>(&self, user: u64, look: impl FnOnce(&mut User) -> T) -> T {
        look(self.users().entry(user).or_default())
    }

    /// First tokens for a user.
    pub(super) fn sign_in(&self, user: u64) -> Tokens {
        self.at(user, |user| *user = User::default());
        Token { user, generation: 0 }.pair()
    }

    /// From now on the API rejects the tokens that are there.
    pub(super) fn expire(&self, user: u64) {
        self.at(user, |user| user.accepted = user.generation + 1);
    }

    /// The next calls end otherwise than with tokens.
    pub(super) fn trouble(&self, answers: impl IntoIterator<Item = Answer>) {
        self.troubles.lock().unwrap().extend(answers);
    }

    /// Every call of the token endpoint takes so many seconds.
    pub(super) fn delay(&self, seconds: u64) {
        self.delay.store(seconds, Ordering::Relaxed);
    }

    pub(super) fn accepts(&self, token: Token) -> bool {
        self.at(token.user, |user| token.generation >= user.accepted)
    }

    /// When a refresh token is being presented, mostly.
    pub(super) async fn while_refreshing(&self, user: u64) {
        if chance(3) == 0 {
            return sometime().await;
        }
        for _ in 0..100 {
            if self.calls(user) > 0 {
                break;
            }
            shuttle::future::yield_now().await;
        }
        a_while().await;
    }

    /// How often a refresh token was presented.
    pub(super) fn calls(&self, user: u64) -> u64 {
        self.at(user, |user| user.calls)
    }

    /// How often it was exchanged.
    pub(super) fn refreshes(&self, user: u64) -> u64 {
        self.at(user, |user| user.refreshes)
    }

    /// The newest token of this user.
    pub(super) fn newest(&self, user: u64) -> Token {
        Token { user, generation: self.at(user, |user| user.generation) }
    }

    /// Whether this token was offered for revocation.
    pub(super) fn was_offered(&self, token: Token) -> bool {
        self.at(token.user, |user| user.offered.contains(&token.generation))
    }

    async fn exchange(&self, token: Token) -> Result<Tokens, RefreshError> {
        self.world.others_may_go_on();
        let call = Call::begin(self, token);
        a_while().await;
        let delay = Duration::from_secs(self.delay.load(Ordering::Relaxed));
        if !delay.is_zero() {
            self.world.sleep(delay).await;
        }
        let answer = self.troubles.lock().unwrap().pop_front().unwrap_or(Answer::Tokens);
        let result = match answer {
            Answer::Tokens => call.exchange(),
            Answer::Unavailable => Err(RefreshError::unavailable("503")),
            Answer::Refused => Err(RefreshError::rejected("invalid_grant")),
        };
        a_while().await;
        call.is_polled();
        self.at(token.user, |user| user.exchanged = false);
        result
    }
}

/// A call under way. Dropped, its answer is lost.
struct Call<'a> {
    server: &'a Server,
    token: Token,
    number: u64,
}

impl<'a> Call<'a> {
    /// Invariant 2: no two at once. One that hangs on a runtime that is not driven is taken for lost; it must not be polled
    /// again.
    fn begin(server: &'a Server, token: Token) -> Self {
        let (number, other) = server.at(token.user, |user| {
            user.calls += 1;
            user.lost |= std::mem::take(&mut user.exchanged);
            (user.calls, user.call.replace(user.calls))
        });
        server.world.claim(other.is_none() || server.world.has_changed_runtime(), || {
            format!("{token:?} is presented while another call presents it")
        });
        Self { server, token, number }
    }

    fn is_polled(&self) {
        let newest = self.server.at(self.token.user, |user| user.call);
        self.server.world.claim(newest == Some(self.number), || {
            format!("call {} with {:?} goes on, and so does {newest:?}", self.number, self.token)
        });
    }

    fn exchange(&self) -> Result<Tokens, RefreshError> {
        self.is_polled();
        let Token { user, generation } = self.token;
        let exchanged = self.server.at(user, |user| {
            if generation == user.generation {
                user.generation += 1;
                user.refreshes += 1;
            } else if !user.lost || generation + 1 != user.generation {
                return Err(user.generation);
            }
            // Where the answer was lost, a server gives it once more for a while.
            user.lost = false;
            user.exchanged = true;
            Ok(user.generation)
        });
        match exchanged {
            Ok(generation) => Ok(Token { user, generation }.pair()),
            Err(newest) => {
                self.server.world.claim(false, || {
                    format!("R{user}.{generation} is presented again: R{user}.{newest} has replaced it")
                });
                Err(RefreshError::rejected("invalid_grant"))
            }
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.server.at(self.token.user, |user| {
            if user.call.take_if(|call| *call == self.number).is_some() {
                user.lost |= std::mem::take(&mut user.exchanged);
            }
        });
    }
}

/// The session's side of the server, which also knows what the session has in use.
pub(super) struct Endpoint {
    pub(super) server: Arc<Server>,
    /// First tokens for this user, where nobody has to sign in.
    pub(super) acquires: Option<u64>,
}

#[async_trait]
impl Refresher for Endpoint {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        self.server.exchange(Token::of(current)).await
    }

    async fn acquire(&self) -> Result<Option<Tokens>, RefreshError> {
        a_while().await;
        Ok(self.acquires.map(|user| self.server.sign_in(user)))
    }

    async fn revoke(&self, tokens: &Tokens) {
        let token = Token::of(tokens);
        a_while().await;
        self.server.at(token.user, |user| user.offered.insert(token.generation));
    }
}
