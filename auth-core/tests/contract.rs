//! The public contract, used exactly as it is written down: whatever drifts from it does not compile here.
//!
//! Little of this is run; what is, is the example that shows the parts together.
#![cfg(not(any(target_arch = "wasm32", auth_local)))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(dead_code, reason = "what is checked is that it compiles")]

use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth_core::{
    AccessToken, Advice, Anonymous, Attempt, AuthChallenge, AuthClient, Bearer, Body, BodyError, BoxError,
    BoxFuture, Cause, Challenge, ChallengePolicy, ClientBuilder, EndReason, Error, ErrorKind, Event,
    FinalUri, FlightId, InvalidToken, Lease, MemoryStore, NoReplay, NotAttached, NotReplayed,
    NotReplayedReason, Observed, PersistFailure, RefreshError, RefreshToken, Refresher, Runtime, Scheme,
    SchemeError, Session, SessionBuilder, SessionEnded, SessionState, SignInId, Stamp, StandardChallenge,
    Start, StoreError, StoreGuard, StoredTokens, TokenHeader, TokenStore, Tokens, Transport, TransportError,
    Turn, Unchanged, Watch, Written, async_trait, challenge_fn, refresher_fn,
};
use auth_testkit::{ManualRuntime, ScriptedTransport};
use bytes::Bytes;
use futures::{Stream, future};
use http::{HeaderName, HeaderValue, Uri};

// --- the seams: an implementation of each, signature by signature ------------------------------------------------------

struct Parts;

#[async_trait]
impl Transport for Parts {
    async fn send(&self, request: http::Request<Body>) -> Result<http::Response<Body>, TransportError> {
        drop(request);
        Err(TransportError::new("it is not there"))
    }
}

#[async_trait]
impl Refresher for Parts {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        Ok(current.clone())
    }
    fn can_refresh(&self, current: &Tokens) -> bool {
        current.refresh_token().is_some()
    }
    async fn acquire(&self) -> Result<Option<Tokens>, RefreshError> {
        Ok(None)
    }
    async fn revoke(&self, tokens: &Tokens) {
        let _ = tokens;
    }
}

#[async_trait]
impl TokenStore for Parts {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        Ok(None)
    }
    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        let _ = tokens;
        Ok(())
    }
    async fn clear(&self) -> Result<(), StoreError> {
        Ok(())
    }
    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        Ok(Some(Box::new(Locked)))
    }
}

/// `Send` is all a guard has to be: not `Sync`.
struct Locked;
struct NotSync(std::cell::Cell<u8>);

#[async_trait]
impl StoreGuard for Locked {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        Ok(None)
    }
    async fn save(&mut self, tokens: &Tokens) -> Result<(), StoreError> {
        let _ = tokens;
        Err(StoreError::conflict())
    }
    async fn clear(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    async fn release(self: Box<Self>) {}
}

#[async_trait]
impl StoreGuard for NotSync {
    async fn load(&mut self) -> Result<Option<Tokens>, StoreError> {
        self.0.set(1);
        Ok(None)
    }
    async fn save(&mut self, _: &Tokens) -> Result<(), StoreError> {
        Ok(())
    }
    async fn clear(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    async fn release(self: Box<Self>) {}
}

impl Scheme for Parts {
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
        Bearer.prepare(tokens)
    }
    fn apply(&self, request: &mut http::request::Parts, lease: &Lease) -> Result<(), SchemeError> {
        let _ = (request, lease);
        Ok(())
    }
    fn observe(&self, uri: &Uri, head: &http::response::Parts) -> Observed {
        let _ = (uri, head);
        Observed::NewProof
    }
}

impl ChallengePolicy for Parts {
    fn peek(&self, head: &http::response::Parts) -> usize {
        let _ = head;
        0
    }
    fn challenge(&self, head: &http::response::Parts, peeked: &[u8]) -> Challenge {
        let _ = peeked;
        match head.status.as_u16() {
            401 => Challenge::Expired,
            402 => Challenge::InsufficientScope { scope: Some(String::new()) },
            403 => Challenge::StepUp { acr_values: None::<String>, max_age: None::<Duration> },
            404 => Challenge::UseDpopNonce,
            _ => Challenge::Unrelated,
        }
    }
}

impl Runtime for Parts {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _ = duration;
        Box::pin(future::pending())
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(task);
    }
}

/// What has a default may be left out.
struct Least;

#[async_trait]
impl Refresher for Least {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        Ok(current.clone())
    }
}

