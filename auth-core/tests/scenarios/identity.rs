//! Sign-in, sign-out and identity: no request goes out as somebody else.
