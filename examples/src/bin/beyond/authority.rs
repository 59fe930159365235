//! The authorization server: it rotates, detects reuse, and counts who asks in which second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::{InvalidToken, RefreshError, Refresher, Runtime as _, Tokens, async_trait};

use crate::machine::Machine;

/// How long an access token lives.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);
/// A token request, there and back.
pub(crate) const ANSWER: Duration = Duration::from_millis(50);
/// An access token is a JWT of the usual size, a refresh token an opaque text.
const ACCESS_LENGTH: usize = 800;
const REFRESH_LENGTH: usize = 64;

pub(crate) struct Authority {
    machine: Arc<Machine>,
    began: Duration,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    families: Vec<Family>,
    seen: Seen,
}

/// All tokens of one sign-in.
#[derive(Clone, Copy, Default)]
struct Family {
    /// Of the refresh token that is good.
    generation: u32,
    exchanges: u32,
    revoked: bool,
    busy: bool,
}

/// What the server has seen.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Token requests, by the second in which they came.
    pub(crate) by_second: Vec<u32>,
    /// Refresh tokens that came again after they had been exchanged. Each has ended a session.
    pub(crate) reuses: u64,
    /// Token requests that came while another of the same sign-in was being answered.
    pub(crate) overlaps: u64,
}

impl Authority {
    pub(crate) fn new(machine: Arc<Machine>, users: u32) -> Self {
        let families = vec![Family::default(); users as usize];
        let began = machine.elapsed();
        Self { machine, began, inside: Mutex::new(Inside { families, seen: Seen::default() }) }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user signs in.
    pub(crate) fn sign_in(&self, user: u32) -> Result<Tokens, InvalidToken> {
        self.tokens(user, 0)
    }

    /// Whether the API takes this header's value.
    pub(crate) fn accepts(&self, header: &[u8]) -> bool {
        let claims = str::from_utf8(header).ok().and_then(|text| text.strip_prefix("Bearer ")).and_then(read);
        let Some((user, _, expires)) = claims else { return false };
        let good = self.inside().families.get(user as usize).is_some_and(|family| !family.revoked);
        good && self.machine.elapsed() < Duration::from_millis(expires)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.inside().seen.clone()
    }

    /// How often each user's tokens were exchanged; `None` for one that was revoked.
    pub(crate) fn exchanges(&self) -> Vec<Option<u32>> {
        self.inside().families.iter().map(|family| (!family.revoked).then_some(family.exchanges)).collect()
    }

    /// A token request has come.
    fn arrive(&self, user: u32) {
        let second = self.machine.elapsed().saturating_sub(self.began).as_secs() as usize;
        let inside = &mut *self.inside();
        if inside.seen.by_second.len() <= second {
            inside.seen.by_second.resize(second + 1, 0);
        }
        inside.seen.by_second[second] += 1;
        if let Some(family) = inside.families.get_mut(user as usize) {
            inside.seen.overlaps += u64::from(std::mem::replace(&mut family.busy, true));
        }
    }

    fn exchange(&self, user: u32, presented: u32) -> Result<Tokens, RefreshError> {
        {
            let inside = &mut *self.inside();
            let family = inside.families.get_mut(user as usize);
            let family = family.ok_or_else(|| RefreshError::rejected("an unknown user"))?;
            family.busy = false;
            if family.generation != presented {
                inside.seen.reuses += 1;
                family.revoked = true;
            }
            if family.revoked {
                return Err(RefreshError::rejected("invalid_grant"));
            }
            family.generation += 1;
            family.exchanges += 1;
        }
        Ok(self.tokens(user, presented + 1)?)
    }

    fn tokens(&self, user: u32, generation: u32) -> Result<Tokens, InvalidToken> {
        let expires = (self.machine.elapsed() + LIFETIME).as_millis();
        let claims = format!("{user}.{generation}.{expires}.");
        Ok(Tokens::new(format!("{claims:x<ACCESS_LENGTH$}"))?
            .with_refresh_token(format!("{claims:x<REFRESH_LENGTH$}"))
            .with_expires_in(LIFETIME, self.machine.now()))
    }
}

/// Whose token it is, its generation, and when it expires, in milliseconds.
fn read(token: &str) -> Option<(u32, u32, u64)> {
    let mut claims = token.split('.');
    Some((claims.next()?.parse().ok()?, claims.next()?.parse().ok()?, claims.next()?.parse().ok()?))
}

/// The refresher of every session.
#[derive(Clone)]
pub(crate) struct Login(pub(crate) Arc<Authority>);

#[async_trait]
impl Refresher for Login {
    async fn refresh(&self, current: &Tokens) -> Result<Tokens, RefreshError> {
        let presented = current.refresh_token().and_then(|token| read(token.reveal()));
        let (user, generation, _) = presented.ok_or_else(|| RefreshError::rejected("not a token of ours"))?;
        self.0.machine.sleep(ANSWER / 2).await;
        self.0.arrive(user);
        self.0.machine.sleep(ANSWER / 2).await;
        self.0.exchange(user, generation)
    }
}
