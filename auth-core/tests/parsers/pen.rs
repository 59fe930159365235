//! A pen: writes one meaning in many spellings, as its choices say. Without choices it writes the plainest one.

use proptest::prelude::*;

#[derive(Clone, Debug)]
pub struct Pen {
    choices: Vec<u8>,
    next: usize,
}

/// Any spelling; shrinks towards the plainest.
pub fn pen() -> impl Strategy<Value = Pen> {
    prop::collection::vec(any::<u8>(), 0..64).prop_map(|choices| Pen { choices, next: 0 })
}

impl Pen {
    /// One of so many ways; 0 is the plainest.
    pub fn choose(&mut self, ways: usize) -> usize {
        if self.choices.is_empty() {
            return 0;
        }
        let choice = self.choices[self.next % self.choices.len()];
        self.next += 1;
        usize::from(choice) % ways
    }

    pub fn pick<'a>(&mut self, ways: &[&'a str]) -> &'a str {
        ways[self.choose(ways.len())]
    }

    /// The text in any mixture of letter cases.
    pub fn letters(&mut self, text: &str) -> String {
        let each = |c: char| match self.choose(3) {
            0 => c,
            1 => c.to_ascii_uppercase(),
            _ => c.to_ascii_lowercase(),
        };
        text.chars().map(each).collect()
    }
}
