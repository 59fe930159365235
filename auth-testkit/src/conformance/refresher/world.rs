//! What a clause has in hand: a refresher, its server, and tokens to refresh.

use std::sync::Arc;

use auth_core::{RefreshError, RefreshToken, Refresher, Tokens};

use super::{Configure, Make};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::conformance::trial::Stage;
use crate::server::{Seen, TestServer, TokenAnswer};

pub(super) struct World {
    pub(super) refresher: Arc<dyn Refresher>,
    pub(super) server: TestServer,
    make: Make,
    configure: Configure,
    acquiring: bool,
    stage: Stage,
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rejected,
    Unavailable,
    Misconfigured,
}

impl World {
    pub(super) fn new(
        make: Make,
        configure: Configure,
        acquiring: bool,
        stage: Stage,
    ) -> Result<Self, String> {
        let server = start(&configure, acquiring)?;
        stage.set("making the refresher");
        let refresher = make(&server);
        Ok(Self { refresher, server, make, configure, acquiring, stage })
    }

    /// What happens next, for whoever waits for it in vain.
    pub(super) fn stage(&self, what: impl Into<String>) {
        self.stage.set(what);
    }

    /// Another server, and nobody who knows it.
    pub(super) fn another_server(&self) -> Result<TestServer, String> {
        start(&self.configure, self.acquiring)
    }

    /// A refresher whose server is gone.
    pub(super) fn in_vain(&self) -> Result<(Arc<dyn Refresher>, Tokens), String> {
        let gone = self.another_server()?;
        let tokens = self.sign_in_at(&gone);
        Ok(((self.make)(&gone), tokens))
    }

    /// Tokens as this kind of refresher gets them.
    pub(super) fn sign_in(&self) -> Tokens {
        self.sign_in_at(&self.server)
    }

    fn sign_in_at(&self, server: &TestServer) -> Tokens {
        let tokens = server.issue();
        if self.acquiring { without_refresh_token(&tokens) } else { tokens }
    }

    /// A refresh that has to succeed.
    pub(super) async fn refresh(&self, what: &str, current: &Tokens) -> Result<Tokens, String> {
        self.stage(format!("refreshing: {what}"));
        let answer = self.refresher.refresh(current).await;
        answer.map_err(|error| format!("a refresh failed, {what}: {}", shown(&error)))
    }

    /// A refresh that is answered so and has to fail.
    pub(super) async fn fail(&self, what: &str, answer: TokenAnswer) -> Result<RefreshError, String> {
        let current = self.sign_in();
        let refreshing = self.refresher.refresh(&current);
        let result = self.answered(what, answer, refreshing).await?;
        result.err().ok_or_else(|| format!("a refresh that was answered with {what} is a success"))
    }

    /// A call whose requests, however many, are answered so.
    pub(super) async fn answered<T>(
        &self,
        what: &str,
        answer: TokenAnswer,
        call: impl Future<Output = T>,
    ) -> Result<T, String> {
        let before = self.server.stats().token_requests;
        self.server.always_token_answer(Some(answer));
        self.stage(format!("waiting for a call that is answered with {what}"));
        let result = call.await;
        self.server.always_token_answer(None);
        let requests = self.server.stats().token_requests - before;
        ensure!(requests != 0, "a call that was to be answered with {what} sent no token request");
        Ok(result)
    }

    /// The last request that arrived.
    pub(super) fn seen(&self) -> Result<Seen, String> {
        self.server.log().pop().ok_or_else(|| "no request arrived".to_owned())
    }
}

fn start(configure: &Configure, acquiring: bool) -> Result<TestServer, String> {
    let builder = TestServer::builder().configure(|policy| {
        policy.client_credentials = acquiring;
        configure(policy);
    });
    builder.start().map_err(|error| format!("no server could be started: {error}"))
}

/// The same access token alone.
pub(super) fn without_refresh_token(tokens: &Tokens) -> Tokens {
    tokens.clone().with_refresh_token("")
}

/// The text of the refresh token, or none.
pub(super) fn refresh_text(tokens: &Tokens) -> &str {
    tokens.refresh_token().map_or("", RefreshToken::reveal)
}

/// What of a token of the server's may be told: `R1.0` of `R1.0.9f3c…`, generation and sign-in.
pub(super) fn name(text: &str) -> &str {
    text.rsplit_once('.').map_or("another text", |(name, _)| name)
}

/// Whether it is of this kind.
pub(super) fn means(what: &str, error: &RefreshError, expected: Kind) -> Verdict {
    let kind = match error {
        error if error.is_rejected() => Kind::Rejected,
        error if error.is_misconfigured() => Kind::Misconfigured,
        _ => Kind::Unavailable,
    };
    ensure!(kind == expected, "{what} is {kind:?}, and not {expected:?}: {}", shown(error));
    KEPT
}

/// An answer with this body of JSON; not processed.
pub(super) fn json(status: u16, body: String) -> TokenAnswer {
    let content_type = Some("application/json".to_owned());
    TokenAnswer::Status { status, retry_after: None, content_type, body }
}

/// Whether it says of the request that it may have been acted on.
pub(super) fn unknown(what: &str, error: &RefreshError, expected: bool) -> Verdict {
    let said = error.is_outcome_unknown();
    let not = if expected { "not " } else { "" };
    ensure!(said == expected, "{what} is {not}said to be of unknown outcome: {}", shown(error));
    KEPT
}

/// Every level of an error, without the structure.
pub(super) fn shown(error: &RefreshError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
