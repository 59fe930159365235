//! Persistence: what the store holds, and other processes that share it.
