//! A file that keeps a sign-in from one run of a program to the next.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use auth_core::{StoreError, StoredTokens, TokenStore, Tokens, async_trait};
use futures::channel::oneshot;

/// A sign-in in a JSON file, for **one process at a time**.
///
/// | promise | how |
/// | --- | --- |
/// | the old pair or the new one, whatever crashes | a new file is written out, then takes the old one's name |
/// | nobody else can read it (Unix) | it is made with mode 0600, not changed to it afterwards |
/// | what cannot be read is an error, not a sign-out | only a missing file means that nobody is signed in |
/// | nobody waits for the disk | a thread does, and does one call after the other |
///
/// It is kept small on purpose. Two processes that share one refresh token would each spend it: a store for them also
/// implements [`TokenStore::lock`]. Elsewhere than on Unix the file is as private as its directory. The directory has to
/// be there.
#[derive(Clone)]
pub struct FileStore {
    jobs: mpsc::Sender<Job>,
}

/// In the order in which they were asked for, so that a save that was given up cannot overtake the next one.
type Job = Box<dyn FnOnce(&Disk) + Send>;

impl FileStore {
    /// The sign-in is kept here.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let (jobs, asked) = mpsc::channel::<Job>();
        let disk = Disk { path: path.into() };
        // It ends with the last clone of the store. Where it cannot even begin, every call fails.
        let worker = thread::Builder::new().name("notes-tokens".to_owned());
        drop(worker.spawn(move || asked.iter().for_each(|job| job(&disk))));
        Self { jobs }
    }

    async fn on_thread<T, F>(&self, call: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static,
    {
        let gone = || StoreError::new("the store's thread is gone");
        let (done, answer) = oneshot::channel();
        // Nobody waits any more: the call was given up, and is done all the same.
        let job: Job = Box::new(move |disk| drop(done.send(call(disk))));
        self.jobs.send(job).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.on_thread(Disk::load).await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        let text = serde_json::to_vec(&tokens.to_stored()).map_err(StoreError::new)?;
        self.on_thread(move |disk| disk.replace(&text).map_err(StoreError::new)).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.on_thread(|disk| disk.remove().map_err(StoreError::new)).await
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").finish_non_exhaustive()
    }
}

/// The file itself. Its calls block.
struct Disk {
    path: PathBuf,
}

impl Disk {
    fn load(&self) -> Result<Option<Tokens>, StoreError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::new(error)),
        };
        // The parser's own words would quote what it read.
        let stored: StoredTokens =
            serde_json::from_slice(&text).map_err(|_| StoreError::new("the file holds no tokens"))?;
        Tokens::try_from(stored).map(Some).map_err(StoreError::new)
    }

    /// The file is never half written: until the rename its name stands for the old content, and from then on for the new.
    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        // One that a crash has left behind, with whatever permissions it has.
        absent_is_fine(fs::remove_file(&new))?;
        let mut file = private().open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.sync_directory()
    }

    fn remove(&self) -> io::Result<()> {
        absent_is_fine(fs::remove_file(&self.path))?;
        self.sync_directory()
    }

    /// A rename or a removal is on the disk when the directory is.
    fn sync_directory(&self) -> io::Result<()> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
    }
}

/// A file that is not there yet, and that is its owner's alone from its first moment.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
