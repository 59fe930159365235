//! The times of the members' sessions.

use std::time::Duration;

/// How long a member's session waits for what. See `SessionBuilder` of `auth-core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// For a refresh as a whole.
    pub refresh: Duration,
    /// For an answer of the token endpoint.
    pub attempt: Duration,
    /// For the store's lock.
    pub lock: Duration,
    /// For a call of the store.
    pub store: Duration,
}

impl Default for Times {
    /// A session's own.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { refresh: seconds(30), attempt: seconds(15), lock: seconds(10), store: seconds(5) }
    }
}

impl Times {
    /// Shorter ones, for tests that wait for a lease to end.
    #[must_use]
    pub fn brisk() -> Self {
        let seconds = Duration::from_secs;
        Self { refresh: seconds(4), attempt: seconds(3), lock: seconds(1), store: seconds(1) }
    }

    /// How long a lock has to live, where it ends by itself: as long as a refresh and its save may take.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.refresh + self.lock + self.store * 3
    }

    pub(super) fn write(&self) -> String {
        let Self { refresh, attempt, lock, store } = self;
        [refresh, attempt, lock, store].map(|time| time.as_millis().to_string()).join(" ")
    }
}
