//! What a session tells its listeners, as a sentence.

use auth_core::{Cause, Event};

pub(super) fn told(event: &Event) -> String {
    match event {
        Event::Loaded { signed_in: true } => "the store was read: somebody is signed in".to_owned(),
        Event::Loaded { signed_in: false } => "the store was read: nobody is signed in".to_owned(),
        Event::LoadFailed { error } => format!("the load failed: {}", error.kind().as_str()),
        Event::SignedIn { epoch } => format!("signed in, epoch {epoch}"),
        Event::SignedOut { epoch } => format!("signed out, epoch {epoch}"),
        Event::IdentityChanged { epoch } => format!("follows another's sign-in, epoch {epoch}"),
        Event::RefreshStarted { cause, .. } => match cause {
            Cause::Proactive => "starts (the token has expired, or soon will)".to_owned(),
            Cause::Rejected => "starts (the token was rejected)".to_owned(),
            Cause::Forced => "starts (somebody asked for it)".to_owned(),
            _ => "starts".to_owned(),
        },
        Event::AttemptFailed { attempt, error, .. } => {
            format!("call {attempt} of the refresher failed: {}", error.kind().as_str())
        }
        Event::Saved => "saved, the store holds what it should".to_owned(),
        Event::SaveFailed { error } => format!("the save failed: {}", error.kind().as_str()),
        Event::WrittenUnlocked => "the store was written without its lock".to_owned(),
        Event::Refreshed { stamp, adopted, unchanged, waiters, .. } => {
            let adopted = if *adopted { ", adopted from the store" } else { "" };
            let unchanged = if *unchanged { ", the same access token" } else { "" };
            format!("published as stamp {}{adopted}{unchanged}; {waiters} wait", super::stamp(*stamp))
        }
        Event::RefreshFailed { error, .. } => format!("fails: {}", error.kind().as_str()),
        Event::Draining => "draining: the refresh token is dead".to_owned(),
        Event::Ended(ended) => format!("ended, {}", ended.reason),
        Event::Replayed { ticket: Some(ticket), .. } => format!("replays ticket {ticket}"),
        Event::Replayed { ticket: None, .. } => "a request is replayed out of line".to_owned(),
        Event::QueueOpened { .. } => "the queue opens: the first in line was not polled".to_owned(),
        other => format!("{other:?}"),
    }
}
