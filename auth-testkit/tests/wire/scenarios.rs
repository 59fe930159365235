//! The scenarios, each for any backend.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use auth_core::{
    AuthClient, Body, Challenge, ErrorKind, NotReplayed, NotReplayedReason, Session, StandaloneRuntime,
    TokenStore as _, Transport, TransportError, async_trait,
};
use auth_testkit::server::{TestServer, TokenAnswer, digest};
use bytes::Bytes;
use futures::future::join_all;
use futures::lock::Mutex;
use futures::stream;
use http::{Request, Response};

use crate::backend::{Backend, wait_bare};
use crate::rig::{Form, Rig};

fn chunks(
    texts: [&'static str; 2],
) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    stream::iter(texts.map(|text| Ok(Bytes::from_static(text.as_bytes()))))
}

fn json(response: Response<Body>) -> serde_json::Value {
    wait_bare(response.into_body().json()).unwrap()
}

/// B14: a 401 from a cross-origin redirect target, which has not seen the token, is not about the token.
pub fn a_refused_redirect_target_is_nobodys_401<B: Backend>() {
    let elsewhere = TestServer::start().unwrap();
    let rig = Rig::<B>::with(B::following(), TestServer::token_endpoint, B::runtime());

    let redirect = rig.server.redirect_to(&elsewhere.api("/notes")).replace("127.0.0.1", "localhost");
    let client =
        AuthClient::builder(B::following(), rig.session.clone()).origin(origin(&redirect)).build().unwrap();
    let response = B::wait(client.send(Request::get(redirect).body(Body::empty()).unwrap())).unwrap();

    assert_eq!(response.status(), 401);
    assert!(response.extensions().get::<Challenge>().is_none());
    assert_eq!(rig.server.stats().token_requests, 0);
    assert!(elsewhere.log().iter().all(|seen| seen.bearer.is_none()), "no token was sent there");
    assert_eq!(elsewhere.stats().unauthorized, 1);
}

fn origin(url: &str) -> String {
    let uri: http::Uri = url.parse().unwrap();
    format!("{}://{}", uri.scheme().unwrap(), uri.authority().unwrap())
}

/// C4: replays start in the order in which requests joined, with some of them cancelled.
pub fn replays_start_in_order<B: Backend>() {
    let rig = Rig::<B>::expired();
    rig.server.hold_token_endpoint();
    let mut waiting: Vec<_> = (0..40).map(|_| Some(Box::pin(rig.client.send(rig.get("/notes"))))).collect();

    B::wait(async {
        // All are rejected and in line, or were in line from the start.
        let mut rejected = pin!(rig.server.when(|stats| stats.token_held == 1 && stats.api_held == 0));
        poll_fn(|cx| {
            for request in waiting.iter_mut().flatten() {
                assert!(request.as_mut().poll(cx).is_pending());
            }
            rejected.as_mut().poll(cx)
        })
        .await;
        for request in waiting.iter_mut().step_by(3) {
            *request = None;
        }
        rig.server.release_token_endpoint();
        for answer in join_all(waiting.into_iter().flatten()).await {
            assert_eq!(answer.unwrap().status(), 200);
        }
    });

    let tickets = rig.tickets();
    assert!(tickets.is_sorted(), "{tickets:?}");
    assert_eq!(rig.server.stats().token_requests, 1);
}

/// C4b: a queued request that is alive but never polled holds the others up for no longer than patience.
pub fn a_request_that_is_never_polled_holds_up_nobody_for_long<B: Backend>() {
    let rig = Rig::<B>::expired();
    let stamp = B::wait(rig.session.lease()).unwrap().stamp();
    rig.server.hold_token_endpoint();
    B::wait(async {
        let mut parked = Box::pin(rig.session.recover(stamp));
        assert!(futures::poll!(&mut parked).is_pending());
        let others = join_all((0..5).map(|_| rig.client.send(rig.get("/notes"))));
        rig.server.release_token_endpoint();

        for answer in others.await {
            assert_eq!(answer.unwrap().status(), 200);
        }

        drop(parked);
    });
    assert_eq!(rig.server.stats().token_requests, 1);
}

/// C12: the token endpoint answers 401: a failed refresh, no other one, no deadlock.
pub fn a_token_endpoint_that_says_401_is_a_failed_refresh<B: Backend>() {
    let rig = Rig::<B>::expired();
    rig.server.always_token_answer(Some(TokenAnswer::OAuthError {
        status: 401,
        code: "invalid_client".to_owned(),
    }));

    let error = rig.send(rig.get("/notes")).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert_eq!(error.response().unwrap().status, 401);
    assert_eq!(rig.server.stats().token_requests, 1);
}

