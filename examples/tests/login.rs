//! The refresher of the small programs keeps the contract of its trait.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use auth_testkit::conformance::RefresherSuite;
use tokio::runtime::Builder;

#[test]
fn the_programs_login_keeps_the_contract() {
    RefresherSuite::new(examples::login)
        .block_on(|clause| Builder::new_current_thread().enable_all().build().unwrap().block_on(clause))
        .run()
        .assert();
}
