//! What is kept: under which keys, for how long, and what is not touched.

use std::time::Duration;

use auth_core::TokenStore;
use auth_stores::RedisStoreErrorKind as Kind;
use auth_stores::redis::{self, Cmd, cmd};
use auth_testkit::numbered;

use crate::support::{Server, block_on, kind, on_smol, stored};

const KEY: &str = "{auth:s}";

fn life(server: &Server) -> i64 {
    server.ask(cmd("PTTL").arg(KEY))
}

fn keys(server: &Server) -> Vec<String> {
    let mut keys: Vec<String> = server.ask(cmd("KEYS").arg("*"));
    keys.sort();
    keys
}

#[test]
fn a_session_is_a_hash_and_its_lease() {
    let server = Server::start();
    let store = block_on(on_smol(&server, "s"));
    let mut guard = block_on(store.lock()).unwrap().unwrap();
    block_on(guard.save(&numbered(0))).unwrap();

    assert_eq!(keys(&server), [KEY, "{auth:s}:lease"]);
    let fields: std::collections::BTreeMap<String, String> = server.ask(cmd("HGETALL").arg(KEY));
    assert_eq!(fields["write"].len(), 32, "it has a name of its own");

    let fields: Vec<_> = fields
        .iter()
        .filter(|(field, _)| *field != "write")
        .map(|(field, value)| (field.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("by", "1"),
            ("fence", "1"),
            ("format", "auth-stores/tokens 1"),
            ("tokens", r#"{"access_token":"T0","refresh_token":"R0"}"#),
            ("version", "1"),
        ]
    );
}

/// As in a cluster of one, which refuses scripts whose keys are not in one slot.
#[test]
fn a_session_is_in_one_slot_whatever_its_name() {
    let server = Server::with(&["--save", "", "--cluster-enabled", "yes"]);
    let () = server.ask(cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383));
    while !server.ask::<String>(cmd("CLUSTER").arg("INFO")).contains("cluster_state:ok") {
        std::thread::yield_now();
    }
    for name in ["s", "", "}", "{", "{}", "a}b", "a{b}c", "\u{1f511}", "notes:user:42"] {
        let store = block_on(on_smol(&server, name));
        let mut guard = block_on(store.lock()).unwrap().unwrap();

        block_on(guard.save(&numbered(0))).unwrap();
        block_on(guard.release());

        assert_eq!(block_on(stored(&store)).as_deref(), Some("T0"), "{name:?}");
        block_on(store.clear()).unwrap();
    }
}

#[test]
fn sessions_of_other_names_are_others() {
    let server = Server::start();
    let (ours, theirs) = block_on(async { (on_smol(&server, "s").await, on_smol(&server, "t").await) });
    block_on(ours.save(&numbered(0))).unwrap();

    let _guard = block_on(ours.lock()).unwrap();
    assert_eq!(block_on(stored(&theirs)), None);
    assert!(block_on(theirs.lock()).unwrap().is_some());
}

#[test]
fn a_session_is_kept_unless_it_is_to_expire() {
    let server = Server::start();
    let store = block_on(on_smol(&server, "s"));

    block_on(store.save(&numbered(0))).unwrap();

    assert_eq!(life(&server), -1, "for ever");
}

#[test]
fn each_write_begins_the_life_of_a_session_anew() {
    let server = Server::start();
    let day = Duration::from_secs(24 * 60 * 60);
    let store = block_on(on_smol(&server, "s")).expire_after(day);
    block_on(store.save(&numbered(0))).unwrap();
    assert!((1..=86_400_000).contains(&life(&server)));
    let _: i64 = server.ask(cmd("PEXPIRE").arg(KEY).arg(60_000));

    let mut guard = block_on(store.lock()).unwrap().unwrap();
    assert!(life(&server) <= 60_000, "who takes the lock has written nothing yet");
    block_on(guard.save(&numbered(1))).unwrap();

    assert!(life(&server) > 60_000);
}

