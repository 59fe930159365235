//! Failures, and the end of a session.
