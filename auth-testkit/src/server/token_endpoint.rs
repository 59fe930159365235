//! The token endpoint (RFC 6749 §6, §4.4) and the revocation endpoint (RFC 7009).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, request};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::api::{Answer, json_response};
use super::authority::{Exchange, Issued};
use super::body::{self, Gone, ResponseBody};
use super::form;
use super::policy::Policy;
use super::script::TokenAnswer;
use super::shared::{Shared, State};

type Form = Vec<(String, String)>;

pub(super) async fn refresh(shared: Arc<Shared>, connection: u64, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let number = shared.arrive(connection, &head, |stats| stats.token_requests += 1);
    let form = read_form(&shared, number, body).await?;
    shared.change(|state| {
        let seen = &mut state.log[number];
        seen.grant_type = form::field(&form, "grant_type");
        seen.refresh_token = form::field(&form, "refresh_token");
    });
    shared.pass(|state| state.token_gate.arrive(&state.log[number])).await;

    let answer = shared.change(|state| state.token_script.draw()).unwrap_or(TokenAnswer::Normal);
    let mut response = respond(&shared, answer, &head, &form).await?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    shared.answered(number, response.status(), |_| ());
    Ok(response)
}

async fn respond(shared: &Shared, answer: TokenAnswer, head: &request::Parts, form: &Form) -> Answer {
    let process = || shared.change(|state| process(state, head, form));
    Ok(match answer {
        TokenAnswer::Normal => process(),
        TokenAnswer::Slow(duration) => {
            tokio::time::sleep(duration).await;
            process()
        }
        TokenAnswer::Hold => {
            let response = process();
            shared.pass(|state| Some(state.answer_gate.wait())).await;
            response
        }
        TokenAnswer::Lost => {
            process();
            return Err(Gone);
        }
        TokenAnswer::Truncated => truncated(process()).await,
        TokenAnswer::Refused => return Err(Gone),
        TokenAnswer::Status { status, retry_after, content_type, body } => {
            let headers = [(RETRY_AFTER, retry_after), (CONTENT_TYPE, content_type)];
            with_headers(with_status(status, body::full(body)), headers)
        }
        TokenAnswer::OAuthError { status, code } => oauth_error(status, &code),
        TokenAnswer::Html(status) => {
            let page = "<!doctype html><title>Error</title><p>The gateway could not reach the server.</p>";
            typed(with_status(status, body::full(page)), "text/html")
        }
        TokenAnswer::Redirect { status, to } => {
            with_headers(with_status(status, body::full("")), [(LOCATION, Some(to))])
        }
        TokenAnswer::Nonsense(bytes) => typed(with_status(200, body::full(bytes)), "application/json"),
    })
}

fn process(state: &mut State, head: &request::Parts, form: &Form) -> Response<ResponseBody> {
    if head.method != Method::POST {
        return with_status(405, body::full("a token request is a POST"));
    }
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|text| text.starts_with("application/x-www-form-urlencoded")) {
        return oauth_error(400, "invalid_request");
    }
    if state.policy.client_id.is_some() && form::field(form, "client_id") != state.policy.client_id {
        return oauth_error(401, "invalid_client");
    }
    match form::field(form, "grant_type").as_deref() {
        Some("refresh_token") => {}
        Some("client_credentials") if state.policy.client_credentials => {
            let issued = state.authority.sign_in(&state.policy);
            return granted(issued, &Policy { omit_refresh_token: true, ..state.policy.clone() });
        }
        _ => return oauth_error(400, "unsupported_grant_type"),
    }
    let Some(token) = form::field(form, "refresh_token") else {
        return oauth_error(400, "invalid_request");
    };
    let stats = &mut state.stats;
    match state.authority.exchange(&token, &state.policy) {
        Exchange::Granted(issued) => {
            stats.refreshes_granted += 1;
            granted(issued, &state.policy)
        }
        Exchange::Graced(issued) => {
            stats.graced += 1;
            granted(issued, &state.policy)
        }
        Exchange::Reused { revoked } => {
            stats.refreshes_refused += 1;
            stats.reuse_detected += 1;
            stats.families_revoked += u64::from(revoked);
            oauth_error(400, "invalid_grant")
        }
        Exchange::Refused => {
            stats.refreshes_refused += 1;
            oauth_error(400, "invalid_grant")
        }
    }
}

fn granted(issued: Issued, policy: &Policy) -> Response<ResponseBody> {
    let mut answer = json!({ "access_token": issued.access, "token_type": "Bearer" });
    if let Some(expires_in) = &policy.expires_in {
        answer["expires_in"] = expires_in.clone();
    }
    if !policy.omit_refresh_token {
        answer["refresh_token"] = Value::String(issued.refresh);
    }
    json_response(&answer)
}

async fn truncated(response: Response<ResponseBody>) -> Response<ResponseBody> {
    use http_body_util::BodyExt as _;

    let (mut head, body) = response.into_parts();
    let whole = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    head.headers.insert(CONTENT_LENGTH, whole.len().into());
    Response::from_parts(head, body::half(&whole))
}

pub(super) async fn revoke(shared: Arc<Shared>, connection: u64, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let number = shared.arrive(connection, &head, |stats| stats.revocations += 1);
    let form = read_form(&shared, number, body).await?;
    let response = match form::field(&form, "token") {
        Some(token) if head.method == Method::POST => {
            shared.change(|state| state.authority.revoke(&token));
            with_status(200, body::full(""))
        }
        _ => oauth_error(400, "invalid_request"),
    };
    shared.answered(number, response.status(), |_| ());
    Ok(response)
}

async fn read_form(shared: &Shared, number: usize, body: Incoming) -> Result<Form, Gone> {
    let bytes = body::collect(body, shared, number).await?;
    Ok(form::parse(&String::from_utf8_lossy(&bytes)))
}

fn oauth_error(status: u16, code: &str) -> Response<ResponseBody> {
    let mut response = json_response(&json!({ "error": code }));
    *response.status_mut() = status_code(status);
    response
}

fn with_status(status: u16, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status_code(status);
    response
}

fn with_headers<const N: usize>(
    mut response: Response<ResponseBody>,
    headers: [(HeaderName, Option<String>); N],
) -> Response<ResponseBody> {
    for (name, value) in headers {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn typed(mut response: Response<ResponseBody>, content_type: &'static str) -> Response<ResponseBody> {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(super) fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