#[async_trait]
impl TokenStore for Least {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        Ok(None)
    }
    async fn save(&self, _: &Tokens) -> Result<(), StoreError> {
        Ok(())
    }
    async fn clear(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Scheme for Least {
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
        Bearer.prepare(tokens)
    }
}

impl ChallengePolicy for Least {
    fn challenge(&self, _: &http::response::Parts, _: &[u8]) -> Challenge {
        Challenge::Unrelated
    }
}

/// The seams are object safe, `Send + Sync + 'static`, and forward through `Arc`, `Box` and `&'static`.
fn the_seams_are_shared_in_every_way() {
    fn part<T: Send + Sync + 'static + ?Sized>() {}
    part::<dyn Transport>();
    part::<dyn Refresher>();
    part::<dyn TokenStore>();
    part::<dyn Scheme>();
    part::<dyn ChallengePolicy>();
    part::<dyn Runtime>();
    fn send<T: Send + ?Sized>() {}
    send::<dyn StoreGuard>();

    fn transport<T: Transport>() {}
    transport::<Arc<dyn Transport>>();
    transport::<Box<dyn Transport>>();
    transport::<&'static dyn Transport>();
    transport::<Arc<Parts>>();
    transport::<Box<Parts>>();
    transport::<&'static Parts>();
    transport::<AuthClient<Parts>>();
    transport::<AuthClient<Arc<dyn Transport>>>();
    transport::<Arc<AuthClient<Box<dyn Transport>>>>();
    fn refresher<T: Refresher>() {}
    refresher::<Arc<dyn Refresher>>();
    refresher::<Box<dyn Refresher>>();
    refresher::<&'static dyn Refresher>();
    refresher::<Arc<Parts>>();
    refresher::<Box<Least>>();
    refresher::<&'static Least>();
    fn store<T: TokenStore>() {}
    store::<Arc<dyn TokenStore>>();
    store::<Box<dyn TokenStore>>();
    store::<&'static dyn TokenStore>();
    store::<Arc<Parts>>();
    store::<Box<Least>>();
    store::<&'static MemoryStore>();
    fn scheme<T: Scheme>() {}
    scheme::<Arc<dyn Scheme>>();
    scheme::<Box<dyn Scheme>>();
    scheme::<&'static dyn Scheme>();
    scheme::<Arc<Bearer>>();
    scheme::<Box<Least>>();
    scheme::<&'static TokenHeader>();
    fn policy<T: ChallengePolicy>() {}
    policy::<Arc<dyn ChallengePolicy>>();
    policy::<Box<dyn ChallengePolicy>>();
    policy::<&'static dyn ChallengePolicy>();
    policy::<Arc<StandardChallenge>>();
    policy::<Box<Least>>();
    policy::<&'static Parts>();
    fn runtime<T: Runtime>() {}
    runtime::<Arc<dyn Runtime>>();
    runtime::<Box<dyn Runtime>>();
    runtime::<&'static dyn Runtime>();
    runtime::<Arc<Parts>>();
    runtime::<Box<Parts>>();
    runtime::<&'static Parts>();
    fn guard<T: StoreGuard + ?Sized>() {}
    guard::<dyn StoreGuard>();
    guard::<Box<dyn StoreGuard>>();
    guard::<Box<Box<dyn StoreGuard>>>();
    guard::<Box<NotSync>>();

    // Closures stand in.
    refresher_fn(|current: Tokens| async move { Ok(current) });
    challenge_fn(|head, _| if head.status == 419 { Challenge::Expired } else { Challenge::Unrelated });
}

/// Their futures are `Send`, so that any executor can take them.
fn the_seams_futures_are_send(
    transport: &dyn Transport,
    refresher: &dyn Refresher,
    store: &dyn TokenStore,
    guard: &mut dyn StoreGuard,
    tokens: &Tokens,
) {
    drop(is_send(transport.send(http::Request::new(Body::empty()))));
    drop(is_send(refresher.refresh(tokens)));
    drop(is_send(refresher.acquire()));
    drop(is_send(refresher.revoke(tokens)));
    drop(is_send(store.load()));
    drop(is_send(store.save(tokens)));
    drop(is_send(store.clear()));
    drop(is_send(store.lock()));
    drop(is_send(guard.load()));
    drop(is_send(guard.save(tokens)));
    drop(is_send(guard.clear()));
}

fn is_send<T: Send>(value: T) -> T {
    value
}

// --- the session -------------------------------------------------------------------------------------------------------

/// A future of this output that may go to another thread.
fn awaits<T>(future: impl Future<Output = T> + Send) {
    drop(future);
}

