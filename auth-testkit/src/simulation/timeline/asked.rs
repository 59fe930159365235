//! What each request of a run is: the record numbers them, and the plan knows.

use super::super::plan::{Action, Plan, RequestKind};

/// The plan's requests, and other calls that wait, by their numbers.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The world counts from 1, in the order of time.
    steps: Vec<&'a Action>,
    /// Whether there is more than one process.
    pub(super) is_shared: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        let mut steps: Vec<_> = plan.steps.iter().collect();
        steps.sort_by_key(|step| step.at_ms);
        let waits = |what: &&Action| {
            matches!(what, Action::Request { .. } | Action::Refresh { .. } | Action::AccessToken { .. })
        };
        let steps = steps.iter().map(|step| &step.what).filter(waits).collect();
        Self { steps, is_shared: plan.session.processes > 1 }
    }

    fn step(&self, request: u32) -> Option<&'a Action> {
        let index = usize::try_from(request).ok()?.checked_sub(1)?;
        self.steps.get(index).copied()
    }

    /// In a word; nothing for what is as usual.
    pub(super) fn kind(&self, request: u32) -> &'static str {
        let Some(what) = self.step(request) else { return "a last check" };
        match what {
            Action::Request { kind, .. } => match kind {
                RequestKind::Plain => "",
                RequestKind::Buffered => "with a body",
                RequestKind::OneShot => "one-shot body",
                RequestKind::NoReplay => "no replay",
                RequestKind::AlwaysRejected => "always 401",
            },
            Action::Refresh { .. } => "refresh()",
            Action::AccessToken { .. } => "access_token()",
            _ => "",
        }
    }

    /// In a sentence.
    pub(super) fn words(&self, request: u32) -> String {
        self.step(request).map_or_else(|| "a last check, when all is over".to_owned(), ToString::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::{Fate, Simulation, Step, What};

    #[test]
    fn a_plan_need_not_be_sorted() {
        let mut plan = Plan::from_seed(0);
        let fate = Fate::Polled;
        plan.steps = vec![
            Step { at_ms: 9, process: 0, what: Action::Request { kind: RequestKind::NoReplay, fate } },
            Step { at_ms: 5, process: 0, what: Action::SignIn },
            Step { at_ms: 5, process: 0, what: Action::Refresh { fate } },
        ];

        let asked = Asked::new(&plan);

        assert_eq!([1, 2, 3].map(|request| asked.kind(request)), ["refresh()", "no replay", "a last check"]);
    }

    #[test]
    fn numbers_are_those_of_the_record() {
        let simulation = Simulation::new();
        let mut seen = 0;
        for seed in 0..60 {
            let run = simulation.run(&simulation.plan(seed));
            let asked = Asked::new(&run.plan);
            for moment in &run.record.moments {
                let What::Sent { request, .. } = moment.what else { continue };
                assert!(!asked.kind(request).ends_with("()"), "seed {seed}: {request} is sent to the API");
            }
            seen += asked.steps.iter().filter(|what| !matches!(what, Action::Request { .. })).count();
        }
        assert!(seen > 20, "there are calls that are not sent: {seen}");
    }
}
