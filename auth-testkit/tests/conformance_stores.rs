//! The suite for token stores: the stores of this framework pass, and a store with a flaw fails the clause about it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod flawed_store;
mod quotes;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::Duration;

use auth_core::{MemoryStore, StoreError, StoreGuard, TokenStore, Tokens, async_trait};
use auth_testkit::conformance::{Report, TokenStoreSuite, token_store};
use auth_testkit::{Op, ScriptedStore};
use tokio::runtime::{Builder, Handle, Runtime};

use flawed_store::{Flaw, Flawed, Place};

fn suite(flaw: Flaw) -> TokenStoreSuite<Place, Flawed> {
    TokenStoreSuite::new(move || Place::new(flaw), Place::open)
        .shared()
        .debug()
        .steal(|place| {
            place.steal();
            async {}
        })
        .failing(|place| {
            place.fail();
            async {}
        })
        .garbled(|place| {
            place.garble();
            async {}
        })
}

/// Fails the clause, and says which promise was broken and how.
#[track_caller]
fn caught(flaw: Flaw, clause: &str, seen: &str) {
    // What a flawed store does not do, it does not do for any length of time.
    says(&suite(flaw).only([clause]).deadline(Duration::from_secs(2)).run(), clause, seen);
}

#[track_caller]
fn says(report: &Report, clause: &str, seen: &str) {
    let promise = TokenStoreSuite::clauses().find(|(name, _)| *name == clause).expect("the clause exists").1;
    let text = report.to_string();
    assert!(!report.is_ok(), "{clause} lets it pass");
    assert!(text.contains(&format!("token store: {promise:?}: {clause}: ")), "{text}");
    assert!(text.contains(seen), "{text}");
}

/// A test for each flaw, and the clauses that they are about.
macro_rules! flaws {
    ($($test:ident: $flaw:expr => $($clause:literal: $seen:literal),+;)*) => {
        $(
            #[test]
            fn $test() {
                $(caught($flaw, $clause, $seen);)+
            }
        )*

        const CAUGHT: &[&str] = &[$($($clause),+),*];
    };
}

