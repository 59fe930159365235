//! The suite for refreshers catches refreshers that break the contract, each by the clause that is broken.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod broken_refreshers;
mod quotes;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use auth_core::{RefreshError, Refresher, RefresherFn, Tokens, async_trait};
use auth_reqwest::ReqwestTransport;
use auth_reqwest::reqwest::redirect;
use auth_testkit::conformance::{RefresherSuite, Report};
use auth_testkit::server::TestServer;
use tokio::runtime::{Builder, Runtime};

use broken_refreshers::{Broken, refresh_text};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

fn transport() -> ReqwestTransport {
    let client = ReqwestTransport::client_builder().no_proxy().build().unwrap();
    ReqwestTransport::new(client).with_handle(RUNTIME.handle().clone())
}

fn good(server: &TestServer) -> Broken {
    Broken::new(server, transport())
}

/// Fails only the clause, and says which promise was broken and how.
#[track_caller]
fn caught(clause: &str, seen: &str, make: impl Fn(&TestServer) -> Broken + Send + Sync + 'static) {
    caught_by(RefresherSuite::new(make), clause, seen);
}

#[track_caller]
fn caught_by(suite: RefresherSuite, clause: &str, seen: &str) {
    // What a broken refresher does not do, it does not do for any length of time.
    let report: Report = suite.only([clause]).deadline(Duration::from_secs(2)).run();

    let promise = RefresherSuite::clauses().find(|(name, _)| *name == clause).expect("the clause exists").1;
    let text = report.to_string();
    assert!(!report.is_ok(), "{clause} lets it pass");
    assert!(text.contains(&format!("refresher: {promise:?}: {clause}: ")), "{text}");
    assert!(text.contains(seen), "{text}");
}

#[test]
fn a_refresher_that_presents_twice() {
    caught("presents", "1 refreshes sent 2 token requests", |server| {
        // With a grace period nobody notices.
        server.configure(|policy| policy.grace = Duration::from_secs(60));
        good(server).again(|_| true)
    });
}

#[test]
fn a_refresher_that_presents_something_else() {
    caught("presents", "a refresh failed", |server| {
        good(server).presenting(|current| current.access_token().reveal())
    });
    caught("presents", "and another text was presented", |server| {
        server.configure(|policy| policy.rotate = false);
        good(server).presenting(|_| "R0").judging(|answer, _| Ok(answer.current.clone()))
    });
}

#[test]
fn a_refresher_that_encodes_nothing() {
    caught("any_characters", "arrived as", |server| good(server).encoding(str::to_owned));
    // What is right for almost all tokens.
    caught("any_characters", "arrived as", |server| good(server).encoding(|text| text.replace('&', "%26")));
}

#[test]
fn a_refresher_that_remembers() {
    caught("remembers_nothing", "a refresh failed, of another sign-in", |server| good(server).remembering());
}

#[test]
fn a_refresher_that_tries_again() {
    caught("one_request", "answered with 503 sent 2 token requests", |server| {
        good(server).again(|answer| answer.status == Some(503))
    });
    caught("one_request", "answered with half of an answer sent 2 token requests", |server| {
        good(server).again(|answer| answer.status.is_none() && answer.text.is_empty())
    });
}

#[test]
fn a_refresher_that_follows_redirects() {
    caught("redirects", "it followed a 30", |server| {
        let client = ReqwestTransport::client_builder().no_proxy().redirect(redirect::Policy::limited(3));
        let transport = ReqwestTransport::new(client.build().unwrap());
        Broken::new(server, transport.with_handle(RUNTIME.handle().clone()))
    });
    caught("redirects", "a 301 is no outage", |server| {
        good(server).judging(|answer, result| match answer.status {
            Some(301) => Err(RefreshError::rejected("moved")),
            _ => result,
        })
    });
}

#[test]
fn a_refresher_that_sends_the_expired_token() {
    caught("no_bearer", "the access token is sent in authorization", |server| {
        good(server).changing(|request, current| {
            let bearer = format!("Bearer {}", current.access_token().reveal());
            request.headers_mut().insert("authorization", bearer.parse().unwrap());
        })
    });
}

#[test]
fn a_refresher_that_puts_the_token_into_the_uri() {
    caught("not_in_the_uri", "the refresh token is sent in the URI", |server| {
        good(server).changing(|request, current| {
            let uri = format!("{}?refresh_token={}", request.uri(), refresh_text(current));
            *request.uri_mut() = uri.parse().unwrap();
        })
    });
}

