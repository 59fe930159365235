//! Clause by clause, on several executors.

use std::fs;

use auth_testkit::conformance::TokenStoreSuite;

use crate::support::{Dir, block_on};

fn suite() -> TokenStoreSuite<Dir, auth_stores::FileStore> {
    TokenStoreSuite::new(Dir::new, Dir::store)
        .shared()
        .debug()
        .steal(|dir| {
            // What a program does that cleans up too much.
            fs::remove_file(dir.lock_file()).unwrap();
            async {}
        })
        .failing(|dir| {
            fs::remove_dir_all(dir.path()).unwrap();
            async {}
        })
        .garbled(|dir| {
            // A token where a number has to be: the parser's words would quote it.
            let text = fs::read_to_string(dir.file()).unwrap();
            fs::write(dir.file(), text.replace("refresh_token", "expires_in_ms")).unwrap();
            async {}
        })
}

#[test]
fn it_keeps_the_contract_on_a_bare_executor() {
    let report = suite().run();

    report.assert();
    assert!(report.skipped.is_empty(), "{report}");
}

#[test]
fn it_keeps_the_contract_on_tokio() {
    let on_tokio = |future| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(future);
    };

    suite().block_on(on_tokio).run().assert();
}

#[test]
fn it_keeps_the_contract_on_smol() {
    suite().block_on(block_on).run().assert();
}