flaws! {
    a_store_that_fails_where_it_is_empty:
        Flaw::Loads(|found| found.map(Some).ok_or_else(|| StoreError::new("no entry")))
        => "empty": "a load failed";
    a_store_that_drops_a_lifetime:
        Flaw::Saves(|new| new.expires_in_ms = None)
        => "whole": "with everything the expires_in_ms is another: 3600000 was saved, none is there";
    a_store_that_makes_something_of_nothing:
        Flaw::Saves(|new| new.scope = new.scope.take().or_else(|| Some(String::new())))
        => "whole": "of an access token the scope is another: none was saved, \"\" is there";
    a_store_that_drops_the_sign_in_id:
        Flaw::Saves(|new| new.sign_in_id = None)
        => "sign_in_id": "the sign_in_id is another";
    a_store_that_leaves_what_looks_the_same:
        Flaw::TakesSameSecretsForTheSame
        => "sign_in_id": "the sign_in_id is another";
    a_store_that_rounds_times:
        Flaw::Saves(|new| new.expires_at_ms = new.expires_at_ms.map(|at| at / 1000 * 1000))
        => "times": "1767225599999 was saved, 1767225599000 is there";
    a_store_that_refuses_long_tokens:
        Flaw::RefusesLongTokens
        => "long": "too long";
    a_store_that_truncates:
        Flaw::Saves(|new| new.refresh_token.iter_mut().for_each(|token| token.truncate(4096)))
        => "long": "of texts of 32768 bytes the refresh_token is another: one of 32768 bytes was saved, one of 4096";
    a_store_that_trims:
        Flaw::Saves(|new| new.refresh_token = new.refresh_token.take().map(|token| token.trim().to_owned()))
        => "characters": "the refresh_token is another";
    a_store_that_is_ascii:
        Flaw::Saves(|new| new.scope = new.scope.take().map(|text| text.replace(|c: char| !c.is_ascii(), "?")))
        => "characters": "the scope is another";
    a_store_that_keeps_the_old_refresh_token:
        Flaw::KeepsTheOldRefreshToken
        => "replaces": "a pair without its refresh_token has replaced one with everything the refresh_token is";
    a_store_whose_clear_does_nothing:
        Flaw::ClearDoesNothing
        => "clears": "after a clear something is there";
    a_store_that_clears_its_own_copy:
        Flaw::ClearsItsCopyOnly
        => "clears": "in a store that is opened after a clear something is there",
           "reopened": "when the one that cleared is gone something is there";
    a_store_that_refuses_to_clear_nothing:
        Flaw::RefusesToClearNothing
        => "clears_nothing": "a clear failed";
    a_store_that_reorders:
        Flaw::WritesBehindInTheWrongOrder
        => "in_order": "after two saves the access_token is another: number 1 was saved, number 0 is there";
    a_store_whose_dropped_load_takes_the_content_along:
        Flaw::TakesOutToRead
        => "dropped_load": "after a load that was dropped after 1 polls nothing is there";
    a_store_whose_dropped_save_leaves_half:
        Flaw::SavesByHalves
        => "dropped_save": "it is neither the old content nor the new one: the refresh_token is another";
    a_store_whose_dropped_save_leaves_nothing:
        Flaw::ClearsBeforeItSaves
        => "dropped_save": "it is neither the old content nor the new one: nothing is there";
    a_store_that_is_of_no_use_after_a_dropped_save:
        Flaw::LosesItsConnectionWhenDropped
        => "dropped_save": "the connection was lost",
           "dropped_guarded": "the connection was lost";
    a_store_whose_dropped_clear_leaves_half:
        Flaw::ClearsByHalves
        => "dropped_clear": "it is neither the old content nor the new one: the refresh_token is another";
    a_store_whose_dropped_save_comes_late:
        Flaw::FinishesDroppedSavesLate
        => "overtaking": "after a save that followed a dropped one";
    a_store_whose_dropped_clear_comes_late:
        Flaw::FinishesDroppedClearsLate
        => "overtaking": "after a save that followed a dropped clear nothing is there";
    a_store_that_locks_now_and_then:
        Flaw::LocksOnlyOnce
        => "always": "a lock is `None` at one time and a guard at another";
    a_store_that_reads_once:
        Flaw::ReadsOnce
        => "others_see": "after a save by another session the access_token is another",
           "whole_loads": "a load sees save 0, and ";
    a_store_whose_saves_are_seen_by_halves:
        Flaw::SavesByHalves
        => "whole_loads": "during a save the refresh_token is another";
    a_store_whose_saves_share_a_temporary_file:
        Flaw::OneTemporaryName
        => "whole_saves": "during a save the";
    a_store_whose_lock_excludes_nobody:
        Flaw::NoExclusion
        => "excludes_others": "another session has the lock too",
           "excludes_itself": "another call of the same store's lock has the lock too";
    a_store_whose_lock_is_its_handles_own:
        Flaw::ExcludesByHandle
        => "excludes_others": "another session has the lock too";
    a_store_whose_handle_gets_its_lock_twice:
        Flaw::Reentrant
        => "excludes_itself": "another call of the same store's lock has the lock too";
    a_store_that_looks_before_it_locks:
        Flaw::LooksBeforeItLocks
        => "one_at_a_time": "two sessions have the lock at a time";
    a_store_that_does_not_wait_for_its_lock:
        Flaw::TriesToLock
        => "excludes_others": "it is locked";
    a_store_whose_calls_wait_for_the_lock:
        Flaw::CallsWaitForTheLock
        => "unlocked_calls": "it is still waiting for a load";
    a_store_whose_calls_fail_while_it_is_locked:
        Flaw::CallsFailWhileLocked
        => "unlocked_calls": "it is locked";
    a_guard_whose_release_does_nothing:
        Flaw::KeepsReleased
        => "released": "it is still waiting for the lock";
    a_release_that_wakes_nobody:
        Flaw::NeverWakes
        => "wakes": "it is still waiting for a released lock to wake one that waits";
    a_release_that_wakes_who_waited_first:
        Flaw::WakesTheFirstTask
        => "moved_wait": "it is still waiting for a released lock to wake the task that polled last";
    a_guard_whose_drop_does_nothing:
        Flaw::KeepsDropped
        => "dropped_guard": "it is still waiting for the lock of a guard that was dropped";
    a_guard_whose_drop_wakes_nobody:
        Flaw::WakesNobodyWhenDropped
        => "dropped_guard": "a guard that was dropped to wake one that waits for the lock";
    a_lock_that_stays_with_a_wait_that_was_dropped:
        Flaw::StaysLockedWhenDroppedEarly
        => "dropped_wait": "the lock, after a wait that was dropped after 1 polls";
    a_line_with_a_place_for_one_who_is_gone:
        Flaw::KeepsAPlaceForTheGone
        => "dropped_wait": "which was released after a wait for it was dropped";
    a_lock_that_is_lost_on_its_way:
        Flaw::LosesWhatItHandsOver
        => "dropped_wait": "the lock behind a wait that was dropped when its turn had come";
    a_guard_that_writes_when_it_is_released:
        Flaw::GuardCommitsWhenReleased
        => "guarded": "after a guard's save the access_token is another";
    a_guard_that_reads_once:
        Flaw::GuardReadsOnce
        => "guarded": "in a guard, after a save of another session";
    a_guard_whose_clear_does_nothing:
        Flaw::GuardClearsNothing
        => "guarded": "in a guard, after its clear something is there";
    a_guard_that_drops_the_sign_in_id:
        Flaw::GuardSaves(|new| new.sign_in_id = None)
        => "guarded_whole": "in a guard, after its save the sign_in_id is another";
    a_guard_that_loses_the_lock_with_a_dropped_call:
        Flaw::GuardLosesTheLockWhenDroppedFrom
        => "dropped_guarded": "conflict: true";
    a_guard_that_writes_without_the_lock:
        Flaw::WritesWithoutTheLock
        => "lost_writes": "after a save of a guard that has lost the lock the access_token is another";
    a_guard_that_clears_without_the_lock:
        Flaw::ClearsWithoutTheLock
        => "lost_writes": "after a clear of a guard that has lost the lock nothing is there";
    a_guard_that_writes_and_says_conflict:
        Flaw::WritesAndSaysConflict
        => "lost_writes": "after a save of a guard that has lost the lock the access_token is another";
    a_guard_that_does_not_say_conflict:
        Flaw::SaysOnlyError
        => "lost_writes": "a save of a guard that has lost the lock is no conflict";
    a_guard_that_releases_what_is_not_its_own:
        Flaw::ReleasesForOthers
        => "lost_release": "one session, after a guard that had lost the lock was released, has the lock too";
    a_dropped_guard_that_releases_what_is_not_its_own:
        Flaw::DropsForOthers
        => "lost_release": "one session, after a guard that had lost the lock was dropped, has the lock too";
    a_store_that_shows_its_token:
        Flaw::ShowsEverything
        => "debug": "the store's `Debug` shows a token after a save";
    a_store_whose_failed_save_leaves_nothing:
        Flaw::DeletesBeforeItFails
        => "failed_save": "it is neither the old content nor the new one: nothing is there";
    an_error_with_a_token:
        Flaw::FailsWithTheToken
        => "failed_texts": "the error of a guard's save quotes a token";
    an_error_with_the_bytes_of_a_token:
        Flaw::FailsWithTheBytes
        => "failed_texts": "the error of a guard's save quotes a token";
    a_store_that_takes_garbage_for_nothing:
        Flaw::TakesGarbageForNothing
        => "garbled": "a load takes what cannot be read for nothing";
    a_store_that_quotes_garbage:
        Flaw::QuotesGarbage
        => "garbled": "the error of a load quotes a token";
}

