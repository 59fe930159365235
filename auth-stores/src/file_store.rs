//! `FileStore`: a sign-in in a file, for programs of one machine that may run at the same time.

mod error;
mod guard;
mod lock;
mod new_file;
mod place;
mod text;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, thread};

use auth_core::{StoreError, StoreGuard, TokenStore, Tokens, async_trait};
use futures::channel::oneshot;

pub use error::{FileStoreError, FileStoreErrorKind};

use crate::strand::Strand;
use error::NotWritten;
use guard::FileGuard;
use lock::Line;
use place::Place;

/// A sign-in in a file, for programs of one user on one machine, any number of which may run at the same time.
///
/// | promise | how |
/// | --- | --- |
/// | a whole pair, the old one or the new one, whatever crashes | a new file is written out, and takes the old one's name |
/// | what was saved stays saved | the file and its directory are on the disk before a save returns |
/// | nobody else can read it (Unix) | it is made with mode 0600, not changed to it afterwards; one that others can read is refused |
/// | one refresh, however many programs | the lock of a file beside it, `….lock`, which the kernel frees when its holder dies |
/// | no refresh token is spent where its successor could not be saved | the room for it is taken with the lock |
/// | nothing is overwritten that cannot be read | a torn file, another program's, a newer version's is an error for loads and writes alike |
/// | nobody waits for the disk | threads do, which end when there is nothing to do; any executor will do |
///
/// ```
/// use auth_core::{TokenStore, Tokens};
/// use auth_stores::FileStore;
///
/// # let directory = std::env::temp_dir().join(format!("auth-stores-{}", std::process::id()));
/// let store = FileStore::new(directory.join("tokens.json")).create_directory();
/// # futures::executor::block_on(async {
/// store.save(&Tokens::new("T0").unwrap().with_refresh_token("R0")).await?;
///
/// assert!(store.load().await?.is_some());
/// # Ok::<(), auth_core::StoreError>(()) })?;
/// # std::fs::remove_dir_all(directory).unwrap();
/// # Ok::<(), auth_core::StoreError>(())
/// ```
///
/// # Clones
///
/// Clones share their threads. Two stores on one path, in one program or in two, exclude each other as clones do.
///
/// # The file
///
/// JSON that says what it is: `{"format":"auth-stores/tokens","version":1,"saved_at_ms":…,"tokens":{…}}`, the tokens as
/// [`StoredTokens`](auth_core::StoredTokens), **in the clear**. Signed out is no file. Beside it stand `….lock`, which is empty and
/// stays, and for the time of a refresh or a save `.….new`.
///
/// # Errors
///
/// A [`FileStoreError`] as the source, with a [kind](FileStoreErrorKind) for each thing that somebody can do about it:
///
/// ```
/// use auth_core::TokenStore;
/// use auth_stores::{FileStore, FileStoreError, FileStoreErrorKind};
///
/// # futures::executor::block_on(async {
/// let failed = FileStore::new("/no/such/directory/tokens.json").load().await.unwrap_err();
///
/// let why = FileStoreError::find(&failed).expect("every error of this store has one");
/// assert_eq!(why.kind(), FileStoreErrorKind::NoDirectory);
/// # });
/// ```
///
/// A write of a guard is also a [conflict](StoreError::is_conflict) where somebody has written without the lock since the guard
/// has loaded: a sign-in is not undone by a refresh that began before it.
///
/// # Cancel safety
///
/// A call that is dropped is done all the same, before the next one: the file has the old content or the new one. A wait for
/// the lock that is dropped leaves nothing locked.
///
/// # What is not promised
///
/// - **On network file systems** the lock is as good as theirs, and so is the order of writes.
/// - **Elsewhere than on Unix** the file is as private as its directory; a power failure may undo the last save; what a process
///   leaves behind that dies while it writes (`.….new`) stays there.
/// - **Another user** who runs the program (`sudo`) makes the file theirs. Its owner gets
///   [`Denied`](FileStoreErrorKind::Denied) from then on.
/// - **A program that is stopped** (Ctrl-Z) in the middle of a refresh keeps the lock. The others wait for as long as their
///   session's `lock_timeout` says, and refresh nothing meanwhile.
/// - **Child processes** made by a bare `fork` have their parent's locks, and hold them.
/// - **Copy-on-write file systems** may need room where others have it already.
#[derive(Clone)]
pub struct FileStore {
    place: Place,
    shared: Arc<Shared>,
}

