//! The app on a phone: it makes requests, and counts what becomes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::{Advice, AuthClient, Body, Error, Runtime as _};
use auth_testkit::{ManualRuntime, Running};
use futures::future::join_all;
use http::{Request, StatusCode};

use crate::diary::{Diary, advice};
use crate::server::{MADE_FOR, Server};

#[derive(Clone)]
pub(crate) struct Phone {
    pub(crate) client: AuthClient<Server>,
    pub(crate) runtime: ManualRuntime,
    pub(crate) diary: Diary,
    pub(crate) tally: Arc<Mutex<Tally>>,
}

/// What became of all requests.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    pub(crate) made: usize,
    pub(crate) answered: usize,
    /// Answered with a 401, after the replay.
    pub(crate) rejected: usize,
    /// By what their callers were advised to do.
    pub(crate) failed: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub(crate) fn settled(&self) -> usize {
        self.answered + self.rejected + self.failed.values().sum::<usize>()
    }
}

impl Phone {
    /// Begins a request for this user. Whether it is answered well is its result.
    pub(crate) fn get(&self, user: &'static str, path: &'static str) -> Running<bool> {
        let phone = self.clone();
        self.runtime.start(async move { phone.make(user, path).await })
    }

    /// How many of these are answered well.
    pub(crate) async fn answered(&self, requests: Vec<Running<bool>>) -> usize {
        join_all(requests).await.into_iter().filter(|good| *good).count()
    }

    /// A request now and then, until that time of the hour.
    pub(crate) async fn browse(&self, user: &'static str, pause: Duration, until: Duration) {
        let before = self.tally().clone();
        while self.diary.time() < until {
            self.make(user, "/notes").await;
            let left = until.saturating_sub(self.diary.time());
            self.runtime.sleep(pause.min(left)).await;
        }
        let now = self.tally().clone();
        let (made, answered) = (now.made - before.made, now.answered - before.answered);
        self.diary.note(format!("{user} has made {made} requests: {answered} answered"));
    }

    async fn make(&self, user: &'static str, path: &'static str) -> bool {
        self.tally().made += 1;
        let request = Request::get(path).header(MADE_FOR, user).body(Body::empty());
        let Ok(request) = request else { unreachable!("a path and a name are a request") };
        match self.client.send(request).await {
            Ok(response) if response.status() == StatusCode::OK => self.tally().answered += 1,
            Ok(response) => {
                self.tally().rejected += 1;
                self.diary.note(format!("{user}'s request is answered {}", response.status().as_u16()));
                return false;
            }
            Err(error) => {
                *self.tally().failed.entry(in_short(&error)).or_default() += 1;
                self.diary.note(format!("{user}'s request fails: {error}. Advice: {}", advice(&error)));
                return false;
            }
        }
        true
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_short(error: &Error) -> &'static str {
    match error.advice() {
        Advice::SignIn => "sign in",
        Advice::RetryLater { .. } => "try again later",
        Advice::FixConfiguration => "mend the configuration",
        _ => "report a bug",
    }
}
