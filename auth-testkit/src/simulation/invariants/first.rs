//! First tokens, from the question for them to the answer.

use crate::simulation::record::What;

/// The call that asks for a session's first tokens, and the sign-in that it was granted.
#[derive(Default)]
pub(super) struct FirstTokens {
    asked: Option<(u32, Option<u32>)>,
}

impl FirstTokens {
    /// Another sign-in came first, or a sign-out.
    pub(super) fn forget(&mut self) {
        self.asked = None;
    }

    /// The sign-in that begins here, if one does: first tokens are one when they have been delivered.
    pub(super) fn see(&mut self, what: &What) -> Option<Option<u32>> {
        match what {
            What::Acquiring { call } => self.asked = Some((*call, None)),
            What::Exchanged { call, access, .. } => {
                let asked = self.asked.as_mut().filter(|(asked, _)| asked == call);
                asked.into_iter().for_each(|(_, sign_in)| *sign_in = Some(access.sign_in));
            }
            What::Delivered { call } => {
                return self.asked.take_if(|(asked, _)| asked == call).map(|(_, sign_in)| sign_in);
            }
            _ => {}
        }
        None
    }
}