/// What clones have in common.
struct Shared {
    calls: Arc<Strand<Call>>,
    line: Line,
    /// What dead processes have left was looked for.
    swept: AtomicBool,
}

type Call = Box<dyn FnOnce() + Send>;

impl FileStore {
    /// The tokens are kept here. Nothing is touched yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let shared = Shared { calls: Strand::new(), line: Line::new(), swept: AtomicBool::new(false) };
        Self { place: Place::new(&path.into()), shared: Arc::new(shared) }
    }

    /// Makes the directory where it is missing, and those above it, for their owner alone (0700 on Unix). Without this a missing
    /// directory is an error: it may be a disk that is not mounted, and that is no sign-out.
    #[must_use]
    pub fn create_directory(mut self) -> Self {
        self.place.create_directory = true;
        self
    }

    /// Loads a file that others can read as well: on a disk that knows no permissions, say. New files are private as before,
    /// as far as the disk has such a thing.
    #[must_use]
    pub fn allow_open_permissions(mut self) -> Self {
        self.place.allow_open_permissions = true;
        self
    }

    /// Where the tokens are kept.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// Removes the file if it [cannot be read](FileStoreError::is_unreadable), after which nobody is signed in; whether it did.
    ///
    /// A file that can be read stays. Ask the user before this: a newer version of the program may be able to read it.
    ///
    /// # Errors
    ///
    /// Where the file cannot be looked at, or not be removed.
    pub async fn discard_unreadable(&self) -> Result<bool, StoreError> {
        let held = self.shared.line.wait(&self.place).await.map_err(StoreError::new)?;
        let guard = FileGuard::new(self, held);
        let discarded = guard.discard().await;
        Box::new(guard).release().await;
        discarded
    }

    /// On the store's thread, after what was asked for before, also where nobody waits for it any more.
    async fn run<T, E>(&self, call: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, StoreError>
    where
        T: Send + 'static,
        NotWritten: From<E>,
    {
        let (done, answer) = oneshot::channel();
        self.submit(Box::new(move || drop(done.send(call().map_err(NotWritten::from)))))
            .map_err(|error| StoreError::new(FileStoreError::io(error, self.path())))?;
        let lost = |_| NotWritten::Failed(self.place.error(FileStoreErrorKind::Other));
        Ok(answer.await.unwrap_or_else(|gone| Err(lost(gone)))?)
    }

    /// The same, with nobody who waits for it. Where no thread can be had, the call is dropped here.
    fn run_unattended(&self, call: impl FnOnce() + Send + 'static) {
        drop(self.submit(Box::new(call)));
    }

    /// The thread ends when there is nothing to do: a store that is not used costs none.
    fn submit(&self, call: Call) -> io::Result<()> {
        let Some(calls) = self.shared.calls.push(call) else { return Ok(()) };
        let work = move || {
            for call in calls {
                // Whoever waits learns of it, and the thread goes on.
                drop(catch_unwind(AssertUnwindSafe(call)));
            }
        };
        thread::Builder::new().name("auth-stores".to_owned()).spawn(work).map(drop)
    }

    /// Once for each store: processes die rarely.
    fn sweeps(&self) -> bool {
        !self.shared.swept.swap(true, Ordering::Relaxed)
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        let place = self.place.clone();
        self.run(move || place.load().map(|(tokens, _)| tokens)).await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        let (place, tokens) = (self.place.clone(), tokens.clone());
        self.run(move || place.replace(&tokens, &mut None, |_| true)).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        let place = self.place.clone();
        self.run(move || place.remove(|_| true)).await
    }

    async fn lock(&self) -> Result<Option<Box<dyn StoreGuard>>, StoreError> {
        let held = self.shared.line.wait(&self.place).await.map_err(StoreError::new)?;
        let guard = FileGuard::new(self, held);
        guard.prepare().await?;
        Ok(Some(Box::new(guard)))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.place.path).finish_non_exhaustive()
    }
}
