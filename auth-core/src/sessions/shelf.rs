//! The shelf: which sessions there are, who is out and who rests, in which order. Plain data under the pool's lock.
//!
//! 1. There is at most one entry a key: one is added only where all that have its hash were compared (`reserve`).
//! 2. There are never more entries than `max`.
//! 3. An entry rests exactly while no handle of it is out, but for the moment in which the last one is being dropped.
//! 4. Only what rests is taken out, and only where its session says, under this lock, that it may be.
//!
//! Keys are never hashed, compared, cloned or dropped here, and no session is dropped: that is foreign code.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::guest::{Guest, Home};
use crate::sync::ThreadId;
use crate::{Counters, Session};

/// Where an entry stands: the hash of its key, and a number that is never used again. Newer entries have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    hash: u64,
    number: u64,
}

impl Spot {
    /// Before all entries with this hash.
    pub(super) fn before(hash: u64) -> Self {
        Self { hash, number: 0 }
    }
}

pub(super) struct Shelf<K> {
    entries: BTreeMap<Spot, Entry<K>>,
    /// Those that rest, by turn: the one that was used, or found busy, longest ago comes first.
    resting: BTreeMap<u64, Spot>,
    /// Who waits for which entry to be made.
    waiting: HashMap<ThreadId, Spot>,
    /// What sessions did that are no longer here, and what the pool did itself.
    pub(super) counters: Counters,
    next: u64,
}

pub(super) struct Entry<K> {
    key: Arc<K>,
    stage: Stage,
}

enum Stage {
    /// On this thread.
    Making(ThreadId),
    Made(Made),
}

struct Made {
    session: Session,
    /// Of the newest visit; dead while it rests.
    guest: Weak<Guest>,
    visit: u64,
    rest: Option<Rest>,
}

#[derive(Clone, Copy)]
struct Rest {
    turn: u64,
    since: Duration,
}

/// A session that rests, to be asked whether it may be given up.
pub(super) type Candidate = (Spot, Session);

/// What came of a wish for an entry.
pub(super) enum Visit {
    /// A handle of its session.
    In(Session),
    /// Another thread makes it.
    Wait,
    /// This thread makes it, or one that waits for this one.
    Circle,
    /// It is no longer there.
    Gone,
}

/// What came of a wish for a new entry.
pub(super) enum Reserved {
    /// It is there, and has to be made.
    At(Spot),
    /// There are others of that hash to look at first.
    Look,
    /// There are too many; the first that rests may make room.
    Full(Option<Candidate>),
}

impl<K> Shelf<K> {
    pub(super) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            resting: BTreeMap::new(),
            waiting: HashMap::new(),
            counters: Counters::default(),
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The next entry with the same hash.
    pub(super) fn after(&self, spot: Spot) -> Option<(Spot, Arc<K>)> {
        let last = Spot { number: u64::MAX, ..spot };
        let (spot, entry) = self.entries.range(spot..=last).find(|(found, _)| **found != spot)?;
        Some((*spot, Arc::clone(&entry.key)))
    }

    /// A new entry, behind all others with its hash: `spot` is the last of them that is known.
    pub(super) fn reserve(&mut self, spot: Spot, key: &Arc<K>, maker: ThreadId, max: usize) -> Reserved {
        if self.after(spot).is_some() {
            return Reserved::Look;
        }
        if self.entries.len() >= max {
            let first = self.resting.first_key_value();
            return Reserved::Full(first.and_then(|(_, spot)| self.candidate(*spot)));
        }
        let spot = Spot { number: self.next(), ..spot };
        self.entries.insert(spot, Entry { key: Arc::clone(key), stage: Stage::Making(maker) });
        Reserved::At(spot)
    }

    /// The entry has its session. Returns a handle of it.
    pub(super) fn made(&mut self, spot: Spot, session: Session, home: &Weak<dyn Home>) -> Session {
        let Some(entry) = self.entries.get_mut(&spot) else { return session };
        let guest = Arc::new(Guest::new(Weak::clone(home), spot, 0));
        let lent = session.lent(Arc::clone(&guest));
        entry.stage = Stage::Made(Made { session, guest: Arc::downgrade(&guest), visit: 0, rest: None });
        lent
    }

    /// It could not be made.
    pub(super) fn unmade(&mut self, spot: Spot) -> Option<Entry<K>> {
        self.entries.remove(&spot)
    }

    /// A handle of this entry's session, or why there is none.
    pub(super) fn visit(&mut self, spot: Spot, me: ThreadId, home: &Weak<dyn Home>) -> Visit {
        let made = match self.entries.get_mut(&spot).map(|entry| &mut entry.stage) {
            None => return Visit::Gone,
            Some(Stage::Making(maker)) => {
                let maker = *maker;
                return if self.waits_for(maker, me) { Visit::Circle } else { Visit::Wait };
            }
            Some(Stage::Made(made)) => made,
        };
        let guest = made.guest.upgrade().unwrap_or_else(|| {
            made.visit += 1;
            let guest = Arc::new(Guest::new(Weak::clone(home), spot, made.visit));
            made.guest = Arc::downgrade(&guest);
            guest
        });
        if let Some(rest) = made.rest.take() {
            self.resting.remove(&rest.turn);
        }
        Visit::In(made.session.lent(guest))
    }

