//! Building a session: its parts and its numbers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Session;
use super::core::Core;
use super::listen::Events;
use super::policy::{PersistFailure, Policy, ReplayOrder};
use crate::event::{Event, ObserverFn, SessionEnded};
use crate::{Bearer, MaybeSend, MaybeSync, Observer, Refresher, Runtime, Scheme, TokenStore};

/// Every sum of a few of these stays within what a clock can say.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The parts of a [`Session`] and its numbers. Only the refresher has no default.
///
/// | part | default |
/// | --- | --- |
/// | [`store`](Self::store) | [`MemoryStore`](crate::MemoryStore) |
/// | [`runtime`](Self::runtime) | `StandaloneRuntime` (feature `standalone`) |
/// | [`scheme`](Self::scheme) | [`Bearer`] |
#[must_use = "a builder does nothing until it builds"]
pub struct SessionBuilder {
    refresher: Arc<dyn Refresher>,
    store: Option<Arc<dyn TokenStore>>,
    scheme: Option<Arc<dyn Scheme>>,
    runtime: Option<Arc<dyn Runtime>>,
    observers: Vec<Arc<dyn Observer>>,
    policy: Policy,
}

impl SessionBuilder {
    pub(super) fn new(refresher: Arc<dyn Refresher>) -> Self {
        Self {
            refresher,
            store: None,
            scheme: None,
            runtime: None,
            observers: Vec::new(),
            policy: Policy::default(),
        }
    }

    /// Where tokens survive the session. It is read when the first request needs it.
    pub fn store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Where the session's own tasks run.
    pub fn runtime(mut self, runtime: impl Runtime) -> Self {
        self.runtime = Some(Arc::new(runtime));
        self
    }

    /// The same, where nothing was named.
    pub(crate) fn runtime_or(mut self, runtime: &Arc<dyn Runtime>) -> Self {
        self.runtime.get_or_insert_with(|| Arc::clone(runtime));
        self
    }

    /// How a token goes onto a request.
    pub fn scheme(mut self, scheme: impl Scheme) -> Self {
        self.scheme = Some(Arc::new(scheme));
        self
    }

    /// Told of everything that happens, in order. May be called more than once.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// The same for a closure: told of everything that happens, in order, by a task of its own: a slow listener delays later
    /// events, and nothing else. It must not block its thread.
    pub fn on_event(self, listener: impl Fn(&Event) + MaybeSend + MaybeSync + 'static) -> Self {
        self.observer(ObserverFn(listener))
    }

    /// Told once when the session ends: go to the login page. Not after a sign-out.
    pub fn on_session_ended(self, hook: impl Fn(&SessionEnded) + MaybeSend + MaybeSync + 'static) -> Self {
        self.on_event(move |event| {
            if let Event::Ended(ended) = event {
                hook(ended);
            }
        })
    }

    /// What to do where a new pair cannot be saved. Default: go on from memory. The refresh token is spent by then, and a full
    /// disk is no reason to sign anybody out.
    pub fn persist_failure(mut self, choice: PersistFailure) -> Self {
        self.policy.persist_failure = choice;
        self
    }

    /// Whether requests that waited for one refresh start again in order. Default: they do. Nobody notices the time it takes, and
    /// what was asked for first may matter to what was asked for next.
    pub fn replay_order(mut self, order: ReplayOrder) -> Self {
        self.policy.replay_order = order;
        self
    }

    /// One refresh, from its start to its answer, calls made again included. Default: 30 s, what a user waits for a page.
    ///
    /// The refresher is called at most three times: where an answer was lost again at once, where the server is
    /// [unavailable](crate::RefreshError::unavailable) after 250 ms and then after 1 s, or after what its `Retry-After` says, as
    /// far as that fits in here.
    pub fn refresh_timeout(mut self, whole: Duration) -> Self {
        self.policy.flight = whole.min(LONGEST);
        self
    }

    /// One call of the refresher. Default: 15 s, half of the whole, so that a lost answer can be asked for again.
    pub fn attempt_timeout(mut self, one: Duration) -> Self {
        self.policy.attempt = one.min(LONGEST);
        self
    }

    /// One call of the store. Default: 5 s; a disk or a cache that takes longer is down. A refresh makes up to four (it reads, writes,
    /// looks, and writes again what failed), beside the lock; and where a sign-in could not be saved yet, as many again before it.
    pub fn store_timeout(mut self, one: Duration) -> Self {
        self.policy.store_call = one.min(LONGEST);
        self
    }

    /// Waiting for the store's lock. Default: 10 s, so that what another process made meanwhile can still be adopted.
    pub fn lock_timeout(mut self, wait: Duration) -> Self {
        self.policy.store_lock = wait.min(LONGEST);
        self
    }

