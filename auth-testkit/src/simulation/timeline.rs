//! How a run is shown: as text, and as a page.

mod axis;
mod lanes;
mod overview;
mod say;
#[cfg(test)]
mod scenes;
mod text;

use super::run::Run;

pub use text::Timeline;

impl Run {
    /// The run as text: what was broken, a picture of letters, and the moments that led to it. What a failing test prints.
    #[must_use]
    pub fn timeline(&self) -> Timeline<'_> {
        Timeline::new(self)
    }
}
