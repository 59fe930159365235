//! The place: where the file is, what else stands beside it, and what is asked of it. Its calls block.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use auth_core::Tokens;

use super::error::{FileStoreError, FileStoreErrorKind, NotWritten};
use super::new_file::NewFile;
use super::text;

#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) create_directory: bool,
    pub(super) allow_open_permissions: bool,
}

/// What stands in the file.
struct Found {
    text: Vec<u8>,
    about: Metadata,
}

impl Place {
    pub(super) fn new(path: &Path) -> Self {
        // A program that changes its directory still means the same file.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { path, create_directory: false, allow_open_permissions: false }
    }

    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    fn name(&self) -> Result<&OsStr, FileStoreError> {
        self.path.file_name().ok_or_else(|| self.error(FileStoreErrorKind::NotAFile))
    }

    /// A file in the same directory.
    pub(super) fn beside(&self, before: &str, after: &str) -> Result<PathBuf, FileStoreError> {
        let mut name = OsString::from(before);
        name.push(self.name()?);
        name.push(after);
        Ok(self.path.with_file_name(name))
    }

    pub(super) fn error(&self, kind: FileStoreErrorKind) -> FileStoreError {
        FileStoreError::new(kind, &self.path)
    }

    fn io(&self, error: io::Error) -> FileStoreError {
        FileStoreError::io(error, &self.path)
    }

    /// As far as it is known.
    pub(super) fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |about| about.len())
    }

    /// The tokens, and the text they stand in.
    pub(super) fn load(&self) -> Result<(Option<Tokens>, Option<Vec<u8>>), FileStoreError> {
        let Some(found) = self.read()? else { return Ok((None, None)) };
        self.check_permissions(&found.about)?;
        Ok((Some(self.parse(&found)?), Some(found.text)))
    }

    /// What is in the file, whatever that is. `None`: there is no file.
    fn read(&self) -> Result<Option<Found>, FileStoreError> {
        self.name()?;
        match fs::symlink_metadata(&self.path) {
            Ok(about) if about.is_file() => {}
            // Not opened: a pipe would be waited for, and a link would be replaced by a save.
            Ok(_) => return Err(self.error(FileStoreErrorKind::NotAFile)),
            Err(error) if error.kind() == ErrorKind::NotFound => return self.nothing(),
            Err(error) => return Err(self.io(error)),
        }
        let file = match File::open(&self.path) {
            Ok(file) => file,
            // Cleared just now.
            Err(error) if error.kind() == ErrorKind::NotFound => return self.nothing(),
            Err(error) => return Err(self.io(error)),
        };
        let about = file.metadata().map_err(|error| self.io(error))?;
        let mut text = Vec::new();
        file.take(text::LONGEST + 1).read_to_end(&mut text).map_err(|error| self.io(error))?;
        if text.len() as u64 > text::LONGEST {
            return Err(self.error(FileStoreErrorKind::Foreign));
        }
        Ok(Some(Found { text, about }))
    }

    /// Nobody is signed in, if only the file is missing. A disk that is not mounted is no sign-out.
    fn nothing(&self) -> Result<Option<Found>, FileStoreError> {
        if self.create_directory {
            return Ok(None);
        }
        let directory = self.directory();
        match fs::metadata(directory) {
            Ok(about) if about.is_dir() => Ok(None),
            Ok(_) => Err(FileStoreError::new(FileStoreErrorKind::NoDirectory, directory)),
            Err(error) => Err(FileStoreError::io(error, directory)),
        }
    }

    #[cfg(unix)]
    fn check_permissions(&self, about: &Metadata) -> Result<(), FileStoreError> {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = about.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 && !self.allow_open_permissions {
            return Err(FileStoreError::too_open(&self.path, mode));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    fn check_permissions(&self, _: &Metadata) -> Result<(), FileStoreError> {
        Ok(())
    }

    /// What a write would replace. What cannot be read is not: it may be somebody else's, or worth a look.
    ///
    /// Permissions are no concern here. The new file is private, and what the old one gave away is worth nothing after it.
    pub(super) fn replaceable(&self) -> Result<Option<Vec<u8>>, FileStoreError> {
        let Some(found) = self.read()? else { return Ok(None) };
        self.parse(&found)?;
        Ok(Some(found.text))
    }

    fn parse(&self, found: &Found) -> Result<Tokens, FileStoreError> {
        text::read(&found.text).map_err(|flaw| FileStoreError::flawed(flaw, &self.path))
    }

    /// Until the new file takes the name, the name stands for the old content; from then on for the new. `allowed` is asked as
    /// late as can be, with what is there.
    pub(super) fn replace(
        &self,
        tokens: &Tokens,
        prepared: &mut Option<NewFile>,
        allowed: impl FnOnce(Option<&[u8]>) -> bool,
    ) -> Result<(), NotWritten> {
        let text = text::write(tokens).ok_or_else(|| self.error(FileStoreErrorKind::TooLong))?;
        let new = match prepared {
            Some(new) => new,
            None => prepared.insert(NewFile::create(self)?),
        };
        new.fill(&text).map_err(|error| self.io(error))?;
        self.check_replaceable(allowed)?;
        new.take_name(&self.path).map_err(|error| self.io(error))?;
        *prepared = None;
        self.sync_directory().map_err(NotWritten::Unsynced)
    }

    pub(super) fn remove(&self, allowed: impl FnOnce(Option<&[u8]>) -> bool) -> Result<(), NotWritten> {
        self.check_replaceable(allowed)?;
        self.unlink()
    }

    fn check_replaceable(&self, allowed: impl FnOnce(Option<&[u8]>) -> bool) -> Result<(), NotWritten> {
        let there = self.replaceable()?;
        if allowed(there.as_deref()) { Ok(()) } else { Err(NotWritten::Overtaken) }
    }

    /// Removes a file that [cannot be read](Self::replaceable); whether there was one.
    pub(super) fn discard(&self) -> Result<bool, NotWritten> {
        match self.replaceable() {
            Ok(_) => Ok(false),
            Err(error) if error.is_unreadable() => self.unlink().map(|()| true),
            Err(error) => Err(error.into()),
        }
    }

    fn unlink(&self) -> Result<(), NotWritten> {
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            // Somebody else did; or there is no directory yet.
            Err(error) if error.kind() == ErrorKind::NotFound && !self.directory().is_dir() => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(self.io(error).into()),
        }
        self.sync_directory().map_err(NotWritten::Unsynced)
    }

    /// A rename or a removal is on the disk when the directory is.
    fn sync_directory(&self) -> Result<(), FileStoreError> {
        sync_directory(self.directory()).map_err(|error| FileStoreError::io(error, self.directory()))
    }

    /// There has to be a directory before anything can be in it.
    pub(super) fn ensure_directory(&self) -> Result<(), FileStoreError> {
        if !self.create_directory {
            return Ok(());
        }
        create_directory(self.directory()).map_err(|error| FileStoreError::io(error, self.directory()))
    }
}

/// With those above it, each of them on the disk before there is something in it.
fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = directory.parent();
    if let Some(above) = above {
        create_directory(above)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(directory) {
        // Somebody else was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if directory.is_dir() {
                Ok(())
            } else {
                Err(ErrorKind::NotADirectory.into())
            }
        }
        Err(error) => Err(error),
        Ok(()) => above.map_or(Ok(()), sync_directory),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(directory)?.sync_all() {
        // Some file systems keep no directory back, and know no such call.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// For a file that is its owner's alone from its first moment.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
