//! Directories, deadlines and other processes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use auth_core::{StoreError, TokenStore, Tokens};
use auth_stores::{FileStore, FileStoreError, FileStoreErrorKind};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A directory of this test's own. What is in it goes with it.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("auth-stores-{}-{number}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("tokens.json")
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.0.join("tokens.json.lock")
    }

    pub(crate) fn store(&self) -> FileStore {
        FileStore::new(self.file())
    }

    /// What is there, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
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
pub(crate) fn stored(store: &FileStore) -> Option<String> {
    block_on(store.load()).unwrap().map(|tokens| text(&tokens))
}

pub(crate) fn text(tokens: &Tokens) -> String {
    tokens.access_token().reveal().to_owned()
}

#[track_caller]
pub(crate) fn kind<T>(result: Result<T, StoreError>) -> FileStoreErrorKind {
    let Err(error) = result else { panic!("it went well") };
    assert!(!error.is_conflict());
    FileStoreError::find(&error).expect("a file store's error has a reason").kind()
}

/// This program once more, as another process that does nothing but this test, and does it as the other process.
pub(crate) struct Other {
    child: Child,
    lines: mpsc::Receiver<String>,
}

/// What tells a process that it is the other one, and where.
const PLACE: &str = "AUTH_STORES_TEST_PLACE";

impl Other {
    /// `test` is the path of the test that asks [`place`] what it is.
    pub(crate) fn start(test: &str, place: &Path) -> Self {
        Self::with(Command::new(std::env::current_exe().unwrap()), test, place)
    }

    /// The same, without room for a single byte in any file.
    #[cfg(unix)]
    pub(crate) fn without_room(test: &str, place: &Path) -> Self {
        let mut shell = Command::new("sh");
        // Without the trap it would die of the signal.
        shell
            .args(["-c", r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#])
            .arg(std::env::current_exe().unwrap());
        Self::with(shell, test, place)
    }

    /// The same, as somebody who may do only what permissions allow: root may do everything else.
    #[cfg(unix)]
    pub(crate) fn unprivileged(test: &str, place: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let itself = std::env::current_exe().unwrap();
        // The owner of what this program makes is who it runs as.
        if fs::metadata(place.parent().unwrap()).unwrap().uid() != 0 {
            return Self::with(Command::new(itself), test, place);
        }
        let mut as_root = Command::new("setpriv");
        as_root.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(itself);
        Self::with(as_root, test, place)
    }

    fn with(mut command: Command, test: &str, place: &Path) -> Self {
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(PLACE, place);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that it says of itself. `None`: it has ended.
    pub(crate) fn says(&self) -> Option<String> {
        loop {
            match self.lines.recv_timeout(LONG) {
                // The test harness's own lines, to which ours may be appended.
                Ok(line) => {
                    if let Some((_, said)) = line.split_once("> ") {
                        return Some(said.to_owned());
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the other process hangs"),
            }
        }
    }

    /// `kill -9`, and what it had said until then.
    pub(crate) fn kill(&mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.says()).collect()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> (ExitStatus, Vec<String>) {
        let said = std::iter::from_fn(|| self.says()).collect();
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where this process is to work, if it is the other one.
pub(crate) fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

/// To the first process.
pub(crate) fn say(what: impl std::fmt::Display) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {what}").unwrap();
    out.flush().unwrap();
}
