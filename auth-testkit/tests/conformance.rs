//! The suite for transports catches transports that break the contract, each by the clause that is broken.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod broken;
mod quotes;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use auth_core::{Transport, TransportError};
use auth_reqwest::ReqwestTransport;
use auth_reqwest::reqwest::redirect;
use auth_testkit::conformance::{Report, TransportSuite};
use http::{HeaderName, HeaderValue};
use tokio::runtime::{Builder, Runtime};

use broken::Broken;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

fn good() -> ReqwestTransport {
    let client = ReqwestTransport::client_builder().no_proxy().build().unwrap();
    ReqwestTransport::new(client).with_handle(RUNTIME.handle().clone())
}

/// Fails only the clause, and says which promise was broken and how.
#[track_caller]
fn caught<T: Transport>(clause: &str, seen: &str, make: impl Fn() -> T + Send + Sync + 'static) {
    // What a broken transport does not do, it does not do for any length of time.
    let report = TransportSuite::new(make).only([clause]).deadline(Duration::from_secs(2)).run();

    let promise = TransportSuite::clauses().find(|(name, _)| *name == clause).expect("the clause exists").1;
    let text = report.to_string();
    assert!(!report.is_ok(), "{clause} lets it pass");
    assert!(text.contains(&format!("transport: {promise:?}: {clause}: ")), "{text}");
    assert!(text.contains(seen), "{text}");
}

#[test]
fn a_transport_that_follows_redirects() {
    caught("redirects", "it followed a 301", || {
        let client = ReqwestTransport::client_builder().no_proxy().redirect(redirect::Policy::limited(3));
        ReqwestTransport::new(client.build().unwrap()).with_handle(RUNTIME.handle().clone())
    });
}

#[test]
fn a_transport_that_swallows_a_401() {
    caught("every_status", "failed", || {
        Broken::new(good()).after(|answer| {
            let response = answer?;
            if response.status() == 401 { Err(TransportError::new("unauthorized")) } else { Ok(response) }
        })
    });
}

#[test]
fn a_transport_that_sends_again() {
    for clause in ["once_unsafe", "once_safe"] {
        caught(clause, "it was sent 2 times", || Broken::new(good()).sending_again());
    }
}

#[test]
fn a_transport_that_buffers_the_response() {
    caught("chunks_down", "still waiting for the response to GET", || {
        Broken::new(good()).buffering_the_response()
    });
}

#[test]
fn a_transport_that_buffers_the_request() {
    caught("chunks_up", "the second not produced yet", || Broken::new(good()).buffering_the_request());
    caught("both_ways", "still waiting for the response", || Broken::new(good()).buffering_the_request());
}

#[test]
fn a_transport_that_waits_for_a_body() {
    caught("head_first", "still waiting for the response", || Broken::new(good()).buffering_the_response());
}

#[test]
fn a_transport_that_drops_a_header() {
    caught("request_headers", "x-empty was [\"\"] and arrived as []", || {
        Broken::new(good()).before(|request| {
            request.headers_mut().remove("x-empty");
        })
    });
    caught("response_headers", "set-cookie", || {
        Broken::new(good()).after(|answer| {
            let mut response = answer?;
            response.headers_mut().remove("set-cookie");
            Ok(response)
        })
    });
}

#[test]
fn a_transport_that_merges_values() {
    caught("request_headers", "x-many", || {
        Broken::new(good()).before(|request| {
            let values: Vec<_> = request.headers().get_all("x-many").iter().cloned().collect();
            let merged = values.iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(", ");
            if !values.is_empty() {
                request.headers_mut().insert("x-many", merged.parse().unwrap());
            }
        })
    });
}

#[test]
fn a_transport_that_makes_something_of_bytes() {
    caught("header_bytes", "arrived as", || {
        Broken::new(good()).before(|request| {
            for value in request.headers_mut().values_mut() {
                *value = value.to_str().unwrap_or("?t?").parse().unwrap();
            }
        })
    });
}

#[test]
fn a_transport_that_replaces_a_header() {
    caught("added_headers", "user-agent was \"notes/1.0\"", || {
        Broken::new(good()).before(|request| {
            let own = (HeaderName::from_static("user-agent"), HeaderValue::from_static("mine/1.0"));
            request.headers_mut().insert(own.0, own.1);
        })
    });
}

#[test]
fn a_transport_that_changes_the_method() {
    caught("methods", "PATCH arrived as PUT", || {
        Broken::new(good()).before(|request| {
            if request.method() == http::Method::PATCH {
                *request.method_mut() = http::Method::PUT;
            }
        })
    });
}

#[test]
fn a_transport_that_loses_the_query() {
    caught("uri", "arrived as /api/notes", || {
        Broken::new(good()).before(|request| {
            *request.uri_mut() = request.uri().to_string().split('?').next().unwrap().parse().unwrap();
        })
    });
}

#[test]
fn a_transport_that_truncates_bodies() {
    caught("bodies_up", "of a body of 1500000 bytes of bytes arrived 1024", || {
        Broken::new(good()).truncating_the_request(1024)
    });
    caught("bodies_down", "of a body of 1500000 bytes came 1024", || {
        Broken::new(good()).truncating_the_response(1024)
    });
}

#[test]
fn a_transport_that_takes_half_for_the_whole() {
    caught("truncated", "taken for the whole", || Broken::new(good()).truncating_the_response(8));
}

#[test]
fn a_transport_that_sends_an_empty_body_for_none() {
    caught("no_body", "a GET without a body arrived with", || {
        Broken::new(good()).before(|request| {
            request.headers_mut().insert("content-length", HeaderValue::from_static("0"));
        })
    });
}

