//! Servers that are down, full, read-only, busy or restarted, and connections that break.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auth_core::{ErrorKind, Session, StandaloneRuntime, TokenStore};
use auth_stores::redis::aio::{ConnectionLike, ConnectionManager};
use auth_stores::redis::{Cmd, Pipeline, RedisFuture, Value, cmd};
use auth_stores::{RedisStore, RedisStoreError, RedisStoreErrorKind as Kind};
use auth_testkit::{ManualRuntime, ScriptedRefresher, numbered};

use crate::support::{Server, block_on, kind, on_smol, on_tokio, stored};

fn command(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(words);
    command
}

#[test]
fn a_connection_that_was_broken_is_no_error() {
    let server = Server::start();
    survives_breaks(&server, &block_on(on_tokio(&server, "s")));
}

#[test]
fn a_connection_that_was_broken_is_no_error_on_smol_either() {
    let server = Server::start();
    let connection = block_on(async { server.client().get_connection_manager().await.unwrap() });
    survives_breaks(&server, &RedisStore::new(connection, StandaloneRuntime::new(), "s"));
}

/// A connection that swallows some questions: so does one that the server closes just as they are written.
#[derive(Clone)]
struct Swallows(ConnectionManager, Arc<AtomicUsize>);

impl ConnectionLike for Swallows {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let swallowed = self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if swallowed.is_ok() {
            return Box::pin(async { Err(io::Error::from(io::ErrorKind::TimedOut).into()) });
        }
        self.0.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

#[test]
fn a_question_that_was_swallowed_is_asked_again_and_not_for_ever() {
    let server = Server::start();
    let connection = block_on(async { server.client().get_connection_manager().await.unwrap() });
    let swallow = Arc::new(AtomicUsize::new(0));
    let store = RedisStore::new(Swallows(connection, Arc::clone(&swallow)), StandaloneRuntime::new(), "s");

    swallow.store(2, Ordering::Relaxed);
    block_on(store.save(&numbered(0))).unwrap();
    swallow.store(2, Ordering::Relaxed);
    assert_eq!(block_on(stored(&store)).as_deref(), Some("T0"));
    swallow.store(3, Ordering::Relaxed);
    assert_eq!(kind(block_on(store.load())), Kind::Unreachable);
    assert_eq!(swallow.load(Ordering::Relaxed), 0);
}

fn survives_breaks(server: &Server, store: &impl TokenStore) {
    block_on(store.save(&numbered(0))).unwrap();
    let breaks = || {
        let _: i64 = server.ask(&command(&["CLIENT", "KILL", "TYPE", "normal"]));
    };

    breaks();
    assert_eq!(block_on(stored(store)).as_deref(), Some("T0"));
    breaks();
    let mut guard = block_on(store.lock()).unwrap().unwrap();
    breaks();
    assert_eq!(block_on(guard.load()).unwrap(), Some(numbered(0)));
    breaks();
    block_on(guard.save(&numbered(1))).unwrap();
    breaks();
    block_on(guard.release());
    breaks();
    block_on(store.save(&numbered(2))).unwrap();
    breaks();
    block_on(store.clear()).unwrap();

    assert_eq!(block_on(stored(store)), None);
    assert!(!server.ask::<bool>(cmd("EXISTS").arg("{auth:s}:lease")));
}

#[test]
fn a_server_that_was_restarted_knows_everything_but_the_scripts() {
    let mut server = Server::durable();
    let store = block_on(on_tokio(&server, "s"));
    block_on(store.save(&numbered(0))).unwrap();
    let mut guard = block_on(store.lock()).unwrap().unwrap();

    server.kill();
    assert_eq!(kind(block_on(store.load())), Kind::Unreachable);
    server.start_again();

    assert_eq!(block_on(until_it_answers(&store)).as_deref(), Some("T0"));
    block_on(guard.save(&numbered(1))).unwrap();
    assert_eq!(block_on(stored(&store)).as_deref(), Some("T1"), "the lease has survived too");
    block_on(guard.release());
    assert!(block_on(store.lock()).unwrap().is_some());
}

/// The connection comes back when it comes back.
async fn until_it_answers(store: &impl TokenStore) -> Option<String> {
    loop {
        if let Ok(tokens) = store.load().await {
            return tokens.map(|tokens| tokens.access_token().reveal().to_owned());
        }
    }
}

#[test]
fn scripts_that_the_server_has_forgotten_are_told_again() {
    let server = Server::start();
    let store = block_on(on_smol(&server, "s"));
    for n in 0..3 {
        let _: String = server.ask(&command(&["SCRIPT", "FLUSH"]));
        let mut guard = block_on(store.lock()).unwrap().unwrap();
        let _: String = server.ask(&command(&["SCRIPT", "FLUSH"]));
        block_on(guard.save(&numbered(n))).unwrap();
        let _: String = server.ask(&command(&["SCRIPT", "FLUSH"]));
        block_on(guard.release());
    }

    assert_eq!(block_on(stored(&store)).as_deref(), Some("T2"));
}

/// A process that is stopped, as by a debugger or a machine that swaps.
#[cfg(unix)]
#[test]
fn a_server_that_hangs_is_an_error_in_bounded_time() {
    let server = Server::start();
    let store = block_on(on_tokio(&server, "s"));
    block_on(store.save(&numbered(0))).unwrap();

    server.signal("STOP");
    assert_eq!(kind(block_on(store.load())), Kind::Unreachable);
    assert_eq!(kind(block_on(store.save(&numbered(1)))), Kind::Unreachable);
    assert_eq!(kind(block_on(store.lock())), Kind::Unreachable);
    server.signal("CONT");

    block_on(store.save(&numbered(2))).unwrap();
    assert_eq!(block_on(stored(&store)).as_deref(), Some("T2"), "what came late did not overtake it");
    // What it was asked while it hung it may have done since.
    assert!(block_on(store.lock()).unwrap().is_some());
}

/// What it says of a server that will not, and that nothing is refreshed then.
#[track_caller]
fn will_not_save(server: &Server, expected: Kind, code: &str) {
    let store = block_on(on_smol(server, "s"));

    for failed in [block_on(store.lock()).err(), block_on(store.save(&numbered(1))).err()] {
        let failed = failed.expect("it will not");
        let why = RedisStoreError::find(&failed).unwrap();
        assert_eq!((why.kind(), why.code()), (expected, Some(code)), "{why}");
        let said = format!("{failed:?} {failed} {why}");
        assert!(!said.contains("R1") && !said.contains("access_token"), "{said}");
    }
    let (refresher, refreshes) = ScriptedRefresher::rotating();
    let session = Session::builder(refresher).store(store).build();
    let stamp = block_on(session.lease()).unwrap().stamp();
    let error = block_on(session.recover(stamp)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
    assert_eq!(RedisStoreError::find(&error).expect("it says why").kind(), expected);
    assert_eq!(refreshes.calls(), 0, "its successor would have been lost");
}

fn with_tokens(server: Server) -> Server {
    block_on(async { on_smol(&server, "s").await.save(&numbered(0)).await }).unwrap();
    server
}

#[test]
fn a_server_that_is_full_refreshes_nothing() {
    let server = with_tokens(Server::start());
    let _: String = server.ask(&command(&["CONFIG", "SET", "maxmemory", "1"]));

    will_not_save(&server, Kind::Full, "OOM");
}

#[test]
fn a_replica_refreshes_nothing() {
    let server = with_tokens(Server::start());
    // Of nobody who is there.
    let _: String = server.ask(&command(&["REPLICAOF", "127.0.0.1", "1"]));

    will_not_save(&server, Kind::Refused, "READONLY");
}

#[test]
fn a_user_without_the_right_refreshes_nothing() {
    let server = with_tokens(Server::start());
    let _: String = server.ask(&command(&["ACL", "SETUSER", "default", "-evalsha"]));

    will_not_save(&server, Kind::Refused, "NOPERM");
}

/// It quotes the command that it does not know, and the tokens with it.
#[test]
fn a_server_without_scripts_is_an_error_that_quotes_nothing() {
    let server = Server::with(&["--rename-command", "EVALSHA", ""]);
    let store = block_on(on_smol(&server, "s"));

    let failed = block_on(store.save(&numbered(1))).unwrap_err();

    let why = RedisStoreError::find(&failed).unwrap();
    assert_eq!((why.kind(), why.code()), (Kind::Other, Some("ERR")));
    let said = format!("{failed:?} {failed:#?} {why}");
    assert!(!said.contains("access_token"), "{said}");
}

/// The connection's runtime is another one than the store's, which is gone.
#[test]
fn a_runtime_that_drops_the_calls_is_an_error() {
    let server = Server::start();
    let runtime = ManualRuntime::new();
    let connection = block_on(async { server.client().get_multiplexed_async_connection().await.unwrap() });
    let store = RedisStore::new(connection, runtime.clone(), "s");
    runtime.shutdown();

    assert_eq!(kind(block_on(store.load())), Kind::Runtime);
    assert_eq!(kind(block_on(store.save(&numbered(0)))), Kind::Runtime);
    assert_eq!(kind(block_on(store.lock())), Kind::Runtime);
}
