//! The lane of a process's session, and what a kill ends.

use auth_core::{Event, SessionState};

use super::super::super::record::What;
use super::draft::{Draft, Here, Key};
use super::{Of, Own, Phase, Sign};
use crate::simulation::timeline::say;

impl Draft {
    pub(super) fn session(&mut self, here: Here, what: &What) {
        match what {
            What::State(state) => self.state(here, *state),
            What::Killed => self.killed(here),
            What::Told(event) => self.told(here, event),
            What::Started => self.session_mark(here, Sign::Started, String::new()),
            What::SignIn { token } => {
                self.session_mark(here, Sign::SignedIn, format!("sign-in {}", token.sign_in));
            }
            What::SignOut => self.session_mark(here, Sign::SignedOut, String::new()),
            What::Written { saved: false } => self.session_mark(here, Sign::Failed, "not saved".to_owned()),
            What::Leaked(_) => self.session_mark(here, Sign::Leaked, String::new()),
            _ => {}
        }
    }

    fn session_mark(&mut self, here: Here, sign: Sign, label: String) {
        self.lane(Of::Process(here.process, Own::Session)).mark(here, sign, label);
    }

    fn state(&mut self, here: Here, state: SessionState) {
        let lane = self.lane(Of::Process(here.process, Own::Session));
        lane.finish(here, Key::State);
        lane.begin(here, Key::State, Phase::State(state), say::state(state).to_owned());
        let flights = self.lane(Of::Process(here.process, Own::Flights));
        if state == SessionState::Refreshing { flights.takes_off(here) } else { flights.lands(here) }
    }

    /// What a process was doing ends with it. (Its calls of store and server tell their own ends.)
    fn killed(&mut self, here: Here) {
        self.session_mark(here, Sign::Killed, String::new());
        self.lane(Of::Process(here.process, Own::Session)).finish_all(here);
        for lane in self.requests(here.process) {
            if !lane.open.is_empty() {
                lane.finish_all(here);
                lane.mark(here, Sign::Killed, String::new());
            }
        }
        self.lane(Of::Process(here.process, Own::Flights)).falls(here);
    }

    fn told(&mut self, here: Here, event: &Event) {
        match event {
            Event::Ended(_) => self.session_mark(here, Sign::Ended, String::new()),
            Event::SaveFailed { .. } => self.session_mark(here, Sign::Failed, "save".to_owned()),
            _ => self.lane(Of::Process(here.process, Own::Flights)).flew(here, event),
        }
    }
}