#[test]
fn a_refresher_that_returns_what_it_was_given() {
    caught("new_access_token", "returned the access token that it was given", |server| {
        good(server).judging(|answer, result| result.map(|_| answer.current.clone()))
    });
    caught("new_access_token", "opens nothing", |server| {
        good(server).judging(|_, result| result.and_then(|_| Ok(Tokens::new("T1")?)))
    });
}

#[test]
fn a_refresher_that_loses_a_rotation() {
    caught("new_refresh_token", "and it was dropped", |server| {
        good(server).judging(|_, result| result.map(|new| new.with_refresh_token("")))
    });
    caught("new_refresh_token", "and the old one was returned", |server| {
        good(server)
            .judging(|answer, result| result.map(|new| new.with_refresh_token(refresh_text(&answer.current))))
    });
}

#[test]
fn a_refresher_that_makes_up_a_refresh_token() {
    caught("new_refresh_token", "refresh 1 returned T1.0 as the refresh token", |server| {
        good(server).judging(|_, result| {
            result.map(|new| new.clone().with_refresh_token(new.access_token().reveal()))
        })
    });
    caught("no_new_refresh_token", "another than the old one was returned", |server| {
        good(server).judging(|_, result| {
            result.map(|new| {
                let none = refresh_text(&new).is_empty();
                if none { new.with_refresh_token("undefined") } else { new }
            })
        })
    });
}

#[test]
fn a_refresher_that_does_not_say_when_it_expires() {
    caught("lifetime", "and that is not returned", |server| {
        good(server).judging(|_, result| result.and_then(|new| Ok(Tokens::new(new.access_token().reveal())?)))
    });
    caught("lifetime", "of 60s that the answer grants, 0ns were returned", |server| {
        good(server).judging(|_, result| {
            result.map(|new| new.clone().with_expires_in(new.expires_in().unwrap(), SystemTime::UNIX_EPOCH))
        })
    });
    caught("lifetime", "of 60s that the answer grants", |server| {
        good(server).judging(|_, result| {
            result
                .map(|new| new.clone().with_expires_in(new.expires_in().unwrap() * 1_000, SystemTime::now()))
        })
    });
}

#[test]
fn a_refresher_that_does_not_notice_the_end() {
    caught("rejected", "a 400 with invalid_grant is Unavailable, and not Rejected", |server| {
        good(server).judging(|_, result| result.map_err(RefreshError::unavailable))
    });
    caught("rejected", "a refresh token that was revoked is Unavailable, and not Rejected", |server| {
        let first = AtomicBool::new(true);
        good(server).judging(move |_, result| {
            let kept = first.swap(false, Ordering::SeqCst);
            result.map_err(|error| if kept { error } else { RefreshError::unavailable(error) })
        })
    });
    caught("rejected", "is said to be of unknown outcome", |server| {
        good(server).judging(|_, result| result.map_err(RefreshError::outcome_unknown))
    });
}

#[test]
fn a_refresher_that_takes_an_outage_for_the_end() {
    let dead = |_: &str| RefreshError::rejected("dead");
    caught("rejected_on_5xx", "a 500 with invalid_grant is Rejected, and not Unavailable", move |server| {
        good(server).judging(
            move |answer, result| {
                if answer.text.contains("invalid_grant") { Err(dead("")) } else { result }
            },
        )
    });
    caught("unavailable", "a 500 is Rejected, and not Unavailable", move |server| {
        good(server).judging(move |_, result| result.map_err(|_| dead("")))
    });
    caught("unavailable", "a 429 is Misconfigured", |server| {
        good(server).judging(|answer, result| match answer.status {
            Some(429) => Err(RefreshError::misconfigured("too many")),
            _ => result,
        })
    });
    caught("unavailable", "a 500 with server_error is Misconfigured", |server| {
        good(server).judging(|answer, result| {
            let coded = answer.text.contains("server_error");
            if coded { Err(RefreshError::misconfigured("a code")) } else { result }
        })
    });
    caught("unavailable", "sent no token request", |_| good(&TestServer::start().unwrap()));
    caught("not_oauth", "a 400 and nothing else is Rejected", move |server| {
        good(server).judging(move |answer, result| match answer.status {
            Some(400) if answer.text.is_empty() => Err(dead("")),
            _ => result,
        })
    });
    caught("not_oauth", "a 400 with JSON of another kind is Rejected", move |server| {
        good(server).judging(move |answer, result| match answer.status {
            Some(400) if answer.text.contains("message") => Err(dead("")),
            _ => result,
        })
    });
    caught("not_oauth", "a page of HTML with 400 is Rejected", move |server| {
        good(server).judging(move |answer, result| match answer.status {
            Some(400 | 401) => Err(dead("")),
            _ => result,
        })
    });
}

