//! Runs a clause: on a thread of its own, by a deadline, its panics caught.

use std::any::Any;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::clauses::Clause;
use super::world::World;
use super::{BlockOn, Make};
use crate::conformance::{Failure, Report};
use crate::lock::lock;

pub(super) fn one(
    name: String,
    clause: &'static Clause,
    make: Make,
    block_on: &BlockOn,
    deadline: Duration,
    report: &mut Report,
) {
    let stage = Arc::new(Mutex::new(String::new()));
    let (done, ended) = mpsc::channel();
    let (block_on, at) = (Arc::clone(block_on), Arc::clone(&stage));
    let work = move || {
        block_on(Box::pin(async move {
            let verdict = match World::new(make(), at) {
                Ok(world) => (clause.check)(world).await,
                Err(error) => Err(format!("no server could be started: {error}")),
            };
            let _ = done.send(verdict);
        }));
    };
    let verdict = match std::thread::Builder::new().name(format!("clause {name}")).spawn(work) {
        Ok(thread) => match ended.recv_timeout(deadline) {
            Ok(verdict) => verdict,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(format!("after {deadline:?} it is still {}", lock(&stage)))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(ended_early(thread.join())),
        },
        Err(error) => Err(format!("no thread could be started: {error}")),
    };
    match verdict {
        Ok(()) => report.passed.push(name),
        Err(seen) => report.failed.push(Failure { clause: name, promise: clause.promise, seen }),
    }
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