    /// How long before its end, at most, a token is refreshed in the background while it is still served: nobody waits for
    /// that refresh, and its failure is nobody's as long as the token is valid. Default: 5 min, and never more than the last
    /// fifth of the lifetime; a tenth of it is chance, so that a fleet does not refresh at once. Zero switches it off.
    pub fn soft_window(mut self, longest: Duration) -> Self {
        self.policy.longest_soft = longest.min(LONGEST);
        self
    }

    /// How much before its end a token counts as expired: it has to survive the way to the server. Default: 5 s, and never more
    /// than a tenth of the lifetime.
    pub fn expiry_margin(mut self, early: Duration) -> Self {
        self.policy.early = early.min(LONGEST);
        self
    }

    /// Refreshes in the soft window by a timer, whether or not anybody asks for the token: for a program that idles for
    /// hours and must not wait when it wakes up. Without it a token is judged when it is used, which is all that
    /// correctness needs, and a session that nobody uses makes no traffic. Default: no timer.
    pub fn refresh_while_idle(mut self) -> Self {
        self.policy.ahead = true;
        self
    }

    /// For how long no other refresh is started after one that failed, doubled for each failure in a row up to the longest,
    /// with a fifth of chance either way. Default: 1 s, up to 60 s: a token endpoint that is down is asked once a minute. A
    /// forced refresh does not wait for it, and a sign-in ends it.
    pub fn cooldown(mut self, first: Duration, longest: Duration) -> Self {
        self.policy.cooldown = first.min(LONGEST);
        self.policy.longest_cooldown = longest.min(LONGEST);
        self
    }

    /// How long a `Retry-After` of the token endpoint is honoured. Default: 5 min, so that a typing error there cannot shut
    /// everybody out for a day.
    pub fn longest_retry_after(mut self, longest: Duration) -> Self {
        self.policy.longest_retry_after = longest.min(LONGEST);
        self
    }

    /// How many tokens may be replaced within 30 s because they were rejected, before requests fail as
    /// [`ExcessiveRefresh`](crate::ErrorKind::ExcessiveRefresh). Default: 5, which a change of keys at the server may cost; more are
    /// a server that no refresh helps against. `None` switches the limit off.
    pub fn max_rejections(mut self, most: Option<usize>) -> Self {
        self.policy.rejections = most;
        self
    }

    /// How many requests may wait for one refresh, before more fail as [`QueueFull`](crate::ErrorKind::QueueFull).
    /// Default: 65,536, more than a program has in flight, and no more memory than it can spare.
    pub fn max_waiters(mut self, most: usize) -> Self {
        self.policy.max_waiters = most;
        self
    }

    /// How long requests that are never polled may hold up the others of their queue, in total. Default: 500 ms: longer than a
    /// busy executor takes to come round, shorter than what a user waits for.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.policy.patience = patience.min(LONGEST);
        self
    }

    /// Not for use: gives the session a known bug.
    #[cfg(feature = "planted-faults")]
    pub fn plant(mut self, fault: crate::Fault) -> Self {
        self.policy.planted = crate::planted::Planted::new(fault);
        self
    }

    /// Builds the session. It does nothing until somebody uses it.
    ///
    /// # Panics
    ///
    /// Without a [`runtime`](Self::runtime), in a build without the feature `standalone` (or on wasm32, where there is no
    /// thread for it).
    #[must_use]
    pub fn build(self) -> Session {
        let runtime = self
            .runtime
            .or_else(standalone)
            .expect("a session needs a runtime: name one, or enable `standalone`");
        let scheme = self.scheme.unwrap_or_else(|| Arc::new(Bearer));
        let events = Events::new(self.observers);
        Session::from_core(Core::new(self.refresher, self.store, scheme, runtime, self.policy, events))
    }
}

#[cfg(all(feature = "standalone", not(any(target_arch = "wasm32", auth_local))))]
pub(crate) fn standalone() -> Option<Arc<dyn Runtime>> {
    Some(Arc::new(crate::StandaloneRuntime::new()))
}

#[cfg(not(all(feature = "standalone", not(any(target_arch = "wasm32", auth_local)))))]
pub(crate) fn standalone() -> Option<Arc<dyn Runtime>> {
    None
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder").field("policy", &self.policy).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RefreshError, Tokens, refresher_fn};

    #[test]
    fn a_time_is_kept_as_it_is_up_to_a_year() {
        let day = Duration::from_secs(86_400);

        for (asked, kept) in [(364 * day, 364 * day), (365 * day, 365 * day), (Duration::MAX, 365 * day)] {
            let never = refresher_fn(|_: Tokens| async { Err(RefreshError::unavailable("never")) });
            let SessionBuilder { policy, .. } = SessionBuilder::new(Arc::new(never))
                .refresh_timeout(asked)
                .attempt_timeout(asked)
                .store_timeout(asked)
                .lock_timeout(asked)
                .patience(asked);

            let times =
                [policy.flight, policy.attempt, policy.store_call, policy.store_lock, policy.patience];
            assert_eq!(times, [kept; 5]);
        }
    }
}
