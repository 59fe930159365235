//! The suite of processes, judged by stores that only look right.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_core::{Runtime as _, StandaloneRuntime, StoreError, StoreGuard, TokenStore, Tokens, async_trait};
use auth_stores::FileStore;
use auth_testkit::conformance::{ProcessSuite, Report};

/// A directory of this test's own. What is in it goes with it.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("auth-testkit-{}-{number}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn address(&self) -> String {
        self.0.join("tokens.json").to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What is wrong with a store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// It has no lock.
    NoLock,
    /// Saves under the lock go well and save nothing.
    Forgets,
    /// The lock has ended, and what is written under it is written all the same.
    NoFence,
}

/// A lock that ends by itself, made of a file and of clocks: good enough for one machine that is not busy.
#[derive(Clone)]
struct Leasing {
    store: FileStore,
    lease: Duration,
    flaw: Flaw,
}

struct Lease {
    of: Leasing,
    until: u128,
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

impl Leasing {
    fn file(&self) -> PathBuf {
        self.store.path().with_extension("lease")
    }

    /// When the lock ends that somebody has.
    fn ends(&self) -> u128 {
        fs::read_to_string(self.file()).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// One step, as far as the others are concerned.
    async fn alone(&self) -> Result<Box<dyn StoreGuard>, StoreError> {
        Ok(self.store.lock().await?.expect("a file store has a lock"))
    }
}

#[async_trait]
impl TokenStore for Leasing {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.store.load().await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.store.save(tokens).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.store.clear().await
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        if self.flaw == Flaw::NoLock {
            return Ok(None);
        }
        loop {
            let step = self.alone().await?;
            let free = self.ends() < now();
            let until = now() + self.lease.as_nanos();
            if free {
                fs::write(self.file(), until.to_string()).map_err(StoreError::new)?;
            }
            step.release().await;
            if free {
                return Ok(Some(Box::new(Lease { of: self.clone(), until })));
            }
            StandaloneRuntime::new().sleep(Duration::from_millis(5)).await;
        }
    }
}

#[async_trait]
impl StoreGuard for Lease {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        self.of.load().await
    }

    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        match self.of.flaw {
            Flaw::Forgets => return Ok(()),
            Flaw::NoFence => return self.of.save(tokens).await,
            Flaw::None | Flaw::NoLock => {}
        }
        let mut step = self.of.alone().await?;
        let saved = match self.of.ends() == self.until && now() < self.until {
            true => step.save(tokens).await,
            false => Err(StoreError::conflict()),
        };
        step.release().await;
        saved
    }

    async fn clear(&mut self) -> Result<(), StoreError> {
        self.of.clear().await
    }

    async fn release(self: Box<Self>) {
        if let Ok(step) = self.of.alone().await {
            if self.of.ends() == self.until {
                drop(fs::remove_file(self.of.file()));
            }
            step.release().await;
        }
    }
}

fn judge(test: &str, flaw: Flaw, clauses: &[&str]) -> Report {
    let open = move |opening: auth_testkit::processes::Opening| async move {
        Leasing { store: FileStore::new(opening.address), lease: opening.lease, flaw }
    };
    ProcessSuite::new(test, Dir::new, Dir::address, open)
        .leases()
        .rounds(2)
        .only(clauses.iter().copied())
        .run()
}

#[track_caller]
fn finds_out(report: &Report, seen: &str) {
    let [failure] = &report.failed[..] else { panic!("{report}") };
    assert!(failure.seen.contains(seen), "{failure}");
}

#[test]
fn a_store_that_does_what_it_says_is_let_pass() {
    let clauses = ["one_refresh", "started_again", "stopped_before_it_saves", "killed_with_the_answer"];
    judge("a_store_that_does_what_it_says_is_let_pass", Flaw::None, &clauses).assert();
}

/// Whether the sessions have ended, or have pairs whose family is revoked, depends on who saved when.
#[test]
fn a_store_without_a_lock_is_found_out() {
    let report = judge("a_store_without_a_lock_is_found_out", Flaw::NoLock, &["one_refresh"]);

    finds_out(&report, "requests came to");
}

#[test]
fn a_store_that_forgets_is_found_out() {
    finds_out(&judge("a_store_that_forgets_is_found_out", Flaw::Forgets, &["one_refresh"]), "signed_out");
}

#[test]
fn a_lock_without_a_fence_is_found_out() {
    let report = judge("a_lock_without_a_fence_is_found_out", Flaw::NoFence, &["stopped_before_it_saves"]);

    finds_out(&report, "its late write was made");
}

/// Its processes run no test at all, and end.
#[test]
fn a_test_that_is_named_wrongly_is_said_to_be() {
    finds_out(&judge("another_name", Flaw::None, &["one_refresh"]), "to be named by its whole path");
}

#[test]
fn each_clause_has_a_name_of_its_own() {
    let mut names: Vec<_> = ProcessSuite::clauses().map(|(name, _)| name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();

    assert_eq!(names.len(), all);
}
