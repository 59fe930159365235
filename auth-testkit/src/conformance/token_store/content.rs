//! What is saved is what is loaded, all of it.

use std::iter::once;

use super::samples::{LONGEST, SECRETS, bare, changed, full, one_field, without_one};
use super::world::World;
use crate::conformance::clause::{KEPT, Verdict};

pub(super) async fn empty(world: &World) -> Verdict {
    let place = world.place();

    place.open().await.holds(None, "in a place that nobody has used").await
}

pub(super) async fn whole(world: &World) -> Verdict {
    let some = one_field(1).map(|(field, tokens)| (format!("of a pair with only its {field}"), tokens));
    let most = without_one(2).map(|(field, tokens)| (format!("of a pair without its {field}"), tokens));
    let ends =
        [("of a pair with everything".to_owned(), full(0)), ("of an access token".to_owned(), bare(0))];
    for (which, tokens) in ends.into_iter().chain(some).chain(most) {
        // A place for each, so that nothing is left of the pair before.
        let place = world.place();
        let store = place.open().await;

        store.save(&tokens).await?;

        store.holds(Some(&tokens), &format!("after a save {which}")).await?;
    }
    KEPT
}

/// All that tells one sign-in from another may be its id.
pub(super) async fn sign_in_id(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    let first = changed(&bare(0), |stored| stored.sign_in_id = full(1).to_stored().sign_in_id);
    let second = changed(&bare(0), |stored| stored.sign_in_id = full(2).to_stored().sign_in_id);
    for tokens in [first, second, bare(0)] {
        store.save(&tokens).await?;

        store.holds(Some(&tokens), "after a save").await?;
    }
    KEPT
}

pub(super) async fn times(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    // Of today, of long ago, and of a server that says "for ever".
    for at in [1_767_225_599_999, 999, 4_922_899_200_123] {
        let tokens = changed(&bare(at), |stored| {
            stored.expires_at_ms = Some(at);
            stored.expires_in_ms = Some(at % 1000);
            stored.refresh_expires_at_ms = Some(at + 2);
            stored.refresh_expires_in_ms = Some(at % 1000 + 3_600_001);
        });
        store.save(&tokens).await?;

        store.holds(Some(&tokens), "after a save").await?;
    }
    KEPT
}

pub(super) async fn long(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    for length in [2 * 1024, 4 * 1024, LONGEST] {
        let text = |of: &str| Some(of.chars().cycle().take(length).collect::<String>());
        let tokens = changed(&full(0), |stored| {
            stored.access_token = text(SECRETS[0]).unwrap_or_default();
            stored.refresh_token = text(SECRETS[1]);
            stored.scope = text("notes:read notes:write ");
        });
        store.save(&tokens).await?;

        store.holds(Some(&tokens), &format!("after a save of texts of {length} bytes")).await?;
    }
    KEPT
}

pub(super) async fn characters(world: &World) -> Verdict {
    let place = world.place();
    let store = place.open().await;
    // An access token stands in a header. What the others are made of is the server's choice.
    let header: String = ('!'..='~').chain(once(' ')).chain(('!'..='~').rev()).collect();
    let controls: String = ('\u{1}'..='\u{7f}').collect();
    let texts = [
        header.as_str(),
        &controls,
        " in the middle of spaces ",
        "\u{e4}\u{17f}\u{4e2d}\u{1f511}",
        "\\u0041%41&amp;'\"\"''$1?--;",
    ];
    for text in texts {
        let tokens = changed(&bare(0), |stored| {
            stored.access_token.clone_from(&header);
            stored.refresh_token = Some(text.to_owned());
            stored.scope = Some(text.to_owned());
            stored.token_type = Some(text.to_owned());
        });
        store.save(&tokens).await?;

        store.holds(Some(&tokens), "after a save").await?;
    }
    KEPT
}