fn the_session(session: &Session, tokens: Tokens, stamp: Stamp) {
    let written: Written = session.sign_in(tokens);
    awaits::<Result<(), Error>>(written);
    let written: Written = session.sign_out();
    drop(written);
    let _: SessionState = session.state();
    let _: Watch = session.watch();
    awaits::<Result<Turn, Error>>(session.lease());
    awaits::<Result<Turn, Error>>(session.recover(stamp));
    let _: Result<(), Error> = session.reject(stamp);
    awaits::<Result<Lease, Error>>(session.refresh(None));
    awaits::<Result<Lease, Error>>(session.refresh(Some(stamp)));
    awaits::<Result<AccessToken, Error>>(session.access_token(Duration::from_secs(30)));
}

fn the_states(state: SessionState) -> Option<EndReason> {
    match state {
        SessionState::Unknown
        | SessionState::SignedOut
        | SessionState::Active
        | SessionState::Refreshing
        | SessionState::Draining => None,
        SessionState::Ended(reason) => Some(reason),
        _ => None,
    }
}

fn a_turn(turn: Turn, other: Turn) {
    fn derefs<T: Deref<Target = Lease>>(turn: &T) -> &Lease {
        turn
    }
    let lease: &Lease = derefs(&turn);
    let stamp: Stamp = lease.stamp();
    let _: (u64, u64) = (stamp.epoch, stamp.generation);
    let _: (&HeaderName, &HeaderValue) = turn.header();
    let _: Lease = other.into_lease();
    // A future of any kind: not `Unpin`, not `Send`.
    let local = std::rc::Rc::new(());
    let start: Start<_> = turn.start(async move { local });
    fn is_future<F: Future<Output = std::rc::Rc<()>>>(future: F) {
        drop(future);
    }
    is_future(start);
}

fn an_attempt(extensions: &http::Extensions) -> Option<(u8, Option<u64>, Option<FlightId>)> {
    let Attempt { number, ticket, flight, .. } = *extensions.get::<Attempt>()?;
    Some((number, ticket, flight))
}

// --- tokens, errors, bodies --------------------------------------------------------------------------------------------

fn the_tokens(at: SystemTime) -> Result<(), InvalidToken> {
    let tokens: Tokens = Tokens::new("T0")?;
    let tokens: Tokens = tokens.with_refresh_token("R0").with_refresh_token(String::from("R0"));
    let tokens: Tokens = tokens.with_expires_at(at).with_refresh_expires_at(at);
    let tokens: Tokens = tokens.with_scope("read").with_scope(String::new());
    let tokens: Tokens = tokens.with_token_type("Bearer").with_token_type(String::new());
    let access: &AccessToken = tokens.access_token();
    let _: &str = access.reveal();
    let refresh: Option<&RefreshToken> = tokens.refresh_token();
    let _: Option<&str> = refresh.map(RefreshToken::reveal);
    let stored: StoredTokens = tokens.to_stored();
    fn serialises<T: serde::Serialize + serde::de::DeserializeOwned>(_: &T) {}
    serialises(&stored);
    let _: Tokens = Tokens::try_from(stored)?;
    let _: Result<Tokens, InvalidToken> = Tokens::new(String::from("T0"));
    Ok(())
}

/// What every constructor of an error takes for a cause.
fn the_errors(refused: InvalidToken) {
    let _: RefreshError = RefreshError::rejected("invalid_grant");
    let busy: RefreshError = RefreshError::unavailable(String::from("503"));
    let _: RefreshError = busy.retry_after(Duration::from_secs(7)).outcome_unknown();
    let _: RefreshError = RefreshError::misconfigured(refused);
    let _: RefreshError = RefreshError::rejected(Box::<dyn StdError + Send + Sync>::from("boxed"));

    let error: TransportError = TransportError::new("refused").connect().timeout().maybe_sent();
    let _: (bool, bool, bool) = (error.is_connect(), error.is_timeout(), error.is_maybe_sent());
    let _: StoreError = StoreError::new(refused);
    let _: StoreError = StoreError::conflict();
    let _: SchemeError = SchemeError::new(refused);

    // Of a nested client, and back.
    let error: Error = Error::from(error);
    let there: TransportError = TransportError::from(error);
    let _: Error = Error::from(there);
    fn refresher_may_use_question_marks() -> Result<(), RefreshError> {
        Err(TransportError::new("reset"))?
    }
    let _ = refresher_may_use_question_marks();
}

