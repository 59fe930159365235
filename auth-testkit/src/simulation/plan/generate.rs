//! From a seed to a plan.
//!
//! What is likely to hurt comes together: requests in bursts, right after tokens have gone bad, with something else
//! happening in the middle of the refresh that follows.

mod scenes;

use super::{
    Action, ApiFault, Elsewhere, Fate, Knows, Plan, RequestKind, ServerPlan, SessionPlan, Step, StoreCall,
    StoreFault, TokenFault,
};
use crate::simulation::dice::Dice;

pub(super) fn plan(seed: u64) -> Plan {
    let mut dice = Dice::new(seed);
    let processes = dice.pick(&[1, 1, 1, 2, 2, 3]);
    let session = SessionPlan {
        processes,
        shared: processes > 1 || dice.once_in(2),
        patience_ms: dice.pick(&[500, 500, 100]),
        fail_unsaved: dice.once_in(8),
        max_waiters: dice.once_in(6).then(|| dice.pick(&[1, 2, 4])),
        idle: dice.once_in(6),
        unordered: dice.once_in(12),
        acquires: dice.once_in(6),
        soft_window_s: dice.once_in(4).then(|| dice.pick(&[0, 3, 20, 1_000])),
        margin_s: dice.once_in(6).then(|| dice.pick(&[0, 1, 30])),
        cooldown_ms: dice.once_in(6).then(|| dice.pick(&[200, 5_000])),
        longest_retry_after_s: dice.once_in(6).then(|| dice.pick(&[0, 2, 60])),
        max_rejections: dice.once_in(6).then(|| dice.pick(&[1, 2])),
    };
    let rotates = !dice.once_in(6);
    let server = ServerPlan {
        lifetime_s: dice.pick(&[Some(3600), Some(300), Some(60), Some(20), None]),
        refresh_lifetime_s: dice.pick(&[None, None, None, Some(90)]),
        rotates,
        detects_reuse: rotates && !dice.once_in(4),
        grace_ms: if rotates { dice.pick(&[0, 0, 5_000]) } else { 0 },
        latency_ms: dice.pick(&[2, 40, 400]),
    };
    let mut plan = Plan { seed, server, session, steps: Vec::new() };
    let mut maker = Maker { dice: &mut dice, plan: &mut plan, at: 0 };
    maker.everyone_signs_in();
    let scenes = maker.dice.between(1, 5);
    for _ in 0..scenes {
        maker.pause();
        if maker.dice.once_in(2) { maker.aimed() } else { maker.scene() }
    }
    plan.steps.sort_by_key(|step| step.at_ms);
    plan
}

struct Maker<'a> {
    dice: &'a mut Dice,
    plan: &'a mut Plan,
    /// When the scene begins, in milliseconds.
    at: u64,
}

