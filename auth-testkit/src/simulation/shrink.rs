//! Shrinking: from a plan that breaks a promise to a short one that breaks the same.

use super::Simulation;
use super::plan::{Action, Fate, Plan, RequestKind};

/// No more runs than this: shrinking is for people who wait.
const MOST_RUNS: usize = 2_000;

pub(super) fn shrink(simulation: &Simulation, plan: &Plan) -> Plan {
    let Some(broken) = simulation.run(plan).violation else { return plan.clone() };
    let mut shrinker = Shrinker { simulation, invariant: broken.invariant, runs: 0, best: plan.clone() };
    loop {
        let before = shrinker.best.clone();
        shrinker.fewer_steps();
        shrinker.plainer_steps();
        shrinker.plainer_world();
        if shrinker.best == before || shrinker.runs >= MOST_RUNS {
            return shrinker.best;
        }
    }
}

struct Shrinker<'a> {
    simulation: &'a Simulation,
    invariant: String,
    runs: usize,
    best: Plan,
}

impl Shrinker<'_> {
    /// Keeps this plan if it still breaks the same promise.
    fn try_plan(&mut self, plan: Plan) -> bool {
        if self.runs >= MOST_RUNS || plan == self.best {
            return false;
        }
        self.runs += 1;
        let broken = self.simulation.run(&plan).violation;
        let same = broken.is_some_and(|violation| violation.invariant == self.invariant);
        if same {
            self.best = plan;
        }
        same
    }

    /// With the same chances or, since a change shifts them all, with others.
    fn try_change(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.best.clone();
        change(&mut plan);
        let seeds = [plan.seed, 1, 2, 3];
        seeds.into_iter().any(|seed| self.try_plan(Plan { seed, ..plan.clone() }))
    }

    /// Leaves out halves, quarters, and so on to single steps.
    fn fewer_steps(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.best.steps.len() {
                let end = (at + size).min(self.best.steps.len());
                if !self.try_change(|plan| drop(plan.steps.drain(at..end))) {
                    at += size;
                }
            }
            size /= 2;
        }
    }

    /// Requests without anything special, at round times.
    fn plainer_steps(&mut self) {
        for at in 0..self.best.steps.len() {
            if let Action::Request { kind, fate } = self.best.steps[at].what {
                self.try_change(|plan| plan.steps[at].what = Action::Request { kind, fate: Fate::Polled });
                self.try_change(|plan| {
                    let fate =
                        if let Action::Request { fate, .. } = plan.steps[at].what { fate } else { fate };
                    plan.steps[at].what = Action::Request { kind: RequestKind::Plain, fate };
                });
            }
            self.try_change(|plan| plan.steps[at].process = 0);
            self.try_change(|plan| {
                // Closer to what was before, with everything that follows.
                let before = if at == 0 { 0 } else { plan.steps[at - 1].at_ms };
                let by = (plan.steps[at].at_ms - before) / 2;
                plan.steps[at..].iter_mut().for_each(|step| step.at_ms -= by);
            });
        }
    }

    fn plainer_world(&mut self) {
        self.try_change(|plan| plan.session.processes = 1);
        self.try_change(|plan| plan.session.shared = false);
        self.try_change(|plan| plan.session.fail_unsaved = false);
        self.try_change(|plan| plan.session.patience_ms = 500);
        self.try_change(|plan| plan.session.max_waiters = None);
        self.try_change(|plan| plan.session.idle = false);
        self.try_change(|plan| plan.session.unordered = false);
        self.try_change(|plan| plan.session.acquires = false);
        self.try_change(|plan| plan.session.soft_window_s = None);
        self.try_change(|plan| plan.session.margin_s = None);
        self.try_change(|plan| plan.session.cooldown_ms = None);
        self.try_change(|plan| plan.session.longest_retry_after_s = None);
        self.try_change(|plan| plan.session.max_rejections = None);
        self.try_change(|plan| plan.server.refresh_lifetime_s = None);
        self.try_change(|plan| plan.server.lifetime_s = Some(3600));
        self.try_change(|plan| plan.server.grace_ms = 0);
        self.try_change(|plan| plan.server.latency_ms = 40);
    }
}