#[test]
fn a_transport_that_does_not_say_where_a_response_came_from() {
    caught("final_uri", "without FinalUri", || {
        Broken::new(good()).after(|answer| {
            let mut response = answer?;
            response.extensions_mut().clear();
            Ok(response)
        })
    });
}

#[test]
fn a_transport_that_classifies_wrongly() {
    let plain = || {
        Broken::new(good()).after(|answer| answer.map_err(|_| TransportError::new("it went wrong").connect()))
    };
    caught("refused", "a connection that is refused is said to be maybe_sent", || {
        Broken::new(good()).after(|answer| answer.map_err(TransportError::maybe_sent))
    });
    caught("lost", "an answer that is lost is said to be connect", plain);
    caught("own_body", "the error does not say so", plain);
    caught("told_length", "was told to be of 3", plain);
    caught("once_safe", "may not have been", plain);
}

#[test]
fn a_transport_that_does_not_say_that_time_ran_out() {
    let make = || {
        let client = ReqwestTransport::client_builder().no_proxy().timeout(Duration::from_millis(50));
        let slow = ReqwestTransport::new(client.build().unwrap()).with_handle(RUNTIME.handle().clone());
        Broken::new(slow).after(|answer| answer.map_err(|_| TransportError::new("lost").maybe_sent()))
    };

    let report = TransportSuite::new(good).impatient(make).only(["timeout"]).run();

    assert!(report.to_string().contains("is not said to be timeout"), "{report}");
}

#[test]
fn a_transport_that_goes_on_when_it_is_given_up() {
    for clause in ["abandons_sending", "abandons_waiting", "releases_the_body"] {
        caught(clause, "given up", || Broken::new(good()).in_the_background(RUNTIME.handle().clone()));
    }
    for clause in ["drops_a_silent_response", "drops_a_response"] {
        caught(clause, "that a response is dropped", || Broken::new(good()).keeping_responses());
    }
}

#[test]
fn a_transport_that_makes_a_connection_for_each() {
    caught("used_again", "no connection was used after a 401", || {
        let client = ReqwestTransport::client_builder().no_proxy().pool_max_idle_per_host(0);
        ReqwestTransport::new(client.build().unwrap()).with_handle(RUNTIME.handle().clone())
    });
}

#[test]
fn a_transport_that_sends_one_at_a_time() {
    caught("many", "64 requests to be under way at a time", || Broken::new(good()).one_at_a_time());
}

#[test]
fn a_transport_that_needs_a_runtime() {
    caught("executors", "no tokio runtime", || {
        ReqwestTransport::new(ReqwestTransport::client_builder().no_proxy().build().unwrap())
    });
}

#[test]
fn a_transport_that_takes_credentials_elsewhere() {
    let make = || {
        let client = ReqwestTransport::client_builder().no_proxy().redirect(redirect::Policy::limited(3));
        let following = ReqwestTransport::new(client.build().unwrap()).with_handle(RUNTIME.handle().clone());
        Broken::new(following).following_with_credentials()
    };

    let suite = || TransportSuite::new(good).following_redirects(make);
    let report = suite().only(["followed_elsewhere"]).run();

    assert!(report.to_string().contains("authorization was sent to another origin"), "{report}");
    suite().only(["followed"]).run().assert();
}

#[test]
fn a_transport_that_panics_is_caught_by_every_clause() {
    struct Panicking;
    #[auth_core::async_trait]
    impl Transport for Panicking {
        async fn send(
            &self,
            _: http::Request<auth_core::Body>,
        ) -> Result<http::Response<auth_core::Body>, TransportError> {
            panic!("on purpose")
        }
    }

    let report: Report = TransportSuite::new(|| Panicking).http2(|| Panicking).run();

    assert!(report.passed.is_empty(), "{report}");
    let blamed = |text: &str| text.contains("on purpose") || text.contains("the transport panicked");
    assert!(report.failed.iter().all(|failure| blamed(&failure.seen)), "{report}");
}

#[test]
#[should_panic(expected = "it followed a 301")]
fn the_one_line_form_panics_with_what_was_seen() {
    auth_testkit::conformance::transport(|| {
        let client = ReqwestTransport::client_builder().no_proxy().redirect(redirect::Policy::limited(3));
        ReqwestTransport::new(client.build().unwrap()).with_handle(RUNTIME.handle().clone())
    });
}

#[test]
fn a_gap_is_reported_and_not_tried() {
    let suite = TransportSuite::new(|| Broken::new(good()).one_at_a_time());

    let report = suite.only(["many", "uri"]).gap("many", "one at a time").run();

    assert_eq!(report.passed, ["uri"]);
    assert_eq!(report.gaps, [("many".to_owned(), "one at a time".to_owned())]);
    assert!(report.to_string().contains("many: not tried: one at a time"), "{report}");
}

#[test]
#[should_panic(expected = "the suite has no clause")]
fn a_gap_that_is_no_clause_is_an_error() {
    let _ = TransportSuite::new(good).gap("manny", "a typing error").run();
}

#[test]
fn every_clause_quotes_the_documentation() {
    quotes::assert_quoted(include_str!("../../auth-core/src/transport.rs"), TransportSuite::clauses());
}

#[test]
fn what_needs_a_choice_that_was_not_made_is_said_to_be_skipped() {
    let report = TransportSuite::new(good).only(["timeout", "followed", "http2/uri"]).run();

    let names: Vec<&str> = report.skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["followed", "timeout", "http2/uri"]);
    assert!(report.passed.is_empty());
    assert!(report.to_string().contains("transport: skipped, without `impatient`: timeout"), "{report}");
    report.assert();
}

/// What wraps a transport keeps the contract by itself, so that what is caught above is what was broken.
#[test]
fn what_is_not_broken_passes() {
    let whole = || Arc::new(Broken::new(good()));
    TransportSuite::new(whole).run().assert();
}
