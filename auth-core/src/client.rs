//! The client: the road a request takes, with a lease down and with what the response says of it up.

mod marks;
mod origin;

pub use marks::{Anonymous, Attempt, NoReplay, NotAttached, NotReplayed, NotReplayedReason, Unchanged};

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri, request, response};

use self::origin::Origin;
use crate::event::Event;
use crate::session::bounded::within;
use crate::{
    Body, Challenge, ChallengePolicy, Error, ErrorKind, FinalUri, Observed, Session, Stamp,
    StandardChallenge, Transport, TransportError, Turn,
};

/// How much of a body is read to look at it, or to use its connection again; and for how long.
const AHEAD: usize = 64 * 1024;
const PAUSE: Duration = Duration::from_secs(1);

/// A client that puts the session's token on each request, and deals with its rejection: one refresh for all, each request
/// sent again in its turn.
///
/// It is itself a [`Transport`], so layers of your own can stand on either side of it. Clones share everything.
///
/// ```
/// use auth_core::{AuthClient, Body, Error, Session, Transport};
/// use http::{Request, Response};
///
/// async fn notes(transport: impl Transport, session: Session) -> Result<Response<Body>, Error> {
///     let client = AuthClient::builder(transport, session).origin("https://api.example.com").build()?;
///     let request = Request::get("/notes").body(Body::empty()).expect("a valid request");
///     client.send(request).await
/// }
/// ```
pub struct AuthClient<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    transport: T,
    session: Session,
    challenges: Arc<dyn ChallengePolicy>,
    origins: Vec<Origin>,
    any_origin: bool,
    insecure_http: bool,
}

/// The parts of an [`AuthClient`].
#[must_use = "a builder does nothing until it builds"]
pub struct ClientBuilder<T> {
    transport: T,
    session: Session,
    challenges: Arc<dyn ChallengePolicy>,
    origins: Vec<String>,
    any_origin: bool,
    insecure_http: bool,
}

impl<T: Transport> ClientBuilder<T> {
    /// An origin that the token may go to: `https://api.example.com`. May be called more than once. Requests elsewhere go
    /// out bare and their responses are marked [`NotAttached`]; so does everything where none is named. Where there is just one,
    /// relative URIs are resolved against it.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// The token goes wherever a request goes. For a client that never sends to anybody else.
    pub fn any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }

    /// The token may go over plain `http` to other machines, readable by anyone on the way. For a network that you trust.
    pub fn allow_insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// What responses say of the token. Default: [`StandardChallenge`].
    pub fn challenges(mut self, policy: impl ChallengePolicy) -> Self {
        self.challenges = Arc::new(policy);
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](ErrorKind::Misconfigured) where an origin is not one.
    pub fn build(self) -> Result<AuthClient<T>, Error> {
        let origins = self.origins.iter().map(|text| Origin::parse(text)).collect::<Result<_, _>>()?;
        let inner = Inner {
            transport: self.transport,
            session: self.session,
            challenges: self.challenges,
            origins,
            any_origin: self.any_origin,
            insecure_http: self.insecure_http,
        };
        Ok(AuthClient { inner: Arc::new(inner) })
    }
}

impl<T: Transport> AuthClient<T> {
    /// A client that sends with this transport, as whoever is signed in to this session.
    pub fn builder(transport: T, session: Session) -> ClientBuilder<T> {
        ClientBuilder {
            transport,
            session,
            challenges: Arc::new(StandardChallenge::new()),
            origins: Vec::new(),
            any_origin: false,
            insecure_http: false,
        }
    }

