//! A disk that is full: known before a refresh, and in nobody's way at a sign-out.
#![cfg(unix)]

use std::time::{Duration, SystemTime};

use auth_core::{ErrorKind, Session, TokenStore};
use auth_stores::{FileStore, FileStoreError, FileStoreErrorKind};
use auth_testkit::{ScriptedRefresher, numbered};

use crate::support::{Dir, Other, block_on, kind, place, say, stored};

/// In a process that may not write a byte into any file.
#[test]
fn without_room_nothing_is_refreshed_and_a_sign_out_goes_well() {
    if let Some(place) = place() {
        let store = FileStore::new(place);
        let (refresher, refreshes) = ScriptedRefresher::rotating();
        let session = Session::builder(refresher).store(store.clone()).build();
        // It has expired.
        let error = block_on(session.lease()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
        assert_eq!(FileStoreError::find(&error).expect("it says why").kind(), FileStoreErrorKind::Full);
        assert_eq!(refreshes.calls(), 0, "its successor would have been lost");

        assert_eq!(kind(block_on(store.lock())), FileStoreErrorKind::Full);
        assert_eq!(kind(block_on(store.save(&numbered(1)))), FileStoreErrorKind::Full);
        assert_eq!(stored(&store).as_deref(), Some("T0"));
        block_on(session.sign_out()).unwrap();
        say("done");
        return;
    }
    let dir = Dir::new();
    let expired = numbered(0).with_expires_in(Duration::from_secs(60), SystemTime::UNIX_EPOCH);
    block_on(dir.store().save(&expired)).unwrap();
    let test = "room::without_room_nothing_is_refreshed_and_a_sign_out_goes_well";

    let (status, said) = Other::without_room(test, &dir.file()).ended();

    assert!(status.success());
    assert_eq!(said, ["done"]);
    assert_eq!(dir.names(), ["tokens.json.lock"], "signed out, and nothing is left lying about");
}
