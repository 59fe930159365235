use futures::FutureExt as _;

use super::super::books::{Content, Origin};
use crate::{RefreshError, Session, Tokens, refresher_fn};

/// A wait for the store that no write is to answer, since what it was for has been found there.
#[test]
fn whatever_settles_the_books_tells_those_who_wait_for_them() {
    let refresher = refresher_fn(|_: Tokens| async { Err(RefreshError::unavailable("nobody asks")) });
    let session = Session::builder(refresher).build();
    let core = session.core();

    let mut receiver = core.change(|state, _| {
        let number = state.books.want(Content::Nothing, Origin::Identity);
        state.books.wait(number)
    });
    assert!((&mut receiver).now_or_never().is_none(), "it has not been written");
    core.change(|state, _| state.books.found(None));

    assert!(matches!(receiver.now_or_never(), Some(Ok(Ok(())))));
}