fn the_error(error: &Error) -> Option<u16> {
    let _: ErrorKind = error.kind();
    let _: Error = error.clone();
    match error.advice() {
        Advice::SignIn | Advice::FixConfiguration | Advice::ReportBug => {}
        Advice::RetryLater { after } => {
            let _: Option<Duration> = after;
        }
        _ => {}
    }
    match error.kind() {
        ErrorKind::SignedOut
        | ErrorKind::SessionEnded
        | ErrorKind::SessionChanged
        | ErrorKind::RefreshUnavailable
        | ErrorKind::Misconfigured
        | ErrorKind::ExcessiveRefresh
        | ErrorKind::QueueFull
        | ErrorKind::Reentrant
        | ErrorKind::InvalidToken
        | ErrorKind::InsecureOrigin
        | ErrorKind::Body
        | ErrorKind::Store
        | ErrorKind::Transport => {}
        _ => {}
    }
    let response: Option<&http::response::Parts> = error.response();
    response.map(|parts| parts.status.as_u16())
}

#[cfg(feature = "json")]
fn the_token_response(body: &[u8], received: SystemTime) {
    use auth_core::{InvalidResponse, TokenResponse};
    let _: Result<Tokens, InvalidResponse> = TokenResponse::parse(body, received);
    let response = http::Response::new(Body::empty());
    awaits::<Result<Tokens, RefreshError>>(TokenResponse::read(response, received));
}

fn the_body() {
    let chunks = || futures::stream::iter([Ok::<Bytes, std::io::Error>(Bytes::new())]);
    let _: Body = Body::empty();
    let _: Body = Body::replayable(chunks);
    let _: Body = Body::stream(chunks());
    // `Send` is all that a stream has to be.
    let _: Body = Body::stream(chunks().map_with_a_cell());
    let _: Body = Body::from(Bytes::new());
    let _: Body = Body::from(String::new());
    let body: Body = Body::from("static");
    fn is_http_body<
        T: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + Unpin + 'static,
    >(
        _: &T,
    ) {
    }
    is_http_body(&body);
    awaits::<Result<Bytes, BodyError>>(Body::empty().bytes());
    awaits::<Result<String, BodyError>>(Body::empty().text());
    #[cfg(feature = "json")]
    awaits::<Result<Vec<u8>, BodyError>>(Body::empty().json());
}

trait MapWithACell: Stream + Sized {
    /// A stream that is not `Sync`.
    fn map_with_a_cell(self) -> impl Stream<Item = Self::Item> + Send
    where
        Self: Send,
    {
        let cell = std::cell::Cell::new(0);
        futures::StreamExt::map(self, move |item| {
            cell.set(cell.get() + 1);
            item
        })
    }
}
impl<S: Stream> MapWithACell for S {}

// --- what can be done with each type -----------------------------------------------------------------------------------

fn every_type_is_what_it_is_said_to_be() {
    fn shared<T: Send + Sync + Debug + 'static>() {}
    shared::<AuthClient<Parts>>();
    shared::<ClientBuilder<Parts>>();
    shared::<Session>();
    shared::<SessionBuilder>();
    shared::<Lease>();
    shared::<Turn>();
    shared::<Watch>();
    shared::<Tokens>();
    shared::<StoredTokens>();
    shared::<MemoryStore>();
    shared::<Body>();
    shared::<AuthChallenge>();
    fn movable<T: Send + Unpin + 'static>() {}
    movable::<Written>();
    movable::<Watch>();
    movable::<Turn>();
    fn cloned<T: Clone>() {}
    cloned::<Session>();
    cloned::<AuthClient<Parts>>();
    cloned::<Lease>();
    cloned::<Tokens>();
    cloned::<Error>();
    cloned::<Event>();
    cloned::<SessionEnded>();
    cloned::<MemoryStore>();
    fn plain<T: Copy + Debug + Eq + Send + Sync + 'static>() {}
    plain::<Stamp>();
    plain::<FlightId>();
    plain::<SessionState>();
    plain::<EndReason>();
    plain::<Cause>();
    plain::<ErrorKind>();
    plain::<Advice>();
    plain::<Observed>();
    plain::<PersistFailure>();
    plain::<SignInId>();
    fn keys<T: Eq + Hash>() {}
    keys::<Stamp>();
    keys::<FlightId>();
    keys::<ErrorKind>();
    fn errors<T: StdError + Debug + Display + Send + Sync + 'static>() {}
    errors::<Error>();
    errors::<RefreshError>();
    errors::<TransportError>();
    errors::<StoreError>();
    errors::<SchemeError>();
    errors::<BodyError>();
    errors::<InvalidToken>();
    fn marks<T: Clone + Send + Sync + 'static>() {}
    marks::<Anonymous>();
    marks::<NoReplay>();
    marks::<Attempt>();
    marks::<FinalUri>();
    marks::<NotReplayed>();
    marks::<NotAttached>();
    marks::<Challenge>();
    marks::<Unchanged>();
    fn stream<T: Stream<Item = SessionState>>() {}
    stream::<Watch>();
}

