//! The suite for stores that processes share. It starts them.

mod crowd;
mod killed;
mod outages;
mod stopped;
mod world;

use std::sync::Arc;
use std::time::Duration;

use auth_core::TokenStore;

use super::Report;
use super::choices::{Choices, choices};
use super::clause::Verdict;
use super::trial::{Begin, Outcome, Trial};
use crate::processes::{Launch, Opening, member};
use world::{Outage, World};

/// A suite for token stores that processes share: real ones, a rotating refresh token, and a real server that detects reuse.
///
/// The processes are this test, started again by its name, or [another program](Self::launch); see
/// [`processes`](crate::processes) for an example of a few lines. Each clause has a place, a server and processes of its own. Whatever
/// happens to a process, the others go on: nobody is signed out, and no refresh token is presented twice, except where its
/// successor died with a process.
///
/// Nothing is slept for, and nothing depends on who is faster. A lock that ends by itself is waited for, however; a clause about
/// one takes as long as the lease does that the store [is told](Opening::lease).
#[must_use]
pub struct ProcessSuite<P> {
    make: Arc<dyn Fn() -> P + Send + Sync>,
    address: Arc<dyn Fn(&P) -> String + Send + Sync>,
    member: Arc<dyn Fn() + Send + Sync>,
    launch: Launch,
    processes: usize,
    rounds: u64,
    leases: bool,
    outages: Vec<(String, OutageOf<P>)>,
    choices: Choices,
}

/// What is done to a place, and undone.
struct OutageOf<P> {
    begin: Act<P>,
    end: Act<P>,
}

type Act<P> = Arc<dyn Fn(&P, &[u32]) + Send + Sync>;

choices!(ProcessSuite<P>);

type Scene = fn(&World) -> Verdict;

const EXCLUDES: &str =
    "Excludes every other session on this store, in this process or another, until the guard is released.";
const DIES: &str = "the lock [...] has to be freed when its holder dies";
const WHOLE: &str =
    "Atomicity. A pair is one unit: a load sees the whole of one save, never parts of two, whatever crashes.";
const SURVIVES: &str =
    "Durability. When save or clear returns Ok, the change survives what the store promises to survive.";
const FENCING: &str = "Fencing. A write of a guard whose lock was lost (its lease ran out, its connection died) changes \
                       nothing and fails with StoreError::conflict.";
const WHOEVER: &str = "A load that begins after a save or a clear has returned sees that change [...] whichever session made it";

const SCENES: &[(&str, &str, Scene)] = &[
    ("one_refresh", EXCLUDES, crowd::one_refresh),
    ("clocks_differ", EXCLUDES, crowd::clocks_differ),
    ("signed_out", WHOEVER, crowd::signed_out),
    ("signed_in_as_another", WHOEVER, crowd::signed_in_as_another),
    ("started_again", SURVIVES, crowd::started_again),
    ("killed_at_each_step", DIES, killed::at_each_step),
    ("killed_while_saving", WHOLE, killed::while_saving),
    ("killed_with_the_answer", SURVIVES, killed::with_the_answer),
    ("stopped_before_it_presents", EXCLUDES, stopped::before_it_presents),
    ("stopped_before_it_saves", FENCING, stopped::before_it_saves),
    ("stopped_and_overtaken", FENCING, stopped::and_overtaken),
];

const OUTAGES: &[(&str, &str, Scene)] = &[
    ("before", SURVIVES, outages::before),
    ("within", SURVIVES, outages::within),
    ("over", SURVIVES, outages::over),
];

