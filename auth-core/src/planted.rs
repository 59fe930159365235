//! Planted faults: known bugs that a test can switch on, to show that it would notice them. Not for use.
//!
//! Every line of code that a fault touches asks [`Planted::has`], which is constant `false` without the feature
//! `planted-faults`.

#![cfg_attr(
    not(feature = "planted-faults"),
    allow(unreachable_pub, dead_code, reason = "public with the feature alone")
)]

use std::fmt;
use std::str::FromStr;

/// A bug that this library does not have, unless a test plants it (`SessionBuilder::plant`).
///
/// Only with the feature `planted-faults`, which is off by default and **not for use**: a check that finds none of these
/// checks nothing. Each breaks one of the invariants in `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A request that should join the flight starts another. (Invariant 1)
    DoubleRefresh,
    /// A new pair whose save failed is forgotten, so that the spent refresh token is presented again. (Invariant 2)
    LoseRotation,
    /// New tokens are in use before their save was answered. (Invariant 3)
    ReleaseBeforeSave,
    /// A rejected request is replayed as whoever has signed in since. (Invariant 4)
    CrossIdentity,
    /// What a refresh brings after a sign-out signs the user in again. (Invariant 4)
    Resurrect,
    /// The baton goes to the last in line. (Invariant 5)
    UnfairQueue,
    /// One that waits for a flight that fails is not told. (Invariant 6)
    LostWaiter,
    /// A request that nobody polls holds up the others for ever. (Invariant 6)
    NoPatience,
    /// A refresh advances the generation by two. (Invariant 7)
    SkipGeneration,
    /// The session's end is told twice. (Invariant 8)
    EndTwice,
    /// The error of a refused refresh quotes the refresh token. (Invariant 10)
    LeakSecret,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::DoubleRefresh,
        Self::LoseRotation,
        Self::ReleaseBeforeSave,
        Self::CrossIdentity,
        Self::Resurrect,
        Self::UnfairQueue,
        Self::LostWaiter,
        Self::NoPatience,
        Self::SkipGeneration,
        Self::EndTwice,
        Self::LeakSecret,
    ];

    /// Its name on a command line: `double-refresh`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DoubleRefresh => "double-refresh",
            Self::LoseRotation => "lose-rotation",
            Self::ReleaseBeforeSave => "release-before-save",
            Self::CrossIdentity => "cross-identity",
            Self::Resurrect => "resurrect",
            Self::UnfairQueue => "unfair-queue",
            Self::LostWaiter => "lost-waiter",
            Self::NoPatience => "no-patience",
            Self::SkipGeneration => "skip-generation",
            Self::EndTwice => "end-twice",
            Self::LeakSecret => "leak-secret",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no fault of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no planted fault has this name")]
pub struct UnknownFault;

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Self::ALL.into_iter().find(|fault| fault.name() == name).ok_or(UnknownFault)
    }
}

/// The fault that a session has, if it has one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted {
    #[cfg(feature = "planted-faults")]
    fault: Option<Fault>,
}

impl Planted {
    #[cfg(feature = "planted-faults")]
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault: Some(fault) }
    }

    #[cfg(feature = "planted-faults")]
    pub(crate) fn has(self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    #[cfg(not(feature = "planted-faults"))]
    pub(crate) const fn has(self, _: Fault) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        assert_eq!("double".parse::<Fault>(), Err(UnknownFault));
    }
}
