//! What the crate's documentation says of descriptors: a process of its own, since it opens many.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs::File;

use auth_testkit::server::TestServer;
use support::{request, sent, transport};

/// libcurl waits with `select`. Should it poll one day, the limit of connections can go, and so can this.
#[test]
fn a_descriptor_that_select_cannot_take_is_a_connect_error() {
    if rlimit::increase_nofile_limit(4 * 1024).unwrap() < 2 * 1024 {
        // Such a descriptor cannot be had here.
        return;
    }
    let server = TestServer::start().unwrap();
    let transport = transport();
    let _many: Vec<File> = (0..1_100).map(|_| File::open("/dev/null").unwrap()).collect();

    let error = sent(&transport, request(&server, "POST", "/notes", "text")).unwrap_err();

    assert!(error.is_connect() && !error.is_maybe_sent(), "{error:?}");
    assert_eq!(server.stats().api_requests, 0);
}
