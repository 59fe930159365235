//! How this API gives new tokens for old, and takes back what is nobody's.

use auth_core::{
    Body, RefreshError, Refresher, Runtime as _, TokenResponse, Tokens, Transport as _, async_trait,
};
use auth_testkit::ManualRuntime;
use http::{Method, Request};

use crate::diary::Diary;
use crate::server::{REVOCATION, Server, TOKEN_ENDPOINT};

pub(crate) struct Login {
    pub(crate) server: Server,
    pub(crate) runtime: ManualRuntime,
    pub(crate) diary: Diary,
}

impl Login {
    fn post(uri: &str, fields: &[(&str, &str)]) -> Result<Request<Body>, RefreshError> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::builder().method(Method::POST).uri(uri);
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .map_err(RefreshError::misconfigured)
    }
}

#[async_trait]
impl Refresher for Login {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        let token = current.refresh_token().ok_or_else(|| RefreshError::rejected("no refresh token"))?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token.reveal())];
        let response = self.server.send(Self::post(TOKEN_ENDPOINT, &fields)?).await?;
        TokenResponse::read(response, self.runtime.now()).await
    }

    async fn revoke(&self, tokens: &Tokens) {
        let Some(token) = tokens.refresh_token() else { return };
        let Ok(request) = Self::post(REVOCATION, &[("token", token.reveal())]) else { return };
        // Best effort: the tokens are nobody's, whatever the server says.
        if self.server.send(request).await.is_ok() {
            self.diary.note("tokens that are nobody's any more are revoked at the server");
        }
    }
}
