//! The chronicle: a session's events, and what they must say together, whatever the schedule.

use std::sync::{Arc, Mutex};

use super::world::World;
use crate::{Event, FlightId, SessionState};

#[derive(Default)]
pub(super) struct Chronicle {
    events: Mutex<Vec<Event>>,
}

/// What the events so far come to.
#[derive(Default)]
struct Sofar {
    epoch: u64,
    generation: u64,
    up: Option<FlightId>,
    last: Option<FlightId>,
    /// Ended by somebody else when its time was up: it may still bring its answer.
    lapsed: Option<FlightId>,
    saved: bool,
    hangs: bool,
    ended: bool,
}

/// A sign-in, as events tell of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignIn {
    /// The newest that was published.
    pub(super) generation: u64,
    pub(super) left: Option<Left>,
}

/// How a sign-in was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    SignedOut,
    Replaced,
}

impl Chronicle {
    /// Listens.
    pub(super) fn listener(self: &Arc<Self>, world: &Arc<World>) -> impl Fn(&Event) + Send + Sync + 'static {
        let (chronicle, world) = (Arc::clone(self), Arc::clone(world));
        move |event| {
            world.others_may_go_on();
            chronicle.events.lock().unwrap().push(event.clone());
        }
    }

    pub(super) fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| which(event)).count()
    }

    /// The states that the session has been in, and perhaps some between them.
    pub(super) fn states(&self) -> Vec<SessionState> {
        let state = |event: &Event| match event {
            Event::SignedIn { .. } | Event::IdentityChanged { .. } | Event::Loaded { signed_in: true } => {
                Some(SessionState::Active)
            }
            Event::SignedOut { .. } | Event::Loaded { .. } => Some(SessionState::SignedOut),
            Event::RefreshStarted { .. } => Some(SessionState::Refreshing),
            Event::Refreshed { .. } | Event::RefreshFailed { .. } => Some(SessionState::Active),
            Event::Ended(ended) => Some(SessionState::Ended(ended.reason)),
            _ => None,
        };
        let events = self.events.lock().unwrap();
        std::iter::once(SessionState::Unknown).chain(events.iter().filter_map(state)).collect()
    }

    /// All sign-ins, in their order.
    pub(super) fn sign_ins(&self) -> Vec<SignIn> {
        let mut all: Vec<SignIn> = Vec::new();
        for event in &*self.events.lock().unwrap() {
            let Some(last) = all.last_mut().filter(|last| last.left.is_none()) else {
                all.extend(
                    matches!(event, Event::SignedIn { .. }).then_some(SignIn { generation: 0, left: None }),
                );
                continue;
            };
            match event {
                Event::Refreshed { stamp, .. } => last.generation = stamp.generation,
                Event::SignedOut { .. } => last.left = Some(Left::SignedOut),
                Event::SignedIn { .. } => {
                    last.left = Some(Left::Replaced);
                    all.push(SignIn { generation: 0, left: None });
                }
                _ => {}
            }
        }
        all
    }

    /// O1, and invariants 1, 7 and 8 as far as events tell: epochs grow, no flight starts while another is up, generations
    /// grow by one, a save comes before its publishing, a session ends once, and every flight ends.
    pub(super) fn check(&self, world: &World) {
        let events = self.events.lock().unwrap();
        // A save that hangs on a runtime that is not driven has run out of time: no event tells of it.
        let mut sofar = Sofar { hangs: world.has_changed_runtime(), ..Sofar::default() };
        for event in events.iter() {
            let holds = sofar.holds(event);
            world.claim(holds, || format!("{event:?} is out of order in {events:#?}"));
        }
        world.claim(sofar.up.is_none(), || format!("a flight has no end in {events:#?}"));
    }
}

impl Sofar {
    fn holds(&mut self, event: &Event) -> bool {
        match *event {
            Event::SignedIn { epoch } | Event::SignedOut { epoch } | Event::IdentityChanged { epoch } => {
                let grows = epoch > self.epoch && self.up.is_none();
                *self = Self { epoch, last: self.last, hangs: self.hangs, ..Self::default() };
                grows
            }
            Event::RefreshStarted { flight, .. } => {
                let alone = self.up.replace(flight).is_none();
                self.saved = false;
                self.last.replace(flight).is_none_or(|last| last < flight) && alone && !self.ended
            }
            Event::Saved | Event::SaveFailed { .. } => {
                self.saved = true;
                true
            }
            Event::Refreshed { flight, stamp, adopted, .. } => {
                self.generation += 1;
                let newest = stamp.epoch == self.epoch && stamp.generation == self.generation;
                let counts = self.up.take_if(|up| *up == flight).or(self.lapsed.take()) == Some(flight);
                counts && newest && (self.saved || adopted || self.hangs)
            }
            Event::RefreshFailed { flight, ref error, .. } => {
                self.lapsed = error.to_string().contains("ran out of time").then_some(flight);
                self.up.take() == Some(flight)
            }
            Event::Ended(_) => !std::mem::replace(&mut self.ended, true) && self.up.is_none(),
            _ => true,
        }
    }
}
