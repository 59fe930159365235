//! The authorization server's books: who was issued what, and what became of it. Plain data, no I/O.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, Instant};

use super::policy::Policy;

/// A pair of texts, secrets in the clear: nothing here is ever printed.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) access: String,
    pub(super) refresh: String,
}

/// What presenting a refresh token led to.
pub(super) enum Exchange {
    Granted(Issued),
    /// It was spent a moment ago: the same pair again.
    Graced(Issued),
    /// It was spent; whether that revoked a family that was still good.
    Reused {
        revoked: bool,
    },
    /// Unknown, or revoked.
    Refused,
}

#[derive(Default)]
pub(super) struct Authority {
    families: Vec<Family>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
}

/// The tokens that descend from one sign-in.
struct Family {
    generation: u64,
    revoked: bool,
    newest_access: String,
}

struct Access {
    family: usize,
    expired: bool,
    good_until: Option<Instant>,
}

struct Refresh {
    family: usize,
    revoked: bool,
    spent: Option<Spent>,
}

struct Spent {
    at: Instant,
    successor: Issued,
}

impl Authority {
    pub(super) fn sign_in(&mut self, policy: &Policy) -> Issued {
        let family = self.families.len();
        self.families.push(Family { generation: 0, revoked: false, newest_access: String::new() });
        Issued { access: self.new_access(family, policy), refresh: self.new_refresh(family) }
    }

    pub(super) fn exchange(&mut self, token: &str, policy: &Policy) -> Exchange {
        let Some(known) = self.refresh.get(token) else { return Exchange::Refused };
        let family = known.family;
        let revoked = known.revoked || self.families[family].revoked;
        if let Some(spent) = &known.spent {
            if !revoked && spent.at.elapsed() < policy.grace {
                return Exchange::Graced(spent.successor.clone());
            }
            let revokes = policy.detect_reuse && !self.families[family].revoked;
            self.families[family].revoked |= revokes;
            return Exchange::Reused { revoked: revokes };
        }
        if revoked {
            return Exchange::Refused;
        }
        Exchange::Granted(self.grant(token, family, policy))
    }

    fn grant(&mut self, token: &str, family: usize, policy: &Policy) -> Issued {
        self.families[family].generation += 1;
        let access = match policy.same_access_token {
            true => self.families[family].newest_access.clone(),
            false => self.new_access(family, policy),
        };
        if !policy.rotate || policy.omit_refresh_token {
            return Issued { access, refresh: token.to_owned() };
        }
        let issued = Issued { access, refresh: self.new_refresh(family) };
        if let Some(old) = self.refresh.get_mut(token) {
            old.spent = Some(Spent { at: Instant::now(), successor: issued.clone() });
        }
        issued
    }

    pub(super) fn is_valid(&self, token: &str) -> bool {
        self.access.get(token).is_some_and(|access| {
            !access.expired
                && !self.families[access.family].revoked
                && access.good_until.is_none_or(|until| Instant::now() < until)
        })
    }

    pub(super) fn expire_access_tokens(&mut self) {
        self.access.values_mut().for_each(|access| access.expired = true);
    }

    pub(super) fn revoke_refresh_tokens(&mut self) {
        self.refresh.values_mut().for_each(|refresh| refresh.revoked = true);
    }

    /// Revokes the family of an access or a refresh token; an unknown one is nobody's (RFC 7009 §2.2).
    pub(super) fn revoke(&mut self, token: &str) {
        let access = self.access.get(token).map(|access| access.family);
        let family = access.or_else(|| self.refresh.get(token).map(|refresh| refresh.family));
        if let Some(family) = family {
            self.families[family].revoked = true;
        }
    }

    fn new_access(&mut self, family: usize, policy: &Policy) -> String {
        let text = self.text('T', family);
        let good_until =
            policy.lifetime().and_then(|lifetime: Duration| Instant::now().checked_add(lifetime));
        self.access.insert(text.clone(), Access { family, expired: false, good_until });
        self.families[family].newest_access.clone_from(&text);
        text
    }

    fn new_refresh(&mut self, family: usize) -> String {
        let text = self.text('R', family);
        self.refresh.insert(text.clone(), Refresh { family, revoked: false, spent: None });
        text
    }

    /// `T1.0.…`: the kind and the generation, the family, and random bits.
    fn text(&self, kind: char, family: usize) -> String {
        let random = || RandomState::new().build_hasher().finish();
        format!("{kind}{}.{family}.{:016x}{:016x}", self.families[family].generation, random(), random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(exchange: Exchange) -> Issued {
        match exchange {
            Exchange::Granted(issued) => issued,
            _ => panic!("not granted"),
        }
    }

    #[test]
    fn reuse_revokes_the_family_and_no_other() {
        let (mut authority, policy) = (Authority::default(), Policy::default());
        let (first, other) = (authority.sign_in(&policy), authority.sign_in(&policy));
        let second = granted(authority.exchange(&first.refresh, &policy));

        assert!(matches!(authority.exchange(&first.refresh, &policy), Exchange::Reused { revoked: true }));

        assert!(matches!(authority.exchange(&second.refresh, &policy), Exchange::Refused));
        assert!(!authority.is_valid(&first.access) && !authority.is_valid(&second.access));
        assert!(authority.is_valid(&other.access));
    }

    #[test]
    fn within_the_grace_period_the_same_pair_comes_again() {
        let policy = Policy { grace: Duration::from_secs(3600), ..Policy::default() };
        let mut authority = Authority::default();
        let first = authority.sign_in(&policy);
        let second = granted(authority.exchange(&first.refresh, &policy));

        let Exchange::Graced(again) = authority.exchange(&first.refresh, &policy) else { panic!("no grace") };

        assert!(again.access == second.access && again.refresh == second.refresh);
    }

    #[test]
    fn without_rotation_the_refresh_token_stays() {
        let policy = Policy { rotate: false, ..Policy::default() };
        let mut authority = Authority::default();
        let first = authority.sign_in(&policy);

        let second = granted(authority.exchange(&first.refresh, &policy));
        let third = granted(authority.exchange(&second.refresh, &policy));

        assert!(third.refresh == first.refresh && third.access.starts_with("T2."));
    }
}
