//! `ScriptedRefresher`: a refresher whose calls the test answers by hand.

use std::fmt;
use std::sync::{Arc, Mutex};

use auth_core::{BoxFuture, MaybeSend, MaybeSync, RefreshError, Refresher, Tokens};

use crate::arrivals::Arrivals;
use crate::lock::lock;
use crate::overlap::Overlap;
use crate::reply::{Asked, Call, Reply, call};
use crate::tokens::rotating;

type Refreshed = Result<Tokens, RefreshError>;
type Acquired = Result<Option<Tokens>, RefreshError>;

/// A [`Refresher`] that does what its [`RefresherHandle`] says.
///
/// Every `refresh` becomes a [`RefreshCall`], at the first poll of its future; it waits for the test's answer. Clones are
/// the same refresher.
///
/// ```
/// use auth_core::{Refresher, RefreshError};
/// use auth_testkit::{ManualRuntime, ScriptedRefresher, numbered};
///
/// let runtime = ManualRuntime::new();
/// let (refresher, handle) = ScriptedRefresher::new();
/// let refreshing = runtime.start(async move { refresher.refresh(&numbered(0)).await });
///
/// let call = runtime.block_on(handle.next());
/// assert_eq!(call.presented().refresh_token().unwrap().reveal(), "R0");
/// call.fail(RefreshError::unavailable("503"));
///
/// assert!(runtime.block_on(refreshing).unwrap_err().is_unavailable());
/// ```
#[derive(Clone)]
pub struct ScriptedRefresher {
    shared: Arc<Shared>,
}

/// The test's side of a [`ScriptedRefresher`]. Clones are the same handle.
#[derive(Clone)]
pub struct RefresherHandle {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    refreshes: Arrivals<RefreshCall>,
    acquires: Arrivals<AcquireCall>,
    overlap: Overlap,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    auto: Option<Arc<dyn Answers>>,
    acquire_by_hand: bool,
    refreshable: Option<bool>,
    presented: Vec<String>,
    acquired: usize,
    revoked: Vec<Tokens>,
    calls: usize,
}

trait Answers: MaybeSend + MaybeSync {
    fn answer(&self, current: &Tokens) -> Refreshed;
}

impl<F: Fn(&Tokens) -> Refreshed + MaybeSend + MaybeSync> Answers for F {
    fn answer(&self, current: &Tokens) -> Refreshed {
        self(current)
    }
}

impl ScriptedRefresher {
    /// A refresher, and the handle that answers its calls.
    #[must_use]
    pub fn new() -> (Self, RefresherHandle) {
        let shared = Arc::new(Shared::default());
        (Self { shared: Arc::clone(&shared) }, RefresherHandle { shared })
    }

    /// One that answers every call at once with the next numbered pair: see [`rotating`](crate::rotating()).
    #[must_use]
    pub fn rotating() -> (Self, RefresherHandle) {
        let (refresher, handle) = Self::new();
        handle.answer_with(rotating);
        (refresher, handle)
    }
}

impl Shared {
    fn refresh(&self, current: &Tokens) -> Asked<Refreshed> {
        let inside = self.overlap.enter();
        let auto = {
            let mut script = lock(&self.script);
            script.calls += 1;
            script.presented.extend(current.refresh_token().map(|token| token.reveal().to_owned()));
            script.auto.clone()
        };
        if let Some(auto) = auto {
            return Asked::Answered(auto.answer(current));
        }
        let (reply, awaited) = call(inside);
        self.refreshes.push(RefreshCall { presented: current.clone(), reply });
        Asked::Waiting(awaited)
    }

    fn acquire(&self) -> Asked<Acquired> {
        let inside = self.overlap.enter();
        let by_hand = {
            let mut script = lock(&self.script);
            script.acquired += 1;
            script.acquire_by_hand
        };
        if !by_hand {
            return Asked::Answered(Ok(None));
        }
        let (reply, awaited) = call(inside);
        self.acquires.push(AcquireCall { reply });
        Asked::Waiting(awaited)
    }
}

// Written out instead of `async fn`: the future has to be the call itself, so that its drop can be scripted.
impl Refresher for ScriptedRefresher {
    fn refresh<'a, 'b, 'async_trait>(
        &'a self,
        current: &'b Tokens,
    ) -> BoxFuture<'async_trait, Result<Tokens, RefreshError>>
    where
        'a: 'async_trait,
        'b: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(Call::new(move || self.shared.refresh(current)))
    }

    fn can_refresh(&self, current: &Tokens) -> bool {
        let scripted = lock(&self.shared.script).refreshable;
        scripted.unwrap_or_else(|| current.refresh_token().is_some())
    }

    fn acquire<'a, 'async_trait>(&'a self) -> BoxFuture<'async_trait, Result<Option<Tokens>, RefreshError>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(Call::new(move || self.shared.acquire()))
    }

    fn revoke<'a, 'b, 'async_trait>(&'a self, tokens: &'b Tokens) -> BoxFuture<'async_trait, ()>
    where
        'a: 'async_trait,
        'b: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move { lock(&self.shared.script).revoked.push(tokens.clone()) })
    }
}