    /// Whether this thread waits, perhaps through others, for what `me` makes.
    fn waits_for(&self, mut thread: ThreadId, me: ThreadId) -> bool {
        // It ends: nobody begins to wait where that would close a circle.
        while thread != me {
            let making = self.waiting.get(&thread).and_then(|spot| self.entries.get(spot));
            let Some(Entry { stage: Stage::Making(maker), .. }) = making else { return false };
            thread = *maker;
        }
        true
    }

    pub(super) fn wait(&mut self, me: ThreadId, spot: Spot) {
        self.waiting.insert(me, spot);
    }

    pub(super) fn waited(&mut self, me: ThreadId) {
        self.waiting.remove(&me);
    }

    /// The last handle of this visit has been dropped: it rests, unless somebody has come meanwhile.
    pub(super) fn returned(&mut self, spot: Spot, visit: u64, now: Duration) {
        let turn = self.next();
        let Some(Entry { stage: Stage::Made(made), .. }) = self.entries.get_mut(&spot) else { return };
        if made.visit == visit {
            made.rest = Some(Rest { turn, since: now });
            self.resting.insert(turn, spot);
        }
    }

    fn candidate(&self, spot: Spot) -> Option<Candidate> {
        let made = self.entries.get(&spot)?.made()?;
        Some((spot, made.session.clone()))
    }

    /// This one, if it rests.
    pub(super) fn resting(&self, spot: Spot) -> Option<Candidate> {
        self.entries.get(&spot)?.made()?.rest?;
        self.candidate(spot)
    }

    /// The first that rests, if it has rested for so long.
    pub(super) fn idle(&self, idle: Duration, now: Duration) -> Option<Candidate> {
        let (_, spot) =
            self.resting.first_key_value().filter(|(_, spot)| self.has_rested(**spot, idle, now))?;
        self.candidate(*spot)
    }

    /// All that have rested for so long.
    pub(super) fn all_idle(&self, idle: Duration, now: Duration) -> Vec<Candidate> {
        let idle = self.resting.values().filter(|spot| self.has_rested(**spot, idle, now));
        idle.filter_map(|spot| self.candidate(*spot)).collect()
    }

    fn has_rested(&self, spot: Spot, idle: Duration, now: Duration) -> bool {
        let rest = self.entries.get(&spot).and_then(Entry::made).and_then(|made| made.rest);
        rest.is_some_and(|rest| now.saturating_sub(rest.since) >= idle)
    }

    /// Takes out an entry that rests, where its session, whose time is `theirs`, may be given up. Else it was in use just now.
    pub(super) fn take(&mut self, spot: Spot, theirs: Duration, now: Duration) -> Option<Entry<K>> {
        let turn = self.next();
        let Some(Entry { stage: Stage::Made(made), .. }) = self.entries.get_mut(&spot) else { return None };
        let rest = made.rest.as_mut()?;
        self.resting.remove(&rest.turn);
        let Some(counters) = made.session.retire(theirs) else {
            *rest = Rest { turn, since: now };
            self.resting.insert(turn, spot);
            return None;
        };
        self.counters.add(&counters);
        self.entries.remove(&spot)
    }

    /// Everybody's key and session, for those who only look.
    pub(super) fn all(&self) -> Vec<(Arc<K>, Session)> {
        let made = |entry: &Entry<K>| Some((Arc::clone(&entry.key), entry.made()?.session.clone()));
        self.entries.values().filter_map(made).collect()
    }

    /// What all sessions did, those that are no longer here included.
    pub(super) fn sum(&self) -> Counters {
        let mut sum = self.counters;
        for made in self.entries.values().filter_map(Entry::made) {
            sum.add(&made.session.tally());
        }
        sum
    }
}

impl<K> Entry<K> {
    fn made(&self) -> Option<&Made> {
        match &self.stage {
            Stage::Made(made) => Some(made),
            Stage::Making(_) => None,
        }
    }
}

#[cfg(test)]
#[cfg(all(feature = "standalone", not(auth_shuttle)))]
mod tests {
    use super::*;
    use crate::{RefreshError, Tokens, refresher_fn};

    fn session() -> Session {
        let never = refresher_fn(|_: Tokens| async { Err(RefreshError::unavailable("never")) });
        Session::builder(never).build()
    }

    /// A pool that is told of nobody's return.
    struct Away;

    impl Home for Away {
        fn returned(&self, _: Spot, _: u64) {}
    }

    #[test]
    fn a_return_that_comes_after_the_next_visit_is_no_rest() {
        let (mut shelf, me) = (Shelf::new(), std::thread::current().id());
        let home: Weak<dyn Home> = Weak::<Away>::new();
        let Reserved::At(spot) = shelf.reserve(Spot::before(7), &Arc::new("key"), me, 1) else {
            panic!("there is room");
        };
        drop(shelf.made(spot, session(), &home));

        let Visit::In(second) = shelf.visit(spot, me, &home) else { panic!("it is there") };
        shelf.returned(spot, 0, Duration::ZERO);
        assert!(shelf.resting(spot).is_none(), "somebody has come meanwhile");

        drop(second);
        shelf.returned(spot, 1, Duration::ZERO);
        assert!(shelf.resting(spot).is_some());
    }

    #[test]
    fn a_thread_that_has_waited_takes_no_room() {
        let mut shelf = Shelf::<()>::new();
        let me = std::thread::current().id();

        shelf.wait(me, Spot::before(7));
        assert_eq!(shelf.waiting.len(), 1);

        shelf.waited(me);
        assert!(shelf.waiting.is_empty());
    }
}
