//! Replay and bodies: what is sent again, byte for byte, and what cannot be.

use std::error::Error as _;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::{
    Advice, Attempt, AuthClient, Body, BodyError, Challenge, Error, ErrorKind, Event, FlightId, NoReplay,
    NotReplayed, NotReplayedReason, RefreshError, Runtime as _, SessionState, TokenHeader, Transport,
    TransportError,
};
use auth_testkit::{Running, ScriptedTransport, SendReply, numbered, response};
use bytes::Bytes;
use futures::future::{Either, select};
use futures::stream;
use http::header::{AUTHORIZATION, HeaderName};
use http::{Method, Request, Response, Version};
use http_body::Body as _;

use crate::world::{Answer, ORIGIN, World, error, kind, status};

type Chunk = Result<Bytes, std::io::Error>;

/// A one-shot body of these pieces.
fn one_shot(texts: &'static [&'static str]) -> Body {
    Body::stream(stream::iter(texts.iter().map(|text| Ok::<_, std::io::Error>(*text))))
}

fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/notes").body(body.into()).unwrap()
}

/// The response of a request that has ended with one.
#[track_caller]
fn answer(running: &Running<Answer>) -> Response<Body> {
    running.take().expect("the request has ended").expect("with a response")
}

fn text(world: &World, response: Response<Body>) -> String {
    world.runtime.block_on(response.into_body().text()).unwrap()
}

fn with_body(status: u16, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).body(body.into()).unwrap()
}

/// The transport's side of the next request: it reads the whole body, as if it sent that.
#[track_caller]
fn read(world: &World) -> (Result<Bytes, BodyError>, SendReply) {
    let (request, reply) = world.next_call().into_parts();
    (world.runtime.block_on(request.into_body().bytes()), reply)
}

/// As `read`, with a response.
#[track_caller]
fn read_and_answer(world: &World, response: Response<Body>) -> Bytes {
    let (body, reply) = read(world);
    reply.answer(response);
    world.settle();
    body.unwrap()
}

/// What becomes of a body: how many pieces were taken, and whether it is gone.
#[derive(Clone, Default)]
struct Watched {
    taken: Arc<AtomicUsize>,
    alive: Arc<()>,
}

impl Watched {
    /// A body of these pieces, which goes on for ever, silently, if `hangs`.
    fn body(&self, pieces: Vec<Bytes>, hangs: bool) -> Body {
        let (taken, alive) = (Arc::clone(&self.taken), Arc::clone(&self.alive));
        let mut pieces = pieces.into_iter();
        Body::stream(stream::poll_fn(move |_| {
            let _keep = &alive;
            match pieces.next() {
                Some(piece) => {
                    taken.fetch_add(1, Ordering::SeqCst);
                    std::task::Poll::Ready(Some(Chunk::Ok(piece)))
                }
                None if hangs => std::task::Poll::Pending,
                None => std::task::Poll::Ready(None),
            }
        }))
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    fn is_gone(&self) -> bool {
        Arc::strong_count(&self.alive) == 1
    }
}

fn kib(chunks: usize) -> Vec<Bytes> {
    vec![Bytes::from_static(&[b'x'; 1024]); chunks]
}

mod replays {
    //! What a replay is.

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Tag(&'static str);

    /// E1: a replay is the same request: method, URL, query, headers, extensions, version and body; only the credential is
    /// another, and the attempt's number.
    #[test]
    fn a_replay_differs_in_its_credential_alone() {
        let world = World::signed_in();
        let request = Request::builder()
            .method(Method::from_bytes(b"PURGE").unwrap())
            .uri("/a%20b/%2e?x=1&x=2&=")
            .version(Version::HTTP_2)
            .header("x-b", "2")
            .header("x-a", "1")
            .header("x-b", "3")
            .header("x-bytes", http::HeaderValue::from_bytes(b"\xff\xfe").unwrap())
            .header("content-length", "4")
            .extension(Tag("kept"))
            .body(Body::from("body"))
            .unwrap();

        let running = world.send(request);
        world.api_answers(401);
        world.refresh_answers(numbered(1));
        world.api_answers(200);
        assert_eq!(status(&running), 200);

        let [mut first, mut second] = <[_; 2]>::try_from(world.api.log()).unwrap();
        assert_eq!(first.headers.remove(AUTHORIZATION).unwrap(), "Bearer T0");
        assert_eq!(second.headers.remove(AUTHORIZATION).unwrap(), "Bearer T1");
        let all = |headers: &http::HeaderMap| {
            headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
        };
        assert_eq!(all(&first.headers), all(&second.headers));
        assert_eq!(first.headers.len(), 5);
        for sent in [&first, &second] {
            assert_eq!(sent.method.as_str(), "PURGE");
            assert_eq!(sent.uri, "https://api.example.com/a%20b/%2e?x=1&x=2&=");
            assert_eq!(sent.version, Version::HTTP_2);
            assert_eq!(sent.extensions.get(), Some(&Tag("kept")));
            assert_eq!(sent.body.as_deref(), Some(&b"body"[..]));
        }
        let flight = world.events().into_iter().find_map(|event| match event {
            Event::RefreshStarted { flight, .. } => Some(flight),
            _ => None,
        });
        let [one, two] = [first, second].map(|sent| *sent.extensions.get::<Attempt>().unwrap());
        assert_eq!((one.number, one.ticket, one.flight), (1, None, None));
        assert_eq!((two.number, two.ticket, two.flight), (2, Some(0), flight));
        assert!(flight.is_some());
    }

    /// E1: an event tells of each replay, with the place it waited in.
    #[test]
    fn a_replay_is_told_of() {
        let world = World::signed_in();
        let running = [world.get("/0"), world.get("/1")];
        world.api_answers(401);
        world.api_answers(401);
        world.refresh_answers(numbered(1));
        world.api_answers(200);
        world.api_answers(200);
        assert!(running.iter().all(|running| status(running) == 200));

        let replayed: Vec<_> = world
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Replayed { flight, ticket } => Some((flight.map(FlightId::get), ticket)),
                _ => None,
            })
            .collect();

