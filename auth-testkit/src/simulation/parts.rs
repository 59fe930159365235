//! Parts: what one process of the simulated world has to build its session from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use auth_core::{
    Bearer, Body, InvalidToken, Lease, Observed, PersistFailure, RefreshError, Refresher, ReplayOrder,
    Runtime, Scheme, SchemeError, Session, SessionBuilder, TokenResponse, Tokens, Transport, async_trait,
};
use http::{HeaderName, HeaderValue, Request, Uri, request, response};

use super::plan::SessionPlan;
use super::record::What;
use super::runtime::SimulatedRuntime;
use super::secret;
use super::store::SimulatedStore;
use super::transport::{FIRST_TOKENS, REVOKE_URL, SimulatedTransport, TOKEN_URL};
use super::universe::{Universe, Who};

/// What one process of the simulated world has to build its session from.
///
/// [`builder`](Self::builder) is all that most need: a session builder with everything in it but what is yours.
pub struct Parts {
    pub(crate) runtime: SimulatedRuntime,
    pub(crate) transport: SimulatedTransport,
    pub(crate) store: SimulatedStore,
    pub(crate) plan: SessionPlan,
    universe: Arc<Universe>,
    process: u32,
}

impl Parts {
    pub(crate) fn new(universe: &Arc<Universe>, who: Who, plan: &SessionPlan) -> Self {
        Self {
            runtime: universe.runtime.process(),
            transport: SimulatedTransport::new(universe, who),
            store: SimulatedStore::new(universe, who, plan.is_shared()),
            plan: plan.clone(),
            universe: Arc::clone(universe),
            process: who.process,
        }
    }

    /// This process's runtime. Its clocks are the world's: an answer's lifetime counts from `runtime().now()`.
    #[must_use]
    pub fn runtime(&self) -> SimulatedRuntime {
        self.runtime.clone()
    }

    /// The way to the world's servers.
    #[must_use]
    pub fn transport(&self) -> SimulatedTransport {
        self.transport.clone()
    }

    /// This process's handle on the store.
    #[must_use]
    pub fn store(&self) -> SimulatedStore {
        self.store.clone()
    }

    /// A refresher as this world's server wants it: a form to [`TOKEN_URL`].
    #[must_use]
    pub fn refresher(&self) -> impl Refresher {
        FormRefresher { transport: self.transport(), runtime: self.runtime(), acquires: self.plan.acquires }
    }

    /// A session builder with this refresher, the world's store, runtime and scheme, and the plan's settings.
    pub fn builder(&self, refresher: impl Refresher) -> SessionBuilder {
        let persist_failure =
            if self.plan.fail_unsaved { PersistFailure::Fail } else { PersistFailure::Continue };
        let order = if self.plan.unordered { ReplayOrder::Unordered } else { ReplayOrder::Fifo };
        self.universe.record(self.process, What::Built);
        let refresher = Seen { refresher, universe: Arc::clone(&self.universe), process: self.process };
        let mut builder = Session::builder(refresher)
            .store(self.store())
            .runtime(self.runtime())
            .scheme(Stamped(Bearer))
            .patience(Duration::from_millis(self.plan.patience_ms))
            .persist_failure(persist_failure)
            .replay_order(order)
            .soft_window(self.plan.soft_window())
            .expiry_margin(self.plan.margin())
            .cooldown(self.plan.cooldown(), self.plan.longest_cooldown())
            .longest_retry_after(self.plan.longest_retry_after())
            .max_rejections(Some(self.plan.most_rejections()));
        if let Some(most) = self.plan.max_waiters {
            builder = builder.max_waiters(most.into());
        }
        if self.plan.idle {
            builder = builder.refresh_while_idle();
        }
        builder
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("process", &self.process)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// RFC 6749 §6 and RFC 7009, by the world's transport.
struct FormRefresher {
    transport: SimulatedTransport,
    runtime: SimulatedRuntime,
    acquires: bool,
}

impl FormRefresher {
    fn form(url: &str, form: String) -> Request<Body> {
        let mut request = Request::new(Body::from(form));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = Uri::try_from(url).unwrap_or_default();
        request
    }
}

#[async_trait]
impl Refresher for FormRefresher {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        let token = current.refresh_token().ok_or_else(|| RefreshError::rejected("no refresh token"))?;
        // The world's tokens are letters and digits: nothing has to be encoded.
        let form = format!("grant_type=refresh_token&refresh_token={}", token.reveal());
        let response = self.transport.send(Self::form(TOKEN_URL, form)).await?;
        TokenResponse::read(response, self.runtime.now()).await
    }

    async fn acquire(&self) -> Result<Option<Tokens>, RefreshError> {
        if !self.acquires {
            return Ok(None);
        }
        let response = self.transport.send(Self::form(TOKEN_URL, FIRST_TOKENS.to_owned())).await?;
        TokenResponse::read(response, self.runtime.now()).await.map(Some)
    }

    async fn revoke(&self, tokens: &Tokens) {
        if let Some(token) = tokens.refresh_token() {
            let form = format!("token={}", token.reveal());
            let _ = self.transport.send(Self::form(REVOKE_URL, form)).await;
        }
    }
}

/// A refresher of whom the record has what it is offered for revocation.
struct Seen<R> {
    refresher: R,
    universe: Arc<Universe>,
    process: u32,
}

#[async_trait]
impl<R: Refresher> Refresher for Seen<R> {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        self.refresher.refresh(current).await
    }

    fn can_refresh(&self, current: &Tokens) -> bool {
        self.refresher.can_refresh(current)
    }

    async fn acquire(&self) -> Result<Option<Tokens>, RefreshError> {
        self.refresher.acquire().await
    }

    async fn revoke(&self, tokens: &Tokens) {
        if let Some(refresh) = tokens.refresh_token().and_then(|token| secret::find(token.reveal())) {
            self.universe.record(self.process, What::Offered { refresh });
        }
        self.refresher.revoke(tokens).await;
    }
}

/// A scheme whose requests say which lease they carry, for the record.
struct Stamped<S>(S);

impl<S: Scheme> Scheme for Stamped<S> {
    fn prepare(&self, tokens: &Tokens) -> Result<(HeaderName, HeaderValue), InvalidToken> {
        self.0.prepare(tokens)
    }

    fn header(&self) -> Option<HeaderName> {
        self.0.header()
    }

    fn apply(&self, request: &mut request::Parts, lease: &Lease) -> Result<(), SchemeError> {
        request.extensions.insert(lease.stamp());
        self.0.apply(request, lease)
    }

    fn observe(&self, uri: &Uri, head: &response::Parts) -> Observed {
        self.0.observe(uri, head)
    }
}
