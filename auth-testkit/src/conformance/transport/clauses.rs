//! The clauses: their names, what the documentation of the trait says, and what tries it.

use super::world::World;
use super::{connections, errors, fidelity, giving_up, once, redirects, streaming};
use crate::conformance::clause::{Clause, clause};

pub(super) type TransportClause = Clause<World, Asks>;

/// What kind of transport a clause is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    Impatient,
    Following,
}

const CONCURRENCY: &str = "Concurrency. Any number of calls may be under way at a time.";
const ONCE: &str = "Once. A request is put on the wire at most once.";
const FIDELITY: &str =
    "Fidelity. Method, URI, headers and body go out as they are, and come back as they came.";
const ADDED: &str = "Headers that the transport adds never replace those of the request.";
const EVERY: &str = "every response is an Ok, a 401 like a 200";
const HEAD: &str = "A response is returned when its head is there; its body comes as it arrives.";
const PRODUCED: &str = "A request's body is sent as it is produced.";
const REDIRECTS: &str = "Redirects. None is followed unless the user asked for it.";
const FINAL_URI: &str =
    "The response carries FinalUri in its extensions; credentials never go to another origin.";
const ABANDONS: &str = "Deadlines are the caller's: dropping the future abandons the request.";
const GIVES_UP: &str = "Dropping the future gives up the request and everything it holds.";
const CONNECTIONS: &str = "Connections. One whose response was read to its end is used again.";
const EXECUTORS: &str = "Executors. Its futures are polled by any executor, and from any thread.";
const ERRORS: &str = "It says whether the connection could not be made (connect), whether time ran out, and whether \
                      the request may have been acted on (maybe_sent).";
const OWN_BODY: &str = "Whether it was the request's own body that failed";

pub(super) const CLAUSES: &[TransportClause] = &[
    clause!(FIDELITY, fidelity::methods),
    clause!(FIDELITY, fidelity::uri),
    clause!(FIDELITY, fidelity::request_headers),
    clause!(FIDELITY, fidelity::header_bytes),
    clause!(ADDED, fidelity::added_headers),
    clause!(FIDELITY, fidelity::response_headers),
    clause!(FIDELITY, fidelity::no_body),
    clause!(FIDELITY, fidelity::bodies_up),
    clause!(FIDELITY, fidelity::bodies_down),
    clause!(EVERY, fidelity::every_status),
    clause!(HEAD, streaming::head_first),
    clause!(HEAD, streaming::chunks_down),
    clause!(PRODUCED, streaming::chunks_up),
    clause!(PRODUCED, streaming::both_ways),
    clause!(REDIRECTS, redirects::redirects),
    clause!(FINAL_URI, redirects::final_uri),
    clause!(FINAL_URI, redirects::followed, Asks::Following),
    clause!(FINAL_URI, redirects::followed_elsewhere, Asks::Following),
    clause!(ONCE, once::once_unsafe),
    clause!(ONCE, once::once_safe),
    clause!(CONNECTIONS, connections::used_again),
    clause!(CONCURRENCY, connections::many),
    clause!(EXECUTORS, connections::executors),
    clause!(ABANDONS, giving_up::abandons_sending),
    clause!(ABANDONS, giving_up::abandons_waiting),
    clause!(GIVES_UP, giving_up::releases_the_body),
    clause!(GIVES_UP, giving_up::drops_a_silent_response),
    clause!(GIVES_UP, giving_up::drops_a_response),
    clause!(ERRORS, errors::refused),
    clause!(ERRORS, errors::lost),
    clause!(ERRORS, errors::timeout, Asks::Impatient),
    clause!(OWN_BODY, errors::own_body),
    clause!(OWN_BODY, errors::told_length),
    clause!(FIDELITY, errors::truncated),
];
