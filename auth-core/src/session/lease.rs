//! Leases: what a request may carry, and the snapshot they are cut from.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::Tokens;
use crate::sync::{AtomicBool, Ordering};

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
#[derive(Clone)]
pub struct Lease {
    carried: Arc<Carried>,
}

struct Carried {
    stamp: Stamp,
    name: HeaderName,
    value: HeaderValue,
    same_since: u64,
}

impl Lease {
    /// Which token this is. Tell the session when the server rejects it.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.carried.stamp
    }

    /// The header to put on the request. Its value is marked sensitive.
    #[must_use]
    pub fn header(&self) -> (&HeaderName, &HeaderValue) {
        (&self.carried.name, &self.carried.value)
    }

    /// Whether this is the very access token of that older stamp: the refresh gave the same again. A replay with it will hardly
    /// do better.
    #[must_use]
    pub fn is_unchanged_since(&self, older: Stamp) -> bool {
        self.carried.stamp.epoch == older.epoch && self.carried.same_since <= older.generation
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("stamp", &self.carried.stamp)
            .field("header", &self.carried.name)
            .finish_non_exhaustive()
    }
}

const SHARDS: usize = 16;

/// One generation's token, immutable but for `held`: what the fast path reads.
///
/// Cloning a lease counts a reference, and two threads that count the same one wait for each other's cache line. So the header
/// is there sixteen times, each copy made when its shard is first used.
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
    name: HeaderName,
    value: HeaderValue,
    shards: Box<[Shard; SHARDS]>,
}

#[repr(align(128))]
#[derive(Default)]
struct Shard(OnceLock<Lease>);

impl Snapshot {
    pub(crate) fn new(
        stamp: Stamp,
        tokens: Arc<Tokens>,
        (name, mut value): (HeaderName, HeaderValue),
        fresh_until: Option<Duration>,
        same_since: u64,
    ) -> Self {
        value.set_sensitive(true);
        let held = AtomicBool::new(false);
        Self { stamp, tokens, same_since, fresh_until, held, name, value, shards: Box::default() }
    }

    /// Whether the fast path may use it at this time.
    pub(crate) fn is_free(&self, now: Duration) -> bool {
        !self.held.load(Ordering::Acquire) && self.fresh_until.is_none_or(|until| now < until)
    }

    pub(crate) fn header_name(&self) -> &HeaderName {
        &self.name
    }

    pub(crate) fn lease(&self) -> Lease {
        self.shards[shard()].0.get_or_init(|| self.copy()).clone()
    }

    /// The header in buffers of its own.
    fn copy(&self) -> Lease {
        let name =
            HeaderName::from_bytes(self.name.as_str().as_bytes()).unwrap_or_else(|_| self.name.clone());
        let mut value = HeaderValue::from_bytes(self.value.as_bytes()).unwrap_or_else(|_| self.value.clone());
        value.set_sensitive(true);
        let carried = Carried { stamp: self.stamp, name, value, same_since: self.same_since };
        Lease { carried: Arc::new(carried) }
    }
}

/// Threads are dealt the shards in turn.
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

        let lease = snapshot.lease();

        assert_eq!(lease.header().1, "Bearer topsecret");
        assert!(lease.header().1.is_sensitive());
        assert!(!format!("{lease:?} {snapshot:?}").contains("topsecret"));
    }
}
