//! What is read and written, and what is wrong with that.

use auth_core::{StoreError, StoredTokens, Tokens};

use super::{Flaw, Place, yielded};

impl Place {
    pub(super) async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.visit();
        let found = {
            let mut state = self.state();
            if state.broken {
                return Err(StoreError::new("the connection was lost"));
            }
            let behind: Vec<_> = std::mem::take(&mut state.behind);
            if let Some(first) = behind.into_iter().next() {
                state.content = Some(first);
            }
            if let Some(late) = state.late.take() {
                state.content = late;
            }
            if state.garbled {
                return match self.flaw {
                    Flaw::TakesGarbageForNothing => Ok(None),
                    Flaw::QuotesGarbage => {
                        Err(StoreError::new(format!("no tokens: {:?}", text(&state.content))))
                    }
                    _ => Err(StoreError::new("no tokens")),
                };
            }
            if matches!(self.flaw, Flaw::TakesOutToRead) {
                state.content.take()
            } else {
                state.content.clone()
            }
        };
        yielded().await;
        match self.flaw {
            Flaw::TakesOutToRead => self.state().content.clone_from(&found),
            Flaw::Loads(change) => return change(found),
            _ => {}
        }
        Ok(found)
    }

    pub(super) async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.visit();
        let old = self.may_write(tokens)?;
        let mut new = tokens.to_stored();
        match self.flaw {
            Flaw::Saves(change) => change(&mut new),
            Flaw::RefusesLongTokens if new.access_token.len() > 2560 => {
                return Err(StoreError::new("too long"));
            }
            Flaw::TakesSameSecretsForTheSame => {
                let old = old.as_ref().map(Tokens::to_stored);
                if old.is_some_and(|old| {
                    (old.access_token, old.refresh_token)
                        == (new.access_token.clone(), new.refresh_token.clone())
                }) {
                    return Ok(());
                }
            }
            Flaw::KeepsTheOldRefreshToken => {
                let old = old.as_ref().and_then(|old| old.to_stored().refresh_token);
                new.refresh_token = new.refresh_token.or(old);
            }
            Flaw::WritesBehindInTheWrongOrder => {
                self.state().behind.push(tokens.clone());
                return Ok(());
            }
            Flaw::SavesByHalves => {
                let mut half = new.clone();
                half.refresh_token = old.and_then(|old| old.to_stored().refresh_token);
                self.put(Some(made(half)));
                self.let_others_in();
            }
            Flaw::ClearsBeforeItSaves => self.put(None),
            Flaw::OneTemporaryName => {
                new.access_token = self.by_way_of_the_temporary(tokens).to_stored().access_token;
            }
            _ => {}
        }
        let unfinished = Unfinished { place: self, tokens: Some(tokens) };
        yielded().await;
        std::mem::forget(unfinished);
        self.put(Some(made(new)));
        Ok(())
    }

    pub(super) async fn clear(&self) -> Result<(), StoreError> {
        self.visit();
        if self.state().failing {
            return Err(StoreError::new("the disk is full"));
        }
        let old = self.state().content.clone();
        match self.flaw {
            Flaw::ClearDoesNothing => return Ok(()),
            Flaw::RefusesToClearNothing if old.is_none() => return Err(StoreError::new("there is no entry")),
            Flaw::ClearsByHalves => {
                let mut half = old.as_ref().map(Tokens::to_stored);
                half.iter_mut().for_each(|half| half.refresh_token = None);
                self.put(half.map(made));
            }
            _ => {}
        }
        let unfinished = Unfinished { place: self, tokens: None };
        yielded().await;
        std::mem::forget(unfinished);
        self.state().behind.clear();
        self.put(None);
        Ok(())
    }

    /// What is there.
    fn may_write(&self, new: &Tokens) -> Result<Option<Tokens>, StoreError> {
        let mut state = self.state();
        if state.broken {
            return Err(StoreError::new("the connection was lost"));
        }
        if !state.failing {
            return Ok(state.content.clone());
        }
        if matches!(self.flaw, Flaw::DeletesBeforeItFails) {
            state.content = None;
        }
        let token = new.access_token().reveal();
        Err(match self.flaw {
            Flaw::FailsWithTheToken => StoreError::new(format!("cannot write {token}")),
            Flaw::FailsWithTheBytes => StoreError::new(format!("cannot write {:?}", token.as_bytes())),
            _ => StoreError::new("the disk is full"),
        })
    }

    pub(super) fn put(&self, tokens: Option<Tokens>) {
        self.state().content = tokens;
    }
}

/// A write that does not come to its end.
struct Unfinished<'a> {
    place: &'a Place,
    tokens: Option<&'a Tokens>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        match self.place.flaw {
            Flaw::LosesItsConnectionWhenDropped if self.tokens.is_some() => self.place.state().broken = true,
            Flaw::FinishesDroppedSavesLate if self.tokens.is_some() => {
                self.place.state().late = Some(self.tokens.cloned());
            }
            Flaw::FinishesDroppedClearsLate if self.tokens.is_none() => self.place.state().late = Some(None),
            _ => {}
        }
    }
}

pub(super) fn made(stored: StoredTokens) -> Tokens {
    Tokens::try_from(stored).unwrap()
}

fn text(tokens: &Option<Tokens>) -> Option<String> {
    tokens.as_ref().map(|tokens| tokens.access_token().reveal().to_owned())
}
