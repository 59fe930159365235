//! Tests of the books.

use super::*;
use crate::SignInId;

fn pair(name: &str, sign_in: u64) -> Arc<Tokens> {
    let tokens = Tokens::new(format!("T{name}")).unwrap().with_refresh_token(format!("R{name}"));
    Arc::new(tokens.with_sign_in_id(Some(SignInId::from_random(0, sign_in))))
}

fn written(pair: &Arc<Tokens>) -> Books {
    let mut books = Books::new();
    books.want(Content::Pair(Arc::clone(pair)), Origin::Identity);
    let order = books.due().unwrap();
    drop(books.answered(&order, Ok(())));
    books
}

#[test]
fn a_store_that_holds_memorys_pair_is_ours() {
    let r0 = pair("0", 1);
    assert_eq!(written(&r0).read(Some(&r0)), Reading::Ours);
}

#[test]
fn another_pair_of_this_sign_in_was_rotated_elsewhere() {
    assert_eq!(written(&pair("0", 1)).read(Some(&pair("1", 1))), Reading::Rotated);
}

#[test]
fn a_pair_with_a_refresh_token_that_was_exchanged_here_is_overwritten_and_not_adopted() {
    let late = Arc::new(Tokens::clone(&pair("0", 1)));
    let late = Tokens::new("T0b").unwrap().with_refresh_token("R0").with_sign_in_id(late.sign_in_id());
    let mut books = written(&pair("0", 1));
    books.exchanged(&pair("0", 1));
    books.want(Content::Pair(pair("1", 1)), Origin::Flight);
    drop(books.answered(&books.due().unwrap(), Ok(())));

    assert_eq!(books.read(Some(&late)), Reading::SaveFirst);

    let order = books.due().expect("ours is written again");
    assert!(matches!(&order.content, Content::Pair(ours) if ours.same_pair(&pair("1", 1))));
    assert_eq!(order.origin, Origin::Flight, "it gives way to what is newer still");
    assert!(
        books.knows(Some(&late), &pair("1", 1)),
        "a write under a lock of its own gives way to what it does not know"
    );
}

/// K2: saves fail here and elsewhere, and this session goes on from memory; the other one's save succeeds first.
#[test]
fn a_pair_that_comes_several_rotations_late_is_overwritten_as_well() {
    let mut books = written(&pair("0", 1));
    for generation in 0..SPENT {
        books.exchanged(&pair(&generation.to_string(), 1));
        books.want(Content::Pair(pair(&(generation + 1).to_string(), 1)), Origin::Flight);
        drop(books.answered(&books.due().unwrap(), Err(Arc::new(StoreError::new("full")))));
    }

    assert_eq!(books.read(Some(&pair("1", 1))), Reading::SaveFirst);
    assert_eq!(
        books.read(Some(&pair("1", 2))),
        Reading::OtherSignIn,
        "of another sign-in it is another token"
    );
    books.exchanged(&pair("last", 1));
    for late in ["2", &(SPENT - 1).to_string(), "last"] {
        assert_eq!(books.read(Some(&pair(late, 1))), Reading::SaveFirst, "{late}");
    }
    assert_eq!(books.read(Some(&pair("elsewhere", 1))), Reading::Rotated);
    assert_eq!(books.spent.len(), SPENT);
}

#[test]
fn a_refresh_token_that_the_server_gives_once_more_is_not_spent() {
    let mut books = written(&pair("0", 1));
    for (before, after) in [("0", "1"), ("1", "0")] {
        books.exchanged(&pair(before, 1));
        books.want(Content::Pair(pair(after, 1)), Origin::Flight);
        drop(books.answered(&books.due().unwrap(), Ok(())));
    }
    let newer = Tokens::new("T2").unwrap().with_refresh_token("R0");

    assert_eq!(books.read(Some(&newer.with_sign_in_id(pair("0", 1).sign_in_id()))), Reading::Rotated);
}

#[test]
fn another_sign_in_is_another_identity_even_without_an_id() {
    let mut books = written(&pair("0", 1));
    assert_eq!(books.read(Some(&pair("1", 2))), Reading::OtherSignIn);
    let unmarked = Tokens::new("T1").unwrap();
    assert_eq!(books.read(Some(&unmarked)), Reading::OtherSignIn);
}

/// K7: emptied by another process, or empty because our first save failed.
#[test]
fn an_empty_store_is_emptied_only_if_it_was_not_empty_before() {
    assert_eq!(written(&pair("0", 1)).read(None), Reading::Emptied);

    let mut books = Books::new();
    books.want(Content::Pair(pair("0", 1)), Origin::Identity);
    let order = books.due().unwrap();
    drop(books.answered(&order, Err(Arc::new(StoreError::new("full")))));
    assert_eq!(books.read(None), Reading::SaveFirst);
}

/// K7, K8: so it is where a write without a lock looks first.
#[test]
fn an_empty_store_is_known_only_if_it_was_empty_before() {
    let r0 = pair("0", 1);
    let mut books = Books::new();
    books.want(Content::Pair(Arc::clone(&r0)), Origin::Identity);
    assert!(books.knows(None, &r0));

    drop(books.answered(&books.due().unwrap(), Ok(())));

    assert!(!books.knows(None, &r0), "somebody has emptied it");
}

