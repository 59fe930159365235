//! One call of the store: begun, held or failed where the test wants that, done, and logged.

use std::fmt;

use auth_core::{StoreError, Tokens};

use super::{Shared, State};
use crate::lock::lock;
use crate::overlap::{Inside, Overlap};
use crate::reply::{self, Reply};

/// The kinds of calls, of the store itself or of its guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `load`.
    Load,
    /// `save`.
    Save,
    /// `clear`.
    Clear,
    /// `lock`.
    Lock,
    /// A guard's `release`.
    Release,
}

/// One call, as the log remembers it. Its `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logged {
    /// Its kind.
    pub op: Op,
    /// Whether it was made through a guard.
    pub guarded: bool,
    /// Whether it ended without an error.
    pub ok: bool,
    /// The text of the access token that was loaded, or was to be saved.
    pub tokens: Option<String>,
}

impl fmt::Debug for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logged")
            .field("op", &self.op)
            .field("guarded", &self.guarded)
            .field("ok", &self.ok)
            .field("tokens", &self.tokens.as_ref().map(|_| ".."))
            .finish()
    }
}

/// A call that waits for the test. Dropped without a word, it never ends.
pub struct HeldCall {
    op: Op,
    guarded: bool,
    tokens: Option<Tokens>,
    reply: Reply<Result<(), StoreError>>,
}

impl HeldCall {
    /// Its kind.
    #[must_use]
    pub fn op(&self) -> Op {
        self.op
    }

    /// Whether it is made through a guard.
    #[must_use]
    pub fn guarded(&self) -> bool {
        self.guarded
    }

    /// What is to be saved.
    #[must_use]
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// Lets it go on. What it does, it does when its future is polled next; a lock gets in line then.
    pub fn proceed(self) {
        self.reply.send(Ok(()));
    }

    /// Makes it fail and change nothing. A release that fails leaves the lock taken.
    pub fn fail(self, error: StoreError) {
        self.reply.send(Err(error));
    }

    /// Makes its future panic when it is polled next.
    pub fn panics(self, message: impl Into<String>) {
        self.reply.panic(message.into());
    }

    /// Whether its future was dropped before it could go on.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }
}

impl fmt::Debug for HeldCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldCall")
            .field("op", &self.op)
            .field("guarded", &self.guarded)
            .field("abandoned", &self.is_abandoned())
            .finish_non_exhaustive()
    }
}

/// A call that may do what it is for.
pub(super) struct Underway<'a> {
    shared: &'a Shared,
    call: Logged,
    _inside: Inside,
}

impl Underway<'_> {
    /// Does it, and logs it under the same lock. What was done says which access token was loaded.
    pub(super) fn end<T>(
        mut self,
        act: impl FnOnce(&mut State) -> (Result<T, StoreError>, Option<String>),
    ) -> Result<T, StoreError> {
        let mut state = lock(&self.shared.state);
        let (result, loaded) = act(&mut state);
        self.call.ok = result.is_ok();
        self.call.tokens = loaded.or(self.call.tokens);
        state.log.push(self.call);
        result
    }
}

/// What the script says of a call that begins.
enum Verdict {
    Go,
    Hold,
    Fail,
    Panic,
}

impl State {
    fn judge(&mut self, op: Op) -> Verdict {
        if used_up(self.panic_next.get_mut(&op)) {
            Verdict::Panic
        } else if used_up(self.fail_next.get_mut(&op)) || self.failing.contains(&op) {
            Verdict::Fail
        } else if self.holds.contains(&op) {
            Verdict::Hold
        } else {
            Verdict::Go
        }
    }

    /// A guard that lost the lock may not write.
    fn may_write(&self, place: Option<u64>) -> Result<(), StoreError> {
        if place.is_some() && place != self.holder { Err(StoreError::conflict()) } else { Ok(()) }
    }
}

/// Counts down, if there is anything left.
fn used_up(left: Option<&mut usize>) -> bool {
    left.is_some_and(|left| {
        let any = *left > 0;
        *left = left.saturating_sub(1);
        any
    })
}

fn text(tokens: &Tokens) -> String {
    tokens.access_token().reveal().to_owned()
}

impl Shared {
    /// Begins a call, which `place` makes through its guard: notes it, and waits or fails where the script says so.
    pub(super) async fn begin(
        &self,
        overlap: &Overlap,
        op: Op,
        place: Option<u64>,
        tokens: Option<&Tokens>,
    ) -> Result<Underway<'_>, StoreError> {
        let guarded = place.is_some();
        let call = Logged { op, guarded, ok: false, tokens: tokens.map(text) };
        let verdict = {
            let mut state = lock(&self.state);
            state.begun.push(call.clone());
            state.judge(op)
        };
        let underway = Underway { shared: self, call, _inside: overlap.enter() };
        let verdict = match verdict {
            Verdict::Go => Ok(()),
            Verdict::Fail => Err(StoreError::new("scripted: this call fails")),
            Verdict::Panic => panic!("scripted: this call of the store panics"),
            Verdict::Hold => {
                // Its own count would be the second for this call.
                let (reply, awaited) = reply::call(Overlap::default().enter());
                self.held.push(HeldCall { op, guarded, tokens: tokens.cloned(), reply });
                awaited.await
            }
        };
        match verdict {
            Ok(()) => Ok(underway),
            Err(error) => underway.end(|_| (Err(error), None)),
        }
    }

    pub(super) async fn load(
        &self,
        overlap: &Overlap,
        place: Option<u64>,
    ) -> Result<Option<Tokens>, StoreError> {
        let call = self.begin(overlap, Op::Load, place, None).await?;
        call.end(|state| (Ok(state.content.clone()), state.content.as_ref().map(text)))
    }

    pub(super) async fn save(
        &self,
        overlap: &Overlap,
        place: Option<u64>,
        tokens: &Tokens,
    ) -> Result<(), StoreError> {
        let call = self.begin(overlap, Op::Save, place, Some(tokens)).await?;
        call.end(|state| {
            let may = state.may_write(place);
            if may.is_ok() {
                state.content = Some(tokens.clone());
            }
            (may, None)
        })
    }

    pub(super) async fn clear(&self, overlap: &Overlap, place: Option<u64>) -> Result<(), StoreError> {
        let call = self.begin(overlap, Op::Clear, place, None).await?;
        call.end(|state| {
            let may = state.may_write(place);
            if may.is_ok() {
                state.content = None;
            }
            (may, None)
        })
    }
}
