//! The run: round after round, an expiry, a request of each process, and somebody's death.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use auth_testkit::processes::{Crew, Given, Heard, Launch, MemberId, Outcome, Said, Times};
use auth_testkit::server::TestServer;

use crate::args::{Plan, Store};
use crate::books::Books;
use crate::killer::{Killer, Target};
use crate::report::{Numbers, Report};
use crate::store::Place;

/// How long a request is made again: until the lease of a dead process is over, and then some.
const PATIENCE: Duration = Duration::from_secs(60);

/// What cannot even begin, or hangs, is a sentence.
pub(crate) fn run(plan: &Plan) -> Result<Report, String> {
    let begin = Instant::now();
    let seed = plan.kill.then(|| plan.seed.unwrap_or_else(chance));
    let place = Place::make(plan.store)?;
    let server = TestServer::start().map_err(|error| format!("no server could be started: {error}"))?;
    let times = if plan.kill { brisk() } else { Times::default() };
    let mut fleet = Fleet {
        crew: Crew::new(server, Launch::this_program(), &place.address, times),
        killer: seed.map(Killer::new),
        books: Books::default(),
        target: Target::Nobody,
        killed: 0,
        numbers: Numbers { processes: plan.processes, rounds: plan.rounds, ..Numbers::default() },
        sentences: Vec::new(),
    };
    fleet.crew.start(plan.processes)?;
    fleet.sign_in()?;
    for round in 1..=plan.rounds {
        fleet.round(round)?;
    }
    Ok(fleet.end(plan, seed, begin.elapsed()))
}

/// The lease of a dead process is waited for. With these it is over in four seconds.
fn brisk() -> Times {
    let mut times = Times::brisk();
    times.refresh = Duration::from_millis(2000);
    times.attempt = Duration::from_millis(1500);
    times.lock = Duration::from_millis(500);
    times.store = Duration::from_millis(500);
    times
}

fn chance() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}

struct Fleet {
    crew: Crew,
    killer: Option<Killer>,
    books: Books,
    target: Target,
    killed: usize,
    numbers: Numbers,
    sentences: Vec<String>,
}

/// What came of a round's requests.
struct Round {
    /// So many had no answer: their processes were killed.
    unanswered: usize,
    failed: Vec<(MemberId, String)>,
}

impl Fleet {
    /// By whoever is first; the others find it in the store.
    fn sign_in(&mut self) -> Result<(), String> {
        let members: Vec<_> = self.crew.alive().collect();
        let first = *members.first().ok_or("nobody is left")?;
        let tokens = self.crew.server().issue();
        let given = self.crew.sign_in(first, &tokens)?;
        match self.crew.outcome(given)? {
            Outcome::Done => {}
            outcome => return Err(format!("a sign-in came to {outcome:?}")),
        }
        // Their sessions have ended, and a session that has ended stays so.
        for member in &members[1..] {
            let given = self.crew.reopen(*member)?;
            self.crew.outcome(given)?;
        }
        Ok(())
    }

    fn round(&mut self, round: u64) -> Result<(), String> {
        let members: Vec<_> = self.crew.alive().collect();
        if members.len() != self.numbers.processes {
            return Err(format!("round {round}: only {} processes are left", members.len()));
        }
        self.crew.server().expire_access_tokens();
        self.numbers.requests += members.len() as u64;

        let Round { unanswered, failed } = self.requests(&members)?;

        // Others take the places of the dead, and make their requests.
        let missing = self.numbers.processes - self.crew.alive().count();
        let mut again = self.crew.start(missing)?;
        again.truncate(unanswered);
        if self.explain(round)? {
            // It has ended for everybody, and those who were told so ask once more.
            self.sign_in()?;
            again.extend(failed.iter().map(|(member, _)| *member));
        } else {
            self.complain(round, &failed)?;
        }
        for outcome in self.crew.requests(&again, PATIENCE)? {
            if !outcome.is_done() {
                self.numbers.failed += 1;
                self.sentences.push(format!("round {round}: a request made again came to {outcome:?}"));
            }
        }
        Ok(())
    }