    /// The session: to sign in and out, to watch.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.inner.session
    }

    /// The transport, for requests that are none of the session's business.
    #[must_use]
    pub fn transport(&self) -> &T {
        &self.inner.transport
    }

    /// Sends the request, with the session's token on it. A response is a response, whatever its status: a 401 comes back
    /// where the replay was rejected too, or could not be made ([`NotReplayed`]).
    ///
    /// A request that carries the token's header already is left alone, and so is one marked [`Anonymous`].
    ///
    /// # Errors
    ///
    /// By [`kind`](Error::kind): nothing could be sent ([`SignedOut`](ErrorKind::SignedOut),
    /// [`InsecureOrigin`](ErrorKind::InsecureOrigin), …), there is no response ([`Transport`](ErrorKind::Transport),
    /// [`Body`](ErrorKind::Body)), or the token was rejected and could not be refreshed: then
    /// [`response`](Error::response) has the head of the 401.
    ///
    /// # Cancel safety
    ///
    /// Dropped at any time: the request is given up, and its place in the queue. A refresh it started goes on.
    pub fn send(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Error>> + use<'_, T> {
        let inner = &*self.inner;
        // It stays where it lies, in this one future: a head is large, and whoever takes it by value copies it.
        let (mut head, mut body) = request.into_parts();
        async move {
            let origin = match inner.way(&mut head)? {
                Way::Attached(origin) => origin,
                Way::Bare(mark) => {
                    let mut response = inner.transport.send(Request::from_parts(head, body)).await?;
                    mark.map(|mark| response.extensions_mut().insert(mark));
                    return Ok(response);
                }
            };
            let mut turn = inner.session.lease().await?;
            if head.headers.contains_key(turn.header().0) {
                // A scheme that did not say its header's name before there were tokens.
                drop(turn);
                return Ok(inner.transport.send(Request::from_parts(head, body)).await?);
            }
            let mut progress = Progress::new(&head, &body);
            loop {
                let stamp = turn.stamp();
                let unchanged = progress.rejected.is_some_and(|rejected| turn.is_unchanged_since(rejected));
                inner.attach(&mut head, &turn, &mut progress)?;
                let response = turn.start(inner.transport.send(Request::from_parts(head, body))).await?;
                let (mut answer, mut content) = response.into_parts();
                if unchanged {
                    answer.extensions.insert(Unchanged);
                }
                let (own, observed) = inner.observe(origin, progress.kept.uri(), &answer);
                if !own {
                    return Ok(Response::from_parts(answer, content));
                }
                let bytes = inner.challenges.peek(&answer).min(AHEAD);
                // What is looked at is not kept: a waiter holds no body.
                let challenge = if bytes > 0 {
                    content = Box::pin(inner.read_ahead(content, bytes)).await;
                    inner.challenges.challenge(&answer, &content.peeked(bytes))
                } else {
                    inner.challenges.challenge(&answer, &[])
                };
                if challenge == Challenge::Unrelated {
                    return Ok(Response::from_parts(answer, content));
                }
                // In a box: few requests come here, and the others need not keep room for it.
                let response = Response::from_parts(answer, content);
                match Box::pin(inner.again(&mut progress, stamp, response, challenge, observed)).await? {
                    ControlFlow::Break(response) => return Ok(response),
                    ControlFlow::Continue(next) => (turn, head, body) = next,
                }
            }
        }
    }
}

/// Which way a request goes.
enum Way<'a> {
    /// As it is, its response with this mark.
    Bare(Option<NotAttached>),
    /// With a lease; to this origin, where it is a named one.
    Attached(Option<&'a Origin>),
}

/// How far a request has come.
struct Progress {
    kept: Kept,
    /// It asked not to be replayed.
    asked: bool,
    attempt: u8,
    /// What it was rejected with, and then sent again: once a request.
    rejected: Option<Stamp>,
    /// And that is to be told.
    tell: bool,
    /// Sent again with a new proof: once a request.
    proved: bool,
}

/// What is kept of a request while it is under way.
enum Kept {
    /// What is needed to send it again.
    Copy(request::Parts, Body),
    /// Its body cannot be had again.
    Uri(Uri),
}

impl Progress {
    #[inline]
    fn new(head: &request::Parts, body: &Body) -> Self {
        let kept = match body.try_clone() {
            Some(body) => Kept::Copy(head.clone(), body),
            None => Kept::Uri(head.uri.clone()),
        };
        let asked = head.extensions.get::<NoReplay>().is_some();
        Self { kept, asked, attempt: 0, rejected: None, tell: false, proved: false }
    }
}

impl Kept {
    fn uri(&self) -> &Uri {
        match self {
            Self::Copy(head, _) => &head.uri,
            Self::Uri(uri) => uri,
        }
    }

    fn again(&self) -> Option<(request::Parts, Body)> {
        match self {
            Self::Copy(head, body) => Some((head.clone(), body.try_clone()?)),
            Self::Uri(_) => None,
        }
    }
}

