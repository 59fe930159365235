//! My API does not say 401: what now? One that answers 400 with a code in its body, or 419.
#![allow(clippy::print_stdout, reason = "a program for a person")]

use std::error::Error as StdError;

use auth_core::{AuthClient, Body, Challenge, ChallengePolicy, Session, StandardChallenge};
use auth_reqwest::{ReqwestTransport, TokioRuntime};
use auth_testkit::server::{ApiAnswer, TestServer};
use http::{Request, StatusCode, response};

/// 400 with `TOKEN_EXPIRED` in its body. Whatever else comes is read as usual.
struct CodeInBody {
    otherwise: StandardChallenge,
}

impl ChallengePolicy for CodeInBody {
    /// Only a 400 is looked into, and no further than a code can be. The caller still gets the whole body.
    fn peek(&self, head: &response::Parts) -> usize {
        if head.status == StatusCode::BAD_REQUEST { 512 } else { 0 }
    }

    fn challenge(&self, head: &response::Parts, peeked: &[u8]) -> Challenge {
        let code = br#""TOKEN_EXPIRED""#;
        if head.status == StatusCode::BAD_REQUEST && peeked.windows(code.len()).any(|text| text == code) {
            return Challenge::Expired;
        }
        self.otherwise.challenge(head, peeked)
    }
}

fn bad_request(code: &str) -> ApiAnswer {
    let body = format!(r#"{{"code": "{code}"}}"#);
    ApiAnswer::Status { status: 400, headers: Vec::new(), body }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let server = TestServer::start()?;
    let session = Session::builder(examples::login(&server)).runtime(TokioRuntime::current()).build();
    // A status that stands for 401 needs no policy of your own.
    let otherwise = StandardChallenge::new().or_status(StatusCode::from_u16(419)?);
    let client = AuthClient::builder(ReqwestTransport::default(), session.clone())
        .origin(server.base_url())
        .challenges(CodeInBody { otherwise })
        .build()?;
    session.sign_in(server.issue()).await?;

    for (what, answer) in [
        ("400 TOKEN_EXPIRED", bad_request("TOKEN_EXPIRED")),
        ("419", ApiAnswer::status(419)),
        ("400 TITLE_MISSING", bad_request("TITLE_MISSING")),
    ] {
        let before = server.stats().token_requests;
        server.next_api_answers([answer]);
        let response = client.send(Request::get("/api/notes").body(Body::empty())?).await?;
        let refreshes = server.stats().token_requests - before;
        let (status, body) = (response.status(), response.into_body().text().await?);
        println!("the API says {what}: the caller sees {status}; refreshes: {refreshes}");
        if !status.is_success() {
            println!("  its body is whole: {body}");
        }
    }
    Ok(())
}
