//! The refresher of a public client: a form in, JSON out (RFC 6749 §6).

use std::sync::Arc;
use std::time::SystemTime;

use auth_core::{Body, RefreshError, Refresher, TokenResponse, Tokens, Transport, async_trait};
use http::{Request, Uri, header};

use crate::tape::Tape;

pub(crate) struct PublicClient<T> {
    pub(crate) transport: T,
    pub(crate) token_endpoint: Uri,
    pub(crate) client_id: String,
    pub(crate) tape: Arc<Tape>,
}

#[async_trait]
impl<T: Transport> Refresher for PublicClient<T> {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        let token = current.refresh_token().ok_or_else(|| RefreshError::misconfigured("no refresh token"))?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token.reveal())
            .append_pair("client_id", &self.client_id)
            .finish();
        let request = Request::post(self.token_endpoint.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(Body::from(form))
            .map_err(RefreshError::misconfigured)?;

        let _call = self.tape.refresh_begins();
        let response = self.transport.send(request).await.inspect_err(|error| self.tape.failure(error))?;
        let tokens = TokenResponse::read(response, SystemTime::now()).await?;
        if tokens.refresh_token().is_some_and(|new| new != token) {
            self.tape.rotated();
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use auth_isahc::IsahcTransport;
    use auth_reqwest::ReqwestTransport;
    use auth_testkit::conformance::RefresherSuite;
    use auth_testkit::server::TestServer;

    use super::*;

    fn client<T: Transport>(server: &TestServer, transport: T) -> PublicClient<T> {
        PublicClient {
            transport,
            token_endpoint: server.token_endpoint().parse().expect("a URI"),
            client_id: "storm".to_owned(),
            tape: Arc::new(Tape::new(0, 0)),
        }
    }

    #[test]
    fn it_keeps_the_contract_on_each_backend() {
        let tokio = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");

        RefresherSuite::new(|server| client(server, ReqwestTransport::default()))
            .block_on(move |clause| tokio().block_on(clause))
            .run()
            .assert();
        RefresherSuite::new(|server| client(server, IsahcTransport::single_use())).run().assert();
    }
}
