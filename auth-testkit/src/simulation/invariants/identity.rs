//! Of identities: nobody's request leaves as somebody else's.

use std::collections::{HashMap, HashSet};

use auth_core::SessionState;

use super::Invariant;
use crate::simulation::record::{Moment, StoreOp, StoreOutcome, Token, What};

/// 4. No request is sent or replayed under another epoch than the one it was decided for.
#[derive(Default)]
pub(super) struct OneIdentity {
    sessions: HashMap<u32, Session>,
    /// As whom a request was first sent.
    requests: HashMap<u32, u32>,
}

/// What is known of who is signed in to a process's session.
#[derive(Default)]
struct Session {
    /// Nobody is, since it was signed out or has ended, and no sign-in followed.
    out: bool,
    /// As whom it was last seen: by its own sign-in, or by a request.
    current: Option<u32>,
    /// Calls of `load` that began since its own sign-in, and the sign-ins they found: those it may follow.
    loads: HashSet<u32>,
    found: HashSet<u32>,
}

impl Session {
    fn begins(&mut self, out: bool, current: Option<u32>) {
        *self = Self { out, current, ..Self::default() };
    }

    fn may_be(&self, sign_in: u32) -> bool {
        self.current.is_none_or(|current| current == sign_in) || self.found.contains(&sign_in)
    }
}

impl OneIdentity {
    fn sent(&mut self, process: u32, request: u32, token: Token) -> Result<(), String> {
        let session = self.sessions.entry(process).or_default();
        if session.out {
            return Err(format!(
                "request {request} left as sign-in {} though nobody was signed in",
                token.sign_in
            ));
        }
        if !session.may_be(token.sign_in) {
            let current = session.current.unwrap_or_default();
            return Err(format!(
                "request {request} left as sign-in {} though sign-in {current} was in force",
                token.sign_in
            ));
        }
        session.current = Some(token.sign_in);
        let first = *self.requests.entry(request).or_insert(token.sign_in);
        if first != token.sign_in {
            return Err(format!(
                "request {request} was sent as sign-in {first} and again as sign-in {}",
                token.sign_in
            ));
        }
        Ok(())
    }
}

impl Invariant for OneIdentity {
    fn name(&self) -> &'static str {
        "one-identity"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        let session = self.sessions.entry(moment.process).or_default();
        match &moment.what {
            What::SignIn { token } => session.begins(false, Some(token.sign_in)),
            What::SignOut => session.begins(true, None),
            What::State(SessionState::Ended(_)) => session.out = true,
            What::StoreBegan { call, op: StoreOp::Load, .. } => {
                session.loads.insert(*call);
            }
            What::StoreEnded { call, outcome: StoreOutcome::Done(Some(found)), .. }
                if session.loads.remove(call) =>
            {
                session.found.insert(found.access.sign_in);
            }
            What::Sent { request, token: Some(token), .. } => {
                return self.sent(moment.process, *request, *token);
            }
            What::Handed { request, token } => return self.sent(moment.process, *request, *token),
            What::Offered { refresh } => {
                let followed = session.found.iter().any(|found| *found != refresh.sign_in);
                if !session.out && session.current == Some(refresh.sign_in) && !followed {
                    return Err(format!(
                        "sign-in {} was offered for revocation while it was in use",
                        refresh.sign_in
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
