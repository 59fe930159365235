//! Of the queue: replays in order, and nobody held up for long by one that is not polled.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use auth_core::Event;

use super::Invariant;
use super::known::LAG;
use crate::simulation::plan::Plan;
use crate::simulation::record::{Moment, What};

/// Which flight of which process.
type Flight = (u32, u64);

/// 5. Replays of a flight start in ticket order, unless patience ran out; and it runs out for nobody who is polled.
#[derive(Default)]
pub(super) struct InOrder {
    last: HashMap<Flight, u64>,
    /// The first that came out of order.
    overtaken: HashMap<Flight, String>,
    opened: HashSet<Flight>,
    parked: HashSet<u32>,
}

impl Invariant for InOrder {
    fn name(&self) -> &'static str {
        "in-order"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let process = moment.process;
        match &moment.what {
            What::Sent { request, place: Some((flight, ticket)), .. } => {
                let last = self.last.entry((process, *flight)).or_insert(*ticket);
                if *ticket < *last {
                    let sentence = format!(
                        "request {request} with ticket {ticket} of flight {flight} started after ticket {last}"
                    );
                    self.overtaken.entry((process, *flight)).or_insert(sentence);
                }
                *last = (*last).max(*ticket);
                // Where everybody is polled, nothing excuses it.
                if !self.parked.contains(&process)
                    && let Some(sentence) = self.overtaken.get(&(process, *flight))
                {
                    return Err(sentence.clone());
                }
            }
            // Who stands still is not polled either.
            What::Parked { .. } | What::Stopped { .. } => {
                self.parked.insert(process);
            }
            What::Told(Event::QueueOpened { flight }) => {
                self.opened.insert((process, flight.get()));
                if !self.parked.contains(&process) {
                    return Err(format!("the queue of flight {flight} opened though everybody was polled"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    // Patience that ran out is told a little later than it shows.
    fn at_rest(&mut self) -> Result<(), String> {
        let mut broken: Vec<_> =
            self.overtaken.iter().filter(|(flight, _)| !self.opened.contains(flight)).collect();
        broken.sort();
        broken.first().map_or(Ok(()), |(_, sentence)| Err((*sentence).clone()))
    }
}

/// 6. (and 5.) Once new tokens are there, nobody waits longer than the queue's patience for one that is not polled.
pub(super) struct Patience {
    most: Duration,
    least: Duration,
    published: HashMap<Flight, Duration>,
}

impl Patience {
    pub(super) fn new(plan: &Plan) -> Self {
        // Steps take time as well: a request of this world is on its way for a few milliseconds.
        let slack = Duration::from_millis(plan.session.patience_ms / 5 + 50);
        let least = Duration::from_millis(plan.session.patience_ms * 8 / 10);
        Self {
            least,
            most: Duration::from_millis(plan.session.patience_ms) + slack,
            published: HashMap::new(),
        }
    }
}

impl Invariant for Patience {
    fn name(&self) -> &'static str {
        "patience"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        match &moment.what {
            What::Told(Event::Refreshed { flight, .. }) => {
                self.published.insert((moment.process, flight.get()), moment.at);
            }
            What::Sent { request, place: Some((flight, _)), attempt, .. } => {
                if let Some(published) = self.published.get(&(moment.process, *flight))
                    && moment.at > *published + self.most
                {
                    return Err(format!(
                        "request {request} (attempt {attempt}) waited {:?} after flight {flight} had brought new tokens",
                        moment.at - *published
                    ));
                }
            }
            What::Told(Event::QueueOpened { flight }) => {
                if let Some(published) = self.published.get(&(moment.process, flight.get()))
                    && moment.at + LAG < *published + self.least
                {
                    return Err(format!(
                        "the queue of flight {flight} opened after {:?}",
                        moment.at - *published
                    ));
                }
            }
            What::Stopped { .. } => self.published.retain(|(process, _), _| *process != moment.process),
            _ => {}
        }
        Ok(())
    }
}
