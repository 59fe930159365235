//! A request is put on the wire at most once: what libcurl does, and what is made of it.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auth_core::Body;
use auth_isahc::IsahcTransport;
use auth_isahc::isahc::config::{Configurable as _, VersionNegotiation};
use auth_isahc::isahc::{AsyncReadResponseExt as _, HttpClient};
use auth_testkit::server::{ApiAnswer, TestServer, TokenAnswer};
use support::{exchanged, made, plain, request, sent, transport, waited};

/// How often a request arrives whose answer is lost, after another on the same connection pool.
fn arrives(transport: &IsahcTransport, method: &str, body: impl Into<Body>) -> u64 {
    let server = TestServer::start().unwrap();
    exchanged(transport, request(&server, "GET", "/notes", ()));
    server.next_api_answers([ApiAnswer::Lost]);

    let result = sent(transport, request(&server, method, "/notes", body));

    let times = server.stats().api_requests - 1;
    assert_eq!(result.is_ok(), times > 1, "{result:?}");
    assert!(result.err().is_none_or(|error| error.is_maybe_sent() && !error.is_connect()));
    times
}

#[test]
fn what_is_not_safe_to_send_again_is_sent_once() {
    let transport = transport();
    for method in ["POST", "PUT", "PATCH", "DELETE", "X-OWN"] {
        assert_eq!(arrives(&transport, method, "text"), 1, "{method} with a body");
        assert_eq!(arrives(&transport, method, ()), 1, "{method} without a body");
    }
    assert_eq!(arrives(&transport, "GET", "text"), 1);
}

#[test]
fn a_single_use_transport_sends_everything_once() {
    for method in ["GET", "HEAD", "POST"] {
        assert_eq!(arrives(&made(IsahcTransport::single_use_builder()), method, ()), 1, "{method}");
    }
}

/// What the crate's documentation says of safe requests, and of a client of one's own. Should a libcurl not do it any
/// more, the documentation and the suite's gap go.
#[test]
fn libcurl_sends_a_request_without_a_body_again() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(arrives(&transport(), method, ()), 2, "{method}");
    }
    assert_eq!(arrives(&made(IsahcTransport::client_builder()), "POST", ()), 2);
}

/// Why bodies are given to isahc as what cannot be rewound.
#[test]
fn isahc_itself_sends_a_refresh_twice() {
    let server = TestServer::start().unwrap();
    let refresh_token = server.issue().refresh_token().unwrap().reveal().to_owned();
    let client = HttpClient::builder().proxy(None).build().unwrap();
    let (notes, token) = (server.public("/notes"), server.token_endpoint());
    server.next_token_answers([TokenAnswer::Lost]);

    waited(async move {
        client.get_async(notes).await.unwrap().consume().await.unwrap();
        let form = format!("grant_type=refresh_token&refresh_token={refresh_token}");
        let _ = client.post_async(token, form).await;
    });

    assert_eq!(server.stats().token_requests, 2);
}

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;

/// Refuses every stream (`REFUSED_STREAM`: not processed, safe to send again) once its body has begun, and counts them.
fn refuse_streams(mut client: TcpStream, streams: &AtomicUsize) -> io::Result<()> {
    client.read_exact(&mut [0; 24])?;
    client.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])?;
    loop {
        let mut head = [0; 9];
        client.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        io::copy(&mut (&client).take(length.into()), &mut io::sink())?;
        match head[3] {
            SETTINGS if head[4] == 0 => client.write_all(&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0])?,
            HEADERS => {
                streams.fetch_add(1, Ordering::SeqCst);
            }
            0 => {
                let mut reset = vec![0, 0, 4, 3, 0];
                reset.extend_from_slice(&head[5..9]);
                reset.extend_from_slice(&7_u32.to_be_bytes());
                client.write_all(&reset)?;
            }
            _ => {}
        }
    }
}

#[test]
fn a_refused_stream_with_a_body_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let streams = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&streams);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // It ends with an error when the client goes.
            let _ = refuse_streams(client, &counted);
        }
    });
    let http2 = IsahcTransport::client_builder().version_negotiation(VersionNegotiation::http2());

    let error = sent(&made(http2), plain("POST", &format!("http://{address}/"), "text")).unwrap_err();

    assert!(error.is_maybe_sent() && !error.is_connect());
    assert_eq!(streams.load(Ordering::SeqCst), 1);
}
