//! Who is killed, and where: as a seed decides.

use auth_testkit::processes::Step;

/// Numbers that look like chance (SplitMix64).
pub(crate) struct Killer {
    state: u64,
}

/// Whom a round costs its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Nobody,
    /// The one of this number among those that are there, as soon as it was told to make a request.
    Anybody(usize),
    /// Whoever is first to say that it is at this step. It may have gone on by then: how far is up to the system.
    Whoever(Step),
}

impl Killer {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn below(&mut self, most: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % most as u64) as usize
    }

    /// In five rounds of six it is nobody.
    pub(crate) fn target(&mut self, processes: usize) -> Target {
        match self.below(6) {
            0 if self.below(4) == 0 => Target::Anybody(self.below(processes)),
            0 => Target::Whoever(Step::ALL[self.below(Step::ALL.len())]),
            _ => Target::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything() {
        let targets = |seed| {
            let mut killer = Killer::new(seed);
            (0..200).map(|_| killer.target(8)).collect::<Vec<_>>()
        };

        assert_eq!(targets(1), targets(1));
        assert_ne!(targets(1), targets(2));
    }

    #[test]
    fn every_point_has_its_turn() {
        let mut killer = Killer::new(0);
        let targets: Vec<_> = (0..1000).map(|_| killer.target(8)).collect();

        for step in Step::ALL {
            assert!(targets.contains(&Target::Whoever(step)), "{step:?}");
        }
        for process in 0..8 {
            assert!(targets.contains(&Target::Anybody(process)), "{process}");
        }
    }
}
