//! Token endpoint answers.
