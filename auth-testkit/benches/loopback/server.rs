//! The server: a process of its own, as light as can be. It knows one API answer and the newest token.
//!
//! It is told what to do through its standard input, a line for each command, and answers each with a line; it ends with its input.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;

const ROLE: &str = "--serve";

/// What the API answers.
pub(crate) const ANSWER: &str = r#"{"id":17,"title":"Milk","text":"Two bottles","done":false}"#;

const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error=\"invalid_token\"\r\ncontent-length: 0\r\n\r\n";

/// The access token of a generation, as long as those that carry claims.
pub(crate) fn access_token(generation: u64) -> String {
    format!("A{generation:0>1000}")
}

pub(crate) fn refresh_token(generation: u64) -> String {
    format!("R{generation}")
}

/// The child process, as its parent sees it.
pub(crate) struct Server {
    child: Child,
    pipes: Mutex<(Option<ChildStdin>, BufReader<ChildStdout>)>,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("a program knows where it is");
        let mut command = Command::new(program);
        let command = command.arg(ROLE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it can be started once more");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("it is piped"));
        let mut output = BufReader::new(output);
        let port = line(&mut output).parse().expect("it says its port first");
        Self { child, pipes: Mutex::new((input, output)), port }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn api(&self) -> String {
        format!("{}/api/notes/17", self.origin())
    }

    pub(crate) fn token_endpoint(&self) -> String {
        format!("{}/token", self.origin())
    }

    /// No access token that it has given is valid any more.
    pub(crate) fn revoke(&self) {
        self.ask("revoke");
    }

    /// How often somebody has come to its token endpoint.
    pub(crate) fn token_calls(&self) -> usize {
        self.ask("calls").parse().expect("it answers with a number")
    }

    fn ask(&self, command: &str) -> String {
        let (input, output) = &mut *self.pipes.lock().expect("nothing panics with it");
        writeln!(input.as_mut().expect("it is open until the end"), "{command}").expect("it reads");
        line(output)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.pipes.lock().expect("nothing panics with it").0 = None;
        let _ = self.child.wait();
    }
}

fn line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("it answers");
    line.trim_end().to_owned()
}

/// Whether this process is to be the server.
pub(crate) fn is_wanted() -> bool {
    std::env::args().nth(1).is_some_and(|role| role == ROLE)
}

#[derive(Default)]
struct State {
    newest: u64,
    /// Those before it are not valid.
    valid_from: u64,
    calls: usize,
}

pub(crate) fn run() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback socket");
    println!("{}", listener.local_addr().expect("it is bound").port());
    let state = Arc::new(Mutex::new(State::default()));
    let shared = Arc::clone(&state);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let state = Arc::clone(&shared);
            // A thread each: the lightest there is for requests that follow each other.
            std::thread::spawn(move || serve(connection, &state));
        }
    });
    for command in io::stdin().lines().map_while(Result::ok) {
        let mut state = state.lock().expect("nothing panics with it");
        if command == "revoke" {
            state.valid_from = state.newest + 1;
        }
        println!("{}", state.calls);
    }
}

fn serve(mut connection: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let ok = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
        ANSWER.len()
    );
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        let Some((head, rest)) = read_head(&mut connection, &mut buffer)? else { return Ok(()) };
        if head.starts_with("POST /token ") {
            let answer = exchange(&mut connection, &head, rest, state)?;
            connection.write_all(answer.as_bytes())?;
        } else {
            let generation = field(&head, "authorization: bearer a").and_then(|digits| digits.parse().ok());
            let valid_from = state.lock().expect("nothing panics with it").valid_from;
            let valid = generation.is_some_and(|generation: u64| generation >= valid_from);
            connection.write_all(if valid { ok.as_bytes() } else { REFUSED.as_bytes() })?;
        }
    }
}

/// A request's head, and what came of its body with it. `None`: the connection was closed.
fn read_head(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<(String, Vec<u8>)>> {
    buffer.clear();
    let mut chunk = [0; 4096];
    loop {
        let count = connection.read(&mut chunk)?;
        if count == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(&chunk[..count]);
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            return Ok(Some((head, buffer[end + 4..].to_vec())));
        }
    }
}

/// What stands behind this in a line of the head.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let start = line.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| &line[name.len()..])
    })
}

/// The token endpoint: the newest refresh token is exchanged, once.
fn exchange(
    connection: &mut TcpStream,
    head: &str,
    mut body: Vec<u8>,
    state: &Mutex<State>,
) -> io::Result<String> {
    let length = field(head, "content-length: ").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut rest = vec![0; usize::saturating_sub(length, body.len())];
    connection.read_exact(&mut rest)?;
    body.extend_from_slice(&rest);

    let mut state = state.lock().expect("nothing panics with it");
    state.calls += 1;
    let presented = format!("refresh_token={}", refresh_token(state.newest));
    let (status, answer) = if String::from_utf8_lossy(&body).split('&').any(|field| field == presented) {
        state.newest += 1;
        let (access, refresh) = (access_token(state.newest), refresh_token(state.newest));
        ("200 OK", json!({ "access_token": access, "token_type": "Bearer", "refresh_token": refresh }))
    } else {
        ("400 Bad Request", json!({ "error": "invalid_grant" }))
    };
    let answer = answer.to_string();
    let length = answer.len();
    Ok(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{answer}"
    ))
}
