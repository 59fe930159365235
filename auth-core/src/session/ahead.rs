//! Ahead: a timer that refreshes while nobody asks. One for each token that is published, stopped by the next.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{AbortHandle, abortable};

use super::core::Core;
use super::state;
use crate::BoxFuture;

/// So long after a token or a failure it starts nothing, whatever the cooldown is set to and however short the tokens live:
/// nobody waits for it.
const LEAST: Duration = Duration::from_secs(1);

/// The timer's task for the token that is about to be shown, and what stops it.
pub(crate) fn ahead(core: &Arc<Core>) -> (BoxFuture<'static, ()>, AbortHandle) {
    let core = Arc::clone(core);
    let (task, handle) = abortable(async move { watch(&core).await });
    let stopped = async move {
        // Stopped or done: either way there is another timer, or nothing to refresh.
        let _ = task.await;
    };
    (Box::pin(stopped), handle)
}

async fn watch(core: &Arc<Core>) {
    let mut earliest = core.now() + LEAST;
    loop {
        let now = core.now();
        let next = core.change(|state, after| {
            // Under the state's lock: a pool may have given the session up, and another may be there in its place.
            if core.is_timer_closed() {
                return state::Ahead::Never;
            }
            let next = state.ahead(earliest, now, &core.policy);
            if let state::Ahead::Start(flight) = &next {
                core.start(after, flight);
            }
            next
        });
        match next {
            state::Ahead::Never => return,
            state::Ahead::At(then) => core.runtime.sleep(then.saturating_sub(now)).await,
            // Where it succeeds, the new token has a timer of its own, and this one is stopped.
            state::Ahead::Wait(flight) | state::Ahead::Start(flight) => {
                let _ = core.wait(&flight.outcome, Some(&flight)).await;
                earliest = core.now() + LEAST;
            }
        }
    }
}
