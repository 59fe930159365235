//! Rules: the numbers that the plan's sessions go by, where it names none those of a session's defaults.

use std::time::Duration;

use super::SessionPlan;

impl SessionPlan {
    pub(in crate::simulation) fn soft_window(&self) -> Duration {
        Duration::from_secs(self.soft_window_s.unwrap_or(300))
    }

    pub(in crate::simulation) fn margin(&self) -> Duration {
        Duration::from_secs(self.margin_s.unwrap_or(5))
    }

    pub(in crate::simulation) fn cooldown(&self) -> Duration {
        Duration::from_millis(self.cooldown_ms.unwrap_or(1_000))
    }

    pub(in crate::simulation) fn longest_cooldown(&self) -> Duration {
        self.cooldown() * 60
    }

    pub(in crate::simulation) fn longest_retry_after(&self) -> Duration {
        Duration::from_secs(self.longest_retry_after_s.unwrap_or(300))
    }

    pub(in crate::simulation) fn most_rejections(&self) -> usize {
        usize::from(self.max_rejections.unwrap_or(5))
    }

    /// Whether the store has a lock.
    pub(in crate::simulation) fn is_shared(&self) -> bool {
        self.shared || self.processes > 1
    }
}
