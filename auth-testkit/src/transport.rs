//! `ScriptedTransport`: a transport whose requests the test answers by hand.

mod sent;

pub use sent::Sent;

use std::fmt;
use std::sync::{Arc, Mutex};

use auth_core::{Body, BoxFuture, MaybeSend, MaybeSync, Transport, TransportError};
use http::{Request, Response, StatusCode};

use crate::arrivals::Arrivals;
use crate::lock::lock;
use crate::overlap::Overlap;
use crate::reply::{Asked, Call, Reply, call};

type Answered = Result<Response<Body>, TransportError>;

/// A [`Transport`] that does what its [`TransportHandle`] says. Clones are the same transport.
///
/// Every `send` becomes a [`SendCall`] and an entry of the [`log`](TransportHandle::log), at the first poll of its future
/// and not before; so the log is in the order in which requests really started.
///
/// ```
/// use auth_core::{Body, Transport};
/// use auth_testkit::{ManualRuntime, ScriptedTransport};
/// use http::Request;
///
/// let runtime = ManualRuntime::new();
/// let (transport, handle) = ScriptedTransport::new();
/// let request = Request::get("/notes").header("authorization", "Bearer T0").body(Body::empty()).unwrap();
/// let sending = runtime.start(async move { transport.send(request).await });
///
/// let call = runtime.block_on(handle.next());
/// assert_eq!(call.bearer(), Some("T0"));
/// call.respond(401);
///
/// assert_eq!(runtime.block_on(sending).unwrap().status(), 401);
/// assert_eq!(handle.log()[0].uri.path(), "/notes");
/// ```
#[derive(Clone)]
pub struct ScriptedTransport {
    shared: Arc<Shared>,
}

/// The test's side of a [`ScriptedTransport`]. Clones are the same handle.
#[derive(Clone)]
pub struct TransportHandle {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    sends: Arrivals<SendCall>,
    overlap: Overlap,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    auto: Option<Arc<dyn Answers>>,
    log: Vec<Sent>,
}

trait Answers: MaybeSend + MaybeSync {
    fn answer(&self, request: &Request<Body>) -> Response<Body>;
}

impl<F: Fn(&Request<Body>) -> Response<Body> + MaybeSend + MaybeSync> Answers for F {
    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        self(request)
    }
}

/// An empty response with this status: a number or a [`StatusCode`].
///
/// # Panics
///
/// Where the number is no status.
#[must_use]
pub fn response<S>(status: S) -> Response<Body>
where
    S: TryInto<StatusCode, Error: fmt::Debug>,
{
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status.try_into().expect("a status has three digits");
    response
}

impl ScriptedTransport {
    /// A transport, and the handle that answers its calls.
    #[must_use]
    pub fn new() -> (Self, TransportHandle) {
        let shared = Arc::new(Shared::default());
        (Self { shared: Arc::clone(&shared) }, TransportHandle { shared })
    }
}

impl Shared {
    fn send(&self, request: Request<Body>) -> Asked<Answered> {
        let inside = self.overlap.enter();
        let auto = {
            let sent = Sent::of(&request);
            let mut script = lock(&self.script);
            script.log.push(sent);
            script.auto.clone()
        };
        if let Some(auto) = auto {
            return Asked::Answered(Ok(auto.answer(&request)));
        }
        let (reply, awaited) = call(inside);
        self.sends.push(SendCall { request, reply: SendReply { reply } });
        Asked::Waiting(awaited)
    }
}

// Written out instead of `async fn`: the future has to be the call itself, so that its first poll and its drop show.
impl Transport for ScriptedTransport {
    fn send<'a, 'async_trait>(
        &'a self,
        request: Request<Body>,
    ) -> BoxFuture<'async_trait, Result<Response<Body>, TransportError>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(Call::new(move || self.shared.send(request)))
    }
}

impl TransportHandle {
    /// The next call that nobody has taken yet, in the order in which they began.
    pub async fn next(&self) -> SendCall {
        self.shared.sends.next().await
    }

    /// As [`next`](Self::next), if there is one already.
    #[must_use]
    pub fn try_next(&self) -> Option<SendCall> {
        self.shared.sends.try_next()
    }

    /// Answers every later request at once, in the first poll of its `send`; calls that are waiting still wait.
    pub fn answer_with(
        &self,
        answer: impl Fn(&Request<Body>) -> Response<Body> + MaybeSend + MaybeSync + 'static,
    ) {
        let before = lock(&self.shared.script).auto.replace(Arc::new(answer));
        drop(before);
    }

    /// Later requests wait for the test again.
    pub fn answer_by_hand(&self) {
        let before = lock(&self.shared.script).auto.take();
        drop(before);
    }

    /// What was sent, in the order in which the futures of `send` were first polled.
    #[must_use]
    pub fn log(&self) -> Vec<Sent> {
        lock(&self.shared.script).log.clone()
    }

    /// How many requests were sent.
    #[must_use]
    pub fn calls(&self) -> usize {
        lock(&self.shared.script).log.len()
    }

    /// How many requests are under way: sent, and neither answered nor dropped.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.shared.overlap.now()
    }

    /// The most requests that were under way at a time.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.shared.overlap.most()
    }
}

/// A request under way. Dropped without an answer, it never ends.
pub struct SendCall {
    request: Request<Body>,
    reply: SendReply,
}

impl SendCall {
    /// The request as it was sent.
    #[must_use]
    pub fn request(&self) -> &Request<Body> {
        &self.request
    }

    /// The request itself, so that its body can be read, and what answers it.
    #[must_use]
    pub fn into_parts(self) -> (Request<Body>, SendReply) {
        (self.request, self.reply)
    }

    /// The token behind `Bearer` in the `Authorization` header, if there is one.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        sent::bearer(self.request.headers())
    }

    /// Answers with this response.
    pub fn answer(self, response: Response<Body>) {
        self.reply.answer(response);
    }

    /// Answers with an empty response of this status: a number or a [`StatusCode`].
    ///
    /// # Panics
    ///
    /// Where the number is no status.
    pub fn respond<S>(self, status: S)
    where
        S: TryInto<StatusCode, Error: fmt::Debug>,
    {
        self.reply.answer(response(status));
    }

    /// Answers with this failure: there is no response.
    pub fn fail(self, error: TransportError) {
        self.reply.fail(error);
    }

    /// Makes the call's future panic when it is polled next.
    pub fn panics(self, message: impl Into<String>) {
        self.reply.panics(message);
    }

    /// Whether the call's future was dropped before it had an answer.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }
}

/// What answers a request that was taken apart: [`SendCall::into_parts`]. Dropped, it leaves the request unanswered.
pub struct SendReply {
    reply: Reply<Answered>,
}

impl SendReply {
    /// Answers with this response.
    pub fn answer(self, response: Response<Body>) {
        self.reply.send(Ok(response));
    }

    /// Answers with this failure: there is no response.
    pub fn fail(self, error: TransportError) {
        self.reply.send(Err(error));
    }

    /// Makes the call's future panic when it is polled next.
    pub fn panics(self, message: impl Into<String>) {
        self.reply.panic(message.into());
    }

    /// Whether the call's future was dropped before it had an answer.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }
}

impl fmt::Debug for ScriptedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedTransport").finish_non_exhaustive()
    }
}

impl fmt::Debug for TransportHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportHandle").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

impl fmt::Debug for SendCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendCall")
            .field("method", self.request.method())
            .field("path", &self.request.uri().path())
            .field("abandoned", &self.is_abandoned())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SendReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendReply").field("abandoned", &self.is_abandoned()).finish()
    }
}
