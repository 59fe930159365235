//! Candidates: tokens on their way into the state, and what becomes of them there.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::Active;
use crate::session::lease::{Snapshot, Stamp};
use crate::{InvalidToken, Tokens};

/// Tokens with everything that foreign code and clocks have to say of them, found out outside the lock.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) header: Result<(HeaderName, HeaderValue), InvalidToken>,
    pub(crate) refreshable: bool,
    pub(crate) times: Times,
    pub(crate) refresh_expires: Option<Duration>,
}

/// When an access token ends, by `elapsed`. `None` is unknown: never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// When it counts as expired: somewhat early.
    pub(crate) expires: Option<Duration>,
    /// When it is to be refreshed in the background.
    pub(crate) soft: Option<Duration>,
    /// How long a refresh has made it good for: no other refresh will do better.
    pub(crate) granted: Option<Duration>,
}

impl Times {
    pub(super) fn is_expired(&self, now: Duration) -> bool {
        self.expires.is_some_and(|at| now >= at)
    }

    pub(super) fn is_soft(&self, now: Duration) -> bool {
        self.soft.is_some_and(|at| now >= at)
    }

    pub(super) fn is_good_for(&self, least: Duration, now: Duration) -> bool {
        self.granted.is_some_and(|granted| least > granted)
            || self.expires.is_none_or(|at| at.saturating_sub(now) >= least)
    }
}

impl Active {
    pub(super) fn new(
        candidate: Candidate,
        header: (HeaderName, HeaderValue),
        stamp: Stamp,
        same_since: u64,
    ) -> Self {
        let times = candidate.times;
        let soft = times.soft.filter(|_| candidate.refreshable);
        let fresh_until = match (times.expires, soft) {
            (Some(hard), Some(soft)) => Some(hard.min(soft)),
            (hard, soft) => hard.or(soft),
        };
        let snapshot = Snapshot::new(stamp, Arc::clone(&candidate.tokens), header, fresh_until, same_since);
        Self {
            snapshot: Arc::new(snapshot),
            times,
            pair: candidate.tokens,
            refreshable: candidate.refreshable,
            refresh_expires: candidate.refresh_expires,
            rejected: false,
            draining: None,
            lost: false,
        }
    }

    /// The next refresh presents this pair.
    pub(super) fn hold_pair(&mut self, candidate: &Candidate) {
        self.pair = Arc::clone(&candidate.tokens);
        self.refreshable = candidate.refreshable;
        self.refresh_expires = candidate.refresh_expires;
        self.lost = false;
    }
}
