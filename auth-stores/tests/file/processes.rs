//! Real processes that share one file and one sign-in, at a server that detects reuse.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use auth_stores::FileStore;
use auth_testkit::conformance::ProcessSuite;
use auth_testkit::processes::Opening;

use crate::disk::TinyDisk;
use crate::support::Dir;

fn suite(test: &str) -> ProcessSuite<Dir> {
    let address = |dir: &Dir| dir.file().to_str().expect("a path that is text").to_owned();
    ProcessSuite::new(test, Dir::new, address, |opening| async { FileStore::new(opening.address) })
}

/// K5: expiry after expiry, one of eight processes refreshes, and the rest adopt. K9: whoever has the lock looks first.
#[test]
fn processes_on_one_file_make_one_refresh() {
    suite("processes::processes_on_one_file_make_one_refresh")
        .processes(8)
        .rounds(20)
        .only(["one_refresh", "started_again"])
        .run()
        .assert();
}

/// J10: what a clock that is hours off takes for expired costs a refresh, and not the session.
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

/// K15: `kill -9` at every step of a refresh, and in the middle of a save. K8: the lock dies with its holder.
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

/// K8, I12: a holder that is stopped keeps the lock, and the others are told in bounded time. K17: what was written without the
/// lock meanwhile, it does not overwrite.
#[test]
fn a_stopped_process_loses_nothing() {
    suite("processes::a_stopped_process_loses_nothing")
        .only(["stopped_before_it_presents", "stopped_before_it_saves", "stopped_and_overtaken"])
        .run()
        .assert();
}

/// K2, K15: a disk without room for a single byte. Nothing is refreshed there; and what was refreshed before has its room already.
#[test]
fn a_full_disk_loses_nothing() {
    let test = "processes::a_full_disk_loses_nothing";
    if !TinyDisk::may_be_mounted(test) {
        return;
    }
    let open = |opening: Opening| async { FileStore::new(opening.address) };
    ProcessSuite::new(test, TinyDisk::new, TinyDisk::address, open)
        .outage("full", |disk, _| disk.fill(), |disk, _| disk.make_room())
        .only(["outage full: before", "outage full: within", "outage full: over"])
        .run()
        .assert();
}

/// K2: a directory that nobody may write to, as on a disk that was made read-only.
#[test]
fn a_read_only_directory_loses_nothing() {
    let set = |dir: &Dir, mode| fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
    let root = fs::metadata(Dir::new().path()).unwrap().uid() == 0;
    suite("processes::a_read_only_directory_loses_nothing")
        // Root may do what permissions forbid.
        .launch(|launch| match root {
            true => launch.through(["setpriv", "--bounding-set=-all", "--inh-caps=-all"]),
            false => launch,
        })
        .outage("read-only", move |dir, _| set(dir, 0o500), move |dir, _| set(dir, 0o700))
        .only(["outage read-only: before", "outage read-only: within", "outage read-only: over"])
        .run()
        .assert();
}