#[test]
fn a_refresher_that_is_not_patient() {
    caught("retry_after", "of a 429 that asks for 7 s, the error says None", |server| {
        good(server).judging(|_, result| result.map_err(RefreshError::unavailable))
    });
}

#[test]
fn a_refresher_that_takes_a_refused_client_for_the_end() {
    caught("misconfigured", "a 401 with invalid_client is Rejected, and not Misconfigured", |server| {
        good(server).judging(|answer, result| match answer.status {
            Some(401) => Err(RefreshError::rejected("401")),
            _ => result,
        })
    });
    caught("misconfigured", "a 400 with invalid_scope is Unavailable, and not Misconfigured", |server| {
        good(server).judging(|answer, result| {
            if answer.text.contains("invalid_scope") {
                Err(RefreshError::unavailable("scope"))
            } else {
                result
            }
        })
    });
}

#[test]
fn a_refresher_that_does_not_know_what_was_sent() {
    caught("refused", "a connection that is refused is said to be of unknown outcome", |server| {
        good(server).judging(|_, result| result.map_err(RefreshError::outcome_unknown))
    });
    caught("refused", "a connection that is refused is Misconfigured", |server| {
        good(server).judging(|_, result| result.map_err(RefreshError::misconfigured))
    });
    for (clause, seen) in [
        ("lost", "an answer that is lost is not said to be of unknown outcome"),
        ("gateways", "a 502 is not said to be of unknown outcome"),
        ("unreadable", "a success without a body is not said to be of unknown outcome"),
    ] {
        caught(clause, seen, |server| {
            good(server).judging(|_, result| result.map_err(RefreshError::unavailable))
        });
    }
    caught("unreadable", "a success that is no JSON is a success", |server| {
        good(server).judging(|answer, result| match answer.status {
            Some(200) if answer.text == "{" => Ok(answer.current.clone()),
            _ => result,
        })
    });
    caught("unreadable", "a success without a body is Misconfigured, and not Unavailable", |server| {
        good(server).judging(|_, result| result.map_err(RefreshError::misconfigured))
    });
}

#[test]
fn a_refresher_that_quotes() {
    caught("secrets", "of invalid_grant that quotes what was presented, the Debug of the error", |server| {
        good(server).judging(|answer, result| result.map_err(|_| RefreshError::rejected(answer.text.clone())))
    });
    caught("secrets", "of a success that is no JSON", |server| {
        good(server).judging(|answer, result| match answer.status {
            Some(200) => result.map_err(|_| RefreshError::unavailable(answer.text.clone()).outcome_unknown()),
            _ => result,
        })
    });
    // A part of it is enough.
    caught("secrets", "of an answer that is lost", |server| {
        good(server).judging(|answer, result| match answer.status {
            None if answer.text.is_empty() => result.map_err(|_| {
                let text = refresh_text(&answer.current);
                RefreshError::unavailable(format!("…{} could not be sent", &text[text.len() - 8..]))
            }),
            _ => result,
        })
    });
}

#[test]
fn a_refresher_that_makes_one_call_at_a_time() {
    caught("concurrent", "still waiting for 8 refreshes", |server| good(server).one_at_a_time());
}

#[test]
fn a_refresher_that_mixes_up_its_calls() {
    caught("concurrent", "returned a token that opens nothing", |server| {
        good(server).judging(|_, result| result.and_then(|_| Ok(Tokens::new("T1")?)))
    });
    caught("concurrent", "which is of another sign-in", |server| {
        let last = std::sync::Mutex::new(None::<Tokens>);
        good(server).judging(move |_, result| {
            let new = result?;
            Ok(last.lock().unwrap().replace(new.clone()).unwrap_or(new))
        })
    });
}

#[test]
fn a_refresher_that_does_not_stand_being_dropped() {
    caught("given_up", "a refresh failed, after one that was given up", |server| good(server).busy());
}

#[test]
fn a_refresher_that_does_not_know_what_it_can() {
    caught("can_refresh", "there is no refresh token, and it can refresh", |server| {
        good(server).can_refresh(true)
    });
    caught("can_refresh", "there is a refresh token, and it cannot refresh", |server| {
        good(server).can_refresh(false)
    });
}