impl Maker<'_> {
    fn add(&mut self, after: u64, process: u8, what: Action) {
        self.plan.steps.push(Step { at_ms: self.at + after, process, what });
    }

    fn process(&mut self) -> u8 {
        self.dice.below(u64::from(self.plan.session.processes)) as u8
    }

    fn everyone_signs_in(&mut self) {
        if !self.dice.once_in(10) {
            let process = self.process();
            self.add(0, process, Action::SignIn);
        }
        self.at += 100;
    }

    /// Time passes between two scenes.
    fn pause(&mut self) {
        self.at += match self.dice.below(4) {
            0 => self.dice.below(200),
            1 => self.dice.below(3_000),
            2 => self.dice.below(30_000),
            _ => self.dice.below(90_000),
        };
    }

    /// Something goes bad, requests notice it, and something else happens meanwhile.
    fn scene(&mut self) {
        if !self.dice.once_in(4) {
            self.add(0, 0, Action::ExpireAccess);
        }
        let quiet = self.dice.once_in(3);
        for _ in 0..(if quiet { 0 } else { self.dice.between(1, 3) }) {
            let fault = self.fault();
            let (after, process) = (self.dice.below(5), self.process());
            self.add(after, process, fault);
        }
        self.burst();
        if self.dice.once_in(3) {
            // A refresh that takes its time, and somebody who does not wait for it.
            let (process, ms) = (self.process(), self.dice.pick(&[50, 300, 3_000]));
            self.add(4, process, Action::NextToken(TokenFault::Slow(ms)));
            let (after, who) = (self.dice.below(ms * 2), self.dice.pick(&[Action::SignOut, Action::SignIn]));
            self.add(6 + after, process, who);
        }
        for _ in 0..self.dice.below(if quiet { 1 } else { 4 }) {
            let meanwhile = self.meanwhile();
            let (after, process) = (self.moment(), self.process());
            self.add(after, process, meanwhile);
        }
    }

    /// A time within what follows a burst: while requests are on their way, refreshing, saving, replaying.
    fn moment(&mut self) -> u64 {
        match self.dice.below(4) {
            0 => self.dice.below(10),
            1 => self.dice.below(100),
            2 => self.dice.below(1_000),
            _ => self.dice.below(20_000),
        }
    }

    fn burst(&mut self) {
        let many = match self.dice.below(8) {
            0 => 1,
            1..7 => self.dice.between(2, 8),
            _ => self.dice.between(9, 24),
        };
        let one_process = self.dice.once_in(2).then(|| self.process());
        let spread = self.dice.pick(&[0, 5, 60, 1_000]);
        for _ in 0..many {
            let process = one_process.unwrap_or_else(|| self.process());
            let after = 6 + self.dice.below(spread + 1);
            let (kind, fate) = (self.kind(), self.fate());
            let what = match self.dice.below(24) {
                0 => Action::Refresh { fate, knows: self.knows() },
                1 => Action::AccessToken { min_s: self.dice.pick(&[0, 30, 4_000]), fate },
                _ => Action::Request { kind, fate },
            };
            self.add(after, process, what);
        }
    }

    fn kind(&mut self) -> RequestKind {
        match self.dice.below(32) {
            0 | 1 => RequestKind::OneShot,
            2 | 3 => RequestKind::NoReplay,
            4 | 5 => RequestKind::AlwaysRejected,
            6..12 => RequestKind::Buffered,
            12 => RequestKind::Anonymous,
            13 => RequestKind::OtherOrigin,
            14 => RequestKind::OwnHeader,
            _ => RequestKind::Plain,
        }
    }

    fn knows(&mut self) -> Knows {
        self.dice.pick(&[Knows::Nothing, Knows::Nothing, Knows::Newest, Knows::Oldest])
    }

    fn fate(&mut self) -> Fate {
        match self.dice.below(16) {
            0 => Fate::CancelledAfterPolls(self.dice.between(1, 6) as u8),
            1 => Fate::CancelledAfterMs(self.dice.below(1_000)),
            2 => Fate::ParkedAfterPolls(self.dice.pick(&[1, 2, 3, 3, 3, 4, 5])),
            _ => Fate::Polled,
        }
    }

    /// Something that makes what follows go wrong.
    fn fault(&mut self) -> Action {
        match self.dice.below(14) {
            0..4 => Action::NextToken(self.token_fault()),
            4..7 => self.store_fault(),
            7 => Action::NextApi(self.api_fault()),
            8 | 9 => Action::DiskFull { ms: self.dice.pick(&[100, 1_000, 20_000]) },
            10 => Action::RevokeRefresh,
            11 => self.standstill(),
            12 => Action::Outage { ms: self.dice.pick(&[300, 3_000, 40_000]) },
            _ => Action::JumpWall { seconds: self.dice.pick(&[-7_200, -30, 30, 7_200]) },
        }
    }

    /// Something that happens while requests are under way.
    fn meanwhile(&mut self) -> Action {
        let alone = self.plan.session.processes == 1 && !self.plan.session.shared;
        match self.dice.below(16) {
            0..3 => Action::SignIn,
            3..6 => Action::SignOut,
            6 => Action::Kill,
            7 => Action::RevokeFamily,
            8 => Action::ExpireAccess,
            9 if !alone => Action::Elsewhere(Elsewhere::Rotates),
            10 if !alone => Action::Elsewhere(Elsewhere::SignsIn),
            11 => Action::Elsewhere(Elsewhere::Empties),
            12 if !alone => Action::StealLock,
            _ => {
                let (kind, fate) = (self.kind(), self.fate());
                Action::Request { kind, fate }
            }
        }
    }

    fn standstill(&mut self) -> Action {
        let ms = self.dice.pick(&[300, 3_000, 12_000, 40_000, 70_000]);
        if self.dice.once_in(2) { Action::Pause { ms } } else { Action::Stall { ms } }
    }

    fn token_fault(&mut self) -> TokenFault {
        match self.dice.below(13) {
            0 => TokenFault::NoConnection,
            1 => TokenFault::LostAnswer,
            2 => TokenFault::Silent,
            3 => TokenFault::Garbage,
            4 => TokenFault::Html(self.dice.pick(&[200, 403, 502])),
            5 => TokenFault::Unavailable,
            6 => TokenFault::TooMany(self.dice.pick(&[1, 20, 100_000])),
            7 => TokenFault::Echo,
            8 => TokenFault::InvalidClient,
            9 => TokenFault::Slow(self.dice.pick(&[100, 5_000, 14_000, 20_000])),
            10 => TokenFault::SameAccess,
            11 => TokenFault::ShortLived(self.dice.pick(&[0, 1, 5])),
            _ => TokenFault::KeepRefresh,
        }
    }

    fn store_fault(&mut self) -> Action {
        let on = self.dice.pick(&[
            StoreCall::Any,
            StoreCall::Load,
            StoreCall::Write,
            StoreCall::Write,
            StoreCall::Lock,
        ]);
        let fault = match self.dice.below(8) {
            0 | 1 => StoreFault::Fails,
            2 => StoreFault::LiesAboutFailing,
            3 | 4 => StoreFault::Slow(self.dice.pick(&[50, 2_000, 4_500])),
            5 => StoreFault::Hangs,
            6 => StoreFault::KilledBefore,
            _ => StoreFault::KilledAfter,
        };
        Action::NextStore { on, fault }
    }

    fn api_fault(&mut self) -> ApiFault {
        match self.dice.below(5) {
            0 => ApiFault::Breaks,
            1 => ApiFault::Unavailable,
            2 => ApiFault::Rejects,
            3 => ApiFault::Forbids,
            _ => ApiFault::Slow(self.dice.pick(&[500, 10_000])),
        }
    }
}