    /// Of requests that failed, and nobody's death explains it.
    fn complain(&mut self, round: u64, failed: &[(MemberId, String)]) -> Result<(), String> {
        for (member, kind) in failed {
            self.sentences.push(format!("round {round}: a request of process {member} failed: {kind}"));
        }
        self.numbers.failed += failed.len() as u64;
        if failed.iter().any(|(_, kind)| kind == "session_ended") {
            self.numbers.sessions_lost += 1;
            self.sign_in()?;
        }
        Ok(())
    }

    /// A request of each, and the death of one.
    fn requests(&mut self, members: &[MemberId]) -> Result<Round, String> {
        if let (Some(killer), Target::Nobody) = (&mut self.killer, self.target) {
            self.target = killer.target(members.len());
        }
        let mut open: HashSet<Given> = HashSet::new();
        for member in members {
            open.insert(self.crew.request(*member, PATIENCE)?);
        }
        let mut dying = HashSet::new();
        if let Target::Anybody(number) = self.target {
            dying.insert(self.kill(members[number])?);
        }
        let mut round = Round { unanswered: 0, failed: Vec::new() };
        while !open.is_empty() || !dying.is_empty() {
            let Heard { member, said, .. } = self.crew.hear()?;
            match said {
                Said::At(step, _) if self.target == Target::Whoever(step) => {
                    dying.insert(self.kill(member)?);
                }
                Said::Ended(number, outcome) => {
                    open.remove(&Given { member, number });
                    if let Outcome::Failed(kind) = outcome {
                        round.failed.push((member, kind));
                    }
                }
                Said::Gone => {
                    if !dying.remove(&member) {
                        return Err(format!("process {member} has ended by itself"));
                    }
                    let before = open.len();
                    open.retain(|given| given.member != member);
                    round.unanswered += before - open.len();
                }
                _ => {}
            }
        }
        Ok(round)
    }

    fn kill(&mut self, member: MemberId) -> Result<MemberId, String> {
        // Where nobody comes to its step in this round, somebody will in the next.
        self.target = Target::Nobody;
        self.killed += 1;
        self.books.killed(member);
        self.crew.kill(member)?;
        Ok(member)
    }

    /// Whether answers have died, and the sign-in with them.
    fn explain(&mut self, round: u64) -> Result<bool, String> {
        let mut lost = false;
        self.books.hear(self.crew.heard());
        for reuse in self.books.read(&self.crew.server().log()) {
            if reuse.explained {
                lost = true;
                self.numbers.lost_answers += 1;
                self.sentences.push(format!(
                    "round {round}: process {} was killed after the server had exchanged {} for {} and before that was \
                     saved: the only copy died with it. Process {} presented {} again, as it had to; the server took that for \
                     theft and ended the sign-in. Somebody signed in again.",
                    reuse.by, reuse.token, reuse.successor, reuse.again, reuse.token,
                ));
            } else {
                self.numbers.reuse_detected += 1;
                self.sentences.push(format!(
                    "round {round}: process {} presented {}, which process {} had exchanged",
                    reuse.again, reuse.token, reuse.by
                ));
            }
        }
        Ok(lost)
    }

    fn end(mut self, plan: &Plan, seed: Option<u64>, elapsed: Duration) -> Report {
        let stats = self.crew.server().stats();
        self.numbers.refreshes = stats.refreshes_granted;
        // What the books have overlooked is nobody's answer.
        let known = self.numbers.lost_answers + self.numbers.reuse_detected;
        self.numbers.reuse_detected += stats.reuse_detected.saturating_sub(known);
        if let (Some(seed), None, true) = (seed, plan.seed, plan.json) {
            self.sentences.push(format!("who was killed, and where, was decided by --seed {seed}"));
        }
        let store = match plan.store {
            Store::File => "file",
            Store::Redis => "Redis",
        };
        Report { numbers: self.numbers, store, killed: self.killed, seed, elapsed, sentences: self.sentences }
    }
}
