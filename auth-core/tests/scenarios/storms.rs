//! Storms and cooldowns.
