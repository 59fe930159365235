//! Programs that show the framework at work. The README's code is compiled here.

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
pub struct Readme;
