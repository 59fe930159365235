//! Sessions in trouble on every schedule.
