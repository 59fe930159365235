//! Secrets and origins: where a token may go, and in which texts it never is.
