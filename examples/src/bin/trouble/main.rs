//! An hour of trouble, in virtual time: what an app that keeps its user signed in has to live through, told as a diary.
#![allow(clippy::print_stdout, reason = "a program for a person")]

mod acts;
mod diary;
mod phone;
mod refresher;
mod report;
mod server;

use std::error::Error as StdError;

use auth_core::{AuthClient, Session};
use auth_testkit::ManualRuntime;

use crate::acts::Story;
use crate::diary::Diary;
use crate::phone::Phone;
use crate::refresher::Login;
use crate::server::{API, Server};

fn main() -> Result<(), Box<dyn StdError>> {
    let runtime = ManualRuntime::new();
    let (server, diary) = (Server::new(&runtime), Diary::new(&runtime));
    let login = Login { server: server.clone(), runtime: runtime.clone(), diary: diary.clone() };
    let hook = diary.clone();
    let session = Session::builder(login)
        .runtime(runtime.clone())
        .refresh_while_idle()
        .observer(diary.clone())
        .on_session_ended(move |_| hook.note("the app goes to the login page"))
        .build();
    let client = AuthClient::builder(server.clone(), session.clone()).origin(API).build()?;
    let phone =
        Phone { client, runtime: runtime.clone(), diary: diary.clone(), tally: std::sync::Arc::default() };

    println!("An hour of trouble. Tokens live for ten minutes; no real time passes.");
    let story = Story { runtime: runtime.clone(), server, session, phone, diary };
    runtime.block_on(story.live())?;
    report::report(&story)
}