fn the_marks(request: http::Request<Body>, response: &http::Response<Body>) {
    let mut request = request;
    request.extensions_mut().insert(Anonymous);
    request.extensions_mut().insert(NoReplay);
    let _: Option<&FinalUri> = response.extensions().get::<FinalUri>();
    if let Some(NotReplayed(reason)) = response.extensions().get::<NotReplayed>() {
        let _: &NotReplayedReason = reason;
    }
    let _: Option<&NotAttached> = response.extensions().get::<NotAttached>();
    let _: Option<&Challenge> = response.extensions().get::<Challenge>();
    let _: Option<&Unchanged> = response.extensions().get::<Unchanged>();
}

/// The client's own future goes to other threads, whatever it is sent with.
fn the_client(client: &AuthClient<Arc<dyn Transport>>, request: http::Request<Body>) {
    awaits::<Result<http::Response<Body>, Error>>(client.send(request));
}

// --- the example ---------------------------------------------------------------------------------------------------------

struct MyRefresher {
    answer: &'static str,
}

impl MyRefresher {
    fn new(answer: &'static str) -> Self {
        Self { answer }
    }
}

#[async_trait]
impl Refresher for MyRefresher {
    async fn refresh(&self, _current: &Tokens) -> Result<Tokens, RefreshError> {
        Ok(Tokens::new(self.answer)?)
    }
}

fn redirect_to_login(ended: &SessionEnded) {
    let _: (EndReason, &Error) = (ended.reason, &ended.error);
}

/// What an SDK author writes, with scripted parts in the place of the real ones.
#[test]
#[expect(clippy::redundant_closure, reason = "it stands like this in the documents")]
fn what_an_sdk_author_writes_works() -> Result<(), Box<dyn StdError>> {
    let (config, path) = ("T1", Tokens::new("old")?);
    let (transport, api) = ScriptedTransport::new();
    api.answer_with(|request| {
        let fresh = request.headers()["authorization"] == "Bearer T1";
        auth_testkit::response(if fresh { 200 } else { 401 })
    });
    let runtime = ManualRuntime::new();
    let tokens = Tokens::new("T0")?.with_refresh_token("R0");
    let request = http::Request::get("/notes").body(Body::empty())?;

    let response = runtime.block_on(async {
        let session = Session::builder(MyRefresher::new(config))
            .store(MemoryStore::with(path))
            .runtime(runtime.clone())
            .on_session_ended(|ended| redirect_to_login(ended))
            .build();
        let client =
            AuthClient::builder(transport, session.clone()).origin("https://api.example.com").build()?;

        session.sign_in(tokens).await?;
        let response: http::Response<Body> = client.send(request).await?;
        Ok::<_, Error>(response)
    })?;

    assert_eq!(response.status(), 200);
    assert_eq!(api.calls(), 2);
    assert_eq!(api.log()[1].uri, "https://api.example.com/notes");
    Ok(())
}

/// A client is a transport: nested in another one, its error comes out as it went in.
#[test]
fn a_nested_clients_error_survives() {
    let runtime = ManualRuntime::new();
    let session =
        |scheme: Box<dyn Scheme>| Session::builder(Least).runtime(runtime.clone()).scheme(scheme).build();
    let (signed_out, signed_in) =
        (session(Box::new(TokenHeader::new(HeaderName::from_static("x-inner")))), session(Box::new(Bearer)));
    runtime.block_on(signed_in.sign_in(Tokens::new("T0").unwrap())).unwrap();
    let origin = "https://api.example.com";
    let inner = AuthClient::builder(Parts, signed_out).origin(origin).build().unwrap();
    let nested: Box<dyn Transport> = Box::new(inner);
    let outer = AuthClient::builder(nested, signed_in).origin(origin).build().unwrap();

    let request = http::Request::get("/notes").body(Body::empty()).unwrap();
    let refused = runtime.block_on(outer.send(request)).unwrap_err();

    assert_eq!((refused.kind(), refused.advice()), (ErrorKind::SignedOut, Advice::SignIn));
    let back = Error::from(TransportError::from(refused.clone()));
    assert_eq!((back.kind(), back.to_string()), (refused.kind(), refused.to_string()));
}
