//! Sign-outs, by the user and by the server.

use auth_core::{EndReason, SessionState};
use auth_testkit::ScriptedStore;
use notes_sdk::Error;

use crate::world::{World, granted, result};

#[test]
fn a_sign_out_in_the_middle_of_a_refresh_resurrects_nobody() {
    let (store, stored) = ScriptedStore::new();
    let world = World::on(store);
    let call = world.list();
    world.api_answers(401);
    let (refresh, _) = world.login("/token");

    let written = world.notes.sign_out();
    world.runtime.run_until_stalled();
    assert!(matches!(result(&call), Err(Error::SignIn { .. })), "at once");
    world.runtime.block_on(written).unwrap();

    world.answer(refresh, 200, granted(1));
    let (revocation, form) = world.login("/revoke");
    assert_eq!(form, "token=R1&client_id=notes-sdk", "what came too late is given back");
    world.answer(revocation, 200, ());
    assert_eq!(world.notes.session().state(), SessionState::SignedOut);
    assert!(stored.content().is_none());
    assert_eq!(world.ended(), [], "a sign-out is no end of a session");
    assert_eq!(world.bearers(), ["T0"]);
}

#[test]
fn a_dead_refresh_token_goes_to_the_login_page_once() {
    let (store, stored) = ScriptedStore::new();
    let world = World::on(store);
    let calls: Vec<_> = (0..10).map(|_| world.list()).collect();
    for _ in 0..10 {
        world.api_answers(401);
    }

    let (refresh, _) = world.login("/token");
    world.answer(refresh, 400, r#"{"error": "invalid_grant"}"#);

    for call in &calls {
        assert!(matches!(result(call), Err(Error::SignIn { .. })));
    }
    assert_eq!(world.ended(), [EndReason::Rejected]);
    assert!(stored.content().is_none());
    assert!(matches!(result(&world.list()), Err(Error::SignIn { .. })));
    assert_eq!(world.network.calls(), 11, "nothing is sent any more");
}
