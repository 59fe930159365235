//! The clauses: their names, what the documentation of the trait says, and what tries it.

use super::world::World;
use super::{changes, content, giving_up, guards, locking, secrets, sharing, waiting};
use crate::conformance::clause::{Clause, clause};

pub(super) type StoreClause = Clause<World, Asks>;

/// What a clause is about that not every store has, or that the suite has to be given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    /// A store that several sessions share.
    Lock,
    Debug,
    /// And a lock.
    Steal,
    Failing,
    Garbled,
}

const EMPTY: &str = "An empty store is Ok(None).";
const FIDELITY: &str =
    "Fidelity. What is loaded equals what was saved, the sign-in id included: store StoredTokens whole.";
const TIMES: &str = "Times are kept to the millisecond";
const TEXTS: &str = "texts to the character, up to 32 KiB each";
const ATOMICITY: &str =
    "Atomicity. A pair is one unit: a load sees the whole of one save, never parts of two, whatever crashes.";
const REMOVES: &str = "Removes what is stored.";
const CLEARING: &str = "Clearing an empty store is no error.";
const ORDERING: &str =
    "Ordering. A load that begins after a save or a clear has returned sees that change, or a later one";
const WHOEVER: &str = "whichever session made it";
const DURABILITY: &str =
    "Durability. When save or clear returns Ok, the change survives what the store promises to survive.";
const FAILED: &str = "When it returns an error, the store holds the old content or the new one.";
const UNREADABLE: &str = "Content that cannot be read is an error, never None";
const SECRET: &str = "Nothing of them is in errors or in Debug.";
const DROPPED: &str = "The store then holds the old content or the new one, and goes on working.";
const OVERTAKES: &str = "A write that was dropped never overtakes a later one.";
const ALWAYS: &str = "Only a store that one session owns needs none, and returns None always.";
const SESSIONS: &str =
    "Excludes every other session on this store, in this process or another, until the guard is released.";
const NO_WAIT: &str = "dropping the wait leaves nothing locked, and holds up nobody who waits behind";
const UNLOCKED: &str =
    "It excludes locks, not calls: load, save and clear of the store itself do not wait for it.";
const CONTENT: &str =
    "Content. It is the store's: what a guard writes, the store loads, and the other way round.";
const EXCLUSION: &str = "Exclusion. While a guard lives, no other lock on the same store returns.";
const FENCING: &str = "Fencing. A write of a guard whose lock was lost (its lease ran out, its connection died) changes \
                       nothing and fails with StoreError::conflict.";
const LOST: &str = "Releasing it takes nothing from whoever has the lock by then.";
const RELEASE: &str = "Release. After release has returned another lock can be had";
const WAITING: &str = "also by one that has been waiting";
const DROPPING: &str = "Dropping a guard releases it as soon as it can";
const USABLE: &str = "A call that failed or was dropped leaves the lock held and the guard usable.";

pub(super) const CLAUSES: &[StoreClause] = &[
    clause!(EMPTY, content::empty),
    clause!(FIDELITY, content::whole),
    clause!(FIDELITY, content::sign_in_id),
    clause!(TIMES, content::times),
    clause!(TEXTS, content::long),
    clause!(TEXTS, content::characters),
    clause!(ATOMICITY, changes::replaces),
    clause!(REMOVES, changes::clears),
    clause!(CLEARING, changes::clears_nothing),
    clause!(ORDERING, changes::in_order),
    clause!(DURABILITY, changes::reopened),
    clause!(DROPPED, giving_up::dropped_load),
    clause!(DROPPED, giving_up::dropped_save),
    clause!(DROPPED, giving_up::dropped_clear),
    clause!(OVERTAKES, giving_up::overtaking),
    clause!(ALWAYS, locking::always),
    clause!(WHOEVER, sharing::others_see, Asks::Lock),
    clause!(ATOMICITY, sharing::whole_loads, Asks::Lock),
    clause!(ATOMICITY, sharing::whole_saves, Asks::Lock),
    clause!(EXCLUSION, locking::excludes_others, Asks::Lock),
    clause!(EXCLUSION, locking::excludes_itself, Asks::Lock),
    clause!(SESSIONS, locking::one_at_a_time, Asks::Lock),
    clause!(UNLOCKED, locking::unlocked_calls, Asks::Lock),
    clause!(RELEASE, waiting::released, Asks::Lock),
    clause!(WAITING, waiting::wakes, Asks::Lock),
    clause!(WAITING, waiting::moved_wait, Asks::Lock),
    clause!(DROPPING, waiting::dropped_guard, Asks::Lock),
    clause!(NO_WAIT, waiting::dropped_wait, Asks::Lock),
    clause!(CONTENT, guards::guarded, Asks::Lock),
    clause!(FIDELITY, guards::guarded_whole, Asks::Lock),
    clause!(USABLE, guards::dropped_guarded, Asks::Lock),
    clause!(FENCING, guards::lost_writes, Asks::Steal),
    clause!(LOST, guards::lost_release, Asks::Steal),
    clause!(SECRET, secrets::debug, Asks::Debug),
    clause!(FAILED, secrets::failed_save, Asks::Failing),
    clause!(SECRET, secrets::failed_texts, Asks::Failing),
    clause!(UNREADABLE, secrets::garbled, Asks::Garbled),
];
