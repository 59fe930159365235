//! The books: which refresh token was exchanged by whom, and which answers died with their processes.

use std::collections::{HashMap, HashSet};

use auth_testkit::processes::{Heard, MemberId, Said, Step};
use auth_testkit::server::Seen;

/// Read from the server's log, which names the process of each token request, and from what the processes said.
#[derive(Default)]
pub(crate) struct Books {
    /// So much of the log was read, and of what was said.
    read: usize,
    heard: usize,
    /// Refresh tokens that were exchanged, and by which process.
    exchanged: HashMap<String, String>,
    /// Those that a process has reported as saved.
    saved: HashSet<String>,
    killed: HashSet<String>,
}

/// A spent refresh token was presented once more.
pub(crate) struct Reuse {
    pub(crate) token: String,
    pub(crate) successor: String,
    /// Who had exchanged it.
    pub(crate) by: String,
    /// Who presented it again.
    pub(crate) again: String,
    /// The answer died with the process that had it: nobody else could know of it.
    pub(crate) explained: bool,
}

impl Books {
    /// What the processes have said so far, all of it.
    pub(crate) fn hear(&mut self, heard: &[Heard]) {
        for heard in heard.iter().skip(std::mem::replace(&mut self.heard, heard.len())) {
            if let Said::At(Step::Saved, label) = &heard.said {
                self.saved.insert(label.clone());
            }
        }
    }

    pub(crate) fn killed(&mut self, member: MemberId) {
        self.killed.insert(member.to_string());
    }

    /// What the rest of the log says.
    pub(crate) fn read(&mut self, log: &[Seen]) -> Vec<Reuse> {
        let mut reuses = Vec::new();
        for seen in log.iter().skip(std::mem::replace(&mut self.read, log.len())) {
            let Some(token) = seen.refresh_token.as_deref().and_then(label) else { continue };
            let by = seen.headers.get("x-member").and_then(|name| name.to_str().ok());
            let by = by.map_or_else(String::new, |name| format!("#{name}"));
            match (seen.status.map(|status| status.is_success()), self.exchanged.get(&token)) {
                (Some(true), None) => drop(self.exchanged.insert(token, by)),
                (Some(false), Some(before)) => {
                    let successor = successor(&token);
                    // One that had said it was saved was lost by the store.
                    let explained = self.killed.contains(before) && !self.saved.contains(&successor);
                    reuses.push(Reuse { token, successor, by: before.clone(), again: by, explained });
                }
                _ => {}
            }
        }
        reuses
    }
}

/// `R1.0` of `R1.0.9f3c…`: which one it is, and no secret.
fn label(token: &str) -> Option<String> {
    token.rsplit_once('.').map(|(label, _)| label.to_owned())
}

/// `R2.0` for `R1.0`.
fn successor(label: &str) -> String {
    let next = |label: &str| {
        let (generation, family) = label.strip_prefix('R')?.split_once('.')?;
        Some(format!("R{}.{family}", generation.parse::<u64>().ok()? + 1))
    };
    next(label).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_no_secret_and_has_a_successor() {
        assert_eq!(label("R9.2.0123").as_deref(), Some("R9.2"));
        assert_eq!(successor("R9.2"), "R10.2");
    }
}
