//! Lives: how long tokens are good for, as those who were given them know it.

use std::collections::HashMap;
use std::time::Duration;

use crate::simulation::plan::SessionPlan;
use crate::simulation::record::{Moment, StoreOp, StoreOutcome, Token, What};

/// All tokens' lives.
pub(super) struct Lives {
    access: HashMap<Token, Granted>,
    refresh: HashMap<Token, Granted>,
    /// Who alone was given which token by the server. Others read it in the store.
    own: HashMap<Token, Option<u32>>,
    /// Then the wall clock says little of what was stored.
    jumps: bool,
    /// When it was read there last.
    found: HashMap<(u32, Token), Duration>,
    margin: Duration,
    soft: Duration,
}

/// When a token was granted first and last, and how long it was said to live. `None`: nobody knows.
#[derive(Clone, Copy)]
struct Granted {
    first: Duration,
    last: Duration,
    shortest: Option<Duration>,
    longest: Option<Duration>,
    /// Once it was said, and once it was not: nobody can say which of the two a session has.
    mixed: bool,
}

/// How long an access token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Life {
    /// When the session takes it for expired, at the earliest and at the latest. `None`: never.
    pub(in super::super) expires: Option<(Duration, Duration)>,
    /// When it may be refreshed ahead of time, and when it certainly is to be.
    pub(in super::super) soft: Option<(Duration, Duration)>,
    /// How long a refresh makes a token good for.
    pub(in super::super) good: Option<Duration>,
}

impl Life {
    pub(in super::super) fn is_surely_expired(&self, at: Duration) -> bool {
        self.expires.is_some_and(|(_, latest)| at > latest + super::STEP)
    }

    pub(in super::super) fn is_surely_good(&self, at: Duration) -> bool {
        self.expires.is_none_or(|(earliest, _)| at + super::STEP < earliest)
    }

    pub(in super::super) fn may_be_soft(&self, at: Duration) -> bool {
        let from = self.soft.or(self.expires).map(|(earliest, _)| earliest);
        from.is_some_and(|from| at + super::STEP >= from)
    }

    pub(in super::super) fn is_surely_soft(&self, at: Duration) -> bool {
        self.soft.is_some_and(|(_, latest)| at > latest + super::STEP)
    }
}

impl Lives {
    pub(super) fn new(rules: &SessionPlan, jumps: bool) -> Self {
        Self {
            access: HashMap::new(),
            refresh: HashMap::new(),
            own: HashMap::new(),
            jumps,
            found: HashMap::new(),
            margin: rules.margin(),
            soft: rules.soft_window(),
        }
    }

    pub(super) fn see(&mut self, moment: &Moment) {
        if let What::StoreEnded { op: StoreOp::Load, outcome: StoreOutcome::Done(Some(found)), .. } =
            &moment.what
        {
            self.found.insert((moment.process, found.access), moment.at);
        }
        if let What::Granted { pair, lives_s, refresh_lives_s } = &moment.what {
            grant(&mut self.access, pair.access, moment.at, *lives_s);
            self.owned(pair.access, moment.process);
            if let Some(refresh) = pair.refresh {
                grant(&mut self.refresh, refresh, moment.at, *refresh_lives_s);
                self.owned(refresh, moment.process);
            }
        }
    }

    pub(super) fn of(&self, process: u32, token: Token) -> Option<Life> {
        let granted = self.access.get(&token).filter(|granted| !granted.mixed)?;
        let (Some(shortest), Some(longest)) = (granted.shortest, granted.longest) else {
            return Some(Life { expires: None, soft: None, good: None });
        };
        let margin = |lives: Duration| self.margin.min(lives / 10);
        if self.jumps && self.own.get(&token) != Some(&Some(process)) {
            // No clock that jumps makes it live longer than it was granted for.
            let found = self.found.get(&(process, token))?;
            let expires = Some((Duration::ZERO, *found + longest));
            return Some(Life { expires, soft: None, good: None });
        }
        let window = |lives: Duration| self.soft.min(lives / 5);
        let expires = (granted.first + shortest - margin(shortest), granted.last + longest - margin(longest));
        // Chance makes the window shorter by up to a tenth.
        let surely = window(longest) * 9 / 10;
        let soft = (surely > margin(longest))
            .then(|| (granted.first + shortest - window(shortest), granted.last + longest - surely));
        // Where the window is hardly longer than the margin it may be there or not.
        let soft = soft.or_else(|| {
            let earliest = granted.first + shortest - window(shortest);
            (window(longest) > margin(longest)).then_some((earliest, expires.1))
        });
        Some(Life { expires: Some(expires), soft, good: Some(shortest - margin(shortest)) })
    }

    fn owned(&mut self, token: Token, process: u32) {
        let owner = self.own.entry(token).or_insert(Some(process));
        *owner = owner.filter(|owner| *owner == process);
    }

    /// The same of a refresh token: when it expires, at the earliest and at the latest.
    pub(super) fn of_refresh(&self, process: u32, token: Token) -> Option<Option<(Duration, Duration)>> {
        let granted = self.refresh.get(&token).filter(|granted| !granted.mixed)?;
        if self.jumps && self.own.get(&token) != Some(&Some(process)) {
            return None;
        }
        let ends = granted.shortest.zip(granted.longest);
        Some(ends.map(|(shortest, longest)| (granted.first + shortest, granted.last + longest)))
    }
}

fn grant(lives: &mut HashMap<Token, Granted>, token: Token, at: Duration, seconds: Option<u64>) {
    let lives_for = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    let new = Granted { first: at, last: at, shortest: lives_for, longest: lives_for, mixed: false };
    lives
        .entry(token)
        .and_modify(|granted| {
            granted.last = at;
            granted.mixed |= granted.longest.is_some() != lives_for.is_some();
            granted.shortest = granted.shortest.zip(lives_for).map(|(one, other)| one.min(other));
            granted.longest = granted.longest.zip(lives_for).map(|(one, other)| one.max(other));
        })
        .or_insert(new);
}
