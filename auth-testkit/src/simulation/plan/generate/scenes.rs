//! Scenes that are aimed: each at one promise that chance alone would seldom put to the test.

mod shared;

use super::{Action, ApiFault, Elsewhere, Fate, Maker, RequestKind, StoreCall, StoreFault, TokenFault};

const PLAIN: Action = Action::Request { kind: RequestKind::Plain, fate: Fate::Polled };

impl Maker<'_> {
    pub(super) fn aimed(&mut self) {
        match self.dice.below(16) {
            0 => self.storm(),
            1 => self.late_answers(),
            2 | 3 => self.near_expiry(),
            4 => self.cooling(),
            5 => self.changes_of_mind(),
            6 => self.dead_refresh_token(),
            7 => self.unsaved(),
            8 => self.restart(),
            9 => self.standstills(),
            10 => self.forced(),
            11 => self.worn_out(),
            12 => self.first_tokens(),
            13 => self.stolen(),
            14 => self.lost_answers(),
            _ => self.side_by_side(),
        }
    }

    /// One endpoint says 401 whatever the token, and is asked again and again.
    fn storm(&mut self) {
        let process = self.process();
        let apart = self.dice.pick(&[100, 900, 2_500]);
        for number in 0..self.dice.between(6, 10) {
            let what = Action::Request { kind: RequestKind::AlwaysRejected, fate: Fate::Polled };
            self.add(number * apart, process, what);
        }
        self.add(5 * apart, process, PLAIN);
        if self.dice.once_in(3) {
            let after = self.dice.between(4, 7) * apart;
            self.add(after, process, Action::SignIn);
        }
        self.at += self.dice.pick(&[6 * apart, 31_000]);
        self.add(5 * apart, process, Action::ExpireAccess);
        self.add(5 * apart + 1, process, PLAIN);
    }

    /// Requests whose 401 comes when the token has long been replaced.
    fn late_answers(&mut self) {
        let (process, ms) = (self.process(), self.dice.pick(&[700, 3_000, 9_000]));
        for number in 0..self.dice.between(1, 3) {
            self.add(number, process, Action::NextApi(ApiFault::Slow(ms + number * 500)));
            let kind = self.dice.pick(&[RequestKind::Plain, RequestKind::Buffered, RequestKind::OneShot]);
            self.add(number, process, Action::Request { kind, fate: Fate::Polled });
        }
        self.add(50, process, Action::ExpireAccess);
        self.at += 50;
        self.burst();
        // Perhaps the newer token is no good either, when they come back.
        match self.dice.below(4) {
            0 => self.add(ms - 100, process, Action::ExpireAccess),
            1 => self.add(ms - 200, process, Action::Outage { ms: 2_000 }),
            2 => self.add(ms / 2, process, Action::SignIn),
            _ => {}
        }
        self.at += ms;
        let after = self.dice.below(300);
        self.add(after, process, PLAIN);
    }

    /// Requests when the token has little time left, or none.
    fn near_expiry(&mut self) {
        let Some(lives) = self.plan.server.lifetime_s else { return self.scene() };
        let process = self.process();
        self.add(0, process, Action::SignIn);
        let lives = lives * 1_000;
        let soft = (lives / 5).min(300_000);
        if self.dice.once_in(2) {
            let fault = self.dice.pick(&[
                Action::NextToken(TokenFault::Unavailable),
                Action::NextToken(TokenFault::InvalidClient),
                Action::NextToken(TokenFault::Slow(3_000)),
                Action::Outage { ms: lives },
                Action::RevokeRefresh,
                Action::NextToken(TokenFault::ShortLived(5)),
                Action::NextStore { on: StoreCall::Load, fault: StoreFault::Fails },
            ]);
            let after = if matches!(fault, Action::Outage { .. }) { lives - soft } else { 10 };
            self.add(after, process, fault);
        }
        for _ in 0..self.dice.between(2, 6) {
            // From before the soft window to after the end.
            let after = lives - soft * 3 / 2 + self.dice.below(soft * 7 / 4);
            let what = match self.dice.below(6) {
                0 => {
                    let min_s = self.dice.pick(&[0, 1, 10, 30, 4_000]);
                    Action::AccessToken { min_s, fate: Fate::Polled }
                }
                1 => Action::Request { kind: self.kind(), fate: self.fate() },
                _ => PLAIN,
            };
            self.add(after, process, what);
        }
        self.at += lives;
    }

    /// The token endpoint stays away for a while, and requests go on asking.
    fn cooling(&mut self) {
        let process = self.process();
        match self.dice.below(3) {
            0 => {
                let ms = self.dice.pick(&[3_000, 20_000, 60_000]);
                self.add(0, process, Action::Outage { ms });
            }
            1 => {
                for _ in 0..self.dice.between(1, 4) {
                    self.add(0, process, Action::NextToken(TokenFault::InvalidClient));
                }
            }
            _ => {
                let seconds = self.dice.pick(&[1, 5, 20, 100_000]);
                self.add(0, process, Action::NextToken(TokenFault::TooMany(seconds)));
            }
        }
        self.add(1, process, Action::ExpireAccess);
        let apart = self.dice.pick(&[150, 400, 1_500]);
        for number in 0..self.dice.between(6, 16) {
            let what = match self.dice.below(10) {
                0 => Action::Refresh { fate: Fate::Polled, knows: self.knows() },
                1 => Action::AccessToken { min_s: self.dice.pick(&[0, 4_000]), fate: Fate::Polled },
                2 => Action::Request { kind: self.kind(), fate: self.fate() },
                _ => PLAIN,
            };
            self.add(2 + number * apart, process, what);
        }
        if self.dice.once_in(4) {
            let after = 2 + self.dice.below(8 * apart);
            self.add(after, process, Action::SignIn);
            self.add(after + 1, process, Action::ExpireAccess);
            self.add(after + 2, process, PLAIN);
        }
        self.at += 8 * apart;
    }

    /// Somebody else is signed in, or nobody, before the refresh has come to its end.
    fn changes_of_mind(&mut self) {
        let process = self.process();
        let fault = self.dice.pick(&[
            TokenFault::Unavailable,
            TokenFault::NoConnection,
            TokenFault::LostAnswer,
            TokenFault::Html(502),
            TokenFault::Slow(400),
            TokenFault::TooMany(1),
        ]);
        for _ in 0..self.dice.between(1, 2) {
            self.add(0, process, Action::NextToken(fault));
        }
        if self.dice.once_in(3) {
            let what = Action::NextStore { on: StoreCall::Write, fault: StoreFault::Slow(500) };
            self.add(0, process, what);
        }
        self.add(1, process, Action::ExpireAccess);
        for _ in 0..self.dice.between(1, 3) {
            let what = Action::Request { kind: self.kind(), fate: Fate::Polled };
            self.add(2, process, what);
        }
        let alone = self.plan.session.processes == 1 && !self.plan.session.shared;
        for _ in 0..self.dice.between(1, 2) {
            let who = match self.dice.below(8) {
                0..4 => Action::SignOut,
                4..6 => Action::SignIn,
                6 if !alone => Action::Elsewhere(Elsewhere::SignsIn),
                _ => Action::Elsewhere(Elsewhere::Empties),
            };
            let after = 3 + self.moment().min(2_500);
            self.add(after, process, who);
        }
        let after = self.dice.below(3_000);
        self.add(after, process, PLAIN);
        self.at += 1_000;
    }

    /// The refresh token is dead while the access token is good.
    fn dead_refresh_token(&mut self) {
        let process = self.process();
        self.add(0, process, Action::SignIn);
        self.add(200, process, Action::RevokeRefresh);
        for _ in 0..self.dice.between(2, 6) {
            let after = 250 + self.dice.below(2_000);
            let what = match self.dice.below(6) {
                0 | 1 => Action::AccessToken { min_s: 4_000, fate: Fate::Polled },
                2 => Action::Refresh { fate: Fate::Polled, knows: self.knows() },
                3 => Action::Request { kind: self.kind(), fate: self.fate() },
                _ => PLAIN,
            };
            self.add(after, process, what);
        }
        if self.dice.once_in(2) {
            let after = 1_500 + self.dice.below(2_000);
            self.add(after, process, Action::ExpireAccess);
        }
        self.add(3_600, process, PLAIN);
        self.add(3_700, process, PLAIN);
        self.at += 4_000;
    }

    /// What a refresh brings cannot be saved, and soon there is another refresh.
    fn unsaved(&mut self) {
        let process = self.process();
        match self.dice.below(4) {
            0 => {
                let ms = self.dice.pick(&[800, 5_000]);
                self.add(0, process, Action::DiskFull { ms });
            }
            1 => {
                let what = Action::NextStore { on: StoreCall::Write, fault: StoreFault::Hangs };
                self.add(0, process, what);
            }
            many => {
                for _ in 1..many {
                    let fault = self.dice.pick(&[StoreFault::Fails, StoreFault::LiesAboutFailing]);
                    self.add(0, process, Action::NextStore { on: StoreCall::Write, fault });
                }
            }
        }
        if self.dice.once_in(3) {
            let who = self.dice.pick(&[Action::SignIn, Action::SignOut]);
            self.add(1, process, who);
        }
        self.add(2, process, Action::ExpireAccess);
        self.add(3, process, PLAIN);
        let later = 1_000 + self.moment();
        if self.dice.once_in(3) {
            let meanwhile = self.meanwhile();
            self.add(later - 500, process, meanwhile);
        }
        self.add(later, process, Action::ExpireAccess);
        self.at += later + 1;
        self.burst();
    }

    /// A process starts anew, and its first requests find trouble.
    fn restart(&mut self) {
        let process = self.process();
        self.add(0, process, Action::Kill);
        if self.dice.once_in(3) {
            // It starts with an empty store.
            self.add(0, process, Action::SignOut);
            self.add(50, process, Action::Kill);
        }
        let fault =
            self.dice.pick(&[StoreFault::Fails, StoreFault::Fails, StoreFault::Slow(100), StoreFault::Hangs]);
        let on = self.dice.pick(&[StoreCall::Load, StoreCall::Load, StoreCall::Any, StoreCall::Lock]);
        for _ in 0..self.dice.below(4) {
            self.add(51, process, Action::NextStore { on, fault });
        }
        if self.dice.once_in(3) {
            let fault = self.token_fault();
            self.add(51, process, Action::NextToken(fault));
        }
        self.at += 52;
        self.burst();
        if self.dice.once_in(2) {
            let (after, who) = (6 + self.moment(), self.dice.pick(&[Action::SignOut, Action::SignIn]));
            self.add(after, process, who);
        }
        self.at += 200;
        self.burst();
    }

    /// A process, or what drives its session, stands still in the middle of a refresh.
    fn standstills(&mut self) {
        let process = self.process();
        if self.dice.once_in(2) {
            let ms = self.dice.pick(&[20, 600, 5_000]);
            self.add(0, process, Action::NextToken(TokenFault::Slow(ms)));
        }
        self.add(0, process, Action::ExpireAccess);
        self.burst();
        let (after, what) = (6 + self.moment().min(1_200), self.standstill());
        let (Action::Pause { ms } | Action::Stall { ms }) = what else { return };
        self.add(after, process, what);
        for _ in 0..self.dice.between(1, 5) {
            let meanwhile = if self.dice.once_in(3) { self.meanwhile() } else { PLAIN };
            let then = after + self.dice.below(ms + ms / 8);
            let who = if self.dice.once_in(3) { self.process() } else { process };
            self.add(then, who, meanwhile);
        }
        let then = after + ms + self.dice.below(500);
        self.add(then, process, PLAIN);
        self.at += after + self.dice.below(ms * 2);
    }

    /// Refreshes that somebody asks for.
    fn forced(&mut self) {
        let process = self.process();
        self.add(0, process, PLAIN);
        for _ in 0..self.dice.between(1, 4) {
            let what = Action::Refresh { fate: self.fate(), knows: self.knows() };
            let after = 30 + self.moment().min(3_000);
            self.add(after, process, what);
            let then = after + self.dice.below(200);
            self.add(then, process, PLAIN);
        }
        if self.dice.once_in(3) {
            let after = 30 + self.moment().min(3_000);
            let who = self.dice.pick(&[Action::SignOut, Action::SignIn, Action::ExpireAccess]);
            self.add(after, process, who);
        }
        self.at += 1_000;
    }
}
