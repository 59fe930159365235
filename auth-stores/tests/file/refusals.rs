//! What is in the way of a store, and what it says of that.

use std::error::Error as _;
use std::fs;

use auth_core::{Session, TokenStore, Tokens};
use auth_stores::{FileStore, FileStoreError, FileStoreErrorKind};
use auth_testkit::{ScriptedRefresher, numbered};

use crate::support::{Dir, block_on, kind, stored};

const SECRETS: [&str; 2] = ["sEcReT-access", "sEcReT-refresh"];

fn secret() -> Tokens {
    Tokens::new(SECRETS[0]).unwrap().with_refresh_token(SECRETS[1])
}

/// A file with this text, as the store itself would have made it.
fn with(text: &str) -> Dir {
    let dir = Dir::new();
    block_on(dir.store().save(&secret())).unwrap();
    // Its permissions stay.
    fs::write(dir.file(), text).unwrap();
    dir
}

/// A text of the store's own.
fn ours() -> String {
    let dir = Dir::new();
    block_on(dir.store().save(&secret())).unwrap();
    fs::read_to_string(dir.file()).unwrap()
}

fn unreadable() -> Vec<(FileStoreErrorKind, String)> {
    let ours = ours();
    vec![
        (FileStoreErrorKind::Torn, String::new()),
        (FileStoreErrorKind::Torn, ours[..ours.len() / 2].to_owned()),
        (FileStoreErrorKind::Foreign, format!("token = {:?}\n", SECRETS[0])),
        (FileStoreErrorKind::Foreign, format!(r#"{{"access_token": "{}"}}"#, SECRETS[0])),
        (FileStoreErrorKind::Foreign, format!("{}{ours}", " ".repeat(1 << 20))),
        (FileStoreErrorKind::Newer, ours.replace("\"version\":1", "\"version\":2")),
        (FileStoreErrorKind::Damaged, ours.replace(&format!("\"{}\"", SECRETS[1]), "17")),
        (FileStoreErrorKind::Damaged, ours.replace("\"refresh_token\"", "\"expires_in_ms\"")),
    ]
}

/// An error, to whoever logs it with all its causes.
fn all_of(error: &dyn std::error::Error) -> String {
    let said = format!("{error} {error:?} {error:#?}\n");
    said + &error.source().map(all_of).unwrap_or_default()
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_the_file_and_quotes_nothing() {
    for (expected, text) in unreadable() {
        let dir = with(&text);

        let error = block_on(dir.store().load()).unwrap_err();

        let why = FileStoreError::find(&error).unwrap();
        assert_eq!(why.kind(), expected, "{text}");
        assert!(why.is_unreadable());
        assert_eq!(why.path(), dir.file());
        let said = all_of(&error);
        assert!(said.contains("tokens.json"), "{said}");
        assert!(!said.contains("sEcReT"), "{said}");
    }
}

#[test]
fn what_cannot_be_read_is_not_overwritten() {
    for (expected, text) in unreadable() {
        let dir = with(&text);
        let store = dir.store();

        assert_eq!(kind(block_on(store.save(&numbered(1)))), expected);
        assert_eq!(kind(block_on(store.clear())), expected);
        let mut guard = block_on(store.lock()).unwrap().unwrap();
        assert_eq!(kind(block_on(guard.load())), expected);
        assert_eq!(kind(block_on(guard.save(&numbered(1)))), expected);
        assert_eq!(kind(block_on(guard.clear())), expected);
        block_on(guard.release());

        assert_eq!(fs::read_to_string(dir.file()).unwrap(), text);
        assert_eq!(dir.names(), ["tokens.json", "tokens.json.lock"], "and nothing is left lying about");
    }
}

#[test]
fn what_cannot_be_read_goes_when_it_is_told_to() {
    for (_, text) in unreadable() {
        let dir = with(&text);
        let store = dir.store();

        assert!(block_on(store.discard_unreadable()).unwrap());

        assert_eq!(stored(&store), None);
        assert!(!block_on(store.discard_unreadable()).unwrap(), "there is nothing left to discard");
        block_on(store.save(&numbered(1))).unwrap();
        assert!(!block_on(store.discard_unreadable()).unwrap(), "what can be read stays");
        assert_eq!(stored(&store).as_deref(), Some("T1"));
    }
}

#[test]
fn a_missing_directory_is_no_sign_out() {
    let dir = Dir::new();
    let store = FileStore::new(dir.path().join("not mounted/tokens.json"));

    assert_eq!(kind(block_on(store.load())), FileStoreErrorKind::NoDirectory);
    assert_eq!(kind(block_on(store.save(&numbered(0)))), FileStoreErrorKind::NoDirectory);
    assert_eq!(kind(block_on(store.lock())), FileStoreErrorKind::NoDirectory);

    assert!(dir.names().is_empty());
}

#[test]
fn a_directory_is_made_where_that_was_asked_for() {
    let dir = Dir::new();
    let make = || FileStore::new(dir.path().join("a/b/tokens.json")).create_directory();

    assert_eq!(stored(&make()), None);
    block_on(make().clear()).unwrap();
    assert!(dir.names().is_empty(), "not before there is something to keep");
    block_on(make().save(&numbered(0))).unwrap();

    assert_eq!(stored(&make()).as_deref(), Some("T0"));
    block_on(make().clear()).unwrap();
    assert_eq!(stored(&make()), None);
}

#[test]
fn what_is_no_file_is_refused() {
    let dir = Dir::new();
    fs::create_dir(dir.file()).unwrap();

    for path in [dir.file(), "/".into()] {
        let store = FileStore::new(path);
        assert_eq!(kind(block_on(store.load())), FileStoreErrorKind::NotAFile);
        assert_eq!(kind(block_on(store.save(&numbered(0)))), FileStoreErrorKind::NotAFile);
        assert_eq!(kind(block_on(store.clear())), FileStoreErrorKind::NotAFile);
    }
}

#[test]
fn a_file_in_the_directorys_place_is_no_directory() {
    let dir = Dir::new();
    fs::write(dir.file(), "").unwrap();
    let store = FileStore::new(dir.file().join("tokens.json"));

    assert_eq!(kind(block_on(store.load())), FileStoreErrorKind::NoDirectory);
    assert_eq!(kind(block_on(store.save(&numbered(0)))), FileStoreErrorKind::NoDirectory);
    assert_eq!(
        kind(block_on(store.clone().create_directory().save(&numbered(0)))),
        FileStoreErrorKind::NoDirectory
    );
}

/// Nobody may make a file there, not even who may do everything else.
#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_written_is_known_before_a_refresh() {
    let store = FileStore::new("/sys/kernel/tokens.json");

    assert_eq!(kind(block_on(store.lock())), FileStoreErrorKind::Denied);
    assert_eq!(kind(block_on(store.save(&numbered(0)))), FileStoreErrorKind::Denied);
    assert_eq!(stored(&store), None);
}

#[test]
fn tokens_that_could_not_be_read_again_are_not_saved() {
    let dir = Dir::new();
    let store = dir.store();
    block_on(store.save(&numbered(0))).unwrap();
    let endless = numbered(1).with_scope("\u{1}".repeat(200 * 1024));

    assert_eq!(kind(block_on(store.save(&endless))), FileStoreErrorKind::TooLong);

    assert_eq!(stored(&store).as_deref(), Some("T0"));
}

#[test]
fn a_sessions_error_has_the_reason_among_its_causes() {
    let dir = with("");
    let session = Session::builder(ScriptedRefresher::new().0).store(dir.store()).build();

    let error = block_on(session.lease()).unwrap_err();

    let why = FileStoreError::find(&error).expect("it says why");
    assert_eq!(why.kind(), FileStoreErrorKind::Torn);
    assert!(why.source().is_none());
}