#[test]
fn a_refresher_that_acquires_where_somebody_has_to_sign_in() {
    caught("sign_in_needed", "somebody has to sign in, and that is an error", |server| {
        good(server).acquiring()
    });
    caught("sign_in_needed", "somebody has to sign in, and it acquired tokens", |server| {
        server.configure(|policy| policy.client_credentials = true);
        good(server).acquiring()
    });
}

#[test]
fn a_refresher_that_does_not_acquire_as_it_should() {
    let acquiring = |change: fn(Broken) -> Broken| {
        RefresherSuite::new(move |server: &TestServer| change(good(server).acquiring())).acquiring()
    };
    let no_acquire = RefresherSuite::new(|server: &TestServer| good(server).can_refresh(true)).acquiring();
    caught_by(no_acquire, "acquires", "it needs no sign-in, and acquires no tokens");
    caught_by(acquiring(|good| good.again(|_| true)), "acquires", "it sent 2 token requests");
    let forgery = || acquiring(|good| good.judging(|_, result| result.and_then(|_| Ok(Tokens::new("T0")?))));
    caught_by(forgery(), "acquires", "it acquired a token that opens nothing");
    caught_by(forgery(), "needs_no_refresh_token", "it returned a token that opens nothing");
    caught_by(
        acquiring(|good| good.again(|answer| answer.status != Some(200))),
        "acquire_failures",
        "it sent 2",
    );
    let known = acquiring(|good| good.judging(|_, result| result.map_err(RefreshError::unavailable)));
    caught_by(known, "acquire_failures", "invalid_client is Unavailable, and not Misconfigured");
    let known = acquiring(|good| {
        good.judging(|answer, result| match answer.status {
            None => result.map_err(RefreshError::unavailable),
            Some(_) => result,
        })
    });
    caught_by(known, "acquire_failures", "an answer that is lost is not said to be of unknown outcome");
    let cannot = acquiring(|good| good.can_refresh(false));
    caught_by(cannot, "needs_no_refresh_token", "it needs no refresh token, and cannot refresh without one");
}

#[test]
fn a_refresher_that_makes_much_of_revoking() {
    caught("revokes_in_vain", "it panicked", |server| {
        good(server).after_revoking(|answer| drop(answer.unwrap()))
    });
}

#[test]
fn a_refresher_that_does_not_revoke() {
    struct Silent(Broken);
    #[async_trait]
    impl Refresher for Silent {
        async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
            self.0.refresh(current).await
        }
    }

    let silent = RefresherSuite::new(|server: &TestServer| Silent(good(server))).revoking();
    caught_by(silent, "revokes", "a pair was revoked, and still opens everything");
}

#[test]
fn a_refresher_that_panics_is_caught_by_every_clause_that_asks_it() {
    fn panics(_: Tokens) -> std::future::Ready<Result<Tokens, RefreshError>> {
        panic!("on purpose")
    }

    let make = |_: &TestServer| -> RefresherFn<_> { auth_core::refresher_fn(panics) };
    let report = RefresherSuite::new(make).run();

    assert_eq!(report.passed, ["can_refresh", "sign_in_needed", "revokes_in_vain"], "{report}");
    assert!(report.failed.iter().all(|failure| failure.seen.contains("on purpose")), "{report}");
}

#[test]
#[should_panic(expected = "and it was dropped")]
fn the_one_line_form_panics_with_what_was_seen() {
    auth_testkit::conformance::refresher(|server: &TestServer| {
        good(server).judging(|_, result| result.map(|new| new.with_refresh_token("")))
    });
}

#[test]
fn every_clause_quotes_the_documentation() {
    quotes::assert_quoted(include_str!("../../auth-core/src/refresher.rs"), RefresherSuite::clauses());
}

/// What wraps a refresher keeps the contract by itself, so that what is caught above is what was broken.
#[test]
fn what_is_not_broken_passes() {
    RefresherSuite::new(good).revoking().run().assert();

    let report = RefresherSuite::new(|server: &TestServer| good(server).acquiring()).acquiring().run();
    report.assert();
    let skipped: Vec<_> = report.skipped.iter().map(|(clause, _)| clause.as_str()).collect();
    assert!(skipped.contains(&"new_refresh_token") && !skipped.contains(&"acquires"), "{report}");
}
