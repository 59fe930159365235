//! The resource server: what a token opens.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, request};
use hyper::body::Incoming;
use serde_json::json;

use super::body::{self, Gone, ResponseBody};
use super::form;
use super::log::{Stats, label};
use super::script::ApiAnswer;
use super::shared::Shared;
use super::token_endpoint::status_code;

pub(super) type Answer = Result<Response<ResponseBody>, Gone>;

/// What was found out about a protected request when its head arrived.
struct Verdict {
    answer: ApiAnswer,
    /// Whether it was presented at all, for the challenge.
    bearer: bool,
    authorized: bool,
}

pub(super) async fn protected(shared: Arc<Shared>, connection: u64, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let number = shared.arrive(connection, &head, |stats| stats.api_requests += 1);
    let verdict = judge(&shared, number);

    let response = if !verdict.authorized {
        body::summarise(body, &shared, number).await?;
        hold(&shared, number).await;
        refusal(&verdict)
    } else if head.uri.path() == "/api/echo" {
        hold(&shared, number).await;
        echo(&head, body::echo(body, Arc::clone(&shared), number))
    } else {
        let summary = body::summarise(body, &shared, number).await?;
        hold(&shared, number).await;
        served(&shared, number, &head, &summary)
    };
    let response = spoil(response, &verdict.answer)?;
    shared.answered(number, response.status(), |stats| count(stats, response.status()));
    Ok(response)
}

fn judge(shared: &Shared, number: usize) -> Verdict {
    shared.change(|state| {
        let answer = state.api_script.draw().unwrap_or(ApiAnswer::Normal);
        let bearer = state.log[number].bearer.as_deref();
        let refused = matches!(answer, ApiAnswer::Unauthorized | ApiAnswer::Status { .. });
        let authorized = !refused && bearer.is_some_and(|token| state.authority.is_valid(token));
        Verdict { authorized, bearer: bearer.is_some(), answer }
    })
}

async fn hold(shared: &Shared, number: usize) {
    shared
        .pass(|state| {
            let seen = &state.log[number];
            state.api_gate.arrive(seen)
        })
        .await;
}

fn count(stats: &mut Stats, status: StatusCode) {
    match status {
        StatusCode::OK => stats.ok += 1,
        StatusCode::UNAUTHORIZED => stats.unauthorized += 1,
        _ => {}
    }
}

fn refusal(verdict: &Verdict) -> Response<ResponseBody> {
    if let ApiAnswer::Status { status, headers, body } = &verdict.answer {
        let mut response = Response::new(body::full(body.clone()));
        *response.status_mut() = status_code(*status);
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                response.headers_mut().append(name, value);
            }
        }
        return response;
    }
    // A request without a token is told no error (RFC 6750 §3.1).
    let challenge = if verdict.bearer { r#"Bearer error="invalid_token""# } else { "Bearer" };
    let mut response = json_response(&json!({ "message": "the access token is not valid" }));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

fn echo(head: &request::Parts, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    if let Some(content_type) = head.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    response
}

fn served(
    shared: &Arc<Shared>,
    number: usize,
    head: &request::Parts,
    (length, digest): &(u64, String),
) -> Response<ResponseBody> {
    if head.uri.path() == "/api/stream" {
        let query = form::parse(head.uri.query().unwrap_or_default());
        let chunks = form::field(&query, "chunks").and_then(|text| text.parse().ok()).unwrap_or(2);
        let mut response = Response::new(body::chunks(Arc::clone(shared), chunks));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        return response;
    }
    let token = shared.read(|state| state.log[number].bearer.as_deref().and_then(label).map(str::to_owned));
    json_response(&json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "bytes": length,
        "digest": digest,
        "token": token,
    }))
}

/// What a script does to an answer on its way out.
fn spoil(mut response: Response<ResponseBody>, answer: &ApiAnswer) -> Answer {
    match answer {
        ApiAnswer::Lost => Err(Gone),
        ApiAnswer::Close => {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Ok(response)
        }
        ApiAnswer::Truncated => {
            let whole = Bytes::from_static(br#"{"message": "half of this is sent"}"#);
            response.headers_mut().insert(CONTENT_LENGTH, whole.len().into());
            *response.body_mut() = body::half(&whole);
            Ok(response)
        }
        ApiAnswer::Normal | ApiAnswer::Unauthorized | ApiAnswer::Status { .. } => Ok(response),
    }
}

pub(super) async fn public(shared: Arc<Shared>, connection: u64, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let number = shared.arrive(connection, &head, |stats| stats.public_requests += 1);
    let summary = body::summarise(body, &shared, number).await?;
    let response = served(&shared, number, &head, &summary);
    shared.answered(number, response.status(), |_| ());
    Ok(response)
}

pub(super) async fn redirect(shared: Arc<Shared>, connection: u64, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let number = shared.arrive(connection, &head, |_| ());
    body::summarise(body, &shared, number).await?;
    let query = form::parse(head.uri.query().unwrap_or_default());
    let to = form::field(&query, "to").and_then(|to| HeaderValue::try_from(to).ok());
    let mut response = Response::new(body::full(""));
    if let Some(to) = to {
        *response.status_mut() = StatusCode::FOUND;
        response.headers_mut().insert(LOCATION, to);
    } else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    shared.answered(number, response.status(), |stats| {
        stats.redirects += u64::from(response.status() == StatusCode::FOUND);
    });
    Ok(response)
}

pub(super) async fn missing(shared: Arc<Shared>, connection: u64, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let number = shared.arrive(connection, &head, |_| ());
    body::summarise(body, &shared, number).await?;
    let mut response = Response::new(body::full("no such resource"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    shared.answered(number, StatusCode::NOT_FOUND, |_| ());
    Ok(response)
}

pub(super) fn json_response(value: &serde_json::Value) -> Response<ResponseBody> {
    let mut response = Response::new(body::full(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