#[test]
fn an_empty_store_is_ours_where_nobody_is_signed_in() {
    assert_eq!(Books::new().read(None), Reading::Ours);
}

/// K7: a sign-in whose save failed is not overruled by what the store held before it, after a refresh as little as before.
#[test]
fn a_sign_in_that_was_never_saved_wins_after_its_refresh_as_well() {
    for before in [None, Some(pair("0", 1))] {
        let mut books = Books::new();
        books.want(Content::Pair(pair("1", 2)), Origin::Identity);
        let order = books.due().unwrap();
        drop(books.answered(&order, Err(Arc::new(StoreError::new("full")))));
        books.want(Content::Pair(pair("2", 2)), Origin::Flight);
        let order = books.due().unwrap();
        drop(books.answered(&order, Err(Arc::new(StoreError::new("full")))));

        assert_eq!(books.read(before.as_deref()), Reading::SaveFirst);

        books.try_again();
        let order = books.due().unwrap();
        assert_eq!(order.origin, Origin::Identity);
        drop(books.answered(&order, Ok(())));
        assert_eq!(books.read(None), Reading::Emptied, "from here on the store is heard");
    }
}

/// K2: a rotated pair that could not be saved is saved before the next refresh, unless somebody else was there.
#[test]
fn an_unsaved_rotation_is_saved_first() {
    let (r0, r1) = (pair("0", 1), pair("1", 1));
    let mut books = written(&r0);
    books.want(Content::Pair(Arc::clone(&r1)), Origin::Flight);
    let order = books.due().unwrap();
    drop(books.answered(&order, Err(Arc::new(StoreError::new("full")))));
    assert!(books.due().is_none(), "it was tried");

    assert_eq!(books.read(Some(&r0)), Reading::SaveFirst);
    assert_eq!(books.read(Some(&pair("2", 1))), Reading::Rotated);
    assert_eq!(books.try_again(), 2);
    assert!(books.due().is_some());

    assert_eq!(books.read(Some(&r1)), Reading::Ours, "the write had arrived after all");
    assert!(!books.is_unsaved());
}

#[test]
fn a_sign_in_that_is_not_saved_yet_adopts_nothing() {
    let mut books = written(&pair("0", 1));
    books.want(Content::Pair(pair("5", 2)), Origin::Identity);
    assert_eq!(books.read(Some(&pair("1", 1))), Reading::SaveFirst);
    assert!(books.due_before_load().is_some());
}

/// I14: another flight has found a newer pair there, so the write that was waited for will not be made.
#[test]
fn whoever_waits_for_what_was_replaced_from_the_store_is_told() {
    let mut books = written(&pair("0", 1));
    let number = books.want(Content::Pair(pair("1", 1)), Origin::Flight);
    let mut waiting = books.wait(number);
    assert!(books.settled().is_empty(), "it is still to be written");

    books.found(Some(pair("5", 1)));
    for (sender, wrote) in books.settled() {
        drop(sender.send(wrote));
    }

    assert!(books.due().is_none());
    assert!(matches!(waiting.try_recv(), Ok(Some(Ok(())))));
}

#[test]
fn a_further_try_is_done_where_it_was_made_or_has_come_to_nothing() {
    let mut books = written(&pair("0", 1));
    books.exchanged(&pair("spent", 1));
    let done = |content, found: &Tokens| {
        books.is_done(&Order { number: books.number, content, origin: Origin::Identity }, found)
    };
    let save = || Content::Pair(pair("0", 1));
    let nameless = Tokens::new("T0").unwrap().with_refresh_token("R0");

    assert!(done(save(), &pair("0", 1)));
    assert!(done(save(), &nameless), "a store may lose the id");
    assert!(done(save(), &pair("1", 1)), "another process got it with that");
    assert!(!done(save(), &pair("spent", 1)));
    assert!(!done(save(), &pair("1", 2)));
    assert!(done(Content::Nothing, &pair("1", 2)), "who has come since is not signed out");
    assert!(!done(Content::Nothing, &pair("1", 1)));
    assert!(!done(Content::NothingFor(pair("0", 1)), &pair("1", 2)), "that looks for itself");
}

#[test]
fn an_access_token_that_the_server_gives_once_more_is_not_outlived() {
    let stays = |access: &str| {
        let tokens = Tokens::new(access).unwrap().with_refresh_token("R0");
        Arc::new(tokens.with_sign_in_id(pair("0", 1).sign_in_id()))
    };
    let mut books = written(&stays("T0"));
    for (before, after) in [("T0", "T1"), ("T1", "T0")] {
        books.outlived(&stays(before));
        books.want(Content::Pair(stays(after)), Origin::Flight);
        drop(books.answered(&books.due().unwrap(), Ok(())));
    }

    assert_eq!(books.read(Some(&stays("T1"))), Reading::SaveFirst);
    books.want(Content::Pair(stays("T2")), Origin::Flight);
    drop(books.answered(&books.due().unwrap(), Ok(())));
    assert_eq!(books.read(Some(&stays("T0"))), Reading::Rotated);
}