/// A transport that allows one call at a time, its response's head included.
struct OneAtATime<T> {
    transport: T,
    turnstile: Arc<Mutex<()>>,
}

#[async_trait]
impl<T: Transport> Transport for OneAtATime<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let _inside = self.turnstile.lock().await;
        self.transport.send(request).await
    }
}

/// C14: the transport allows one call at a time, for the refresher too, and many wait for the refresh: it gets through.
pub fn a_refresh_gets_through_where_every_call_waits_for_it<B: Backend>() {
    let server = TestServer::start().unwrap();
    let turnstile = Arc::<Mutex<()>>::default();
    let narrow = || OneAtATime { transport: B::transport(), turnstile: Arc::clone(&turnstile) };
    let refresher = Form { transport: narrow(), endpoint: server.token_endpoint() };
    let session = Session::builder(refresher).runtime(B::runtime()).build();
    let client = AuthClient::builder(narrow(), session.clone()).origin(server.base_url()).build().unwrap();

    let answers = B::wait(async {
        session.sign_in(server.issue()).await.unwrap();
        server.expire_access_tokens();
        join_all((0..8).map(|_| client.send(Request::get(server.api("/x")).body(Body::empty()).unwrap())))
            .await
    });

    assert!(answers.into_iter().all(|answer| answer.unwrap().status() == 200));
    assert_eq!(server.stats().token_requests, 1);
}

/// E3: a buffered body is sent again byte for byte, with its length.
pub fn a_buffered_body_is_sent_again_byte_for_byte<B: Backend>() {
    let rig = Rig::<B>::expired();
    let body: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();

    let response = rig.send(rig.post("/upload", Body::from(body.clone()))).unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(json(response)["digest"], digest(&body));
    let uploads: Vec<_> = rig.server.log().into_iter().filter(|seen| seen.path() == "/api/upload").collect();
    assert_eq!(uploads.len(), 2);
    for seen in uploads {
        assert_eq!(seen.headers["content-length"], "200000");
        assert_eq!(seen.body_length, 200_000);
    }
}

/// E5: a one-shot body that was sent: the 401 comes back at once, body and all; the refresh happens and is saved.
pub fn a_body_that_was_sent_hands_back_the_401<B: Backend>() {
    let store = auth_core::MemoryStore::new();
    let server = TestServer::start().unwrap();
    let refresher = Form { transport: B::transport(), endpoint: server.token_endpoint() };
    let session = Session::builder(refresher).store(store.clone()).runtime(B::runtime()).build();
    let client =
        AuthClient::builder(B::transport(), session.clone()).origin(server.base_url()).build().unwrap();
    B::wait(session.sign_in(server.issue())).unwrap();
    server.expire_access_tokens();

    let request = Request::post(server.api("/upload")).body(Body::stream(chunks(["one ", "shot"]))).unwrap();
    let response = B::wait(client.send(request)).unwrap();

    assert_eq!(response.status(), 401);
    assert_eq!(response.extensions().get(), Some(&NotReplayed(NotReplayedReason::Body)));
    assert!(!B::wait(response.into_body().bytes()).unwrap().is_empty());
    B::wait(server.when(|stats| stats.refreshes_granted == 1));
    let next = Request::get(server.api("/next")).body(Body::empty()).unwrap();
    assert_eq!(B::wait(client.send(next)).unwrap().status(), 200);
    let saved = wait_bare(store.load()).unwrap().unwrap();
    assert!(server.accepts(saved.access_token().reveal()));
    assert_eq!(server.stats().token_requests, 1);
}

/// E7: a body factory makes a fresh body for each attempt.
pub fn a_body_factory_makes_one_for_each_attempt<B: Backend>() {
    let rig = Rig::<B>::expired();

    let response = rig.send(rig.post("/upload", Body::replayable(|| chunks(["made ", "anew"])))).unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(json(response)["digest"], digest(b"made anew"));
    assert_eq!(rig.attempts(), 2);
}

/// E7: a body that fails is its own error, and no reason to refresh.
pub fn a_failing_body_is_its_own_error<B: Backend>() {
    let rig = Rig::<B>::expired();
    let failing = || {
        let torn = std::io::Error::other("the file is gone");
        stream::iter([Ok(Bytes::from_static(b"begun")), Err(torn)])
    };

    let error = rig.send(rig.post("/upload", Body::replayable(failing).with_length(100))).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Body);
    assert_eq!(rig.server.stats().token_requests, 0);
}

