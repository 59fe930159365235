//! How a run is shown: as text, and as a page.

mod axis;
mod chart;
mod lanes;
mod legend;
mod markup;
mod overview;
mod page;
mod say;
#[cfg(test)]
pub(super) mod scenes;
mod text;

use super::run::Run;

pub use text::Timeline;

impl Run {
    /// The run as text: what was broken, a picture of letters, and the moments that led to it. What a failing test prints.
    pub fn timeline(&self) -> Timeline<'_> {
        Timeline::new(self)
    }

    /// The run as a page: one HTML file that needs nothing else, with a lane for each request, each process's flights, the
    /// store and the token endpoint. It can be opened from a disk, and mailed.
    #[must_use]
    pub fn html(&self) -> String {
        page::page(self)
    }
}
