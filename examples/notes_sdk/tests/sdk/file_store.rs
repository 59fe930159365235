//! The file store, by the contract of `TokenStore`.

use std::fs;
use std::path::PathBuf;

use auth_core::TokenStore;
use auth_testkit::{numbered, other_sign_in};
use futures::executor::block_on;
use notes_sdk::FileStore;

use crate::world::{World, result};

/// A directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let directory =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("notes_sdk-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn what_is_saved_is_loaded_and_what_is_cleared_is_gone() {
    let directory = directory("fidelity");
    let store = FileStore::new(directory.join("tokens.json"));
    assert!(block_on(store.load()).unwrap().is_none());
    let tokens = other_sign_in(numbered(1)).with_scope("notes");

    block_on(store.save(&numbered(0))).unwrap();
    block_on(store.save(&tokens)).unwrap();

    assert_eq!(block_on(FileStore::new(directory.join("tokens.json")).load()).unwrap(), Some(tokens));
    let files: Vec<_> = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["tokens.json"], "nothing else is left");
    block_on(store.clear()).unwrap();
    block_on(store.clear()).unwrap();
    assert!(block_on(store.load()).unwrap().is_none());
    fs::remove_dir_all(directory).unwrap();
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = directory("privacy");
    let path = directory.join("tokens.json");
    // What an earlier crash, or somebody else, has left there.
    for old in [path.clone(), directory.join("tokens.json.new")] {
        fs::write(&old, "half").unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o666)).unwrap();
    }

    block_on(FileStore::new(&path).save(&numbered(0))).unwrap();

    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(block_on(FileStore::new(&path).load()).unwrap(), Some(numbered(0)));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_signs_nobody_out() {
    let directory = directory("garbage");
    let store = FileStore::new(directory.join("tokens.json"));

    for content in [r#"{"access_token": "secre"#, r#"{"access_token": 17, "refresh_token": "secret"}"#, ""] {
        fs::write(directory.join("tokens.json"), content).unwrap();
        let error = block_on(store.load()).unwrap_err();
        assert!(!format!("{error:?}").contains("secre"), "{error:?}");
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_save_that_fails_leaves_the_old_pair() {
    let directory = directory("failure");
    let store = FileStore::new(directory.join("tokens.json"));
    block_on(store.save(&numbered(0))).unwrap();
    // A directory in the new file's place.
    fs::create_dir(directory.join("tokens.json.new")).unwrap();

    assert!(block_on(store.save(&numbered(1))).is_err());

    assert_eq!(block_on(store.load()).unwrap(), Some(numbered(0)));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_sign_in_survives_the_program() {
    let directory = directory("restart");
    let store = FileStore::new(directory.join("tokens.json"));
    let world = World::on(store.clone());
    let call = world.list();
    world.api_answers(401);
    world.refreshes(0);
    world.api_answers(200);
    assert!(result(&call).is_ok());

    let stored = block_on(store.load()).unwrap().unwrap();

    assert_eq!(stored.access_token().reveal(), "T1");
    assert!(stored.sign_in_id().is_some());
    fs::remove_dir_all(directory).unwrap();
}
