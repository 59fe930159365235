//! The login: how this API gives new tokens for old. The one thing about tokens that an SDK has to know.

use std::sync::Arc;

use auth_core::{
    Body, RefreshError, RefreshToken, Refresher, Runtime, TokenResponse, Tokens, Transport, async_trait,
};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, Uri};

/// A public client of an OAuth server: a form in, JSON out (RFC 6749 §6).
pub(crate) struct Login {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) token_endpoint: Uri,
    pub(crate) revocation_endpoint: Uri,
    pub(crate) client_id: String,
    /// The session's own, so that a test in virtual time is one throughout.
    pub(crate) clock: Arc<dyn Runtime>,
}

#[async_trait]
impl Refresher for Login {
    /// No retry, no lock, no log, no look at the status: a call, and what it said.
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        // Without a refresh token this is not called: the session ends instead.
        let token = current.refresh_token().ok_or_else(|| RefreshError::rejected("no refresh token"))?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token.reveal())];
        let response = self.transport.send(self.form(&self.token_endpoint, &fields)?).await?;
        TokenResponse::read(response, self.clock.now()).await
    }

    /// Best effort (RFC 7009): tells the server that a sign-in is over.
    async fn revoke(&self, tokens: &Tokens) {
        let Some(token) = tokens.refresh_token().map(RefreshToken::reveal) else { return };
        if let Ok(request) = self.form(&self.revocation_endpoint, &[("token", token)]) {
            let _ = self.transport.send(request).await;
        }
    }
}

impl Login {
    fn form(&self, to: &Uri, fields: &[(&str, &str)]) -> Result<Request<Body>, RefreshError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .append_pair("client_id", &self.client_id)
            .finish();
        Request::post(to.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Body::from(form))
            .map_err(RefreshError::misconfigured)
    }
}

#[cfg(test)]
mod tests {
    use auth_core::StandaloneRuntime;
    use auth_isahc::IsahcTransport;
    use auth_reqwest::ReqwestTransport;
    use auth_testkit::conformance::RefresherSuite;
    use auth_testkit::server::TestServer;

    use super::*;

    fn login(server: &TestServer, transport: impl Transport) -> Login {
        Login {
            transport: Arc::new(transport),
            token_endpoint: server.token_endpoint().parse().expect("a URI"),
            revocation_endpoint: server.revocation_endpoint().parse().expect("a URI"),
            client_id: "notes-sdk".to_owned(),
            clock: Arc::new(StandaloneRuntime::new()),
        }
    }

    fn judge(suite: RefresherSuite) {
        suite.configure(|policy| policy.client_id = Some("notes-sdk".to_owned())).revoking().run().assert();
    }

    #[test]
    fn it_keeps_the_contract_over_reqwest() {
        let direct = || ReqwestTransport::client_builder().no_proxy().build().expect("a client");
        let suite = RefresherSuite::new(move |server| login(server, ReqwestTransport::new(direct())));
        let tokio = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");

        judge(suite.block_on(move |clause| tokio().block_on(clause)));
    }

    #[test]
    fn it_keeps_the_contract_over_isahc() {
        for transport in [IsahcTransport::default, IsahcTransport::single_use] {
            judge(RefresherSuite::new(move |server| login(server, transport())));
        }
    }
}
