//! A server of a test's own, connections to it, and deadlines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auth_core::{StandaloneRuntime, StoreError, TokenStore};
use auth_reqwest::TokioRuntime;
use auth_stores::redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use auth_stores::redis::{self, Client, Cmd, FromRedisValue};
use auth_stores::{RedisStore, RedisStoreError, RedisStoreErrorKind};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A server on a socket in a directory of its own. It ends with this.
pub(crate) struct Server {
    child: Child,
    directory: PathBuf,
    options: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// One that keeps what it is told: on its disk before it answers.
    pub(crate) fn durable() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        // Paths of sockets have to be short.
        let directory = std::env::temp_dir().join(format!("auth-stores-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let child = run(&directory, &options);
        Self { child, directory, options }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.directory.join("r.sock").display())
    }

    pub(crate) fn client(&self) -> Client {
        Client::open(self.url()).unwrap()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same once more, on what is on its disk.
    pub(crate) fn start_again(&mut self) {
        self.child = run(&self.directory, &self.options);
    }

    /// Sends it a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        assert!(kill.args(["-s", name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// As whoever administers it.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        command.query(&mut self.client().get_connection().unwrap()).unwrap()
    }
}

fn run(directory: &Path, options: &[String]) -> Child {
    let socket = directory.join("r.sock");
    drop(fs::remove_file(&socket));
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--unixsocket"]).arg(&socket).arg("--dir").arg(directory).args(options);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect(
        "these tests need a `redis-server`: scripts/test.sh installs one, and so does `apt-get install redis-server`",
    );
    let client = Client::open(format!("redis+unix://{}", socket.display())).unwrap();
    let until = Instant::now() + LONG;
    let answers = || redis::cmd("PING").query::<String>(&mut client.get_connection()?);
    while answers().is_err() {
        assert!(Instant::now() < until, "the server does not answer");
        std::thread::yield_now();
    }
    child
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// The runtime that connections of tests on tokio live on.
pub(crate) static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// One that comes back after it was broken.
pub(crate) async fn on_tokio(server: &Server, name: &str) -> RedisStore<ConnectionManager> {
    let client = server.client();
    // It comes back soon, for tests' sake.
    let config = ConnectionManagerConfig::new().set_max_delay(Duration::from_millis(10));
    let connecting =
        TOKIO.spawn(async move { client.get_connection_manager_with_config(config).await.unwrap() });
    RedisStore::new(connecting.await.unwrap(), TokioRuntime::new(TOKIO.handle().clone()), name)
}

/// Outside of tokio: smol's, which runs anywhere.
pub(crate) async fn on_smol(server: &Server, name: &str) -> RedisStore<MultiplexedConnection> {
    let connection = server.client().get_multiplexed_async_connection().await.unwrap();
    RedisStore::new(connection, StandaloneRuntime::new(), name)
}

/// On this thread, and not for ever.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    smol::block_on(smol::future::or(async { Some(future.await) }, async {
        smol::Timer::after(LONG).await;
        None
    }))
    .expect("it hangs")
}

/// The access token in the store.
pub(crate) async fn stored(store: &impl TokenStore) -> Option<String> {
    store.load().await.unwrap().map(|tokens| tokens.access_token().reveal().to_owned())
}

#[track_caller]
pub(crate) fn kind<T>(result: Result<T, StoreError>) -> RedisStoreErrorKind {
    let Err(error) = result else { panic!("it went well") };
    assert!(!error.is_conflict());
    RedisStoreError::find(&error).expect("a Redis store's error has a reason").kind()
}
