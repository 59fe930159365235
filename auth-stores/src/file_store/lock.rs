//! The lock: a file beside the tokens' that whoever locks it has alone, in this process and in every other.
//!
//! The kernel frees it when its holder dies. It is a file of its own, since the tokens' file is replaced: a lock on that would be
//! on a file that is no longer there. It is never removed, for the same reason. Where somebody does remove it, its holder has
//! lost the lock and learns of it at its next write.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use fs4::FileExt;
use futures::channel::oneshot;

use super::error::{FileStoreError, FileStoreErrorKind};
use super::place::{Place, private};
use crate::strand::{Strand, Worker};

/// The lock, held. Dropped, it is free.
pub(super) struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    /// Waits for it. Blocks.
    fn wait(place: &Place) -> Result<Self, FileStoreError> {
        place.ensure_directory()?;
        let path = place.beside("", ".lock")?;
        if fs::symlink_metadata(&path).is_ok_and(|about| !about.is_file()) {
            return Err(FileStoreError::new(FileStoreErrorKind::NotAFile, &path));
        }
        loop {
            let file = private()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|error| FileStoreError::io(error, &path))?;
            lock(&file).map_err(|error| FileStoreError::io(error, &path))?;
            let held = Self { file, path: path.clone() };
            // The file may have been removed while it was waited for.
            if held.is_current() {
                return Ok(held);
            }
        }
    }

    /// Whether others still take this file for the lock.
    #[cfg(unix)]
    pub(super) fn is_current(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let (Ok(ours), Ok(there)) = (self.file.metadata(), fs::symlink_metadata(&self.path)) else {
            return false;
        };
        (ours.dev(), ours.ino()) == (there.dev(), there.ino())
    }

    /// A file that is open cannot be removed there.
    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "elsewhere it is looked at")]
    pub(super) fn is_current(&self) -> bool {
        true
    }
}

fn lock(file: &File) -> io::Result<()> {
    loop {
        match FileExt::lock(file) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            locked => return locked,
        }
    }
}

type Locked = Result<Held, FileStoreError>;

/// Those who wait for the lock on clones of one store, and the one thread that waits on their behalf.
///
/// The wait for a file lock cannot be broken off. So it is the thread's, and whoever is first in line when it ends has the
/// lock; if all have left, it is free again at once, and the thread ends. However many waits are given up, there is one
/// thread, and it passes nobody over.
pub(super) struct Line(Arc<Strand<oneshot::Sender<Locked>>>);

impl Line {
    pub(super) fn new() -> Self {
        Self(Strand::new())
    }

    pub(super) async fn wait(&self, place: &Place) -> Locked {
        let (sender, receiver) = oneshot::channel();
        if let Some(waiting) = self.0.push(sender) {
            let of = place.clone();
            let thread = thread::Builder::new().name("auth-stores lock".to_owned());
            thread
                .spawn(move || hand_out(waiting, &of))
                .map_err(|error| FileStoreError::io(error, &place.path))?;
        }
        receiver.await.unwrap_or_else(|_| Err(place.error(FileStoreErrorKind::Other)))
    }
}

fn hand_out(waiting: Worker<oneshot::Sender<Locked>>, of: &Place) {
    let mut locked = None;
    for next in waiting {
        if next.is_canceled() {
            continue;
        }
        // Whoever leaves from here on leaves the lock to the next.
        locked = next.send(locked.take().unwrap_or_else(|| Held::wait(of))).err();
    }
}