/// What is caught above is what is flawed.
#[test]
fn what_has_no_flaw_passes() {
    let report = suite(Flaw::None).run();

    report.assert();
    let all: Vec<_> = TokenStoreSuite::clauses().map(|(name, _)| name).collect();
    assert_eq!(report.passed, all);
}

#[test]
fn there_is_a_flawed_store_for_every_clause() {
    let all: BTreeSet<_> = TokenStoreSuite::clauses().map(|(name, _)| name).collect();
    let caught: BTreeSet<_> = CAUGHT.iter().copied().collect();

    assert_eq!(all, caught);
}

#[test]
fn every_clause_quotes_the_documentation() {
    quotes::assert_quoted(include_str!("../../auth-core/src/store.rs"), TokenStoreSuite::clauses());
}

#[test]
fn the_store_in_memory_passes() {
    let report = TokenStoreSuite::new(MemoryStore::new, MemoryStore::clone).shared().debug().run();

    report.assert();
    let skipped = report.skipped.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    // Its lock cannot be lost, nor can its calls fail.
    assert_eq!(skipped, ["lost_writes", "lost_release", "failed_save", "failed_texts", "garbled"]);
}

#[test]
fn the_scripted_store_passes_with_a_lock() {
    let make = || {
        let (store, handle) = ScriptedStore::new();
        handle.lockable();
        (store, handle)
    };
    let report = TokenStoreSuite::new(make, |(store, _)| store.clone())
        .shared()
        .debug()
        .steal(|(_, handle)| {
            handle.lose_lock();
            async {}
        })
        .failing(|(_, handle)| {
            handle.fail_always(Op::Save, true);
            async {}
        })
        .run();

    report.assert();
    assert_eq!(report.skipped.len(), 1, "{report}");
}

