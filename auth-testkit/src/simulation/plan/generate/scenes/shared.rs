//! Scenes of a store that others use too, and of tokens that come and go without a person.

use super::super::{Action, Elsewhere, Fate, Maker, StoreCall, StoreFault, TokenFault};
use super::PLAIN;

impl Maker<'_> {
    /// The refresh token has a lifetime as well, and it is over.
    pub(super) fn worn_out(&mut self) {
        let process = self.process();
        self.plan.server.refresh_lifetime_s = Some(90);
        self.add(0, process, Action::SignIn);
        for _ in 0..self.dice.between(2, 5) {
            let after = 80_000 + self.dice.below(20_000);
            let who = self.process();
            let what = match self.dice.below(6) {
                0 => Action::Refresh { fate: Fate::Polled, knows: self.knows() },
                1 => Action::AccessToken { min_s: self.dice.pick(&[0, 30, 4_000]), fate: Fate::Polled },
                2 => Action::SignIn,
                3 => Action::ExpireAccess,
                _ => PLAIN,
            };
            self.add(after, who, what);
        }
        self.add(101_000, process, PLAIN);
        self.at += 101_000;
    }

    /// Nobody is signed in, and first tokens can be had; somebody has other wishes meanwhile.
    pub(super) fn first_tokens(&mut self) {
        let process = self.process();
        self.plan.session.acquires = true;
        self.add(0, 0, Action::SignOut);
        self.add(40, process, Action::Kill);
        for _ in 0..self.dice.below(4) {
            let chance = self.token_fault();
            let fault = self.dice.pick(&[chance, TokenFault::InvalidClient]);
            self.add(50, process, Action::NextToken(fault));
        }
        if self.dice.once_in(2) {
            let fault = self.dice.pick(&[StoreFault::Slow(300), StoreFault::Fails]);
            let on = self.dice.pick(&[StoreCall::Write, StoreCall::Load]);
            self.add(50, process, Action::NextStore { on, fault });
        }
        let apart = self.dice.pick(&[20, 300, 900]);
        for number in 0..self.dice.between(2, 8) {
            let who = if self.dice.once_in(3) { self.process() } else { process };
            self.add(60 + number * apart, who, PLAIN);
        }
        if self.dice.once_in(2) {
            let who = self.dice.pick(&[Action::SignIn, Action::SignOut]);
            let after = 61 + self.dice.below(900);
            self.add(after, process, who);
        }
        self.at += 2_000;
    }

    /// The lock is lost in the middle of a refresh, and somebody else goes on with the store.
    pub(super) fn stolen(&mut self) {
        let (process, ms) = (self.process(), self.dice.pick(&[100, 600]));
        self.plan.session.shared = true;
        self.add(0, process, Action::NextToken(TokenFault::Slow(ms)));
        self.add(0, process, Action::ExpireAccess);
        if self.dice.once_in(3) {
            let fault = StoreFault::Slow(200);
            self.add(0, process, Action::NextStore { on: StoreCall::Write, fault });
        }
        self.add(1, process, PLAIN);
        let after = 20 + self.dice.below(ms + 500);
        if self.dice.once_in(4) {
            let who = self.dice.pick(&[Action::SignIn, Action::SignOut]);
            self.add(after - 1, process, who);
        }
        self.add(after, process, Action::StealLock);
        let what =
            self.dice.pick(&[Elsewhere::Rotates, Elsewhere::Rotates, Elsewhere::SignsIn, Elsewhere::Empties]);
        self.add(after, process, Action::Elsewhere(what));
        self.at += 1_200;
        self.burst();
    }

    /// Answers are lost, and what was refused once is looked for again where looking fails.
    pub(super) fn lost_answers(&mut self) {
        let process = self.process();
        match self.dice.below(3) {
            0 => {
                for _ in 0..3 {
                    let fault = self.dice.pick(&[TokenFault::LostAnswer, TokenFault::Garbage]);
                    self.add(0, process, Action::NextToken(fault));
                }
            }
            1 => self.add(0, process, Action::NextToken(TokenFault::Silent)),
            _ => {
                self.add(0, process, Action::RevokeRefresh);
                // The look before it goes well, the one after it does not.
                let slow = StoreFault::Slow(1);
                self.add(0, process, Action::NextStore { on: StoreCall::Load, fault: slow });
                self.add(1, process, Action::NextStore { on: StoreCall::Load, fault: StoreFault::Fails });
            }
        }
        self.add(2, process, Action::ExpireAccess);
        self.add(3, process, PLAIN);
        for _ in 0..self.dice.between(1, 3) {
            let after = 2_000 + self.dice.below(40_000);
            self.add(after, process, PLAIN);
        }
        self.at += 3_000;
    }

    /// All processes find out at the same time.
    pub(super) fn side_by_side(&mut self) {
        self.add(0, 0, Action::ExpireAccess);
        if self.dice.once_in(3) {
            self.add(1, 0, Action::RevokeRefresh);
        }
        let together = self.dice.pick(&[1, 30, 400]);
        for process in 0..self.plan.session.processes {
            for _ in 0..self.dice.between(1, 3) {
                let after = 2 + self.dice.below(together);
                self.add(after, process, PLAIN);
            }
            if self.dice.once_in(4) {
                let fault = self.token_fault();
                self.add(1, process, Action::NextToken(fault));
            }
            if self.dice.once_in(4) {
                let fault = self.store_fault();
                self.add(1, process, fault);
            }
        }
        if self.dice.once_in(3) {
            let (process, meanwhile) = (self.process(), self.meanwhile());
            let after = 3 + self.dice.below(800);
            self.add(after, process, meanwhile);
        }
        self.at += 800;
    }
}
