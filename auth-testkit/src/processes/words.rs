//! What a crew and its members say to each other: a line each, on the member's standard input and output.

use std::fmt;
use std::time::Duration;

/// A member of a crew, by the order in which they were started. A number is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub(super) usize);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// How far a member has come with a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// It has the store's lock.
    Locked,
    /// It has read the store under the lock.
    Loaded,
    /// It is about to send its refresh token.
    Presenting,
    /// It has the answer, and has told nobody.
    Answered,
    /// It is about to save.
    Saving,
    /// The store says that it is saved.
    Saved,
    /// The store says that the lock was lost, and has not saved.
    Refused,
    /// The store has not saved, for another reason.
    Failed,
    /// It is about to give the lock back.
    Releasing,
    /// It has given the lock back.
    Released,
}

impl Step {
    /// In the order in which a refresh that goes well comes to them.
    pub const ALL: [Self; 8] = [
        Self::Locked,
        Self::Loaded,
        Self::Presenting,
        Self::Answered,
        Self::Saving,
        Self::Saved,
        Self::Releasing,
        Self::Released,
    ];

    /// In small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Loaded => "loaded",
            Self::Presenting => "presenting",
            Self::Answered => "answered",
            Self::Saving => "saving",
            Self::Saved => "saved",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Releasing => "releasing",
            Self::Released => "released",
        }
    }

    fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Refused, Self::Failed]).find(|step| step.name() == name)
    }
}

/// What a member was told to do, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The request was answered with 200, or the sign-in was saved.
    Done,
    /// It failed: the kind of the error as `auth_core::ErrorKind` says it, or `status_401`.
    Failed(String),
    /// The member has ended before it said anything.
    Gone,
}

impl Outcome {
    /// Whether it went well.
    #[must_use]
    pub fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

/// Something that a member has said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heard {
    /// Who.
    pub member: MemberId,
    /// What.
    pub said: Said,
}

/// What a member says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// It has opened its store, and does what it is told from now on.
    Ready,
    /// It is at this step with a pair: the label of its refresh token, `R1.0`, which is no secret, or nothing.
    At(Step, String),
    /// The same, and it waits there until it is told to go on.
    Halted(Step, String),
    /// What became of an order, by the order's number.
    Ended(u64, Outcome),
    /// The process has ended.
    Gone,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::At(step, label) => write!(f, "at {} {label}", step.name()),
            Self::Halted(step, label) => write!(f, "halted {} {label}", step.name()),
            Self::Ended(number, Outcome::Failed(kind)) => write!(f, "ended {number} {kind}"),
            Self::Ended(number, _) => write!(f, "ended {number} done"),
            Self::Gone => f.write_str("gone"),
        }
    }
}

impl Said {
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let said = match words.next()? {
            "ready" => Self::Ready,
            "at" => Self::At(Step::read(words.next()?)?, words.next()?.to_owned()),
            "halted" => Self::Halted(Step::read(words.next()?)?, words.next()?.to_owned()),
            "ended" => Self::Ended(
                words.next()?.parse().ok()?,
                match words.next()? {
                    "done" => Outcome::Done,
                    kind => Outcome::Failed(kind.to_owned()),
                },
            ),
            _ => return None,
        };
        Some(said)
    }
}

/// What a member is told. No `Debug`: a sign-in has tokens.
pub(super) enum Order {
    /// Make a request, again and again for as long as that may help.
    Request {
        number: u64,
        patience: Duration,
    },
    /// Sign in with these, as JSON.
    SignIn {
        number: u64,
        tokens: String,
    },
    SignOut {
        number: u64,
    },
    /// Another session on the same store.
    Reopen {
        number: u64,
    },
    /// Wait at this step when you come to it next.
    Halt(Step),
    Go,
}

impl Order {
    pub(super) fn write(&self) -> String {
        match self {
            Self::Request { number, patience } => format!("request {number} {}", patience.as_millis()),
            Self::SignIn { number, tokens } => format!("sign-in {number} {tokens}"),
            Self::SignOut { number } => format!("sign-out {number}"),
            Self::Reopen { number } => format!("reopen {number}"),
            Self::Halt(step) => format!("halt {}", step.name()),
            Self::Go => "go".to_owned(),
        }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(match word {
            "request" => {
                let (number, patience) = rest.split_once(' ')?;
                let patience = Duration::from_millis(patience.parse().ok()?);
                Self::Request { number: number.parse().ok()?, patience }
            }
            "sign-in" => {
                let (number, tokens) = rest.split_once(' ')?;
                Self::SignIn { number: number.parse().ok()?, tokens: tokens.to_owned() }
            }
            "sign-out" => Self::SignOut { number: rest.parse().ok()? },
            "reopen" => Self::Reopen { number: rest.parse().ok()? },
            "halt" => Self::Halt(Step::read(rest)?),
            "go" => Self::Go,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        for said in [
            Said::Ready,
            Said::At(Step::Refused, "R1.0".to_owned()),
            Said::Halted(Step::Saving, "-".to_owned()),
            Said::Ended(7, Outcome::Done),
            Said::Ended(7, Outcome::Failed("refresh_unavailable".to_owned())),
        ] {
            assert_eq!(Said::read(&said.to_string()), Some(said));
        }
    }

    #[test]
    fn what_is_ordered_is_understood() {
        for text in [
            "request 1 500",
            "sign-in 2 {\"access_token\":\"T 0\"}",
            "sign-out 3",
            "reopen 4",
            "halt saving",
            "go",
        ] {
            assert_eq!(Order::read(text).map(|order| order.write()).as_deref(), Some(text));
        }
        assert!(Order::read("halt anywhere").is_none());
    }
}