/// Its last moment is a refresh as any other: what that brings is saved, and the session begins anew.
#[test]
fn a_session_does_not_expire_under_whoever_refreshes_it() {
    let server = Server::start();
    let lease = Duration::from_secs(60);
    let store = block_on(on_smol(&server, "s")).expire_after(lease * 2).lease(lease);
    block_on(store.save(&numbered(0))).unwrap();
    let _: i64 = server.ask(cmd("PEXPIRE").arg(KEY).arg(20_000));

    let guard = block_on(store.lock()).unwrap().unwrap();

    // In this order: time goes by between the two.
    let (left, lease_left) = (life(&server), server.ask::<i64>(cmd("PTTL").arg("{auth:s}:lease")));
    assert!(left >= lease_left, "{left}, and the lease {lease_left}");
    block_on(guard.release());
    let _: i64 = server.ask(cmd("PEXPIRE").arg(KEY).arg(90_000));
    drop(block_on(store.lock()).unwrap());
    assert!(life(&server) > 60_000, "one that lives longer is left as it is");
}

#[test]
fn a_session_that_has_expired_is_nobodys() {
    let server = Server::start();
    let store = block_on(on_smol(&server, "s")).expire_after(Duration::from_millis(1));
    block_on(store.save(&numbered(0))).unwrap();

    while server.ask::<bool>(cmd("EXISTS").arg(KEY)) {}

    assert_eq!(block_on(stored(&store)), None);
    assert!(keys(&server).is_empty());
}

/// A name that was only looked at, or that nobody is signed in under any more, does not stay for ever. Its version does for a
/// while: a write that is still under way must not come to be the first.
#[test]
fn what_is_left_of_a_session_goes_by_itself() {
    let server = Server::start();
    let store = block_on(on_smol(&server, "s"));
    block_on(async { store.lock().await.unwrap().unwrap().release().await });
    assert!(life(&server) > 60_000);
    block_on(store.save(&numbered(0))).unwrap();
    assert_eq!(life(&server), -1, "somebody is signed in");

    block_on(store.clear()).unwrap();

    let left = life(&server);
    assert!((60_000..=3_660_000).contains(&left), "{left}");
    let version: u64 = server.ask(cmd("HGET").arg(KEY).arg("version"));
    assert_eq!(version, 2);
    block_on(store.save(&numbered(1))).unwrap();
    assert_eq!(life(&server), -1);
}

/// What somebody else keeps under the name, and how to say it.
fn strangers() -> [(Kind, Cmd); 4] {
    let command = |words: &[&str]| {
        let mut command = Cmd::new();
        command.arg(words);
        command
    };
    [
        (Kind::Foreign, command(&["SET", KEY, "something else"])),
        (Kind::Foreign, command(&["HSET", KEY, "tokens", "something else"])),
        (Kind::Foreign, command(&["HSET", KEY, "format", "auth-stores/other 1", "version", "1"])),
        (Kind::Newer, command(&["HSET", KEY, "format", "auth-stores/tokens 2", "version", "1"])),
    ]
}

#[test]
fn what_is_no_session_of_this_format_is_neither_read_nor_written() {
    for (expected, strange) in strangers() {
        let server = Server::start();
        let store = block_on(on_smol(&server, "s"));
        let _: redis::Value = server.ask(&strange);
        let before: Vec<u8> = server.ask(cmd("DUMP").arg(KEY));

        assert_eq!(kind(block_on(store.load())), expected);
        assert_eq!(kind(block_on(store.save(&numbered(0)))), expected);
        assert_eq!(kind(block_on(store.clear())), expected);
        assert_eq!(kind(block_on(store.lock())), expected);

        assert_eq!(server.ask::<Vec<u8>>(cmd("DUMP").arg(KEY)), before);
        assert_eq!(keys(&server), [KEY], "and no lease is left");
    }
}

#[test]
fn tokens_that_make_no_sense_are_an_error_until_somebody_signs_in() {
    for json in ["", "{", r#"{"access_token":17}"#, r#"{"access_token":"T\n0"}"#] {
        let server = Server::start();
        let store = block_on(on_smol(&server, "s"));
        block_on(store.save(&numbered(0))).unwrap();
        let _: i64 = server.ask(cmd("HSET").arg(KEY).arg("tokens").arg(json));

        assert_eq!(kind(block_on(store.load())), Kind::Damaged, "{json}");

        block_on(store.save(&numbered(1))).unwrap();
        assert_eq!(block_on(stored(&store)).as_deref(), Some("T1"));
    }
}
