//! What each request of a run is: the record numbers them, and the plan knows.

use super::plan::{Action, Knows, Plan, RequestKind};

/// The plan's requests, and other calls that wait, by their numbers.
#[derive(Debug)]
pub(super) struct Asked {
    /// The world counts from 1, in the order of time.
    steps: Vec<Action>,
    /// Whether there is more than one process.
    pub(super) is_shared: bool,
}

impl Asked {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut steps: Vec<_> = plan.steps.iter().collect();
        steps.sort_by_key(|step| step.at_ms);
        let waits = |what: &&Action| {
            matches!(what, Action::Request { .. } | Action::Refresh { .. } | Action::AccessToken { .. })
        };
        let steps = steps.iter().map(|step| &step.what).filter(waits).cloned().collect();
        Self { steps, is_shared: plan.session.processes > 1 }
    }

    fn step(&self, request: u32) -> Option<&Action> {
        let index = usize::try_from(request).ok()?.checked_sub(1)?;
        self.steps.get(index)
    }

    /// What it asks for. A last check is a plain request.
    pub(super) fn call(&self, request: u32) -> Call {
        match self.step(request) {
            Some(Action::Request { kind, .. }) => Call::Request(*kind),
            Some(Action::Refresh { knows, .. }) => Call::Refresh(*knows),
            Some(Action::AccessToken { min_s, .. }) => Call::AccessToken(*min_s),
            _ => Call::Request(RequestKind::Plain),
        }
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
                RequestKind::Anonymous => "anonymous",
                RequestKind::OtherOrigin => "another origin",
                RequestKind::OwnHeader => "a header of its own",
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

/// A call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// A request to the API.
    Request(RequestKind),
    /// `Session::refresh`
    Refresh(Knows),
    /// `Session::access_token`, valid for so many seconds.
    AccessToken(u64),
}

impl Call {
    /// Whether it goes to the API.
    pub(super) fn is_request(self) -> bool {
        matches!(self, Self::Request(_))
    }

    /// Whether it is a request that carries the session's token.
    pub(super) fn carries_token(self) -> bool {
        matches!(self, Self::Request(kind) if !matches!(kind, RequestKind::Anonymous | RequestKind::OtherOrigin | RequestKind::OwnHeader))
    }

    /// Whether it is sent again where its token is rejected.
    pub(super) fn is_replayed(self) -> bool {
        self.carries_token() && !matches!(self, Self::Request(RequestKind::OneShot | RequestKind::NoReplay))
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
            Step { at_ms: 5, process: 0, what: Action::Refresh { fate, knows: Knows::Nothing } },
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
