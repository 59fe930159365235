//! The clauses: their names, what the documentation of the trait says, and what tries it.

use super::world::World;
use super::{acquiring, failures, granted, lost, presenting, revoking, secrets, together};
use crate::conformance::clause::{Clause, clause};

pub(super) type RefresherClause = Clause<World, Asks>;

/// What kind of refresher a clause is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    RefreshToken,
    Acquiring,
    Revoking,
}

const ONCE: &str = "Once. refresh presents the refresh token of current, as it is, and once";
const NO_RETRY: &str = "does not retry";
const NO_MEMORY: &str = "It goes by what it is given, not by an earlier call.";
const ANSWER: &str = "New tokens for the current ones.";
const ROTATION: &str = "Rotation. A refresh token in the answer is returned.";
const OMITTED: &str = "One left out is left out, or is the current one: the session carries it over.";
const LIFETIME: &str = "Lifetime. What the answer says of it is returned, counted from its receipt.";
const REJECTED: &str = "the refresh token is dead (invalid_grant on a 4xx)";
const HONESTY: &str =
    "RefreshError::rejected only if the server said that this refresh token is dead: it ends the session.";
const UNAVAILABLE: &str = "network, timeout, 5xx, 429, not an OAuth answer";
const RETRY_AFTER: &str = "the time the server asks to be left alone for (Retry-After)";
const MISCONFIGURED: &str = "invalid_client, invalid_scope, …";
const NOT_SENT: &str = "Unless the connection could not be made, the request may have been acted on.";
const UNKNOWN: &str = "where the request may have reached the server without an answer coming back, \
                       outcome_unknown as well.";
const UNREADABLE: &str = "So it is with a success that cannot be read.";
const REDIRECTS: &str = "follows no redirect.";
const NO_BEARER: &str = "The refresh request carries no bearer token";
const NO_TOKEN: &str = "Confidentiality. No token in an error, none in a URI.";
const CONCURRENCY: &str = "Concurrency. Calls made for one sign-in never overlap. Those of others do";
const GIVEN_UP: &str = "A call that is dropped leaves the refresher as it was.";
const CAN_REFRESH: &str = "Whether refresh could work. Default: if there is a refresh token.";
const SIGN_IN: &str = "None: somebody has to sign in.";
const ACQUIRE: &str = "First tokens where no sign-in is needed (client credentials).";
const REVOKE: &str =
    "Offered a pair that nobody will use: discarded after a sign-out, or signed out. Best effort.";

pub(super) const CLAUSES: &[RefresherClause] = &[
    clause!(ONCE, presenting::presents, Asks::RefreshToken),
    clause!(ONCE, presenting::any_characters, Asks::RefreshToken),
    clause!(NO_MEMORY, presenting::remembers_nothing, Asks::RefreshToken),
    clause!(NO_RETRY, presenting::one_request),
    clause!(REDIRECTS, presenting::redirects),
    clause!(NO_BEARER, presenting::no_bearer),
    clause!(NO_TOKEN, presenting::not_in_the_uri),
    clause!(ANSWER, granted::new_access_token),
    clause!(ROTATION, granted::new_refresh_token, Asks::RefreshToken),
    clause!(OMITTED, granted::no_new_refresh_token, Asks::RefreshToken),
    clause!(LIFETIME, granted::lifetime),
    clause!(REJECTED, failures::rejected, Asks::RefreshToken),
    clause!(HONESTY, failures::rejected_on_5xx),
    clause!(UNAVAILABLE, failures::unavailable),
    clause!(UNAVAILABLE, failures::not_oauth),
    clause!(RETRY_AFTER, failures::retry_after),
    clause!(MISCONFIGURED, failures::misconfigured),
    clause!(NOT_SENT, lost::refused),
    clause!(UNKNOWN, lost::lost),
    clause!(UNKNOWN, lost::gateways),
    clause!(UNREADABLE, lost::unreadable),
    clause!(NO_TOKEN, secrets::secrets),
    clause!(CONCURRENCY, together::concurrent),
    clause!(GIVEN_UP, together::given_up),
    clause!(CAN_REFRESH, presenting::can_refresh, Asks::RefreshToken),
    clause!(SIGN_IN, acquiring::sign_in_needed, Asks::RefreshToken),
    clause!(ACQUIRE, acquiring::acquires, Asks::Acquiring),
    clause!(ACQUIRE, acquiring::acquire_failures, Asks::Acquiring),
    clause!(CAN_REFRESH, acquiring::needs_no_refresh_token, Asks::Acquiring),
    clause!(REVOKE, revoking::revokes_in_vain),
    clause!(REVOKE, revoking::revokes, Asks::Revoking),
];
