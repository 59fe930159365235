//! Tests of `ScriptedRefresher`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use auth_core::{RefreshError, Refresher, Tokens};
use auth_testkit::{ManualRuntime, RefresherHandle, ScriptedRefresher, numbered, rotating};
use futures::FutureExt as _;

fn scripted() -> (ManualRuntime, ScriptedRefresher, RefresherHandle) {
    let (refresher, handle) = ScriptedRefresher::new();
    (ManualRuntime::new(), refresher, handle)
}

#[test]
fn each_call_is_answered_by_hand_in_any_order() {
    let (runtime, refresher, handle) = scripted();
    let calls: Vec<_> = (0..2)
        .map(|n| {
            let refresher = refresher.clone();
            runtime.start(async move { refresher.refresh(&numbered(n)).await })
        })
        .collect();
    assert!(handle.try_next().is_none(), "a future that was not polled has not called");

    let first = runtime.block_on(handle.next());
    let second = handle.try_next().unwrap();
    assert!(*second.presented() == numbered(1));
    second.answer(numbered(12));
    first.fail(RefreshError::rejected("spent"));
    runtime.run_until_stalled();

    assert!(calls[0].take().unwrap().unwrap_err().is_rejected());
    assert!(calls[1].take().unwrap().unwrap() == numbered(12));
    assert_eq!((handle.calls(), handle.most_at_once()), (2, 2));
    assert_eq!(handle.presented(), ["R0", "R1"]);
}

#[test]
fn calls_one_after_another_do_not_overlap() {
    let (_, refresher, handle) = scripted();
    for _ in 0..2 {
        let tokens = numbered(0);
        let mut call = refresher.refresh(&tokens);
        assert!((&mut call).now_or_never().is_none());
        handle.try_next().unwrap().answer(numbered(1));
        assert!(call.now_or_never().unwrap().is_ok());
    }
    let tokens = numbered(0);
    assert!(refresher.refresh(&tokens).now_or_never().is_none(), "dropped here, so it has ended");
    assert!(refresher.refresh(&tokens).now_or_never().is_none());

    assert_eq!((handle.calls(), handle.most_at_once()), (4, 1));
}

#[test]
fn the_test_sees_that_a_call_was_abandoned() {
    let (_, refresher, handle) = scripted();
    let tokens = numbered(0);
    let mut call = refresher.refresh(&tokens);
    assert!((&mut call).now_or_never().is_none());
    let seen = handle.try_next().unwrap();
    assert!(!seen.is_abandoned());

    drop(call);

    assert!(seen.is_abandoned());
    seen.answer(numbered(1));
}

#[test]
fn a_call_that_is_never_answered_stays_pending() {
    let (runtime, refresher, handle) = scripted();
    let running = runtime.start(async move { refresher.refresh(&numbered(0)).await });

    drop(runtime.block_on(handle.next()));
    runtime.run_until_stalled();

    assert!(!running.is_finished());
}

#[test]
fn a_call_can_panic_when_polled_and_when_dropped() {
    let (_, refresher, handle) = scripted();
    let tokens = numbered(0);
    let mut call = refresher.refresh(&tokens);
    assert!((&mut call).now_or_never().is_none());
    handle.try_next().unwrap().panics("out of order");
    let panic = catch_unwind(AssertUnwindSafe(|| (&mut call).now_or_never())).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "out of order");
    drop(call);

    let mut call = refresher.refresh(&tokens);
    assert!((&mut call).now_or_never().is_none());
    handle.try_next().unwrap().answer_then_panic_in_drop(numbered(1));
    assert!((&mut call).now_or_never().unwrap().unwrap() == numbered(1));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(call))).is_err());
    assert_eq!(handle.most_at_once(), 1);
}

#[test]
fn acquire_is_nothing_at_once_until_it_is_scripted() {
    let (runtime, refresher, handle) = scripted();
    assert!(refresher.acquire().now_or_never().unwrap().unwrap().is_none());

    handle.script_acquire();
    let acquiring = runtime.start(async move { refresher.acquire().await });
    runtime.block_on(handle.next_acquire()).answer(Some(numbered(0)));

    assert!(runtime.block_on(acquiring).unwrap() == Some(numbered(0)));
    assert!(handle.try_next_acquire().is_none());
    assert_eq!((handle.acquires(), handle.calls()), (2, 0));
}

#[test]
fn whether_it_can_refresh_is_the_default_or_what_the_test_says() {
    let (_, refresher, handle) = scripted();
    let bare = Tokens::new("T0").unwrap();
    assert!(refresher.can_refresh(&numbered(0)) && !refresher.can_refresh(&bare));

    handle.set_refreshable(Some(true));
    assert!(refresher.can_refresh(&bare));
    handle.set_refreshable(None);
    assert!(!refresher.can_refresh(&bare));
}

#[test]
fn what_is_offered_for_revocation_is_kept() {
    let (_, refresher, handle) = scripted();

    refresher.revoke(&numbered(3)).now_or_never().unwrap();

    assert!(handle.revoked() == [numbered(3)]);
}

#[test]
fn calls_can_be_answered_by_themselves_and_by_hand_again() {
    let (_, refresher, handle) = scripted();
    let tokens = numbered(4);
    handle.answer_with(rotating);
    assert!(refresher.refresh(&tokens).now_or_never().unwrap().unwrap() == numbered(5));
    handle.answer_with(|_| Err(RefreshError::unavailable("503")));
    assert!(refresher.refresh(&tokens).now_or_never().unwrap().is_err());
    handle.answer_by_hand();

    assert!(refresher.refresh(&tokens).now_or_never().is_none());
    assert_eq!(handle.presented(), ["R4", "R4", "R4"]);
}

#[test]
fn it_works_on_any_executor() {
    let (refresher, handle) = ScriptedRefresher::new();
    let tokens = numbered(0);

    let (answer, ()) =
        futures::executor::block_on(futures::future::join(refresher.refresh(&tokens), async {
            handle.next().await.answer(numbered(1));
        }));

    assert!(answer.unwrap() == numbered(1));
}

#[test]
fn nothing_shows_a_token_when_printed() {
    let (_, refresher, handle) = scripted();
    let tokens = Tokens::new("secret-a").unwrap().with_refresh_token("secret-r");
    let mut call = refresher.refresh(&tokens);
    assert!((&mut call).now_or_never().is_none());

    let text = format!("{refresher:?} {handle:?} {:?}", handle.try_next().unwrap());

    assert!(!text.contains("secret"), "{text}");
}
