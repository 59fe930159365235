//! Invariants: what must hold in every run, judged moment by moment.
//!
//! Each looks at the record as it grows and keeps what it needs to know; none looks into the library. The numbers are those
//! of `ARCHITECTURE.md`.

mod answers;
mod cooling;
mod endings;
mod first;
mod forced;
mod identity;
mod idle;
mod known;
mod locking;
mod looking;
mod needless;
mod order;
mod pace;
mod refreshing;
mod revoking;
mod road;
mod saving;
mod settling;
mod storms;
mod telling;
mod trying;
mod valid;

use super::plan::Plan;
use super::record::{Moment, What};
use super::run::Violation;

/// What must hold in every run of a simulated world.
///
/// It sees every moment of a run in order, and says when a promise is broken; the run ends there. One is made for each
/// run, with [`Simulation::invariant`](super::Simulation::invariant).
///
/// ```
/// use auth_testkit::simulation::{Invariant, Moment, Simulation, What};
///
/// /// A budget: no world needs more than a hundred token requests.
/// struct Frugal(u32);
///
/// impl Invariant for Frugal {
///     fn name(&self) -> &str {
///         "frugal"
///     }
///     fn see(&mut self, moment: &Moment) -> Result<(), String> {
///         if let What::Presented { .. } = moment.what {
///             self.0 += 1;
///         }
///         if self.0 > 100 { Err("too many token requests".to_owned()) } else { Ok(()) }
///     }
/// }
///
/// Simulation::new().invariant(|_plan| Frugal(0)).seeds(0..10).assert();
/// ```
pub trait Invariant: Send {
    /// Its name, for the violation.
    fn name(&self) -> &str;

    /// The next moment of the run.
    ///
    /// # Errors
    ///
    /// A sentence: what happened that must not happen.
    fn see(&mut self, moment: &Moment) -> Result<(), String>;

    /// Nothing new was begun for longer than all deadlines together: twice before the end of a run, and at its end.
    ///
    /// # Errors
    ///
    /// A sentence: what is not as it should be.
    fn at_rest(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// All invariants of one run.
pub(super) struct Watch {
    all: Vec<Box<dyn Invariant>>,
    must_succeed: Vec<u32>,
}

type Broken = (String, String);

impl Watch {
    /// All but those of these names, and more.
    pub(super) fn new(
        plan: &Plan,
        without: &[String],
        more: impl Iterator<Item = Box<dyn Invariant>>,
    ) -> Self {
        let mut all: Vec<Box<dyn Invariant>> = vec![
            Box::<refreshing::OneFlight>::default(),
            Box::new(refreshing::NoReuse::new(plan)),
            Box::<saving::SavedFirst>::default(),
            Box::<saving::OneWriter>::default(),
            Box::<identity::OneIdentity>::default(),
            Box::<order::InOrder>::default(),
            Box::new(order::Patience::new(plan)),
            Box::<settling::EverybodySettles>::default(),
            Box::<refreshing::Generation>::default(),
            Box::<endings::EndsOnce>::default(),
            Box::new(endings::NoFalseLogout::new(plan)),
            Box::new(NoSecrets),
            Box::new(road::Road::new(plan)),
            Box::new(valid::GoodTokens::new(plan)),
            Box::new(valid::NobodyWaits::new(plan)),
            Box::new(needless::Reasons::new(plan)),
            Box::new(storms::Restraint::new(plan)),
            Box::new(pace::Pace::new(plan)),
            Box::new(answers::Grounds::new(plan)),
            Box::new(telling::Told::new(plan)),
            Box::new(locking::UnderLock::new(plan)),
            Box::new(looking::LooksFirst::new(plan)),
            Box::new(revoking::Revoked::new(plan)),
            Box::new(idle::NeverStale::new(plan)),
            Box::new(trying::Tries::new(plan)),
            Box::new(forced::Wishes::new(plan)),
        ];
        all.retain(|invariant| !without.iter().any(|name| name == invariant.name()));
        all.extend(more);
        Self { all, must_succeed: Vec::new() }
    }

    /// This request is made when all is well.
    pub(super) fn must_succeed(&mut self, request: u32) {
        self.must_succeed.push(request);
    }

    pub(super) fn see(&mut self, moment: &Moment) -> Result<(), Violation> {
        let broken = |(invariant, message)| Violation {
            invariant,
            message,
            at: moment.at,
            process: Some(moment.process),
        };
        self.life_goes_on(moment).map_err(broken)?;
        for invariant in &mut self.all {
            invariant.see(moment).map_err(|message| broken((invariant.name().to_owned(), message)))?;
        }
        Ok(())
    }

    /// Once nothing goes wrong any more, whoever signs in gets an answer.
    fn life_goes_on(&mut self, moment: &Moment) -> Result<(), Broken> {
        match &moment.what {
            What::Settled { request, outcome, .. } if self.must_succeed.contains(request) => {
                self.must_succeed.retain(|other| other != request);
                if *outcome != Ok(200) {
                    let what = format!(
                        "after a new sign-in, with all well again, request {request} got {outcome:?}"
                    );
                    return Err(("life-goes-on".to_owned(), what));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn at_rest(&mut self, panics: usize) -> Result<(), Broken> {
        if panics > 0 {
            return Err(("no-panic".to_owned(), format!("{panics} tasks panicked")));
        }
        for invariant in &mut self.all {
            invariant.at_rest().map_err(|message| (invariant.name().to_owned(), message))?;
        }
        Ok(())
    }

    /// Nobody uses anything any more, and so many tasks still live.
    #[expect(clippy::unused_self, reason = "asked like the others")]
    pub(super) fn left_behind(&mut self, tasks: usize) -> Result<(), Broken> {
        if tasks == 0 {
            return Ok(());
        }
        Err(("nothing-left".to_owned(), format!("{tasks} tasks go on for ever though nobody uses them")))
    }
}

/// 10. No secret is in any text that leaves the library.
struct NoSecrets;

impl Invariant for NoSecrets {
    fn name(&self) -> &'static str {
        "no-secrets"
    }

    fn see(&mut self, moment: &Moment) -> Result<(), String> {
        match &moment.what {
            What::Leaked(place) => Err(format!("a token's text is in {place}")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
