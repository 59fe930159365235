//! Of settling: every request that is polled gets an answer.

use std::collections::BTreeMap;

use super::Invariant;
use crate::simulation::record::{Moment, What};

/// 6. Every request that is polled settles.
#[derive(Default)]
pub(super) struct EverybodySettles {
    /// Requests under way, with their process.
    waiting: BTreeMap<u32, u32>,
}

impl Invariant for EverybodySettles {
    fn name(&self) -> &'static str {
        "everybody-settles"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        match &moment.what {
            What::Submitted { request } => {
                self.waiting.insert(*request, moment.process);
            }
            What::Settled { request, .. } if self.waiting.remove(request).is_none() => {
                return Err(format!("request {request} settled, and was not waiting"));
            }
            What::Cancelled { request } | What::Parked { request } => {
                self.waiting.remove(request);
            }
            What::Killed => self.waiting.retain(|_, process| *process != moment.process),
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self) -> Result<(), String> {
        match self.waiting.first_key_value() {
            Some((request, process)) => Err(format!(
                "request {request} of process {process} still waits, and {} others",
                self.waiting.len() - 1
            )),
            None => Ok(()),
        }
    }
}
