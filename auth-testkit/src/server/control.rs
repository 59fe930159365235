//! What a test does to a running server, and what it learns from it.

use std::sync::Arc;
use std::time::Duration;

use super::TestServer;
use super::log::{Seen, Stats};
use super::policy::Policy;
use super::script::{ApiAnswer, TokenAnswer};
use super::shared::State;
use super::wait::{StillWaiting, When};

/// # What is issued and accepted
impl TestServer {
    /// Changes what the authorization server does from now on.
    pub fn configure(&self, change: impl FnOnce(&mut Policy)) {
        let mut policy = self.shared.read(|state| state.policy.clone());
        change(&mut policy);
        self.shared.change(|state| state.policy = policy);
    }

    /// All access tokens issued so far get a 401 from now on.
    pub fn expire_access_tokens(&self) {
        self.shared.change(|state| state.authority.expire_access_tokens());
    }

    /// All refresh tokens issued so far get `invalid_grant` from now on.
    pub fn revoke_refresh_tokens(&self) {
        self.shared.change(|state| state.authority.revoke_refresh_tokens());
    }

    /// Whether this access token would be accepted now.
    #[must_use]
    pub fn accepts(&self, access_token: &str) -> bool {
        self.shared.read(|state| state.authority.is_valid(access_token))
    }

    /// Whether every protected request gets a 401, whatever its token.
    pub fn always_401(&self, rejects: bool) {
        self.always_api_answer(rejects.then_some(ApiAnswer::Unauthorized));
    }
}

/// # What is answered
impl TestServer {
    /// What the next protected requests get, in the order of their arrival, after those said before.
    pub fn next_api_answers(&self, answers: impl IntoIterator<Item = ApiAnswer>) {
        let answers: Vec<_> = answers.into_iter().collect();
        self.shared.change(|state| state.api_script.next.extend(answers));
    }

    /// What every protected request gets that has no answer of its own; `None` is the ordinary one again.
    pub fn always_api_answer(&self, answer: Option<ApiAnswer>) {
        self.shared.change(|state| state.api_script.always = answer);
    }

    /// What the next token requests get, in the order in which they are answered, after those said before.
    pub fn next_token_answers(&self, answers: impl IntoIterator<Item = TokenAnswer>) {
        let answers: Vec<_> = answers.into_iter().collect();
        self.shared.change(|state| state.token_script.next.extend(answers));
    }

    /// What every token request gets that has no answer of its own; `None` is the ordinary one again.
    pub fn always_token_answer(&self, answer: Option<TokenAnswer>) {
        self.shared.change(|state| state.token_script.always = answer);
    }
}

/// # When it is answered
impl TestServer {
    /// Protected requests that arrive from now on wait for their answer.
    pub fn hold_api(&self) {
        self.hold_api_when(|_| true);
    }

    /// Protected requests that arrive from now on wait for their answer, where `held` says so of what was seen of their
    /// head. It must not call the server.
    pub fn hold_api_when(&self, held: impl Fn(&Seen) -> bool + Send + Sync + 'static) {
        self.shared.change(|state| state.api_gate.close(Arc::new(held)));
    }

    /// Answers the protected requests that wait, and holds no more.
    pub fn release_api(&self) {
        self.shared.change(|state| state.api_gate.open());
    }

    /// Answers this many of the protected requests that wait, the first to arrive first, and goes on holding. Returns
    /// how many there were.
    pub fn let_api_through(&self, count: usize) -> usize {
        self.shared.change(|state| state.api_gate.let_through(count))
    }

    /// Token requests wait from now on, before anything is done about them.
    pub fn hold_token_endpoint(&self) {
        self.shared.change(|state| {
            state.token_after_unauthorized = None;
            state.token_gate.close(Arc::new(|_| true));
        });
    }

    /// Works off the token requests that wait, and holds no more; those of [`TokenAnswer::Hold`] are answered.
    pub fn release_token_endpoint(&self) {
        self.shared.change(|state| {
            state.token_after_unauthorized = None;
            state.token_gate.open();
            state.answer_gate.open();
        });
    }

    /// Token requests wait until the API has sent this many 401s, counted from now.
    ///
    /// A client that refreshes keeps back the requests that start meanwhile: they are not sent, and not rejected. Have all of
    /// them sent first ([`hold_api`](Self::hold_api), until `api_held` of the [`stats`](Self::stats) says so), or this waits for ever.
    pub fn answer_token_when_unauthorized(&self, count: u64) {
        self.shared.change(|state| {
            state.token_after_unauthorized = Some(state.stats.unauthorized + count);
            state.token_gate.close(Arc::new(|_| true));
            state.settle_token_gate();
        });
    }

    /// Lets this many chunks out of `/api/stream`, in all streams together.
    pub fn let_chunks_out(&self, count: usize) {
        self.shared.chunks.add_permits(count);
    }
}

/// # What was seen
impl TestServer {
    /// The counters as they are now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.read(State::stats_now)
    }

    /// Everything that was seen so far, in order of arrival.
    #[must_use]
    pub fn log(&self) -> Vec<Seen> {
        self.shared.read(|state| state.log.clone())
    }

    /// Waits, blocking the thread, until the counters are as `enough` says, and returns them.
    ///
    /// # Errors
    ///
    /// [`StillWaiting`] once `timeout` has passed, with the counters as they were then.
    pub fn wait_until(
        &self,
        enough: impl Fn(&Stats) -> bool,
        timeout: Duration,
    ) -> Result<Stats, StillWaiting> {
        self.shared.wait_until(enough, timeout)
    }

    /// Waits, on any executor, until the counters are as `enough` says. It has no deadline of its own.
    pub fn when<F: Fn(&Stats) -> bool>(&self, enough: F) -> When<F> {
        When::new(Arc::clone(&self.shared), enough)
    }
}