/// E16: the 401's body is read to its end, or closed, before the replay: the connection is used again.
pub fn a_connection_is_used_again_after_a_rejection<B: Backend>() {
    let rig = Rig::<B>::expired();

    for _ in 0..3 {
        assert_eq!(rig.send(rig.get("/notes")).unwrap().status(), 200);
        rig.server.expire_access_tokens();
    }

    let log = rig.server.log();
    let api: Vec<_> = log.iter().filter(|seen| seen.path() == "/api/notes").collect();
    assert_eq!(api.len(), 6);
    // A library may need a moment to put a connection back, and the replay may be faster. Not always.
    assert!(api.chunks(2).any(|pair| pair[0].connection == pair[1].connection));
}

/// L1: a redirect to another origin: the token does not go there.
pub fn a_token_does_not_follow_a_redirect<B: Backend>() {
    let elsewhere = TestServer::start().unwrap();
    let rig = Rig::<B>::expired();
    let redirect =
        || Request::get(rig.server.redirect_to(&elsewhere.public("/motd").replace("127.0.0.1", "localhost")));

    let response = rig.send(redirect().body(Body::empty()).unwrap()).unwrap();
    assert_eq!(response.status(), 302, "none is followed unless it was asked for");
    assert_eq!(elsewhere.stats().public_requests, 0);

    let client = AuthClient::builder(B::following(), rig.session.clone())
        .origin(rig.server.base_url())
        .build()
        .unwrap();
    let response = B::wait(client.send(redirect().body(Body::empty()).unwrap())).unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(elsewhere.stats().public_requests, 1);
    assert!(
        elsewhere
            .log()
            .iter()
            .all(|seen| seen.bearer.is_none() && !seen.headers.contains_key("authorization"))
    );
}

/// L5: the refresh request follows no redirect.
pub fn a_refresh_follows_no_redirect<B: Backend>() {
    let elsewhere = TestServer::start().unwrap();
    let target = elsewhere.token_endpoint();
    let rig = Rig::<B>::with(B::transport(), |server| server.redirect_to(&target), B::runtime());

    let error = rig.send(rig.get("/notes")).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
    assert_eq!(elsewhere.log().len(), 0, "no refresh token went there");
}

/// L7: the refresh request carries no bearer of the expired session.
pub fn a_refresh_carries_no_bearer<B: Backend>() {
    let rig = Rig::<B>::expired();

    assert_eq!(rig.send(rig.get("/notes")).unwrap().status(), 200);

    let refreshes: Vec<_> = rig.server.log().into_iter().filter(|seen| seen.grant_type.is_some()).collect();
    assert_eq!(refreshes.len(), 1);
    assert!(refreshes[0].bearer.is_none() && !refreshes[0].headers.contains_key("authorization"));
}

/// Q1: the same without a runtime of the backend's: on a bare executor, with the standalone runtime.
pub fn everything_works_on_a_bare_executor<B: Backend>() {
    let rig = Rig::<B>::with(B::transport(), TestServer::token_endpoint, Arc::new(StandaloneRuntime::new()));

    let answers = wait_bare(join_all((0..20).map(|_| rig.client.send(rig.get("/notes")))));

    for answer in answers {
        let response = answer.unwrap();
        assert_eq!(response.status(), 200);
        assert!(wait_bare(response.into_body().bytes()).unwrap().starts_with(b"{"));
    }
    assert_eq!(rig.server.stats().token_requests, 1);
    assert!(rig.tickets().is_sorted());
}

/// Q2: a waiter polled once and then leaked: the others make progress.
pub fn a_waiter_that_is_leaked_holds_up_nobody_for_long<B: Backend>() {
    let rig = Rig::<B>::expired();
    let stamp = B::wait(rig.session.lease()).unwrap().stamp();
    rig.server.hold_token_endpoint();
    let session = rig.session.clone();
    // Or the refresh could be over within the first poll.
    rig.server.hold_token_endpoint();
    let mut leaked = Box::pin(async move { session.recover(stamp).await });
    B::wait(poll_fn(|cx| {
        assert!(leaked.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
    std::mem::forget(leaked);
    rig.server.release_token_endpoint();

    let answers = B::wait(join_all((0..5).map(|_| rig.client.send(rig.get("/notes")))));

    assert!(answers.into_iter().all(|answer| answer.unwrap().status() == 200));
    assert_eq!(rig.server.stats().token_requests, 1);
}
