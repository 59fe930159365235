//! The authorization server of the simulated world: who was granted what, and what is still good.

use std::collections::HashMap;
use std::time::Duration;

use super::plan::ServerPlan;
use super::record::{Refusal, Token};

/// A server that says nothing of a lifetime means this.
const UNSAID: u64 = 3600;

pub(crate) struct Authority {
    plan: ServerPlan,
    tokens: u32,
    sign_ins: u32,
    revoked: Vec<u32>,
    /// Those whose access tokens are still good.
    refresh_revoked: Vec<u32>,
    access: HashMap<Token, Duration>,
    refresh: HashMap<Token, Refresh>,
}

struct Refresh {
    expires: Option<Duration>,
    /// The access token it was issued with: a server may give the same again.
    access: Token,
    spent: Option<Spent>,
}

#[derive(Clone)]
struct Spent {
    at: Duration,
    gave: Grant,
}

/// What was granted.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) access: Token,
    pub(crate) refresh: Token,
    /// Whether the answer names the refresh token.
    pub(crate) rotated: bool,
    /// As the answer says it, in seconds.
    pub(crate) lifetime: Option<u64>,
    pub(crate) refresh_lifetime: Option<u64>,
}

/// What is special about one exchange.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Special {
    pub(crate) same_access: bool,
    pub(crate) keep_refresh: bool,
    pub(crate) lifetime: Option<u64>,
}

impl Authority {
    pub(crate) fn new(plan: ServerPlan) -> Self {
        Self {
            plan,
            tokens: 0,
            sign_ins: 0,
            revoked: Vec::new(),
            refresh_revoked: Vec::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
        }
    }

    /// Somebody signs in.
    pub(crate) fn sign_in(&mut self, now: Duration) -> Grant {
        self.sign_ins += 1;
        let access = self.new_access(self.sign_ins, self.plan.lifetime_s, now);
        let refresh = self.new_refresh(self.sign_ins, access, now);
        self.grant(access, refresh, true, self.plan.lifetime_s)
    }

    /// How many have signed in.
    pub(crate) fn sign_ins(&self) -> u32 {
        self.sign_ins
    }

    /// A refresh token is presented.
    pub(crate) fn exchange(
        &mut self,
        token: Token,
        special: Special,
        now: Duration,
    ) -> Result<Grant, Refusal> {
        let Some(refresh) = self.refresh.get(&token) else { return Err(Refusal::Unknown) };
        if self.revoked.contains(&token.sign_in) || self.refresh_revoked.contains(&token.sign_in) {
            return Err(Refusal::Revoked);
        }
        if refresh.expires.is_some_and(|at| now >= at) {
            return Err(Refusal::Expired);
        }
        let (before, spent) = (refresh.access, refresh.spent.clone());
        if let Some(spent) = spent {
            let grace = now < spent.at + Duration::from_millis(self.plan.grace_ms);
            let unused = self.refresh.get(&spent.gave.refresh).is_some_and(|next| next.spent.is_none());
            if grace && unused {
                return Ok(spent.gave);
            }
            if self.plan.detects_reuse {
                self.revoke(token.sign_in);
            }
            return Err(Refusal::Reused);
        }
        let lifetime = special.lifetime.or(self.plan.lifetime_s);
        let access = if special.same_access {
            self.access.insert(before, now + Duration::from_secs(lifetime.unwrap_or(UNSAID)));
            before
        } else {
            self.new_access(token.sign_in, lifetime, now)
        };
        let rotates = self.plan.rotates && !special.keep_refresh;
        let next = if rotates { self.new_refresh(token.sign_in, access, now) } else { token };
        let grant = self.grant(access, next, rotates, lifetime);
        if let Some(refresh) = self.refresh.get_mut(&token) {
            if rotates {
                refresh.spent = Some(Spent { at: now, gave: grant.clone() });
            } else {
                refresh.access = access;
            }
        }
        Ok(grant)
    }

    /// Whether the API accepts it.
    pub(crate) fn accepts(&self, access: Token, now: Duration) -> bool {
        self.access.get(&access).is_some_and(|expires| now < *expires)
            && !self.revoked.contains(&access.sign_in)
    }

    /// No access token is good any more.
    pub(crate) fn forget_access(&mut self) {
        self.access.clear();
    }

    /// Nothing of this sign-in is good any more.
    pub(crate) fn revoke(&mut self, sign_in: u32) {
        self.revoked.push(sign_in);
    }

    /// No refresh token of this sign-in is good any more.
    pub(crate) fn revoke_refresh(&mut self, sign_in: u32) {
        self.refresh_revoked.push(sign_in);
    }

    fn grant(&self, access: Token, refresh: Token, rotated: bool, lifetime: Option<u64>) -> Grant {
        Grant { access, refresh, rotated, lifetime, refresh_lifetime: self.plan.refresh_lifetime_s }
    }

    fn new_token(&mut self, sign_in: u32) -> Token {
        self.tokens += 1;
        Token { number: self.tokens, sign_in }
    }

    fn new_access(&mut self, sign_in: u32, lifetime: Option<u64>, now: Duration) -> Token {
        let token = self.new_token(sign_in);
        // A lifetime of nothing is a server that does not say: the token is good all the same.
        let lives = lifetime.filter(|seconds| *seconds > 0).unwrap_or(UNSAID);
        self.access.insert(token, now + Duration::from_secs(lives));
        token
    }

    fn new_refresh(&mut self, sign_in: u32, access: Token, now: Duration) -> Token {
        let token = self.new_token(sign_in);
        let expires = self.plan.refresh_lifetime_s.map(|seconds| now + Duration::from_secs(seconds));
        self.refresh.insert(token, Refresh { expires, access, spent: None });
        token
    }
}
