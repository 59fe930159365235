//! Refreshers as they are written in earnest: over a bare transport, over one that is busy, and over the session's own
//! client.

use std::error::Error as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use auth_core::{
    Advice, AuthClient, Body, BoxFuture, Cause, Error, ErrorKind, Event, RefreshError, Refresher, Session,
    SessionState, StoreError, TokenEndpointError, TokenResponse, TokenStore, Tokens, Transport,
    TransportError, async_trait, refresher_fn,
};
use auth_testkit::{
    ManualRuntime, Running, ScriptedTransport, SendCall, TransportHandle, numbered, response,
};
use futures::stream;
use http::{Request, Response, StatusCode};
use tokio::sync::Semaphore;

use crate::world::{Answer, ORIGIN, error, kind, status};

const TOKEN_ENDPOINT: &str = "https://login.example.com/token";

/// A refresher as an SDK author writes it.
struct TokenEndpoint<T> {
    transport: T,
}

#[async_trait]
impl<T: Transport> Refresher for TokenEndpoint<T> {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        let response = self.transport.send(token_request(TOKEN_ENDPOINT, current)).await?;
        TokenResponse::read(response, SystemTime::UNIX_EPOCH).await
    }
}

fn token_request(uri: &str, current: &Tokens) -> Request<Body> {
    let token = current.refresh_token().unwrap().reveal();
    let body = format!("grant_type=refresh_token&refresh_token={token}");
    Request::post(uri).body(Body::from(body)).unwrap()
}

