//! What can be wrong with a file: a kind for each thing that somebody can do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use auth_core::StoreError;

use super::text::Flaw;

/// Why a [`FileStore`](super::FileStore) could not do what it was asked to: the source of its [`StoreError`]s.
///
/// It names the file, and quotes nothing of it.
pub struct FileStoreError {
    kind: FileStoreErrorKind,
    path: PathBuf,
    mode: Option<u32>,
    source: Option<io::Error>,
}

/// What somebody has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileStoreErrorKind {
    /// The directory is not there. Make it, or let the store do so:
    /// [`create_directory`](super::FileStore::create_directory).
    NoDirectory,
    /// This user may not do that here, or nobody may: the directory or the file is another's, the disk is read-only.
    Denied,
    /// There is no room: the disk or the quota is full, or files may not get that long.
    Full,
    /// Others can read the file: its tokens may be known. Sign in again, or close it (`chmod 600`) if nobody did. See
    /// [`allow_open_permissions`](super::FileStore::allow_open_permissions).
    TooOpen,
    /// The path is a directory, a symbolic link or something else that is not replaced by a file. Name a file.
    NotAFile,
    /// The file ends in the middle, or is empty. See [`discard_unreadable`](super::FileStore::discard_unreadable).
    Torn,
    /// The file is something else than this store writes. Name another, or discard it.
    Foreign,
    /// A newer version of this store has written the file. Update the program, or discard the file.
    Newer,
    /// The file is this store's, but there are no tokens in it that make sense. Discard it.
    Damaged,
    /// The tokens are longer than any that the store would read again, which is a mebibyte as JSON.
    TooLong,
    /// Something else: the [source](Error::source) says what the operating system says.
    Other,
}

impl FileStoreError {
    /// What somebody has to do about it.
    #[must_use]
    pub fn kind(&self) -> FileStoreErrorKind {
        self.kind
    }

    /// The file or the directory that it is about.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a file that this store cannot read, and therefore does not overwrite either.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        use FileStoreErrorKind::{Damaged, Foreign, Newer, Torn};
        matches!(self.kind, Torn | Foreign | Newer | Damaged)
    }

    /// Looks for it among the causes of an error: a [`StoreError`]'s, or those of an `auth_core::Error`.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        match error.downcast_ref() {
            Some(found) => Some(found),
            None => Self::find(error.source()?),
        }
    }

    pub(super) fn new(kind: FileStoreErrorKind, path: &Path) -> Self {
        Self { kind, path: path.to_owned(), mode: None, source: None }
    }

    pub(super) fn too_open(path: &Path, mode: u32) -> Self {
        Self { mode: Some(mode), ..Self::new(FileStoreErrorKind::TooOpen, path) }
    }

    pub(super) fn flawed(flaw: Flaw, path: &Path) -> Self {
        let kind = match flaw {
            Flaw::Torn => FileStoreErrorKind::Torn,
            Flaw::Foreign => FileStoreErrorKind::Foreign,
            Flaw::Newer => FileStoreErrorKind::Newer,
            Flaw::Damaged => FileStoreErrorKind::Damaged,
        };
        Self::new(kind, path)
    }

    pub(super) fn io(source: io::Error, path: &Path) -> Self {
        use io::ErrorKind as Io;
        let kind = match source.kind() {
            // What has to be there before anything else can be.
            Io::NotFound | Io::NotADirectory => FileStoreErrorKind::NoDirectory,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => FileStoreErrorKind::Denied,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => FileStoreErrorKind::Full,
            Io::IsADirectory => FileStoreErrorKind::NotAFile,
            _ => FileStoreErrorKind::Other,
        };
        Self { source: Some(source), ..Self::new(kind, path) }
    }
}

impl fmt::Display for FileStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FileStoreErrorKind::NoDirectory => "the directory is not there",
            FileStoreErrorKind::Denied => "this user may not use it",
            FileStoreErrorKind::Full => "there is no room",
            FileStoreErrorKind::TooOpen => "others can read it, sign in again or make it private",
            FileStoreErrorKind::NotAFile => "it is not a plain file",
            FileStoreErrorKind::Torn => "it ends in the middle, and is left alone",
            FileStoreErrorKind::Foreign => "it is not a file of tokens, and is left alone",
            FileStoreErrorKind::Newer => {
                "a newer version of this program has written it, and it is left alone"
            }
            FileStoreErrorKind::Damaged => "there are no valid tokens in it, and it is left alone",
            FileStoreErrorKind::TooLong => "the tokens are too long for it",
            FileStoreErrorKind::Other => "it cannot be used",
        };
        write!(f, "{}: {what}", self.path.display())?;
        self.mode.map_or(Ok(()), |mode| write!(f, " (mode {mode:04o})"))
    }
}

impl fmt::Debug for FileStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStoreError")
            .field("kind", &self.kind)
            .field("path", &self.path)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for FileStoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// Why a write was not made.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// The lock was lost, or somebody wrote without it.
    Overtaken,
    Failed(FileStoreError),
    /// It was made, and perhaps not to stay: the directory could not be written out.
    Unsynced(FileStoreError),
}

impl From<FileStoreError> for NotWritten {
    fn from(error: FileStoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<NotWritten> for StoreError {
    fn from(why: NotWritten) -> Self {
        match why {
            NotWritten::Overtaken => StoreError::conflict(),
            NotWritten::Failed(error) | NotWritten::Unsynced(error) => StoreError::new(error),
        }
    }
}
