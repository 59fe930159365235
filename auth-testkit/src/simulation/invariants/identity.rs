//! Of identities: nobody's request leaves as somebody else's.

use std::collections::HashMap;

use auth_core::Event;

use super::Invariant;
use crate::simulation::record::{Moment, Token, What};

/// 4. No request is sent or replayed under another epoch than the one it was decided for.
#[derive(Default)]
pub(super) struct OneIdentity {
    sessions: HashMap<u32, Session>,
    /// As whom a request was first sent.
    requests: HashMap<u32, u32>,
    /// Whose pair the store holds.
    stored: u32,
}

/// What is known of who is signed in to a process's session.
#[derive(Default)]
struct Session {
    /// Nobody is, since it was signed out; and no sign-in followed.
    out: bool,
    /// The newest sign-in that it made or followed: an older one is over.
    newest: u32,
}

impl OneIdentity {
    fn sent(&mut self, process: u32, request: u32, token: Token) -> Result<(), String> {
        let session = self.sessions.entry(process).or_default();
        if session.out {
            return Err(format!("request {request} left as sign-in {} after the sign-out", token.sign_in));
        }
        if token.sign_in < session.newest {
            return Err(format!(
                "request {request} left as sign-in {} after sign-in {}",
                token.sign_in, session.newest
            ));
        }
        session.newest = token.sign_in;
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
        let process = moment.process;
        match &moment.what {
            What::SignIn { token } => {
                let session = self.sessions.entry(process).or_default();
                session.out = false;
                session.newest = session.newest.max(token.sign_in);
            }
            What::SignOut => self.sessions.entry(process).or_default().out = true,
            What::Sent { request, token: Some(token), .. } => return self.sent(process, *request, *token),
            What::Revoked { refresh } => {
                // Its pair was discarded: whoever is signed in now has another.
                let session = self.sessions.entry(process).or_default();
                if !session.out && session.newest == refresh.sign_in {
                    return Err(format!("sign-in {} was revoked while it was in use", refresh.sign_in));
                }
            }
            What::Stored { pair } => self.stored = pair.map_or(0, |token| token.sign_in),
            What::Told(Event::IdentityChanged { .. }) => {
                let session = self.sessions.entry(process).or_default();
                session.newest = session.newest.max(self.stored);
            }
            _ => {}
        }
        Ok(())
    }
}
