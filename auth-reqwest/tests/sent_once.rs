//! A request is put on the wire at most once, also where HTTP/2 would let a client send it again.

mod support;

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auth_core::{Body, Transport as _};
use http::Request;
use support::{bounded, http2_transport};

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;

/// Refuses every stream (`RST_STREAM` with `REFUSED_STREAM`: not processed, safe to send again), and counts them.
fn refuse_streams(mut client: TcpStream, streams: &AtomicUsize) -> io::Result<()> {
    client.read_exact(&mut [0; 24])?;
    client.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])?;
    loop {
        let mut head = [0; 9];
        client.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        io::copy(&mut (&client).take(length.into()), &mut io::sink())?;
        if head[3] == SETTINGS && head[4] == 0 {
            client.write_all(&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0])?;
        }
        if head[3] == HEADERS {
            streams.fetch_add(1, Ordering::SeqCst);
            let mut reset = vec![0, 0, 4, 3, 0];
            reset.extend_from_slice(&head[5..9]);
            reset.extend_from_slice(&7u32.to_be_bytes());
            client.write_all(&reset)?;
        }
    }
}

#[tokio::test]
async fn a_refused_stream_is_not_sent_again() {
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

    let request = Request::get(format!("http://{address}/")).body(Body::empty()).unwrap();
    let error = bounded(http2_transport().send(request)).await.unwrap_err();

    assert!(error.is_maybe_sent() && !error.is_connect());
    assert_eq!(streams.load(Ordering::SeqCst), 1);
}
