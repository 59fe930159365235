//! Laws: what holds of any input. Each file is compiled into a fuzz target as well, and stands alone.

pub mod challenges;
pub mod origin;
pub mod stored_tokens;
pub mod token_response;
