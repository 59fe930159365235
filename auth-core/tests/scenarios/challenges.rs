//! Challenges: which responses are about the token.
