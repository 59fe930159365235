//! The books: what the store should hold, what it is known to hold, and what a loaded content means beside that.
//!
//! Plain data under the state's lock. The ledger writes the newest desired content until written = desired, so writes
//! cannot overtake each other and nothing ever needs undoing (invariant 9).

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use futures::channel::oneshot;

use crate::{RefreshToken, StoreError, Tokens};

/// So many exchanges are remembered. Where no write succeeds, another process can save its own pair that many rotations late.
const SPENT: usize = 32;

/// What a write came to. Everybody who waited for it shares the error.
pub(crate) type Wrote = Result<(), Arc<StoreError>>;

/// Those who waited for a write, with what it came to: to be sent outside the lock.
pub(crate) type Told = Vec<(oneshot::Sender<Wrote>, Wrote)>;

pub(crate) struct Books {
    desired: Content,
    origin: Origin,
    /// The desired content's number; of the newest that the store holds; of the newest whose write was answered.
    number: u64,
    written: u64,
    tried: u64,
    /// The number of the newest sign-in or sign-out. Until a write of that number or a newer one has succeeded, nothing that
    /// the store holds overrules it, but what another process has made of it: not after a refresh either.
    identity: u64,
    /// Of the newest of which a write was begun: it may have been made, whatever was answered.
    begun: u64,
    /// A sign-in's pair may be there of which nobody has said so: `base` does not name all that may be there of this session.
    doubt: bool,
    /// What this session last loaded, saved, cleared or adopted there. Empty at first.
    base: Option<Arc<Tokens>>,
    /// The refresh tokens that this session exchanged last, the newest at the end: whoever writes one of them again is late. Where
    /// a refresh token stays, the access tokens that were replaced. By their hashes: nobody needs the texts any more.
    spent: VecDeque<u64>,
    /// Those that another process's pair has replaced. Which of the two is older nobody knows, until the server has taken the one that
    /// came instead: then these are spent as well.
    replaced: VecDeque<u64>,
    /// A sign-out did not know whom it signed out: the pair that is there was never read, and is nobody's now.
    unread: bool,
    last: Wrote,
    waiters: Vec<(u64, oneshot::Sender<Wrote>)>,
}

#[derive(Clone)]
pub(crate) enum Content {
    Pair(Arc<Tokens>),
    Nothing,
    /// Nothing, but only if the store still holds this pair.
    NothingFor(Arc<Tokens>),
}

/// Who wants it there: it decides what a write without a lock, or one that lost its lock, may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It came from the store.
    Store,
    /// A sign-in or a sign-out: it wins over whatever is there.
    Identity,
    /// A flight: it must not overwrite what somebody else made meanwhile.
    Flight,
}

/// One write to be made.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) content: Content,
    pub(crate) origin: Origin,
}

/// What the store's content means to a flight.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is what memory has, or older: memory's pair is the one to refresh.
    Ours,
    /// Memory's pair is not there yet, and nobody else's is: it is saved first.
    SaveFirst,
    /// Another process rotated the pair of this sign-in.
    Rotated,
    /// Another process signed somebody in.
    OtherSignIn,
    /// Another process emptied it.
    Emptied,
}

impl Books {
    pub(crate) fn new() -> Self {
        Self {
            desired: Content::Nothing,
            origin: Origin::Store,
            number: 0,
            written: 0,
            tried: 0,
            identity: 0,
            begun: 0,
            doubt: false,
            base: None,
            spent: VecDeque::new(),
            replaced: VecDeque::new(),
            unread: false,
            last: Ok(()),
            waiters: Vec::new(),
        }
    }

    /// Wants this content in the store, and says under which number.
    pub(crate) fn want(&mut self, content: Content, origin: Origin) -> u64 {
        if let Content::Pair(pair) = &content {
            // A server may give a token once more: then it is the live one again.
            let live = [hash(pair), hash_of_access(pair)];
            self.spent.retain(|spent| !live.contains(spent));
        }
        self.desired = content;
        self.origin = origin;
        self.number += 1;
        if origin == Origin::Identity {
            self.identity = self.number;
        }
        self.number
    }

    /// Nobody has looked yet what the next write replaces.
    pub(crate) fn leave_unread(&mut self) {
        self.unread = true;
    }

    pub(crate) fn is_unread(&self) -> bool {
        self.unread
    }

    /// Somebody has. Whether that was news.
    pub(crate) fn take_unread(&mut self) -> bool {
        std::mem::take(&mut self.unread)
    }

    /// This pair's refresh token was exchanged for another: it was live until now, and those that it had replaced were not.
    pub(crate) fn exchanged(&mut self, pair: &Tokens) {
        for replaced in std::mem::take(&mut self.replaced) {
            remember(&mut self.spent, replaced);
        }
        remember(&mut self.spent, hash(pair));
    }

