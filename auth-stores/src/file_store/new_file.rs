//! A new file, on its way to take the old one's name.
//!
//! Its name is nobody else's, and it is locked for as long as it is being written. So one whose process has died is known by
//! its lock, which is free, and not by what may lie: a process number, an age.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use fs4::{FileExt, TryLockError};

use super::error::FileStoreError;
use super::place::{Place, private};

const BEFORE: &str = ".";
const AFTER: &str = ".new";

/// Dropped, it is removed.
pub(super) struct NewFile {
    file: File,
    path: PathBuf,
    /// It has taken the old one's name.
    named: bool,
}

impl NewFile {
    pub(super) fn create(place: &Place) -> Result<Self, FileStoreError> {
        place.ensure_directory()?;
        let failed = |error| FileStoreError::io(error, place.directory());
        loop {
            let number = getrandom::u64().map_err(|error| failed(io::Error::other(error)))?;
            let path = place.beside(BEFORE, &format!(".{number:016x}{AFTER}"))?;
            match private().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let new = Self { file, path, named: false };
                    if new.claim().map_err(failed)? {
                        return Ok(new);
                    }
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Whether it is safe from a [`sweep`], which may have found it between its making and its locking.
    #[cfg(unix)]
    fn claim(&self) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt as _;
        match FileExt::try_lock(&self.file) {
            Ok(()) => Ok(self.file.metadata()?.nlink() > 0),
            Err(TryLockError::WouldBlock) => Ok(false),
            // There are no locks, and so nothing is swept.
            Err(TryLockError::Error(_)) => Ok(true),
        }
    }

    /// A lock there would be in the way of whoever reads it by its new name. Nothing is swept.
    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "elsewhere it can fail")]
    fn claim(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Takes the room that a content of this length needs, as far as the file system can promise that.
    pub(super) fn reserve(&mut self, length: u64) -> io::Result<()> {
        match FileExt::allocate(&self.file, length) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                io::copy(&mut io::Read::take(io::repeat(0), length), &mut self.file)?;
                self.file.sync_all()
            }
            allocated => allocated,
        }
    }

    /// On the disk when it returns.
    pub(super) fn fill(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(text)?;
        self.file.set_len(text.len() as u64)?;
        self.file.sync_all()
    }

    pub(super) fn take_name(&mut self, name: &Path) -> io::Result<()> {
        fs::rename(&self.path, name)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.named {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Removes new files whose processes have died. They hold tokens; otherwise they would be in nobody's way.
#[cfg(unix)]
pub(super) fn sweep(place: &Place) {
    let Some(name) = place.path.file_name() else { return };
    let Ok(files) = fs::read_dir(place.directory()) else { return };
    for file in files.flatten() {
        let plain = file.file_type().is_ok_and(|kind| kind.is_file());
        if !plain || !is_new_file(file.file_name().as_encoded_bytes(), name.as_encoded_bytes()) {
            continue;
        }
        let path = file.path();
        // Locked when it is removed, so that whoever has made it just now notices.
        let Ok(left) = File::open(&path) else { continue };
        if FileExt::try_lock(&left).is_ok() {
            drop(fs::remove_file(&path));
        }
    }
}

#[cfg(not(unix))]
pub(super) fn sweep(_: &Place) {}

#[cfg(unix)]
fn is_new_file(name: &[u8], of: &[u8]) -> bool {
    let number = || name.strip_prefix(BEFORE.as_bytes())?.strip_prefix(of)?.strip_suffix(AFTER.as_bytes());
    number().is_some_and(|number| {
        number.len() == 17 && number[0] == b'.' && number[1..].iter().all(u8::is_ascii_hexdigit)
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_new_files_are_swept() {
        assert!(is_new_file(b".tokens.json.0123456789abcdef.new", b"tokens.json"));
        for other in [
            "tokens.json",
            "tokens.json.lock",
            ".tokens.json.new",
            ".tokens.json.0123456789abcdeg.new",
            ".tokens.json.0123456789abcdef",
            ".other.json.0123456789abcdef.new",
            ".tokens.json.backup.0123456789abcdef.new",
        ] {
            assert!(!is_new_file(other.as_bytes(), b"tokens.json"), "{other}");
        }
    }
}
