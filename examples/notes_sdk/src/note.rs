//! Notes, as the API writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which note. Given by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoteId(pub u64);

impl fmt::Display for NoteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A note on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Note {
    /// Which one.
    pub id: NoteId,
    /// Its title.
    pub title: String,
    /// Its text.
    #[serde(default)]
    pub text: String,
}

/// A note to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNote {
    /// Its title.
    pub title: String,
    /// Its text.
    pub text: String,
}

/// What the server has of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attachment {
    /// How long it is.
    pub bytes: u64,
    /// A checksum of it.
    pub digest: String,
}
