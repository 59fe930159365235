//! The lanes of a process's session and of its flights.

use auth_core::Event;

use super::super::super::record::What;
use super::{Draft, Here, Key, Lane, Of, Own, Phase, Sign};
use crate::simulation::timeline::say;

impl Draft {
    pub(super) fn session(&mut self, here: Here, what: &What) {
        if let What::Told(event) = what {
            return self.told(here, event);
        }
        let lane = self.lane(Of::Process(here.process, Own::Session));
        match what {
            What::Started => lane.mark(here, Sign::Started, String::new()),
            What::SignIn { token } => lane.mark(here, Sign::SignIn, token.sign_in.to_string()),
            What::SignOut => lane.mark(here, Sign::SignOut, String::new()),
            What::Written { saved: false } => lane.mark(here, Sign::Failed, "not saved".to_owned()),
            What::Leaked(_) => lane.mark(here, Sign::Leaked, String::new()),
            What::State(state) => {
                lane.finish(here, Key::State);
                lane.begin(here, Key::State, Phase::State(*state), say::state(*state).to_owned());
            }
            What::Killed => {
                lane.mark(here, Sign::Killed, String::new());
                lane.finish_all(here);
                self.killed(here);
            }
            _ => {}
        }
    }

    /// What a process was doing ends with it. (Its calls of store and server tell their own ends.)
    fn killed(&mut self, here: Here) {
        for lane in self.requests(here.process) {
            if !lane.open.is_empty() {
                lane.finish_all(here);
                lane.mark(here, Sign::Killed, String::new());
            }
        }
        let lane = self.lane(Of::Process(here.process, Own::Flights));
        while let Some(row) = lane.latest(|key, _| matches!(key, Key::Flight(_))) {
            lane.mark_in(row, here, Sign::Killed, String::new());
            lane.finish_all(here);
        }
    }

    fn told(&mut self, here: Here, event: &Event) {
        match event {
            Event::Ended(_) => {
                self.lane(Of::Process(here.process, Own::Session)).mark(here, Sign::Ended, String::new())
            }
            Event::SaveFailed { .. } => {
                self.lane(Of::Process(here.process, Own::Session)).mark(here, Sign::Failed, "save".to_owned())
            }
            _ => self.lane(Of::Process(here.process, Own::Flights)).flew(here, event),
        }
    }

    /// Something that a flight does begins, or some of it ends: it is drawn within the flight.
    pub(super) fn part_begins(&mut self, here: Here, part: (Of, u32), phase: Phase, label: &str) {
        let lane = self.lane(Of::Process(here.process, Own::Flights));
        if let Some(row) = lane.latest(|key, _| matches!(key, Key::Flight(_))) {
            lane.begin_in(row, here, Key::Part(part.0, part.1), phase, label.to_owned());
        }
    }

    pub(super) fn part_ends(&mut self, here: Here, part: (Of, u32)) {
        self.lane(Of::Process(here.process, Own::Flights)).finish(here, Key::Part(part.0, part.1));
    }
}

impl Lane {
    fn flew(&mut self, here: Here, event: &Event) {
        match event {
            Event::RefreshStarted { flight, .. } => {
                let label = format!("flight {flight}");
                self.begin(here, Key::Flight(flight.get()), Phase::Flight, label);
            }
            Event::Refreshed { flight, stamp, .. } => {
                self.landed(
                    here,
                    Key::Flight(flight.get()),
                    Sign::Published,
                    format!("stamp {}", say::stamp(*stamp)),
                );
            }
            Event::RefreshFailed { flight, error } => {
                self.landed(here, Key::Flight(flight.get()), Sign::Failed, error.kind().as_str().to_owned());
            }
            // The flight that found the other identity has no event of its own.
            Event::IdentityChanged { .. } => {
                while let Some((key, _)) =
                    self.open.iter().copied().find(|(key, _)| matches!(key, Key::Flight(_)))
                {
                    self.landed(here, key, Sign::Failed, "other identity".to_owned());
                }
            }
            Event::QueueOpened { .. } => self.mark(here, Sign::Opened, String::new()),
            _ => {}
        }
    }

    /// A flight ends, and what it was doing with it.
    fn landed(&mut self, here: Here, key: Key, sign: Sign, label: String) {
        let row = self.finish(here, key).unwrap_or(0);
        let part = |(open, index): &(Key, usize)| {
            matches!(open, Key::Part(..)).then_some(*open).filter(|_| self.spans[*index].row == row)
        };
        let parts: Vec<Key> = self.open.iter().filter_map(part).collect();
        for part in parts {
            self.finish(here, part);
        }
        self.mark_in(row, here, sign, label);
    }
}
