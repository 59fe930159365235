//! Attaching the token: what goes onto a request, and what does not.
