//! The scenarios that cross the wire, once for each backend: real sockets, a real server, one suite.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(unreachable_pub, reason = "these modules are one program")]

mod backend;
mod rig;
mod scenarios;

/// Each scenario as a test of each backend.
macro_rules! suite {
    ($($scenario:ident),+ $(,)?) => {
        mod over_reqwest {
            $(#[test] fn $scenario() { crate::scenarios::$scenario::<crate::backend::Reqwest>(); })+
        }

        mod over_isahc {
            $(#[test] fn $scenario() { crate::scenarios::$scenario::<crate::backend::Isahc>(); })+
        }
    };
}

suite! {
    a_refused_redirect_target_is_nobodys_401,
    replays_start_in_order,
    a_request_that_is_never_polled_holds_up_nobody_for_long,
    a_token_endpoint_that_says_401_is_a_failed_refresh,
    a_refresh_gets_through_where_every_call_waits_for_it,
    a_buffered_body_is_sent_again_byte_for_byte,
    a_body_that_was_sent_hands_back_the_401,
    a_body_factory_makes_one_for_each_attempt,
    a_failing_body_is_its_own_error,
    a_connection_is_used_again_after_a_rejection,
    a_token_does_not_follow_a_redirect,
    a_refresh_follows_no_redirect,
    a_refresh_carries_no_bearer,
    everything_works_on_a_bare_executor,
    a_waiter_that_is_leaked_holds_up_nobody_for_long,
}
