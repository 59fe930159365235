//! The legend: how each phase and each sign looks, and what it means, in every rendering.

use auth_core::SessionState;

use super::lanes::{Phase, Sign};

/// How something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Look {
    pub(super) group: Group,
    /// Its place in its group.
    rank: u8,
    /// In the picture of letters.
    pub(super) letter: char,
    /// In the page: a class for phases, the id of a shape for signs.
    pub(super) name: &'static str,
    pub(super) words: &'static str,
}

/// What is explained in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Requests,
    Flights,
    Sessions,
    Marks,
}

impl Group {
    pub(super) const ALL: [Self; 4] = [Self::Requests, Self::Flights, Self::Sessions, Self::Marks];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Flights => "flights, store",
            Self::Sessions => "sessions",
            Self::Marks => "marks",
        }
    }
}

impl Phase {
    pub(super) fn look(self) -> Look {
        use Group::{Flights, Requests, Sessions};

        let (group, rank, letter, name, words) = match self {
            Self::Sent => (Requests, 0, 's', "sent", "sent"),
            Self::Queued => (Requests, 1, 'q', "queued", "waits for a token"),
            Self::Replayed => (Requests, 2, 'r', "replayed", "sent again"),
            Self::Parked => (Requests, 3, 'z', "parked", "not polled"),
            Self::Flight => (Flights, 0, 'f', "flight", "a flight"),
            Self::Asking => (Flights, 1, 'a', "asking", "asks the token endpoint"),
            Self::Locking => (Flights, 2, 'i', "locking", "in line for the lock"),
            Self::Holding => (Flights, 3, 'h', "holding", "holds the lock"),
            Self::Loading => (Flights, 4, 'l', "loading", "loads"),
            Self::Saving => (Flights, 5, 'w', "saving", "saves"),
            Self::Clearing => (Flights, 6, 'c', "clearing", "clears"),
            Self::State(SessionState::SignedOut) => (Sessions, 1, '.', "signed-out", "signed out"),
            Self::State(SessionState::Active) => (Sessions, 2, '=', "active", "active"),
            Self::State(SessionState::Refreshing) => (Sessions, 3, '~', "refreshing", "refreshing"),
            Self::State(SessionState::Draining) => (Sessions, 4, '-', "draining", "draining"),
            Self::State(SessionState::Ended(_)) => (Sessions, 5, '#', "ended", "ended"),
            Self::State(_) => (Sessions, 0, '?', "unknown", "unknown"),
        };
        Look { group, rank, letter, name, words }
    }
}

impl Sign {
    pub(super) fn look(self) -> Look {
        let (letter, name, words) = match self {
            Self::Rejected => ('4', "s-401", "401"),
            Self::Ok => ('+', "s-ok", "done"),
            Self::Refused => ('n', "s-refused", "its response says no"),
            Self::Failed => ('x', "s-failed", "failed"),
            Self::Cancelled => ('/', "s-cancelled", "dropped"),
            Self::Parked => ('Z', "s-parked", "polled no more"),
            Self::Exchanged => ('E', "s-exchanged", "exchanged"),
            Self::Lost => ('L', "s-lost", "the answer is lost"),
            Self::Stored => ('S', "s-stored", "stored"),
            Self::Published => ('P', "s-published", "published"),
            Self::Opened => ('Q', "s-opened", "the queue opens"),
            Self::SignedIn => ('I', "s-sign-in", "sign-in"),
            Self::SignedOut => ('O', "s-sign-out", "sign-out, revoked"),
            Self::Ended => ('X', "s-ended", "the session ends"),
            Self::Started => ('>', "s-started", "the process starts"),
            Self::Killed => ('K', "s-killed", "killed"),
            Self::Leaked => ('*', "s-leaked", "a token leaked"),
            Self::Meddled => ('M', "s-meddled", "the plan"),
            Self::Healed => ('H', "s-healed", "the plan is over"),
        };
        Look { group: Group::Marks, rank: self as u8, letter, name, words }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use auth_core::EndReason;

    use super::*;

    #[test]
    fn no_two_things_look_alike() {
        let states = [SessionState::Unknown, SessionState::SignedOut, SessionState::Active]
            .into_iter()
            .chain([SessionState::Refreshing, SessionState::Draining])
            .chain([SessionState::Ended(EndReason::Rejected)]);
        let phases =
            [Phase::Sent, Phase::Queued, Phase::Replayed, Phase::Parked, Phase::Flight, Phase::Asking]
                .into_iter()
                .chain([Phase::Loading, Phase::Saving, Phase::Clearing, Phase::Locking, Phase::Holding])
                .chain(states.map(Phase::State));
        let signs = [Sign::Ok, Sign::Rejected, Sign::Refused, Sign::Failed, Sign::Cancelled, Sign::Parked]
            .into_iter()
            .chain([
                Sign::Started,
                Sign::Killed,
                Sign::SignedIn,
                Sign::SignedOut,
                Sign::Exchanged,
                Sign::Lost,
            ])
            .chain([Sign::Published, Sign::Stored, Sign::Opened, Sign::Ended, Sign::Meddled, Sign::Healed])
            .chain([Sign::Leaked]);

        let looks: Vec<Look> = phases.map(Phase::look).chain(signs.map(Sign::look)).collect();

        assert_eq!(looks.iter().map(|look| look.letter).collect::<BTreeSet<_>>().len(), looks.len());
        assert_eq!(looks.iter().map(|look| look.name).collect::<BTreeSet<_>>().len(), looks.len());
        assert_eq!(
            looks.iter().map(|look| (look.group, look.rank)).collect::<BTreeSet<_>>().len(),
            looks.len()
        );
    }
}
