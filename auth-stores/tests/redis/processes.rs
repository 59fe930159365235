//! Real processes that share one session on a server, at an authorization server that detects reuse.
#![cfg(unix)]

use std::sync::Mutex;

use auth_reqwest::TokioRuntime;
use auth_stores::RedisStore;
use auth_stores::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use auth_stores::redis::{Client, Cmd};
use auth_testkit::conformance::ProcessSuite;
use auth_testkit::processes::Opening;

use crate::support::{Server, TOKIO};

/// In a process of its own: a connection that reconnects.
async fn open(opening: Opening) -> RedisStore<ConnectionManager> {
    let client = Client::open(opening.address).unwrap();
    let config = ConnectionManagerConfig::new().set_max_delay(std::time::Duration::from_millis(100));
    let connecting =
        TOKIO.spawn(async move { client.get_connection_manager_with_config(config).await.unwrap() });
    let runtime = TokioRuntime::new(TOKIO.handle().clone());
    RedisStore::new(connecting.await.unwrap(), runtime, "shared").lease(opening.lease)
}

fn suite(test: &str) -> ProcessSuite<Mutex<Server>> {
    let make = || Mutex::new(Server::durable());
    ProcessSuite::new(test, make, |server| server.lock().unwrap().url(), open).leases()
}

/// K5: expiry after expiry, one of eight processes refreshes, and the rest adopt. K9: whoever has the lock looks first.
#[test]
fn processes_on_one_server_make_one_refresh() {
    suite("processes::processes_on_one_server_make_one_refresh")
        .processes(8)
        .rounds(20)
        .only(["one_refresh", "started_again"])
        .run()
        .assert();
}

/// J10: what a clock that is hours off takes for expired costs a refresh, and not the session. No clock of a process decides who
/// has the lease.
#[test]
fn clocks_that_differ_lose_nothing() {
    suite("processes::clocks_that_differ_lose_nothing").only(["clocks_differ"]).run().assert();
}

/// K7: a sign-out is everybody's. K7b: and so is a sign-in.
#[test]
fn who_is_signed_in_is_everybodys() {
    suite("processes::who_is_signed_in_is_everybodys")
        .only(["signed_out", "signed_in_as_another"])
        .run()
        .assert();
}

/// K15: `kill -9` at every step of a refresh, and in the middle of a save. K8: the lease ends without its holder.
#[test]
fn a_killed_process_loses_nothing() {
    suite("processes::a_killed_process_loses_nothing")
        .only(["killed_at_each_step", "killed_while_saving"])
        .run()
        .assert();
}

/// I8: where the only copy of an answer died with its process, and the server grants no grace, the session ends, once.
#[test]
fn an_answer_that_died_with_its_process_is_the_end_of_one_session() {
    suite("processes::an_answer_that_died_with_its_process_is_the_end_of_one_session")
        .only(["killed_with_the_answer"])
        .run()
        .assert();
}

/// K17: a holder that is stopped past its lease writes nothing when it comes back, and presents nothing. It adopts what is there.
#[test]
fn a_process_that_was_stopped_past_its_lease_writes_nothing_late() {
    suite("processes::a_process_that_was_stopped_past_its_lease_writes_nothing_late")
        .only(["stopped_before_it_presents", "stopped_before_it_saves", "stopped_and_overtaken"])
        .run()
        .assert();
}

/// K2: a server that crashes and comes back with what is on its disk, while nobody refreshes and in the middle of a refresh.
#[test]
fn a_server_that_restarts_loses_nothing() {
    suite("processes::a_server_that_restarts_loses_nothing")
        .outage(
            "restart",
            |server, _| server.lock().unwrap().kill(),
            |server, _| server.lock().unwrap().start_again(),
        )
        .only(["outage restart: before", "outage restart: within", "outage restart: over"])
        .run()
        .assert();
}

/// Each connection is broken, once. All come back.
#[test]
fn a_server_that_drops_its_connections_loses_nothing() {
    let drop_all = |server: &Mutex<Server>, _: &[u32]| {
        let mut kill = Cmd::new();
        kill.arg(&["CLIENT", "KILL", "TYPE", "normal"]);
        let _: i64 = server.lock().unwrap().ask(&kill);
    };
    suite("processes::a_server_that_drops_its_connections_loses_nothing")
        .outage("drop", drop_all, drop_all)
        .only(["outage drop: before", "outage drop: within", "outage drop: over"])
        .run()
        .assert();
}

/// A server that has no room for another byte: nothing is refreshed there.
#[test]
fn a_full_server_loses_nothing() {
    let limit = |server: &Mutex<Server>, bytes: &str| {
        let mut set = Cmd::new();
        set.arg(&["CONFIG", "SET", "maxmemory", bytes]);
        let _: String = server.lock().unwrap().ask(&set);
    };
    suite("processes::a_full_server_loses_nothing")
        .outage("full", move |server, _| limit(server, "1"), move |server, _| limit(server, "0"))
        .only(["outage full: before", "outage full: within", "outage full: over"])
        .run()
        .assert();
}