    /// The server gave a new access token, and the refresh token stays: this pair is older than that one.
    pub(crate) fn outlived(&mut self, pair: &Tokens) {
        remember(&mut self.spent, hash_of_access(pair));
    }

    /// Another process's pair came in place of this one.
    pub(crate) fn replaced(&mut self, pair: &Tokens) {
        remember(&mut self.replaced, hash(pair));
    }

    /// Whether this pair's refresh token is one that this session has exchanged, or its access token one that was replaced.
    fn is_spent(&self, loaded: &Tokens) -> bool {
        self.spent.contains(&hash(loaded)) || self.spent.contains(&hash_of_access(loaded))
    }

    /// This content is there already: it was loaded.
    pub(crate) fn found(&mut self, loaded: Option<Arc<Tokens>>) {
        self.desired = loaded.clone().map_or(Content::Nothing, Content::Pair);
        self.origin = Origin::Store;
        self.written = self.number;
        self.tried = self.number;
        self.base = loaded;
    }

    /// Whether the store lacks what it should hold.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.written < self.number
    }

    /// The write that is due: one not tried yet.
    pub(crate) fn due(&self) -> Option<Order> {
        (self.tried < self.number).then(|| self.order())
    }

    /// The write that has to come before a load: a sign-in's or a sign-out's, which no content of the store overrules. A
    /// flight's is decided upon after the load.
    pub(crate) fn due_before_load(&self) -> Option<Order> {
        self.is_identity_unsaved().then(|| self.order())
    }

    fn order(&self) -> Order {
        let origin = if self.is_identity_unsaved() { Origin::Identity } else { self.origin };
        Order { number: self.number, content: self.desired.clone(), origin }
    }

    /// Whether a sign-in or a sign-out is not in the store yet. The end of a session clears only what is its own.
    fn is_identity_unsaved(&self) -> bool {
        self.written < self.identity && !matches!(self.desired, Content::NothingFor(_))
    }

    /// A write begins. Whether there was one of this very content before, which may have been made: those that overrule the store
    /// have to look then, where what they find can tell.
    pub(crate) fn begins(&mut self, order: &Order) -> bool {
        if order.origin != Origin::Identity {
            return false;
        }
        let again = std::mem::replace(&mut self.begun, order.number) == order.number;
        match order.content {
            Content::Pair(_) => {
                self.doubt = true;
                again
            }
            Content::Nothing => again && !self.doubt,
            Content::NothingFor(_) => false,
        }
    }

    /// Whether this is still what the store should hold.
    pub(crate) fn is_newest(&self, order: &Order) -> bool {
        order.number == self.number
    }

    /// Whether a write that failed was made all the same, by what the store holds now. Of a clear: whether somebody else has signed in
    /// since.
    pub(crate) fn is_done(&self, order: &Order, loaded: &Tokens) -> bool {
        match &order.content {
            Content::Pair(pair) => self.was_made(loaded, pair),
            Content::Nothing => self.base.as_ref().is_some_and(|base| is_anothers(base, loaded)),
            Content::NothingFor(_) => false,
        }
    }

    /// Whether the store holds this pair, or one that another process got with it: of the same sign-in, and not exchanged here.
    fn was_made(&self, loaded: &Tokens, pair: &Tokens) -> bool {
        let same_sign_in = loaded.sign_in_id().is_some() && loaded.sign_in_id() == pair.sign_in_id();
        loaded.same_pair(pair) || (same_sign_in && !self.is_spent(loaded))
    }

    /// Wants the newest content tried again.
    pub(crate) fn try_again(&mut self) -> u64 {
        if self.is_unsaved() {
            self.tried = self.number - 1;
        }
        self.number
    }

    /// A write was answered. Returns whom to tell what, and the answer before it, to be dropped outside the lock.
    pub(crate) fn answered(&mut self, order: &Order, wrote: Wrote) -> (Told, Wrote) {
        self.tried = self.tried.max(order.number);
        if wrote.is_ok() {
            (self.unread, self.doubt) = (false, false);
            self.written = self.written.max(order.number);
            match &order.content {
                Content::Pair(tokens) => self.base = Some(Arc::clone(tokens)),
                Content::Nothing => self.base = None,
                // Whether the store was this pair's to clear, the write does not tell.
                Content::NothingFor(_) => {}
            }
        }
        let before = std::mem::replace(&mut self.last, wrote);
        (self.tell(&self.last.clone()), before)
    }

    /// Those whose number needs no write any more: what they waited for was found in the store, or replaced from there.
    pub(crate) fn settled(&mut self) -> Told {
        self.tell(&Ok(()))
    }

    /// Takes out those whose number was tried.
    fn tell(&mut self, wrote: &Wrote) -> Told {
        let (done, waiting) = self.waiters.drain(..).partition(|(number, _)| *number <= self.tried);
        self.waiters = waiting;
        done.into_iter().map(|(_, sender): (u64, _)| (sender, wrote.clone())).collect()
    }

    /// Whether this pair is wanted in the store.
    pub(crate) fn wants(&self, pair: &Tokens) -> bool {
        matches!(&self.desired, Content::Pair(tokens) if tokens.same_pair(pair))
    }

    /// Nobody will make the writes that are due: their waiters are told.
    pub(crate) fn abandoned(&mut self, why: &Arc<StoreError>) -> (Told, Wrote) {
        self.tried = self.number;
        let before = std::mem::replace(&mut self.last, Err(Arc::clone(why)));
        (self.waiters.drain(..).map(|(_, sender)| (sender, Err(Arc::clone(why)))).collect(), before)
    }

    /// What the write of this number, or of a newer one, came to.
    pub(crate) fn wait(&mut self, number: u64) -> oneshot::Receiver<Wrote> {
        let (sender, receiver) = oneshot::channel();
        // Nobody waits yet, so sending wakes nobody.
        if self.written >= number {
            let _ = sender.send(Ok(()));
        } else if self.tried >= number {
            let _ = sender.send(self.last.clone());
        } else {
            self.waiters.push((number, sender));
        }
        receiver
    }

    /// The same for this pair, unless something newer is wanted in the store.
    pub(crate) fn wait_for(&mut self, pair: &Tokens) -> Option<oneshot::Receiver<Wrote>> {
        self.wants(pair).then(|| self.wait(self.number))
    }

    /// Whether this content is what was last known of the store, or the pair that is to go there.
    pub(crate) fn knows(&self, loaded: Option<&Tokens>, pair: &Tokens) -> bool {
        same(loaded, Some(pair)) || same(loaded, self.base.as_deref())
    }

    /// What the store's content means; where it is memory's own pair, that is saved.
    pub(crate) fn read(&mut self, loaded: Option<&Tokens>) -> Reading {
        let memory = match &self.desired {
            Content::Pair(tokens) => Some(tokens),
            Content::Nothing | Content::NothingFor(_) => None,
        };
        let was_made = |(there, pair): (&Tokens, &Arc<Tokens>)| self.was_made(there, pair);
        if self.is_identity_unsaved() && !loaded.zip(memory).is_some_and(was_made) {
            return Reading::SaveFirst;
        }
        if same(loaded, memory.map(|tokens| &**tokens)) {
            self.base = memory.cloned();
            self.written = self.number;
            return Reading::Ours;
        }
        if same(loaded, self.base.as_deref()) {
            return if self.is_unsaved() { Reading::SaveFirst } else { Reading::Ours };
        }
        match (loaded, memory.cloned()) {
            (None, _) => Reading::Emptied,
            // Written by somebody who had not heard of our exchange, under a lock that one of us had lost: ours is newer.
            (Some(loaded), Some(memory)) if self.is_spent(loaded) => {
                self.base = Some(Arc::new(loaded.clone()));
                if !self.is_unsaved() {
                    self.want(Content::Pair(memory), Origin::Flight);
                }
                Reading::SaveFirst
            }
            (Some(loaded), Some(memory)) if loaded.sign_in_id() == memory.sign_in_id() => Reading::Rotated,
            (Some(_), _) => Reading::OtherSignIn,
        }
    }
}

