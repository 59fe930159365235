//! A gate: requests wait in front of it until a test lets them through.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::log::Seen;

pub(super) type Held = Arc<dyn Fn(&Seen) -> bool + Send + Sync>;

/// Plain data under the server's lock; a request waits on its own channel, outside of it.
#[derive(Default)]
pub(super) struct Gate {
    held: Option<Held>,
    waiting: VecDeque<oneshot::Sender<()>>,
}

impl Gate {
    pub(super) fn close(&mut self, held: Held) {
        self.held = Some(held);
    }

    pub(super) fn open(&mut self) {
        self.held = None;
        self.let_through(usize::MAX);
    }

    /// Lets the first ones through, not counting those whose client has gone.
    pub(super) fn let_through(&mut self, count: usize) -> usize {
        let mut through = 0;
        while through < count {
            let Some(waiting) = self.waiting.pop_front() else { break };
            through += usize::from(waiting.send(()).is_ok());
        }
        through
    }

    /// What a request has to wait for, if it is one that is held.
    pub(super) fn arrive(&mut self, seen: &Seen) -> Option<oneshot::Receiver<()>> {
        let held = self.held.as_ref()?;
        held(seen).then(|| self.wait())
    }

    /// What a request that is held in any case has to wait for.
    pub(super) fn wait(&mut self) -> oneshot::Receiver<()> {
        let (release, released) = oneshot::channel();
        self.waiting.push_back(release);
        released
    }

    /// How many wait, not counting those whose client has gone.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.iter().filter(|release| !release.is_closed()).count()
    }
}
