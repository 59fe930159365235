//! The client: each call of the API as a method. No line here knows that tokens expire.

use std::fmt;
use std::sync::Arc;

use auth_core::{AuthClient, Body, Session, Tokens, Transport};
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, request};
use serde::de::DeserializeOwned;

use crate::{Attachment, Error, NewNote, Note, NoteId, NotesBuilder};

/// A client for the Notes API, over any [`Transport`]. Clones are the same client.
///
/// Any number of calls may be made at once. One whose token has expired waits for the refresh and is sent again; the
/// caller sees its answer.
///
/// # Cancel safety
///
/// Every call may be dropped at any time. What the server has received by then it may act on.
pub struct Notes<T> {
    client: AuthClient<Arc<T>>,
    /// What stands before every path: `/v1`.
    prefix: Arc<str>,
}

impl<T: Transport> Notes<T> {
    /// A client that sends with this transport. Everything else has a default.
    pub fn builder(transport: T) -> NotesBuilder<T> {
        NotesBuilder::new(transport)
    }

    pub(crate) fn new(client: AuthClient<Arc<T>>, prefix: &str) -> Self {
        Self { client, prefix: prefix.into() }
    }

    /// Signs in with what the login page was given, whoever was signed in before. In force when this returns; awaiting the
    /// result waits until it is stored.
    ///
    /// # Errors
    ///
    /// [`Error::TryLater`] where it could not be stored (it is in force all the same), [`Error::Misconfigured`] for a token
    /// that cannot be used.
    pub fn sign_in(&self, tokens: Tokens) -> impl Future<Output = Result<(), Error>> + use<T> {
        let written = self.session().sign_in(tokens);
        async move { Ok(written.await?) }
    }

    /// Signs out: calls under way fail as [`Error::SignIn`], the store is cleared, the server is told. In force when this
    /// returns; awaiting the result waits for the store.
    ///
    /// # Errors
    ///
    /// [`Error::TryLater`] where the store could not be cleared.
    pub fn sign_out(&self) -> impl Future<Output = Result<(), Error>> + use<T> {
        let written = self.session().sign_out();
        async move { Ok(written.await?) }
    }

    /// The session, to watch it.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.client.session()
    }

    /// All notes.
    ///
    /// # Errors
    ///
    /// As each call: see [`Error`].
    pub async fn list(&self) -> Result<Vec<Note>, Error> {
        read(self.send(self.request(Method::GET, "/notes"), Body::empty()).await?).await
    }

    /// One note.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; else as each call.
    pub async fn get(&self, id: NoteId) -> Result<Note, Error> {
        read(self.send(self.request(Method::GET, &format!("/notes/{id}")), Body::empty()).await?).await
    }

    /// A new note.
    ///
    /// # Errors
    ///
    /// [`Error::AnswerLost`]: look whether it is there before making it again. Else as each call.
    pub async fn create(&self, note: &NewNote) -> Result<Note, Error> {
        let request = self.request(Method::POST, "/notes").header(CONTENT_TYPE, "application/json");
        read(self.send(request, json(note)).await?).await
    }

    /// Removes a note.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; else as each call.
    pub async fn delete(&self, id: NoteId) -> Result<(), Error> {
        self.send(self.request(Method::DELETE, &format!("/notes/{id}")), Body::empty()).await?;
        Ok(())
    }

    /// Attaches a file to a note, sent as it is read.
    ///
    /// Should the token expire just then, it has to be sent again: so give a [`Body::replayable`], which opens the file anew.
    /// A [`Body::stream`] that can be read once is sent once.
    ///
    /// ```
    /// use auth_core::{Body, Transport};
    /// use notes_sdk::{Error, NoteId, Notes};
    ///
    /// # async fn example(notes: Notes<impl Transport>) -> Result<(), Error> {
    /// let photo = Body::replayable(|| futures::stream::iter([Ok::<_, std::io::Error>("chunk"), Ok("by chunk")]));
    /// let attachment = notes.attach(NoteId(1), photo).await?;
    /// assert_eq!(attachment.bytes, 13);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::StreamSpent`], [`Error::Upload`]; else as each call.
    pub async fn attach(&self, id: NoteId, content: Body) -> Result<Attachment, Error> {
        let request = self.request(Method::PUT, &format!("/notes/{id}/attachment"));
        read(self.send(request.header(CONTENT_TYPE, "application/octet-stream"), content).await?).await
    }

    /// A request for this path of the API.
    fn request(&self, method: Method, path: &str) -> request::Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.prefix))
    }

    /// The response to it, if it is a success.
    async fn send(&self, request: request::Builder, body: Body) -> Result<Response<Body>, Error> {
        let request = request.body(body).expect("paths of ours are paths");
        let response = self.client.send(request).await?;
        if response.status().is_success() { Ok(response) } else { Err(Error::of(&response)) }
    }
}

fn json(note: &NewNote) -> Body {
    Body::from(serde_json::to_vec(note).expect("two texts are JSON"))
}

/// What a successful response says.
async fn read<R: DeserializeOwned>(response: Response<Body>) -> Result<R, Error> {
    // The server has acted: where its answer breaks off, nobody can say how.
    let body = response.into_body().bytes().await.map_err(Error::answer_lost)?;
    // The parser's own words would quote what it stumbled over.
    serde_json::from_slice(&body).map_err(|_| Error::Garbled)
}

impl<T> Clone for Notes<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), prefix: Arc::clone(&self.prefix) }
    }
}

impl<T> fmt::Debug for Notes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").field("client", &self.client).finish_non_exhaustive()
    }
}