/// The newest at the end; the oldest makes room.
fn remember(hashes: &mut VecDeque<u64>, newest: u64) {
    if hashes.len() == SPENT {
        hashes.pop_front();
    }
    hashes.push_back(newest);
}

/// Whether this is surely somebody else's than the pair that was there: a store may lose the id, and two may sign in with one pair.
fn is_anothers(base: &Tokens, loaded: &Tokens) -> bool {
    let ids = base.sign_in_id().zip(loaded.sign_in_id());
    let same_secrets =
        base.access_token() == loaded.access_token() && base.refresh_token() == loaded.refresh_token();
    ids.is_some_and(|(one, other)| one != other) && !same_secrets
}

/// Of the refresh token, and of whose it is.
fn hash(pair: &Tokens) -> u64 {
    let mut hasher = DefaultHasher::new();
    (pair.sign_in_id(), pair.refresh_token().map(RefreshToken::reveal)).hash(&mut hasher);
    hasher.finish()
}

/// The same of the access token.
fn hash_of_access(pair: &Tokens) -> u64 {
    let mut hasher = DefaultHasher::new();
    ("access", pair.sign_in_id(), pair.access_token().reveal()).hash(&mut hasher);
    hasher.finish()
}

fn same(one: Option<&Tokens>, other: Option<&Tokens>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.same_pair(other),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
