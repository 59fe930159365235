//! A file that keeps a sign-in from one run of a program to the next.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use auth_core::{StoreError, StoredTokens, TokenStore, Tokens, async_trait};

/// A sign-in in a JSON file, for **one process at a time**.
///
/// | promise | how |
/// | --- | --- |
/// | the old pair or the new one, whatever crashes | a new file is written out, then takes the old one's name |
/// | nobody else can read it (Unix) | it is made with mode 0600, not changed to it afterwards |
/// | what cannot be read is an error, not a sign-out | only a missing file means that nobody is signed in |
///
/// It is kept small on purpose. Two processes that share one refresh token would each spend it: a store for them also
/// implements [`TokenStore::lock`]. Its calls block their thread for as long as the disk takes over a few hundred bytes;
/// elsewhere than on Unix the file is as private as its directory. The directory has to be there.
#[derive(Clone, Debug)]
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// The sign-in is kept here.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file is never half written: until the rename its name stands for the old content, and from then on for the new.
    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        // One that a crash has left behind, with whatever permissions it has.
        absent_is_fine(fs::remove_file(&new))?;
        let mut file = private().open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.sync_directory()
    }

    /// A rename or removal is on the disk when the directory is.
    fn sync_directory(&self) -> io::Result<()> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new("."));
        if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
    }
}

#[async_trait]
impl TokenStore for FileStore {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
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

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        let text = serde_json::to_vec(&tokens.to_stored()).map_err(StoreError::new)?;
        self.replace(&text).map_err(StoreError::new)
    }

    async fn clear(&self) -> Result<(), StoreError> {
        absent_is_fine(fs::remove_file(&self.path))
            .and_then(|()| self.sync_directory())
            .map_err(StoreError::new)
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
