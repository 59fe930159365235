//! A guest: a request's future as somebody holds it who may give it up, or forget to poll it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use auth_core::{BoxFuture, Error};

use super::plan::Fate;
use super::record::What;
use super::secret;
use super::universe::Universe;

pub(crate) type Outcome = Result<u16, Error>;

pub(crate) struct Guest {
    universe: Arc<Universe>,
    process: u32,
    number: u32,
    fate: Fate,
    polls: u8,
    /// `None`: given up.
    inner: Option<BoxFuture<'static, Outcome>>,
    /// Until it is given up.
    patience: Option<BoxFuture<'static, ()>>,
}

impl Guest {
    pub(crate) fn new(
        universe: &Arc<Universe>,
        process: u32,
        number: u32,
        fate: Fate,
        inner: BoxFuture<'static, Outcome>,
    ) -> Self {
        let patience = match fate {
            Fate::CancelledAfterMs(ms) => Some(universe.sleep(ms)),
            _ => None,
        };
        let universe = Arc::clone(universe);
        Self { universe, process, number, fate, polls: 0, inner: Some(inner), patience }
    }

    fn record(&self, what: What) {
        self.universe.record(self.process, what);
    }

    fn settle(&self, outcome: &Outcome) {
        if let Err(error) = outcome
            && secret::is_in(&secret::texts_of(error))
        {
            self.record(What::Leaked(format!("the error of request {}", self.number)));
        }
        let head = outcome.as_ref().err().and_then(Error::response);
        let instead_of = head.map(|head| head.status.as_u16());
        let outcome = outcome.as_ref().map(|status| *status).map_err(Error::kind);
        self.record(What::Settled { request: self.number, outcome, instead_of });
    }
}

impl Future for Guest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.polls == 0 {
            this.record(What::Submitted { request: this.number });
        }
        if matches!(this.fate, Fate::ParkedAfterPolls(most) if this.polls >= most) {
            return Poll::Pending;
        }
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(()) };
        if let Poll::Ready(outcome) = inner.as_mut().poll(cx) {
            this.settle(&outcome);
            return Poll::Ready(());
        }
        this.polls = this.polls.saturating_add(1);
        let given_up = match this.fate {
            Fate::CancelledAfterPolls(most) => this.polls >= most,
            Fate::CancelledAfterMs(_) => {
                this.patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready())
            }
            Fate::ParkedAfterPolls(most) => {
                if this.polls >= most {
                    this.record(What::Parked { request: this.number });
                }
                false
            }
            Fate::Polled => false,
        };
        if given_up {
            this.inner = None;
            this.record(What::Cancelled { request: this.number });
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
