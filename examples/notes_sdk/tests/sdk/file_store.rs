//! The file store, by the contract of `TokenStore`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth_core::{Body, TokenStore};
use auth_testkit::conformance::TokenStoreSuite;
use auth_testkit::{ScriptedTransport, numbered, other_sign_in, response};
use futures::FutureExt as _;
use http::{Request, Response};
use notes_sdk::testing::Shelf;
use notes_sdk::{FileStore, Notes};

/// A directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let directory =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("notes_sdk-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// On a thread that waits for the store's, and not for ever.
fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), future).await }).expect("it hangs")
}

/// Removed when the clause that used it is done.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        Self(directory(&format!("conformance-{}", MADE.fetch_add(1, Ordering::Relaxed))))
    }

    fn file(&self) -> PathBuf {
        self.0.join("tokens.json")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn it_keeps_the_contract() {
    TokenStoreSuite::new(Place::new, |place| FileStore::new(place.file()))
        .debug()
        .failing(|place| {
            // A directory in the new file's place.
            fs::create_dir(place.file().with_extension("json.new")).unwrap();
            async {}
        })
        .garbled(|place| {
            // A token where a number has to be: the parser's words would quote it.
            let text = fs::read_to_string(place.file()).unwrap();
            fs::write(place.file(), text.replace("refresh_token", "expires_in_ms")).unwrap();
            async {}
        })
        .run()
        .assert();
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

/// A save that was given up is done all the same, and before the next one.
#[test]
fn a_save_that_was_given_up_does_not_overtake_the_next() {
    let directory = directory("order");
    let store = FileStore::new(directory.join("tokens.json"));
    for round in 0..50 {
        let old = numbered(2 * round);
        let given_up = store.save(&old).now_or_never();
        assert!(given_up.is_none_or(|saved| saved.is_ok()));

        block_on(store.save(&numbered(2 * round + 1))).unwrap();

        assert_eq!(block_on(store.load()).unwrap(), Some(numbered(2 * round + 1)));
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_sign_in_survives_the_program() {
    let directory = directory("restart");
    let start = || {
        let (transport, network) = ScriptedTransport::new();
        network.answer_with(|request: &Request<Body>| match request.headers().get("authorization") {
            None => Response::new(r#"{"access_token": "T1", "refresh_token": "R1"}"#.into()),
            Some(token) => response(if token == "Bearer T1" { 200 } else { 401 }),
        });
        let store = FileStore::new(directory.join("tokens.json"));
        (Notes::builder(Shelf::new(transport)).store(store).build().unwrap(), network)
    };
    let (first, network) = start();
    block_on(first.sign_in(numbered(0))).unwrap();
    assert!(block_on(first.list()).is_ok());
    assert_eq!(network.calls(), 3, "rejected, refreshed, replayed");
    drop(first);

    let (second, network) = start();
    assert!(block_on(second.list()).is_ok());

    assert_eq!(network.calls(), 1, "nobody had to sign in, and nothing to be refreshed");
    block_on(second.sign_out()).unwrap();
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    fs::remove_dir_all(directory).unwrap();
}
