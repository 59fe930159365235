//! The client: the road a request takes, with a lease down and with what the response says of it up.

mod marks;
mod origin;

pub use marks::{Anonymous, Attempt, NoReplay, NotAttached, NotReplayed, NotReplayedReason, Unchanged};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
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
    /// out bare and their responses are marked [`NotAttached`]. Where there is just one, relative URIs are resolved against
    /// it.
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
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let inner = &*self.inner;
        let (mut head, body) = request.into_parts();
        head.uri = inner.resolve(head.uri)?;
        let origin = inner.origins.iter().find(|origin| origin.is_of(&head.uri));
        let named = inner.any_origin || origin.is_some();
        let anonymous = head.extensions.get::<Anonymous>().is_some();
        if anonymous || !named || inner.session.is_authorized(&head.headers) {
            let mut response = inner.transport.send(Request::from_parts(head, body)).await?;
            if !named && !anonymous {
                response.extensions_mut().insert(NotAttached);
            }
            return Ok(response);
        }
        let insecure = || origin.map_or_else(|| origin::is_insecure(&head.uri), |origin| origin.is_insecure);
        if !inner.insecure_http && insecure() {
            return Err(Error::new(ErrorKind::InsecureOrigin));
        }
        inner.exchange(head, body, origin).await
    }
}

/// How far a request has come.
struct Progress {
    /// What is needed to send it again.
    copy: Option<(request::Parts, Body)>,
    attempt: u8,
    /// Sent again after a rejection: once a request.
    replayed: bool,
    /// And that is to be told.
    tell: bool,
    /// Sent again with a new proof: once a request.
    proved: bool,
}

impl Progress {
    fn again(&self) -> Option<(request::Parts, Body)> {
        let (head, body) = self.copy.as_ref()?;
        Some((head.clone(), body.try_clone()?))
    }
}

impl<T: Transport> Inner<T> {
    /// A relative URI is one at the named origin.
    fn resolve(&self, uri: Uri) -> Result<Uri, Error> {
        if uri.scheme().is_some() && uri.authority().is_some() {
            return Ok(uri);
        }
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

    /// With a lease, to this origin where it is a named one.
    async fn exchange(
        &self,
        head: request::Parts,
        body: Body,
        origin: Option<&Origin>,
    ) -> Result<Response<Body>, Error> {
        let uri = head.uri.clone();
        let asked = head.extensions.get::<NoReplay>().is_some();
        let copy = body.try_clone().map(|body| (head.clone(), body));
        let mut progress = Progress { copy, attempt: 0, replayed: false, tell: false, proved: false };
        let mut turn = self.session.lease().await?;
        if head.headers.contains_key(turn.header().0) {
            // A scheme that did not say its header's name before there were tokens.
            drop(turn);
            return Ok(self.transport.send(Request::from_parts(head, body)).await?);
        }
        let mut next = (head, body);
        let mut rejected = None;
        loop {
            let stamp = turn.stamp();
            let unchanged = rejected.is_some_and(|rejected| turn.is_unchanged_since(rejected));
            let (mut head, mut body) = self.attempt(next, turn, &mut progress)?.await?.into_parts();
            if unchanged {
                head.extensions.insert(Unchanged);
            }
            let (own, observed) = self.observe(origin, &uri, &head);
            let challenge = if own {
                let bytes = self.challenges.peek(&head).min(AHEAD);
                if bytes > 0 {
                    body = Box::pin(self.read_ahead(body, bytes)).await;
                }
                self.challenges.challenge(&head, &body.peeked(bytes))
            } else {
                Challenge::Unrelated
            };
            let may = match &challenge {
                Challenge::Unrelated => return Ok(Response::from_parts(head, body)),
                Challenge::Expired => !progress.replayed,
                Challenge::UseDpopNonce => observed == Observed::NewProof && !progress.proved,
                _ => false,
            };
            let replays = challenge == Challenge::Expired;
            let Some(again) = progress.again().filter(|_| may && !(replays && asked)) else {
                if may && replays {
                    // However that ends, the 401 is the answer.
                    let _ = self.session.reject(stamp);
                    let reason = if asked { NotReplayedReason::Asked } else { NotReplayedReason::Body };
                    head.extensions.insert(NotReplayed(reason));
                }
                head.extensions.insert(challenge);
                return Ok(Response::from_parts(head, body));
            };
            if replays {
                (progress.replayed, progress.tell) = (true, true);
                rejected = Some(stamp);
            } else {
                progress.proved = true;
            }
            // In a box: few requests go on from here, and the others need not keep room for it.
            (turn, next) = Box::pin(self.another(stamp, replays, (head, body), again)).await?;
        }
    }

    /// The turn for another attempt, and that attempt.
    async fn another(
        &self,
        stamp: Stamp,
        replays: bool,
        (head, body): (response::Parts, Body),
        again: (request::Parts, Body),
    ) -> Result<(Turn, (request::Parts, Body)), Error> {
        // Before it waits: a waiter holds no connection.
        self.discard(body).await;
        let turn = if replays {
            self.session.recover(stamp).await
        } else {
            // Made again with a new proof, and with the token as it is: nobody has rejected that.
            self.session.again(stamp)
        };
        Ok((turn.map_err(|error| error.with_response(head))?, again))
    }

    /// One attempt, in its turn.
    fn attempt(
        &self,
        (mut head, body): (request::Parts, Body),
        turn: Turn,
        progress: &mut Progress,
    ) -> Result<impl Future<Output = Result<Response<Body>, TransportError>>, Error> {
        progress.attempt += 1;
        let (name, value) = turn.header();
        head.headers.insert(name.clone(), value.clone());
        let attempt = Attempt { number: progress.attempt, ticket: turn.ticket(), flight: turn.flight() };
        head.extensions.insert(attempt);
        let applied = self.session.scheme().apply(&mut head, &turn);
        applied.map_err(|error| Error::caused(ErrorKind::Misconfigured, error))?;
        // A send with a nonce is no replay, though it may follow one.
        if std::mem::take(&mut progress.tell) {
            self.session.replayed(|| Event::Replayed { flight: attempt.flight, ticket: attempt.ticket });
        }
        Ok(turn.start(self.transport.send(Request::from_parts(head, body))))
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
                let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len)) else {
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
