//! The socket, and the thread that serves it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

use super::body::{self, ResponseBody};
use super::shared::Shared;
use super::{api, token_endpoint};

/// A storm of clients connects at once; what does not fit is tried again by the kernel a second later.
const BACKLOG: u32 = 4096;

const LONGEST_HEAD: u32 = 256 * 1024;

/// The running thread. Dropping it closes every connection and waits for the thread.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    pub(super) fn start(port: u16, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _guard = runtime.enter();
            listen(port)?
        };
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            // The runtime is dropped on this thread, and with it all that still runs on it.
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = stopped => {}
                    () = accept(listener, shared) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("auth-testkit-server".to_owned()).spawn(serve)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Only a chosen port is worth taking over from connections that linger.
    socket.set_reuseaddr(port != 0)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let number = shared.change(|state| {
                    state.stats.connections += 1;
                    state.stats.open_connections += 1;
                    state.stats.connections - 1
                });
                tokio::spawn(serve(stream, number, Arc::clone(&shared)));
            }
            // No descriptor is left, most likely: some connection has to end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn serve(stream: TcpStream, number: u64, shared: Arc<Shared>) {
    let _open = Open(Arc::clone(&shared));
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| route(Arc::clone(&shared), number, request));
    let mut connections = auto::Builder::new(TokioExecutor::new());
    // Tokens may be long: HTTP/1 has room for them by default.
    connections.http2().max_header_list_size(LONGEST_HEAD);
    // A client that goes, and an answer that is to be lost, are both errors to hyper, and news to nobody.
    let _ = connections.serve_connection(TokioIo::new(stream), service).await;
}

struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.change(|state| state.stats.open_connections -= 1);
    }
}

async fn route(shared: Arc<Shared>, connection: u64, request: Request<Incoming>) -> api::Answer {
    let head_only = request.method() == Method::HEAD;
    let answer = match request.uri().path() {
        path if path.starts_with("/api/") => api::protected(shared, connection, request).await,
        path if path.starts_with("/public/") => api::public(shared, connection, request).await,
        "/redirect" => api::redirect(shared, connection, request).await,
        "/token" => token_endpoint::refresh(shared, connection, request).await,
        "/revoke" => token_endpoint::revoke(shared, connection, request).await,
        _ => api::missing(shared, connection, request).await,
    };
    if head_only { answer.map(without_body) } else { answer }
}

/// The answer to a HEAD: the length of a body and no body. hyper leaves it out on HTTP/1 and sends it on HTTP/2.
fn without_body(mut answer: Response<ResponseBody>) -> Response<ResponseBody> {
    if let Some(length) = answer.body().size_hint().exact() {
        answer.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
    }
    *answer.body_mut() = body::full("");
    answer
}
