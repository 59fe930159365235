//! Tries a clause: on a thread of its own, by a deadline, its panics caught.

use std::any::Any;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use auth_core::BoxFuture;

use super::choices::BlockOn;
use super::clause::Verdict;
use super::{Failure, Report};
use crate::lock::lock;

/// A clause that is about to be tried.
pub(super) struct Trial {
    pub(super) name: String,
    pub(super) promise: &'static str,
    /// `Err` says what it needs and was not given.
    pub(super) begin: Result<Begin, String>,
}

/// Called on the clause's thread, within its executor.
pub(super) type Begin = Box<dyn FnOnce(Stage) -> BoxFuture<'static, Outcome> + Send>;

pub(super) enum Outcome {
    Tried(Verdict),
    /// What it needs and does not have.
    Skipped(String),
}

/// What happens next in a clause, for whoever waits for it in vain.
#[derive(Clone, Default)]
pub(super) struct Stage(Arc<Mutex<String>>);

impl Stage {
    pub(super) fn set(&self, what: impl Into<String>) {
        *lock(&self.0) = what.into();
    }
}

pub(super) fn run(trial: Trial, block_on: &BlockOn, deadline: Duration, report: &mut Report) {
    let Trial { name, promise, begin } = trial;
    let outcome = match begin {
        Ok(begin) => outcome(&name, begin, block_on, deadline),
        Err(missing) => Outcome::Skipped(missing),
    };
    match outcome {
        Outcome::Tried(Ok(())) => report.passed.push(name),
        Outcome::Tried(Err(seen)) => report.failed.push(Failure { clause: name, promise, seen }),
        Outcome::Skipped(missing) => report.skipped.push((name, missing)),
    }
}

fn outcome(name: &str, begin: Begin, block_on: &BlockOn, deadline: Duration) -> Outcome {
    let stage = Stage::default();
    let (done, ended) = mpsc::channel();
    let (block_on, at) = (Arc::clone(block_on), stage.clone());
    let work = move || {
        block_on(Box::pin(async move {
            let _ = done.send(begin(at).await);
        }));
    };
    let seen = match std::thread::Builder::new().name(format!("clause {name}")).spawn(work) {
        Ok(thread) => match ended.recv_timeout(deadline) {
            Ok(outcome) => return outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                format!("after {deadline:?} it is still {}", lock(&stage.0))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => ended_early(thread.join()),
        },
        Err(error) => format!("no thread could be started: {error}"),
    };
    Outcome::Tried(Err(seen))
}

fn ended_early(joined: std::thread::Result<()>) -> String {
    match joined {
        Ok(()) => "the executor gave the clause up before it had ended".to_owned(),
        Err(panic) => format!("it panicked: {}", message(&*panic)),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("with no message")
}