impl RefresherHandle {
    /// The next `refresh` call that nobody has taken yet, in the order in which they began.
    pub async fn next(&self) -> RefreshCall {
        self.shared.refreshes.next().await
    }

    /// As [`next`](Self::next), if there is one already.
    #[must_use]
    pub fn try_next(&self) -> Option<RefreshCall> {
        self.shared.refreshes.try_next()
    }

    /// From now on `acquire` waits for the test, too; until then it is `Ok(None)` at once.
    pub fn script_acquire(&self) {
        lock(&self.shared.script).acquire_by_hand = true;
    }

    /// The next `acquire` call, once they are scripted.
    pub async fn next_acquire(&self) -> AcquireCall {
        self.shared.acquires.next().await
    }

    /// As [`next_acquire`](Self::next_acquire), if there is one already.
    #[must_use]
    pub fn try_next_acquire(&self) -> Option<AcquireCall> {
        self.shared.acquires.try_next()
    }

    /// Answers every later `refresh` call at once, in its first poll; calls that are waiting still wait.
    pub fn answer_with(&self, answer: impl Fn(&Tokens) -> Refreshed + MaybeSend + MaybeSync + 'static) {
        let before = lock(&self.shared.script).auto.replace(Arc::new(answer));
        drop(before);
    }

    /// Later `refresh` calls wait for the test again.
    pub fn answer_by_hand(&self) {
        let before = lock(&self.shared.script).auto.take();
        drop(before);
    }

    /// What `can_refresh` says; `None` is the trait's default: whether there is a refresh token.
    pub fn set_refreshable(&self, refreshable: Option<bool>) {
        lock(&self.shared.script).refreshable = refreshable;
    }

    /// How many `refresh` calls have begun.
    #[must_use]
    pub fn calls(&self) -> usize {
        lock(&self.shared.script).calls
    }

    /// How many `acquire` calls have begun.
    #[must_use]
    pub fn acquires(&self) -> usize {
        lock(&self.shared.script).acquired
    }

    /// The most `refresh` and `acquire` calls that were under way at a time. Of one session never more than one.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.shared.overlap.most()
    }

    /// The texts of the refresh tokens that were presented, in order.
    #[must_use]
    pub fn presented(&self) -> Vec<String> {
        lock(&self.shared.script).presented.clone()
    }

    /// What was offered for revocation, in order.
    #[must_use]
    pub fn revoked(&self) -> Vec<Tokens> {
        lock(&self.shared.script).revoked.clone()
    }
}

/// A `refresh` under way. Dropped without an answer, it never ends: the session's own deadline has to end it.
pub struct RefreshCall {
    presented: Tokens,
    reply: Reply<Refreshed>,
}

impl RefreshCall {
    /// The tokens that the session wants new ones for.
    #[must_use]
    pub fn presented(&self) -> &Tokens {
        &self.presented
    }

    /// Answers with these tokens.
    pub fn answer(self, tokens: Tokens) {
        self.reply.send(Ok(tokens));
    }

    /// Answers with this failure.
    pub fn fail(self, error: RefreshError) {
        self.reply.send(Err(error));
    }

    /// Makes the call's future panic when it is polled next.
    pub fn panics(self, message: impl Into<String>) {
        self.reply.panic(message.into());
    }

    /// Answers with these tokens; then the call's future panics while it is being dropped.
    ///
    /// An `async` block that awaits the call drops it as soon as it has the answer: there the panic comes out of the
    /// block's own poll, and takes the answer with it. So does forwarding through `Arc` or `Box`.
    pub fn answer_then_panic_in_drop(self, tokens: Tokens) {
        self.reply.send_and_panic_in_drop(Ok(tokens));
    }

    /// Whether the session dropped the call before it had an answer.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }
}

/// An `acquire` under way. Dropped without an answer, it never ends.
pub struct AcquireCall {
    reply: Reply<Acquired>,
}

impl AcquireCall {
    /// Answers with these tokens, or with "somebody has to sign in".
    pub fn answer(self, tokens: Option<Tokens>) {
        self.reply.send(Ok(tokens));
    }

    /// Answers with this failure.
    pub fn fail(self, error: RefreshError) {
        self.reply.send(Err(error));
    }

    /// Makes the call's future panic when it is polled next.
    pub fn panics(self, message: impl Into<String>) {
        self.reply.panic(message.into());
    }

    /// Whether the session dropped the call before it had an answer.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }
}

impl fmt::Debug for ScriptedRefresher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedRefresher").finish_non_exhaustive()
    }
}

impl fmt::Debug for RefresherHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefresherHandle").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshCall").field("abandoned", &self.is_abandoned()).finish_non_exhaustive()
    }
}

impl fmt::Debug for AcquireCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireCall").field("abandoned", &self.is_abandoned()).finish_non_exhaustive()
    }
}
