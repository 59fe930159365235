//! A client for the Notes API: typed calls, typed errors, and nothing about tokens but how this API refreshes them.
//!
//! It is an example of an SDK built on [`auth_core`], to be copied: everything that is hard about expiring tokens is in
//! there, and what is left is this API's own.
//!
//! ```no_run
//! use auth_reqwest::{ReqwestTransport, TokioRuntime};
//! use notes_sdk::{Error, FileStore, NewNote, Notes, Tokens};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let notes = Notes::builder(ReqwestTransport::default()) // another HTTP library? another value here
//!     .runtime(TokioRuntime::current())
//!     .store(FileStore::new("notes-tokens.json"))
//!     .on_session_ended(|ended| println!("please sign in again: {}", ended.reason))
//!     .build()?;
//!
//! // Once, with what your login page was given. The store remembers it.
//! notes.sign_in(Tokens::new("the access token")?.with_refresh_token("the refresh token")).await?;
//!
//! let note = notes.create(&NewNote { title: "Milk".into(), text: "Two bottles".into() }).await?;
//! match notes.get(note.id).await {
//!     Ok(note) => println!("{}: {}", note.title, note.text),
//!     Err(Error::SignIn { .. }) => println!("please sign in"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(()) }
//! ```
//!
//! | to learn how to | read |
//! | --- | --- |
//! | make typed calls over any [`Transport`](auth_core::Transport) | `notes.rs` |
//! | say how an API refreshes | `login.rs` |
//! | keep tokens in a file | `file_store.rs` |
//! | turn a failure into what a caller can do | `error.rs` |
//! | log what happens, without a token | `log.rs` |
//! | let users choose every part | `builder.rs` |
//!
//! # Logging
//!
//! What happens to the session is logged with [`tracing`], target `notes_sdk`. No token is.
//!
//! # Features
//!
//! `testing`: a notes API in memory.

mod builder;
mod error;
mod file_store;
mod log;
mod login;
mod note;
mod notes;
#[cfg(feature = "testing")]
pub mod testing;

/// What stands in this crate's signatures.
pub use auth_core::{self, Body, SessionEnded, Tokens};
pub use builder::NotesBuilder;
pub use error::Error;
pub use file_store::FileStore;
pub use note::{Attachment, NewNote, Note, NoteId};
pub use notes::Notes;

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
pub struct Readme;