#[test]
fn the_scripted_store_passes_without_a_lock() {
    let report = TokenStoreSuite::new(ScriptedStore::new, |(store, _)| store.clone()).run();

    report.assert();
    let text = report.to_string();
    assert!(
        text.contains("skipped, there is no lock: one session owns it: others_see, whole_loads"),
        "{text}"
    );
    assert!(text.contains("skipped, without `debug`: debug"), "{text}");
    assert_eq!(report.passed.len(), 16);
}

/// Of a store that everybody shares in an `Arc`, and of one that nobody knows the type of.
#[test]
fn pointers_to_stores_pass() {
    token_store(|| Arc::new(MemoryStore::new()), Arc::clone);
    token_store(MemoryStore::new, |store| Box::new(store.clone()) as Box<dyn TokenStore>);
    token_store(MemoryStore::new, |store| Arc::new(store.clone()) as Arc<dyn TokenStore>);
}

#[test]
fn a_store_that_forgets() {
    let suite = TokenStoreSuite::new(|| (), |()| MemoryStore::new());

    says(
        &suite.only(["reopened"]).run(),
        "reopened",
        "in a store that is opened after a save nothing is there",
    );
}

#[test]
fn a_store_whose_content_goes_with_its_last_handle() {
    let open = |place: &Mutex<Weak<MemoryStore>>| {
        let mut place = place.lock().unwrap();
        let store = place.upgrade().unwrap_or_default();
        *place = Arc::downgrade(&store);
        store
    };

    let report = TokenStoreSuite::new(Mutex::default, open).only(["reopened"]).run();

    says(&report, "reopened", "in a store that is opened when the one that saved is gone nothing is there");
}

#[test]
fn a_shared_store_without_a_lock() {
    let report = suite(Flaw::LocksNotAtAll).run();

    assert!(report.skipped.is_empty(), "{report}");
    says(&report, "one_at_a_time", "there is no lock");
}

/// What works in tokio's reach only.
struct NeedsTokio(MemoryStore);

#[async_trait]
impl TokenStore for NeedsTokio {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        let _reach = Handle::current();
        self.0.load().await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        let _reach = Handle::current();
        self.0.save(tokens).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        let _reach = Handle::current();
        self.0.clear().await
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        let _reach = Handle::current();
        self.0.lock().await
    }
}

#[test]
fn a_store_finds_its_runtime_where_it_is_opened_and_where_it_is_called() {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).build().unwrap());
    let suite = || {
        TokenStoreSuite::connecting(MemoryStore::new, |store| {
            let store = store.clone();
            async { tokio::spawn(async move { NeedsTokio(store) }).await.unwrap() }
        })
        .shared()
    };

    suite().block_on(|clause| RUNTIME.block_on(clause)).run().assert();

    says(&suite().only(["empty"]).run(), "empty", "it panicked: there is no reactor running");
}

#[test]
fn a_store_that_panics_fails_every_clause() {
    struct Panicking;
    #[async_trait]
    impl TokenStore for Panicking {
        async fn load(&self) -> Result<Option<Tokens>, StoreError> {
            panic!("on purpose")
        }
        async fn save(&self, _: &Tokens) -> Result<(), StoreError> {
            panic!("on purpose")
        }
        async fn clear(&self) -> Result<(), StoreError> {
            panic!("on purpose")
        }
    }

    let report = TokenStoreSuite::new(|| (), |()| Panicking).run();

    assert!(report.passed.is_empty(), "{report}");
    assert_eq!(report.failed.len(), 16);
    assert!(report.failed.iter().all(|failure| failure.seen == "it panicked: on purpose"), "{report}");
}

#[test]
#[should_panic(expected = "after a clear something is there")]
fn the_one_line_form_panics_with_what_was_seen() {
    token_store(|| Place::new(Flaw::ClearDoesNothing), Place::open);
}

#[test]
fn a_gap_is_reported_and_not_tried() {
    let report =
        suite(Flaw::RefusesLongTokens).only(["empty", "long"]).gap("long", "the column is short").run();

    report.assert();
    assert_eq!(report.passed, ["empty"]);
    assert!(report.to_string().contains("long: not tried: the column is short"), "{report}");
}

#[test]
#[should_panic(expected = "the suite has no clause \"hole\"")]
fn only_a_clause_that_there_is_can_be_chosen() {
    let _ = suite(Flaw::None).only(["hole"]).run();
}
