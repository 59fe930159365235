//! What a scene has in hand: places, and crews that work there.

use std::any::Any;
use std::time::Duration;

use crate::conformance::clause::{Verdict, ensure};
use crate::processes::{Crew, Launch, MemberId, Outcome, Step, Times};
use crate::server::{Policy, Stats, TestServer};

/// How long a request that is expected to succeed is made again: longer than any lease, and than the others' retries.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) type Act = Box<dyn Fn(&[u32]) + Send + Sync>;

pub(super) struct World {
    pub(super) places: Box<dyn Fn() -> Place + Send + Sync>,
    pub(super) launch: Launch,
    pub(super) processes: usize,
    pub(super) rounds: u64,
    /// The lock ends by itself.
    pub(super) leases: bool,
}

pub(super) struct Place {
    pub(super) address: String,
    pub(super) outage: Option<Outage>,
    /// It lives as long as its crew.
    pub(super) _kept: Box<dyn Any + Send + Sync>,
}

pub(super) struct Outage {
    pub(super) begin: Act,
    pub(super) end: Act,
}

/// A crew with its place. The crew ends first.
pub(super) struct Scene {
    pub(super) crew: Crew,
    place: Place,
}

impl World {
    /// A server that grants no grace: a spent refresh token that is presented again ends the session.
    pub(super) fn strict(&self, times: Times) -> Result<Scene, String> {
        self.scene(times, |_| ())
    }

    /// A server that answers a spent refresh token once more, for longer than any scene takes: lost answers are not the end.
    pub(super) fn graceful(&self, times: Times) -> Result<Scene, String> {
        self.scene(times, |policy| policy.grace = Duration::from_secs(3600))
    }

    fn scene(&self, times: Times, policy: impl FnOnce(&mut Policy)) -> Result<Scene, String> {
        let place = (self.places)();
        let server = TestServer::builder().configure(policy).start();
        let server = server.map_err(|error| format!("no server could be started: {error}"))?;
        Ok(Scene { crew: Crew::new(server, self.launch.clone(), &place.address, times), place })
    }

    /// Where a lock has to be waited for until it ends by itself, it is short.
    pub(super) fn times(&self) -> Times {
        if self.leases { Times::brisk() } else { Times::default() }
    }

    /// Where it is waited for in vain, that is short.
    pub(super) fn times_with_a_stopped_holder(&self) -> Times {
        if self.leases { Times::brisk() } else { Times { lock: Duration::from_secs(1), ..Times::default() } }
    }
}

impl Scene {
    /// So many members, signed in by the first and known to all.
    pub(super) fn signed_in(&mut self, count: usize) -> Result<Vec<MemberId>, String> {
        let members = self.crew.start(count)?;
        self.sign_in(members[0])?;
        self.all_done(&members)?;
        Ok(members)
    }

    pub(super) fn sign_in(&mut self, member: MemberId) -> Verdict {
        let tokens = self.crew.server().issue();
        let given = self.crew.sign_in(member, &tokens)?;
        let outcome = self.crew.outcome(given)?;
        ensure!(outcome.is_done(), "a sign-in came to {outcome:?}");
        Ok(())
    }

    pub(super) fn expire(&self) {
        self.crew.server().expire_access_tokens();
    }

    pub(super) fn stats(&self) -> Stats {
        self.crew.server().stats()
    }

    /// Each of them makes a request, which succeeds.
    pub(super) fn all_done(&mut self, members: &[MemberId]) -> Verdict {
        let outcomes = self.crew.requests(members, PATIENCE)?;
        let done = outcomes.iter().all(Outcome::is_done);
        ensure!(done, "requests came to {outcomes:?}; {:?}", self.stats());
        Ok(())
    }

    /// Has a member refresh an expired token, as far as this step.
    pub(super) fn halt(&mut self, member: MemberId, step: Step) -> Verdict {
        let since = self.crew.heard().len();
        self.crew.halt(member, step)?;
        let _given = self.crew.request(member, PATIENCE)?;
        self.crew.halted(since, member, step)
    }

    /// So many refreshes, so many spent tokens answered out of grace, and none that ended the session.
    pub(super) fn refreshes(&self, granted: u64, graced: u64) -> Verdict {
        let stats = self.stats();
        let seen = (stats.refreshes_granted, stats.graced, stats.reuse_detected);
        ensure!(
            seen == (granted, graced, 0),
            "there were {} refreshes rather than {granted}, {} within grace rather than {graced}, {} reuses; {:?}",
            seen.0,
            seen.1,
            seen.2,
            self.crew.server().log()
        );
        Ok(())
    }

    pub(super) fn begin_outage(&self) {
        self.outage(|outage| &outage.begin);
    }

    pub(super) fn end_outage(&self) {
        self.outage(|outage| &outage.end);
    }

    fn outage(&self, which: impl Fn(&Outage) -> &Act) {
        let processes: Vec<_> = self.crew.alive().map(|member| self.crew.process(member)).collect();
        if let Some(outage) = &self.place.outage {
            which(outage)(&processes);
        }
    }
}