fn new_tokens(n: u64) -> Response<Body> {
    let body = format!(r#"{{"access_token":"T{n}","refresh_token":"R{n}","token_type":"Bearer"}}"#);
    Response::new(Body::from(body))
}

/// A session with a refresher of its own, on virtual time. The API and the token endpoint are behind the same transport.
struct Rig<T> {
    runtime: ManualRuntime,
    network: TransportHandle,
    session: Session,
    client: AuthClient<T>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl<T: Transport> Rig<T> {
    fn new(refresher: impl Refresher, transport: T, network: TransportHandle) -> Self {
        let runtime = ManualRuntime::new();
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let session = Session::builder(refresher)
            .runtime(runtime.clone())
            .on_event(move |event| seen.lock().unwrap().push(event.clone()))
            .build();
        let client = AuthClient::builder(transport, session.clone()).origin(ORIGIN).build().unwrap();
        runtime.block_on(session.sign_in(numbered(0))).unwrap();
        Self { runtime, network, session, client, events }
    }

    fn get(&self, path: &str) -> Running<Answer> {
        let client = self.client.clone();
        let request = Request::get(path).body(Body::empty()).unwrap();
        let running = self.runtime.start(async move { client.send(request).await });
        self.runtime.run_until_stalled();
        running
    }

    /// The next request, which has to be to this path.
    #[track_caller]
    fn expect(&self, path: &str) -> SendCall {
        let call = self.network.try_next().expect("a request has left");
        assert_eq!(call.request().uri().path(), path);
        call
    }

    fn answer(&self, call: SendCall, answer: Response<Body>) {
        call.answer(answer);
        self.runtime.run_until_stalled();
    }

    fn events(&self) -> Vec<Event> {
        self.runtime.run_until_stalled();
        self.events.lock().unwrap().clone()
    }

    /// The one flight: why it started, and the error it ended with.
    #[track_caller]
    fn failed_flight(&self) -> (Cause, Error) {
        let events = self.events();
        let mut started = events.iter().filter_map(|event| match event {
            Event::RefreshStarted { flight, cause } => Some((*flight, *cause)),
            _ => None,
        });
        let mut failed = events.iter().filter_map(|event| match event {
            Event::RefreshFailed { flight, error, .. } => Some((*flight, error.clone())),
            _ => None,
        });
        let ((flight, cause), (of, error)) = (started.next().unwrap(), failed.next().unwrap());
        assert_eq!(flight, of);
        assert!(started.next().is_none() && failed.next().is_none(), "one flight");
        (cause, error)
    }
}

/// C12: The token endpoint itself answers 401. That is a refresh that failed: no refresh follows from it, nothing waits for
/// itself, and the caller gets the cause and the 401 of its own request.
#[test]
fn a_401_of_the_token_endpoint_is_a_failed_refresh() {
    let (transport, network) = ScriptedTransport::new();
    let rig = Rig::new(TokenEndpoint { transport: transport.clone() }, transport, network);
    let waiting: Vec<_> = (0..3).map(|n| rig.get(&format!("/{n}"))).collect();
    for n in 0..3 {
        rig.answer(rig.expect(&format!("/{n}")), response(401));
    }

    for pause in [250, 1_000, 0] {
        let call = rig.expect("/token");
        assert_eq!(call.bearer(), None, "the expired session's token is not on it");
        rig.answer(call, response(401));
        rig.runtime.advance(Duration::from_millis(pause));
    }

    let (cause, told) = rig.failed_flight();
    assert_eq!((cause, told.kind()), (Cause::Rejected, ErrorKind::RefreshUnavailable));
    for request in &waiting {
        let error = error(request);
        assert_eq!(error.kind(), ErrorKind::RefreshUnavailable);
        assert!(matches!(error.advice(), Advice::RetryLater { .. }));
        assert_eq!(error.response().unwrap().status, 401);
        let cause = error.source().unwrap().downcast_ref::<RefreshError>().unwrap();
        assert!(cause.is_unavailable());
        let answer = cause.source().unwrap().downcast_ref::<TokenEndpointError>().unwrap();
        assert!(format!("{answer}").contains("401"), "{answer}");
    }
    assert_eq!(rig.network.calls(), 6);
    assert_eq!(rig.session.state(), SessionState::Active);
}

/// C12: A 401 `invalid_client` says that the client is set up wrongly, and is not asked again.
#[test]
fn a_401_invalid_client_is_a_misconfiguration() {
    let (transport, network) = ScriptedTransport::new();
    let rig = Rig::new(TokenEndpoint { transport: transport.clone() }, transport, network);
    let waiting = rig.get("/");
    rig.answer(rig.expect("/"), response(401));

    let mut refused = Response::new(Body::from(r#"{"error":"invalid_client"}"#));
    *refused.status_mut() = StatusCode::UNAUTHORIZED;
    rig.answer(rig.expect("/token"), refused);

    assert_eq!(kind(&waiting), ErrorKind::Misconfigured);
    assert_eq!(rig.network.calls(), 2);
    assert_eq!(rig.session.state(), SessionState::Active, "its tokens are kept");
}

/// How a refresher uses the client it should not.
#[derive(Clone, Copy)]
enum Through {
    Client,
    Transport,
}

/// A refresher that calls through the client of its own session.
struct OwnClient {
    uri: &'static str,
    through: Through,
    client: Arc<OnceLock<AuthClient<ScriptedTransport>>>,
}

#[async_trait]
impl Refresher for OwnClient {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        let client = self.client.get().unwrap();
        let request = token_request(self.uri, current);
        let response = match self.through {
            Through::Client => client.send(request).await?,
            Through::Transport => Transport::send(client, request).await?,
        };
        TokenResponse::read(response, SystemTime::UNIX_EPOCH).await
    }
}

fn own_client(uri: &'static str, through: Through) -> Rig<ScriptedTransport> {
    let client = Arc::new(OnceLock::new());
    let (transport, network) = ScriptedTransport::new();
    let rig = Rig::new(OwnClient { uri, through, client: Arc::clone(&client) }, transport, network);
    assert!(client.set(rig.client.clone()).is_ok());
    rig
}

/// The chain of a flight that failed because its refresher waited for it.
#[track_caller]
fn assert_reentrant(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert_eq!(error.advice(), Advice::FixConfiguration);
    let refused = error.source().unwrap().downcast_ref::<RefreshError>().unwrap();
    assert!(refused.is_misconfigured() && !refused.is_outcome_unknown());
    let inner = refused.source().unwrap().downcast_ref::<Error>().unwrap();
    assert_eq!((inner.kind(), inner.advice()), (ErrorKind::Reentrant, Advice::ReportBug));
}

/// C12: A refresher that calls through its own client would wait for itself: it gets `Reentrant` at once, its flight fails
/// with that as the cause, and nobody hangs.
#[test]
fn a_refresher_through_its_own_client_is_reentrant() {
    for through in [Through::Client, Through::Transport] {
        let rig = own_client("/token", through);
        let waiting = [rig.get("/0"), rig.get("/1")];
        let begin = rig.network.calls();
        rig.answer(rig.expect("/0"), response(401));

        rig.answer(rig.expect("/1"), response(401));

        for request in &waiting {
            let error = error(request);
            assert_reentrant(&error);
            assert_eq!(error.response().unwrap().status, 401);
        }
        let (cause, told) = rig.failed_flight();
        assert_eq!(cause, Cause::Rejected);
        assert_reentrant(&told);
        assert_eq!((begin, rig.network.calls()), (2, 2), "no token request has left");
        assert_eq!(rig.session.state(), SessionState::Active);
        assert_eq!((rig.runtime.tasks(), rig.runtime.timers()), (0, 0), "no time had to pass");
    }
}

/// C12: Where the token is replaced ahead of time its refresher finds it still good, and sends; the 401 to that would make
/// it wait for itself, and is `Reentrant`.
#[test]
fn a_401_inside_a_forced_refresh_is_reentrant() {
    let rig = own_client("/token", Through::Client);
    let session = rig.session.clone();
    let forced = rig.runtime.start(async move { session.refresh(None).await });
    rig.runtime.run_until_stalled();

    let call = rig.expect("/token");
    assert_eq!(call.bearer(), Some("T0"));
    rig.answer(call, response(401));

    assert_reentrant(&forced.take().unwrap().unwrap_err());
    assert_eq!(rig.failed_flight().0, Cause::Forced);
    assert_eq!(rig.network.calls(), 1);
    assert_eq!(rig.runtime.timers(), 0);
}

/// What a part of a session may ask that session for, and how it fails where it would wait.
type AskSession = fn(Session) -> BoxFuture<'static, Result<(), Error>>;

const QUESTIONS: [(&str, AskSession); 3] = [
    ("lease", |session| Box::pin(async move { session.lease().await.map(drop) })),
    ("refresh", |session| Box::pin(async move { session.refresh(None).await.map(drop) })),
    ("access_token", |session| {
        Box::pin(async move { session.access_token(Duration::from_secs(3_600)).await.map(drop) })
    }),
];

/// C12: A refresher that asks the session itself, for whatever would have to wait for the refresh, is `Reentrant`.
#[test]
fn a_refresher_that_waits_for_its_session_is_reentrant() {
    for (name, ask) in QUESTIONS {
        let own = Arc::new(OnceLock::<Session>::new());
        let asked = Arc::clone(&own);
        let refresher = refresher_fn(move |_| {
            let session = asked.get().unwrap().clone();
            async move {
                ask(session).await?;
                Ok(numbered(1))
            }
        });
        let (transport, network) = ScriptedTransport::new();
        let rig = Rig::new(refresher, transport, network);
        assert!(own.set(rig.session.clone()).is_ok());
        let waiting = rig.get("/");

        rig.answer(rig.expect("/"), response(401));

        assert!(waiting.is_finished(), "{name} hangs");
        assert_reentrant(&error(&waiting));
        assert_eq!((rig.runtime.tasks(), rig.runtime.timers()), (0, 0), "{name}: no time had to pass");
    }
}

/// A store that asks its session while it is read.
struct Curious {
    session: Arc<OnceLock<Session>>,
    ask: AskSession,
}

#[async_trait]
impl TokenStore for Curious {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        (self.ask)(self.session.get().unwrap().clone()).await.map_err(StoreError::new)?;
        Ok(None)
    }

    async fn save(&self, _: &Tokens) -> Result<(), StoreError> {
        Ok(())
    }

    async fn clear(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// C12, C18: So is a store that asks the session that is reading it: the load fails, and says why.
#[test]
fn a_store_that_waits_for_its_session_is_reentrant() {
    for (name, ask) in QUESTIONS {
        let runtime = ManualRuntime::new();
        let own = Arc::new(OnceLock::new());
        let session = Session::builder(refresher_fn(|_| async { Ok(numbered(1)) }))
            .store(Curious { session: Arc::clone(&own), ask })
            .runtime(runtime.clone())
            .build();
        assert!(own.set(session.clone()).is_ok());

        let lease = runtime.start(async move { session.lease().await });
        runtime.run_until_stalled();

        let error = lease.take().unwrap_or_else(|| panic!("{name} hangs")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{name}");
        let inner = error.source().unwrap().source().unwrap().downcast_ref::<Error>().unwrap();
        assert_eq!((inner.kind(), inner.advice()), (ErrorKind::Reentrant, Advice::ReportBug), "{name}");
    }
}

/// C12: What needs no lease is free, inside a refresh as well: a request to an origin that is not the session's.
#[test]
fn a_refresher_may_use_its_client_where_no_lease_is_needed() {
    let rig = own_client(TOKEN_ENDPOINT, Through::Client);
    let waiting = rig.get("/");
    rig.answer(rig.expect("/"), response(401));

    let call = rig.expect("/token");
    assert_eq!(call.bearer(), None);
    rig.answer(call, new_tokens(1));

    let replay = rig.expect("/");
    assert_eq!(replay.bearer(), Some("T1"));
    rig.answer(replay, response(200));
    assert_eq!(status(&waiting), 200);
}

/// A transport that makes so many calls at a time. A call is over when its response's body has been read or dropped.
#[derive(Clone)]
struct Limited {
    transport: ScriptedTransport,
    permits: Arc<Semaphore>,
}

#[async_trait]
impl Transport for Limited {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(TransportError::new)?;
        let (head, mut body) = self.transport.send(request).await?.into_parts();
        let frames = stream::poll_fn(move |cx| {
            let _held_until_this_is_dropped = &permit;
            let frame = pin!(body.frame()).poll(cx);
            frame.map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())))
        });
        Ok(Response::from_parts(head, Body::stream(frames)))
    }
}

/// C14: K calls at a time, and K callers wait for the refresh, which needs a call of its own: it gets through, because who
/// waits holds neither a permit nor a body, however long that body would be.
#[test]
fn waiters_hold_no_permit_of_the_transport() {
    type Make = fn() -> Body;
    let bodies: [(&str, Make); 3] = [
        ("short", || Body::from("no")),
        ("endless", || Body::stream(stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 1024])))),
        ("silent", || Body::stream(stream::pending::<Result<Vec<u8>, std::io::Error>>())),
    ];
    for (name, body) in bodies {
        let (transport, network) = ScriptedTransport::new();
        let limited = Limited { transport, permits: Arc::new(Semaphore::new(2)) };
        let permits = Arc::clone(&limited.permits);
        let rig = Rig::new(TokenEndpoint { transport: limited.clone() }, limited, network);
        let waiting = [rig.get("/0"), rig.get("/1")];
        assert_eq!(permits.available_permits(), 0);

        for path in ["/0", "/1"] {
            let mut rejected = response(401);
            *rejected.body_mut() = body();
            rig.answer(rig.expect(path), rejected);
        }
        rig.runtime.advance(Duration::from_secs(1));

        let call = rig.network.try_next();
        let call = call.unwrap_or_else(|| panic!("{name}: the refresh does not get through"));
        assert_eq!(permits.available_permits(), 1, "{name}: the refresh alone has one");
        rig.answer(call, new_tokens(1));
        for path in ["/0", "/1"] {
            let replay = rig.expect(path);
            assert_eq!(replay.bearer(), Some("T1"));
            rig.answer(replay, response(200));
        }
        assert!(waiting.iter().all(|request| status(request) == 200), "{name}");
        assert_eq!(rig.network.calls(), 5, "{name}");
    }
}
