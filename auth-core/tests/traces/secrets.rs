//! Secrets: no trace shows one, at any level.

use crate::life::{SECRETS, live};
use crate::recorder::Recorder;

/// L6: a whole life, with every kind of event and of failure, a token endpoint that echoes and a refresher that quotes.
#[test]
fn no_span_and_no_event_shows_a_token() {
    let recorder = Recorder::default();

    let (_, errors) = recorder.during(live);

    let shown = recorder.shown();
    assert!(errors.len() >= 5, "the life was hard");
    assert!(shown.len() > 5000, "and much was shown: {}", shown.len());
    for secret in SECRETS.iter().flat_map(|(access, refresh)| [access, refresh]) {
        for part in secret.as_bytes().windows(4) {
            let part = std::str::from_utf8(part).unwrap();
            assert!(!shown.contains(part), "{part} of a secret is in {shown}");
        }
    }
}

/// L6: the search above finds what a careless refresher says, in an error's causes as well.
#[test]
fn a_token_in_an_error_would_be_found() {
    use crate::world::World;
    use auth_core::RefreshError;
    let recorder = Recorder::default();

    recorder.during(|| {
        let world = World::signed_in();
        let _waiting = world.rejected("/1");
        let call = world.refresher.try_next().unwrap();
        call.fail(RefreshError::unavailable(format!("{} is dead", SECRETS[0].1)));
        world.settle();
    });

    assert!(recorder.shown().contains(SECRETS[0].1));
}
