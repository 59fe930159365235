//! Leases: what a request may carry, and the snapshot they are cut from.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::Guard;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use crate::sync::{AtomicBool, Ordering};
use crate::{AccessToken, Tokens};

/// Which token a lease carries: which sign-in it belongs to, and which refresh it came from.
///
/// Identity is this, never the token's text. Stamps of different sessions do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Which sign-in: advances at every sign-in and sign-out.
    pub epoch: u64,
    /// Which refresh: advances by one for each that succeeds.
    pub generation: u64,
}

impl Stamp {
    pub(crate) fn new(epoch: u64, generation: u64) -> Self {
        Self { epoch, generation }
    }
}

/// What a request may carry: the prepared header and its [`Stamp`]. Small, and cheap to clone.
///
/// It keeps its generation's tokens in memory for as long as it lives: put it down with the request that it is for.
pub struct Lease {
    /// Somebody's: [`Lease::new`] has looked.
    snapshot: Guard<Option<Arc<Snapshot>>>,
}

/// What a lease without a snapshot would show, if there were one.
static NOTHING: (HeaderName, HeaderValue) = (AUTHORIZATION, HeaderValue::from_static(""));

impl Lease {
    /// Of what is published, where that is fit for it.
    #[inline]
    pub(crate) fn new(
        published: Guard<Option<Arc<Snapshot>>>,
        is_fit: impl FnOnce(&Snapshot) -> bool,
    ) -> Option<Self> {
        let fit = published.as_ref().is_some_and(|snapshot| is_fit(snapshot));
        fit.then_some(Self { snapshot: published })
    }

    #[inline]
    fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_deref()
    }

    /// Which token this is. Tell the session when the server rejects it.
    #[must_use]
    #[inline]
    pub fn stamp(&self) -> Stamp {
        self.snapshot().map_or(Stamp::new(0, 0), |snapshot| snapshot.stamp)
    }

    /// The header to put on the request. Its value is marked sensitive.
    #[must_use]
    #[inline]
    pub fn header(&self) -> (&HeaderName, &HeaderValue) {
        let (name, value) = self.snapshot().map_or(&NOTHING, Snapshot::header);
        (name, value)
    }

    /// Whether this is the very access token of that older stamp: the refresh gave the same again. A replay with it will hardly
    /// do better.
    #[must_use]
    pub fn is_unchanged_since(&self, older: Stamp) -> bool {
        let since = self.snapshot().map(|snapshot| (snapshot.stamp.epoch, snapshot.same_since));
        since.is_some_and(|(epoch, since)| epoch == older.epoch && since <= older.generation)
    }

    /// No lease, in the place of one that is elsewhere.
    #[inline]
    pub(crate) fn nothing() -> Self {
        Self { snapshot: Guard::from_inner(None) }
    }

    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        self.snapshot.is_none()
    }

    /// Whether there is nothing newer, and no end.
    #[inline]
    pub(crate) fn is_newest(&self) -> bool {
        self.snapshot().is_some_and(|snapshot| !snapshot.superseded.load(Ordering::Acquire))
    }

    pub(crate) fn access_token(&self) -> Option<&AccessToken> {
        Some(self.snapshot()?.tokens.access_token())
    }
}

impl From<Arc<Snapshot>> for Lease {
    fn from(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot: Guard::from_inner(Some(snapshot)) }
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        Self { snapshot: Guard::from_inner(Option::clone(&self.snapshot)) }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("stamp", &self.stamp())
            .field("header", self.header().0)
            .finish_non_exhaustive()
    }
}

const SHARDS: usize = 16;

/// One generation's token, immutable but for `held`: what the fast path reads, and what a lease holds on to.
///
/// A lease is a hazard pointer to it rather than a reference: two threads that count the same reference wait for each other's
/// cache line. Cloning a header counts one, too. So the header is there sixteen times, each copy made when its shard is first
/// used.
pub(crate) struct Snapshot {
    pub(crate) stamp: Stamp,
    pub(crate) tokens: Arc<Tokens>,
    /// The first generation with this access token.
    pub(crate) same_since: u64,
    /// Up to here, by `elapsed`, the lease is given without a look at the state. `None`: for ever.
    pub(crate) fresh_until: Option<Duration>,
    /// Set under the state's lock while requests have to look at the state although the token is fresh: it was rejected
    /// and is being replaced.
    pub(crate) held: AtomicBool,
    /// Set under the state's lock when the state goes on without it, before that is published: what a flight brought may be
    /// replaced, or the session ended, without ever having been shown.
    superseded: AtomicBool,
    name: HeaderName,
    value: HeaderValue,
    shards: [OnceLock<(HeaderName, HeaderValue)>; SHARDS],
}

impl Snapshot {
    pub(crate) fn new(
        stamp: Stamp,
        tokens: Arc<Tokens>,
        (name, mut value): (HeaderName, HeaderValue),
        fresh_until: Option<Duration>,
        same_since: u64,
    ) -> Self {
        value.set_sensitive(true);
        let (held, superseded) = (AtomicBool::new(false), AtomicBool::new(false));
        let shards = Default::default();
        Self { stamp, tokens, same_since, fresh_until, held, superseded, name, value, shards }
    }

    /// Whether the fast path may use it at this time.
    #[inline]
    pub(crate) fn is_free(&self, now: Duration) -> bool {
        !self.held.load(Ordering::Acquire) && self.fresh_until.is_none_or(|until| now < until)
    }

    pub(crate) fn supersede(&self) {
        self.superseded.store(true, Ordering::Release);
    }

    pub(crate) fn header_name(&self) -> &HeaderName {
        &self.name
    }

    #[inline]
    fn header(&self) -> &(HeaderName, HeaderValue) {
        self.shards[shard()].get_or_init(|| self.copy())
    }

    /// The header in buffers of its own.
    fn copy(&self) -> (HeaderName, HeaderValue) {
        let name =
            HeaderName::from_bytes(self.name.as_str().as_bytes()).unwrap_or_else(|_| self.name.clone());
        let mut value = HeaderValue::from_bytes(self.value.as_bytes()).unwrap_or_else(|_| self.value.clone());
        value.set_sensitive(true);
        // A clone's clones are counted and nothing else: the first one has made the buffer a shared one.
        (name.clone(), value.clone())
    }
}

/// Threads are dealt the shards in turn.
#[inline]
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    // A thread that is ending has no number any more; any shard will do.
    MINE.try_with(|mine| *mine).unwrap_or(0)
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bearer, Scheme as _};

    #[test]
    fn a_lease_shows_nothing_of_its_token() {
        let tokens = Tokens::new("topsecret").unwrap();
        let header = Bearer.prepare(&tokens).unwrap();
        let snapshot = Snapshot::new(Stamp::new(1, 0), Arc::new(tokens), header, None, 0);

        let lease = Lease::from(Arc::new(snapshot));

        assert_eq!(lease.header().1, "Bearer topsecret");
        assert!(lease.header().1.is_sensitive());
        assert!(!format!("{lease:?} {:?}", lease.snapshot).contains("topsecret"));
    }
}
