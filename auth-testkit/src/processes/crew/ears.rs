//! Listening to a crew: what was said, what is waited for, and for how long.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::{Crew, Given};
use crate::processes::words::{Heard, MemberId, Outcome, Said, Step};

/// How long anything may take. A machine may be busy, and a lease may have to end.
const LONG: Duration = Duration::from_secs(120);

/// # What they say
impl Crew {
    /// What was heard so far, in order.
    #[must_use]
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// Waits for the next thing that a member says.
    ///
    /// # Errors
    ///
    /// Where nobody says anything for two minutes.
    pub fn hear(&mut self) -> Result<Heard, String> {
        self.hear_by(Instant::now() + LONG, "somebody to say something")
    }

    fn hear_by(&mut self, deadline: Instant, what: &str) -> Result<Heard, String> {
        match self.hears.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(heard) => {
                if heard.said == Said::Gone {
                    self.members[heard.member.0].alive = false;
                }
                self.heard.push(heard.clone());
                Ok(heard)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(format!("still waiting for {what}: {}", self.last_words()))
            }
        }
    }

    fn last_words(&self) -> String {
        let last = self.heard.iter().rev().take(12).map(|heard| format!("{} {}", heard.member, heard.said));
        let mut last: Vec<_> = last.collect();
        last.reverse();
        format!("last was heard: {}", last.join(", "))
    }

    /// Waits until something was said, after the first so many things that were [`heard`](Self::heard).
    ///
    /// # Errors
    ///
    /// Where it was not said within two minutes.
    pub fn until(
        &mut self,
        since: usize,
        what: &str,
        is_it: impl Fn(&Heard) -> bool,
    ) -> Result<Heard, String> {
        let deadline = Instant::now() + LONG;
        if let Some(heard) = self.heard.iter().skip(since).find(|heard| is_it(heard)) {
            return Ok(heard.clone());
        }
        loop {
            let heard = self.hear_by(deadline, what)?;
            if is_it(&heard) {
                return Ok(heard);
            }
        }
    }

    /// Waits until a member [was halted](Self::halt).
    ///
    /// # Errors
    ///
    /// As [`until`](Self::until).
    pub fn halted(&mut self, since: usize, member: MemberId, step: Step) -> Result<(), String> {
        let what = format!("member {member} to be halted {}", step.name());
        let is_it = |heard: &Heard| {
            heard.member == member && matches!(&heard.said, Said::Halted(at, _) if *at == step)
        };
        self.until(since, &what, is_it).map(drop)
    }

    /// Waits for what becomes of an order.
    ///
    /// # Errors
    ///
    /// As [`until`](Self::until).
    pub fn outcome(&mut self, given: Given) -> Result<Outcome, String> {
        let what = format!("member {} to end order {}", given.member, given.number);
        let is_it = |heard: &Heard| {
            heard.member == given.member
                && match &heard.said {
                    Said::Gone => true,
                    Said::Ended(number, _) => *number == given.number,
                    _ => false,
                }
        };
        Ok(match self.until(0, &what, is_it)?.said {
            Said::Ended(_, outcome) => outcome,
            _ => Outcome::Gone,
        })
    }

    /// Has these members make a request each, at the same time, and waits for what becomes of them.
    ///
    /// # Errors
    ///
    /// Where one of them has ended, or says nothing for two minutes.
    pub fn requests(&mut self, members: &[MemberId], patience: Duration) -> Result<Vec<Outcome>, String> {
        let given: Vec<_> =
            members.iter().map(|member| self.request(*member, patience)).collect::<Result<_, _>>()?;
        given.into_iter().map(|given| self.outcome(given)).collect()
    }
}
