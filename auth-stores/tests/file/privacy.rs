//! Who can read the file, and what a path may be.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use auth_core::TokenStore;
use auth_stores::{FileStore, FileStoreErrorKind};
use auth_testkit::numbered;

use crate::support::{Dir, block_on, kind, stored};

fn mode(path: impl AsRef<std::path::Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nobody_else_can_read_what_it_makes() {
    let dir = Dir::new();
    let store = FileStore::new(dir.path().join("a/b/tokens.json")).create_directory();

    let guard = block_on(store.lock()).unwrap();

    let names = fs::read_dir(dir.path().join("a/b")).unwrap();
    let modes: Vec<_> = names.map(|file| mode(file.unwrap().path())).collect();
    assert_eq!(modes, [0o600, 0o600], "the lock, and the room for a save");
    drop(guard);
    block_on(store.save(&numbered(0))).unwrap();
    assert_eq!(mode(store.path()), 0o600);
    assert_eq!(mode(dir.path().join("a")), 0o700);
    assert_eq!(mode(dir.path().join("a/b")), 0o700);
}

#[test]
fn a_directory_that_is_there_is_left_as_it_is() {
    let dir = Dir::new();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();

    block_on(dir.store().create_directory().save(&numbered(0))).unwrap();

    assert_eq!(mode(dir.path()), 0o755);
}

#[test]
fn a_file_that_others_can_read_is_not_loaded() {
    let dir = Dir::new();
    let store = dir.store();
    block_on(store.save(&numbered(0))).unwrap();
    for open in [0o640, 0o604, 0o620, 0o601, 0o644] {
        fs::set_permissions(dir.file(), Permissions::from_mode(open)).unwrap();

        let error = block_on(store.load()).unwrap_err();

        let error = auth_stores::FileStoreError::find(&error).unwrap();
        assert_eq!(error.kind(), FileStoreErrorKind::TooOpen);
        let said = error.to_string();
        assert!(said.contains("tokens.json") && said.contains(&format!("{open:04o}")), "{said}");
        assert_eq!(stored(&store.clone().allow_open_permissions()).as_deref(), Some("T0"));
    }
    let mut guard = block_on(store.lock()).unwrap().unwrap();
    assert_eq!(kind(block_on(guard.load())), FileStoreErrorKind::TooOpen);
}

/// What the old file gave away is worth nothing after that.
#[test]
fn a_file_that_others_can_read_is_replaced_by_a_private_one() {
    let dir = Dir::new();
    let store = dir.store();
    block_on(store.save(&numbered(0))).unwrap();
    fs::set_permissions(dir.file(), Permissions::from_mode(0o644)).unwrap();

    block_on(store.save(&numbered(1))).unwrap();

    assert_eq!(mode(dir.file()), 0o600);
    assert_eq!(stored(&store).as_deref(), Some("T1"));
    fs::set_permissions(dir.file(), Permissions::from_mode(0o644)).unwrap();
    block_on(store.clear()).unwrap();
    assert_eq!(stored(&store), None);
}

#[test]
fn a_symbolic_link_is_neither_followed_nor_replaced() {
    let dir = Dir::new();
    let elsewhere = FileStore::new(dir.path().join("elsewhere.json"));
    block_on(elsewhere.save(&numbered(0))).unwrap();
    symlink(elsewhere.path(), dir.file()).unwrap();
    let store = dir.store();

    assert_eq!(kind(block_on(store.load())), FileStoreErrorKind::NotAFile);
    assert_eq!(kind(block_on(store.save(&numbered(1)))), FileStoreErrorKind::NotAFile);
    assert_eq!(kind(block_on(store.clear())), FileStoreErrorKind::NotAFile);
    assert_eq!(kind(block_on(store.discard_unreadable())), FileStoreErrorKind::NotAFile);

    assert_eq!(stored(&elsewhere).as_deref(), Some("T0"));
    assert!(dir.file().is_symlink());
}

#[test]
fn a_lock_that_is_a_symbolic_link_is_refused() {
    let dir = Dir::new();
    symlink(dir.path().join("elsewhere"), dir.lock_file()).unwrap();

    assert_eq!(kind(block_on(dir.store().lock())), FileStoreErrorKind::NotAFile);

    assert!(!dir.path().join("elsewhere").exists());
}

/// Directories above may be links: the lock stands beside the file, wherever that is.
#[test]
fn two_ways_to_one_file_share_its_lock() {
    let dir = Dir::new();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
    let [one, other] = ["real", "link"].map(|way| FileStore::new(dir.path().join(way).join("tokens.json")));
    let guard = block_on(one.lock()).unwrap();
    let mut waiting = other.lock();
    assert!(futures::FutureExt::now_or_never(&mut waiting).is_none());

    drop(guard);

    assert!(block_on(waiting).is_ok());
}
