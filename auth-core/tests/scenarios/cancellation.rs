//! Cancellation, timeouts and panics: whatever is dropped or never answers, nobody hangs.
