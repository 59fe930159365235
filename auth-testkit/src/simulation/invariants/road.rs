//! Of the road a request takes: sent once, sent again once where its token was rejected, and answered with what came.

use auth_core::ErrorKind;

use super::Invariant;
use super::known::{Known, Request};
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, What};

/// A request is sent again once, where its token was rejected and its body allows it, and never otherwise; its caller gets the
/// answer to the last attempt, or an error that has the 401 it stands in for. It comes through as it was made.
pub(super) struct Road {
    known: Known,
}

impl Road {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { known: Known::new(plan) }
    }

    fn sent(&self, number: u32, attempt: u8) -> Result<(), String> {
        let request = self.known.request(number);
        let before = request.and_then(|request| request.sent);
        if attempt != before.map_or(1, |sent| sent.attempt + 1) {
            return Err(format!("request {number} was sent as attempt {attempt}"));
        }
        let (Some(request), 2..) = (request, attempt) else { return Ok(()) };
        let rejected = request.answer == Some(Some(401));
        if attempt > 2 || !rejected || !request.call.is_replayed() {
            return Err(format!("request {number} was sent again (attempt {attempt}) with no reason to"));
        }
        Ok(())
    }

    fn settled(
        request: &Request,
        outcome: Result<u16, ErrorKind>,
        instead_of: Option<u16>,
    ) -> Result<(), &'static str> {
        if !request.call.is_request() {
            return Ok(());
        }
        let attempts = request.sent.map_or(0, |sent| sent.attempt);
        let answer = request.answer.filter(|_| attempts > 0);
        match outcome {
            Ok(status) if answer != Some(Some(status)) => Err("got a response that was not the last answer"),
            Ok(401) if attempts == 1 && request.call.is_replayed() => {
                Err("got its 401 back, and was not sent again")
            }
            Ok(_) => Ok(()),
            Err(ErrorKind::Transport) if answer == Some(None) => Ok(()),
            Err(ErrorKind::Transport) => Err("failed as if its connection had broken"),
            Err(_) if answer == Some(None) => Err("failed as something else than its broken connection"),
            Err(_) if attempts > 1 => Err("failed though its second attempt was answered"),
            Err(_) if answer.flatten() != instead_of => {
                Err("failed, and the error has lost the answer it stands in for")
            }
            Err(_) if attempts == 1 && !(request.call.is_replayed() && instead_of == Some(401)) => {
                Err("failed though it was answered")
            }
            Err(_) => Ok(()),
        }
    }
}

impl Invariant for Road {
    fn name(&self) -> &'static str {
        "replayed-once"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let judged = match &moment.what {
            What::Sent { request, attempt, .. } => self.sent(*request, *attempt),
            What::Settled { request: number, outcome, instead_of } => match self.known.request(*number) {
                Some(request) => Self::settled(request, *outcome, *instead_of)
                    .map_err(|what| format!("request {number} {what}")),
                None => Ok(()),
            },
            What::Spoiled { request, how } => Err(format!("request {request}: {how}")),
            _ => Ok(()),
        };
        self.known.see(moment);
        judged
    }
}
