//! Counters: sums of what a session has done, for a metrics library to export.

/// What a session has done since it was built, or all sessions of a pool. Every number only grows.
///
/// Read it whenever your metrics library collects; [`metrics`](Self::metrics) has names, units and attributes after the
/// conventions of OpenTelemetry.
///
/// ```
/// # use auth_core::Session;
/// fn collect(session: &Session) {
///     for metric in session.counters().metrics() {
///         println!("{} {:?} {} {}", metric.name, metric.attributes, metric.value, metric.unit);
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Flights that brought new tokens from the token endpoint.
    pub refreshed: u64,
    /// Flights that found new tokens in the store: another process had made the refresh.
    pub adopted: u64,
    /// Flights that failed, with the session as it was. (One that ran out of time, and whose answer came after all, is among
    /// those that brought new tokens as well.)
    pub failed: u64,
    /// Flights whose refresh token was refused, or had expired by the clock: the session ended, or drains.
    pub refused: u64,
    /// Flights that were overtaken by a sign-in, a sign-out or another process.
    pub overtaken: u64,
    /// Requests and calls that joined a flight which another had started.
    pub joined: u64,
    /// Rejections of a token that had been replaced by then: no reason to refresh.
    pub late: u64,
    /// Requests that were sent again.
    pub replayed: u64,
    /// Requests that failed because every new token had been rejected as well.
    pub excessive: u64,
    /// Requests that failed without a token request because a flight had failed just before.
    pub cooled: u64,
    /// Requests that failed because too many were waiting; in a pool, also calls that failed because too many sessions were in
    /// use.
    pub queue_full: u64,
    /// Calls that would have waited for themselves.
    pub reentrant: u64,
    /// Queues that stopped waiting for a request that nobody polled.
    pub opened: u64,
    /// Sessions that ended.
    pub ended: u64,
    /// Writes of the store that failed.
    pub save_failed: u64,
}

/// One sum, as a metrics library wants it: a monotonic counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name: lower case, with dots.
    pub name: &'static str,
    /// What is counted, in curly braces (UCUM annotation).
    pub unit: &'static str,
    /// What that means, in a sentence.
    pub description: &'static str,
    /// What tells it from others of the same name.
    pub attributes: &'static [(&'static str, &'static str)],
    /// The sum.
    pub value: u64,
}

const REFRESHES: &str = "auth.client.refreshes";
const GUARDS: &str = "auth.client.guard.trips";

impl Counters {
    /// Adds what another session has done.
    pub(crate) fn add(&mut self, other: &Self) {
        // Field by field, so that a new one is not forgotten.
        let Self {
            refreshed,
            adopted,
            failed,
            refused,
            overtaken,
            joined,
            late,
            replayed,
            excessive,
            cooled,
            queue_full,
            reentrant,
            opened,
            ended,
            save_failed,
        } = other;
        self.refreshed += refreshed;
        self.adopted += adopted;
        self.failed += failed;
        self.refused += refused;
        self.overtaken += overtaken;
        self.joined += joined;
        self.late += late;
        self.replayed += replayed;
        self.excessive += excessive;
        self.cooled += cooled;
        self.queue_full += queue_full;
        self.reentrant += reentrant;
        self.opened += opened;
        self.ended += ended;
        self.save_failed += save_failed;
    }

    /// Every sum with its name, unit and attributes.
    pub fn metrics(&self) -> impl Iterator<Item = Metric> + use<> {
        let refreshes = |outcome, value| Metric {
            name: REFRESHES,
            unit: "{refresh}",
            description: "Refreshes, by what came of them.",
            attributes: outcome,
            value,
        };
        let guards = |guard, value| Metric {
            name: GUARDS,
            unit: "{trip}",
            description: "Refusals to protect the token endpoint or the process, and queues that stopped waiting, by the guard.",
            attributes: guard,
            value,
        };
        let plain =
            |name, unit, description, value| Metric { name, unit, description, attributes: &[], value };
        [
            refreshes(&[("auth.refresh.outcome", "refreshed")], self.refreshed),
            refreshes(&[("auth.refresh.outcome", "adopted")], self.adopted),
            refreshes(&[("auth.refresh.outcome", "failed")], self.failed),
            refreshes(&[("auth.refresh.outcome", "refused")], self.refused),
            refreshes(&[("auth.refresh.outcome", "overtaken")], self.overtaken),
            plain(
                "auth.client.refresh.joins",
                "{request}",
                "Requests that joined a refresh which another had started.",
                self.joined,
            ),
            plain(
                "auth.client.late_rejections",
                "{request}",
                "Rejections of a token that had been replaced by then.",
                self.late,
            ),
            plain("auth.client.replays", "{request}", "Requests that were sent again.", self.replayed),
            guards(&[("auth.guard.name", "excessive_refresh")], self.excessive),
            guards(&[("auth.guard.name", "cooldown")], self.cooled),
            guards(&[("auth.guard.name", "queue_full")], self.queue_full),
            guards(&[("auth.guard.name", "reentrant")], self.reentrant),
            guards(&[("auth.guard.name", "patience")], self.opened),
            plain("auth.client.session.ends", "{session}", "Sessions that ended.", self.ended),
            plain(
                "auth.client.store.failures",
                "{write}",
                "Writes of the store that failed.",
                self.save_failed,
            ),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: Counters = Counters {
        refreshed: 1,
        adopted: 2,
        failed: 3,
        refused: 4,
        overtaken: 5,
        joined: 6,
        late: 7,
        replayed: 8,
        excessive: 9,
        cooled: 10,
        queue_full: 11,
        reentrant: 12,
        opened: 13,
        ended: 14,
        save_failed: 15,
    };

    #[test]
    fn sums_of_sessions_are_added_field_by_field() {
        let mut sum = EACH;
        sum.add(&EACH);
        sum.add(&EACH);

        let values: Vec<u64> = sum.metrics().map(|metric| metric.value).collect();
        assert_eq!(values, (1..=15).map(|value| 3 * value).collect::<Vec<u64>>());
    }

    #[test]
    fn every_counter_is_exported_once_under_a_name_of_its_own() {
        let metrics: Vec<Metric> = EACH.metrics().collect();

        let values: Vec<u64> = metrics.iter().map(|metric| metric.value).collect();
        assert_eq!(values, (1..=15).collect::<Vec<u64>>());
        for (at, metric) in metrics.iter().enumerate() {
            let same = |other: &&Metric| other.name == metric.name && other.attributes == metric.attributes;
            assert_eq!(metrics.iter().filter(same).count(), 1, "{at}");
            assert!(metric.unit.starts_with('{') && metric.unit.ends_with('}'));
            assert!(metric.name.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_'));
            let (namespace, _) = metric.name.rsplit_once('.').unwrap();
            assert!(!namespace.split('.').any(|part| part.ends_with('s')), "a namespace is singular");
        }
    }
}