impl<P: Send + Sync + 'static> ProcessSuite<P> {
    /// A suite that is run by the test of this path, `module::the_name_of_the_test` within its binary.
    ///
    /// `make` makes a place that nobody has used. `address` says where that is, to another process, which opens a store there with
    /// `open`.
    pub fn new<S: TokenStore, F: Future<Output = S>>(
        test: &str,
        make: impl Fn() -> P + Send + Sync + 'static,
        address: impl Fn(&P) -> String + Send + Sync + 'static,
        open: impl Fn(Opening) -> F + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Arc::new(make),
            address: Arc::new(address),
            member: Arc::new(move || member(&open)),
            launch: Launch::this_test(test),
            processes: 4,
            rounds: 5,
            leases: false,
            outages: Vec::new(),
            // A lease may have to end, more than once.
            choices: Choices { deadline: Duration::from_secs(600), ..Choices::default() },
        }
    }

    /// How the processes are started. Default: [the test](Launch::this_test) again.
    pub fn launch(mut self, change: impl FnOnce(Launch) -> Launch) -> Self {
        self.launch = change(self.launch);
        self
    }

    /// How many processes share the store in a clause about many. Default: 4.
    pub fn processes(mut self, count: usize) -> Self {
        self.processes = count.max(2);
        self
    }

    /// How many times their token expires. Default: 5.
    pub fn rounds(mut self, count: u64) -> Self {
        self.rounds = count;
        self
    }

    /// The lock ends by itself, as long as [it is told](Opening::lease) after it was taken, also under a holder that is stopped and
    /// comes back. Without this, a stopped holder keeps it, and the others are expected to fail in bounded time.
    pub fn leases(mut self) -> Self {
        self.leases = true;
        self
    }

    /// The clauses `outage NAME: …`, with something that begins and ends: a disk that is full, a server that is restarted. Both are
    /// given the place, and the numbers of the processes that use it.
    pub fn outage(
        mut self,
        name: impl Into<String>,
        begin: impl Fn(&P, &[u32]) + Send + Sync + 'static,
        end: impl Fn(&P, &[u32]) + Send + Sync + 'static,
    ) -> Self {
        self.outages.push((name.into(), OutageOf { begin: Arc::new(begin), end: Arc::new(end) }));
        self
    }

    /// Tries the clauses, one after the other, blocking the thread.
    ///
    /// In a process that is to be a member, this becomes it, and does not return.
    ///
    /// # Panics
    ///
    /// If a gap, or one of the only clauses, is none of the suite's.
    #[track_caller]
    pub fn run(self) -> Report {
        (self.member)();
        let mut trials: Vec<_> = SCENES
            .iter()
            .map(|(name, promise, scene)| self.trial((*name).to_owned(), promise, *scene, None))
            .collect();
        for (outage, acts) in &self.outages {
            trials.extend(OUTAGES.iter().map(|(name, promise, scene)| {
                self.trial(format!("outage {outage}: {name}"), promise, *scene, Some(acts))
            }));
        }
        self.choices.run("token store among processes", trials)
    }

    fn trial(
        &self,
        name: String,
        promise: &'static str,
        scene: Scene,
        outage: Option<&OutageOf<P>>,
    ) -> Trial {
        let (make, address) = (Arc::clone(&self.make), Arc::clone(&self.address));
        let (launch, processes, rounds, leases) =
            (self.launch.clone(), self.processes, self.rounds, self.leases);
        let outage = outage.map(|outage| (Arc::clone(&outage.begin), Arc::clone(&outage.end)));
        let begin: Begin = Box::new(move |stage| {
            Box::pin(async move {
                let places = Box::new(move || {
                    let place = Arc::new(make());
                    let outage = outage.as_ref().map(|(begin, end)| {
                        let acts = [begin, end].map(|act| {
                            let (act, place) = (Arc::clone(act), Arc::clone(&place));
                            Box::new(move |processes: &[u32]| act(&place, processes)) as world::Act
                        });
                        let [begin, end] = acts;
                        Outage { begin, end }
                    });
                    world::Place { address: address(&place), outage, _kept: Box::new(place) }
                });
                stage.set("at work with its processes");
                Outcome::Tried(scene(&World { places, launch, processes, rounds, leases }))
            })
        });
        Trial { name, promise, begin: Ok(begin) }
    }
}

impl ProcessSuite<()> {
    /// The names of the clauses, and what the documentation of [`TokenStore`] says to each. Those of an
    /// [outage](Self::outage) come besides.
    pub fn clauses() -> impl Iterator<Item = (&'static str, &'static str)> {
        SCENES.iter().map(|(name, promise, _)| (*name, *promise))
    }
}