impl<T: Transport> Inner<T> {
    /// Which way this request goes. Its URI is made a whole one.
    fn way(&self, head: &mut request::Parts) -> Result<Way<'_>, Error> {
        if head.uri.scheme().is_none() || head.uri.authority().is_none() {
            head.uri = self.resolve(std::mem::take(&mut head.uri))?;
        }
        let origin = self.origins.iter().find(|origin| origin.is_of(&head.uri));
        let named = self.any_origin || origin.is_some();
        if head.extensions.get::<Anonymous>().is_some() {
            return Ok(Way::Bare(None));
        }
        if !named || self.session.is_authorized(&head.headers) {
            return Ok(Way::Bare((!named).then_some(NotAttached)));
        }
        let insecure = || origin.map_or_else(|| origin::is_insecure(&head.uri), |origin| origin.is_insecure);
        if !self.insecure_http && insecure() {
            return Err(Error::new(ErrorKind::InsecureOrigin));
        }
        Ok(Way::Attached(origin))
    }

    /// A relative URI is one at the named origin.
    fn resolve(&self, uri: Uri) -> Result<Uri, Error> {
        let invalid = |detail| Error::detailed(ErrorKind::Misconfigured, detail);
        let [origin] = &*self.origins else {
            return Err(invalid("a relative URI needs one named origin"));
        };
        match uri.into_parts() {
            parts if parts.authority.is_some() => Err(invalid("a relative URI begins with a slash")),
            parts => match parts.path_and_query {
                None => Err(invalid("a URI is empty")),
                // `*` would become a part of the host.
                Some(path) if !path.as_str().starts_with(['/', '?']) => {
                    Err(invalid("a relative URI begins with a slash"))
                }
                Some(path) => origin.join(path),
            },
        }
    }

    /// Puts the lease on an attempt.
    fn attach(&self, head: &mut request::Parts, turn: &Turn, progress: &mut Progress) -> Result<(), Error> {
        progress.attempt += 1;
        let (name, value) = turn.header();
        head.headers.insert(name.clone(), value.clone());
        let attempt = Attempt { number: progress.attempt, ticket: turn.ticket(), flight: turn.flight() };
        head.extensions.insert(attempt);
        let applied = self.session.scheme().apply(head, turn);
        applied.map_err(|error| Error::caused(ErrorKind::Misconfigured, error))?;
        // A send with a nonce is no replay, though it may follow one.
        if std::mem::take(&mut progress.tell) {
            self.session.replayed(|| Event::Replayed { flight: attempt.flight, ticket: attempt.ticket });
        }
        Ok(())
    }

    /// What follows a response that says something of the token: another attempt in its turn, or that response.
    async fn again(
        &self,
        progress: &mut Progress,
        stamp: Stamp,
        response: Response<Body>,
        challenge: Challenge,
        observed: Observed,
    ) -> Result<ControlFlow<Response<Body>, (Turn, request::Parts, Body)>, Error> {
        let (mut head, body) = response.into_parts();
        let replays = challenge == Challenge::Expired;
        let may = match challenge {
            Challenge::Expired => progress.rejected.is_none(),
            Challenge::UseDpopNonce => observed == Observed::NewProof && !progress.proved,
            _ => false,
        };
        let can = may && !(replays && progress.asked);
        let Some((next, again)) = can.then(|| progress.kept.again()).flatten() else {
            if may && replays {
                // However that ends, the 401 is the answer.
                let _ = self.session.reject(stamp);
                let reason = if progress.asked { NotReplayedReason::Asked } else { NotReplayedReason::Body };
                head.extensions.insert(NotReplayed(reason));
            }
            head.extensions.insert(challenge);
            return Ok(ControlFlow::Break(Response::from_parts(head, body)));
        };
        // Before it waits: a waiter holds no connection.
        self.discard(body).await;
        let turn = if replays {
            (progress.rejected, progress.tell) = (Some(stamp), true);
            self.session.recover(stamp).await
        } else {
            progress.proved = true;
            // Made again with a new proof, and with the token as it is: nobody has rejected that.
            self.session.again(stamp)
        };
        let turn = turn.map_err(|error| error.with_response(head))?;
        Ok(ControlFlow::Continue((turn, next, again)))
    }

    /// Whether the response came from the request's own origin, without which it says nothing of the token; and what the scheme
    /// saw in it.
    fn observe(&self, origin: Option<&Origin>, uri: &Uri, head: &response::Parts) -> (bool, Observed) {
        let last = head.extensions.get::<FinalUri>().map_or(uri, |FinalUri(last)| last);
        let observed = self.session.scheme().observe(last, head);
        let own = origin.map_or_else(|| origin::is_same(uri, last), |origin| origin.is_of(last));
        (own, observed)
    }

    async fn read_ahead(&self, mut body: Body, bytes: usize) -> Body {
        let _ = within(self.session.runtime(), PAUSE, body.read_ahead(bytes)).await;
        body
    }

    /// Reads a short body to its end, so that its connection can be used again; drops a long or slow one.
    async fn discard(&self, mut body: Body) {
        let drain = async {
            let mut left = AHEAD;
            while let Some(Ok(frame)) = body.frame().await {
                let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
                    return;
                };
                left = rest;
            }
        };
        let _ = within(self.session.runtime(), PAUSE, drain).await;
    }
}

#[cfg_attr(not(any(target_arch = "wasm32", auth_local)), async_trait)]
#[cfg_attr(any(target_arch = "wasm32", auth_local), async_trait(?Send))]
impl<T: Transport> Transport for AuthClient<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        Ok(AuthClient::send(self, request).await?)
    }
}

impl<T> Clone for AuthClient<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T> fmt::Debug for AuthClient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthClient").field("session", &self.inner.session).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for ClientBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("origins", &self.origins).finish_non_exhaustive()
    }
}
