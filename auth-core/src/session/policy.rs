//! Policy: every number a session goes by, with its unit, its default and the reason for it.

use std::time::Duration;

use crate::planted::Planted;
use crate::sync::{AtomicU64, Ordering};

/// What a session does where the new pair cannot be saved after a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PersistFailure {
    /// Go on from memory, tell the listener, save again before the next refresh. The user notices nothing unless the
    /// process ends before that.
    #[default]
    Continue,
    /// Fail the flight's waiters with [`ErrorKind::Store`](crate::ErrorKind::Store), and save again before the next
    /// refresh. For programs that would rather stop than run on tokens that a restart loses.
    Fail,
}

/// Whether requests that waited for one refresh start again in the order in which they joined it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayOrder {
    /// One after the other, in that order.
    #[default]
    Fifo,
    /// All at once, in no order. For programs that run thousands of requests over many threads and do not care.
    Unordered,
}

/// A session's numbers. All times are durations of the runtime's monotonic clock.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// One flight from its start to the refresher's answer, its retries included. 30 s: what a user waits for a page.
    pub(crate) flight: Duration,
    /// One call of the refresher. 15 s: half of the above, so that an answer that was lost can be asked for again.
    pub(crate) attempt: Duration,
    /// One call of the store. 5 s: a disk or a cache that takes longer is down.
    pub(crate) store_call: Duration,
    /// Waiting for the store's lock. 10 s: less than a flight, so that what another process made can still be adopted.
    pub(crate) store_lock: Duration,
    /// The pauses before the second and the third call of one flight. Short: a single 503 is noticed by nobody.
    pub(crate) pauses: [Duration; 2],
    /// After a failed flight none is started for this long: 1 s, doubled for each failure in a row, to at most 60 s.
    pub(crate) cooldown: Duration,
    pub(crate) longest_cooldown: Duration,
    /// How much of a cooldown is chance, so that a fleet does not come back at once: a fifth either way.
    pub(crate) cooldown_jitter: f64,
    /// `Retry-After` is honoured to this: 5 min. A server cannot shut a client out for a day by a typing error.
    pub(crate) longest_retry_after: Duration,
    /// So many tokens rejected as soon as they were issued within `window` mean that a refresh does not help: 5 in 30 s.
    /// `None` switches the limit off.
    pub(crate) rejections: Option<usize>,
    pub(crate) window: Duration,
    /// The last part of a lifetime, in which a token is refreshed in the background while it is still served: a fifth, at
    /// most 5 min. Zero switches it off.
    pub(crate) soft_fraction: f64,
    pub(crate) longest_soft: Duration,
    /// How much of the soft window is chance, different for each session: a tenth.
    pub(crate) soft_jitter: f64,
    /// A token counts as expired this much early: 5 s, at most a tenth of its lifetime. It has to survive the way.
    pub(crate) early: Duration,
    pub(crate) early_fraction: f64,
    /// Whether a timer starts the background refresh, where nobody asks for the token.
    pub(crate) ahead: bool,
    /// How long one unpolled request may hold up the others of its queue: 500 ms, in total.
    pub(crate) patience: Duration,
    /// How many requests may wait for one flight: 65,536.
    pub(crate) max_waiters: usize,
    pub(crate) persist_failure: PersistFailure,
    pub(crate) replay_order: ReplayOrder,
    /// Nothing, outside of tests of tests.
    pub(crate) planted: Planted,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            flight: Duration::from_secs(30),
            attempt: Duration::from_secs(15),
            store_call: Duration::from_secs(5),
            store_lock: Duration::from_secs(10),
            pauses: [Duration::from_millis(250), Duration::from_secs(1)],
            cooldown: Duration::from_secs(1),
            longest_cooldown: Duration::from_secs(60),
            cooldown_jitter: 0.2,
            longest_retry_after: Duration::from_secs(5 * 60),
            rejections: Some(5),
            window: Duration::from_secs(30),
            soft_fraction: 0.2,
            longest_soft: Duration::from_secs(5 * 60),
            soft_jitter: 0.1,
            early: Duration::from_secs(5),
            early_fraction: 0.1,
            ahead: false,
            patience: Duration::from_millis(500),
            max_waiters: 65_536,
            persist_failure: PersistFailure::default(),
            replay_order: ReplayOrder::default(),
            planted: Planted::default(),
        }
    }
}

