//! What the server's connections and the test's handle share, under one lock.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode, request};
use tokio::sync::{Semaphore, oneshot};

use super::authority::Authority;
use super::gate::Gate;
use super::log::{Seen, Stats};
use super::policy::Policy;
use super::script::{ApiAnswer, Script, TokenAnswer};

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) changed: Condvar,
    /// The chunks that `/api/stream` may send.
    pub(super) chunks: Semaphore,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) policy: Policy,
    pub(super) authority: Authority,
    pub(super) stats: Stats,
    pub(super) log: Vec<Seen>,
    pub(super) api_script: Script<ApiAnswer>,
    pub(super) token_script: Script<TokenAnswer>,
    pub(super) api_gate: Gate,
    pub(super) token_gate: Gate,
    /// In front of it wait the answers of token requests that have been processed.
    pub(super) answer_gate: Gate,
    /// The token gate opens at this number of 401s.
    pub(super) token_after_unauthorized: Option<u64>,
    /// Grows with every change, so that a blocked thread sees one that it slept through.
    pub(super) version: u64,
    pub(super) wakers: Vec<Waker>,
}

impl State {
    pub(super) fn stats_now(&self) -> Stats {
        Stats {
            api_held: self.api_gate.waiting() as u64,
            token_held: (self.token_gate.waiting() + self.answer_gate.waiting()) as u64,
            ..self.stats
        }
    }

    pub(super) fn settle_token_gate(&mut self) {
        if self.token_after_unauthorized.is_some_and(|count| self.stats.unauthorized >= count) {
            self.token_after_unauthorized = None;
            self.token_gate.open();
        }
    }

    fn arrive(&mut self, connection: u64, head: &request::Parts) -> usize {
        let number = self.log.len();
        self.log.push(Seen {
            number,
            connection,
            method: head.method.clone(),
            target: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
            headers: head.headers.clone(),
            bearer: bearer(&head.headers),
            body_length: 0,
            status: None,
            grant_type: None,
            refresh_token: None,
        });
        number
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

impl Shared {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            state: Mutex::new(State { policy, ..State::default() }),
            changed: Condvar::new(),
            chunks: Semaphore::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state, and wakes nobody.
    pub(super) fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the state, and wakes whoever waits for it to change. Wakers run outside of the lock.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state);
        state.version += 1;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Logs a request whose head has arrived, counts it as said, and gives its number.
    pub(super) fn arrive(
        &self,
        connection: u64,
        head: &request::Parts,
        count: impl FnOnce(&mut Stats),
    ) -> usize {
        self.change(|state| {
            count(&mut state.stats);
            state.arrive(connection, head)
        })
    }

    /// Bytes of a request's body were read.
    pub(super) fn was_read(&self, number: usize, bytes: usize) {
        self.change(|state| {
            state.stats.body_bytes += bytes as u64;
            state.log[number].body_length += bytes as u64;
        });
    }

    /// A request gets this answer now.
    pub(super) fn answered(&self, number: usize, status: StatusCode, count: impl FnOnce(&mut Stats)) {
        self.change(|state| {
            state.log[number].status = Some(status);
            count(&mut state.stats);
            state.settle_token_gate();
        });
    }

    /// Waits for a gate. A client that goes meanwhile drops this, and is no longer counted as one that waits.
    pub(super) async fn pass(&self, gate: impl FnOnce(&mut State) -> Option<oneshot::Receiver<()>>) {
        struct Passed<'a>(&'a Shared, Option<oneshot::Receiver<()>>);
        impl Drop for Passed<'_> {
            fn drop(&mut self) {
                drop(self.1.take());
                self.0.change(|_| ());
            }
        }

        if let Some(released) = self.change(gate) {
            let mut passed = Passed(self, Some(released));
            if let Some(released) = &mut passed.1 {
                let _ = released.await;
            }
        }
    }
}
