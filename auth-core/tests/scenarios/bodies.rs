//! Replay and bodies: what is sent again, byte for byte, and what cannot be.