        assert_eq!(replayed.len(), 2);
        assert_eq!(replayed.iter().map(|(_, ticket)| *ticket).collect::<Vec<_>>(), [Some(0), Some(1)]);
        assert_eq!(replayed[0].0, replayed[1].0);
        assert!(replayed[0].0.is_some());
    }

    /// E2: the replay's 401 is a response like any other, body and all; there is no third send, and no second refresh.
    #[test]
    fn the_replays_401_is_handed_back() {
        let world = World::signed_in();
        let running = world.rejected("/notes");
        world.refresh_answers(numbered(1));

        world.next_call().answer(with_body(401, "still no"));
        world.settle();
        let rejected = answer(&running);

        assert_eq!(rejected.status(), 401);
        assert_eq!(rejected.extensions().get(), Some(&Challenge::Expired));
        assert!(rejected.extensions().get::<NotReplayed>().is_none());
        assert_eq!(text(&world, rejected), "still no");
        world.pass(Duration::from_secs(120));
        assert_eq!((world.api.calls(), world.refresher.calls()), (2, 1));
    }

    /// E12: the caller gets the replay's response: nothing of the first 401's status, headers, extensions or body.
    #[test]
    fn the_caller_gets_the_replays_response() {
        let world = World::signed_in();
        let first = Response::builder()
            .status(401)
            .header("x-first", "1")
            .extension(Tag("first"))
            .body(Body::from("first"))
            .unwrap();
        let second = Response::builder()
            .status(201)
            .version(Version::HTTP_2)
            .header("x-second", "2")
            .extension(Tag("second"))
            .body(Body::from("second"))
            .unwrap();

        let running = world.get("/notes");
        world.next_call().answer(first);
        world.settle();
        world.refresh_answers(numbered(1));
        world.next_call().answer(second);
        world.settle();
        let answer = answer(&running);

        assert_eq!((answer.status().as_u16(), answer.version()), (201, Version::HTTP_2));
        assert_eq!(answer.headers().keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-second"]);
        assert_eq!(answer.extensions().get(), Some(&Tag("second")));
        assert!(answer.extensions().get::<Challenge>().is_none());
        assert_eq!(text(&world, answer), "second");
    }

    /// E13: a request that says so is refreshed for, but not replayed: its 401 comes back at once, unread, while the refresh
    /// goes on.
    #[test]
    fn a_request_may_ask_not_to_be_replayed() {
        let world = World::signed_in();
        let (body, request) = (Watched::default(), Request::post("/pay").extension(NoReplay));

        let running = world.send(request.body(Body::from("5 EUR")).unwrap());
        world.next_call().answer(with_body(401, body.body(kib(3), false)));
        world.settle();
        let rejected = answer(&running);

        assert_eq!(rejected.status(), 401);
        assert_eq!(rejected.extensions().get(), Some(&NotReplayed(NotReplayedReason::Asked)));
        assert_eq!(rejected.extensions().get(), Some(&Challenge::Expired));
        assert_eq!(body.taken(), 0, "its body is the caller's");
        assert_eq!(text(&world, rejected).len(), 3 * 1024);
        assert_eq!(world.session.state(), SessionState::Refreshing);
        world.refresh_answers(numbered(1));
        assert_eq!(world.stored().as_deref(), Some("T1"));
        assert_eq!(world.api.calls(), 1);
        let next = world.get("/notes");
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        assert_eq!(status(&next), 200);
    }

    /// E13: such a request joins nothing and holds up nobody: others that are rejected share its refresh.
    #[test]
    fn a_request_that_is_not_replayed_has_no_place() {
        let world = World::signed_in();
        let running = world.send(Request::get("/pay").extension(NoReplay).body(Body::empty()).unwrap());
        let other = world.get("/notes");
        world.api_answers(401);
        assert_eq!(status(&running), 401);

        world.api_answers(401);
        world.refresh_answers(numbered(1));
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));

        assert_eq!(status(&other), 200);
        let replay = *world.api.log()[2].extensions.get::<Attempt>().unwrap();
        assert_eq!(replay.ticket, Some(0));
        assert_eq!(world.refresher.calls(), 1);
    }
}

mod again {
    //! Bodies that can be had again, and bodies that cannot.

    use super::*;

    /// E3: a body in memory is sent again byte for byte, with its length.
    #[test]
    fn a_buffered_body_is_sent_again_byte_for_byte() {
        let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let bodies = [Body::from(binary.clone()), Body::from(Bytes::from(binary.clone())), Body::from("")];
        for (body, expected) in bodies.into_iter().zip([&binary[..], &binary[..], b""]) {
            let world = World::signed_in();
            let running = world.send(post(body));

            for code in [401, 200] {
                let (request, reply) = world.next_call().into_parts();
                let body = request.into_body();
                assert_eq!(body.size_hint().exact(), Some(expected.len() as u64));
                assert_eq!(body.is_end_stream(), expected.is_empty());
                assert_eq!(world.runtime.block_on(body.bytes()).unwrap(), expected);
                reply.answer(response(code));
                world.settle();
                if code == 401 {
                    world.refresh_answers(numbered(1));
                }
            }

            assert_eq!(status(&running), 200);
            assert_eq!(world.bearers(), ["T0", "T1"]);
        }
    }

