//! Marks: what requests and responses carry in their extensions.

use crate::FlightId;

/// On a request: it carries no lease, and its 401 is its own.
///
/// ```
/// use auth_core::{Anonymous, Body};
///
/// let request = http::Request::get("/public/motd").extension(Anonymous).body(Body::empty())?;
/// # let _ = request;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anonymous;

/// On a request: where its lease is rejected, refresh, but hand back the 401 at once: whether it is made again is for the
/// caller to say. (A send with a nonce that the server asked for, RFC 9449 §8, is no replay.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoReplay;

/// On each attempt that the client hands to its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which attempt of its request: from 1.
    pub number: u8,
    /// Its place in the queue it waited in, if it waited in one: from 0.
    pub ticket: Option<u64>,
    /// The flight of that queue.
    pub flight: Option<FlightId>,
}

/// On a 401 that is handed back although the token is being refreshed: the request was not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotReplayed(pub NotReplayedReason);

/// Why a request was not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReplayedReason {
    /// Its body was a one-shot stream. [`Body::replayable`](crate::Body::replayable) can be had again.
    Body,
    /// It asked not to be ([`NoReplay`]).
    Asked,
}

/// On the response to a request whose origin was not named when the client was built: it went out without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAttached;

/// On the response to a replay: the refresh gave the same access token as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unchanged;
