//! Sessions on one server, each with a store and a connection of its own, as processes of a fleet have them.

use std::time::Duration;

use auth_core::{EndReason, Session, TokenStore};
use auth_testkit::{RefresherHandle, ScriptedRefresher, numbered, rotating};
use futures::future::join_all;

use crate::support::{Server, block_on, on_smol, on_tokio, stored};

/// A session on this store.
fn party(store: impl TokenStore) -> (Session, RefresherHandle) {
    let (refresher, refreshes) = ScriptedRefresher::new();
    (Session::builder(refresher).store(store).build(), refreshes)
}

async fn token(session: &Session) -> String {
    session.access_token(Duration::ZERO).await.unwrap().reveal().to_owned()
}

/// K5, K16: one refresh between them, expiry after expiry; the others adopt it.
#[test]
fn sessions_on_one_server_make_one_refresh() {
    let server = Server::start();
    block_on(async { on_smol(&server, "s").await.save(&numbered(0)).await }).unwrap();
    let parties = block_on(async {
        [
            party(on_tokio(&server, "s").await),
            party(on_tokio(&server, "s").await),
            party(on_smol(&server, "s").await),
            party(on_smol(&server, "s").await),
        ]
    });
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
}

/// K17: a process that is paused while its refresh is under way, for longer than its lease lives. What it brings is late.
#[test]
fn a_session_that_lost_its_lease_adopts_what_the_next_one_saved() {
    let server = Server::start();
    let short = block_on(on_tokio(&server, "s")).lease(Duration::from_millis(30));
    let ((paused, late), (next, refreshes)) = (party(short), party(block_on(on_tokio(&server, "s"))));
    block_on(paused.sign_in(numbered(0))).unwrap();
    paused.reject(block_on(paused.lease()).unwrap().stamp()).unwrap();
    let refresh = block_on(late.next());
    refreshes.answer_with(|_| Ok(numbered(7)));
    let stamp = block_on(next.lease()).unwrap().stamp();
    drop(block_on(next.recover(stamp)).unwrap());

    refresh.answer(numbered(1));

    assert_eq!(block_on(token(&paused)), "T7");
    assert_eq!(block_on(stored(&block_on(on_smol(&server, "s")))).as_deref(), Some("T7"));
    assert_eq!((late.calls(), refreshes.calls()), (1, 1));
}

/// K7b: a sign-in that could not get the lock in time is written without it, and the refresh under way does not undo it.
#[test]
fn a_refresh_does_not_undo_a_sign_in_of_another_process() {
    let server = Server::start();
    let (slow, refreshes) = party(block_on(on_tokio(&server, "s")));
    let store = block_on(on_tokio(&server, "s"));
    let (refresher, _) = ScriptedRefresher::new();
    let other =
        Session::builder(refresher).store(store.clone()).lock_timeout(Duration::from_millis(1)).build();
    block_on(slow.sign_in(numbered(0))).unwrap();
    slow.reject(block_on(slow.lease()).unwrap().stamp()).unwrap();
    let refresh = block_on(refreshes.next());

    block_on(other.sign_in(numbered(50))).unwrap();
    refresh.answer(numbered(1));

    // Whoever waited for the refresh is told that it is somebody else's by now.
    drop(block_on(slow.lease()));
    assert_eq!(block_on(token(&slow)), "T50", "it follows");
    assert_eq!(block_on(stored(&store)).as_deref(), Some("T50"));
}

/// K7: a sign-out of one process is the other's at its next refresh.
#[test]
fn a_sign_out_is_everybodys() {
    let server = Server::start();
    let ((ours, _), (theirs, refreshes)) =
        block_on(async { (party(on_tokio(&server, "s").await), party(on_smol(&server, "s").await)) });
    block_on(ours.sign_in(numbered(0))).unwrap();
    let stamp = block_on(theirs.lease()).unwrap().stamp();

    block_on(ours.sign_out()).unwrap();

    let error = block_on(theirs.recover(stamp)).unwrap_err();
    assert_eq!(error.end_reason(), Some(EndReason::EndedElsewhere));
    assert_eq!(refreshes.calls(), 0);
}
