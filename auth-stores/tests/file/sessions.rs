//! Sessions on one file, each with a store of its own, as two programs have it.

use std::time::{Duration, SystemTime};

use auth_core::{EndReason, Session, TokenStore};
use auth_testkit::{RefresherHandle, ScriptedRefresher, numbered, rotating};
use futures::future::join_all;

use crate::support::{Dir, block_on, stored};

/// Another session on what is there.
fn party(dir: &Dir) -> (Session, RefresherHandle) {
    let (refresher, refreshes) = ScriptedRefresher::new();
    (Session::builder(refresher).store(dir.store()).build(), refreshes)
}

async fn token(session: &Session) -> String {
    session.access_token(Duration::ZERO).await.unwrap().reveal().to_owned()
}

/// K5, K16: one refresh between them, expiry after expiry; the others adopt it.
#[test]
fn sessions_on_one_file_make_one_refresh() {
    let dir = Dir::new();
    block_on(dir.store().save(&numbered(0))).unwrap();
    let parties: Vec<_> = (0..4).map(|_| party(&dir)).collect();
    for (_, refreshes) in &parties {
        refreshes.answer_with(rotating);
    }

    for round in 1..=5 {
        // All of them first: whoever looks later has the new token already, and would reject that.
        let leases = block_on(join_all(parties.iter().map(|(session, _)| session.lease())));
        let rejected = parties.iter().zip(leases).map(|((session, _), lease)| async move {
            drop(session.recover(lease.unwrap().stamp()).await.unwrap());
            token(session).await
        });
        let tokens = block_on(join_all(rejected));

        assert!(tokens.iter().all(|token| *token == format!("T{round}")), "{tokens:?}");
        assert_eq!(parties.iter().map(|(_, refreshes)| refreshes.calls()).sum::<usize>(), round);
    }
    assert_eq!(stored(&dir.store()).as_deref(), Some("T5"));
}

/// K7b: a sign-in that could not get the lock in time is written without it, and the refresh under way does not undo it.
#[test]
fn a_refresh_does_not_undo_a_sign_in_of_another_program() {
    let dir = Dir::new();
    let (slow, refreshes) = party(&dir);
    let (refresher, _) = ScriptedRefresher::new();
    let other = Session::builder(refresher).store(dir.store()).lock_timeout(Duration::from_millis(1)).build();
    block_on(slow.sign_in(numbered(0))).unwrap();
    slow.reject(block_on(slow.lease()).unwrap().stamp()).unwrap();
    let refresh = block_on(refreshes.next());

    block_on(other.sign_in(numbered(50))).unwrap();
    refresh.answer(numbered(1));

    // Whoever waited for the refresh is told that it is somebody else's by now.
    drop(block_on(slow.lease()));
    assert_eq!(block_on(token(&slow)), "T50", "it follows");
    assert_eq!(block_on(token(&other)), "T50");
    assert_eq!(stored(&dir.store()).as_deref(), Some("T50"));
}

/// K7: a sign-out of one program is the other's at its next refresh.
#[test]
fn a_sign_out_is_everybodys() {
    let dir = Dir::new();
    let ((ours, _), (theirs, refreshes)) = (party(&dir), party(&dir));
    block_on(ours.sign_in(numbered(0))).unwrap();
    let stamp = block_on(theirs.lease()).unwrap().stamp();

    block_on(ours.sign_out()).unwrap();

    let error = block_on(theirs.recover(stamp)).unwrap_err();
    assert_eq!(error.end_reason(), Some(EndReason::EndedElsewhere));
    assert_eq!(refreshes.calls(), 0);
    assert_eq!(stored(&dir.store()), None);
}

/// A program that starts with a pair that has expired refreshes it, and the next start finds the new one.
#[test]
fn a_sign_in_survives_the_program() {
    let dir = Dir::new();
    let expired = numbered(0).with_expires_in(Duration::from_secs(60), SystemTime::UNIX_EPOCH);
    block_on(dir.store().save(&expired)).unwrap();
    let (first, refreshes) = party(&dir);
    refreshes.answer_with(rotating);
    assert_eq!(block_on(token(&first)), "T1");
    drop(first);

    let (second, refreshes) = party(&dir);

    assert_eq!(block_on(token(&second)), "T1");
    assert_eq!(refreshes.calls(), 0);
}
