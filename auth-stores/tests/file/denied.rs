//! Directories that may not be written, or not be read: what is refused, and what is left of it.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use auth_core::{ErrorKind, Session, TokenStore};
use auth_stores::{FileStore, FileStoreError, FileStoreErrorKind};
use auth_testkit::{ScriptedRefresher, numbered};

use crate::support::{Dir, Other, block_on, kind, place, say, stored};

fn set_mode(directory: &Path, mode: u32) {
    fs::set_permissions(directory, Permissions::from_mode(mode)).unwrap();
}

/// What a read-only disk or another user's directory is: known before a refresh, and no reason to lose what is there.
#[test]
fn in_a_directory_that_may_not_be_written_nothing_is_refreshed() {
    if let Some(place) = place() {
        let store = FileStore::new(place);
        let (refresher, refreshes) = ScriptedRefresher::rotating();
        let session = Session::builder(refresher).store(store.clone()).build();

        // It has expired.
        let error = block_on(session.lease()).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
        assert_eq!(FileStoreError::find(&error).expect("it says why").kind(), FileStoreErrorKind::Denied);
        assert_eq!(refreshes.calls(), 0, "its successor would have been lost");
        assert_eq!(kind(block_on(store.lock())), FileStoreErrorKind::Denied);
        assert_eq!(kind(block_on(store.save(&numbered(1)))), FileStoreErrorKind::Denied);
        assert_eq!(kind(block_on(store.clear())), FileStoreErrorKind::Denied);
        assert_eq!(stored(&store).as_deref(), Some("T0"));
        say("done");
        return;
    }
    let dir = Dir::new();
    let expired = numbered(0).with_expires_in(Duration::from_secs(60), SystemTime::UNIX_EPOCH);
    block_on(dir.store().save(&expired)).unwrap();
    set_mode(dir.path(), 0o500);
    let test = "denied::in_a_directory_that_may_not_be_written_nothing_is_refreshed";

    let (status, said) = Other::unprivileged(test, &dir.file()).ended();

    set_mode(dir.path(), 0o700);
    assert!(status.success());
    assert_eq!(said, ["done"]);
    assert_eq!(dir.names(), ["tokens.json"]);
}

/// A directory that can be written and not be read: a file in it takes its name, and nobody can say whether it will keep it.
#[test]
fn a_save_that_was_made_and_failed_may_be_made_again() {
    if let Some(place) = place() {
        let store = FileStore::new(place);
        let mut guard = block_on(store.lock()).unwrap().unwrap();
        block_on(guard.load()).unwrap();

        for n in [1, 1, 2] {
            assert_eq!(kind(block_on(guard.save(&numbered(n)))), FileStoreErrorKind::Denied);
        }
        assert_eq!(block_on(guard.load()).unwrap(), Some(numbered(2)));
        assert_eq!(kind(block_on(guard.clear())), FileStoreErrorKind::Denied);
        assert_eq!(kind(block_on(guard.clear())), FileStoreErrorKind::Denied);
        assert_eq!(block_on(guard.load()).unwrap(), None);
        say("done");
        return;
    }
    let dir = Dir::new();
    block_on(dir.store().save(&numbered(0))).unwrap();
    set_mode(dir.path(), 0o300);

    let (status, said) =
        Other::unprivileged("denied::a_save_that_was_made_and_failed_may_be_made_again", &dir.file()).ended();

    set_mode(dir.path(), 0o700);
    assert!(status.success());
    assert_eq!(said, ["done"]);
}
