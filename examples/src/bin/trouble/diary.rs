//! The diary: what happens, with its time, a line each.

use std::time::Duration;

use auth_core::{Advice, Cause, Error, Event, Observer, Runtime as _};
use auth_testkit::ManualRuntime;

#[derive(Clone)]
pub(crate) struct Diary {
    runtime: ManualRuntime,
    begin: Duration,
}

impl Diary {
    pub(crate) fn new(runtime: &ManualRuntime) -> Self {
        Self { runtime: runtime.clone(), begin: runtime.elapsed() }
    }

    /// The time of this hour.
    pub(crate) fn time(&self) -> Duration {
        self.runtime.elapsed() - self.begin
    }

    pub(crate) fn heading(&self, title: &str) {
        println!("\n== {title}");
    }

    pub(crate) fn note(&self, text: impl AsRef<str>) {
        let time = self.time();
        let (minutes, seconds) = (time.as_secs() / 60, time.as_secs() % 60);
        println!("{minutes:02}:{seconds:02}.{:03}  {}", time.subsec_millis(), text.as_ref());
    }
}

impl Observer for Diary {
    fn event(&self, event: &Event) {
        self.note(sentence(event));
    }
}

fn sentence(event: &Event) -> String {
    match event {
        Event::Loaded { signed_in: true } => "  the store has tokens: somebody is signed in".into(),
        Event::Loaded { signed_in: false } => "  the store is empty: nobody is signed in".into(),
        Event::SignedIn { .. } => "  signed in".into(),
        Event::SignedOut { .. } => "  signed out".into(),
        Event::RefreshStarted { flight, cause } => {
            let why = match cause {
                Cause::Proactive => "the token expires soon, or has expired",
                Cause::Rejected => "the API rejects the token",
                _ => "somebody asked for it",
            };
            format!("  refresh {flight} starts: {why}")
        }
        Event::AttemptFailed { flight, attempt, error } => {
            format!("  refresh {flight}, attempt {attempt}: {}; it is made again", cause(error))
        }
        Event::Saved => "  saved".into(),
        Event::Refreshed { flight, waiters, took, .. } => {
            let waiting = requests(*waiters, "nobody waits");
            format!("  refresh {flight} has new tokens after {} ms; {waiting}", took.as_millis())
        }
        Event::RefreshFailed { flight, error, waiters, .. } => {
            let waited = requests(*waiters, "nobody waited");
            format!("  refresh {flight} failed: {}; {waited}", cause(error))
        }
        Event::Draining => "  the refresh token is dead; the access token is used to its end".into(),
        Event::Ended(ended) => format!("  the session has ended: {}", ended.reason),
        Event::Replayed { ticket: Some(ticket), .. } => {
            format!("  a request is sent again, number {} of the queue", ticket + 1)
        }
        Event::Replayed { ticket: None, .. } => {
            "  a request is sent again, at once: the token had been replaced".into()
        }
        other => format!("  {other:?}"),
    }
}

/// How many requests are in a refresh's queue.
fn requests(waiters: usize, nobody: &str) -> String {
    match waiters {
        0 => nobody.into(),
        1 => "1 request in its queue".into(),
        waiters => format!("{waiters} requests in its queue"),
    }
}

/// The innermost cause that says something.
fn cause(error: &Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// What the caller of a failed request can do.
pub(crate) fn advice(error: &Error) -> String {
    match error.advice() {
        Advice::SignIn => "sign in".into(),
        Advice::RetryLater { after: Some(after) } => format!("try again in {} s", after.as_secs()),
        Advice::RetryLater { after: None } => "try again".into(),
        Advice::FixConfiguration => "mend the configuration".into(),
        other => format!("{other:?}"),
    }
}
