//! The life of a session in which every kind of event is told, with tokens that would be found anywhere.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use auth_core::{Body, Error, Event, Runtime as _, TokenResponse, TokenStore as _, Tokens};
use auth_testkit::{Op, ScriptedStore};
use futures::FutureExt as _;
use http::{Request, Response};

use crate::world::{Answer, World, error, status};

/// Long, and random to the eye: no text has four of their characters in a row by chance.
pub const SECRETS: [(&str, &str); 3] = [
    ("Zq7xVw2Jk9Pf4Lm8Rt3Hd6Gb5Nc1YsXo0Ue", "pX3vJ7qK1zW9mF5tB8hD2rG6nL4cYsQ0xEu"),
    ("Wj4mQx8Tz1Kv6Bp3Fs9Dl7Hn2Gr5CyXuJq0", "kQ8wZ2xV6jM4pT9fH1bR7dN3gL5sCyU0vXo"),
    ("Mf6Vz3Kq9Xw1Jt7Pb4Hc8Rd2Lg5NsYk0QoZv", "tV5zQ9jX2wK7mP4fB1hG8dR6nL3cSyJ0qUe"),
];

pub fn pair(n: usize) -> Tokens {
    let (access, refresh) = SECRETS[n];
    Tokens::new(access).unwrap().with_refresh_token(refresh)
}

/// Lives it to its end. Returns its events, in their order, and the errors that its requests got.
pub fn live() -> (Vec<Event>, Vec<Error>) {
    let (store, handle) = ScriptedStore::new();
    handle.lockable();
    let world = World::on(store.clone(), handle, |session| session, |client| client);
    let mut errors = vec![error(&world.get("/nobody"))];

    // A refresh with a failed attempt, whose tokens cannot be saved.
    world.sign_in(pair(0));
    let waiting = world.rejected("/1");
    refuse(&world, 503);
    world.store.fail_next(Op::Save, 2);
    world.refresh_answers(pair(1));
    world.api_answers(200);
    assert_eq!(status(&waiting), 200);

    // One in the queue is not polled.
    let before = world.rejected("/2");
    let unpolled = unpolled(&world);
    let behind = world.get("/3");
    world.refresh_answers(pair(2));
    world.api_answers(200);
    world.pass(Duration::from_secs(1));
    world.api_answers(200);
    assert_eq!([status(&before), status(&behind)], [200; 2]);
    drop(unpolled);

    // A refresher that panics with the token in its message.
    let waiting = world.rejected("/4");
    while let Some(call) = world.refresher.try_next() {
        call.panics(format!("no such token: {}", SECRETS[2].1));
        world.pass(Duration::from_secs(1));
    }
    errors.push(error(&waiting));

    // Somebody else signs in, elsewhere, and then here; the session drains, and ends.
    world.pass(Duration::from_secs(60));
    let waiting = world.get("/5");
    world.store.put_as_other_sign_in(pair(0));
    world.api_answers(401);
    world.settle();
    errors.push(error(&waiting));
    let an_hour = Duration::from_secs(3600);
    world.sign_in(pair(1).with_expires_in(an_hour, world.runtime.now()));
    let session = world.session.clone();
    let forced = world.runtime.start(async move { session.refresh(None).await });
    world.settle();
    refuse(&world, 400);
    errors.push(forced.take().unwrap().unwrap_err());
    let last = world.get("/6");
    world.api_answers(401);
    errors.push(error(&last));

    // A sign-out while another process keeps the store's lock.
    world.sign_in(pair(0));
    let foreign = world.runtime.block_on(store.lock()).unwrap();
    world.runtime.block_on(world.session.sign_out()).unwrap();
    drop(foreign);
    (world.events(), errors)
}

/// The token endpoint's answer to the pending call quotes the refresh token.
fn refuse(world: &World, code: u16) {
    let call = world.refresher.try_next().unwrap();
    let token = call.presented().refresh_token().unwrap().reveal();
    let body = format!(r#"{{"error": "invalid_grant", "error_description": "{token} is dead"}}"#);
    let response = Response::builder().status(code).body(Body::from(body)).unwrap();
    let read = TokenResponse::read(response, SystemTime::UNIX_EPOCH).now_or_never().unwrap();
    call.fail(read.unwrap_err());
    world.pass(Duration::from_secs(1));
}

/// A request that joins the queue, and is not polled again.
fn unpolled(world: &World) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    let client = world.client.clone();
    let request = Request::get("/unpolled").body(Body::empty()).unwrap();
    let mut unpolled = Box::pin(async move { client.send(request).await });
    assert!(unpolled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    unpolled
}