impl Policy {
    /// How long a save may take, with the lock it may have to wait for and its second try. A flight past its deadline by
    /// this much is taken for dead.
    pub(crate) fn save(&self) -> Duration {
        self.store_lock + self.store_call * 3
    }

    /// How long before its end a token of this lifetime counts as expired.
    pub(crate) fn early_for(&self, lifetime: Duration) -> Duration {
        self.early.min(lifetime.mul_f64(self.early_fraction))
    }

    /// How long before its end a token of this lifetime is refreshed in the background, if it is; `chance` is 0 to 1.
    pub(crate) fn soft_for(&self, lifetime: Duration, chance: f64) -> Option<Duration> {
        let window = self.longest_soft.min(lifetime.mul_f64(self.soft_fraction));
        let window = window.mul_f64(1.0 - self.soft_jitter * chance);
        (window > self.early_for(lifetime)).then_some(window)
    }

    /// How long none is started after this many failures in a row (1 and up); `chance` is 0 to 1.
    pub(crate) fn cooldown_after(
        &self,
        failures: u32,
        retry_after: Option<Duration>,
        chance: f64,
    ) -> Duration {
        let doubled = self.cooldown.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let jitter = 1.0 + self.cooldown_jitter * (2.0 * chance - 1.0);
        let cooldown = doubled.min(self.longest_cooldown).mul_f64(jitter);
        cooldown.max(retry_after.unwrap_or_default().min(self.longest_retry_after))
    }
}

/// SplitMix64: the next random bits of a counter.
pub(crate) fn split_mix(counter: &AtomicU64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bits = counter.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Random bits as a number from 0 to below 1.
pub(crate) fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_a_fraction_of_a_short_lifetime() {
        let policy = Policy::default();

        assert_eq!(policy.early_for(Duration::from_secs(3600)), Duration::from_secs(5));
        assert_eq!(policy.early_for(Duration::from_secs(10)), Duration::from_secs(1));
        assert_eq!(policy.soft_for(Duration::from_secs(10), 0.0), Some(Duration::from_secs(2)));
        assert_eq!(policy.soft_for(Duration::from_secs(86_400), 0.0), Some(Duration::from_secs(300)));
        assert!(policy.soft_for(Duration::from_secs(10), 0.999) > Some(Duration::from_millis(1800)));
    }

    #[test]
    fn a_soft_window_within_the_hard_margin_is_none() {
        let off = Policy { longest_soft: Duration::ZERO, ..Policy::default() };
        assert_eq!(off.soft_for(Duration::from_secs(3600), 0.0), None);
        let short = Policy { longest_soft: Duration::from_secs(5), ..Policy::default() };
        assert_eq!(short.soft_for(Duration::from_secs(3600), 0.5), None);
        assert_eq!(short.soft_for(Duration::from_secs(3600), 0.0), None, "as long as the margin");
    }

    #[test]
    fn cooldowns_double_to_a_bound() {
        let policy = Policy::default();
        let after = |failures| policy.cooldown_after(failures, None, 0.5);

        assert_eq!(after(1), Duration::from_secs(1));
        assert_eq!(after(2), Duration::from_secs(2));
        assert_eq!(after(7), Duration::from_secs(60));
        assert_eq!(after(u32::MAX), Duration::from_secs(60));
        assert_eq!(policy.cooldown_after(1, Some(Duration::from_secs(7)), 0.5), Duration::from_secs(7));
        assert_eq!(
            policy.cooldown_after(1, Some(Duration::from_secs(86_400)), 0.5),
            Duration::from_secs(300)
        );
    }

    #[test]
    fn chance_moves_a_cooldown_by_a_fifth_either_way() {
        let policy = Policy::default();
        let after = |chance| policy.cooldown_after(1, None, chance);

        assert_eq!(after(0.0), Duration::from_millis(800));
        assert_eq!(after(0.75), Duration::from_millis(1_100));
        assert_eq!(after(1.0), Duration::from_millis(1_200));
    }

    #[test]
    fn random_bits_are_those_of_the_published_algorithm() {
        let counter = AtomicU64::new(1_234_567);
        let published = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];

        assert_eq!(published.map(|_| split_mix(&counter)), published);
    }

    #[test]
    fn chance_stays_below_one() {
        assert!(unit(u64::MAX) < 1.0);
        assert!(unit(0).abs() < f64::EPSILON);
    }
}