    /// E3: also where the first attempt's body was read only in part, or not at all, before the 401 came.
    #[test]
    fn a_body_that_was_read_in_part_is_sent_again_from_its_start() {
        let world = World::signed_in();
        let chunks = || stream::iter(["one ", "two ", "three"].map(Ok::<_, std::io::Error>));
        let running = world.send(post(Body::replayable(chunks)));

        let (request, reply) = world.next_call().into_parts();
        let mut body = request.into_body();
        let first = world.runtime.block_on(body.frame()).unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "one ");
        reply.answer(response(401));
        world.settle();
        world.refresh_answers(numbered(1));

        assert_eq!(read_and_answer(&world, response(200)), "one two three");
        assert_eq!(status(&running), 200);
    }

    /// E5: a one-shot body has been consumed: the 401, body and all, is handed back at once with the reason; the refresh
    /// still happens, and is saved.
    #[test]
    fn a_consumed_body_hands_the_401_back_at_once() {
        let world = World::signed_in();
        let unread = Watched::default();

        let running = world.send(post(one_shot(&["on", "ce"])));
        let sent = read_and_answer(&world, with_body(401, unread.body(kib(80), false)));
        let rejected = answer(&running);

        assert_eq!(sent, "once");
        assert_eq!(rejected.extensions().get(), Some(&NotReplayed(NotReplayedReason::Body)));
        assert_eq!(unread.taken(), 0, "the 401's body is the caller's");
        assert_eq!(text(&world, rejected).len(), 80 * 1024);
        assert_eq!(world.session.state(), SessionState::Refreshing);
        world.refresh_answers(numbered(1));
        assert_eq!(world.stored().as_deref(), Some("T1"));
        assert_eq!((world.api.calls(), world.refresher.calls()), (1, 1));
        let next = world.get("/next");
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        assert_eq!(status(&next), 200);
    }

    /// E5: it joins a refresh that is up, and a late one starts none.
    #[test]
    fn a_consumed_body_starts_no_second_refresh() {
        let world = World::signed_in();
        let late = world.send(post(one_shot(&["late"])));
        let joining = world.send(post(one_shot(&["joining"])));
        let [late_call, joining_call] = [world.next_call(), world.next_call()];
        let other = world.rejected("/notes");

        joining_call.respond(401);
        world.settle();
        assert_eq!(status(&joining), 401);
        world.refresh_answers(numbered(1));
        world.api_answers(200);
        late_call.respond(401);
        world.settle();

        assert_eq!(answer(&late).extensions().get(), Some(&NotReplayed(NotReplayedReason::Body)));
        assert_eq!(status(&other), 200);
        assert_eq!(world.refresher.calls(), 1);
        assert_eq!(world.session.state(), SessionState::Active);
    }

    /// E5: the 401 is the answer however the refresh ends, and where there can be none.
    #[test]
    fn a_consumed_bodys_401_is_the_answer_whatever_becomes_of_the_session() {
        fn rejected(world: &World, meanwhile: impl FnOnce(&World)) {
            let running = world.send(post(one_shot(&["once"])));
            let call = world.next_call();
            meanwhile(world);
            call.answer(with_body(401, "no"));
            world.settle();
            let rejected = answer(&running);
            assert_eq!(rejected.extensions().get(), Some(&NotReplayed(NotReplayedReason::Body)));
            assert_eq!(text(world, rejected), "no");
        }

        let signed_out = World::signed_in();
        rejected(&signed_out, |world| world.runtime.block_on(world.session.sign_out()).unwrap());
        assert_eq!(signed_out.refresher.calls(), 0);

        let changed = World::signed_in();
        rejected(&changed, |world| world.sign_in(numbered(10)));
        assert_eq!((changed.refresher.calls(), changed.session.state()), (0, SessionState::Active));

        let not_refreshable = World::new();
        not_refreshable.sign_in(auth_core::Tokens::new("T0").unwrap());
        rejected(&not_refreshable, |_| {});
        assert!(matches!(not_refreshable.session.state(), SessionState::Ended(_)));

        let excessive = World::with(|session| session.max_rejections(Some(0)), |client| client);
        excessive.sign_in(numbered(0));
        rejected(&excessive, |_| {});
        assert_eq!((excessive.refresher.calls(), excessive.session.state()), (0, SessionState::Active));

        let cooling = World::signed_in();
        let failing = cooling.rejected("/notes");
        cooling.refresher.answer_with(|_| Err(RefreshError::misconfigured("invalid_client")));
        cooling.refresher.try_next().unwrap().fail(RefreshError::misconfigured("invalid_client"));
        cooling.settle();
        assert_eq!(kind(&failing), ErrorKind::Misconfigured);
        rejected(&cooling, |_| {});
        assert_eq!(cooling.refresher.calls(), 1);

        let ending = World::signed_in();
        ending.refresher.answer_with(|_| Err(RefreshError::rejected("invalid_grant")));
        rejected(&ending, |_| {});
        assert!(matches!(ending.session.state(), SessionState::Ended(_)));
    }

    /// E6: a one-shot body that nobody has consumed is still sent, whole, after a proactive refresh.
    #[test]
    fn an_unconsumed_body_is_sent_after_a_proactive_refresh() {
        let world = World::new();
        let expires = world.runtime.now() + Duration::from_secs(100);
        world.sign_in(numbered(0).with_expires_at(expires));
        world.pass(Duration::from_secs(100));

        let running = world.send(post(one_shot(&["still ", "whole"])));
        assert_eq!(world.api.calls(), 0, "it does not go out with the expired token");
        world.refresh_answers(numbered(1));
        let sent = read_and_answer(&world, response(200));

        assert_eq!(sent, "still whole");
        assert_eq!(status(&running), 200);
        assert_eq!(world.bearers(), ["T1"]);
    }

    /// E6: and so is one that waited because others had been rejected.
    #[test]
    fn an_unconsumed_body_is_sent_after_it_waited_for_others() {
        let world = World::signed_in();
        let other = world.rejected("/notes");

        let running = world.send(post(one_shot(&["still ", "whole"])));
        assert_eq!(world.api.calls(), 1, "it waits");
        world.refresh_answers(numbered(1));
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        let sent = read_and_answer(&world, response(200));

        assert_eq!(sent, "still whole");
        assert_eq!((status(&other), status(&running)), (200, 200));
        assert_eq!(world.bearers(), ["T0", "T1", "T1"]);
    }

    /// E7: a factory makes a fresh body for each attempt, when that is read, with its length each time.
    #[test]
    fn a_factory_makes_a_body_for_each_attempt() {
        let world = World::signed_in();
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let factory = move || {
            let number = counter.fetch_add(1, Ordering::SeqCst);
            stream::iter([Ok::<_, std::io::Error>("body "), Ok(["zero", "one!", "two!"][number])])
        };

        let running = world.send(post(Body::replayable(factory).with_length(9)));
        assert_eq!(made.load(Ordering::SeqCst), 0, "nothing has been read yet");
        let call = world.next_call();
        assert_eq!(call.request().body().size_hint().exact(), Some(9));
        let (request, reply) = call.into_parts();
        assert_eq!(world.runtime.block_on(request.into_body().bytes()).unwrap(), "body zero");
        reply.answer(response(401));
        world.settle();
        assert_eq!(made.load(Ordering::SeqCst), 1, "none is made while it waits");
        world.refresh_answers(numbered(1));
        let replay = world.next_call();
        assert_eq!(replay.request().body().size_hint().exact(), Some(9));
        let (request, reply) = replay.into_parts();
        assert_eq!(world.runtime.block_on(request.into_body().bytes()).unwrap(), "body one!");
        reply.answer(response(200));
        world.settle();

        assert_eq!(status(&running), 200);
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    /// A library's error that has the body's own among its causes.
    #[derive(Debug, thiserror::Error)]
    #[error("the library gave up")]
    struct Library(#[source] BodyError);

    /// E7: a body's failure is an error of its own kind, however deep a transport has wrapped it, and is told apart from
    /// the transport's. It says nothing of the token.
    #[test]
    fn a_failing_body_is_its_own_error() {
        let wraps: [fn(BodyError) -> TransportError; 4] = [
            TransportError::new,
            |error| TransportError::new(std::io::Error::other(error)),
            |error| TransportError::new(Library(error)).maybe_sent(),
            |error| TransportError::new(std::io::Error::other(Library(error))),
        ];
        for wrap in wraps {
            let world = World::signed_in();
            let failing = || stream::iter([Ok("some"), Err(std::io::Error::other("the file has gone"))]);

            let running = world.send(post(Body::replayable(failing)));
            let (body, reply) = read(&world);
            reply.fail(wrap(body.unwrap_err()));
            world.settle();

            let failed = error(&running);
            assert_eq!((failed.kind(), failed.advice()), (ErrorKind::Body, Advice::FixConfiguration));
            assert!(failed.response().is_none());
            assert_eq!(last_cause(&failed), "the file has gone");
            assert_eq!((world.api.calls(), world.refresher.calls()), (1, 0));
            assert_eq!(world.session.state(), SessionState::Active);
        }
    }

    /// E7: the same where it is the replay's body that cannot be made.
    #[test]
    fn a_factory_that_fails_for_the_replay_is_the_bodys_error() {
        let world = World::signed_in();
        let made = AtomicUsize::new(0);
        let factory = move || {
            let first = made.fetch_add(1, Ordering::SeqCst) == 0;
            stream::iter([if first { Ok("once") } else { Err(std::io::Error::other("the file has gone")) }])
        };

        let running = world.send(post(Body::replayable(factory)));
        assert_eq!(read_and_answer(&world, response(401)), "once");
        world.refresh_answers(numbered(1));
        let (body, reply) = read(&world);
        reply.fail(TransportError::new(body.unwrap_err()));
        world.settle();

        let failed = error(&running);
        assert_eq!(failed.kind(), ErrorKind::Body);
        assert_eq!(last_cause(&failed), "the file has gone");
        assert_eq!((world.api.calls(), world.refresher.calls()), (2, 1));
        assert_eq!(world.stored().as_deref(), Some("T1"));
    }

    /// What is at the end of an error's causes, those that `io::Error` hides included.
    fn last_cause(error: &(dyn std::error::Error + 'static)) -> String {
        let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match hidden.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source()) {
            Some(cause) => last_cause(cause),
            None => error.to_string(),
        }
    }
}

mod deadlines {
    //! A caller's deadline around `send`, and what it leaves behind: nothing.

    use super::*;

    /// A request that its caller gives up after this long.
    fn send_within(world: &World, limit: Duration, request: Request<Body>) -> Running<Option<Answer>> {
        let (client, deadline) = (world.client.clone(), world.runtime.sleep(limit));
        let running = world.runtime.start(async move {
            let send = pin!(client.send(request));
            match select(send, deadline).await {
                Either::Left((answer, _)) => Some(answer),
                Either::Right(_) => None,
            }
        });
        world.settle();
        running
    }

    #[track_caller]
    fn assert_gave_up(running: &Running<Option<Answer>>) {
        assert!(matches!(running.take(), Some(None)), "the deadline has fired");
    }

    #[track_caller]
    fn assert_nothing_left(world: &World) {
        assert_eq!(world.api.under_way(), 0);
        assert_eq!((world.runtime.tasks(), world.runtime.timers()), (0, 0));
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// E14: a deadline that fires during the first send abandons it, and nothing was refreshed.
    #[test]
    fn a_deadline_covers_the_first_send() {
        let world = World::signed_in();

        let running = send_within(&world, SECOND, post("x"));
        let call = world.next_call();
        world.pass(SECOND);

        assert_gave_up(&running);
        assert!(call.is_abandoned());
        assert_eq!(world.refresher.calls(), 0);
        assert_nothing_left(&world);
    }

    /// E14: one that fires while the first 401 is drained closes it.
    #[test]
    fn a_deadline_covers_the_draining() {
        let world = World::signed_in();
        let slow = Watched::default();

        let running = send_within(&world, SECOND / 2, post("x"));
        world.next_call().answer(with_body(401, slow.body(kib(1), true)));
        world.settle();
        assert!(!slow.is_gone());
        world.pass(SECOND / 2);

        assert_gave_up(&running);
        assert!(slow.is_gone());
        assert_nothing_left(&world);
    }

    /// E14: one that fires during the wait gives up the place: the refresh goes on and is saved, nothing is replayed for
    /// it, and those behind it start.
    #[test]
    fn a_deadline_covers_the_wait() {
        let world = World::signed_in();

        let running = send_within(&world, SECOND, post("x"));
        world.api_answers(401);
        let behind = world.get("/behind");
        world.pass(SECOND);
        assert_gave_up(&running);
        world.refresh_answers(numbered(1));
        let replay = world.next_call();

        assert_eq!(replay.request().uri().path(), "/behind");
        assert_eq!(replay.bearer(), Some("T1"));
        replay.respond(200);
        world.settle();
        assert_eq!(status(&behind), 200);
        assert_eq!(world.stored().as_deref(), Some("T1"));
        assert_eq!((world.api.calls(), world.refresher.calls()), (2, 1));
        assert_nothing_left(&world);
    }

    /// E14: one that fires during the replay abandons it. It is one deadline for all three.
    #[test]
    fn one_deadline_covers_first_send_wait_and_replay() {
        let world = World::signed_in();
        let step = SECOND * 3 / 10;

        let running = send_within(&world, SECOND, post("x"));
        world.pass(step);
        world.api_answers(401);
        world.pass(step);
        world.refresh_answers(numbered(1));
        world.pass(step);
        let replay = world.next_call();
        assert!(!running.is_finished() && !replay.is_abandoned());
        world.pass(SECOND - step * 3);

        assert_gave_up(&running);
        assert!(replay.is_abandoned());
        assert_eq!(world.bearers(), ["T0", "T1"]);
        assert_nothing_left(&world);
    }

    /// E14: given up between its turn and its replay's first poll, it passes the turn on.
    #[test]
    fn a_request_that_gives_up_at_its_turn_passes_it_on() {
        let world = World::signed_in();
        let [first, second, third] = ["/first", "/second", "/third"].map(|path| world.get(path));
        for _ in 0..3 {
            world.api_answers(401);
        }

        world.refresher.try_next().unwrap().answer(numbered(1));
        first.cancel();
        second.cancel();
        world.settle();

        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
        assert_eq!(status(&third), 200);
        assert_eq!(world.api.log()[3].uri.path(), "/third");
        assert_eq!(world.api.calls(), 4);
        assert_nothing_left(&world);
    }
}

mod discarded {
    //! What becomes of the first 401.

    use super::*;

    /// E16: a short body of the first 401 is read to its end before the request waits, so that its connection is free for
    /// the replay.
    #[test]
    fn a_short_401_is_drained_before_the_request_waits() {
        for chunks in [0, 1, 64] {
            let world = World::signed_in();
            let body = Watched::default();

            let running = world.get("/notes");
            world.next_call().answer(with_body(401, body.body(kib(chunks), false)));
            world.settle();

            assert_eq!(body.taken(), chunks);
            assert!(body.is_gone(), "a waiter holds no response");
            assert_eq!(world.session.state(), SessionState::Refreshing);
            world.refresh_answers(numbered(1));
            world.api_answers(200);
            assert_eq!(status(&running), 200);
        }
    }

    /// E16: a long one is dropped after 64 KiB: opening another connection is cheaper.
    #[test]
    fn a_long_401_is_closed() {
        let world = World::signed_in();
        let body = Watched::default();

        let running = world.get("/notes");
        world.next_call().answer(with_body(401, body.body(kib(1000), false)));
        world.settle();

        assert!(body.taken() <= 65, "{} KiB were read", body.taken());
        assert!(body.is_gone());
        assert_eq!(world.refresher.calls(), 1, "and the request waits already");
        world.refresh_answers(numbered(1));
        world.api_answers(200);
        assert_eq!(status(&running), 200);
    }

    /// E16: a slow one is dropped after a second, and the request goes on.
    #[test]
    fn a_slow_401_is_closed_after_a_second() {
        let world = World::signed_in();
        let body = Watched::default();

        let running = world.get("/notes");
        world.next_call().answer(with_body(401, body.body(kib(2), true)));
        world.settle();
        world.pass(Duration::from_millis(999));
        assert!(!body.is_gone());
        world.pass(Duration::from_millis(1));

        assert_eq!(body.taken(), 2);
        assert!(body.is_gone());
        assert_eq!(world.refresher.calls(), 1);
        world.refresh_answers(numbered(1));
        world.api_answers(200);
        assert_eq!(status(&running), 200);
        assert_eq!(world.runtime.timers(), 0);
    }

    /// E16: one that fails is closed, and that it failed is nobody's business.
    #[test]
    fn a_broken_401_is_closed() {
        let world = World::signed_in();
        let broken = Body::stream(stream::iter([Ok("n"), Err(std::io::Error::other("reset"))]));

        let running = world.get("/notes");
        world.next_call().answer(with_body(401, broken));
        world.settle();
        world.refresh_answers(numbered(1));
        world.api_answers(200);

        assert_eq!(status(&running), 200);
    }

    /// E16: of an error that stands in for the 401, the head is the first 401's and the body is gone.
    #[test]
    fn an_error_in_place_of_the_401_keeps_its_head() {
        let world = World::signed_in();
        let body = Watched::default();
        let rejection = Response::builder()
            .status(401)
            .header("x-request-id", "7")
            .body(body.body(kib(1), false))
            .unwrap();

        let running = world.get("/notes");
        world.next_call().answer(rejection);
        world.settle();
        world.refresher.try_next().unwrap().fail(RefreshError::rejected("invalid_grant"));
        world.settle();
        let ended = error(&running);

        assert_eq!(ended.kind(), ErrorKind::SessionEnded);
        assert_eq!(ended.response().unwrap().headers["x-request-id"], "7");
        assert!(body.is_gone());
    }
}

mod layers {
    //! Clients and transports, one inside the other.

    use super::*;

    const API_TOKEN: HeaderName = HeaderName::from_static("x-api-token");

    /// E7: the error of a client that is used as a transport comes out of the outer client as it went in: kind, advice,
    /// the 401's head, and the very same cause.
    #[test]
    fn a_nested_clients_error_comes_out_as_it_went_in() {
        let inner = World::signed_in();
        let (transport, outer) =
            (inner.client.clone(), World::with(|s| s.scheme(TokenHeader::new(API_TOKEN)), |c| c));
        outer.sign_in(numbered(10));
        let client = AuthClient::builder(transport, outer.session.clone()).origin(ORIGIN).build().unwrap();
        let request = Request::get("/notes").body(Body::empty()).unwrap();

        let running = inner.runtime.start(async move { client.send(request).await });
        inner.settle();
        let call = inner.next_call();
        assert_eq!(call.bearer(), Some("T0"));
        assert_eq!(call.request().headers()[API_TOKEN], "T10");
        call.answer(Response::builder().status(401).header("x-request-id", "7").body(Body::empty()).unwrap());
        inner.settle();
        let unavailable = RefreshError::misconfigured("invalid_client").retry_after(Duration::from_secs(9));
        inner.refresher.try_next().unwrap().fail(unavailable);
        inner.settle();
        let failed = error(&running);

        assert_eq!((failed.kind(), failed.advice()), (ErrorKind::Misconfigured, Advice::FixConfiguration));
        assert_eq!(failed.response().unwrap().headers["x-request-id"], "7");
        assert!(failed.source().unwrap().is::<RefreshError>(), "no layer in between");
        assert_eq!(outer.refresher.calls(), 0, "it is not the outer session's matter");
    }

    /// E7: an error survives as a transport's and back, source and all; a transport's own error stays that.
    #[test]
    fn a_clients_error_survives_as_a_transports() {
        let world = World::new();
        let request = Request::get("/notes").body(Body::empty()).unwrap();
        let client = world.client.clone();

        let failed = world.runtime.block_on(Transport::send(&client, request)).unwrap_err();
        assert!(failed.source().unwrap().is::<Error>());
        assert!(!failed.is_body() && !failed.is_connect());
        let once = Error::from(failed);
        let cause = TransportError::new("reset").maybe_sent();
        let twice = Error::from(TransportError::from(Error::from(TransportError::from(Error::from(cause)))));

        assert_eq!((once.kind(), once.advice()), (ErrorKind::SignedOut, Advice::SignIn));
        assert_eq!(twice.kind(), ErrorKind::Transport);
        let cause = twice.source().unwrap().downcast_ref::<TransportError>().unwrap();
        assert!(cause.is_maybe_sent());
        assert_eq!(cause.source().unwrap().to_string(), "reset");
    }

    /// E7: a request body's failure inside the nested client is the body's at the outside, too.
    #[test]
    fn a_nested_clients_body_error_is_the_bodys() {
        let world = World::signed_in();
        let failing = || stream::iter([Err::<&str, _>(std::io::Error::other("the file has gone"))]);
        let (client, request) = (world.client.clone(), post(Body::replayable(failing)));

        let running = world.runtime.start(async move { Transport::send(&client, request).await });
        world.settle();
        let (body, reply) = read(&world);
        reply.fail(TransportError::new(body.unwrap_err()));
        world.settle();
        let failed = running.take().unwrap().unwrap_err();

        assert!(failed.is_body());
        assert_eq!(Error::from(failed).kind(), ErrorKind::Body);
    }

    /// E1: a backend that is chosen at run time works like a concrete one, whatever it is boxed in.
    #[test]
    fn a_backend_may_be_chosen_at_run_time() {
        fn cycle<T: Transport>(world: &World, transport: T, api: &auth_testkit::TransportHandle) {
            let client =
                AuthClient::builder(transport, world.session.clone()).origin(ORIGIN).build().unwrap();
            let before = world.refresher.calls();
            let running = world.runtime.start(async move { client.send(post("body")).await });
            world.settle();
            api.try_next().unwrap().respond(401);
            world.settle();
            world.refresher.try_next().unwrap().answer(numbered(before as u64 + 1));
            world.settle();
            api.try_next().unwrap().respond(200);
            world.settle();

            assert_eq!(status(&running), 200);
            let sent: Vec<_> = api.log().iter().map(|sent| sent.bearer().unwrap().to_owned()).collect();
            assert_eq!(sent, [format!("T{before}"), format!("T{}", before + 1)]);
            assert_eq!(world.refresher.calls(), before + 1);
        }
        let world = World::signed_in();

        let (transport, api) = ScriptedTransport::new();
        cycle(&world, Arc::new(transport) as Arc<dyn Transport>, &api);
        let (transport, api) = ScriptedTransport::new();
        cycle(&world, Box::new(transport) as Box<dyn Transport>, &api);
        let (transport, api) = ScriptedTransport::new();
        cycle(&world, Arc::new(Box::new(transport) as Box<dyn Transport>), &api);
    }

    /// E1: clients of one type may stand on different backends.
    #[test]
    fn clients_on_different_backends_have_one_type() {
        let world = World::signed_in();
        let (one, one_api) = ScriptedTransport::new();
        let (other, other_api) = ScriptedTransport::new();
        let backends: [Arc<dyn Transport>; 2] = [Arc::new(one), Arc::new(other)];
        let clients: Vec<AuthClient<Arc<dyn Transport>>> = backends
            .into_iter()
            .map(|backend| {
                AuthClient::builder(backend, world.session.clone()).origin(ORIGIN).build().unwrap()
            })
            .collect();

        let running: Vec<_> = clients
            .into_iter()
            .map(|client| world.runtime.start(async move { client.send(post("body")).await }))
            .collect();
        world.settle();
        one_api.try_next().unwrap().respond(200);
        other_api.try_next().unwrap().respond(201);
        world.settle();

        assert_eq!(running.iter().map(status).collect::<Vec<_>>(), [200, 201]);
    }
}

mod proofs {
    //! A proof that lacked the server's nonce: sent once more, without a refresh.

    use auth_core::{Bearer, InvalidToken, Lease, Observed, Scheme, SchemeError, Tokens};
    use http::{HeaderValue, Uri, request, response};

    use super::*;

    const PROOF: &str = "proof";
    const NONCE: &str = "dpop-nonce";

    /// A bearer token with a proof of possession that has the newest nonce in it.
    #[derive(Clone, Default)]
    struct Proving {
        nonce: Arc<Mutex<Option<HeaderValue>>>,
        made: Arc<AtomicUsize>,
        observed: Arc<Mutex<Vec<(Uri, u16)>>>,
        deaf: bool,
    }

    impl Scheme for Proving {
        fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
            Bearer.prepare(tokens)
        }

        fn apply(&self, request: &mut request::Parts, _: &Lease) -> Result<(), SchemeError> {
            if request.uri.path() == "/unsigned" {
                return Err(SchemeError::new("the key has gone"));
            }
            let number = self.made.fetch_add(1, Ordering::SeqCst);
            let nonce = self.nonce.lock().unwrap();
            let nonce = nonce.as_ref().map_or("none", |nonce| nonce.to_str().unwrap());
            request.headers.insert(PROOF, HeaderValue::from_str(&format!("{number}:{nonce}")).unwrap());
            Ok(())
        }

        fn observe(&self, uri: &Uri, head: &response::Parts) -> Observed {
            self.observed.lock().unwrap().push((uri.clone(), head.status.as_u16()));
            match head.headers.get(NONCE).filter(|_| !self.deaf) {
                Some(nonce) => {
                    *self.nonce.lock().unwrap() = Some(nonce.clone());
                    Observed::NewProof
                }
                None => Observed::Nothing,
            }
        }
    }

    fn proving(scheme: Proving) -> World {
        let world = World::with(|session| session.scheme(scheme), |client| client);
        world.sign_in(numbered(0));
        world
    }

    fn wants_nonce(nonce: &'static str) -> Response<Body> {
        Response::builder()
            .status(401)
            .header("www-authenticate", "DPoP error=\"use_dpop_nonce\"")
            .header(NONCE, nonce)
            .body(Body::from("nonce, please"))
            .unwrap()
    }

    fn answers(world: &World, response: Response<Body>) {
        world.next_call().answer(response);
        world.settle();
    }

    fn proofs(world: &World) -> Vec<String> {
        world.api.log().iter().map(|sent| sent.headers[PROOF].to_str().unwrap().to_owned()).collect()
    }

    /// N1: a 401 that asks for a nonce gets one more send, with the same token and a new proof, and no refresh.
    #[test]
    fn a_nonce_is_answered_with_a_new_proof_and_no_refresh() {
        let scheme = Proving::default();
        let world = proving(scheme.clone());

        let running = world.send(post("body"));
        answers(&world, wants_nonce("n1"));
        assert_eq!(world.bearers(), ["T0", "T0"]);
        answers(&world, with_body(200, "done"));

        let answer = answer(&running);
        assert_eq!(answer.status(), 200);
        assert!(answer.extensions().get::<Challenge>().is_none());
        assert_eq!(text(&world, answer), "done");
        assert_eq!(proofs(&world), ["0:none", "1:n1"]);
        assert_eq!(world.refresher.calls(), 0);
        assert_eq!(world.session.state(), SessionState::Active);
        let [first, second] = <[_; 2]>::try_from(world.api.log()).unwrap();
        assert_eq!((first.body, first.method, first.uri.clone()), (second.body, second.method, second.uri));
        assert_eq!(second.extensions.get::<Attempt>().map(|attempt| attempt.number), Some(2));
        let replayed = world.events().iter().filter(|event| matches!(event, Event::Replayed { .. })).count();
        assert_eq!(replayed, 0, "a nonce resend is not a replay");
        assert_eq!(*scheme.observed.lock().unwrap(), [(first.uri.clone(), 401), (first.uri, 200)]);
    }

    /// N1: there is one such send for a request: the second demand is the caller's.
    #[test]
    fn a_second_demand_for_a_nonce_is_the_callers() {
        let world = proving(Proving::default());

        let running = world.send(post("body"));
        answers(&world, wants_nonce("n1"));
        answers(&world, wants_nonce("n2"));

        let rejected = answer(&running);
        assert_eq!(rejected.status(), 401);
        assert_eq!(rejected.extensions().get(), Some(&Challenge::UseDpopNonce));
        assert!(rejected.extensions().get::<NotReplayed>().is_none());
        assert_eq!(text(&world, rejected), "nonce, please");
        assert_eq!((world.api.calls(), world.refresher.calls()), (2, 0));
    }

    /// N1: without a scheme that has learned the nonce there is nothing to send: of a bearer token it is the caller's 401.
    #[test]
    fn without_a_new_proof_nothing_is_sent_again() {
        for world in [proving(Proving { deaf: true, ..Proving::default() }), World::signed_in()] {
            let running = world.send(post("body"));
            answers(&world, wants_nonce("n1"));

            let rejected = answer(&running);
            assert_eq!(rejected.extensions().get(), Some(&Challenge::UseDpopNonce));
            assert_eq!(text(&world, rejected), "nonce, please");
            assert_eq!((world.api.calls(), world.refresher.calls()), (1, 0));
        }
    }

    /// N1: the nonce costs no replay and the replay no nonce, in either order: three sends, one refresh.
    #[test]
    fn a_nonce_and_a_refresh_have_a_send_each() {
        let world = proving(Proving::default());
        let running = world.send(post("body"));
        answers(&world, wants_nonce("n1"));
        answers(&world, response(401));
        world.refresh_answers(numbered(1));
        answers(&world, response(200));

        assert_eq!(status(&running), 200);
        assert_eq!(world.bearers(), ["T0", "T0", "T1"]);
        assert_eq!(proofs(&world), ["0:none", "1:n1", "2:n1"]);
        assert_eq!(world.refresher.calls(), 1);

        let world = proving(Proving::default());
        let running = world.send(post("body"));
        answers(&world, response(401));
        world.refresh_answers(numbered(1));
        answers(&world, wants_nonce("n1"));
        answers(&world, response(401));

        assert_eq!(status(&running), 401, "and neither is had twice");
        assert_eq!(world.bearers(), ["T0", "T1", "T1"]);
        assert_eq!(proofs(&world), ["0:none", "1:none", "2:n1"]);
        assert_eq!(world.refresher.calls(), 1);
    }

    /// N1: a request that cannot be sent again is not, for a nonce either; and that is no reason to refresh.
    #[test]
    fn a_request_that_cannot_be_sent_again_hands_the_demand_back() {
        let world = proving(Proving::default());

        let running = world.send(post(one_shot(&["once"])));
        answers(&world, wants_nonce("n1"));

        let rejected = answer(&running);
        assert_eq!(rejected.extensions().get(), Some(&Challenge::UseDpopNonce));
        assert_eq!(text(&world, rejected), "nonce, please");
        assert_eq!((world.api.calls(), world.refresher.calls()), (1, 0));
    }

    /// N1: a send with the nonce that was asked for is no replay: one that is not to be replayed is made too.
    #[test]
    fn a_request_that_is_not_to_be_replayed_is_sent_with_its_nonce() {
        let world = proving(Proving::default());

        let running = world.send(Request::get("/pay").extension(NoReplay).body(Body::empty()).unwrap());
        answers(&world, wants_nonce("n1"));
        answers(&world, response(200));

        assert_eq!(status(&running), 200);
        assert_eq!((world.api.calls(), world.refresher.calls()), (2, 0));
    }

    /// N1: the send with the nonce is the same request's: where somebody else has signed in meanwhile it is not made.
    #[test]
    fn a_nonce_resend_is_never_made_as_somebody_else() {
        let world = proving(Proving::default());

        let running = world.send(post("body"));
        world.sign_in(numbered(10));
        answers(&world, wants_nonce("n1"));

        assert_eq!(world.bearers(), ["T0"], "never sent as somebody else");
        let changed = error(&running);
        assert_eq!(changed.kind(), ErrorKind::SessionChanged);
        assert_eq!(changed.response().map(|head| head.status.as_u16()), Some(401));
        assert_eq!(world.session.state(), SessionState::Active);
    }

    /// N1: the send with the nonce has the same token, and waits for no refresh that others need.
    #[test]
    fn a_nonce_resend_waits_for_no_refresh() {
        let world = proving(Proving::default());
        let running = world.send(post("body"));
        let demanded = world.next_call();
        let other = world.rejected("/notes");

        demanded.answer(wants_nonce("n1"));
        world.settle();
        answers(&world, response(200));

        assert_eq!(status(&running), 200);
        assert_eq!(world.bearers(), ["T0", "T0", "T0"]);
        assert!(!other.is_finished());
    }

    /// N1: an error in place of the 401 has that 401's head, as everywhere.
    #[test]
    fn a_nonce_resend_that_cannot_be_made_keeps_the_401s_head() {
        let world = proving(Proving::default());

        let running = world.send(post("body"));
        world.runtime.block_on(world.session.sign_out()).unwrap();
        answers(&world, wants_nonce("n1"));

        let refused = error(&running);
        assert_eq!(refused.kind(), ErrorKind::SignedOut);
        assert_eq!(refused.response().map(|head| head.status.as_u16()), Some(401));
        assert_eq!(world.api.calls(), 1);
    }

    /// N1: an attempt that cannot be signed is not sent, and those behind it in the queue are not held up.
    #[test]
    fn an_attempt_that_cannot_be_signed_is_not_sent() {
        let world = proving(Proving::default());
        let first = world.rejected("/first");
        let unsigned = world.get("/unsigned");
        let behind = world.get("/behind");

        world.refresh_answers(numbered(1));
        world.api_answers(200);
        world.api_answers(200);

        assert_eq!((status(&first), status(&behind)), (200, 200));
        let failed = error(&unsigned);
        assert_eq!((failed.kind(), failed.advice()), (ErrorKind::Misconfigured, Advice::FixConfiguration));
        assert_eq!(failed.source().unwrap().source().unwrap().to_string(), "the key has gone");
        let paths: Vec<_> = world.api.log().iter().map(|sent| sent.uri.path().to_owned()).collect();
        assert_eq!(paths, ["/first", "/first", "/behind"]);
    }
}
