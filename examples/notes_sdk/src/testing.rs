//! For tests and demonstrations of what is built on this: a notes API in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use auth_core::{Body, Transport, TransportError, async_trait};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::Serialize;

use crate::{NewNote, Note, NoteId};

/// Notes in memory, in front of a transport that judges each request: what that answers with success is answered from
/// here. What is no request for notes, and every upload, passes through. Clones share the notes.
///
/// So the token part may be a real server, or a script of the test's own.
#[derive(Clone)]
pub struct Shelf<T> {
    judge: T,
    notes: Arc<Mutex<BTreeMap<NoteId, Note>>>,
}

/// A request for notes, taken down before it is sent.
enum Asked {
    List,
    Get(NoteId),
    Create(NewNote),
    Delete(NoteId),
}

impl<T: Transport> Shelf<T> {
    /// Empty, in front of this transport.
    #[must_use]
    pub fn new(judge: T) -> Self {
        Self { judge, notes: Arc::default() }
    }

    fn answer(&self, asked: Asked) -> (StatusCode, Body) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Asked::List => json(StatusCode::OK, &notes.values().collect::<Vec<_>>()),
            Asked::Get(id) => match notes.get(&id) {
                Some(note) => json(StatusCode::OK, note),
                None => (StatusCode::NOT_FOUND, Body::empty()),
            },
            Asked::Create(NewNote { title, text }) => {
                let id = NoteId(notes.keys().last().map_or(1, |last| last.0 + 1));
                let note = Note { id, title, text };
                notes.insert(id, note.clone());
                json(StatusCode::CREATED, &note)
            }
            Asked::Delete(id) => match notes.remove(&id) {
                Some(_) => (StatusCode::NO_CONTENT, Body::empty()),
                None => (StatusCode::NOT_FOUND, Body::empty()),
            },
        }
    }
}

#[async_trait]
impl<T: Transport> Transport for Shelf<T> {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let asked = Asked::of(&request);
        let judged = self.judge.send(request).await?;
        let Some(asked) = asked.filter(|_| judged.status().is_success()) else { return Ok(judged) };
        // The judge's head stays, with what an adapter has noted there; its body is read, so that its connection can be
        // used again.
        let (mut head, body) = judged.into_parts();
        body.bytes().await.map_err(|_| TransportError::new("the answer broke off").maybe_sent())?;
        let (status, body) = self.answer(asked);
        head.status = status;
        head.headers.remove(CONTENT_LENGTH);
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Response::from_parts(head, body))
    }
}

impl Asked {
    fn of(request: &Request<Body>) -> Option<Self> {
        let (_, rest) = request.uri().path().rsplit_once("/notes")?;
        let id = || rest.strip_prefix('/')?.parse().ok().map(NoteId);
        match *request.method() {
            Method::GET if rest.is_empty() => Some(Self::List),
            Method::GET => id().map(Self::Get),
            Method::POST if rest.is_empty() => {
                serde_json::from_slice(request.body().as_bytes()?).ok().map(Self::Create)
            }
            Method::DELETE => id().map(Self::Delete),
            _ => None,
        }
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> (StatusCode, Body) {
    (status, Body::from(serde_json::to_vec(value).expect("notes are JSON")))
}

impl<T> fmt::Debug for Shelf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").finish_non_exhaustive()
    }
}
