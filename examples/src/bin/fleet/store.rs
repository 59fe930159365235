//! Where the processes share their sign-in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use auth_core::TokenStore;
use auth_reqwest::TokioRuntime;
use auth_stores::redis::{self, Client};
use auth_stores::{FileStore, RedisStore};

use crate::args::Store;

/// How long a server may take to start.
const LONG: Duration = Duration::from_secs(30);

/// What comes before the path or the URL, and says which store it is.
const FILE: &str = "file:";

/// In a process of the fleet.
pub(crate) async fn open(address: String, lease: Duration) -> Box<dyn TokenStore> {
    if let Some(path) = address.strip_prefix(FILE) {
        return Box::new(FileStore::new(path));
    }
    // It lives as long as the process.
    let tokio = Box::leak(Box::new(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a process of the fleet can have a thread"),
    ));
    let connecting = tokio.spawn(async move { Client::open(address)?.get_connection_manager().await });
    let connection =
        connecting.await.expect("connecting does not panic").expect("the fleet has started the server");
    let runtime = TokioRuntime::new(tokio.handle().clone());
    Box::new(RedisStore::new(connection, runtime, "fleet").lease(lease))
}

/// A place for the store, and what runs there. It goes with this.
pub(crate) struct Place {
    directory: PathBuf,
    server: Option<Child>,
    pub(crate) address: String,
}

impl Place {
    pub(crate) fn make(store: Store) -> Result<Self, String> {
        let directory = std::env::temp_dir().join(format!("auth-fleet-{}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let address = format!("{FILE}{}", directory.join("tokens.json").display());
        let mut place = Self { directory, server: None, address };
        if store == Store::Redis {
            place.start_server()?;
        }
        Ok(place)
    }

    /// On a socket in the directory: there is no port that somebody else might have.
    fn start_server(&mut self) -> Result<(), String> {
        let socket = self.directory.join("r.sock");
        self.address = format!("redis+unix://{}", socket.display());
        self.server = Some(spawn(&self.directory, &socket)?);
        let until = Instant::now() + LONG;
        let client = Client::open(self.address.as_str()).map_err(|error| error.to_string())?;
        let answers = || redis::cmd("PING").query::<String>(&mut client.get_connection()?);
        while let Err(error) = answers() {
            if Instant::now() > until {
                return Err(format!("the redis-server does not answer: {error}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn spawn(directory: &Path, socket: &Path) -> Result<Child, String> {
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(socket);
    command.arg("--dir").arg(directory).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().map_err(|error| {
        format!("no redis-server could be started: {error} (apt-get install redis-server, or --store file)")
    })
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            drop(server.kill());
            drop(server.wait());
        }
        drop(fs::remove_dir_all(&self.directory));
    }
}
