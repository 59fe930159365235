//! One call's answer on its way from the test to the scripted part, and the future that waits for it.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::lock::lock;
use crate::overlap::Inside;

/// The test's end of a call. Dropped unanswered, it leaves the call pending for ever.
pub(crate) struct Reply<A>(Arc<Mutex<State<A>>>);

struct State<A> {
    answer: Option<Answer<A>>,
    waker: Option<Waker>,
    abandoned: bool,
    panics_in_drop: bool,
}

enum Answer<A> {
    Value(A),
    Panic(String),
}

/// A call that begins now, and both its ends.
pub(crate) fn call<A>(inside: Inside) -> (Reply<A>, Awaited<A>) {
    let state = State { answer: None, waker: None, abandoned: false, panics_in_drop: false };
    let state = Arc::new(Mutex::new(state));
    (Reply(Arc::clone(&state)), Awaited { state, inside: Some(inside) })
}

impl<A> Reply<A> {
    pub(crate) fn send(self, value: A) {
        self.answer(Answer::Value(value), false);
    }

    pub(crate) fn panic(self, message: String) {
        self.answer(Answer::Panic(message), false);
    }

    pub(crate) fn send_and_panic_in_drop(self, value: A) {
        self.answer(Answer::Value(value), true);
    }

    /// Whether the call's future was dropped before it had its answer.
    pub(crate) fn is_abandoned(&self) -> bool {
        lock(&self.0).abandoned
    }

    fn answer(self, answer: Answer<A>, panics_in_drop: bool) {
        let (unwanted, waker) = {
            let mut state = lock(&self.0);
            if state.abandoned {
                (Some(answer), None)
            } else {
                state.answer = Some(answer);
                state.panics_in_drop = panics_in_drop;
                (None, state.waker.take())
            }
        };
        drop(unwanted);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The part's end of a call: its answer, when the test gives one.
pub(crate) struct Awaited<A> {
    state: Arc<Mutex<State<A>>>,
    /// Until the answer was received.
    inside: Option<Inside>,
}

impl<A> Future for Awaited<A> {
    type Output = A;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A> {
        let waker = cx.waker().clone();
        let (answer, before) = {
            let mut state = lock(&self.state);
            match state.answer.take() {
                None => (None, state.waker.replace(waker)),
                answer => (answer, state.waker.take()),
            }
        };
        drop(before);
        let Some(answer) = answer else { return Poll::Pending };
        self.inside = None;
        match answer {
            Answer::Value(value) => Poll::Ready(value),
            Answer::Panic(message) => panic!("{message}"),
        }
    }
}

impl<A> Drop for Awaited<A> {
    fn drop(&mut self) {
        let received = self.inside.take().is_none();
        let (unread, waker, panics) = {
            let mut state = lock(&self.state);
            state.abandoned = !received;
            (state.answer.take(), state.waker.take(), state.panics_in_drop)
        };
        drop((unread, waker));
        // A panic on top of another one would abort the test.
        if panics && !std::thread::panicking() {
            panic!("scripted: the future of this call panics while it is dropped");
        }
    }
}

/// What a call's first poll finds: an answer at once, or the wait for one.
pub(crate) enum Asked<A> {
    Answered(A),
    Waiting(Awaited<A>),
}

/// A scripted call's whole future. It asks at its first poll and not before; what it awaits lives as long as itself, so
/// that a panic in its drop comes when the caller drops it, not while the answer is handed out.
pub(crate) struct Call<F, A> {
    ask: Option<F>,
    awaited: Option<Awaited<A>>,
}

impl<F: FnOnce() -> Asked<A>, A> Call<F, A> {
    pub(crate) fn new(ask: F) -> Self {
        Self { ask: Some(ask), awaited: None }
    }
}

/// Nothing in it is pinned in place.
impl<F, A> Unpin for Call<F, A> {}

impl<F: FnOnce() -> Asked<A>, A> Future for Call<F, A> {
    type Output = A;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A> {
        if let Some(ask) = self.ask.take() {
            match ask() {
                Asked::Answered(answer) => return Poll::Ready(answer),
                Asked::Waiting(awaited) => self.awaited = Some(awaited),
            }
        }
        match self.awaited.as_mut() {
            Some(awaited) => Pin::new(awaited).poll(cx),
            None => panic!("polled after it was done"),
        }
    }
}
