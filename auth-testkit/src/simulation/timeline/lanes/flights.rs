//! The lane of a process's flights.
//!
//! A session tells its listeners what happens a little after it has happened. When a flight takes off and lands is known
//! from the session's state; which it is, and how it ended, from what is told.

use auth_core::Event;

use super::draft::{Draft, Here, Key};
use super::{Lane, Of, Own, Phase, Sign};
use crate::simulation::timeline::say;

impl Draft {
    /// Something that a flight does begins, or some of it ends: it is drawn within the flight.
    pub(super) fn part_begins(&mut self, here: Here, part: (Of, u32), phase: Phase, label: &str) {
        let lane = self.lane(Of::Process(here.process, Own::Flights));
        let flight = lane.latest(|key, span| is_flight(key) && span.ended.is_none());
        if flight.is_some() {
            lane.begin_on(flight, here, Key::Part(part.0, part.1), phase, label.to_owned());
        }
    }

    pub(super) fn part_ends(&mut self, here: Here, part: (Of, u32)) {
        self.lane(Of::Process(here.process, Own::Flights)).finish(here, Key::Part(part.0, part.1));
    }
}

fn is_flight(key: Key) -> bool {
    matches!(key, Key::Flight(_) | Key::Unnamed)
}

impl Lane {
    /// The flights that are up, as far as the session's state says.
    fn up(&self) -> Vec<usize> {
        let up = |(key, index): &(Key, usize)| is_flight(*key) && self.spans[*index].ended.is_none();
        self.open.iter().filter(|open| up(open)).map(|(_, index)| *index).collect()
    }

    /// The session is refreshing. Which flight that is will be told.
    pub(super) fn takes_off(&mut self, here: Here) {
        if self.up().is_empty() {
            self.begin(here, Key::Unnamed, Phase::Flight, "flight".to_owned());
        }
    }

    /// The session is not refreshing any more. How the flight ended will be told.
    pub(super) fn lands(&mut self, here: Here) {
        // With two up, which there should not be, the state does not say whose end it is.
        if let [index] = self.up()[..] {
            self.spans[index].ends(here);
        }
    }

    /// The process is killed.
    pub(super) fn falls(&mut self, here: Here) {
        for index in self.up() {
            self.mark_on(Some(index), here, Sign::Killed, String::new());
        }
        self.finish_all(here);
    }

    pub(super) fn flew(&mut self, here: Here, event: &Event) {
        match event {
            Event::RefreshStarted { flight, .. } => self.started(here, flight.get()),
            Event::Refreshed { flight, stamp, .. } => {
                let label = format!("stamp {}", say::stamp(*stamp));
                self.landed(here, Key::Flight(flight.get()), Sign::Published, label);
            }
            Event::RefreshFailed { flight, error, .. } => {
                let label = error.kind().as_str().to_owned();
                self.landed(here, Key::Flight(flight.get()), Sign::Failed, label);
            }
            // The flight that found the other identity has no event of its own.
            Event::IdentityChanged { .. } => {
                while let Some((key, _)) = self.open.iter().copied().find(|(key, _)| is_flight(*key)) {
                    self.landed(here, key, Sign::Failed, "other identity".to_owned());
                }
            }
            Event::QueueOpened { .. } => self.mark(here, Sign::Opened, String::new()),
            _ => {}
        }
    }

    fn started(&mut self, here: Here, flight: u64) {
        let (key, label) = (Key::Flight(flight), format!("flight {flight}"));
        match self.open.iter().position(|(key, _)| *key == Key::Unnamed) {
            Some(at) => {
                let index = self.open[at].1;
                self.open[at].0 = key;
                self.spans[index].label = label;
                self.spans[index].began = here.index;
            }
            None => self.begin(here, key, Phase::Flight, label),
        }
    }

    /// It is told how a flight ended: what it was doing ends with it.
    fn landed(&mut self, here: Here, key: Key, sign: Sign, label: String) {
        let flight = self.latest(|open, _| open == key);
        let known = flight.map(|index| &self.spans[index]).filter(|span| span.ended.is_some());
        let here = Here { at: known.map_or(here.at, |span| span.to), ..here };
        self.finish(here, key);
        let is_part = |index: usize| flight.is_some() && self.spans[index].on == flight;
        let parts = self.open.iter().filter(|(_, index)| is_part(*index)).map(|(part, _)| *part);
        for part in parts.collect::<Vec<_>>() {
            self.finish(here, part);
        }
        self.mark_on(flight, here, sign, label);
    }
}
