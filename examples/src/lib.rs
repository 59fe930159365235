//! Programs that show the framework at work. The README's and the guide's code is compiled here.
//!
//! | program | answers |
//! | --- | --- |
//! | `storm` | what happens when many requests are rejected at once? |
//! | `fleet` | what happens when many processes share one sign-in, and some are killed? |
//! | `trouble` | what becomes of my user in an hour in which everything goes wrong? |
//! | `beyond` | what do my server and my store have to bear from thousands of sessions on many machines? |
//! | `notes` | what does an SDK look like to its users, and how is its HTTP library chosen at run time? |
//! | `custom_store` | how do I keep tokens in my own place? |
//! | `custom_challenge` | my API does not say 401: what now? |
//! | `another_scheme` | my API wants another header: what now? |
//! | `sign_out` | what becomes of requests under way when the user signs out? |
//! | `two_tenants` | how do I act for two users at once? |

use std::time::SystemTime;

use auth_core::{Body, RefreshError, Refresher, TokenResponse, Tokens, Transport, refresher_fn};
use auth_reqwest::ReqwestTransport;
use auth_testkit::server::TestServer;
use http::Request;

/// The refresher of the programs whose point is another: a form in, JSON out (RFC 6749 §6).
pub fn login(server: &TestServer) -> impl Refresher + use<> {
    let (transport, endpoint) = (ReqwestTransport::default(), server.token_endpoint());
    refresher_fn(move |current: Tokens| {
        let (transport, endpoint) = (transport.clone(), endpoint.clone());
        async move {
            // Without a refresh token this is not called: the session ends instead.
            let token = current.refresh_token().ok_or_else(|| RefreshError::rejected("no refresh token"))?;
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token.reveal())
                .finish();
            let request = Request::post(endpoint)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(form))
                .map_err(RefreshError::misconfigured)?;
            TokenResponse::read(transport.send(request).await?, SystemTime::now()).await
        }
    })
}

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
pub struct Readme;

#[doc = include_str!("../../docs/testing.md")]
#[cfg(doctest)]
pub struct Testing;

#[doc = include_str!("../../docs/guide.md")]
#[cfg(doctest)]
pub struct Guide;

#[doc = include_str!("../../docs/beyond.md")]
#[cfg(doctest)]
pub struct Beyond;
