//! What goes out is what was given, and what comes back is what came.

use auth_core::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::world::{World, bare, pieces};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::server::{ApiAnswer, digest};

pub(super) async fn methods(world: &World) -> Verdict {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X-OWN"] {
        let (head, body) = world.exchange(world.notes(method, ())).await?;

        let seen = world.seen()?.method;
        ensure!(seen == method, "{method} arrived as {seen}");
        ensure!(head.status() == StatusCode::OK, "{method} was answered with {}", head.status());
        ensure!(body.is_empty() == (method == "HEAD"), "{method} has a body of {} bytes", body.len());
    }
    KEPT
}

pub(super) async fn uri(world: &World) -> Verdict {
    for target in ["/notes?a=1&b=%20x&a=2", "/notes/%2F7/%E9?q=a+b&empty=&e=%c3%A9&m=!$()*,;:@/?", "/notes"] {
        world.exchange(world.request("GET", &world.server.api(target), ())).await?;

        let seen = world.seen()?.target;
        ensure!(seen == format!("/api{target}"), "/api{target} arrived as {seen}");
    }
    KEPT
}

pub(super) async fn request_headers(world: &World) -> Verdict {
    let visible: String = (' '..='~').collect();
    let visible = visible.trim();
    let long = "x".repeat(8 * 1024);
    let sent = [
        ("x-visible", vec![visible]),
        ("x-many", vec!["one", "two, three", "one"]),
        ("x-empty", vec![""]),
        ("x-long", vec![&long]),
        ("cookie", vec!["a=1; b=2"]),
    ];
    let mut request = world.notes("GET", ());
    for (name, values) in &sent {
        for value in values {
            let value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
    }

    world.exchange(request).await?;

    let seen = world.seen()?.headers;
    for (name, values) in sent {
        let arrived = texts(&seen, name);
        ensure!(arrived == values, "{name} was {values:?} and arrived as {arrived:?}");
    }
    KEPT
}

/// A library may refuse them, before anything is sent. It may not make something else of them.
pub(super) async fn header_bytes(world: &World) -> Verdict {
    let value = HeaderValue::from_bytes(b"\xe9t\xe9").map_err(|error| error.to_string())?;
    let mut request = world.notes("GET", ());
    request.headers_mut().insert("x-bytes", value.clone());

    world.stage("sending a header value that is not ASCII");
    match world.transport.send(request).await {
        Ok(_) => {
            let arrived = world.seen()?.headers.get("x-bytes").cloned();
            ensure!(arrived.as_ref() == Some(&value), "the bytes {value:?} arrived as {arrived:?}");
        }
        Err(error) => {
            ensure!(!error.is_maybe_sent(), "it refuses the bytes {value:?}, perhaps sent: {error:?}");
            ensure!(world.server.log().is_empty(), "it refuses the bytes {value:?} after it has sent them");
        }
    }
    KEPT
}

pub(super) async fn added_headers(world: &World) -> Verdict {
    let mut request = world.notes("POST", "a=1");
    let own = [(ACCEPT, "text/plain"), (USER_AGENT, "notes/1.0"), (CONTENT_TYPE, "text/own")];
    for (name, value) in &own {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }

    world.exchange(request).await?;

    let seen = world.seen()?.headers;
    for (name, value) in own {
        let arrived = texts(&seen, name.as_str());
        ensure!(arrived == [value], "{name} was {value:?} and arrived as {arrived:?}");
    }
    KEPT
}

pub(super) async fn response_headers(world: &World) -> Verdict {
    let headers =
        [("set-cookie", "a=1, x"), ("set-cookie", "b=2"), ("x-empty", ""), ("x-visible", "!\"#~ ,;=")];
    let answer = ApiAnswer::Status {
        status: 200,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: String::new(),
    };
    world.server.next_api_answers([answer]);

    let (head, _) = world.exchange(world.notes("GET", ())).await?;

    for (name, values) in
        [("set-cookie", &["a=1, x", "b=2"][..]), ("x-empty", &[""]), ("x-visible", &["!\"#~ ,;="])]
    {
        let came = texts(head.headers(), name);
        ensure!(came == values, "{name} was {values:?} and came back as {came:?}");
    }
    KEPT
}

pub(super) async fn no_body(world: &World) -> Verdict {
    world.exchange(world.notes("GET", ())).await?;

    let seen = world.seen()?;
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
        ensure!(!seen.headers.contains_key(&name), "a GET without a body arrived with {name}");
    }
    KEPT
}

pub(super) async fn bodies_up(world: &World) -> Verdict {
    let (small, large) = (Bytes::from_static(b"text"), large());
    for bytes in [small, large] {
        let length = bytes.len() as u64;
        let (again, stream) = (bytes.clone(), pieces(&bytes));
        let kinds = [
            ("of bytes", Body::from(bytes.clone()), true),
            ("that is replayable", Body::replayable(move || pieces(&again)), false),
            ("that is a stream", Body::stream(stream), false),
            ("that is a stream of known length", Body::stream(pieces(&bytes)).with_length(length), true),
        ];
        for (kind, body, known) in kinds {
            let (_, described) = world.exchange(world.notes("POST", body)).await?;

            let seen = world.seen()?;
            let told = seen.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            ensure!(
                seen.body_length == length,
                "of a body of {length} bytes {kind} arrived {}",
                seen.body_length
            );
            ensure!(contains(&described, &digest(&bytes)), "other bytes arrived of a body {kind}");
            ensure!(
                !known || told == Some(length.to_string().as_str()),
                "a body of {length} bytes {kind} has the length {told:?}"
            );
        }
    }
    KEPT
}

pub(super) async fn bodies_down(world: &World) -> Verdict {
    for bytes in [Bytes::from_static(b"text"), large()] {
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let answer = ApiAnswer::Status { status: 200, headers: Vec::new(), body };
        world.server.next_api_answers([answer]);

        let (_, came) = world.exchange(world.notes("GET", ())).await?;

        ensure!(came.len() == bytes.len(), "of a body of {} bytes came {}", bytes.len(), came.len());
        ensure!(came == bytes, "other bytes came of a body of {}", bytes.len());
    }
    KEPT
}

pub(super) async fn every_status(world: &World) -> Verdict {
    let (head, body) = world.exchange(bare("GET", &world.server.api("/notes"), ())).await?;
    ensure!(head.status() == StatusCode::UNAUTHORIZED, "a 401 came as {}", head.status());
    ensure!(head.headers().contains_key("www-authenticate"), "a 401 came without its challenge");
    ensure!(contains(&body, "not valid"), "a 401 came with another body: {body:?}");

    for (status, text) in
        [(204, ""), (304, ""), (400, "no"), (403, "no"), (404, "no"), (407, "no"), (500, "no"), (503, "")]
    {
        let answer = ApiAnswer::Status { status, headers: Vec::new(), body: text.to_owned() };
        world.server.next_api_answers([answer]);

        let (head, body) = world.exchange(world.notes("GET", ())).await?;

        ensure!(head.status() == status, "a {status} came as {}", head.status());
        ensure!(body == text, "a {status} came with another body: {body:?}");
    }
    KEPT
}

fn texts<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("bytes")).collect()
}

fn contains(body: &Bytes, text: &str) -> bool {
    String::from_utf8_lossy(body).contains(text)
}

/// More than any library keeps in one buffer.
fn large() -> Bytes {
    (0..1_500_000_u32).map(|number| (number % 123) as u8).collect()
}
