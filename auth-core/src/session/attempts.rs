//! Attempts: a token endpoint's call, made again where its failure may pass.

use std::sync::Arc;
use std::time::Duration;

use super::bounded::NoAnswer;
use super::core::Core;
use crate::{Error, RefreshError};

/// Why there are no tokens.
pub(crate) enum Unanswered {
    /// Nobody needs the answer any more.
    Over,
    /// The last failure, and whether on the way to it an answer may have been lost.
    Failed { error: RefreshError, lost: bool },
}

/// Calls once, and after the policy's pauses again, as long as the failure is one that may pass and the deadline (by
/// `elapsed`) is far enough. `call` gives `None` where nobody needs the answer any more. `failed` is told of each failure
/// that is not the last: the attempt's number, whether an answer may have been lost, the failure.
pub(crate) async fn attempts<T, F>(
    core: &Arc<Core>,
    deadline: Duration,
    mut call: impl FnMut() -> F,
    mut failed: impl FnMut(u8, bool, Error),
) -> Result<T, Unanswered>
where
    F: Future<Output = Option<Result<Result<T, RefreshError>, NoAnswer>>>,
{
    let mut pauses = core.policy.pauses.iter();
    let mut lost = false;
    let mut number = 0;
    loop {
        number += 1;
        let error = match call().await {
            None => return Err(Unanswered::Over),
            Some(Ok(Ok(tokens))) => return Ok(tokens),
            Some(Ok(Err(error))) => error,
            Some(Err(no_answer)) => RefreshError::unavailable(no_answer).outcome_unknown(),
        };
        lost |= error.is_outcome_unknown();
        let pause = match (pauses.next(), error.retry_after_hint()) {
            (None, _) => return Err(Unanswered::Failed { error, lost }),
            // Servers grant a grace of seconds to a token whose answer was lost: no time to wait.
            (Some(_), None) if error.is_outcome_unknown() => Duration::ZERO,
            (Some(pause), asked) => {
                asked.unwrap_or_default().min(core.policy.longest_retry_after).max(*pause)
            }
        };
        if !error.is_unavailable() || core.now().saturating_add(pause) >= deadline {
            return Err(Unanswered::Failed { error, lost });
        }
        failed(number, lost, Error::refresh(error));
        if !pause.is_zero() {
            core.runtime.sleep(pause).await;
        }
    }
}
